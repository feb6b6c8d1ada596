//! The id of a connection: which service thread, which slot there, and which tenant of the slot.
//!
//! An id is never used again, so an event, a timer or a handle that comes too late meets nobody.

use std::num::NonZeroU64;

use mio::Token;

/// How many service threads an id can tell apart.
pub const MAX_THREADS: usize = 1 << 8;
/// How many connections of one service thread an id can tell apart.
pub const MAX_SLOTS: usize = (1 << 24) - 16;

/// One connection of one host; never 0, never used again.
///
/// From the top: 8 bits of thread, 32 bits of generation, 24 bits of slot. A generation begins at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(NonZeroU64);

impl ConnectionId {
    pub(crate) fn new(thread: u8, slot: u32, generation: u32) -> Self {
        let bits = u64::from(thread) << 56 | u64::from(generation) << 24 | u64::from(slot);
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MAX))
    }

    /// The id as a number, as plugins see it.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The id that `number` stands for; none for 0.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    pub(crate) fn thread(self) -> usize {
        (self.0.get() >> 56) as usize
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0.get() >> 24) as u32
    }

    pub(crate) fn slot(self) -> usize {
        (self.0.get() & 0xff_ffff) as usize
    }

    /// The token under which its socket is registered.
    pub(crate) fn token(self) -> Token {
        Token(self.0.get() as usize)
    }

    /// The connection that an event is for, if it is one.
    pub(crate) fn from_token(token: Token) -> Option<Self> {
        let id = Self(NonZeroU64::new(token.0 as u64)?);
        (id.slot() < MAX_SLOTS).then_some(id)
    }
}

/// The token of the waker of a service thread.
pub(crate) const WAKER: Token = Token(0xff_ffff);

/// The token of the listener with this index.
pub(crate) fn listener_token(index: usize) -> Token {
    Token(MAX_SLOTS + index)
}

/// The listener that an event is for, if it is one.
pub(crate) fn listener_index(token: Token) -> Option<usize> {
    (MAX_SLOTS..WAKER.0)
        .contains(&token.0)
        .then(|| token.0 - MAX_SLOTS)
}

/// How many listeners a service thread can have.
pub(crate) const MAX_LISTENERS: usize = WAKER.0 - MAX_SLOTS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_gives_back_its_parts() {
        let id = ConnectionId::new(3, 77, 0xdead_beef);
        assert_eq!(
            (id.thread(), id.slot(), id.generation()),
            (3, 77, 0xdead_beef)
        );
        assert_eq!(ConnectionId::from_token(id.token()), Some(id));
        assert_eq!(ConnectionId::from_number(id.get()), Some(id));
    }

    #[test]
    fn listeners_and_the_waker_are_no_connections() {
        for token in [WAKER, listener_token(0), listener_token(MAX_LISTENERS - 1)] {
            assert_eq!(ConnectionId::from_token(token), None);
        }
        assert_eq!(listener_index(listener_token(2)), Some(2));
        assert_eq!(listener_index(WAKER), None);
    }
}
