//! The deadlines of a connection. Setting one only writes a number: the driver keeps one timer for the earliest, and
//! when that fires asks what has expired and arms it again. So traffic moves no timer.

/// What happens at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineName {
    /// HTTP: the next request, its head, its body or its answer is late, whichever is awaited.
    Request,
    /// Nothing came from the peer: a ping is sent.
    IdlePing,
    /// Nothing came since that ping: the transport is given up.
    Pong,
    /// The closing handshake is not complete: the transport is closed.
    Close,
    /// Output waits and does not move: the transport is given up.
    StalledWrite,
    /// The one that the protocol has set: the session is closed with its reason.
    Protocol,
}

const NAMES: [DeadlineName; 6] = [
    DeadlineName::Request,
    DeadlineName::IdlePing,
    DeadlineName::Pong,
    DeadlineName::Close,
    DeadlineName::StalledWrite,
    DeadlineName::Protocol,
];

/// The farthest deadline, some 24 days; a later one is this one.
const FARTHEST_MS: u64 = i32::MAX as u64;

/// The deadlines of one connection. Times are milliseconds of the service thread's clock.
///
/// Kept are their low 32 bits: a deadline is within 24 days of any moment at which it is looked at, so they tell the
/// whole, and an idle connection stays small.
#[derive(Debug, Default)]
pub struct Deadlines {
    ticks: [u32; NAMES.len()],
    /// One bit per name that is set.
    set: u8,
}

impl Deadlines {
    /// Sets a deadline `after_ms` from now, in place of what it was.
    #[inline]
    pub fn set(&mut self, name: DeadlineName, now_ms: u64, after_ms: u64) {
        self.ticks[name as usize] = now_ms.wrapping_add(after_ms.min(FARTHEST_MS)) as u32;
        self.set |= bit(name);
    }

    /// Takes a deadline away.
    #[inline]
    pub fn clear(&mut self, name: DeadlineName) {
        self.set &= !bit(name);
    }

    /// Whether a deadline is set.
    #[inline]
    pub fn is_set(&self, name: DeadlineName) -> bool {
        self.set & bit(name) != 0
    }

    /// The time of the earliest; not before `now_ms`, even if it should have been.
    pub fn earliest(&self, now_ms: u64) -> Option<u64> {
        let mut least = None;
        // Asked for after each event, when one is set or two: so it looks at those alone.
        let mut set = self.set;
        while set != 0 {
            let left = self.ticks[set.trailing_zeros() as usize].wrapping_sub(now_ms as u32) as i32;
            least = Some(least.map_or(left, |least: i32| least.min(left)));
            set &= set - 1;
        }
        Some(now_ms + least?.max(0) as u64)
    }

    /// The earliest one that has expired, which is then no longer set.
    pub fn expired(&mut self, now_ms: u64) -> Option<DeadlineName> {
        let expired = |name| Some((self.left_ms(name, now_ms)?, name));
        let (left, name) = NAMES
            .into_iter()
            .filter_map(expired)
            .min_by_key(|(left, _)| *left)?;
        if left > 0 {
            return None;
        }
        self.set &= !bit(name);
        Some(name)
    }

    /// Milliseconds until a deadline, negative behind it.
    fn left_ms(&self, name: DeadlineName, now_ms: u64) -> Option<i32> {
        self.is_set(name)
            .then(|| self.ticks[name as usize].wrapping_sub(now_ms as u32) as i32)
    }
}

const fn bit(name: DeadlineName) -> u8 {
    1 << name as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_told_and_expires_first() {
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.earliest(0), None);
        deadlines.set(DeadlineName::StalledWrite, 100, 50);
        deadlines.set(DeadlineName::IdlePing, 100, 30);
        assert_eq!(deadlines.earliest(100), Some(130));
        assert_eq!(deadlines.expired(129), None);
        assert_eq!(deadlines.expired(150), Some(DeadlineName::IdlePing));
        assert_eq!(deadlines.expired(150), Some(DeadlineName::StalledWrite));
        assert_eq!(deadlines.expired(150), None);
        assert_eq!(deadlines.earliest(150), None);
    }

    #[test]
    fn setting_again_moves_a_deadline_and_clearing_takes_it_away() {
        let mut deadlines = Deadlines::default();
        deadlines.set(DeadlineName::Pong, 0, 10);
        deadlines.set(DeadlineName::Pong, 5, 10);
        assert_eq!(deadlines.expired(10), None);
        deadlines.clear(DeadlineName::Pong);
        assert_eq!(deadlines.expired(1_000), None);
    }

    #[test]
    fn the_clock_may_pass_32_bits() {
        let now = u64::from(u32::MAX) - 5;
        let mut deadlines = Deadlines::default();
        deadlines.set(DeadlineName::Close, now, 1_000);
        assert_eq!(deadlines.earliest(now), Some(now + 1_000));
        assert_eq!(deadlines.expired(now + 999), None);
        assert_eq!(deadlines.earliest(now + 2_000), Some(now + 2_000));
        assert_eq!(deadlines.expired(now + 1_000), Some(DeadlineName::Close));
    }

    #[test]
    fn a_deadline_beyond_the_farthest_is_the_farthest() {
        let mut deadlines = Deadlines::default();
        deadlines.set(DeadlineName::Close, 7, u64::MAX);
        assert_eq!(deadlines.earliest(7), Some(7 + FARTHEST_MS));
    }

    #[test]
    fn deadlines_stay_small() {
        assert!(size_of::<Deadlines>() <= 28);
    }
}
