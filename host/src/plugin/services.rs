//! What the host lends to all plugins, and counts for them.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, HashMap},
    ffi::c_void,
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use hotsocket_abi::{STATUS_FULL, STATUS_OK, Status};

use crate::context::hub::Hub;

/// One value of each type that the program gave, by type. Whoever is linked into the program may have it.
#[derive(Default)]
pub struct HostData {
    /// Each an `Arc` of the type, in a place that does not move.
    by_type: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl HostData {
    /// Adds a value, in place of the one of that type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.by_type.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// Where the `Arc` of the type with that id lies; null when there is none.
    pub(super) fn find(&self, id: TypeId) -> *const c_void {
        let value = self.by_type.get(&id);
        value.map_or(ptr::null(), |value| ptr::from_ref(&**value).cast())
    }
}

/// What the host lends to all plugins.
pub struct Services {
    /// The way to all sessions.
    pub hub: Arc<Hub>,
    /// The most detailed level that is logged for the plugin of that name, as in the ABI; 0 for none.
    pub log_level: Box<dyn Fn(&str) -> u32 + Send + Sync>,
    /// What the program gave for the plugins that are linked into it.
    pub data: HostData,
    /// When the host began.
    pub began: Instant,
    /// How many counters one plugin may have.
    counters_count: AtomicUsize,
    /// By plugin and name.
    counters: Mutex<HashMap<String, HashMap<String, u64>>>,
}

impl Services {
    /// Services over the sessions of one host.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        log_level: Box<dyn Fn(&str) -> u32 + Send + Sync>,
        counters_count: usize,
    ) -> Self {
        Self {
            hub,
            log_level,
            data: HostData::default(),
            began: Instant::now(),
            counters_count: AtomicUsize::new(counters_count),
            counters: Mutex::default(),
        }
    }

    /// The same, with data for the plugins that are linked into the program.
    #[must_use]
    pub fn with_data(mut self, data: HostData) -> Self {
        self.data = data;
        self
    }

    /// A changed limit holds for counters that are new.
    pub fn set_counters_count(&self, count: usize) {
        self.counters_count.store(count, Ordering::Relaxed);
    }

    /// The counters of a plugin by name.
    #[must_use]
    pub fn counters(&self, plugin: &str) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counters.get(plugin).into_iter().flatten();
        own.map(|(name, value)| (name.clone(), *value)).collect()
    }

    /// Makes nothing but what is new, since a hook may count each message.
    pub(super) fn count(&self, plugin: &str, name: &str, by: u64) -> Status {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get_mut(plugin).and_then(|own| own.get_mut(name)) {
            *counter = counter.wrapping_add(by);
            return STATUS_OK;
        }
        let own = counters.entry(plugin.to_owned()).or_default();
        if own.len() >= self.counters_count.load(Ordering::Relaxed) {
            return STATUS_FULL;
        }
        own.insert(name.to_owned(), by);
        STATUS_OK
    }
}
