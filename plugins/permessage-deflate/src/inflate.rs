//! Incoming messages. RFC 7692 section 7.2.2.

use thiserror::Error;
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::deflate::TAIL;
use crate::offer::Agreed;
use crate::window::Window;

/// Output comes in pieces of at most this many bytes, so that a sink can refuse early.
const CHUNK_BYTES: usize = 16 * 1024;

/// Decompressors that wait for work. More are in use only while as many messages are half here.
const IDLE_COUNT: usize = 8;

/// The tail that the peer left out, and an empty block that ends a stream. zlib tells nothing about where in a block it
/// stands; that it takes the latter for an end and for nothing else shows that the block before had ended.
const END: [u8; 9] = {
    let [a, b, c, d] = TAIL;
    [a, b, c, d, 0x01, 0x00, 0x00, 0xff, 0xff]
};

/// Why a message cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InflateError<E> {
    /// The sink refused; what the message decompresses to is over a limit.
    #[error("refused: {0}")]
    Refused(E),
    /// The payload is not DEFLATE, or refers to text that is not kept.
    #[error("invalid compressed data: {0}")]
    Invalid(&'static str),
}

/// The decompressors of one service thread. A connection borrows one for a message.
pub struct Decompressors {
    idle: Vec<Inflate>,
    chunk: Box<[u8]>,
    constructions: u64,
}

impl Default for Decompressors {
    fn default() -> Self {
        Self {
            idle: Vec::new(),
            chunk: vec![0; CHUNK_BYTES].into(),
            constructions: 0,
        }
    }
}

impl Decompressors {
    /// How many decompressors were made so far; in a server that runs for a while this stands still.
    pub fn constructions(&self) -> u64 {
        self.constructions
    }

    /// One that has seen nothing. All have 15 bits: zlib-rs takes the memory for them anyway, and [`Inflate::reset`]
    /// sets them.
    fn borrow(&mut self) -> Inflate {
        if let Some(mut decompressor) = self.idle.pop() {
            decompressor.reset(false);
            return decompressor;
        }
        self.constructions += 1;
        Inflate::new(false, 15)
    }

    fn give_back(&mut self, decompressor: Inflate) {
        if self.idle.len() < IDLE_COUNT {
            self.idle.push(decompressor);
        }
    }
}

/// The incoming direction of one connection.
///
/// Between messages it keeps the agreed window and nothing else, so a message that refers to text before it, further
/// back than was agreed, is invalid. References within a message are taken up to 32 KiB: they cost no memory that is
/// kept, and the verdict does not depend on the pieces that a message comes in.
pub struct Inflater {
    /// With context takeover.
    window: Option<Window>,
    /// In the middle of a message.
    message: Option<Message>,
}

/// A message that is half here.
struct Message {
    decompressor: Inflate,
    /// What came last ended a stream (BFINAL), and nothing came after. So does a message of no bytes.
    at_end: bool,
}

impl Inflater {
    /// For a connection on which this was agreed.
    pub fn new(agreed: &Agreed) -> Self {
        Self {
            window: agreed
                .peer_takeover
                .then(|| Window::new(agreed.peer_window_bits)),
            message: None,
        }
    }

    /// Decompresses a piece of a message, the last one if `last`.
    ///
    /// # Errors
    /// [`InflateError`]; the message is then lost, and with it the connection.
    pub fn piece<E>(
        &mut self,
        decompressors: &mut Decompressors,
        input: &[u8],
        last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), InflateError<E>> {
        let mut message = self.take(decompressors);
        let window = &mut self.window;
        let mut keep = |bytes: &[u8]| {
            sink(bytes).map_err(InflateError::Refused)?;
            if let Some(window) = window {
                window.push(bytes);
            }
            Ok(())
        };
        let chunk = &mut decompressors.chunk;
        let mut result = message.run(input, chunk, &mut keep);
        if last && result.is_ok() {
            result = message.end(chunk, &mut keep);
        }
        if last || result.is_err() {
            decompressors.give_back(message.decompressor);
        } else {
            self.message = Some(message);
        }
        result
    }

    /// Ends the connection: what it borrowed goes back.
    pub fn close(&mut self, decompressors: &mut Decompressors) {
        if let Some(message) = self.message.take() {
            decompressors.give_back(message.decompressor);
        }
    }

    /// The bytes of text that are kept on the heap.
    pub fn window_bytes(&self) -> usize {
        self.window.as_ref().map_or(0, Window::heap_bytes)
    }

    fn take(&mut self, decompressors: &mut Decompressors) -> Message {
        self.message.take().unwrap_or_else(|| {
            let mut decompressor = decompressors.borrow();
            if let Some(window) = &self.window
                && !window.bytes().is_empty()
            {
                decompressor
                    .set_dictionary(window.bytes())
                    .expect("a raw stream takes a dictionary");
            }
            Message {
                decompressor,
                at_end: true,
            }
        })
    }
}

impl Message {
    /// Decompresses all of `input`. A stream that ends (BFINAL) is followed by another, if more comes. Section 7.2.3.5.
    fn run<E>(
        &mut self,
        mut input: &[u8],
        chunk: &mut [u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), InflateError<E>>,
    ) -> Result<(), InflateError<E>> {
        let decompressor = &mut self.decompressor;
        let mut full = false;
        while full || !input.is_empty() {
            let before = (decompressor.total_in(), decompressor.total_out());
            let status = decompressor.decompress(input, chunk, InflateFlush::SyncFlush);
            input = &input[(decompressor.total_in() - before.0) as usize..];
            let produced = (decompressor.total_out() - before.1) as usize;
            if produced > 0 {
                sink(&chunk[..produced])?;
            }
            // After the output, which in another split would have come before.
            let status = status.map_err(|_| InflateError::Invalid(cause(decompressor)))?;
            full = produced == chunk.len();
            self.at_end = status == Status::StreamEnd;
            if self.at_end {
                full = false;
                // The new stream does not see the text of this one. To show it the window again would let a peer
                // make us copy 32 KiB for every two bytes of empty streams.
                decompressor.reset(false);
            }
        }
        Ok(())
    }

    /// Puts back the tail that the peer left out. Then the last block must have ended.
    fn end<E>(
        &mut self,
        chunk: &mut [u8],
        sink: &mut impl FnMut(&[u8]) -> Result<(), InflateError<E>>,
    ) -> Result<(), InflateError<E>> {
        if self.at_end {
            return Ok(());
        }
        match self.run(&END, chunk, sink) {
            Err(InflateError::Refused(refusal)) => Err(InflateError::Refused(refusal)),
            Ok(()) if self.at_end => Ok(()),
            _ => Err(InflateError::Invalid("the message ends inside a block")),
        }
    }
}

/// What zlib-rs says about an error. Its fast path overwrites the cause with a note about itself.
fn cause(decompressor: &Inflate) -> &'static str {
    match decompressor.error_message() {
        None | Some("repeated call with bad state") => "a code or a reference has no meaning",
        Some(message) => message,
    }
}
