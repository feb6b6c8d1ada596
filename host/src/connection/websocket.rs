//! One WebSocket: both halves together. RFC 6455 sections 5.5 and 7.

use super::buffers::BufferPool;
use super::extended::Extended;
use super::inbound::{Event, Inbound, InboundRules};
use super::outbound::Masking;
use super::receiving::Receiving;
pub use super::sending::{CloseReport, ClosedBy, Framed, FramedAs, Sending, State, Transport};
use crate::wire::Role;
use crate::wire::close_code::Failure;
use crate::wire::extension::ExtensionChain;

/// One WebSocket in either role.
#[derive(Default)]
pub struct WebSocket {
    inbound: Receiving,
    sending: Sending,
}

/// What [`WebSocket::next`] found, and what one may send meanwhile.
pub struct Turn<'a> {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// What was found. Pings and Close frames are answered and failures acted on already; these events only inform.
    pub event: Event<'a>,
    /// For sends from within the delivery of the event.
    pub sending: &'a mut Sending,
}

impl WebSocket {
    /// A WebSocket whose opening handshake agreed on these extensions.
    pub fn with_extensions(chain: ExtensionChain) -> Self {
        let mut websocket = Self::default();
        if !chain.is_empty() {
            websocket.sending.extensions = Some(Box::new(Extended::new(chain)));
        }
        websocket
    }

    /// The client's end of such a WebSocket. All its frames are to be masked.
    pub fn client(chain: ExtensionChain) -> Self {
        let mut websocket = Self::with_extensions(chain);
        websocket.sending.is_client = true;
        websocket
    }

    /// Looks for the next event in `input`, as [`Receiving::next`] does, and answers control frames into `out`.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        rules: &InboundRules,
        buffers: &mut BufferPool,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        input: &'a mut [u8],
    ) -> Turn<'a> {
        let (inbound, sending) = self.halves();
        let (consumed, event) = hear(inbound, sending, rules, buffers, out, mask, input);
        Turn {
            consumed,
            event,
            sending,
        }
    }

    /// Both halves, for whoever is to [`hear`] many events and sends meanwhile.
    #[inline]
    pub fn halves(&mut self) -> (&mut Receiving, &mut Sending) {
        (&mut self.inbound, &mut self.sending)
    }

    /// For sends outside the delivery of an event.
    #[inline]
    pub fn sending(&mut self) -> &mut Sending {
        &mut self.sending
    }

    /// Takes the buffer in which a message lies that did not arrive whole, for a moment: to be put back by [`Self::put_held`].
    pub fn take_held(&mut self) -> Vec<u8> {
        self.inbound
            .under_way()
            .map(Inbound::take_held)
            .unwrap_or_default()
    }

    /// Puts it back.
    pub fn put_held(&mut self, held: Vec<u8>) {
        if let Some(inbound) = self.inbound.under_way() {
            inbound.put_held(held);
        }
    }

    /// Whether [`Self::place`] is worth asking for.
    #[inline]
    pub fn awaits_long(&self) -> bool {
        self.inbound.awaits_long()
    }

    /// Where the payload that is awaited may be read to at once; see [`Inbound::place`].
    pub fn place(&mut self, buffers: &mut BufferPool, most_behind: usize) -> Option<&mut Vec<u8>> {
        let is_plain = self.sending.extensions.is_none() && self.sending.state == State::Open;
        let inbound = self.inbound.under_way().filter(|_| is_plain)?;
        inbound.place(buffers, most_behind)
    }

    /// So many bytes were read there; see [`Inbound::gathered`].
    ///
    /// # Errors
    /// As [`Inbound::gathered`]: the connection is to be failed.
    pub fn gathered(
        &mut self,
        buffers: &mut BufferPool,
        count: usize,
        behind: &mut [u8],
    ) -> Result<usize, Failure> {
        let role = match self.sending.is_client {
            true => Role::Client,
            false => Role::Server,
        };
        match self.inbound.under_way() {
            Some(inbound) => inbound.gathered(role, buffers, count, behind),
            None => Ok(0),
        }
    }

    /// Gives the memory back. To be called before the value is dropped.
    pub fn release(&mut self, buffers: &mut BufferPool) {
        self.inbound.release(buffers);
    }
}

/// To be called on both halves when more input is needed: gives back what is not, unless something is under way.
#[inline]
pub fn rest(inbound: &mut Receiving, sending: &Sending, buffers: &mut BufferPool) {
    let extended = sending.extensions.as_deref();
    // What came out of the extensions may be a part of a text, although nothing of a message is on its way to them.
    if extended.is_none_or(|extended| extended.waiting.is_empty()) {
        inbound.rest(buffers);
    }
}

