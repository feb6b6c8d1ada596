//! What is due when: one entry for the deadlines of each connection, one for each timer that a session has set.

use crate::net::{
    timer_wheel::{TimerKey, TimerWheel},
    token::ConnectionId,
};

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The earliest deadline of the connection may have come.
    Deadline(ConnectionId),
    /// A timer of the session.
    Session(ConnectionId, u64),
    /// The next address of a connection that is dialled may be tried.
    Attempt(ConnectionId),
    /// A call that the service has asked for.
    Call(u64),
    /// A listener that ran out of descriptors may try again.
    Listener(usize),
    /// The thread is done, whatever is open.
    Stop,
}

/// All timers of a service thread.
pub(crate) type Timers = TimerWheel<Due>;

/// The timers that a session has set; nothing on the heap while there are none.
#[derive(Debug, Default)]
pub(crate) struct SessionTimers(Vec<(u64, TimerKey)>);

impl SessionTimers {
    /// How many are set.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes that `id` is set.
    pub(crate) fn add(&mut self, id: u64, key: TimerKey) {
        self.0.push((id, key));
    }

    /// Forgets `id`; gives its key when it was set.
    pub(crate) fn remove(&mut self, id: u64) -> Option<TimerKey> {
        let at = self.0.iter().position(|&(other, _)| other == id)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes all of them back.
    pub(crate) fn cancel_all(&mut self, timers: &mut Timers) {
        for (_, key) in self.0.drain(..) {
            timers.cancel(key);
        }
    }
}
