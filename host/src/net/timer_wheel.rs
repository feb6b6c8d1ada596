//! Timers by key, each with what is told when it fires. Setting and cancelling cost the same however many there are.

use crate::net::wheel::Wheel;

/// Names a timer. A key whose timer has fired or was cancelled names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

/// The timers. `T` is what is told of one when it fires.
pub struct TimerWheel<T> {
    /// When the timer with this index is due.
    wheel: Wheel,
    timers: Vec<Timer<T>>,
    /// Indices of timers that are not set.
    free: Vec<u32>,
}

struct Timer<T> {
    payload: T,
    /// Of the timer that is set, or of the next one.
    generation: u32,
}

impl<T: Copy> TimerWheel<T> {
    /// None is set, and the present is `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            wheel: Wheel::new(now_ms, 0),
            timers: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Timers that are set.
    pub fn len(&self) -> usize {
        self.wheel.len()
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets a timer. One whose deadline has passed is due in the next millisecond.
    pub fn insert(&mut self, deadline_ms: u64, payload: T) -> TimerKey {
        let index = self.unused(payload);
        self.wheel.set(index, deadline_ms);
        TimerKey {
            index,
            generation: self.timers[index as usize].generation,
        }
    }

    /// Takes a timer back; false if it has fired or was cancelled.
    pub fn cancel(&mut self, key: TimerKey) -> bool {
        let timer = self.timers.get(key.index as usize);
        let is_set = timer.is_some_and(|timer| timer.generation == key.generation)
            && self.wheel.unset(key.index);
        if is_set {
            self.retire(key.index);
        }
        is_set
    }

    /// Moves the present to `now_ms` and takes one timer that has expired; to be called until there is none. They come
    /// in the order of their deadlines, those of one millisecond in any order.
    pub fn expire(&mut self, now_ms: u64) -> Option<T> {
        let index = self.wheel.expire(now_ms)?;
        self.retire(index);
        Some(self.timers[index as usize].payload)
    }

    /// When [`Self::expire`] is to be called next. That may be before the earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.wheel.next_deadline()
    }