/// [`WebSocket::next`] on its halves: how much of the input is done with, and what was found.
#[inline]
pub fn hear<'a>(
    inbound: &'a mut Receiving,
    sending: &mut Sending,
    rules: &InboundRules,
    buffers: &mut BufferPool,
    out: &mut Vec<u8>,
    mask: Masking<'_>,
    input: &'a mut [u8],
) -> (usize, Event<'a>) {
    match sending.state {
        State::Open => {}
        State::CloseSent => inbound.discard_data(),
        State::Closed | State::Failed | State::Abandoned => {
            inbound.release(buffers);
            return (input.len(), Event::Need);
        }
    }
    let extended = sending.extensions.as_deref_mut();
    let (consumed, event) = inbound.next(rules, extended, buffers, input);
    match &event {
        Event::Need | Event::Message { .. } | Event::Piece { .. } | Event::Pong(_) => {}
        // Refused only after our Close frame, and then no pong is due (section 5.5.1).
        Event::Ping(payload) => {
            let _ = sending.pong(out, mask, payload);
        }
        Event::Close { code, reason } => sending.peer_closed(out, mask, *code, reason),
        Event::Failed(failure) => sending.fail(out, mask, *failure),
    }
    (consumed, event)
}

#[cfg(test)]
mod tests {
    use super::super::inbound::Delivery;
    use super::super::stream_tests::{Heard, pool};
    use super::*;
    use crate::wire::close_code::{ABNORMAL, INTERNAL_ERROR, NO_CODE, NORMAL, PROTOCOL_ERROR};

    /// A client, so that the bytes of the tests need no mask.
    const RULES: InboundRules = InboundRules {
        role: Role::Client,
        message_bytes: 100,
        delivery: Delivery::Messages,
    };

    /// What is heard of the input, and what is answered.
    fn turns(websocket: &mut WebSocket, input: &[u8]) -> (Vec<Heard>, Vec<u8>) {
        let (mut input, mut at, mut buffers) = (input.to_vec(), 0, pool());
        let (mut all, mut out) = (Vec::new(), Vec::new());
        loop {
            let turn = websocket.next(
                &RULES,
                &mut buffers,
                &mut out,
                Masking::None,
                &mut input[at..],
            );
            at += turn.consumed;
            match Heard::of(&turn.event) {
                Some(heard) => all.push(heard),
                None => return (all, out),
            }
        }
    }

    fn close(websocket: &mut WebSocket, by: ClosedBy) -> Vec<u8> {
        let mut out = Vec::new();
        let sending = websocket.sending();
        sending
            .close(&mut out, Masking::None, by, Some(NORMAL), "enough")
            .unwrap();
        out
    }

