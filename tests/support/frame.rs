//! Frames as bytes, written from RFC 6455 section 5.2 and not from the host.

/// Opcodes that the tests use.
pub(crate) const CONTINUATION: u8 = 0;
/// See [`CONTINUATION`].
pub(crate) const TEXT: u8 = 1;
/// See [`CONTINUATION`].
pub(crate) const BINARY: u8 = 2;
/// See [`CONTINUATION`].
pub(crate) const CLOSE: u8 = 8;
/// See [`CONTINUATION`].
pub(crate) const PING: u8 = 9;
/// See [`CONTINUATION`].
pub(crate) const PONG: u8 = 10;

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) last: bool,
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A frame that is a whole message or a control frame.
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self {
            last: true,
            reserved: 0,
            opcode,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// A fragment: not the last frame of its message.
    pub(crate) fn fragment(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self {
            last: false,
            ..Self::new(opcode, payload)
        }
    }

    /// A whole text message.
    pub(crate) fn text(text: &str) -> Self {
        Self::new(TEXT, text)
    }

    /// A whole binary message.
    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, payload)
    }

    /// A Close frame.
    pub(crate) fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_bytes());
        Self::new(CLOSE, payload)
    }

    /// The payload as text, for messages of a failed test and for answers that are text.
    pub(crate) fn as_text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The close code, when the frame is a Close frame that has one.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().copied().map(u16::from_be_bytes);
        code.filter(|_| self.opcode == CLOSE)
    }

    /// The close reason.
    pub(crate) fn close_reason(&self) -> String {
        String::from_utf8_lossy(self.payload.get(2..).unwrap_or_default()).into_owned()
    }

    /// The bytes as a client sends them, masked.
    pub(crate) fn masked(&self) -> Vec<u8> {
        const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = self.header(0x80);
        bytes.extend_from_slice(&KEY);
        let masked = self.payload.iter().zip(KEY.iter().cycle());
        bytes.extend(masked.map(|(byte, key)| byte ^ key));
        bytes
    }

    /// The bytes without a mask, as only a server may send them.
    pub(crate) fn unmasked(&self) -> Vec<u8> {
        let mut bytes = self.header(0);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The first frame in `bytes`, which come from a server, and how many of them it takes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second, rest @ ..] = bytes else {
            return None;
        };
        assert_eq!(second & 0x80, 0, "a server does not mask");
        let (length, extra) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
            short => (u64::from(short), 0),
        };
        let length = usize::try_from(length).expect("a length that fits in memory");
        let payload = rest.get(extra..extra + length)?.to_vec();
        let frame = Self {
            last: first & 0x80 != 0,
            reserved: first >> 4 & 7,
            opcode: first & 0x0f,
            payload,
        };
        Some((frame, 2 + extra + length))
    }

    fn header(&self, mask: u8) -> Vec<u8> {
        let first = u8::from(self.last) << 7 | self.reserved << 4 | self.opcode;
        let length = self.payload.len();
        match (u16::try_from(length), length) {
            (_, ..126) => vec![first, mask | length as u8],
            (Ok(medium), _) => {
                let [high, low] = medium.to_be_bytes();
                vec![first, mask | 126, high, low]
            }
            (Err(_), _) => {
                let mut bytes = vec![first, mask | 127];
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
                bytes
            }
        }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown: String = self.as_text().chars().take(80).collect();
        f.debug_struct("Frame")
            .field("last", &self.last)
            .field("reserved", &self.reserved)
            .field("opcode", &self.opcode)
            .field("length", &self.payload.len())
            .field("begins", &shown)
            .finish()
    }
}

#[test]
fn frames_are_those_of_the_examples_of_the_rfc() {
    let masked = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    assert_eq!(Frame::text("Hello").masked(), masked);
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(Frame::text("Hello").unmasked(), unmasked);
    assert_eq!(Frame::decode(&unmasked), Some((Frame::text("Hello"), 7)));
    assert_eq!(Frame::decode(&unmasked[..6]), None);
    let long = Frame::binary(vec![1; 65_536]);
    let bytes = long.unmasked();
    assert_eq!(bytes[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(Frame::decode(&bytes), Some((long, bytes.len())));
}
