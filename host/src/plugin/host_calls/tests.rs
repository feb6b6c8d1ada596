use super::*;
use crate::plugin::services::HostData;

/// What a plugin gets that asks for data of type `T`.
fn asked<T: 'static>(services: &Arc<Services>, is_linked: bool) -> *const c_void {
    let context = HostContext {
        services: Arc::clone(services),
        label: Label {
            plugin: "probe".into(),
            version: "1.0.0".into(),
            generation: 1,
        },
        is_linked,
        instance: None,
        door: None,
        host: OnceLock::new(),
    };
    let id = TypeId::of::<T>();
    // SAFETY: a host that was just made, and the id of a type of this program.
    unsafe { linked_data(context.leak().context, (&raw const id).cast()) }
}

#[test]
fn only_a_linked_plugin_is_given_data_and_only_of_the_type_it_asks_for() {
    let mut data = HostData::default();
    data.insert(Arc::new(1_u32));
    data.insert(Arc::new(17_u32));
    let hub = Arc::new(Hub::new(Vec::new()));
    let services = Services::new(hub, Box::new(|_| 0), 1).with_data(data);
    let services = Arc::new(services);
    let given = asked::<u32>(&services, true);
    // SAFETY: an `Arc` of the type that was asked for; the leaked host keeps it.
    let given = unsafe { given.cast::<Arc<u32>>().as_ref() };
    assert_eq!(given.map(|given| **given), Some(17));
    assert!(asked::<i32>(&services, true).is_null());
    assert!(asked::<u32>(&services, false).is_null());
}
