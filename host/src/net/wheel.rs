//! A hierarchical timing wheel: numbers and when each is due. To set and to take back cost the same however many there
//! are, and a number that is set takes 16 bytes.
//!
//! Time is milliseconds. Level `n` of the wheel has 64 slots, each 64^n ms wide; the number of a deadline's slot there is
//! six bits of the deadline. A number lies at the level of the highest bits in which its deadline differs from the
//! present, and comes down when the present reaches its slot; so a level holds only slots that are still ahead.

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// Enough for every `u64`.
const LEVELS: usize = 11;
/// The list of what has expired and was not yet asked for, behind those of the slots.
const DUE: usize = LEVELS * SLOTS;
const LISTS: usize = DUE + 1;
/// The end of a list.
const NONE: u32 = u32::MAX;
/// In place of the neighbour before: the first one of the list with the number in the other bits.
const FIRST: u32 = 1 << 31;
/// In place of the neighbour before: not set.
const UNSET: u32 = u32::MAX;

/// Numbers that are set, to be asked for when they are due. They are to be small and dense: each below the highest one
/// has a place. Those from 2^31 on cannot be set.
pub(crate) struct Wheel {
    now_ms: u64,
    /// When [`Self::expire`] finds something next: a number, or one that is to come down. The end of time when nothing
    /// is set. Kept, since it is asked for twice in each turn.
    next_ms: u64,
    entries: Vec<Entry>,
    /// The first entry of each list.
    heads: [u32; LISTS],
    /// Per level one bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    len: usize,
}

struct Entry {
    deadline_ms: u64,
    /// Its neighbours in its list.
    next: u32,
    previous: u32,
}

impl Wheel {
    /// An empty wheel whose present is `now_ms`, with room for so many numbers.
    pub(crate) fn new(now_ms: u64, room: usize) -> Self {
        Self {
            now_ms,
            next_ms: u64::MAX,
            entries: Vec::with_capacity(room),
            heads: [NONE; LISTS],
            occupied: [0; LEVELS],
            len: 0,
        }
    }

    /// How many are set.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// When a number is due; none when it is not set.
    #[inline]
    pub(crate) fn deadline(&self, number: u32) -> Option<u64> {
        let entry = self.entries.get(number as usize)?;
        (entry.previous != UNSET).then_some(entry.deadline_ms)
    }

    /// Sets a number, or sets it anew. One whose deadline has passed is due in the next millisecond, so that a timer
    /// which sets itself again cannot hold the loop that asks for what has expired.
    pub(crate) fn set(&mut self, number: u32, deadline_ms: u64) {
        self.unset(number);
        while self.entries.len() <= number as usize {
            self.entries.push(Entry {
                deadline_ms: 0,
                next: NONE,
                previous: UNSET,
            });
        }
        self.entries[number as usize].deadline_ms = deadline_ms.max(self.now_ms.saturating_add(1));
        self.len += 1;
        self.place(number);
    }

    /// Takes a number back; false if it was not set.
    pub(crate) fn unset(&mut self, number: u32) -> bool {
        let is_set = self.deadline(number).is_some();
        if is_set {
            self.unlink(number);
            self.len -= 1;
        }
        is_set
    }

    /// Moves the present to `now_ms` and takes one number that is due; to be called until there is none. They come in
    /// the order of their deadlines, those of one millisecond in any order.
    #[inline]
    pub(crate) fn expire(&mut self, now_ms: u64) -> Option<u32> {
        if now_ms < self.next_ms {
            self.now_ms = self.now_ms.max(now_ms);
            return None;
        }
        self.expire_next(now_ms)
    }

    fn expire_next(&mut self, now_ms: u64) -> Option<u32> {
        loop {
            let due = self.heads[DUE];
            if due != NONE {
                self.unset(due);
                return Some(due);
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
    /// number has to come down.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        (self.len > 0).then_some(self.next_ms)
    }

    /// See `next_ms`.
    fn next(&self) -> u64 {
        if self.heads[DUE] != NONE {
            return self.now_ms;
        }
        self.earliest_slot()
            .map_or(u64::MAX, |(_, begins_ms)| begins_ms)
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

    /// Places each number of a list anew; the present has reached it.
    fn bring_down(&mut self, list: usize) {
        while self.heads[list] != NONE {
            let number = self.heads[list];
            self.unlink(number);
            self.place(number);
        }
    }

    fn place(&mut self, number: u32) {
        let deadline_ms = self.entries[number as usize].deadline_ms;
        let (list, begins_ms) = if deadline_ms <= self.now_ms {
            (DUE, self.now_ms)
        } else {
            let level = (deadline_ms ^ self.now_ms).ilog2() / BITS;
            let above = deadline_ms >> (level * BITS);
            let slot = above as usize % SLOTS;
            self.occupied[level as usize] |= 1 << slot;
            (level as usize * SLOTS + slot, above << (level * BITS))
        };
        self.next_ms = self.next_ms.min(begins_ms);
        self.link(number, list);
    }

    fn link(&mut self, number: u32, list: usize) {
        let next = self.heads[list];
        self.heads[list] = number;
        if next != NONE {
            self.entries[next as usize].previous = number;
        }
        let entry = &mut self.entries[number as usize];
        entry.next = next;
        entry.previous = FIRST | list as u32;
    }

    fn unlink(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        let (next, previous) = (entry.next, entry.previous);
        entry.previous = UNSET;
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        if previous & FIRST == 0 {
            self.entries[previous as usize].next = next;
            return;
        }
        let list = (previous & !FIRST) as usize;
        self.heads[list] = next;
        if next == NONE {
            if list < DUE {
                self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            }
            self.next_ms = self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_due_once_when_it_was_set_for_last() {
        let mut wheel = Wheel::new(0, 0);
        wheel.set(7, 10);
        wheel.set(7, 500);
        wheel.set(2, 20);
        assert_eq!((wheel.deadline(7), wheel.deadline(3)), (Some(500), None));
        assert_eq!(wheel.expire(100), Some(2));
        assert_eq!(wheel.expire(499), None);
        assert_eq!((wheel.expire(500), wheel.expire(500)), (Some(7), None));
        assert_eq!((wheel.deadline(7), wheel.len()), (None, 0));
    }

    #[test]
    fn any_of_a_list_can_be_taken_back_and_the_others_stay() {
        for gone in 0..4 {
            let mut wheel = Wheel::new(0, 0);
            (0..4).for_each(|number| wheel.set(number, 70));
            assert!(wheel.unset(gone));
            assert!(!wheel.unset(gone));
            let mut due: Vec<_> = std::iter::from_fn(|| wheel.expire(70)).collect();
            due.sort_unstable();
            assert_eq!(
                due,
                (0..4).filter(|number| *number != gone).collect::<Vec<_>>()
            );
            assert_eq!(wheel.next_deadline(), None);
        }
    }

    #[test]
    fn a_number_costs_16_bytes() {
        assert_eq!(size_of::<Entry>(), 16);
    }
}
