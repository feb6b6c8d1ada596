//! What is sent and received: messages, pieces of messages, and how a session ended.

/// A whole message, lent for the hook that it is given to.
///
/// Everything that `send` takes becomes one: `&str` and `&String` text, `&[u8]`, `&Vec<u8>` and `&[u8; N]` binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text. The host has checked that it is UTF-8.
    Text(&'a str),
    /// Binary.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Binary(_) => Kind::Binary,
        }
    }

    /// The payload, whatever its kind.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload of a text message.
    #[must_use]
    pub const fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

/// The two kinds of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A piece of a message, for protocols that take [`Delivery::Pieces`](crate::Delivery::Pieces).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The kind of the whole message, the same in all its pieces.
    pub kind: Kind,
    /// The message begins with this piece.
    pub first: bool,
    /// The message ends with this piece.
    pub last: bool,
    /// Bytes of the same frame that are still to come.
    pub remaining: u64,
    /// The bytes of this piece. In text a character may be split between two pieces; the message as a whole is UTF-8.
    pub payload: &'a [u8],
}

/// The number in a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// An endpoint goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of message that is not accepted here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Received: a Close frame without a code. Given to `close`: send such a frame.
    pub const NO_CODE: Self = Self(1005);
    /// Received only: the transport ended without a Close frame.
    pub const ABNORMAL: Self = Self(1006);
    /// Text that is not UTF-8, or content that contradicts its kind.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// Against the rules of this endpoint.
    pub const POLICY: Self = Self(1008);
    /// A message above the limit.
    pub const TOO_BIG: Self = Self(1009);
    /// The server met a condition it cannot go on from.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The service restarts: connect again.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// Overloaded: connect again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a server behind this one answers as it should not, or not at all.
    pub const BAD_GATEWAY: Self = Self(1014);
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Who began it.
    pub by: ClosedBy,
    /// The code of the Close frame that began it; [`CloseCode::NO_CODE`] for one without a code,
    /// [`CloseCode::ABNORMAL`] where there was no frame.
    pub code: CloseCode,
    /// Close frames went both ways.
    pub clean: bool,
    /// The close reason of that frame, or what the host has to say, such as the reason of a deadline.
    pub reason: &'a str,
}

/// Who began to close a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedBy {
    /// The peer sent its Close frame first, or went away.
    Peer,
    /// The protocol asked for it.
    Protocol,
    /// The host failed the connection: a protocol error, a limit, a deadline, a panic.
    Host,
    /// The generation was drained past its deadline, or the host is going away.
    Drain,
}
