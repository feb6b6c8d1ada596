//! A peer with permessage-deflate, written from RFC 7692 and not from the plugin. What it gets it reads with a strict
//! inflater, whose window is the agreed one.

use std::net::SocketAddr;

use zlib_rs::{Deflate, DeflateFlush};

use super::frame::{BINARY, TEXT};
use super::strict::Strict;
use super::{Frame, RawPeer};

/// The bit of a compressed message, as it stands in [`Frame::reserved`].
pub(crate) const RSV1: u8 = 4;

/// What an answer says is then done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) server_takeover: bool,
    pub(crate) client_takeover: bool,
    pub(crate) server_bits: u8,
    pub(crate) client_bits: u8,
}

impl Agreed {
    /// From the value of Sec-WebSocket-Extensions.
    pub(crate) fn parse(answer: &str) -> Self {
        let mut agreed = Self {
            server_takeover: true,
            client_takeover: true,
            server_bits: 15,
            client_bits: 15,
        };
        let mut parts = answer.split(';').map(str::trim);
        assert_eq!(parts.next(), Some("permessage-deflate"), "{answer}");
        for parameter in parts {
            let bits = |value: &str| value.parse().expect("a number of bits");
            match parameter.split_once('=') {
                None if parameter == "server_no_context_takeover" => agreed.server_takeover = false,
                None if parameter == "client_no_context_takeover" => agreed.client_takeover = false,
                Some(("server_max_window_bits", value)) => agreed.server_bits = bits(value),
                Some(("client_max_window_bits", value)) => agreed.client_bits = bits(value),
                _ => panic!("{parameter} in {answer}"),
            }
        }
        agreed
    }
}

/// A compressor of a client.
pub(crate) struct Compressor {
    deflate: Deflate,
    takeover: bool,
}

impl Compressor {
    pub(crate) fn new(window_bits: u8, takeover: bool) -> Self {
        Self {
            // A raw stream of 9 bits never refers back further than a window of 8 bits holds.
            deflate: Deflate::new(6, false, window_bits.max(9)),
            takeover,
        }
    }

    /// The payload of a whole message.
    pub(crate) fn message(&mut self, text: &[u8]) -> Vec<u8> {
        let mut payload = self.piece(text);
        payload.truncate(payload.len() - 4);
        if !self.takeover {
            self.deflate.reset();
        }
        payload
    }

    /// The payloads of a message in as many frames.
    pub(crate) fn fragments(&mut self, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (last, first) = pieces.split_last().expect("at least one");
        let mut payloads: Vec<_> = first.iter().map(|piece| self.piece(piece)).collect();
        payloads.push(self.message(last));
        payloads
    }

    /// A piece and a sync flush, which ends with 00 00 ff ff.
    fn piece(&mut self, mut text: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut chunk = [0; 16 << 10];
        loop {
            let before = (self.deflate.total_in(), self.deflate.total_out());
            self.deflate
                .compress(text, &mut chunk, DeflateFlush::SyncFlush)
                .expect("a stream that is never finished takes any input");
            text = &text[(self.deflate.total_in() - before.0) as usize..];
            let count = (self.deflate.total_out() - before.1) as usize;
            payload.extend_from_slice(&chunk[..count]);
            if text.is_empty() && count < chunk.len() {
                break;
            }
        }
        // Nothing to flush: an empty stored block, as section 7.2.3.6 has it.
        if !payload.ends_with(&[0, 0, 0xff, 0xff]) {
            payload.extend_from_slice(&[0, 0, 0, 0xff, 0xff]);
        }
        payload
    }
}

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) opcode: u8,
    pub(crate) text: Vec<u8>,
    pub(crate) is_compressed: bool,
    /// The length of its payload on the wire.
    pub(crate) wire_bytes: usize,
}

/// A connection with the extension.
pub(crate) struct DeflatePeer {
    pub(crate) peer: RawPeer,
    pub(crate) answer: String,
    pub(crate) agreed: Agreed,
    pub(crate) compressor: Compressor,
    strict: Strict,
}

impl DeflatePeer {
    /// Opens a session with this offer, which is accepted.
    pub(crate) fn open(address: SocketAddr, target: &str, offer: &str) -> Self {
        let fields = [("Sec-WebSocket-Extensions", offer)];
        let (peer, response) = RawPeer::open_with(address, target, &fields);
        let answer = response.field("sec-websocket-extensions");
        let answer = answer.unwrap_or_else(|| panic!("{offer} is declined"));
        let agreed = Agreed::parse(answer);
        Self {
            peer,
            answer: answer.to_owned(),
            agreed,
            compressor: Compressor::new(agreed.client_bits, agreed.client_takeover),
            strict: Strict::new(agreed.server_bits, agreed.server_takeover),
        }
    }

    /// Sends a message, compressed and in one frame.
    pub(crate) fn send(&mut self, opcode: u8, text: &[u8]) {
        let payload = self.compressor.message(text);
        self.peer.frames(&[compressed(opcode, payload)]);
    }

    /// Sends a payload as that of a compressed binary message.
    pub(crate) fn send_raw(&mut self, payload: &[u8]) {
        self.peer.frames(&[compressed(BINARY, payload)]);
    }

    /// The next message; no control frame comes before it.
    pub(crate) fn message(&mut self) -> Received {
        let first = self.peer.frame();
        assert!([TEXT, BINARY].contains(&first.opcode), "{first:?}");
        self.message_from(first)
    }

    /// The message of which this is the first frame.
    pub(crate) fn message_from(&mut self, first: Frame) -> Received {
        assert_eq!(first.reserved & !RSV1, 0, "{first:?}");
        let (opcode, is_compressed) = (first.opcode, first.reserved == RSV1);
        let mut is_last = first.last;
        let mut payload = first.payload;
        while !is_last {
            let frame = self.peer.frame();
            assert_eq!((frame.opcode, frame.reserved), (0, 0), "{frame:?}");
            payload.extend_from_slice(&frame.payload);
            is_last = frame.last;
        }
        let wire_bytes = payload.len();
        let text = match is_compressed {
            true => self.strict.message(&payload).expect("what was agreed on"),
            false => payload,
        };
        Received {
            opcode,
            text,
            is_compressed,
            wire_bytes,
        }
    }

    /// Sends a message compressed and expects that it comes back.
    pub(crate) fn echo(&mut self, opcode: u8, text: &[u8]) -> Received {
        self.send(opcode, text);
        let received = self.message();
        assert_eq!(received.opcode, opcode, "{}", self.answer);
        assert!(received.text == text, "{}: altered", self.answer);
        received
    }
}

/// A compressed message in one frame.
pub(crate) fn compressed(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame {
        reserved: RSV1,
        ..Frame::new(opcode, payload)
    }
}

/// The frames of a compressed message with these payloads.
pub(crate) fn fragmented(opcode: u8, payloads: &[impl AsRef<[u8]>]) -> Vec<Frame> {
    let last = payloads.len() - 1;
    let frames = payloads.iter().enumerate().map(|(nth, payload)| Frame {
        last: nth == last,
        reserved: if nth == 0 { RSV1 } else { 0 },
        ..Frame::new(if nth == 0 { opcode } else { 0 }, payload)
    });
    frames.collect()
}

/// Text of `length` bytes as applications send it: keys repeat, values do not. Different for each `seed`.
pub(crate) fn json(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (id, price, user) = (state % 100_000, state >> 20 & 0xffff, state >> 44);
        let item = format!(r#"{{"id":{id},"user":"u{user:x}","price":{price},"side":"buy"}},"#);
        text.push_str(&item);
    }
    text.truncate(length);
    text.into_bytes()
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
