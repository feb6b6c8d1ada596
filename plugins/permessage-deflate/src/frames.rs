//! Frames of another length than those they are made of.

use std::mem;

use hotsocket_plugin::{FramePiece, FrameSink, Rsv, Stop};

/// How much of a frame has been put, in one direction of a connection.
#[derive(Default)]
pub(crate) struct Progress {
    in_frame: bool,
    in_message: bool,
    /// Of the frame, until its first piece is put.
    rsv: Rsv,
}

/// What is made of one piece: frames that begin and end where those of the piece do.
pub(crate) struct Frames<'a> {
    piece: FramePiece<'a>,
    progress: &'a mut Progress,
    /// The last bytes so far; a frame that fits is put in one piece. Empty between two calls.
    held: &'a mut Vec<u8>,
    sink: &'a mut FrameSink,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(
        piece: FramePiece<'a>,
        progress: &'a mut Progress,
        held: &'a mut Vec<u8>,
        sink: &'a mut FrameSink,
    ) -> Self {
        if piece.message_first {
            progress.in_message = false;
        }
        if piece.frame_first {
            progress.in_frame = false;
            progress.rsv = piece.rsv;
        }
        // A call that failed may have left something.
        held.clear();
        Self {
            piece,
            progress,
            held,
            sink,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if !self.held.is_empty() {
            self.put(false, false)?;
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// The rest of the piece is lost, but what came before counts.
    pub(crate) fn break_off(mut self) -> Result<(), Stop> {
        if !self.held.is_empty() {
            self.put(false, false)?;
        }
        Ok(())
    }

    /// There is no more of the piece.
    pub(crate) fn end(mut self) -> Result<(), Stop> {
        let (frame_last, message_last) = (self.piece.frame_last, self.piece.message_last);
        if frame_last || !self.held.is_empty() {
            self.put(frame_last, message_last)?;
        }
        Ok(())
    }

    fn put(&mut self, frame_last: bool, message_last: bool) -> Result<(), Stop> {
        let progress = &mut *self.progress;
        let frame_first = !mem::replace(&mut progress.in_frame, !frame_last);
        self.sink.put(FramePiece {
            opcode: self.piece.opcode,
            rsv: if frame_first { progress.rsv } else { Rsv::NONE },
            frame_first,
            frame_last,
            message_first: !mem::replace(&mut progress.in_message, true),
            message_last,
            payload: self.held,
        })?;
        self.held.clear();
        Ok(())
    }
}
