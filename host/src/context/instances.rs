//! The instances that one service thread works with: each with its state for this thread, for as long as it serves or
//! has sessions here.

use std::sync::Arc;

use crate::context::{
    handler::{Fault, ProtocolHandler, ThreadState},
    routes::{Route, Routes},
};

/// An instance on this service thread.
pub(crate) struct Instance {
    /// Tells instances apart.
    pub(crate) key: u64,
    pub(crate) handler: Arc<dyn ProtocolHandler>,
    pub(crate) thread: ThreadState,
    pub(crate) sessions: u32,
    retired: bool,
}

/// All of them, by an index that stays for as long as an instance has sessions.
#[derive(Default)]
pub(crate) struct Instances {
    slots: Vec<Option<Instance>>,
}

impl Instances {
    /// The instance at an index that a session keeps.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&Instance> {
        self.slots.get(at as usize)?.as_ref()
    }

    /// Counts a session in: the index of its instance, with its thread state made when it is the first one here.
    pub(crate) fn enter(&mut self, route: &Route) -> Result<u32, Fault> {
        let known = self
            .slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|i| i.key == route.instance));
        let at = match known {
            Some(at) => at,
            None => self.add(route)?,
        };
        if let Some(instance) = &mut self.slots[at] {
            instance.sessions += 1;
        }
        Ok(at as u32)
    }

    fn add(&mut self, route: &Route) -> Result<usize, Fault> {
        let instance = Some(Instance {
            key: route.instance,
            handler: Arc::clone(&route.handler),
            thread: route.handler.thread_create()?,
            sessions: 0,
            retired: false,
        });
        match self.slots.iter().position(Option::is_none) {
            Some(at) => {
                self.slots[at] = instance;
                Ok(at)
            }
            None => {
                self.slots.push(instance);
                Ok(self.slots.len() - 1)
            }
        }
    }

    /// Counts a session out; the last one of a retired instance takes the instance with it.
    pub(crate) fn leave(&mut self, at: u32) {
        let Some(slot) = self.slots.get_mut(at as usize) else {
            return;
        };
        if let Some(instance) = slot {
            instance.sessions = instance.sessions.saturating_sub(1);
        }
        free_if_done(slot);
    }

    /// From now on new sessions are bound by `routes`; what is not in there is retired.
    pub(crate) fn install(&mut self, routes: &Routes) {
        for slot in &mut self.slots {
            if let Some(instance) = slot {
                let serves = |route: &Route| route.instance == instance.key;
                instance.retired = !routes.protocols.values().any(serves);
            }
            free_if_done(slot);
        }
    }

    /// The thread ends: everything is freed. No session may be left.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            if let Some(instance) = slot {
                instance.retired = true;
                instance.sessions = 0;
            }
            free_if_done(slot);
        }
    }
}

fn free_if_done(slot: &mut Option<Instance>) {
    let done = |instance: &mut Instance| instance.retired && instance.sessions == 0;
    if let Some(instance) = slot.take_if(done)
        && let Err(fault) = instance.handler.thread_destroy(instance.thread)
    {
        report(instance.handler.as_ref(), &fault);
    }
}

/// One line for a hook that did not end well.
pub(crate) fn report(handler: &dyn ProtocolHandler, fault: &Fault) {
    fault.log(handler.label(), &handler.facts().name);
}
