//! Output on its way to a socket: what was gathered, and what many connections share.

use std::ops::Range;

use crate::{
    connection::{deadline::DeadlineName, websocket::Framed, write_queue::SharedBytes},
    net::io::{Delivery, Io, READ_BYTES},
    net::{link::Stage, timers::Due, token::ConnectionId},
};

/// The room that output of one connection is gathered in and that is kept for the next, in bytes: for a message of
/// 1 MiB behind others.
const KEPT_BYTES: usize = 2 << 20;
/// How long memory is kept for the next message, in milliseconds: up to twice that.
const KEPT_MS: u64 = 1_000;

impl<T, E> Io<T, E> {
    /// Sends frames that many connections share, unless the connection is above its high mark: those that `range` says are
    /// for the session. They wait for the end of a message that the session has begun to send.
    #[inline]
    pub(crate) fn deliver(
        &mut self,
        id: ConnectionId,
        frames: &SharedBytes,
        range: impl FnOnce(&mut T) -> Range<usize>,
    ) -> Delivery {
        let Some(link) = self.slots.get_mut(id) else {
            return Delivery::Gone;
        };
        let Stage::Open(open) = &mut link.stage else {
            return Delivery::Gone;
        };
        let range = range(&mut open.session);
        if range.is_empty() {
            return Delivery::Done;
        }
        let when = open.websocket.sending().takes_framed();
        match when {
            Framed::Now | Framed::AfterMessage => {}
            Framed::Extended => return Delivery::Extended,
            Framed::Closed => return Delivery::Gone,
        }
        let budget = self.buffers.budget();
        let waited = !link.queue.is_empty();
        let must_wait = waited || when == Framed::AfterMessage;
        if link.queue.len() + link.spare.held_back_len() >= self.settings.high_mark
            || must_wait && !budget.has_room(range.len() as u64)
        {
            return Delivery::Slow;
        }
        if when == Framed::AfterMessage {
            let held_back = &mut link.spare.make().held_back;
            let before = held_back.len();
            held_back.push_shared(SharedBytes::clone(frames), range);
            // There was room a moment ago.
            let _ = budget.take((held_back.len() - before) as u64);
            return Delivery::Done;
        }
        let written = link.write_shared(frames, range, budget);
        match written {
            Ok(()) if link.queue.is_empty() => {}
            Ok(()) => self.watch_stall(id, waited),
            Err(error) => self.lose(id, &error),
        }
        Delivery::Done
    }

    /// Sends what extensions have held back in this turn.
    pub(crate) fn flush_holding(&mut self) {
        for id in std::mem::take(&mut self.holding) {
            self.with(id, |_, port| port.flush_extensions());
        }
    }

    /// Sends what was gathered for a connection.
    pub(crate) fn flush(&mut self, id: ConnectionId) {
        if self.out.is_empty() {
            return;
        }
        if let Some(link) = self.slots.get_mut(id) {
            let waited = !link.queue.is_empty();
            let written = link.write(&self.out, self.buffers.budget());
            match written {
                Ok(()) if link.queue.is_empty() => {}
                Ok(()) => self.watch_stall(id, waited),
                Err(error) => self.lose(id, &error),
            }
        }
        self.clear_out();
    }

    /// Sends what was gathered for a connection, if some of it is to leave from where it lies: in `input`, or in the
    /// message that was gathered of several reads.
    #[inline]
    pub(super) fn flush_in_place(&mut self, id: ConnectionId, input: &mut [u8]) {
        if !self.in_place.is_empty() {
            self.write_in_place(id, input);
        }
    }

    #[inline(never)]
    fn write_in_place(&mut self, id: ConnectionId, input: &mut [u8]) {
        if let Some(link) = self.slots.get_mut(id) {
            let waited = !link.queue.is_empty();
            let (budget, in_place) = (self.buffers.budget(), &self.in_place);
            match link.write_in_place(&self.out, in_place, input, budget) {
                Ok(()) if link.queue.is_empty() => {}
                Ok(()) => self.watch_stall(id, waited),
                Err(error) => self.lose(id, &error),
            }
        }
        self.in_place.clear();
        self.clear_out();
    }

    /// Memory is kept for the next message, and no longer than it may take to come.
    #[inline]
    pub(crate) fn watch_kept(&mut self) {
        let keeps = self.buffers.has_kept() || self.out.capacity() > READ_BYTES;
        if keeps && !self.watches_kept {
            self.begin_to_watch();
        }
    }

    #[cold]
    fn begin_to_watch(&mut self) {
        self.watches_kept = true;
        self.timers.insert(self.now + KEPT_MS, Due::Kept);
    }

    /// Gives back what was not needed for some time; the end of the turn has the rest looked after.
    #[cold]
    pub(crate) fn give_back(&mut self) {
        self.watches_kept = false;
        self.buffers.give_back();
        self.out.shrink_to(READ_BYTES);
    }

    fn clear_out(&mut self) {
        self.out.clear();
        // What a burst needed is not kept for ever.
        if self.out.capacity() > KEPT_BYTES {
            self.out.shrink_to(READ_BYTES);
        }
    }

    /// Output waits: it must move before the deadline.
    pub(super) fn watch_stall(&mut self, id: ConnectionId, waited: bool) {
        if waited {
            return;
        }
        if let Some(link) = self.slots.get_mut(id) {
            let after = self.settings.limits.stalled_write_ms;
            link.deadlines
                .set(DeadlineName::StalledWrite, self.now, after);
        }
        self.touch(id);
    }
}
