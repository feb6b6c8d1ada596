//! What the two sessions of a bridge tell each other, by notifications.

use hotsocket_plugin::prelude::*;

const TEXT: u8 = 0;
const BINARY: u8 = 1;
const CLOSE: u8 = 2;
const OPENED: u8 = 3;

/// See the module.
#[derive(Debug, PartialEq)]
pub(crate) enum Parcel<'a> {
    /// To be sent.
    Message(Message<'a>),
    /// The other side is gone: to be closed so, behind what was to be sent.
    Close(CloseCode, &'a str),
    /// The server is there.
    Opened(SessionId),
}

impl<'a> Parcel<'a> {
    /// As bytes: a kind, and what belongs to it.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let (kind, number, bytes): (_, &[u8], &[u8]) = match self {
            Self::Message(Message::Text(text)) => (TEXT, &[], text.as_bytes()),
            Self::Message(Message::Binary(bytes)) => (BINARY, &[], bytes),
            Self::Close(code, reason) => (CLOSE, &code.0.to_be_bytes(), reason.as_bytes()),
            Self::Opened(id) => (OPENED, &id.get().to_be_bytes(), &[]),
        };
        let mut packed = Vec::with_capacity(1 + number.len() + bytes.len());
        packed.push(kind);
        packed.extend_from_slice(number);
        packed.extend_from_slice(bytes);
        packed
    }

    /// None for what is no parcel.
    pub(crate) fn unpack(packed: &'a [u8]) -> Option<Self> {
        let (&kind, rest) = packed.split_first()?;
        match kind {
            TEXT => Some(Self::Message(Message::Text(str::from_utf8(rest).ok()?))),
            BINARY => Some(Self::Message(Message::Binary(rest))),
            CLOSE => {
                let (code, reason) = rest.split_first_chunk()?;
                let code = CloseCode(u16::from_be_bytes(*code));
                Some(Self::Close(code, str::from_utf8(reason).ok()?))
            }
            OPENED => {
                let id = u64::from_be_bytes(rest.try_into().ok()?);
                SessionId::new(id).map(Self::Opened)
            }
            _ => None,
        }
    }
}
