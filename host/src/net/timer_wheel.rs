//! Timers of one service thread: a hierarchical wheel over milliseconds.
//!
//! Level 0 has a slot for each of the next 64 milliseconds, level 1 one for each 64 of them, and so on: a slot's number
//! is six bits of the deadline. A timer lies at the level of the highest bits in which its deadline differs from the
//! present, and comes down when the present reaches its slot; so a level holds only slots that are still ahead.

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// Enough for every `u64`.
const LEVELS: usize = 11;
/// The list of what has expired and was not yet asked for, behind those of the slots.
const DUE: usize = LEVELS * SLOTS;
/// The list of unused entries.
const FREE: usize = DUE + 1;
const LISTS: usize = FREE + 1;
const NONE: u32 = u32::MAX;

/// Names a timer. A key whose timer has fired or was cancelled names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    index: u32,
    generation: u32,
}

/// The wheel. `T` is what is told of a timer when it fires.
pub struct TimerWheel<T> {
    now_ms: u64,
    entries: Vec<Entry<T>>,
    /// The first entry of each list.
    heads: [u32; LISTS],
    /// Per level one bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    len: usize,
}

struct Entry<T> {
    deadline_ms: u64,
    payload: T,
    generation: u32,
    /// The list it is in, and its neighbours there.
    list: u32,
    next: u32,
    previous: u32,
}

impl<T: Copy> TimerWheel<T> {
    /// An empty wheel whose present is `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Self {
            now_ms,
            entries: Vec::new(),
            heads: [NONE; LISTS],
            occupied: [0; LEVELS],
            len: 0,
        }
    }

    /// Timers that are set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer. One whose deadline has passed is due in the next millisecond, so that a timer which sets itself
    /// again cannot hold the loop that asks for what has expired.
    pub fn insert(&mut self, deadline_ms: u64, payload: T) -> TimerKey {
        let deadline_ms = deadline_ms.max(self.now_ms.saturating_add(1));
        let index = self.unused(payload);
        let entry = &mut self.entries[index as usize];
        entry.deadline_ms = deadline_ms;
        entry.payload = payload;
        let generation = entry.generation;
        self.len += 1;
        self.place(index);
        TimerKey { index, generation }
    }

    /// Takes a timer back; false if it has fired or was cancelled.
    pub fn cancel(&mut self, key: TimerKey) -> bool {
        match self.entries.get(key.index as usize) {
            Some(entry) if entry.generation == key.generation && entry.list != FREE as u32 => {
                self.unlink(key.index);
                self.retire(key.index);
                true
            }
            _ => false,
        }
    }

    /// Moves the present to `now_ms` and takes one timer that has expired; to be called until there is none. They come
    /// in the order of their deadlines, those of one millisecond in any order.
    pub fn expire(&mut self, now_ms: u64) -> Option<T> {
        loop {
            let due = self.heads[DUE];
            if due != NONE {
                self.unlink(due);
                self.retire(due);
                return Some(self.entries[due as usize].payload);
            }
            match self.earliest_slot() {
                Some((list, begins_ms)) if begins_ms <= now_ms => {
                    self.now_ms = begins_ms;
                    self.bring_down(list);
                }
                _ => {
                    self.now_ms = self.now_ms.max(now_ms);
                    return None;
                }
            }
        }
    }

    /// When [`Self::expire`] is to be called next. That may be before the earliest deadline, once per level that its
    /// timer has to come down.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.heads[DUE] != NONE {
            return Some(self.now_ms);
        }
        self.earliest_slot().map(|(_, begins_ms)| begins_ms)
    }

    /// The first slot that is not empty, and when it begins. The lowest level has it: whatever is above lies behind
    /// the end of that level.
    fn earliest_slot(&self) -> Option<(usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = level as u32 * BITS;
        // All bits above those of the slot are those of the present.
        let above = self.now_ms.checked_shr(shift + BITS).unwrap_or(0);
        let begins_ms = (above << BITS | u64::from(slot)) << shift;
        Some((level * SLOTS + slot as usize, begins_ms))
    }

    /// Places each timer of a list anew; the present has reached it.
    fn bring_down(&mut self, list: usize) {
        while self.heads[list] != NONE {
            let index = self.heads[list];
            self.unlink(index);
            self.place(index);
        }
    }

    fn place(&mut self, index: u32) {
        let deadline_ms = self.entries[index as usize].deadline_ms;
        let list = if deadline_ms <= self.now_ms {
            DUE
        } else {
            let level = (deadline_ms ^ self.now_ms).ilog2() / BITS;
            let slot = (deadline_ms >> (level * BITS)) as usize % SLOTS;
            self.occupied[level as usize] |= 1 << slot;
            level as usize * SLOTS + slot
        };
        self.link(index, list);
    }

    /// An unused entry, out of its list.
    fn unused(&mut self, payload: T) -> u32 {
        let index = self.heads[FREE];
        if index != NONE {
            self.unlink(index);
            return index;
        }
        let index = self.entries.len() as u32;
        self.entries.push(Entry {
            deadline_ms: 0,
            payload,
            generation: 0,
            list: FREE as u32,
            next: NONE,
            previous: NONE,
        });
        index
    }

    /// Makes an entry unused; its key names nothing any more.
    fn retire(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.len -= 1;
        self.link(index, FREE);
    }

    fn link(&mut self, index: u32, list: usize) {
        let next = self.heads[list];
        self.heads[list] = index;
        if next != NONE {
            self.entries[next as usize].previous = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.list = list as u32;
        entry.next = next;
        entry.previous = NONE;
    }

    fn unlink(&mut self, index: u32) {
        let Entry {
            list,
            next,
            previous,
            ..
        } = self.entries[index as usize];
        let list = list as usize;
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous != NONE {
            self.entries[previous as usize].next = next;
        } else {
            self.heads[list] = next;
            if next == NONE && list < DUE {
                self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            }
        }
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
        assert!(wheel.entries.len() <= 101);
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
