//! The frame header. RFC 6455 section 5.2.

use super::close_code::{CONTROL_PAYLOAD_BYTES, Failure};
use super::mask::MaskingKey;
use super::opcode::Opcode;

/// The longest header: two bytes, a 64-bit length and a masking key.
pub const HEADER_BYTES: usize = 14;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub fin: bool,
    /// The bits of the extensions: 4 for RSV1, 2 for RSV2, 1 for RSV3.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: Opcode,
    /// What the payload is masked with.
    pub key: Option<MaskingKey>,
    /// Bytes of payload that follow.
    pub payload_len: u64,
}

/// What the beginning of a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may be an error, or ask for more bytes"]
pub enum Decoded {
    /// A header, which took `len` bytes.
    Done {
        /// The header.
        header: FrameHeader,
        /// Bytes it took.
        len: usize,
    },
    /// So many more bytes are needed at least.
    Need(usize),
    /// No header; told as soon as it is seen.
    Wrong(Failure),
}

impl FrameHeader {
    /// Reads a header. Which RSV bits, which order of frames and which masking are right is for the caller to say.
    #[inline]
    pub fn decode(input: &[u8]) -> Decoded {
        Self::decode_with(input, 0)
    }

    /// The same where extensions own reserved opcodes: bit n for opcode n.
    #[inline]
    pub fn decode_with(input: &[u8], owned_opcodes: u16) -> Decoded {
        let [first, second, rest @ ..] = input else {
            return Decoded::Need(2 - input.len());
        };
        let opcode = Opcode::from_bits(*first);
        if opcode.is_reserved() && !opcode.is_among(owned_opcodes) {
            return Decoded::Wrong(Failure::protocol("reserved opcode"));
        }
        let fin = first & FIN != 0;
        let short = second & !MASKED;
        // Section 5.5: control frames have short payloads and are not fragmented.
        if opcode.is_control() {
            if usize::from(short) > CONTROL_PAYLOAD_BYTES {
                return Decoded::Wrong(Failure::protocol("control frame above 125 bytes"));
            }
            if !fin {
                return Decoded::Wrong(Failure::protocol("fragmented control frame"));
            }
        }
        let masked = second & MASKED != 0;
        let wanted = length_bytes(short) + if masked { 4 } else { 0 };
        if rest.len() < wanted {
            return Decoded::Need(wanted - rest.len());
        }
        let payload_len = match payload_len(short, rest) {
            Ok(payload_len) => payload_len,
            Err(why) => return Decoded::Wrong(Failure::protocol(why)),
        };
        let key = rest[length_bytes(short)..].first_chunk::<4>();
        Decoded::Done {
            header: Self {
                fin,
                rsv: (first >> 4) & 0x7,
                opcode,
                key: key.copied().filter(|_| masked),
                payload_len,
            },
            len: 2 + wanted,
        }
    }

    /// The header's bytes, and how many of them count.
    #[inline]
    pub fn encode(&self) -> ([u8; HEADER_BYTES], usize) {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = if self.fin { FIN } else { 0 } | (self.rsv & 0x7) << 4 | self.opcode.bits();
        let mut len = 2;
        // The shortest form is the only one allowed.
        bytes[1] = match self.payload_len {
            short @ 0..=125 => short as u8,
            middle @ 126..=0xFFFF => {
                bytes[2..4].copy_from_slice(&(middle as u16).to_be_bytes());
                len = 4;
                LENGTH_16
            }
            long => {
                bytes[2..10].copy_from_slice(&long.to_be_bytes());
                len = 10;
                LENGTH_64
            }
        };
        if let Some(key) = self.key {
            bytes[1] |= MASKED;
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        (bytes, len)
    }
}

/// Bytes of the extended payload length.
#[inline]
const fn length_bytes(short: u8) -> usize {
    match short {
        LENGTH_16 => 2,
        LENGTH_64 => 8,
        _ => 0,
    }
}

/// The payload length: the shortest form is the only one allowed, and the highest bit of the longest is 0.
#[inline]
fn payload_len(short: u8, extended: &[u8]) -> Result<u64, &'static str> {
    let (least, long) = match (short, extended) {
        (LENGTH_16, [a, b, ..]) => (126, u64::from(u16::from_be_bytes([*a, *b]))),
        (LENGTH_64, [a, b, c, d, e, f, g, h, ..]) => (
            0x1_0000,
            u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
        ),
        _ => (0, u64::from(short)),
    };
    if long < least {
        return Err("payload length not in its shortest form");
    }
    if long > i64::MAX as u64 {
        return Err("payload length above 63 bits");
    }
    Ok(long)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(input: &[u8]) -> (FrameHeader, usize) {
        match FrameHeader::decode(input) {
            Decoded::Done { header, len } => (header, len),
            other => panic!("{other:?}"),
        }
    }

