//! permessage-deflate in both directions: what a peer may send, and what we send to ourselves.

use std::convert::Infallible;

use permessage_deflate::{
    Agreed, Compressors, Decompressors, Deflater, InflateError, Inflater, Options, TakeoverKeeps,
    WindowBits, Within,
};

/// No piece of output is larger, so a limit is passed by less than this.
const CHUNK_BYTES: usize = 16 * 1024;

/// What became of the messages of a connection: text of each as far as it came, and how the connection ended.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    texts: Vec<Vec<u8>>,
    end: Option<End>,
}

/// How a connection failed. The words of zlib-rs about it are left out: its fast path, taken where much input lies ahead,
/// forgets which fault it met.
#[derive(Debug, PartialEq)]
enum End {
    Refused,
    Invalid,
}

impl From<InflateError<()>> for End {
    fn from(error: InflateError<()>) -> Self {
        match error {
            InflateError::Refused(()) => Self::Refused,
            InflateError::Invalid(why) => {
                assert!(!why.is_empty());
                Self::Invalid
            }
        }
    }
}

/// How a connection is shaken. The first three bytes of an input.
struct Shape {
    agreed: Agreed,
    options: Options,
    limit: usize,
    cut: usize,
    messages: usize,
}

impl Shape {
    fn new([flags, sizes, cut]: [u8; 3]) -> Self {
        let window_bits = WindowBits::new(8 + (flags >> 1 & 7)).unwrap();
        let takeover = flags & 1 == 1;
        let options = Options {
            level: Within::new(1 + (sizes >> 4) % 9).unwrap(),
            memory_level: Within::new(1 + cut % 9).unwrap(),
            takeover_keeps: if flags & 16 == 0 {
                TakeoverKeeps::Window
            } else {
                TakeoverKeeps::Compressor
            },
            ..Options::default()
        };
        Self {
            agreed: Agreed {
                our_takeover: takeover,
                our_window_bits: window_bits,
                peer_takeover: takeover,
                peer_window_bits: window_bits,
            },
            options,
            limit: 16 << (sizes & 15),
            cut: usize::from(cut) + 1,
            messages: usize::from(flags >> 5) + 1,
        }
    }

    /// Inflates each of `messages` in pieces of `cut` bytes, some of them empty, until one fails.
    fn inflate(
        &self,
        messages: &[&[u8]],
        cut: usize,
        decompressors: &mut Decompressors,
    ) -> Outcome {
        let mut inflater = Inflater::new(&self.agreed);
        let mut outcome = Outcome::default();
        for message in messages {
            let mut text = Vec::new();
            let mut refused = false;
            let mut sink = |bytes: &[u8]| {
                assert!(!refused, "output after a refusal");
                assert!(!bytes.is_empty() && bytes.len() <= CHUNK_BYTES);
                let room = self.limit - text.len();
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
                refused = bytes.len() > room;
                if refused { Err(()) } else { Ok(()) }
            };
            let mut result = Ok(());
            for piece in message.chunks(cut) {
                result = result
                    .and_then(|()| inflater.piece(decompressors, piece, false, &mut sink))
                    .and_then(|()| inflater.piece(decompressors, &[], false, &mut sink));
            }
            // One piece that is all of it, or an end that comes by itself.
            result = result.and_then(|()| inflater.piece(decompressors, &[], true, &mut sink));
            assert!(inflater.window_bytes() <= 1 << self.agreed.peer_window_bits.get());
            outcome.texts.push(text);
            outcome.end = result.err().map(End::from);
            if outcome.end.is_some() {
                break;
            }
        }
        inflater.close(decompressors);
        outcome
    }

    fn inflate_whole(&self, messages: &[&[u8]], decompressors: &mut Decompressors) -> Outcome {
        let mut inflater = Inflater::new(&self.agreed);
        let mut outcome = Outcome::default();
        for message in messages {
            let mut text = Vec::new();
            let sink = |bytes: &[u8]| {
                let room = self.limit - text.len();
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if bytes.len() > room { Err(()) } else { Ok(()) }
            };
            let result = inflater.piece(decompressors, message, true, sink);
            outcome.texts.push(text);
            outcome.end = result.err().map(End::from);
            if outcome.end.is_some() {
                break;
            }
        }
        outcome
    }

    /// What we send for these texts, each in pieces of `cut` bytes, flushed in between where `flushes`.
    fn deflate(&self, texts: &[&[u8]], flushes: bool) -> Vec<Vec<u8>> {
        let mut compressors = Compressors::default();
        let mut deflater = Deflater::new(&self.agreed, &self.options);
        let mut payloads = Vec::new();
        for text in texts {
            let mut payload = Vec::new();
            let mut sink = |bytes: &[u8]| {
                assert!(bytes.len() <= CHUNK_BYTES);
                payload.extend_from_slice(bytes);
                Ok::<_, Infallible>(())
            };
            for piece in text.chunks(self.cut) {
                let Ok(()) = deflater.piece(&mut compressors, piece, false, &mut sink);
                if flushes {
                    let Ok(()) = deflater.flush(&mut compressors, &mut sink);
                }
            }
            let Ok(()) = deflater.piece(&mut compressors, &[], true, &mut sink);
            assert!(
                !payload.ends_with(&[0x00, 0x00, 0xff, 0xff]),
                "the tail is left in"
            );
            payloads.push(payload);
        }
        deflater.close(&mut compressors);
        payloads
    }
}

/// Any bytes are text, a refusal or a failure, the same however they are cut, and never beyond the limit; what we make of
/// them is read as they are.
pub(crate) fn inflate(input: &[u8]) {
    let [flags, sizes, cut, stream @ ..] = input else {
        return;
    };
    let mut shape = Shape::new([*flags, *sizes, *cut]);
    let messages: Vec<_> = stream
        .chunks(stream.len().div_ceil(shape.messages).max(1))
        .collect();
    // One thread's worth: what one connection leaves in a decompressor must not reach the next.
    let mut decompressors = Decompressors::default();
    let whole = shape.inflate_whole(&messages, &mut decompressors);
    assert_eq!(
        shape.inflate(&messages, shape.cut, &mut decompressors),
        whole
    );
    assert_eq!(shape.inflate(&messages, 1, &mut decompressors), whole);
    assert!(
        decompressors.constructions() <= 1,
        "one at a time is in use"
    );

    // The text itself where there is one, since it repeats more than the input does.
    let texts: Vec<_> = match whole.end {
        None => whole.texts.iter().map(Vec::as_slice).collect(),
        Some(_) => messages,
    };
    let payloads = shape.deflate(&texts, stream.first().is_some_and(|first| first & 1 == 1));
    let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
    shape.limit = texts.iter().map(|text| text.len()).max().unwrap_or(0);
    for cut in [shape.cut, 1 << 20] {
        let back = shape.inflate(&payloads, cut, &mut decompressors);
        assert_eq!(back.end, None);
        assert_eq!(back.texts, texts);
    }
}
