//! What few connections need, and most never: kept apart, so that those that are idle stay small.

use crate::{
    connection::write_queue::WriteQueue,
    net::{
        peer::{KeptPeer, Peer},
        timers::SessionTimers,
    },
};

/// Nothing on the heap before it is needed; kept from then on, so that a busy connection does not make it for each
/// message, until [`Self::shed`].
#[derive(Default)]
pub(crate) struct Spare(Option<Box<Things>>);

/// What there may be.
#[derive(Default)]
pub(crate) struct Things {
    /// Whom the peer asks for, as of the last request: it is a proxy that is trusted.
    asks_for: Option<KeptPeer>,
    /// Input that was read and not consumed: an incomplete head or header, or what came behind a pause.
    pub(crate) carry: Vec<u8>,
    /// Frames of broadcasts that wait for the end of the message that the session has begun to send.
    pub(crate) held_back: WriteQueue,
    /// Those that the session has set.
    pub(crate) timers: SessionTimers,
    /// Why the session is closed at the deadline that its protocol has set.
    pub(crate) deadline_reason: Option<Box<str>>,
}

impl Spare {
    /// What there is, if anything was ever needed.
    #[inline]
    pub(crate) fn things(&mut self) -> Option<&mut Things> {
        self.0.as_deref_mut()
    }

    /// The same, to put something there.
    pub(crate) fn make(&mut self) -> &mut Things {
        self.0.get_or_insert_default()
    }

    /// Whom the peer asks for, if it is somebody else.
    #[inline]
    pub(crate) fn asks_for(&self) -> Option<Peer> {
        let asks_for = self.0.as_ref()?.asks_for.as_ref()?;
        Some(asks_for.get())
    }

    /// The peer asks for somebody else, or for itself.
    pub(crate) fn set_asks_for(&mut self, client: Option<Peer>) {
        match client {
            Some(client) => self.make().asks_for = Some(client.into()),
            None => {
                if let Some(things) = self.things() {
                    things.asks_for = None;
                }
            }
        }
    }

    /// Bytes that the input which was not consumed takes.
    #[inline]
    pub(crate) fn carry_capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |things| things.carry.capacity())
    }

    /// Bytes of broadcasts that wait.
    #[inline]
    pub(crate) fn held_back_len(&self) -> usize {
        self.0.as_ref().map_or(0, |things| things.held_back.len())
    }

    /// How many timers the session has set.
    pub(crate) fn timers_len(&self) -> usize {
        self.0.as_ref().map_or(0, |things| things.timers.len())
    }

    /// Why the session is closed at the deadline of its protocol.
    pub(crate) fn deadline_reason(&self) -> Option<&str> {
        self.0.as_ref()?.deadline_reason.as_deref()
    }

    /// Gives back what is not needed now. For a connection that was silent for a while.
    pub(crate) fn shed(&mut self) {
        self.0.take_if(|things| {
            let Things {
                asks_for,
                carry,
                held_back,
                timers,
                deadline_reason,
            } = &mut **things;
            asks_for.is_none()
                && carry.is_empty()
                && held_back.is_empty()
                && timers.len() == 0
                && deadline_reason.is_none()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_pointer_and_is_shed_when_nothing_is_there() {
        let mut spare = Spare::default();
        assert_eq!(size_of::<Spare>(), 8);
        assert!(size_of::<Things>() <= 88);
        spare.set_asks_for(None);
        assert!(spare.things().is_none());

        let client = Peer::Inet(([192, 0, 2, 7], 443).into());
        spare.set_asks_for(Some(client));
        spare.shed();
        assert_eq!(spare.asks_for(), Some(client));
        spare.set_asks_for(None);
        assert!(spare.things().is_some(), "it is kept for what comes next");
        spare.shed();
        assert!(spare.things().is_none());
    }
}
