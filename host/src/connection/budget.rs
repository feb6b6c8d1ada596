//! The bound on memory over all connections of all service threads (`limits.buffered_total_bytes`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is fetched from the total and given back at a time, so that a message touches no shared counter.
const GRANT_BYTES: u64 = 256 << 10;

/// One service thread's account with the shared total.
#[derive(Debug)]
pub struct Budget {
    /// Bytes granted to all accounts.
    total: Arc<AtomicU64>,
    bound: u64,
    granted: u64,
    used: u64,
}

impl Budget {
    /// An account with `total`, which never grows above `bound` by it.
    pub fn new(total: Arc<AtomicU64>, bound: u64) -> Self {
        Self {
            total,
            bound,
            granted: 0,
            used: 0,
        }
    }

    /// Bytes this account uses.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Takes `bytes` if the bound allows it.
    #[inline]
    #[must_use]
    pub fn take(&mut self, bytes: u64) -> bool {
        let has_room = self.has_room(bytes);
        if has_room {
            self.used += bytes;
        }
        has_room
    }

    /// Whether [`Self::take`] would take `bytes`.
    #[inline]
    #[must_use]
    pub fn has_room(&mut self, bytes: u64) -> bool {
        let used = self.used.saturating_add(bytes);
        used <= self.granted || self.fetch(used - self.granted)
    }

    /// Gives back what was taken.
    #[inline]
    pub fn give(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
        let spare = self.granted - self.used;
        if spare > 2 * GRANT_BYTES {
            self.release(spare - GRANT_BYTES);
        }
    }

    /// A round grant if there is one, else exactly what is missing.
    fn fetch(&mut self, missing: u64) -> bool {
        let round = missing.saturating_add(GRANT_BYTES);
        [round, missing].into_iter().any(|wanted| {
            let grow = |total: u64| {
                let grown = total.checked_add(wanted)?;
                (grown <= self.bound).then_some(grown)
            };
            // Relaxed: the number orders no other memory.
            let fetched = self
                .total
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow)
                .is_ok();
            if fetched {
                self.granted += wanted;
            }
            fetched
        })
    }

    fn release(&mut self, bytes: u64) {
        self.granted -= bytes;
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.release(self.granted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_over_all_accounts_to_the_byte() {
        let total = Arc::new(AtomicU64::new(0));
        let mut one = Budget::new(Arc::clone(&total), 1_000);
        let mut other = Budget::new(Arc::clone(&total), 1_000);
        assert!(one.take(600));
        assert!(!other.take(401));
        assert!(other.take(400));
        assert!(!one.take(1));
        drop(other);
        assert!(one.take(400));
        drop(one);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn taking_and_giving_again_leaves_the_total_alone() {
        let total = Arc::new(AtomicU64::new(0));
        let mut budget = Budget::new(Arc::clone(&total), u64::MAX);
        assert!(budget.take(64 << 10));
        let granted = total.load(Ordering::Relaxed);
        for _ in 0..100 {
            budget.give(64 << 10);
            assert!(budget.take(64 << 10));
            assert_eq!(total.load(Ordering::Relaxed), granted);
        }
    }

    #[test]
    fn much_that_is_given_back_returns_to_the_total() {
        let total = Arc::new(AtomicU64::new(0));
        let mut budget = Budget::new(Arc::clone(&total), u64::MAX);
        assert!(budget.take(100 << 20));
        budget.give(100 << 20);
        assert!(total.load(Ordering::Relaxed) <= 2 * GRANT_BYTES);
    }
}