    /// A timer that is not set.
    fn unused(&mut self, payload: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.timers[index as usize].payload = payload;
            return index;
        }
        self.timers.push(Timer {
            payload,
            generation: 0,
        });
        self.timers.len() as u32 - 1
    }

    /// A timer is not set any more; its key names nothing.
    fn retire(&mut self, index: u32) {
        let timer = &mut self.timers[index as usize];
        timer.generation = timer.generation.wrapping_add(1);
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// All that expires at `now_ms`.
    fn drain(wheel: &mut TimerWheel<u32>, now_ms: u64) -> Vec<u32> {
        std::iter::from_fn(|| wheel.expire(now_ms)).collect()
    }

    #[test]
    fn timers_fire_at_their_millisecond_and_in_order() {
        let mut wheel = TimerWheel::new(1_000);
        for (deadline, name) in [(1_300, 3), (1_001, 1), (500_000, 4), (1_064, 2)] {
            wheel.insert(deadline, name);
        }
        assert!(drain(&mut wheel, 1_000).is_empty());
        assert_eq!(drain(&mut wheel, 1_001), [1]);
        assert!(drain(&mut wheel, 1_063).is_empty());
        assert_eq!(drain(&mut wheel, 499_999), [2, 3]);
        assert_eq!(drain(&mut wheel, 500_000), [4]);
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn a_cancelled_timer_does_not_fire_and_its_key_is_stale() {
        let mut wheel = TimerWheel::new(0);
        let key = wheel.insert(10, 1);
        assert!(wheel.cancel(key));
        assert!(!wheel.cancel(key));
        let again = wheel.insert(10, 2);
        assert!(!wheel.cancel(key), "the entry has a new owner");
        assert_eq!(drain(&mut wheel, 10), [2]);
        assert!(!wheel.cancel(again));
    }

    #[test]
    fn a_timer_that_is_due_can_still_be_cancelled() {
        let mut wheel = TimerWheel::new(0);
        let keys = [wheel.insert(5, 0), wheel.insert(5, 1)];
        let fired = wheel.expire(5).unwrap();
        assert_eq!(wheel.next_deadline(), Some(5));
        assert!(wheel.cancel(keys[1 - fired as usize]));
        assert_eq!(wheel.expire(5), None);
    }

    #[test]
    fn a_timer_that_sets_itself_again_does_not_hold_the_loop() {
        let mut wheel = TimerWheel::new(0);
        wheel.insert(0, 7);
        let mut fired = 0;
        while let Some(name) = wheel.expire(50) {
            wheel.insert(0, name);
            fired += 1;
        }
        assert_eq!(fired, 50);
        assert_eq!(wheel.next_deadline(), Some(51));
    }

    #[test]
    fn the_end_of_time_is_a_deadline_like_any_other() {
        let mut wheel = TimerWheel::new(u64::MAX - 1);
        wheel.insert(u64::MAX, 1);
        assert_eq!(wheel.expire(u64::MAX - 1), None);
        assert_eq!(wheel.expire(u64::MAX), Some(1));
        let mut wheel = TimerWheel::new(0);
        wheel.insert(u64::MAX, 2);
        assert_eq!(wheel.expire(u64::MAX - 1), None);
        assert_eq!(wheel.expire(u64::MAX), Some(2));
    }

    #[test]
    fn entries_are_used_again() {
        let mut wheel = TimerWheel::new(0);
        for now in 0..1_000 {
            wheel.insert(now + 100, 0);
            drain(&mut wheel, now);
        }
        assert!(wheel.timers.len() <= 101);
    }

    /// A generator of its own, so that a failure can be run again by its seed.
    fn xorshift(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn any_schedule_agrees_with_a_sorted_map() {
        for seed in 1..=40_u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut now = xorshift(&mut state) >> (seed % 64);
            let mut wheel = TimerWheel::new(now);
            let mut model = BTreeMap::new();
            let mut keys = Vec::new();
            for name in 0..2_000_u32 {
                let random = xorshift(&mut state);
                match random % 4 {
                    0 | 1 => {
                        let ahead = (random >> 8) >> (random % 57);
                        let deadline = now.saturating_add(ahead);
                        let key = wheel.insert(deadline, name);
                        model.insert((deadline.max(now + 1), name), key);
                        keys.push((key, (deadline.max(now + 1), name)));
                    }
                    2 if !keys.is_empty() => {
                        let (key, place) = keys.swap_remove(random as usize % keys.len());
                        let set = model.remove(&place).is_some();
                        assert_eq!(wheel.cancel(key), set, "seed {seed}");
                    }
                    _ => {
                        // Sometimes to where the wheel wants to be called, sometimes anywhere.
                        let next = wheel.next_deadline().filter(|_| random & 0x80 != 0);
                        let jump = now.saturating_add((random >> 16) >> (random % 48));
                        now = next.unwrap_or(jump).max(now).min(u64::MAX - 1);
                        let mut last = 0;
                        let mut expected: Vec<_> = Vec::new();
                        while let Some(entry) = model.first_entry()
                            && entry.key().0 <= now
                        {
                            expected.push(entry.remove_entry().0.1);
                        }
                        let mut fired = drain(&mut wheel, now);
                        for name in &fired {
                            let (_, (deadline, _)) =
                                keys.iter().find(|(_, place)| place.1 == *name).unwrap();
                            assert!(*deadline >= last, "seed {seed}");
                            last = *deadline;
                        }
                        fired.sort_unstable();
                        expected.sort_unstable();
                        assert_eq!(fired, expected, "seed {seed}");
                    }
                }
                let earliest = model.first_key_value().map(|((deadline, _), _)| *deadline);
                assert_eq!(wheel.len(), model.len(), "seed {seed}");
                match (wheel.next_deadline(), earliest) {
                    (Some(next), Some(earliest)) => {
                        assert!(now < next && next <= earliest, "seed {seed}");
                    }
                    (next, earliest) => assert_eq!(next, earliest, "seed {seed}"),
                }
            }
        }
    }
}
