//! Large payloads that leave from where they lie: what a session sends out of the message that is delivered to it.
//!
//! They are noted by address, found again in the memory that is ours when the output is written, and never read by
//! address. What is noted leaves, or is copied, before that memory is used again.

use std::{
    io::{self, IoSlice},
    ops::Range,
};

/// Payloads shorter than this are copied: a slice of its own would cost more.
pub(crate) const IN_PLACE_BYTES: usize = 4 << 10;
/// How many leave with one write. What comes behind them is copied.
const PARTS: usize = 15;
/// So much of what goes before a payload is copied in front of it, at most.
const JOINED_BYTES: usize = 64;
/// The slices of one write: before each of them what was gathered, and the rest behind the last.
pub(crate) const SLICES: usize = 2 * PARTS + 1;

/// What the connection that is being served sends from where it lies; empty between two of them.
#[derive(Default)]
pub(crate) struct InPlace {
    /// Addresses of the payload that is being delivered.
    offered: Range<usize>,
    parts: [Part; PARTS],
    count: usize,
    bytes: usize,
}

/// A payload between what was gathered.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Gathered bytes that go before it, those before other parts included.
    behind: usize,
    address: usize,
    len: usize,
}

impl InPlace {
    /// Whether all is gathered.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all the payloads.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a payload is being delivered.
    #[inline]
    pub(crate) fn is_offered(&self) -> bool {
        !self.offered.is_empty()
    }

    /// The payload that is delivered now: it stays as it is until the output is written.
    pub(crate) fn offer(&mut self, payload: &[u8]) {
        self.offered = addresses(payload);
    }

    /// The delivery is over: other memory may lie there soon.
    pub(crate) fn withdraw(&mut self) {
        self.offered = 0..0;
    }

    /// Whether `payload` may leave from where it lies.
    pub(crate) fn takes(&self, payload: &[u8]) -> bool {
        let asked = addresses(payload);
        self.count < PARTS
            && payload.len() >= IN_PLACE_BYTES
            && self.offered.start <= asked.start
            && asked.end <= self.offered.end
    }

    /// Notes a payload that it takes, behind so many gathered bytes.
    pub(crate) fn push(&mut self, behind: usize, payload: &[u8]) {
        let part = Part {
            behind,
            address: payload.as_ptr().addr(),
            len: payload.len(),
        };
        if let Some(place) = self.parts.get_mut(self.count) {
            *place = part;
            self.count += 1;
            self.bytes += part.len;
        }
    }

    /// All output in one piece, if what was `gathered` goes before the only payload and has room in front of it: where the
    /// header of the peer stood, which is longer than ours. A slice less costs the kernel less.
    pub(crate) fn join<'a>(&self, gathered: &[u8], input: &'a mut [u8]) -> Option<&'a [u8]> {
        let [part] = self.parts[..self.count] else {
            return None;
        };
        if part.behind != gathered.len() || part.behind > JOINED_BYTES {
            return None;
        }
        let payload = part.range_in(input)?;
        let start = payload.start.checked_sub(gathered.len())?;
        input[start..payload.start].copy_from_slice(gathered);
        Some(&input[start..payload.end])
    }

    /// All output in order: what was `gathered`, and between it the payloads as they lie in one of `places`.
    ///
    /// # Errors
    ///
    /// A payload that lies in none of them, which would be a fault of ours.
    pub(crate) fn fill<'a>(
        &self,
        gathered: &'a [u8],
        places: [&'a [u8]; 2],
        slices: &mut [IoSlice<'a>; SLICES],
    ) -> io::Result<usize> {
        let (mut from, mut filled) = (0, 0);
        let mut put = |slice: &'a [u8]| {
            if !slice.is_empty() {
                slices[filled] = IoSlice::new(slice);
                filled += 1;
            }
        };
        for part in &self.parts[..self.count] {
            let payload = places.into_iter().find_map(|place| part.within(place));
            let lost = "a payload is no longer where it was delivered";
            put(&gathered[from..part.behind]);
            put(payload.ok_or_else(|| io::Error::other(lost))?);
            from = part.behind;
        }
        put(&gathered[from..]);
        Ok(filled)
    }

    /// Forgets all of it: it was written.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.bytes = 0;
    }
}

