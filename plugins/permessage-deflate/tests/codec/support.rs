//! Seeded randomness, texts, and both directions with output in one buffer.

use std::convert::Infallible;
use std::fmt::Write;

use permessage_deflate::{
    Agreed, Compressors, Decompressors, Deflater, InflateError, Inflater, Options, WindowBits,
};

/// A different seed in each run, unless `SEED` is set; a failed test shows it.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970");
        now.as_nanos() as u64 | 1
    });
    eprintln!("SEED={seed}");
    seed
}

pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 24) as u8).collect()
    }

    /// JSON of about `length` bytes, whose keys and some values repeat.
    pub(crate) fn json(&mut self, length: usize) -> Vec<u8> {
        let mut text = String::from("[");
        while text.len() + 2 < length {
            let (id, price, user) = (self.below(100_000), self.below(99_999), self.next() >> 40);
            let side = ["buy", "sell"][self.below(2)];
            let tag = self.below(7);
            write!(
                text,
                r#"{{"id":{id},"user":"u{user:x}","price":{price},"side":"{side}","tags":["a{tag}","b"]}},"#
            )
            .expect("a string takes text");
        }
        text.truncate(length.max(2) - 1);
        text.push(']');
        text.into_bytes()
    }

    /// A message of any nature and up to `length` bytes.
    pub(crate) fn message(&mut self, length: usize) -> Vec<u8> {
        let length = self.below(length + 1);
        match self.below(4) {
            0 => self.bytes(length),
            1 => vec![self.next() as u8; length],
            2 => Vec::new(),
            _ => self.json(length),
        }
    }

    /// The same bytes in pieces, some of them empty.
    pub(crate) fn split<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        for _ in 0..self.below(5) {
            let (piece, rest) = bytes.split_at(self.below(bytes.len() + 1));
            pieces.push(piece);
            bytes = rest;
        }
        pieces.push(bytes);
        pieces
    }
}

pub(crate) fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("from 8 to 15")
}

/// The same in both directions.
pub(crate) fn agreed(takeover: bool, window_bits: u8) -> Agreed {
    Agreed {
        our_takeover: takeover,
        our_window_bits: bits(window_bits),
        peer_takeover: takeover,
        peer_window_bits: bits(window_bits),
    }
}

/// One connection on a service thread of its own.
pub(crate) struct Endpoint {
    pub compressors: Compressors,
    pub deflater: Deflater,
    pub decompressors: Decompressors,
    pub inflater: Inflater,
}

impl Endpoint {
    pub(crate) fn new(agreed: Agreed, options: &Options) -> Self {
        Self {
            compressors: Compressors::default(),
            deflater: Deflater::new(&agreed, options),
            decompressors: Decompressors::default(),
            inflater: Inflater::new(&agreed),
        }
    }

    pub(crate) fn compress(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let sink = |bytes: &[u8]| {
                assert!(bytes.len() <= 16 * 1024, "chunks are bounded");
                payload.extend_from_slice(bytes);
                Ok::<_, Infallible>(())
            };
            let Ok(()) = self
                .deflater
                .piece(&mut self.compressors, piece, last, sink);
        }
        payload
    }

    /// The beginning of a message, flushed.
    pub(crate) fn compress_open(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut sink = |bytes: &[u8]| {
            payload.extend_from_slice(bytes);
            Ok::<_, Infallible>(())
        };
        let compressors = &mut self.compressors;
        let Ok(()) = self.deflater.piece(compressors, piece, false, &mut sink);
        let Ok(()) = self.deflater.flush(compressors, &mut sink);
        payload
    }

    /// The text of a payload, if it is not over a limit.
    pub(crate) fn decompress(
        &mut self,
        pieces: &[&[u8]],
        limit: usize,
    ) -> Result<Vec<u8>, InflateError<usize>> {
        let mut text = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            let sink = |bytes: &[u8]| {
                if text.len() + bytes.len() > limit {
                    return Err(limit);
                }
                text.extend_from_slice(bytes);
                Ok(())
            };
            self.inflater
                .piece(&mut self.decompressors, piece, last, sink)?;
        }
        Ok(text)
    }
}
