//! A long message is read straight to where it is gathered, and not copied there.
//!
//! What has arrived bounds the memory, as everywhere: the announced length is not believed.

use std::mem;

use super::{BufferPool, Failure, Inbound, Reading, judge_text};
use crate::wire::{MessageKind, Role};

/// So much has arrived of a message, and so much of its frame is to come, in bytes: below it a copy costs less than the
/// shorter reads.
const LONG_BYTES: usize = 64 << 10;

/// Room behind the payload, in bytes: a read that leaves some of it has emptied the socket.
const SLACK_BYTES: u64 = 16;

/// What a buffer is to have room for when so much of a frame is to come.
#[inline]
pub(super) fn expected(remaining: u64) -> u64 {
    match remaining {
        0 => 0,
        more => more.saturating_add(SLACK_BYTES),
    }
}

impl Inbound {
    /// Whether so much of a frame is to come that [`Self::place`] is worth asking for.
    #[inline]
    pub fn awaits_long(&self) -> bool {
        self.remaining >= LONG_BYTES as u64 && self.held.len() >= LONG_BYTES
    }

    /// Where the payload that is awaited may be read to: the spare room of this buffer, to be told of by
    /// [`Self::gathered`]. A read may take `most_behind` bytes of what follows the frame. None where the input is to be
    /// given to [`Self::next`] as ever.
    pub fn place(&mut self, buffers: &mut BufferPool, most_behind: usize) -> Option<&mut Vec<u8>> {
        let gathers = self.reading == Reading::Payload && self.handed == 0 && !self.discards;
        if !gathers || !self.awaits_long() || !self.is_whole {
            return None;
        }
        // Refused here, it is refused there too, and told.
        let expected = expected(self.remaining);
        buffers
            .make_room(&mut self.held, LONG_BYTES, expected)
            .ok()?;
        let spare = (self.held.capacity() - self.held.len()) as u64;
        let behind = spare.saturating_sub(self.remaining);
        (behind <= most_behind as u64).then_some(&mut self.held)
    }

    /// So many bytes were read to the end of what [`Self::place`] gave. What lies behind the frame is moved to the front
    /// of `behind`; gives how much that is. The message, if it is complete, is told by [`Self::next`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn gathered(
        &mut self,
        role: Role,
        buffers: &mut BufferPool,
        count: usize,
        behind: &mut [u8],
    ) -> Result<usize, Failure> {
        let mut held = mem::take(&mut self.held);
        let mut at = held.len() - count;
        let taken = usize::try_from(self.remaining).map_or(count, |most| count.min(most));
        let end = at + taken;
        let rest = held.len() - end;
        behind[..rest].copy_from_slice(&held[end..]);
        held.truncate(end);
        let (piece, frame_ended) = self.take_payload(role, &mut held, &mut at, taken);
        let judged = match self.kind {
            MessageKind::Text => judge_text(&mut self.utf8, &held[piece], frame_ended && self.fin),
            MessageKind::Binary => Ok(()),
        };
        self.held = held;
        if let Err(failure) = judged {
            self.reading = Reading::Nothing;
            self.release(buffers);
            return Err(failure);
        }
        Ok(rest)
    }

    /// Whether something that is gathered is to be told before anything else: the rest of a message that is told in
    /// pieces, or one that was completed by [`Self::gathered`].
    pub(super) fn has_more_held(&self) -> bool {
        match self.handed {
            0 => self.reading == Reading::Header && !self.in_message,
            handed => handed < self.held.len(),
        }
    }

    /// Whether what was told last lies in the buffer.
    #[inline]
    pub fn hands_held(&self) -> bool {
        self.handed > 0
    }

    /// Takes the buffer for a moment.
    pub fn take_held(&mut self) -> Vec<u8> {
        mem::take(&mut self.held)
    }

    /// Puts it back.
    pub fn put_held(&mut self, held: Vec<u8>) {
        self.held = held;
    }
}
