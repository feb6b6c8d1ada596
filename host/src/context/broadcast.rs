//! One message to many sessions: framed once, gathered per turn, sent to each with one write.
//!
//! What is broadcast to a set in one turn is gathered in one buffer. At the end of the turn each member is given what
//! it has not had yet; a member that sends something itself before that is given it first, so that what a session is
//! sent keeps the order in which it was asked for.

use std::sync::Arc;

use crate::{
    connection::write_queue::SharedBytes,
    context::{hub::SlowPolicy, roster::SetId},
    net::token::ConnectionId,
};

/// The most that is gathered before it is delivered, in bytes, unless one frame is larger: so that a turn adds no more
/// than that to the output of a session before its high mark is looked at again.
const GATHER_BYTES: usize = 256 << 10;

/// The sessions of one protocol on one vhost on this service thread.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) id: SetId,
    pub(crate) members: Vec<ConnectionId>,
    /// The frames of this turn. Shared with the queues of those who could not take all of it.
    frames: Arc<Vec<u8>>,
    slow: SlowPolicy,
}

impl Set {
    pub(crate) fn new(id: SetId) -> Self {
        Self {
            id,
            members: Vec::new(),
            frames: Arc::default(),
            slow: SlowPolicy::Close,
        }
    }

    /// Whether a frame of this length, with this policy, can join those that were gathered.
    pub(crate) fn takes(&self, len: usize, slow: SlowPolicy) -> bool {
        self.frames.is_empty() || self.slow == slow && self.frames.len() + len <= GATHER_BYTES
    }

    /// Gathers a frame. True when it is the first one.
    pub(crate) fn gather(&mut self, frame: &[u8], slow: SlowPolicy) -> bool {
        let first = self.frames.is_empty();
        self.slow = slow;
        // Nobody holds the frames of the running turn: they are given away at its end only.
        Arc::make_mut(&mut self.frames).extend_from_slice(frame);
        first
    }

    /// The frames of this turn.
    pub(crate) fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// The frames of this turn, to be given away, and what is done with those who are slow.
    pub(crate) fn give(&self) -> (SharedBytes, SlowPolicy) {
        (Arc::clone(&self.frames) as SharedBytes, self.slow)
    }

    /// Ends the turn. The buffer is used again unless somebody still needs what is in it.
    pub(crate) fn clear(&mut self) {
        match Arc::get_mut(&mut self.frames) {
            Some(frames) if frames.capacity() <= 4 * GATHER_BYTES => frames.clear(),
            _ => self.frames = Arc::default(),
        }
    }
}
