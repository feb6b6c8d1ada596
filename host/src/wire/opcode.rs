//! Opcodes and message kinds. RFC 6455 section 5.2.

/// What a frame is: all sixteen values. The reserved ones mean something only to an extension that owns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with the message that another data frame began.
    Continuation = 0x0,
    /// Begins a text message.
    Text = 0x1,
    /// Begins a binary message.
    Binary = 0x2,
    /// Reserved, begins a message.
    Reserved3 = 0x3,
    /// Reserved, begins a message.
    Reserved4 = 0x4,
    /// Reserved, begins a message.
    Reserved5 = 0x5,
    /// Reserved, begins a message.
    Reserved6 = 0x6,
    /// Reserved, begins a message.
    Reserved7 = 0x7,
    /// Begins or answers the closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or is sent unasked.
    Pong = 0xA,
    /// Reserved, a control frame.
    Reserved11 = 0xB,
    /// Reserved, a control frame.
    Reserved12 = 0xC,
    /// Reserved, a control frame.
    Reserved13 = 0xD,
    /// Reserved, a control frame.
    Reserved14 = 0xE,
    /// Reserved, a control frame.
    Reserved15 = 0xF,
}

/// The reserved opcodes: bit n for opcode n.
pub const RESERVED_OPCODES: u16 = 0b1111_1000_1111_1000;

impl Opcode {
    /// The opcode of the low four bits.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0xF {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x3 => Self::Reserved3,
            0x4 => Self::Reserved4,
            0x5 => Self::Reserved5,
            0x6 => Self::Reserved6,
            0x7 => Self::Reserved7,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            0xB => Self::Reserved11,
            0xC => Self::Reserved12,
            0xD => Self::Reserved13,
            0xE => Self::Reserved14,
            _ => Self::Reserved15,
        }
    }

    /// The four bits on the wire.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Never fragmented, at most 125 bytes (section 5.5): close, ping, pong, and the reserved ones like them.
    #[inline]
    pub const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }

    /// RFC 6455 gives it no meaning.
    #[inline]
    pub const fn is_reserved(self) -> bool {
        self.is_among(RESERVED_OPCODES)
    }

    /// Whether it is one of these: bit n for opcode n.
    #[inline]
    pub const fn is_among(self, opcodes: u16) -> bool {
        opcodes >> self.bits() & 1 != 0
    }

    /// The kind of a message that begins so; `None` for control frames, continuations and reserved opcodes.
    #[inline]
    pub const fn kind(self) -> Option<MessageKind> {
        match self {
            Self::Text => Some(MessageKind::Text),
            Self::Binary => Some(MessageKind::Binary),
            _ => None,
        }
    }
}

/// What a message carries. Section 5.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl From<MessageKind> for Opcode {
    #[inline]
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_keeps_its_bits_and_ten_are_reserved() {
        for bits in 0..16 {
            let opcode = Opcode::from_bits(bits);
            assert_eq!(opcode.bits(), bits);
            assert_eq!(opcode.is_control(), bits >= 8);
            let known = [0x0, 0x1, 0x2, 0x8, 0x9, 0xA].contains(&bits);
            assert_eq!(opcode.is_reserved(), !known);
        }
    }
}
