//! A session of the test host, as its peer sees it.

use std::{net::SocketAddr, rc::Rc};

use super::{
    Inner,
    handshake::Accepted,
    record::{Incoming, Record},
};
use crate::{CloseCode, ClosedBy, Kind, Message, Piece, abi};

/// A session, seen from its peer. Dropped while it is open, the peer goes away without a Close frame.
pub struct TestSession {
    record: Rc<Record>,
}

impl TestSession {
    pub(super) fn open(host: &Rc<Inner>, index: usize, accepted: Accepted) -> Self {
        let record = Record::open(host, index, accepted);
        host.turn();
        Self { record }
    }

    /// Names and values of the fields that the plugin added to the answer of the opening handshake.
    #[must_use]
    pub fn answer_fields(&self) -> &[(String, Vec<u8>)] {
        self.record.answer_fields()
    }

    /// The subprotocol that the answer names.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        let name = self.record.bytes(abi::FACT_SUBPROTOCOL)?;
        str::from_utf8(name).ok()
    }

    /// The peer sends a message. While the session is paused it waits.
    pub fn receive<'m>(&self, message: impl Into<Message<'m>>) {
        let message = message.into();
        self.receive_piece(Piece {
            kind: message.kind(),
            first: true,
            last: true,
            remaining: 0,
            payload: message.as_bytes(),
        });
    }

    /// The peer sends a piece of a message, for a protocol that takes pieces.
    pub fn receive_piece(&self, piece: Piece<'_>) {
        self.record.receive(Incoming::new(piece));
        self.record.host().turn();
    }

    /// The peer sends a pong.
    pub fn receive_pong(&self, payload: &[u8]) {
        self.record.receive_pong(payload);
        self.record.host().turn();
    }

    /// The peer closes: its closing handshake is answered.
    pub fn receive_close(&self, code: impl Into<CloseCode>, reason: &str) {
        self.record.end(Ending {
            by: ClosedBy::Peer,
            code: code.into(),
            clean: true,
            reason: reason.to_owned(),
        });
        self.record.host().turn();
    }

    /// What the session sent since the last call.
    #[must_use]
    pub fn sent(&self) -> Vec<Outgoing> {
        self.record.take_sent()
    }

    /// Whether the connection is above its high mark. When it no longer is, the writable hook is called if it was
    /// asked for.
    pub fn set_full(&self, full: bool) {
        self.record.full.set(full);
        self.record.host().turn();
    }

    /// Whether nothing is read from the peer.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.record.paused.get()
    }

    /// How the session ended, if it did.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.record.ending()
    }

    /// Why hooks of this session failed, as the host would log it.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.record.failures.borrow().clone()
    }

    /// The number of its [`SessionId`](crate::SessionId).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.record.id()
    }
}

impl Drop for TestSession {
    fn drop(&mut self) {
        self.record.end(Ending {
            by: ClosedBy::Peer,
            code: CloseCode::ABNORMAL,
            clean: false,
            reason: String::new(),
        });
    }
}

/// What is known of a session from its opening handshake and its transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The path of the request target.
    pub path: String,
    /// What follows its `?`.
    pub query: Option<String>,
    /// The subprotocol that was agreed on, unless the protocol chooses one itself. Without it, the name of the protocol if
    /// that is offered.
    pub subprotocol: Option<String>,
    /// The subprotocols that the peer offers.
    pub offered: Vec<String>,
    /// Names and values of the fields of the request.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Whom the request is for.
    pub authority: String,
    /// The peer; none for a unix socket.
    pub peer: Option<SocketAddr>,
    /// The name of the peer, as if the host had looked it up.
    pub peer_name: Option<String>,
    /// Whether the transport is encrypted.
    pub encrypted: bool,
    /// The peer's own certificate in DER, which counts as checked. Only if the transport is encrypted.
    pub peer_certificate: Option<Vec<u8>>,
    /// Names and values of what policies have said of it.
    pub tags: Vec<(String, Vec<u8>)>,
}

impl Handshake {
    /// A plain one at `path`, over TCP from a port of this machine.
    #[must_use]
    pub fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            query: None,
            subprotocol: None,
            offered: Vec::new(),
            fields: Vec::new(),
            authority: "localhost:7681".to_owned(),
            peer: Some(([127, 0, 0, 1], 50_000).into()),
            peer_name: None,
            encrypted: false,
            peer_certificate: None,
            tags: Vec::new(),
        }
    }

    /// With these subprotocols on offer, the preferred one first.
    #[must_use]
    pub fn offering(mut self, subprotocols: &[&str]) -> Self {
        self.offered = subprotocols.iter().map(ToString::to_string).collect();
        self
    }

    /// With one more field of the request.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// As if a policy had said this of it.
    #[must_use]
    pub fn with_tag(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.tags.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who began it.
    pub by: ClosedBy,
    /// The close code.
    pub code: CloseCode,
    /// Close frames went both ways.
    pub clean: bool,
    /// The close reason.
    pub reason: String,
}

impl Ending {
    /// What the peer of a session sees whose hook failed.
    pub(super) const fn failed() -> Self {
        Self {
            by: ClosedBy::Host,
            code: CloseCode::INTERNAL_ERROR,
            clean: true,
            reason: String::new(),
        }
    }
}

/// Something a session sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A fragment of a message.
    Piece {
        /// The kind of the message.
        kind: Kind,
        /// The message begins here.
        first: bool,
        /// The message ends here.
        last: bool,
        /// The payload of the fragment.
        payload: Vec<u8>,
    },
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
}

impl Outgoing {
    /// A text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A binary message.
    #[must_use]
    pub fn binary(bytes: &[u8]) -> Self {
        Self::Binary(bytes.to_vec())
    }

    /// None for flags that make no sense.
    pub(super) fn new(flags: u32, payload: &[u8]) -> Option<Self> {
        let whole = flags & abi::MESSAGE_WHOLE == abi::MESSAGE_WHOLE;
        let bytes = payload.to_vec();
        let is_control = whole && payload.len() <= 125;
        match flags & !abi::MESSAGE_WHOLE {
            abi::MESSAGE_PING if is_control => Some(Self::Ping(bytes)),
            abi::MESSAGE_PONG if is_control => Some(Self::Pong(bytes)),
            abi::MESSAGE_TEXT if whole => Some(Self::Text(String::from_utf8(bytes).ok()?)),
            abi::MESSAGE_BINARY if whole => Some(Self::Binary(bytes)),
            kind @ (abi::MESSAGE_TEXT | abi::MESSAGE_BINARY) => Some(Self::Piece {
                kind: if kind == abi::MESSAGE_TEXT {
                    Kind::Text
                } else {
                    Kind::Binary
                },
                first: flags & abi::MESSAGE_FIRST != 0,
                last: flags & abi::MESSAGE_LAST != 0,
                payload: bytes,
            }),
            _ => None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes.len(),
            Self::Piece { payload, .. } => payload.len(),
        }
    }
}
