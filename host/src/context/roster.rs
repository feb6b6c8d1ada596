//! Who is in session on one service thread, readable from all threads: how a handle knows that it is stale, and how
//! the sessions of a protocol are found from outside.
//!
//! Exchanges have a roster of their own, in which each is a set by its number.
//!
//! Written by the service thread when a session opens or ends, never on the path of a message.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use crate::net::token::ConnectionId;

/// All sessions of one protocol on one vhost, across service threads and generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetId(pub u32);

/// Slots in the first chunk; each further one has twice as many, so that none is ever moved.
const FIRST_CHUNK: usize = 1024;
/// Enough for [`crate::net::token::MAX_SLOTS`].
const CHUNKS: usize = 15;

/// The sessions of one service thread by slot.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNKS],
    /// One above the highest slot ever used.
    end: AtomicU32,
}

impl Roster {
    /// A session begins. On its service thread.
    pub(crate) fn enter(&self, id: ConnectionId, set: SetId) {
        self.entry(id.slot())
            .store(packed(id.generation(), set), Ordering::Release);
        self.end.fetch_max(id.slot() as u32 + 1, Ordering::AcqRel);
    }

    /// A session has ended. On its service thread.
    pub(crate) fn leave(&self, id: ConnectionId) {
        self.entry(id.slot()).store(0, Ordering::Release);
    }

    /// Whether the session is open now. From any thread.
    pub(crate) fn holds(&self, id: ConnectionId) -> bool {
        let (chunk, at) = place(id.slot());
        let Some(entries) = self.chunks.get(chunk).and_then(OnceLock::get) else {
            return false;
        };
        let entry = entries[at].load(Ordering::Acquire);
        entry != 0 && entry >> 32 == u64::from(id.generation())
    }

    /// Whether the session is open now and belongs to `set`. From any thread.
    pub(crate) fn holds_in(&self, id: ConnectionId, set: SetId) -> bool {
        let (chunk, at) = place(id.slot());
        let entries = self.chunks.get(chunk).and_then(OnceLock::get);
        entries.is_some_and(|entries| {
            entries[at].load(Ordering::Acquire) == packed(id.generation(), set)
        })
    }

    /// Calls `visit` with each session of `set`. From any thread.
    pub(crate) fn for_each(&self, thread: u8, set: SetId, visit: &mut dyn FnMut(ConnectionId)) {
        for slot in 0..self.end.load(Ordering::Acquire) {
            let entry = self.entry(slot as usize).load(Ordering::Acquire);
            let generation = (entry >> 32) as u32;
            if entry == packed(generation, set) {
                visit(ConnectionId::new(thread, slot, generation));
            }
        }
    }

    fn entry(&self, slot: usize) -> &AtomicU64 {
        let (chunk, at) = place(slot);
        let entries = self.chunks[chunk].get_or_init(|| {
            (0..FIRST_CHUNK << chunk)
                .map(|_| AtomicU64::new(0))
                .collect()
        });
        &entries[at]
    }
}

fn packed(generation: u32, set: SetId) -> u64 {
    u64::from(generation) << 32 | (u64::from(set.0) + 1) & 0xffff_ffff
}

/// The chunk of a slot and its place there.
fn place(slot: usize) -> (usize, usize) {
    let chunk = (slot / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, slot - FIRST_CHUNK * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::token::MAX_SLOTS;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(1023), (0, 1023));
        assert_eq!(place(1024), (1, 0));
        assert_eq!(place(3071), (1, 2047));
        assert_eq!(place(3072), (2, 0));
        let (chunk, at) = place(MAX_SLOTS - 1);
        assert!(chunk < CHUNKS && at < FIRST_CHUNK << chunk);
    }

    #[test]
    fn a_session_is_held_from_enter_to_leave_and_found_by_its_set() {
        let roster = Roster::default();
        let (one, other) = (
            ConnectionId::new(2, 0, 1),
            ConnectionId::new(2, 5000, u32::MAX),
        );
        assert!(!roster.holds(one));
        roster.enter(one, SetId(0));
        roster.enter(other, SetId(7));
        assert!(roster.holds(one) && roster.holds(other));
        assert!(!roster.holds(ConnectionId::new(2, 0, 2)));
        assert!(roster.holds_in(other, SetId(7)) && !roster.holds_in(other, SetId(8)));
        let mut found = Vec::new();
        roster.for_each(2, SetId(7), &mut |id| found.push(id));
        assert_eq!(found, [other]);
        roster.leave(other);
        assert!(!roster.holds(other));
    }
}
