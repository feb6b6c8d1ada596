//! The instances that one service thread works with: each with its state for this thread, for as long as it serves or
//! has sessions here.

use std::sync::Arc;

use crate::context::handler::{Fault, Hosted, ThreadState};

/// An instance on this service thread.
pub(crate) struct Instance<H: ?Sized> {
    /// Tells instances apart.
    key: u64,
    pub(crate) handler: Arc<H>,
    pub(crate) thread: ThreadState,
    sessions: u32,
    retired: bool,
}

/// All of them, by an index that stays for as long as an instance has sessions.
pub(crate) struct Instances<H: ?Sized> {
    slots: Vec<Option<Instance<H>>>,
}

impl<H: ?Sized> Default for Instances<H> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<H: Hosted + ?Sized> Instances<H> {
    /// The instance at an index that a session keeps.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> Option<&Instance<H>> {
        self.slots.get(at as usize)?.as_ref()
    }

    /// Whether the instance at this index is one of `keys`.
    pub(crate) fn is_among(&self, at: u32, keys: &[u64]) -> bool {
        self.get(at)
            .is_some_and(|instance| keys.contains(&instance.key))
    }

    /// Counts a session in: the index of the instance, with its thread state made when it is the first one here.
    pub(crate) fn enter(&mut self, key: u64, handler: &Arc<H>) -> Result<u32, Fault> {
        let known = self
            .slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|known| known.key == key));
        let at = match known {
            Some(at) => at,
            None => self.add(key, handler)?,
        };
        if let Some(instance) = &mut self.slots[at] {
            instance.sessions += 1;
        }
        Ok(at as u32)
    }

    fn add(&mut self, key: u64, handler: &Arc<H>) -> Result<usize, Fault> {
        let instance = Some(Instance {
            key,
            handler: Arc::clone(handler),
            thread: handler.thread_create()?,
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

    /// New sessions go to others; it ends with its last one.
    pub(crate) fn retire(&mut self, at: u32) {
        if let Some(Some(instance)) = self.slots.get_mut(at as usize) {
            instance.retired = true;
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

    /// From now on new sessions are bound to those that `serves` names; the others are retired.
    pub(crate) fn install(&mut self, serves: impl Fn(u64) -> bool) {
        for slot in &mut self.slots {
            if let Some(instance) = slot {
                instance.retired = !serves(instance.key);
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

fn free_if_done<H: Hosted + ?Sized>(slot: &mut Option<Instance<H>>) {
    let done = |instance: &mut Instance<H>| instance.retired && instance.sessions == 0;
    if let Some(instance) = slot.take_if(done)
        && let Err(fault) = instance.handler.thread_destroy(instance.thread)
    {
        report(&*instance.handler, &fault);
    }
}

/// One line for a hook that did not end well.
pub(crate) fn report<H: Hosted + ?Sized>(handler: &H, fault: &Fault) {
    fault.log(handler.label(), handler.name());
}
