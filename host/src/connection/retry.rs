//! How long a client waits before it connects again: twice as long each time up to a bound, and by chance, so that the
//! clients of a server which has been away do not come back all at once.

use crate::limits::Limits;

/// When, and how often, to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest first wait, in milliseconds. It doubles with each further one.
    pub first_ms: u64,
    /// The longest of all waits, in milliseconds.
    pub most_ms: u64,
    /// How often it is tried again after a failure; `None` for ever.
    pub count: Option<u64>,
}

impl RetryPolicy {
    /// So often, with the waits of the limits.
    #[must_use]
    pub const fn new(limits: &Limits, count: Option<u64>) -> Self {
        Self {
            first_ms: limits.retry_first_ms,
            most_ms: limits.retry_most_ms,
            count,
        }
    }

    /// How long to wait, in milliseconds, after so many failures in a row, of which the first is 1; `None` to give up.
    /// `random` is any number, each equally likely, and a new one each time: the wait is between nothing and the
    /// longest, all equally likely.
    #[must_use]
    pub fn wait_ms(&self, failures: u64, random: u64) -> Option<u64> {
        if self.count.is_some_and(|count| failures > count) {
            return None;
        }
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let longest = self.first_ms.saturating_mul(factor).min(self.most_ms);
        // The high half of the product: the number as a part of the longest wait.
        let part = (u128::from(random) * (u128::from(longest) + 1)) >> 64;
        Some(part as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        first_ms: 100,
        most_ms: 1_000,
        count: Some(6),
    };

    #[test]
    fn the_longest_wait_doubles_up_to_its_bound() {
        let longest: Vec<_> = (1..=7)
            .map(|failures| POLICY.wait_ms(failures, u64::MAX))
            .collect();
        let expected = [100, 200, 400, 800, 1_000, 1_000].map(Some);
        assert_eq!(longest[..6], expected);
        assert_eq!(longest[6], None);
        let for_ever = RetryPolicy {
            count: None,
            ..POLICY
        };
        assert_eq!(for_ever.wait_ms(u64::MAX, u64::MAX), Some(1_000));
        let none = RetryPolicy {
            count: Some(0),
            ..POLICY
        };
        assert_eq!(none.wait_ms(1, 0), None);
    }

    #[test]
    fn every_wait_up_to_the_longest_is_equally_likely() {
        let mut counts = [0_u32; 101];
        // Numbers that stand at equal distances.
        for step in 0..101_000_u64 {
            let random = step * (u64::MAX / 101_000);
            let wait = POLICY.wait_ms(1, random).unwrap();
            counts[usize::try_from(wait).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (995..=1_005).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn any_numbers_at_all_give_a_wait_within_the_bound() {
        let wide = RetryPolicy {
            first_ms: u64::MAX,
            most_ms: u64::MAX,
            count: None,
        };
        assert_eq!(wide.wait_ms(9, u64::MAX), Some(u64::MAX));
        assert_eq!(wide.wait_ms(0, 0), Some(0));
    }
}
