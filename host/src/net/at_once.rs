//! Long payloads that a session sends from memory of its own: they are written while it sends them, so that only what the
//! socket does not take is copied.

use std::io::IoSlice;

use crate::{connection::deadline::DeadlineName, net::port::Port};

/// Shorter payloads are copied and leave at the end of the event with all that is sent by then: where several are sent in
/// one event, a write for each costs more than the copies do.
pub(crate) const AT_ONCE_BYTES: usize = 256 << 10;

impl Port<'_> {
    /// Whether a payload is to be written at once: it is long, nothing waits before it but what was gathered, and the
    /// socket takes bytes as they are.
    pub(super) fn leaves_at_once(&self, payload: &[u8]) -> bool {
        payload.len() >= AT_ONCE_BYTES
            && self.readiness.writable
            && self.queue.is_empty()
            && self.in_place.is_empty()
            && self.transport.is_bare()
    }

    /// Writes what was gathered, and a payload behind it; what the socket does not take waits.
    pub(super) fn write_at_once(&mut self, payload: &[u8]) {
        let whole = self.out.len() + payload.len();
        let mut slices = [IoSlice::new(self.out), IoSlice::new(payload)];
        let mut left = &mut slices[..];
        let writable = &mut self.readiness.writable;
        // An error is not told in the middle of a hook: the write at the end of the event meets it again.
        let written = self.transport.write_slices(&mut left, writable);
        let waiting = left.iter().map(|slice| slice.len()).sum::<usize>();
        let taken = whole - waiting;
        self.left_at_once += taken;
        self.room = self.room.saturating_sub(taken);
        if waiting == 0 {
            return self.out.clear();
        }
        if written.is_err() || !self.buffers.budget().take(waiting as u64) {
            // As if it had been copied in the first place. Without room to wait, that write ends the connection.
            let from = taken.saturating_sub(self.out.len());
            self.out.drain(..taken.min(self.out.len()));
            return self.out.extend_from_slice(&payload[from..]);
        }
        for slice in left {
            self.queue.push_owned(slice);
        }
        self.out.clear();
        self.room = self.room.saturating_sub(waiting);
        let after = self.settings.limits.stalled_write_ms;
        let name = DeadlineName::StalledWrite;
        self.deadlines.set(name, self.now, after);
    }
}