impl Part {
    fn within<'a>(&self, place: &'a [u8]) -> Option<&'a [u8]> {
        place.get(self.range_in(place)?)
    }

    fn range_in(&self, place: &[u8]) -> Option<Range<usize>> {
        let start = self.address.checked_sub(place.as_ptr().addr())?;
        let end = start.checked_add(self.len)?;
        (end <= place.len()).then_some(start..end)
    }
}

fn addresses(bytes: &[u8]) -> Range<usize> {
    let start = bytes.as_ptr().addr();
    start..start + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(in_place: &InPlace, gathered: &[u8], places: [&[u8]; 2]) -> io::Result<Vec<u8>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = in_place.fill(gathered, places, &mut slices)?;
        Ok(slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect())
    }

    #[test]
    fn payloads_leave_between_what_was_gathered_in_the_order_they_were_sent() {
        let (input, held) = (vec![b'i'; 3 * IN_PLACE_BYTES], vec![b'h'; IN_PLACE_BYTES]);
        let mut in_place = InPlace::default();
        in_place.offer(&input);
        for (behind, payload) in [(1, &input[..IN_PLACE_BYTES]), (1, &input[7..9_000])] {
            assert!(in_place.takes(payload));
            in_place.push(behind, payload);
        }
        in_place.offer(&held);
        assert!(in_place.takes(&held) && !in_place.takes(&input));
        in_place.push(3, &held);
        assert_eq!(in_place.bytes(), 2 * IN_PLACE_BYTES + 8_993);

        let (first, second) = (&input[..IN_PLACE_BYTES], &input[7..9_000]);
        let expected = [b"a", first, second, b"bc", &held, b"de"].concat();
        assert_eq!(
            output(&in_place, b"abcde", [&input, &held]).unwrap(),
            expected
        );
        in_place.clear();
        assert_eq!(
            output(&in_place, b"abcde", [&input, &held]).unwrap(),
            b"abcde"
        );
    }

    #[test]
    fn only_a_large_part_of_what_is_being_delivered_is_taken_and_so_many_at_most() {
        let memory = vec![0; 4 * IN_PLACE_BYTES];
        let (before, delivered) = memory.split_at(IN_PLACE_BYTES);
        let mut in_place = InPlace::default();
        assert!(!in_place.takes(delivered), "nothing is delivered");
        in_place.offer(delivered);
        assert!(!in_place.takes(&delivered[..IN_PLACE_BYTES - 1]), "short");
        assert!(!in_place.takes(before));
        assert!(!in_place.takes(&memory[IN_PLACE_BYTES - 1..]));
        assert!(!in_place.takes(&vec![0; IN_PLACE_BYTES]));
        for _ in 0..PARTS {
            assert!(in_place.takes(delivered));
            in_place.push(0, delivered);
        }
        assert!(!in_place.takes(delivered), "as many as leave at once");
        in_place.clear();
        assert!(in_place.takes(delivered));
        in_place.withdraw();
        assert!(!in_place.takes(delivered), "the delivery is over");
    }

    #[test]
    fn a_single_payload_with_room_before_it_leaves_in_one_piece_with_its_header() {
        let mut input = vec![b'.'; 3 + IN_PLACE_BYTES];
        let mut in_place = InPlace::default();
        in_place.offer(&input);
        in_place.push(2, &input[3..]);
        let expected = [b"ab", &input[3..]].concat();
        assert_eq!(in_place.join(b"ab", &mut input), Some(&expected[..]));
        assert_eq!(input[..3], *b".ab");
        assert_eq!(in_place.join(b"abc", &mut input), None, "one goes behind");
        in_place.push(2, &input[3..]);
        assert_eq!(in_place.join(b"ab", &mut input), None, "two of them");

        in_place.clear();
        in_place.push(4, &input[3..]);
        assert_eq!(in_place.join(b"abcd", &mut input), None, "no room");
        assert_eq!(in_place.join(b"abcd", &mut [0; 9]), None, "not there");
        assert_eq!(input[..3], *b".ab");
    }

    #[test]
    fn a_payload_that_is_not_in_our_memory_is_not_read() {
        let (delivered, other) = (vec![0; IN_PLACE_BYTES], vec![0; IN_PLACE_BYTES]);
        let mut in_place = InPlace::default();
        in_place.offer(&delivered);
        in_place.push(0, &delivered);
        let short = &delivered[..IN_PLACE_BYTES - 1];
        assert!(output(&in_place, b"", [&other, short]).is_err());
    }
}
