//! The pieces that an extension puts, and whether they may follow on each other as they do.

use crate::{FramePiece, Opcode, Rsv, abi};

/// A piece that an extension has put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPiece {
    /// See [`FramePiece::opcode`].
    pub opcode: Opcode,
    /// See [`FramePiece::rsv`]; inbound none, as what is set there has no effect.
    pub rsv: Rsv,
    /// See [`FramePiece::frame_first`].
    pub frame_first: bool,
    /// See [`FramePiece::frame_last`].
    pub frame_last: bool,
    /// See [`FramePiece::message_first`].
    pub message_first: bool,
    /// See [`FramePiece::message_last`].
    pub message_last: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

impl RecordedPiece {
    /// A copy of `piece`.
    #[must_use]
    pub fn new(piece: FramePiece<'_>) -> Self {
        Self {
            opcode: piece.opcode,
            rsv: piece.rsv,
            frame_first: piece.frame_first,
            frame_last: piece.frame_last,
            message_first: piece.message_first,
            message_last: piece.message_last,
            payload: piece.payload.to_vec(),
        }
    }

    /// The piece, to be given to another connection.
    #[must_use]
    pub fn as_piece(&self) -> FramePiece<'_> {
        FramePiece {
            opcode: self.opcode,
            rsv: self.rsv,
            frame_first: self.frame_first,
            frame_last: self.frame_last,
            message_first: self.message_first,
            message_last: self.message_last,
            payload: &self.payload,
        }
    }
}

/// Where a sequence of pieces stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Sequence {
    bytes: u64,
    message: Option<Opcode>,
    in_frame: bool,
}

impl Sequence {
    /// Judges the next piece.
    pub(super) fn advance(self, piece: &FramePiece<'_>, limit: u64) -> Result<Self, abi::Status> {
        let whole = piece.frame_first && piece.frame_last;
        if piece.opcode.is_control() {
            let is_message = piece.message_first && piece.message_last;
            let has_order = whole && is_message && piece.payload.len() <= 125 && !self.in_frame;
            return has_order.then_some(self).ok_or(abi::STATUS_ERROR);
        }
        let continues = match self.message {
            None => piece.message_first,
            Some(begun) => !piece.message_first && piece.opcode == begun,
        };
        let has_order = continues
            && piece.frame_first != self.in_frame
            && (piece.frame_first || !piece.message_first && piece.rsv.is_empty())
            && (piece.frame_last || !piece.message_last);
        if !has_order {
            return Err(abi::STATUS_ERROR);
        }
        let before = if piece.message_first { 0 } else { self.bytes };
        let bytes = before.saturating_add(piece.payload.len() as u64);
        if bytes > limit {
            return Err(abi::STATUS_FULL);
        }
        Ok(Self {
            bytes,
            message: (!piece.message_last).then_some(piece.opcode),
            in_frame: !piece.frame_last,
        })
    }
}
