//! Outgoing messages. RFC 7692 section 7.2.1.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use crate::offer::{Agreed, Shape};
use crate::options::{Options, TakeoverKeeps};
use crate::window::Window;

/// Output leaves in pieces of at most this many bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Compressors that wait for work, of all shapes: room for the seven sizes of windows that peers may ask for. At 371 KiB
/// at most, 3 MiB for a service thread.
const IDLE_COUNT: usize = 8;

/// What a flush ends with, and the end of a message leaves out.
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The compressors of one service thread. A connection borrows one for a message.
pub struct Compressors {
    idle: Vec<(Shape, Deflate)>,
    chunk: Box<[u8]>,
    constructions: u64,
}

impl Default for Compressors {
    fn default() -> Self {
        Self {
            idle: Vec::new(),
            chunk: vec![0; CHUNK_BYTES].into(),
            constructions: 0,
        }
    }
}

impl Compressors {
    /// How many compressors were made so far; in a server that runs for a while this stands still.
    pub fn constructions(&self) -> u64 {
        self.constructions
    }

    /// A compressor that has seen nothing.
    fn borrow(&mut self, shape: Shape) -> Deflate {
        if let Some(index) = self.idle.iter().rposition(|(idle, _)| *idle == shape) {
            let (_, mut compressor) = self.idle.remove(index);
            compressor.reset();
            return compressor;
        }
        self.constructions += 1;
        let mut config = DeflateConfig::new(i32::from(shape.level.get()));
        config.window_bits = -i32::from(shape.window_bits.get());
        config.mem_level = i32::from(shape.memory_level.get());
        Deflate::new_with_config(config)
    }

    fn give_back(&mut self, shape: Shape, compressor: Deflate) {
        if self.idle.len() == IDLE_COUNT {
            self.idle.remove(0);
        }
        self.idle.push((shape, compressor));
    }
}

/// The outgoing direction of one connection.
pub struct Deflater {
    shape: Shape,
    /// With context takeover, unless a compressor is kept.
    window: Option<Window>,
    keeps_compressor: bool,
    /// In the middle of a message, and between messages if it is kept.
    compressor: Option<Deflate>,
}

impl Deflater {
    /// For a connection on which this was agreed.
    pub fn new(agreed: &Agreed, options: &Options) -> Self {
        let keeps_compressor =
            agreed.our_takeover && options.takeover_keeps == TakeoverKeeps::Compressor;
        let keeps_window = agreed.our_takeover && !keeps_compressor;
        Self {
            shape: Shape::new(agreed, options),
            window: keeps_window
                .then(|| Window::new(agreed.our_window_bits.min(options.takeover_window_bits))),
            keeps_compressor,
            compressor: None,
        }
    }

    /// Compresses a piece of a message, the last one if `last`. Pieces that are not the last may give nothing yet.
    /// A message that is sent as it is does not come here: it is no part of the context.
    ///
    /// # Errors
    /// What the sink answers. The message is then lost, and with it the connection.
    pub fn piece<E>(
        &mut self,
        compressors: &mut Compressors,
        input: &[u8],
        last: bool,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut compressor = self.take(compressors);
        if let Some(window) = &mut self.window {
            window.push(input);
        }
        let chunk = &mut compressors.chunk;
        let result = if last {
            end(&mut compressor, input, chunk, &mut sink)
        } else {
            let flush = DeflateFlush::NoFlush;
            run(&mut compressor, input, flush, chunk, 0, &mut sink).map(drop)
        };
        if self.keeps_compressor || !last && result.is_ok() {
            self.compressor = Some(compressor);
        } else {
            compressors.give_back(self.shape, compressor);
        }
        result
    }

    /// Gives out all that was held back of a message that has not ended, for a fragment that must not wait.
    ///
    /// # Errors
    /// What the sink answers, as in [`Self::piece`].
    pub fn flush<E>(
        &mut self,
        compressors: &mut Compressors,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(compressor) = &mut self.compressor {
            let (flush, chunk) = (DeflateFlush::SyncFlush, &mut compressors.chunk);
            run(compressor, &[], flush, chunk, 0, &mut sink)?;
        }
        Ok(())
    }

    /// Ends the connection: what it borrowed goes back.
    pub fn close(&mut self, compressors: &mut Compressors) {
        if let Some(compressor) = self.compressor.take() {
            compressors.give_back(self.shape, compressor);
        }
    }

    /// The bytes of text that are kept on the heap; a kept compressor is not counted.
    pub fn window_bytes(&self) -> usize {
        self.window.as_ref().map_or(0, Window::heap_bytes)
    }

    fn take(&mut self, compressors: &mut Compressors) -> Deflate {
        self.compressor.take().unwrap_or_else(|| {
            let mut compressor = compressors.borrow(self.shape);
            if let Some(window) = &self.window
                && !window.bytes().is_empty()
            {
                compressor
                    .set_dictionary(window.bytes())
                    .expect("a raw stream takes a dictionary before its input");
            }
            compressor
        })
    }
}

/// Compresses the last piece of a message.
fn end<E>(
    compressor: &mut Deflate,
    input: &[u8],
    chunk: &mut [u8],
    sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let flush = DeflateFlush::SyncFlush;
    let held = run(compressor, input, flush, chunk, TAIL.len(), sink)?;
    if held == 0 {
        // Nothing came since the last flush, so there is no tail to leave out: an empty block without its own.
        return sink(&[0]);
    }
    debug_assert_eq!(chunk[..held], TAIL);
    Ok(())
}

/// Compresses all of `input` and gives the output to the sink, except the last `hold` bytes, whose number is the
/// answer: fewer only if there are no more.
fn run<E>(
    compressor: &mut Deflate,
    mut input: &[u8],
    flush: DeflateFlush,
    chunk: &mut [u8],
    hold: usize,
    sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<usize, E> {
    let mut filled = 0;
    loop {
        let before = (compressor.total_in(), compressor.total_out());
        compressor
            .compress(input, &mut chunk[filled..], flush)
            .expect("a stream that is never finished takes any input");
        input = &input[(compressor.total_in() - before.0) as usize..];
        filled += (compressor.total_out() - before.1) as usize;
        let full = filled == chunk.len();

        let leaves = filled.saturating_sub(hold);
        if leaves > 0 {
            sink(&chunk[..leaves])?;
            chunk.copy_within(leaves..filled, 0);
            filled -= leaves;
        }
        if !full && input.is_empty() {
            return Ok(filled);
        }
    }
}
