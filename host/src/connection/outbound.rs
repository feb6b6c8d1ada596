//! Messages and control frames in, bytes for the peer out. RFC 6455 sections 5 and 6.1.

use super::extended::Extended;
use crate::wire::close_code::{CONTROL_PAYLOAD_BYTES, Failure, REASON_BYTES, may_stand_in_frame};
use crate::wire::extension::{Passed, Piece};
use crate::wire::frame_header::{Decoded, FrameHeader, HEADER_BYTES};
use crate::wire::mask::{MaskingKey, apply_mask};
use crate::wire::{MessageKind, Opcode};

/// How much is copied before it is masked; a multiple of the key.
const MASKED_BYTES: usize = 4 << 10;

/// Whether frames are masked, and where the keys come from. Section 5.3: keys must not be predictable.
pub enum Masking<'a> {
    /// A server does not mask.
    None,
    /// A client masks each frame with a fresh key.
    Keys(&'a mut dyn FnMut() -> MaskingKey),
}

/// What gives keys for as long as a thread lives.
pub type KeySource = dyn FnMut() -> MaskingKey;

impl<'a> Masking<'a> {
    /// With keys of this source, for a client; without any, for a server.
    #[inline]
    pub fn with(keys: Option<&'a mut KeySource>) -> Self {
        match keys {
            None => Self::None,
            Some(keys) => Masking::Keys(keys),
        }
    }

    #[inline]
    pub(super) fn key(&mut self) -> Option<MaskingKey> {
        match self {
            Self::None => None,
            Self::Keys(next) => Some(next()),
        }
    }
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Our Close frame has been sent.
    #[error("the session is closing: nothing can be sent after the Close frame")]
    Closed,
    /// A message was begun inside another one, or one that was not begun was continued, or with another kind.
    #[error(
        "wrong order of fragments: end the message that was begun, with its kind, before the next one"
    )]
    WrongOrder,
    /// A control frame carries at most 125 bytes, a close reason 123.
    #[error("control frame too long: at most 125 bytes of payload, 123 of close reason")]
    TooLong,
    /// The code may not stand in a Close frame.
    #[error("close code that must not be sent: use 1000-1003, 1007-1014 or 3000-4999")]
    BadCode,
    /// An extension does not let the message pass: it is over.
    #[error("an extension vetoed the message")]
    Vetoed,
    /// An extension gave up.
    #[error("an extension failed: {}", .0.why)]
    Extension(Failure),
}

/// The sending half of one connection. Every call appends one frame to `out`, or nothing on an error; with extensions
/// a message may become none or several.
#[derive(Debug, Default)]
pub struct Outbound {
    closed: bool,
    /// The message that was begun and not ended.
    begun: Option<MessageKind>,
}

