//! One WebSocket: both halves, the closing handshake between them, and what is told of its end. RFC 6455 section 7.

use super::buffers::BufferPool;
use super::inbound::{Event, Inbound, InboundRules};
use super::outbound::{Masking, Outbound, SendError};
use crate::wire::close_code::{ABNORMAL, Failure, NO_CODE};
use crate::wire::extension::{ExtensionChain, ExtensionFrame};
use crate::wire::{MessageKind, Role};

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The peer sent its Close frame first, or went away.
    Peer,
    /// The protocol asked for it.
    Protocol,
    /// The host failed the connection: a broken rule, a limit, a deadline, a panic.
    Host,
    /// The generation or the host is drained.
    Drain,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReport {
    /// Who began it.
    pub by: ClosedBy,
    /// The close code of the frame that began it; 1005 if it had none, 1006 if there was no Close frame.
    pub code: u16,
    /// Close frames went both ways.
    pub clean: bool,
    /// The reason of that frame, or what the host has to say.
    pub reason: String,
}

/// Where the closing handshake stands. There is no state for a Close frame that is received and not answered: it is
/// answered in the same step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// Our Close frame is out, the peer's is awaited. Messages from the peer are skipped.
    CloseSent,
    /// Close frames went both ways.
    Closed,
    /// The connection was failed: our Close frame is out, nothing is read any more.
    Failed,
    /// No Close frame will come or go any more.
    Abandoned,
}

/// What is to be done with the transport once the output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Go on.
    Keep,
    /// Wait until the peer closes it, up to the close deadline (a client after the closing handshake, section 7.1.1).
    AwaitPeer,
    /// Close it.
    Close,
}

/// One WebSocket in either role.
#[derive(Default)]
pub struct WebSocket {
    inbound: Inbound,
    sending: Sending,
}

/// The half of a WebSocket that can be used while a message is being delivered.
pub struct Sending {
    outbound: Outbound,
    state: State,
    extensions: Option<Box<ExtensionChain>>,
    /// How it ends, from the moment that is known until it has been told.
    report: Option<Box<CloseReport>>,
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

impl Default for Sending {
    fn default() -> Self {
        Self {
            outbound: Outbound::default(),
            state: State::Open,
            extensions: None,
            report: None,
        }
    }
}

impl WebSocket {
    /// A WebSocket whose opening handshake agreed on these extensions.
    pub fn with_extensions(chain: ExtensionChain) -> Self {
        let mut websocket = Self::default();
        websocket.sending.extensions = Some(Box::new(chain));
        websocket
    }

    /// Looks for the next event in `input`, as [`Inbound::next`] does, and answers control frames into `out`.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        rules: &InboundRules,
        buffers: &mut BufferPool,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        input: &'a mut [u8],
    ) -> Turn<'a> {
        let Self { inbound, sending } = self;
        match sending.state {
            State::Open => {}
            State::CloseSent => inbound.discard_data(),
            State::Closed | State::Failed | State::Abandoned => {
                inbound.release(buffers);
                return Turn {
                    consumed: input.len(),
                    event: Event::Need,
                    sending,
                };
            }
        }
        let chain = sending.extensions.as_deref_mut();
        let (consumed, event) = inbound.next(rules, chain, buffers, input);
        match &event {
            Event::Need | Event::Message { .. } | Event::Piece { .. } | Event::Pong(_) => {}
            // Refused only after our Close frame, and then no pong is due (section 5.5.1).
            Event::Ping(payload) => {
                let _ = sending.pong(out, mask, payload);
            }
            Event::Close { code, reason } => sending.peer_closed(out, mask, *code, reason),
            Event::Failed(failure) => sending.fail(out, mask, *failure),
        }
        Turn {
            consumed,
            event,
            sending,
        }
    }

    /// For sends outside the delivery of an event.
    #[inline]
    pub fn sending(&mut self) -> &mut Sending {
        &mut self.sending
    }

    /// Gives the memory back. To be called before the value is dropped.
    pub fn release(&mut self, buffers: &mut BufferPool) {
        self.inbound.release(buffers);
    }
}

