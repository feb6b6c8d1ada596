//! What a connection with extensions has besides: the chain, messages that wait to be told, and a frame for the wire
//! that is not complete.

use std::collections::VecDeque;

use super::outbound::{Masking, put_frame_with};
use crate::wire::MessageKind;
use crate::wire::Opcode;
use crate::wire::close_code::Failure;
use crate::wire::extension::{ExtensionChain, Passed, Piece, PieceSink};
use crate::wire::frame_header::{FrameHeader, HEADER_BYTES};
use crate::wire::mask::apply_mask;

/// Records that an idle connection has room for.
const KEPT_RECORDS: usize = 8;

/// The extensions of one connection, and what is on its way through them.
#[derive(Default)]
pub struct Extended {
    pub(super) chain: ExtensionChain,
    /// Messages that came out of the chain and wait to be told, in the order of their bytes.
    pub(super) waiting: VecDeque<Record>,
    /// To be told behind what waits.
    pub(super) untold: Option<Failure>,
    /// A frame for the wire that was begun and not ended: its head, and its payload so far.
    begun: Option<Head>,
    payload: Vec<u8>,
}

/// A message that came out of the chain, or a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) len: usize,
    pub(super) kind: MessageKind,
    /// Nothing of the message has been told.
    pub(super) first: bool,
    /// The message is complete.
    pub(super) ended: bool,
}

/// What is known of a frame when it begins.
#[derive(Clone, Copy, Debug)]
struct Head {
    opcode: Opcode,
    rsv: u8,
}

impl Extended {
    pub(super) fn new(chain: ExtensionChain) -> Self {
        Self {
            chain,
            ..Self::default()
        }
    }

    /// Sends a whole frame of a message through the chain; on a failure nothing is left in `out`.
    pub(super) fn send(
        &mut self,
        out: &mut Vec<u8>,
        mask: &mut Masking<'_>,
        piece: Piece<'_>,
    ) -> Result<Passed, Failure> {
        self.frame(out, mask, |chain, frames| chain.outbound(piece, frames))
    }

    /// Has the chain put what it holds back, or may hold back; on a failure nothing is left in `out`.
    pub(super) fn flush(
        &mut self,
        out: &mut Vec<u8>,
        mask: &mut Masking<'_>,
        all: bool,
    ) -> Result<(), Failure> {
        self.frame(out, mask, |chain, frames| chain.flush(all, frames))
    }

    /// Forgets what waits to be told.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.waiting.shrink_to(KEPT_RECORDS);
    }

    fn frame<A>(
        &mut self,
        out: &mut Vec<u8>,
        mask: &mut Masking<'_>,
        pass: impl FnOnce(&mut ExtensionChain, &mut Frames<'_, '_>) -> Result<A, Failure>,
    ) -> Result<A, Failure> {
        let before = out.len();
        let mut frames = Frames {
            out,
            mask,
            begun: &mut self.begun,
            earlier: &mut self.payload,
            start: None,
        };
        let passed = pass(&mut self.chain, &mut frames);
        frames.put_aside();
        if passed.is_err() {
            out.truncate(before);
        }
        passed
    }
}

/// Makes frames of the pieces that come out of the chain.
struct Frames<'a, 'm> {
    out: &'a mut Vec<u8>,
    mask: &'a mut Masking<'m>,
    begun: &'a mut Option<Head>,
    /// Payload of the frame from earlier calls.
    earlier: &'a mut Vec<u8>,
    /// Where in `out` the frame has begun: room for a header, and the payload of this call.
    start: Option<usize>,
}

impl Frames<'_, '_> {
    /// The frame's place, with all of it that came before.
    fn resume(&mut self) -> usize {
        *self.start.get_or_insert_with(|| {
            let start = self.out.len();
            self.out.extend_from_slice(&[0; HEADER_BYTES]);
            self.out.append(self.earlier);
            start
        })
    }

    /// `out` goes away with the end of a call.
    fn put_aside(&mut self) {
        if let Some(start) = self.start.take() {
            self.earlier
                .extend_from_slice(&self.out[start + HEADER_BYTES..]);
            self.out.truncate(start);
        }
    }

    fn end_frame(&mut self, head: Head, fin: bool) {
        let start = self.resume();
        self.start = None;
        *self.earlier = Vec::new();
        let payload = start + HEADER_BYTES;
        let key = self.mask.key();
        if let Some(key) = key {
            apply_mask(&mut self.out[payload..], key);
        }
        let (header, len) = FrameHeader {
            fin,
            rsv: head.rsv,
            opcode: head.opcode,
            key,
            payload_len: (self.out.len() - payload) as u64,
        }
        .encode();
        self.out[start..start + len].copy_from_slice(&header[..len]);
        self.out.copy_within(payload.., start + len);
        self.out.truncate(self.out.len() - (HEADER_BYTES - len));
    }
}

impl PieceSink for Frames<'_, '_> {
    fn put(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        let head = Head {
            opcode: match piece.message_first {
                true => piece.opcode,
                false => Opcode::Continuation,
            },
            rsv: piece.rsv,
        };
        if piece.frame_first && piece.frame_last {
            let (fin, key) = (piece.message_last, self.mask.key());
            put_frame_with(self.out, key, fin, head.rsv, head.opcode, piece.payload);
            return Ok(());
        }
        let head = *self.begun.get_or_insert(head);
        self.resume();
        self.out.extend_from_slice(piece.payload);
        if piece.frame_last {
            *self.begun = None;
            self.end_frame(head, piece.message_last);
        }
        Ok(())
    }
}
