//! What is due when: one entry for the deadlines of each connection, one for each timer that a session has set.

use crate::net::{
    timer_wheel::{TimerKey, TimerWheel},
    token::ConnectionId,
    wheel::Wheel,
};

/// Room for so many connections from the beginning. It costs no memory before they are there, and a table of this size
/// is not copied when it grows, so that it leaves no holes.
const ROOM: usize = 8 << 10;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The earliest deadline of the connection in this slot may have come.
    Deadline(u32),
    /// A timer of the session.
    Session(ConnectionId, u64),
    /// The next address of a connection that is dialled may be tried.
    Attempt(ConnectionId),
    /// A call that the service has asked for.
    Call(u64),
    /// A listener that ran out of descriptors may try again.
    Listener(usize),
    /// Memory that is kept for the next message may be given back.
    Kept,
    /// The thread is done, whatever is open.
    Stop,
}

/// All timers of a service thread.
pub(crate) struct Timers {
    /// By slot of the connection. Each connection has one as long as it lives, so these are kept small.
    deadlines: Wheel,
    others: TimerWheel<Due>,
}

impl Timers {
    /// None is set, and the present is `now_ms`.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            deadlines: Wheel::new(now_ms, ROOM),
            others: TimerWheel::new(now_ms),
        }
    }

    /// Sets a timer that is none of [`Due::Deadline`].
    pub(crate) fn insert(&mut self, deadline_ms: u64, due: Due) -> TimerKey {
        self.others.insert(deadline_ms, due)
    }

    /// Takes it back; false if it has fired or was cancelled.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> bool {
        self.others.cancel(key)
    }

    /// Has [`Due::Deadline`] told of the connection at `deadline_ms`, or before. One that comes too early finds out and
    /// is set again; traffic moves no timer.
    #[inline]
    pub(crate) fn wake(&mut self, id: ConnectionId, deadline_ms: u64) {
        let slot = id.slot() as u32;
        if self
            .deadlines
            .deadline(slot)
            .is_none_or(|at| at > deadline_ms)
        {
            self.deadlines.set(slot, deadline_ms);
        }
    }

    /// Nothing of the connection is awaited any more.
    pub(crate) fn let_sleep(&mut self, id: ConnectionId) {
        self.deadlines.unset(id.slot() as u32);
    }

    /// Moves the present to `now_ms` and takes one timer that has expired; to be called until there is none. They come in
    /// the order of their deadlines: what a session does in time is not late because the turn is.
    #[inline]
    pub(crate) fn expire(&mut self, now_ms: u64) -> Option<Due> {
        while self.next_deadline().is_some_and(|next| next <= now_ms) {
            let due = self.expire_next(now_ms);
            if due.is_some() {
                return due;
            }
        }
        // Nothing has: only the present moves.
        let deadline = self.deadlines.expire(now_ms).map(Due::Deadline);
        deadline.or_else(|| self.others.expire(now_ms))
    }

    /// Of the one that goes on first, up to where the other does.
    fn expire_next(&mut self, now_ms: u64) -> Option<Due> {
        let deadline = self.deadlines.next_deadline().unwrap_or(u64::MAX);
        let other = self.others.next_deadline().unwrap_or(u64::MAX);
        match deadline <= other {
            true => self.deadlines.expire(now_ms.min(other)).map(Due::Deadline),
            false => self.others.expire(now_ms.min(deadline)),
        }
    }

    /// When [`Self::expire`] is to be called next.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        match (self.deadlines.next_deadline(), self.others.next_deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// How many are set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.deadlines.len() + self.others.len()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_and_timers_come_in_one_order_also_in_a_late_turn() {
        let mut timers = Timers::new(0);
        for (slot, at) in [(0, 70), (1, 5_000), (2, 12)] {
            timers.wake(ConnectionId::new(0, slot, 1), at);
        }
        for (call, at) in [(7, 69), (8, 13), (9, 4_999)] {
            timers.insert(at, Due::Call(call));
        }
        let due: Vec<_> = std::iter::from_fn(|| timers.expire(10_000)).collect();
        assert_eq!(
            due,
            [
                Due::Deadline(2),
                Due::Call(8),
                Due::Call(7),
                Due::Deadline(0),
                Due::Call(9),
                Due::Deadline(1),
            ]
        );
        assert_eq!((timers.next_deadline(), timers.len()), (None, 0));
    }
}