    fn wrong(input: &[u8]) -> &'static str {
        match FrameHeader::decode(input) {
            Decoded::Wrong(failure) => failure.why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_examples_of_section_5_7_are_read() {
        let (header, len) = done(b"\x81\x05Hello");
        assert_eq!((header.fin, header.opcode), (true, Opcode::Text));
        assert_eq!((header.payload_len, header.key, len), (5, None, 2));

        let (header, len) = done(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!((header.key, len), (Some([0x37, 0xfa, 0x21, 0x3d]), 6));

        let (header, len) = done(b"\x82\x7e\x01\x00");
        assert_eq!((header.payload_len, len), (256, 4));

        let (header, len) = done(b"\x82\x7f\0\0\0\0\0\x01\0\0");
        assert_eq!((header.payload_len, len), (65_536, 10));
    }

    #[test]
    fn what_is_encoded_is_decoded_and_never_before_its_last_byte() {
        for payload_len in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, i64::MAX as u64] {
            for key in [None, Some([1, 2, 3, 4])] {
                let header = FrameHeader {
                    fin: payload_len % 2 == 0,
                    rsv: 5,
                    opcode: Opcode::Binary,
                    key,
                    payload_len,
                };
                let (bytes, len) = header.encode();
                assert_eq!(done(&bytes[..len]), (header, len));
                for cut in 0..len {
                    assert!(
                        matches!(FrameHeader::decode(&bytes[..cut]), Decoded::Need(more) if more <= len - cut)
                    );
                }
            }
        }
    }

    #[test]
    fn lengths_that_are_not_the_shortest_form_are_refused() {
        assert!(wrong(b"\x82\x7e\x00\x7d").contains("shortest"));
        assert!(wrong(b"\x82\x7f\0\0\0\0\0\0\xff\xff").contains("shortest"));
        assert!(wrong(b"\x82\x7f\x80\0\0\0\0\0\0\0").contains("63"));
    }

    #[test]
    fn a_wrong_opcode_or_control_frame_is_refused_at_its_second_byte() {
        for first in [0x83, 0x87, 0x8b, 0x8f] {
            assert!(wrong(&[first, 0]).contains("opcode"));
            let owned = 1 << (first & 0xF);
            assert!(
                matches!(
                    FrameHeader::decode_with(&[first, 0], owned),
                    Decoded::Done { .. }
                ),
                "an extension owns it"
            );
            assert!(matches!(
                FrameHeader::decode_with(&[first, 0], !owned),
                Decoded::Wrong(_)
            ));
        }
        let owned = FrameHeader::decode_with(b"\x0b\x00", 1 << 11);
        assert!(matches!(owned, Decoded::Wrong(failure) if failure.why.contains("fragmented")));
        assert!(wrong(b"\x89\x7e").contains("125"));
        assert!(wrong(b"\x88\xff").contains("125"));
        assert!(wrong(b"\x09\x00").contains("fragmented"));
    }
}