impl Outbound {
    /// A message, or the first, next or last fragment of one.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::WrongOrder`].
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
        let opcode = self.advance(kind, first, last)?;
        put_frame(out, mask, last, 0, opcode, payload);
        Ok(())
    }

    /// The header of the same, unmasked; the payload is to follow.
    ///
    /// # Errors
    /// As [`Self::message`].
    pub(super) fn message_header(
        &mut self,
        out: &mut Vec<u8>,
        kind: MessageKind,
        first: bool,
        last: bool,
        payload_len: u64,
    ) -> Result<(), SendError> {
        let opcode = self.advance(kind, first, last)?;
        put_header(out, None, last, 0, opcode, payload_len);
        Ok(())
    }

    /// The same through extensions.
    ///
    /// # Errors
    /// Also [`SendError::Vetoed`], and [`SendError::Extension`]: the connection is to be failed then.
    pub(super) fn extended_message(
        &mut self,
        out: &mut Vec<u8>,
        mask: &mut Masking<'_>,
        extended: &mut Extended,
        (kind, first, last): (MessageKind, bool, bool),
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.advance(kind, first, last)?;
        let piece = Piece {
            message_first: first,
            message_last: last,
            ..Piece::whole(kind.into(), payload)
        };
        match extended.send(out, mask, piece) {
            Ok(Passed::Done) => Ok(()),
            Ok(Passed::Vetoed) => {
                self.begun = None;
                Err(SendError::Vetoed)
            }
            Err(failure) => Err(SendError::Extension(failure)),
        }
    }

    /// Whether a new message may begin.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.begun.is_none()
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
        self.control(out, mask, Opcode::Ping, payload)
    }

    /// A pong, as an answer or unasked.
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::TooLong`].
    pub fn pong(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.control(out, mask, Opcode::Pong, payload)
    }

    /// The Close frame: the last one. Without a code it has no reason either.
    ///
    /// # Errors
    /// [`SendError::Closed`] if it was sent already, [`SendError::BadCode`], [`SendError::TooLong`].
    pub fn close(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        code: Option<u16>,
        reason: &str,
    ) -> Result<(), SendError> {
        self.check_close(code, reason)?;
        let mut payload = [0; CONTROL_PAYLOAD_BYTES];
        let mut len = 0;
        if let Some(code) = code {
            len = 2 + reason.len();
            payload[..2].copy_from_slice(&code.to_be_bytes());
            payload[2..len].copy_from_slice(reason.as_bytes());
        }
        self.control(out, mask, Opcode::Close, &payload[..len])?;
        self.closed = true;
        Ok(())
    }

    /// Whether a Close frame may be sent.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub(super) fn check_close(&self, code: Option<u16>, reason: &str) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        if code.is_some_and(|code| !may_stand_in_frame(code)) {
            return Err(SendError::BadCode);
        }
        if reason.len() > REASON_BYTES {
            return Err(SendError::TooLong);
        }
        Ok(())
    }

    /// Nothing is sent any more, a Close frame neither.
    pub fn end(&mut self) {
        self.closed = true;
    }

    /// Section 5.4: which opcode comes next.
    #[inline]
    fn advance(&mut self, kind: MessageKind, first: bool, last: bool) -> Result<Opcode, SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        let opcode = match (first, self.begun) {
            (true, None) => kind.into(),
            (false, Some(begun)) if begun == kind => Opcode::Continuation,
            _ => return Err(SendError::WrongOrder),
        };
        self.begun = if last { None } else { Some(kind) };
        Ok(opcode)
    }

    fn control(
        &mut self,
        out: &mut Vec<u8>,
        mask: Masking<'_>,
        opcode: Opcode,
        payload: &[u8],
    ) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        if payload.len() > CONTROL_PAYLOAD_BYTES {
            return Err(SendError::TooLong);
        }
        put_frame(out, mask, true, 0, opcode, payload);
        Ok(())
    }
}

/// The messages in frames that [`encode_message`] made; up to the first byte that is not of its making.
pub fn decode_messages(mut frames: &[u8]) -> impl Iterator<Item = (MessageKind, &[u8])> {
    std::iter::from_fn(move || {
        let Decoded::Done { header, len } = FrameHeader::decode(frames) else {
            return None;
        };
        let end = len.checked_add(usize::try_from(header.payload_len).ok()?)?;
        let payload = frames.get(len..end)?;
        frames = &frames[end..];
        Some((header.opcode.kind()?, payload))
    })
}

/// A whole unmasked message in one frame, for a broadcast.
pub fn encode_message(out: &mut Vec<u8>, kind: MessageKind, payload: &[u8]) {
    put_frame(out, Masking::None, true, 0, kind.into(), payload);
}

#[inline(always)]
fn put_frame(
    out: &mut Vec<u8>,
    mut mask: Masking<'_>,
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    payload: &[u8],
) {
    put_frame_with(out, mask.key(), fin, rsv, opcode, payload);
}

// Into each caller: most of them have no key, and half of it is not there then.
#[inline(always)]
pub(super) fn put_frame_with(
    out: &mut Vec<u8>,
    key: Option<MaskingKey>,
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    payload: &[u8],
) {
    out.reserve(HEADER_BYTES + payload.len());
    put_header(out, key, fin, rsv, opcode, payload.len() as u64);
    match key {
        None => out.extend_from_slice(payload),
        Some(key) => copy_masked(out, payload, key),
    }
}

#[inline]
fn put_header(
    out: &mut Vec<u8>,
    key: Option<MaskingKey>,
    fin: bool,
    rsv: u8,
    opcode: Opcode,
    payload_len: u64,
) {
    let (header, len) = FrameHeader {
        fin,
        rsv,
        opcode,
        key,
        payload_len,
    }
    .encode();
    // All of it and then its length: a copy of a known size needs no call.
    let start = out.len() + len;
    out.extend_from_slice(&header);
    out.truncate(start);
}

/// Masks in the copy: a piece at a time, while it is in the nearest cache.
fn copy_masked(out: &mut Vec<u8>, payload: &[u8], key: MaskingKey) {
    for piece in payload.chunks(MASKED_BYTES) {
        let start = out.len();
        out.extend_from_slice(piece);
        apply_mask(&mut out[start..], key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server sends.
    fn sent(
        outbound: &mut Outbound,
        send: impl FnOnce(&mut Outbound, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<Vec<u8>, SendError> {
        let mut out = Vec::new();
        let result = send(outbound, &mut out);
        assert!(
            result.is_ok() || out.is_empty(),
            "nothing is sent on an error"
        );
        result.map(|()| out)
    }

    fn fragment(
        outbound: &mut Outbound,
        kind: MessageKind,
        first: bool,
        last: bool,
    ) -> Result<Vec<u8>, SendError> {
        sent(outbound, |outbound, out| {
            outbound.message(out, Masking::None, kind, first, last, b"x")
        })
    }

    fn close(
        outbound: &mut Outbound,
        code: Option<u16>,
        reason: &str,
    ) -> Result<Vec<u8>, SendError> {
        sent(outbound, |outbound, out| {
            outbound.close(out, Masking::None, code, reason)
        })
    }

    #[test]
    fn a_message_is_one_unmasked_frame_of_a_server_and_a_masked_one_of_a_client() {
        let (mut outbound, mut out) = (Outbound::default(), Vec::new());
        let text = MessageKind::Text;
        outbound
            .message(&mut out, Masking::None, text, true, true, b"Hello")
            .unwrap();
        assert_eq!(out, b"\x81\x05Hello");
        let mut framed = Vec::new();
        encode_message(&mut framed, text, b"Hello");
        assert_eq!(framed, out);

        out.clear();
        let mut key = || [0x37, 0xfa, 0x21, 0x3d];
        let mask = Masking::Keys(&mut key);
        outbound
            .message(&mut out, mask, text, true, true, b"Hello")
            .unwrap();
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    #[test]
    fn fragments_have_their_order() {
        let (text, binary) = (MessageKind::Text, MessageKind::Binary);
        let mut outbound = Outbound::default();
        assert_eq!(
            fragment(&mut outbound, text, false, true),
            Err(SendError::WrongOrder)
        );
        assert_eq!(
            fragment(&mut outbound, text, true, false).unwrap(),
            b"\x01\x01x"
        );
        assert!(!outbound.is_between_messages());
        assert_eq!(
            fragment(&mut outbound, text, true, true),
            Err(SendError::WrongOrder)
        );
        assert_eq!(
            fragment(&mut outbound, binary, false, true),
            Err(SendError::WrongOrder)
        );
        assert_eq!(
            fragment(&mut outbound, text, false, false).unwrap(),
            b"\x00\x01x"
        );
        assert_eq!(
            fragment(&mut outbound, text, false, true).unwrap(),
            b"\x80\x01x"
        );
        assert_eq!(
            fragment(&mut outbound, binary, true, true).unwrap(),
            b"\x82\x01x"
        );
    }

    #[test]
    fn control_frames_are_short() {
        let mut outbound = Outbound::default();
        let most = [0; 125];
        let ping = sent(&mut outbound, |o, out| o.ping(out, Masking::None, &most)).unwrap();
        assert_eq!(ping[..2], [0x89, 125]);
        let pong = sent(&mut outbound, |o, out| o.pong(out, Masking::None, b"")).unwrap();
        assert_eq!(pong, b"\x8a\x00");
        let long = sent(&mut outbound, |o, out| {
            o.ping(out, Masking::None, &[0; 126])
        });
        assert_eq!(long, Err(SendError::TooLong));
    }

    #[test]
    fn nothing_follows_the_close_frame() {
        let mut outbound = Outbound::default();
        assert_eq!(
            close(&mut outbound, Some(1005), ""),
            Err(SendError::BadCode)
        );
        assert_eq!(
            close(&mut outbound, Some(1000), &"x".repeat(124)),
            Err(SendError::TooLong)
        );
        let last = close(&mut outbound, Some(1000), "bye").unwrap();
        assert_eq!(last, b"\x88\x05\x03\xe8bye");
        assert_eq!(close(&mut outbound, None, ""), Err(SendError::Closed));
        assert_eq!(
            fragment(&mut outbound, MessageKind::Text, true, true),
            Err(SendError::Closed)
        );
        let ping = sent(&mut outbound, |o, out| o.ping(out, Masking::None, b""));
        assert_eq!(ping, Err(SendError::Closed));
        assert_eq!(
            close(&mut Outbound::default(), None, "").unwrap(),
            b"\x88\x00"
        );
    }
}
