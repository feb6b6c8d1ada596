//! The extension on one connection: which messages are compressed, and what becomes of their frames. RFC 7692 section 6.

use std::fmt;

use hotsocket_plugin::{Call, CloseCode, Codec, FramePiece, FrameSink, Host, Rsv, Stop};

use crate::frames::{Frames, Progress};
use crate::{Agreed, Compressors, Decompressors, Deflater, InflateError, Inflater, Options};

/// What the connections of a service thread share.
#[derive(Default)]
pub struct Pools {
    compressors: Compressors,
    decompressors: Decompressors,
    held: Vec<u8>,
    counted: Made,
}

/// How many were made.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Made {
    compressors: u64,
    decompressors: u64,
}

impl Pools {
    /// Tells the host's counters what was made since the last time.
    fn count(&mut self, host: impl FnOnce() -> Host) {
        let made = Made {
            compressors: self.compressors.constructions(),
            decompressors: self.decompressors.constructions(),
        };
        if made != self.counted {
            let host = host();
            let before = self.counted;
            host.count("compressors_made", made.compressors - before.compressors);
            host.count(
                "decompressors_made",
                made.decompressors - before.decompressors,
            );
            self.counted = made;
        }
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

/// The extension on one connection.
pub struct Connection {
    threshold_bytes: usize,
    deflater: Deflater,
    inflater: Inflater,
    /// The message that is sent is compressed.
    deflates: bool,
    /// The message that comes is compressed.
    inflates: bool,
    outward: Progress,
    inward: Progress,
}

impl Connection {
    pub(crate) fn new(agreed: &Agreed, options: &Options) -> Self {
        Self {
            threshold_bytes: options.threshold_bytes as usize,
            deflater: Deflater::new(agreed, options),
            inflater: Inflater::new(agreed),
            deflates: false,
            inflates: false,
            outward: Progress::default(),
            inward: Progress::default(),
        }
    }
}

impl Codec for Connection {
    type Thread = Pools;

    fn inbound(
        &mut self,
        call: &Call<Pools>,
        mut piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        if piece.frame_first {
            let is_marked = piece.rsv.contains(Rsv::RSV1);
            if piece.message_first {
                self.inflates = is_marked;
            } else if is_marked {
                let why = "RSV1 is set on a frame that continues a message";
                return Err(Stop::fail(CloseCode::PROTOCOL_ERROR, why));
            }
        }
        if !self.inflates {
            return sink.put(piece);
        }
        piece.rsv = Rsv::NONE;
        let pools = &mut *call.thread();
        let mut frames = Frames::new(piece, &mut self.inward, &mut pools.held, sink);
        let inflated = self.inflater.piece(
            &mut pools.decompressors,
            piece.payload,
            piece.message_last,
            |bytes| frames.push(bytes),
        );
        let put = match inflated {
            Ok(()) => frames.end(),
            Err(InflateError::Refused(stop)) => Err(stop),
            // A limit that was reached before goes first, however the message was split.
            Err(invalid @ InflateError::Invalid(_)) => frames
                .break_off()
                .and_then(|()| Err(Stop::fail(CloseCode::INVALID_PAYLOAD, invalid))),
        };
        pools.count(|| call.host());
        put
    }

    fn outbound(
        &mut self,
        call: &Call<Pools>,
        mut piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop> {
        if piece.message_first {
            // How long a message in several pieces becomes is not known yet.
            self.deflates = !piece.message_last || piece.payload.len() >= self.threshold_bytes;
            if self.deflates {
                piece.rsv |= Rsv::RSV1;
            }
        }
        if !self.deflates {
            return sink.put(piece);
        }
        let pools = &mut *call.thread();
        let compressors = &mut pools.compressors;
        let mut frames = Frames::new(piece, &mut self.outward, &mut pools.held, sink);
        let mut push = |bytes: &[u8]| frames.push(bytes);
        self.deflater
            .piece(compressors, piece.payload, piece.message_last, &mut push)?;
        if piece.frame_last && !piece.message_last {
            self.deflater.flush(compressors, &mut push)?;
        }
        let put = frames.end();
        pools.count(|| call.host());
        put
    }

    fn on_end(&mut self, call: &Call<Pools>) {
        let pools = &mut *call.thread();
        self.deflater.close(&mut pools.compressors);
        self.inflater.close(&mut pools.decompressors);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
