//! Buffers for messages that did not arrive whole, shared by the connections of a service thread.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::budget::Budget;
use super::inbound::Inbound;
use crate::wire::close_code::{Failure, TRY_AGAIN_LATER};

/// A buffer is not made smaller than this: it is to serve the next message too.
const LEAST_BYTES: usize = 4 << 10;
/// Buffers kept for the next message: so many, together so large.
const KEPT_COUNT: usize = 32;
const KEPT_BYTES: usize = 4 << 20;

/// There is no memory left for messages that are not complete.
pub const OUT_OF_BUDGET: Failure = Failure {
    code: TRY_AGAIN_LATER,
    why: "out of memory for messages",
};

/// The buffers of one service thread. Those that wait here count for nothing; those in use count by their capacity.
#[derive(Debug)]
pub struct BufferPool {
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
    /// So many of them, from the first, were not needed since the last [`Self::give_back`].
    unused: usize,
    /// For connections on which something is under way.
    #[expect(
        clippy::vec_box,
        reason = "each is lent as it is, and a connection keeps one pointer"
    )]
    inbounds: Vec<Box<Inbound>>,
    budget: Budget,
}

impl BufferPool {
    /// An empty pool that accounts with `total`, bounded by `limits.buffered_total_bytes`.
    pub fn new(total: Arc<AtomicU64>, buffered_total_bytes: u64) -> Self {
        Self {
            kept: Vec::with_capacity(KEPT_COUNT),
            kept_bytes: 0,
            unused: 0,
            inbounds: Vec::with_capacity(KEPT_COUNT),
            budget: Budget::new(total, buffered_total_bytes),
        }
    }

