//! Frames and pieces of frames, as extensions get and put them.

use std::ops::{BitOr, BitOrAssign, Sub};

use crate::{Kind, abi};

/// A frame, or a piece of one, without its masking: what an extension gets and what it puts.
///
/// Pieces of a frame follow each other, and so do the frames of a message. Frames with an opcode of 8 and above, which
/// only the extension that owns them gets, are whole and may come between two frames of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePiece<'a> {
    /// The opcode: in all frames of a message that of its first one, never 0.
    pub opcode: Opcode,
    /// The RSV bits of the frame; none in pieces that are not its first.
    ///
    /// Inbound an extension sees those that it owns, and what it sets has no effect. Outbound it sees those of the
    /// extensions before it, adds its own and leaves the others as they came.
    pub rsv: Rsv,
    /// A frame begins with this piece.
    pub frame_first: bool,
    /// A frame ends with this piece.
    pub frame_last: bool,
    /// A message begins with this piece.
    pub message_first: bool,
    /// A message ends with this piece.
    pub message_last: bool,
    /// The payload, lent for the call.
    pub payload: &'a [u8],
}

impl<'a> FramePiece<'a> {
    /// A message in one frame and one piece, without RSV bits.
    #[must_use]
    pub const fn whole(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self {
            opcode,
            rsv: Rsv::NONE,
            frame_first: true,
            frame_last: true,
            message_first: true,
            message_last: true,
            payload,
        }
    }

    /// This piece with another payload.
    #[must_use]
    pub const fn with_payload(self, payload: &[u8]) -> FramePiece<'_> {
        FramePiece { payload, ..self }
    }

    /// # Safety
    ///
    /// The payload of `raw` is lent for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: &abi::FramePiece<'a>) -> Self {
        let has = |flag| raw.flags & flag != 0;
        Self {
            // The host gives no opcode above 15; one that did is no opcode that anybody knows.
            opcode: Opcode(raw.opcode.try_into().unwrap_or(u8::MAX)),
            rsv: Rsv::from_bits(raw.flags),
            frame_first: has(abi::FRAME_FIRST),
            frame_last: has(abi::FRAME_LAST),
            message_first: has(abi::MESSAGE_FIRST),
            message_last: has(abi::MESSAGE_LAST),
            // SAFETY: the caller promises it.
            payload: unsafe { raw.payload.as_slice() },
        }
    }

    #[inline]
    pub(crate) fn to_raw(self) -> abi::FramePiece<'a> {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        abi::FramePiece {
            opcode: self.opcode.0.into(),
            flags: u32::from(self.rsv.0)
                | flag(self.frame_first, abi::FRAME_FIRST)
                | flag(self.frame_last, abi::FRAME_LAST)
                | flag(self.message_first, abi::MESSAGE_FIRST)
                | flag(self.message_last, abi::MESSAGE_LAST),
            payload: abi::Bytes::new(self.payload),
        }
    }
}

impl<'a> From<crate::Message<'a>> for FramePiece<'a> {
    fn from(message: crate::Message<'a>) -> Self {
        Self::whole(message.kind().into(), message.as_bytes())
    }
}

/// The opcode of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// Text.
    pub const TEXT: Self = Self(1);
    /// Binary.
    pub const BINARY: Self = Self(2);

    /// Whether frames of this opcode are control frames: whole, of at most 125 bytes, and allowed inside a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 >= 8
    }
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::TEXT,
            Kind::Binary => Self::BINARY,
        }
    }
}

/// A set of the reserved bits RSV1 to RSV3 of a frame header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rsv(u8);

impl Rsv {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// RSV1.
    pub const RSV1: Self = Self(abi::FRAME_RSV1 as u8);
    /// RSV2.
    pub const RSV2: Self = Self(abi::FRAME_RSV2 as u8);
    /// RSV3.
    pub const RSV3: Self = Self(abi::FRAME_RSV3 as u8);
    /// All of them.
    pub const ALL: Self = Self(Self::RSV1.0 | Self::RSV2.0 | Self::RSV3.0);

    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn contains(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Whether no bit is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self((bits & Self::ALL.0 as u32) as u8)
    }
}

impl BitOr for Rsv {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Rsv {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Sub for Rsv {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
