//! What goes to the peer, the closing handshake, and what is told of the end. RFC 6455 section 7.

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

/// When frames that were encoded before can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// Now.
    Now,
    /// Behind the message that was begun: RFC 6455 section 5.4 lets no other message come between its fragments.
    AfterMessage,
    /// Never: extensions have to see the message.
    Extended,
    /// Never: the closing handshake has begun.
    Closed,
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

/// The half of a WebSocket that can be used while a message is being delivered.
pub struct Sending {
    outbound: Outbound,
    pub(super) state: State,
    pub(super) extensions: Option<Box<ExtensionChain>>,
    /// How it ends, from the moment that is known until it has been told.
    report: Option<Box<CloseReport>>,
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

    /// Whether whole messages framed by [`encode_message`](super::outbound::encode_message) may be appended to the
    /// output as they are.
    #[inline]
    pub fn takes_framed(&self) -> Framed {
        if self.state != State::Open {
            Framed::Closed
        } else if self.extensions.is_some() {
            Framed::Extended
        } else if self.outbound.is_between_messages() {
            Framed::Now
        } else {
            Framed::AfterMessage
        }
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

    /// A pong nobody asked for; pings are answered by [`WebSocket::next`](super::websocket::WebSocket::next).
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
            self.outbound.end();
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
    pub(super) fn peer_closed(
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