    /// The account of this thread, for what else counts: output that waits.
    pub fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// Appends to a buffer that began as `Vec::new()`. `expected` is how many more bytes are known to come behind
    /// these: the buffer never grows beyond what has arrived and twice as much, nor beyond what is expected.
    ///
    /// # Errors
    /// [`OUT_OF_BUDGET`]; the buffer is as it was.
    pub fn append(
        &mut self,
        buffer: &mut Vec<u8>,
        bytes: &[u8],
        expected: u64,
    ) -> Result<(), Failure> {
        let needed = buffer.len() + bytes.len();
        if needed > buffer.capacity() {
            self.grow(
                buffer,
                needed,
                usize::try_from(expected).unwrap_or(usize::MAX),
            )?;
        }
        buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Gives a buffer room for `least` bytes behind what it has, or for all that are `expected` if they are fewer. It never
    /// grows beyond twice that, nor beyond what is expected.
    ///
    /// # Errors
    /// [`OUT_OF_BUDGET`]; the buffer is as it was.
    pub fn make_room(
        &mut self,
        buffer: &mut Vec<u8>,
        least: usize,
        expected: u64,
    ) -> Result<(), Failure> {
        let expected = usize::try_from(expected).unwrap_or(usize::MAX);
        let least = least.min(expected);
        let needed = buffer.len() + least;
        if needed > buffer.capacity() {
            self.grow(buffer, needed, expected - least)?;
        }
        Ok(())
    }

    /// Takes back a buffer that `append` has filled.
    pub fn put(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        self.budget.give(capacity as u64);
        if capacity > 0 && self.kept.len() < KEPT_COUNT && capacity <= KEPT_BYTES - self.kept_bytes
        {
            buffer.clear();
            self.kept_bytes += capacity;
            self.kept.push(buffer);
        }
    }

    /// Whether buffers wait for the next message.
    #[inline]
    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Frees the buffers that were not needed since the last call.
    pub fn give_back(&mut self) {
        for buffer in self.kept.drain(..self.unused) {
            self.kept_bytes -= buffer.capacity();
        }
        self.unused = self.kept.len();
    }

    /// What a connection needs on which something is under way.
    pub(super) fn inbound(&mut self) -> Box<Inbound> {
        self.inbounds.pop().unwrap_or_default()
    }

    /// Takes it back, empty.
    pub(super) fn put_inbound(&mut self, mut inbound: Box<Inbound>) {
        if self.inbounds.len() < KEPT_COUNT {
            *inbound = Inbound::default();
            self.inbounds.push(inbound);
        }
    }

    #[cold]
    fn grow(
        &mut self,
        buffer: &mut Vec<u8>,
        needed: usize,
        expected: usize,
    ) -> Result<(), Failure> {
        if buffer.capacity() == 0
            && let Some(kept) = self
                .kept
                .pop_if(|kept| self.budget.take(kept.capacity() as u64))
        {
            self.kept_bytes -= kept.capacity();
            self.unused = self.unused.min(self.kept.len());
            *buffer = kept;
        }
        let capacity = buffer.capacity();
        if needed > capacity {
            let doubled = needed
                .saturating_mul(2)
                .min(needed.saturating_add(expected));
            let target = doubled.max(LEAST_BYTES);
            if !self.budget.take((target - capacity) as u64) {
                return Err(OUT_OF_BUDGET);
            }
            buffer.reserve_exact(target - buffer.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(bound: u64) -> BufferPool {
        BufferPool::new(Arc::default(), bound)
    }

    #[test]
    fn a_buffer_given_back_serves_the_next_message_without_an_allocation() {
        let mut pool = pool(u64::MAX);
        let mut buffer = Vec::new();
        for _ in 0..4 {
            pool.append(&mut buffer, &[1; 16 << 10], 48 << 10).unwrap();
        }
        let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
        assert_eq!(pool.budget().used(), capacity as u64);
        pool.put(buffer);
        assert_eq!(pool.budget().used(), 0);

        let mut buffer = Vec::new();
        pool.append(&mut buffer, &[2; 64 << 10], 0).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, capacity));
    }

    #[test]
    fn memory_follows_what_arrived_and_not_what_was_declared() {
        let mut pool = pool(u64::MAX);
        let mut buffer = Vec::new();
        pool.append(&mut buffer, &[0; 10_000], 1 << 40).unwrap();
        assert!(buffer.capacity() <= 20_000);
        let mut exact = Vec::new();
        pool.append(&mut exact, &[0; 10_000], 100).unwrap();
        assert_eq!(exact.capacity(), 10_100);
    }

    #[test]
    fn growing_above_the_bound_is_refused_and_leaves_the_buffer_alone() {
        let mut pool = pool(10_000);
        let mut buffer = Vec::new();
        pool.append(&mut buffer, &[7; 8_000], 0).unwrap();
        assert_eq!(pool.append(&mut buffer, &[7; 8_000], 0), Err(OUT_OF_BUDGET));
        assert_eq!(buffer, [7; 8_000]);
        pool.put(buffer);
        assert_eq!(pool.budget().used(), 0);
    }

    #[test]
    fn only_a_bounded_amount_is_kept() {
        let mut pool = pool(u64::MAX);
        let buffers: Vec<_> = (0..100).map(|_| Vec::with_capacity(1 << 20)).collect();
        for buffer in buffers {
            pool.put(buffer);
        }
        assert_eq!(pool.kept_bytes, KEPT_BYTES);
        pool.put(Vec::with_capacity(KEPT_BYTES + 1));
        assert_eq!(pool.kept.len(), 4);
    }

    #[test]
    fn what_was_not_needed_between_two_looks_is_given_back_and_the_rest_stays() {
        let mut pool = pool(u64::MAX);
        for _ in 0..4 {
            pool.put(Vec::with_capacity(64 << 10));
        }
        pool.give_back();
        assert_eq!(pool.kept.len(), 4, "they have just come");
        let mut buffers = [Vec::new(), Vec::new()];
        for buffer in &mut buffers {
            pool.append(buffer, &[1; 1_000], 0).unwrap();
        }
        buffers.into_iter().for_each(|buffer| pool.put(buffer));
        pool.give_back();
        assert_eq!((pool.kept.len(), pool.kept_bytes), (2, 128 << 10));
        pool.give_back();
        assert!(!pool.has_kept());
        assert_eq!(pool.kept_bytes, 0);
    }
}