impl Sending {
    /// Where the closing handshake stands.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// A message or a fragment of one; see [`Outbound::message`].
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent then. After [`SendError::Extension`] the connection is to be failed.
    #[inline]
    pub fn message(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        kind: MessageKind,
        first: bool,
        last: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let Some(chain) = self.extensions.as_deref_mut() else {
            return self.outbound.message(out, mask, kind, first, last, payload);
        };
        let frame = ExtensionFrame {
            kind,
            rsv: 0,
            first,
            last,
            payload,
        };
        self.outbound
            .extended_message(out, mask, chain, frame, usize::MAX)
    }

    /// Whether a whole message framed by [`encode_message`](super::outbound::encode_message) may be appended to the
    /// output as it is: open, with no message begun and no extension.
    #[inline]
    pub fn takes_framed(&self) -> bool {
        self.state == State::Open
            && self.extensions.is_none()
            && self.outbound.is_between_messages()
    }

    /// A ping.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::TooLong`].
    pub fn ping(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.outbound.ping(out, mask, payload)
    }

    /// A pong nobody asked for; pings are answered by [`WebSocket::next`].
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::TooLong`].
    pub fn pong(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.outbound.pong(out, mask, payload)
    }

    /// Begins the closing handshake. The report is ready when the peer has answered, or with [`Self::abandon`].
    ///
    /// # Errors
    /// [`SendError::Closed`] if it has begun, [`SendError::BadCode`], [`SendError::TooLong`].
    pub fn close(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        by: ClosedBy,
        code: Option<u16>,
        reason: &str,
    ) -> Result<(), SendError> {
        self.outbound.close(out, mask, code, reason)?;
        self.state = State::CloseSent;
        self.begin_report(by, code.unwrap_or(NO_CODE), reason);
        Ok(())
    }

    /// Fails the connection (section 7.1.7): the Close frame unless it is out already, and nothing is read any more.
    pub fn fail(&mut self, out: &mut Vec<u8>, mask: Masking<'_>, failure: Failure) {
        if matches!(self.state, State::Open | State::CloseSent) {
            // Refused only if it is out already.
            let _ = self
                .outbound
                .close(out, mask, Some(failure.code), failure.why);
            self.state = State::Failed;
            self.begin_report(ClosedBy::Host, failure.code, failure.why);
        }
    }

    /// Ends it without a Close frame: the transport is gone, or is given up.
    pub fn abandon(&mut self, by: ClosedBy, reason: &str) {
        if matches!(self.state, State::Open | State::CloseSent) {
            self.state = State::Abandoned;
            self.begin_report(by, ABNORMAL, reason);
        }
    }

    /// What is to be done with the transport once the output is written.
    pub fn transport(&self, role: Role) -> Transport {
        match (self.state, role) {
            (State::Open | State::CloseSent, _) => Transport::Keep,
            (State::Closed, Role::Client) => Transport::AwaitPeer,
            (State::Closed, Role::Server) | (State::Failed | State::Abandoned, _) => {
                Transport::Close
            }
        }
    }

    /// How it ended: once, as soon as it has ended.
    pub fn take_report(&mut self) -> Option<CloseReport> {
        match self.state {
            State::Open | State::CloseSent => None,
            State::Closed | State::Failed | State::Abandoned => {
                self.report.take().map(|report| *report)
            }
        }
    }

    /// The peer's Close frame: the answer to ours, or answered with its own code (section 5.5.1).
    #[cold]
    fn peer_closed(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        code: Option<u16>,
        reason: &str,
    ) {
        // Refused only if ours is out already.
        let _ = self.outbound.close(out, mask, code, "");
        self.begin_report(ClosedBy::Peer, code.unwrap_or(NO_CODE), reason);
        self.state = State::Closed;
        if let Some(report) = &mut self.report {
            report.clean = true;
        }
    }

    /// The first to begin is the one that is told.
    fn begin_report(&mut self, by: ClosedBy, code: u16, reason: &str) {
        self.report.get_or_insert_with(|| {
            Box::new(CloseReport {
                by,
                code,
                clean: false,
                reason: reason.to_owned(),
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::inbound::Delivery;
    use super::super::stream_tests::{Heard, pool};
    use super::*;
    use crate::wire::close_code::{INTERNAL_ERROR, NORMAL, PROTOCOL_ERROR};

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