    fn report(by: ClosedBy, code: u16, clean: bool, reason: &str) -> CloseReport {
        CloseReport {
            by,
            code,
            clean,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn what_is_under_way_is_lent_and_given_back_when_nothing_is() {
        let (mut websocket, mut buffers, mut out) = (WebSocket::default(), pool(), Vec::new());
        assert!(size_of::<WebSocket>() <= 32);
        // The beginning of a message, a ping inside it, and its end.
        for (input, is_lent) in [
            (b"\x01\x01a".as_slice(), true),
            (b"\x89\x00", true),
            (b"\x80\x01b", false),
            (b"\x89\x00", false),
            (b"\x81\x01c", false),
        ] {
            let (mut input, mut at) = (input.to_vec(), 0);
            loop {
                let left = &mut input[at..];
                let turn = websocket.next(&RULES, &mut buffers, &mut out, Masking::None, left);
                at += turn.consumed;
                if turn.event == Event::Need {
                    break;
                }
            }
            let (inbound, sending) = websocket.halves();
            rest(inbound, sending, &mut buffers);
            assert_eq!(websocket.inbound.is_lent(), is_lent, "{input:?}");
        }
    }

    #[test]
    fn pings_are_answered_in_order() {
        let mut websocket = WebSocket::default();
        let (heard, out) = turns(&mut websocket, b"\x89\x01a\x81\x01m\x89\x01b");
        assert_eq!(heard.len(), 3);
        assert_eq!(out, b"\x8a\x01a\x8a\x01b");
    }

    #[test]
    fn the_peers_close_is_answered_with_its_code_and_told_once() {
        let mut websocket = WebSocket::default();
        let (heard, out) = turns(&mut websocket, b"\x88\x05\x0b\xb8bye\x81\x01m");
        assert_eq!(heard, [Heard::Close(Some(3000), "bye".to_owned())]);
        assert_eq!(out, b"\x88\x02\x0b\xb8");
        let sending = websocket.sending();
        assert_eq!(sending.state(), State::Closed);
        assert_eq!(sending.transport(Role::Server), Transport::Close);
        assert_eq!(sending.transport(Role::Client), Transport::AwaitPeer);
        assert_eq!(
            sending.take_report(),
            Some(report(ClosedBy::Peer, 3000, true, "bye"))
        );
        sending.abandon(ClosedBy::Peer, "");
        assert_eq!(sending.take_report(), None);
    }

    #[test]
    fn a_close_without_a_code_is_answered_without_one_and_told_as_1005() {
        let mut websocket = WebSocket::default();
        assert_eq!(turns(&mut websocket, b"\x88\x00").1, b"\x88\x00");
        let told = websocket.sending().take_report();
        assert_eq!(told, Some(report(ClosedBy::Peer, NO_CODE, true, "")));
    }

    #[test]
    fn our_close_waits_for_the_peers_and_skips_messages_until_then() {
        let mut websocket = WebSocket::default();
        assert_eq!(
            close(&mut websocket, ClosedBy::Protocol),
            b"\x88\x08\x03\xe8enough"
        );
        assert_eq!(websocket.sending().take_report(), None);
        let (heard, out) = turns(&mut websocket, b"\x81\x01m\x89\x01p");
        assert_eq!((heard, out), (vec![Heard::Ping(b"p".to_vec())], Vec::new()));
        assert_eq!(websocket.sending().transport(Role::Server), Transport::Keep);
        assert_eq!(
            turns(&mut websocket, b"\x88\x02\x03\xe9").1,
            b"",
            "ours is out already"
        );
        let told = websocket.sending().take_report();
        assert_eq!(
            told,
            Some(report(ClosedBy::Protocol, NORMAL, true, "enough"))
        );
    }

    #[test]
    fn our_close_that_is_never_answered_is_told_as_not_clean() {
        let mut websocket = WebSocket::default();
        close(&mut websocket, ClosedBy::Drain);
        let sending = websocket.sending();
        sending.abandon(ClosedBy::Host, "close deadline");
        assert_eq!(sending.state(), State::Abandoned);
        assert_eq!(sending.transport(Role::Client), Transport::Close);
        assert_eq!(
            sending.take_report(),
            Some(report(ClosedBy::Drain, NORMAL, false, "enough"))
        );
    }

    #[test]
    fn a_broken_rule_is_answered_with_its_code_and_nothing_more_is_read() {
        let mut websocket = WebSocket::default();
        let (heard, out) = turns(&mut websocket, b"\x81\x01m\x83\x00\x81\x01n");
        assert_eq!(heard.len(), 2);
        assert_eq!(out, b"\x88\x11\x03\xeareserved opcode");
        assert_eq!(turns(&mut websocket, b"\x88\x00"), (Vec::new(), Vec::new()));
        let sending = websocket.sending();
        assert_eq!(sending.transport(Role::Client), Transport::Close);
        let expected = report(ClosedBy::Host, PROTOCOL_ERROR, false, "reserved opcode");
        assert_eq!(sending.take_report(), Some(expected));
    }

    #[test]
    fn a_transport_that_is_gone_is_told_as_1006() {
        let mut websocket = WebSocket::default();
        websocket.sending().abandon(ClosedBy::Peer, "");
        let told = websocket.sending().take_report();
        assert_eq!(told, Some(report(ClosedBy::Peer, ABNORMAL, false, "")));
    }

    #[test]
    fn one_may_send_and_close_while_a_message_is_delivered() {
        let (mut websocket, mut buffers, mut out) = (WebSocket::default(), pool(), Vec::new());
        let mut input = *b"\x81\x02hi\x81\x02ho";
        let Turn {
            consumed,
            event,
            sending,
        } = websocket.next(&RULES, &mut buffers, &mut out, Masking::None, &mut input);
        let Event::Message { kind, payload } = event else {
            panic!("{event:?}");
        };
        sending
            .message(&mut out, Masking::None, kind, true, true, payload)
            .unwrap();
        sending
            .close(&mut out, Masking::None, ClosedBy::Protocol, None, "")
            .unwrap();
        assert_eq!((consumed, out), (4, b"\x81\x02hi\x88\x00".to_vec()));
        assert_eq!(
            turns(&mut websocket, &input[4..]).0,
            [],
            "nobody listens any more"
        );
    }

    #[test]
    fn a_failure_after_our_close_keeps_the_first_reason() {
        let mut websocket = WebSocket::default();
        close(&mut websocket, ClosedBy::Protocol);
        let (mut out, sending) = (Vec::new(), websocket.sending());
        let failure = Failure {
            code: INTERNAL_ERROR,
            why: "panic",
        };
        sending.fail(&mut out, Masking::None, failure);
        assert_eq!((out, sending.state()), (Vec::new(), State::Failed));
        let told = sending.take_report();
        assert_eq!(
            told,
            Some(report(ClosedBy::Protocol, NORMAL, false, "enough"))
        );
    }

    #[test]
    fn an_idle_websocket_stays_small() {
        assert!(size_of::<WebSocket>() <= 88, "{}", size_of::<WebSocket>());
    }
}
