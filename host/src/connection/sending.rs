//! What goes to the peer, the closing handshake, and what is told of the end. RFC 6455 section 7.

use super::extended::Extended;
use super::outbound::{Masking, Outbound, SendError};
use crate::wire::close_code::{ABNORMAL, Failure, NO_CODE};
use crate::wire::extension::ChainKey;
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
    /// Never: on this connection messages become other frames, by extensions or by masks.
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

/// What a whole message becomes, as far as it can be said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramedAs {
    /// The one unmasked frame of [`encode_message`](super::outbound::encode_message).
    Plain,
    /// The same as on all connections of this service thread that tell this key.
    Key(ChainKey),
    /// Something of its own, or nothing.
    Own,
}

/// The half of a WebSocket that can be used while a message is being delivered.
pub struct Sending {
    outbound: Outbound,
    pub(super) state: State,
    pub(super) extensions: Option<Box<Extended>>,
    /// Each frame is masked with a key of its own, so none is shared with other connections.
    pub(super) is_client: bool,
    /// How it ends, from the moment that is known until it has been told.
    report: Option<Box<CloseReport>>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            outbound: Outbound::default(),
            state: State::Open,
            extensions: None,
            is_client: false,
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
    /// [`SendError`]; nothing was sent then. With [`SendError::Extension`] the connection has failed.
    #[inline(always)]
    pub fn message(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        kind: MessageKind,
        first: bool,
        last: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        if self.extensions.is_some() {
            return self.extended_message(out, mask, (kind, first, last), payload);
        }
        self.outbound.message(out, mask, kind, first, last, payload)
    }

    /// The header alone, of a message or a fragment whose payload of so many bytes the caller sends itself. Only where
    /// [`Self::is_plain`] says so.
    ///
    /// # Errors
    /// As [`Self::message`]; nothing was sent then.
    pub fn message_header(
        &mut self,
        out: &mut Vec<u8>,
        kind: MessageKind,
        first: bool,
        last: bool,
        payload_len: u64,
    ) -> Result<(), SendError> {
        debug_assert!(self.is_plain());
        self.outbound
            .message_header(out, kind, first, last, payload_len)
    }

    /// Whether payloads go to the peer as they are: neither extended nor masked.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.extensions.is_none() && !self.is_client
    }

    // Not rare where there are extensions, but the layout of the path without them is worth more.
    #[cold]
    fn extended_message(
        &mut self,
        out: &mut Vec<u8>,
        mut mask: Masking<'_>,
        order: (MessageKind, bool, bool),
        payload: &[u8],
    ) -> Result<(), SendError> {
        let Some(extended) = self.extensions.as_deref_mut() else {
            return Ok(());
        };
        let sent = self
            .outbound
            .extended_message(out, &mut mask, extended, order, payload);
        if let Err(SendError::Extension(failure)) = sent {
            self.fail(out, mask, failure);
        }
        sent
    }

    /// Whether extensions may hold back something that was sent: [`Self::flush`] is due at the end of the turn.
    #[inline]
    pub fn is_holding(&self) -> bool {
        self.extensions
            .as_ref()
            .is_some_and(|extended| self.state == State::Open && extended.chain.is_holding())
    }

    /// Sends what extensions hold back. A failure of one of them fails the connection.
    pub fn flush(&mut self, out: &mut Vec<u8>, mut mask: Masking<'_>) {
        if self.is_holding()
            && let Err(failure) = self.flush_extensions(out, &mut mask, false)
        {
            self.fail(out, mask, failure);
        }
    }

    /// Whether whole messages framed by [`encode_message`](super::outbound::encode_message) may be appended to the
    /// output as they are.
    #[inline]
    pub fn takes_framed(&self) -> Framed {
        if self.state != State::Open {
            Framed::Closed
        } else if !self.is_plain() {
            Framed::Extended
        } else if self.outbound.is_between_messages() {
            Framed::Now
        } else {
            Framed::AfterMessage
        }
    }

    /// Whether no message was begun that must end before another one.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.outbound.is_between_messages()
    }

    /// What a whole message becomes; no two frames of a client are masked alike. For a key, one of its connections
    /// makes the frames with [`Self::message`], and they are appended to the output of the others, each
    /// when [`Self::takes`] says.
    pub fn framed_as(&self) -> FramedAs {
        match &self.extensions {
            _ if self.is_client => FramedAs::Own,
            None => FramedAs::Plain,
            Some(extended) => extended.chain.key().map_or(FramedAs::Own, FramedAs::Key),
        }
    }

    /// Whether whole messages that were framed for all who tell `framed_as` may be appended to the output as they are.
    pub fn takes(&self, framed_as: FramedAs) -> Framed {
        if framed_as == FramedAs::Plain {
            return self.takes_framed();
        }
        match &self.extensions {
            _ if self.state != State::Open => Framed::Closed,
            Some(extended) if framed_as != FramedAs::Own && self.framed_as() == framed_as => {
                let wire = extended.chain.is_between_messages();
                match wire && self.outbound.is_between_messages() {
                    true => Framed::Now,
                    false => Framed::AfterMessage,
                }
            }
            _ => Framed::Extended,
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
    /// [`SendError::Closed`] if it has begun, [`SendError::BadCode`], [`SendError::TooLong`]. With
    /// [`SendError::Extension`] the connection has failed instead.
    pub fn close(
        &mut self,
        out: &mut Vec<u8>,
        mut mask: Masking<'_>,
        by: ClosedBy,
        code: Option<u16>,
        reason: &str,
    ) -> Result<(), SendError> {
        self.outbound.check_close(code, reason)?;
        if let Err(failure) = self.flush_extensions(out, &mut mask, true) {
            self.fail(out, mask, failure);
            return Err(SendError::Extension(failure));
        }
        self.outbound.close(out, mask, code, reason)?;
        self.state = State::CloseSent;
        self.begin_report(by, code.unwrap_or(NO_CODE), reason);
        Ok(())
    }

    /// Fails the connection (section 7.1.7): the Close frame unless it is out already, and nothing is read any more.
    pub fn fail(&mut self, out: &mut Vec<u8>, mut mask: Masking<'_>, failure: Failure) {
        if matches!(self.state, State::Open | State::CloseSent) {
            // There is a failure already.
            let _ = self.flush_extensions(out, &mut mask, true);
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
        mut mask: Masking<'_>,
        code: Option<u16>,
        reason: &str,
    ) {
        // The end has come for what cannot be flushed too.
        let _ = self.flush_extensions(out, &mut mask, true);
        // Refused only if ours is out already.
        let _ = self.outbound.close(out, mask, code, "");
        self.begin_report(ClosedBy::Peer, code.unwrap_or(NO_CODE), reason);
        self.state = State::Closed;
        if let Some(report) = &mut self.report {
            report.clean = true;
        }
    }

    /// Nothing is sent behind our Close frame, nor through a chain that has failed.
    fn flush_extensions(
        &mut self,
        out: &mut Vec<u8>,
        mask: &mut Masking<'_>,
        all: bool,
    ) -> Result<(), Failure> {
        match self.extensions.as_deref_mut() {
            Some(extended) if self.state == State::Open => extended.flush(out, mask, all),
            _ => Ok(()),
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
