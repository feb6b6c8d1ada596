//! Instances per vhost and states per service thread, of protocols and extensions alike.

use std::{any::Any, cell::RefCell, ffi::c_void};

use super::{destroy, hand_over};
use crate::{
    Host, PluginError,
    abi::{self, Bytes, Status},
    guard::{adopt_thread, guard, status},
    session::ThreadState,
};

/// What protocols and extensions have in common.
pub(super) trait PerVhost {
    /// The instance.
    type Value: Send + Sync + 'static;

    fn new(host: &Host, options: &[u8]) -> Result<Self::Value, PluginError>;

    fn thread(instance: &Self::Value, host: &Host) -> Box<dyn Any>;

    fn on_retire(instance: &Self::Value);
}

pub(super) const fn block<V: PerVhost>() -> abi::InstanceBlock {
    abi::InstanceBlock {
        size: size_of::<abi::InstanceBlock>(),
        create: create::<V>,
        retire: retire::<V>,
        destroy: destroy_instance::<V>,
        thread_create: thread_create::<V>,
        thread_destroy,
    }
}

unsafe extern "C" fn create<V: PerVhost>(
    host: *const abi::Host,
    options: Bytes<'_>,
    out: *mut *mut c_void,
) -> Status {
    adopt_thread();
    // SAFETY: the contract has a host that stays valid for ever, and options that are lent for this call.
    let (host, options) = unsafe { (Host::from_raw(host), options.as_slice()) };
    let made = guard(
        |text| host.fail(text),
        || Ok(Box::new(V::new(&host, options)?)),
    );
    // SAFETY: `out` is the host's, to be written once.
    unsafe { hand_over(made, out) }
}

unsafe extern "C" fn retire<V: PerVhost>(instance: *mut c_void, host: *const abi::Host) -> Status {
    adopt_thread();
    // SAFETY: `create` of the same block made it, and hooks only share it; the host as in `create`.
    let (instance, host) = unsafe { (&*instance.cast::<V::Value>(), Host::from_raw(host)) };
    status(guard(
        |text| host.fail(text),
        || {
            V::on_retire(instance);
            Ok(())
        },
    ))
}

unsafe extern "C" fn destroy_instance<V: PerVhost>(
    instance: *mut c_void,
    host: *const abi::Host,
) -> Status {
    adopt_thread();
    // SAFETY: as in `create`.
    let host = unsafe { Host::from_raw(host) };
    // SAFETY: `create` of the same block made it from a box, and this is the last call with it.
    unsafe { destroy::<V::Value>(instance, |text| host.fail(text)) }
}

unsafe extern "C" fn thread_create<V: PerVhost>(
    instance: *mut c_void,
    host: *const abi::Host,
    out: *mut *mut c_void,
) -> Status {
    adopt_thread();
    // SAFETY: `create` of the same block made it, and hooks only share it; the host as in `create`.
    let (instance, host) = unsafe { (&*instance.cast::<V::Value>(), Host::from_raw(host)) };
    let made = guard(
        |text| host.fail(text),
        || {
            let value = RefCell::new(V::thread(instance, &host));
            Ok(Box::new(ThreadState { host, value }))
        },
    );
    // SAFETY: `out` is the host's, to be written once.
    unsafe { hand_over(made, out) }
}

unsafe extern "C" fn thread_destroy(thread: *mut c_void, host: *const abi::Host) -> Status {
    // SAFETY: as in `create`.
    let host = unsafe { Host::from_raw(host) };
    // SAFETY: `thread_create` made it from a box, and this is the last call with it.
    unsafe { destroy::<ThreadState>(thread, |text| host.fail(text)) }
}
