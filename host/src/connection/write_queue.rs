//! Output that a socket did not take, in order. Empty, it holds no memory.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that several queues keep together, such as a broadcast that is framed once.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Shared bytes shorter than this are copied: a segment of its own would cost more.
const SHARE_FROM_BYTES: usize = 256;

/// Copied bytes are gathered in segments of this size, so that what has left is freed while more is appended.
const SEGMENT_BYTES: usize = 64 << 10;

/// The output of one connection that waits.
#[derive(Default)]
pub struct WriteQueue(Option<Box<Segments>>);

#[derive(Default)]
struct Segments {
    segments: VecDeque<Segment>,
    len: usize,
}

enum Segment {
    /// `from` is how much of it has left.
    Owned { bytes: Vec<u8>, from: usize },
    Shared {
        bytes: SharedBytes,
        range: Range<usize>,
    },
}

impl Segment {
    fn rest(&self) -> &[u8] {
        match self {
            Self::Owned { bytes, from } => &bytes[*from..],
            Self::Shared { bytes, range } => &(**bytes).as_ref()[range.clone()],
        }
    }

    /// Only for less than the rest.
    fn advance(&mut self, count: usize) {
        match self {
            Self::Owned { from, .. } => *from += count,
            Self::Shared { range, .. } => range.start += count,
        }
    }
}

impl WriteQueue {
    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len)
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Appends a copy of `bytes`.
    pub fn push_owned(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let queue = self.0.get_or_insert_default();
        queue.len += bytes.len();
        if let Some(Segment::Owned { bytes: last, .. }) = queue.segments.back_mut()
            && last.len() + bytes.len() <= SEGMENT_BYTES
        {
            last.extend_from_slice(bytes);
        } else {
            queue.segments.push_back(Segment::Owned {
                bytes: bytes.to_vec(),
                from: 0,
            });
        }
    }

    /// All that waits.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.0.iter().flat_map(|queue| &queue.segments);
        segments.map(Segment::rest)
    }

    /// Appends a part of shared bytes, by reference unless it is short. What lies outside the bytes is left out.
    pub fn push_shared(&mut self, bytes: SharedBytes, range: Range<usize>) {
        let whole = (*bytes).as_ref();
        let end = range.end.min(whole.len());
        let range = range.start.min(end)..end;
        // A small part is not to keep a large whole alive.
        if range.len() < SHARE_FROM_BYTES.max(whole.len() / 4) {
            return self.push_owned(&whole[range]);
        }
        let queue = self.0.get_or_insert_default();
        queue.len += range.len();
        queue.segments.push_back(Segment::Shared { bytes, range });
    }

    /// Fills `slices` from the front for one vectored write; says how many were filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let segments = self.0.iter().flat_map(|queue| &queue.segments);
        let mut filled = 0;
        for (slice, segment) in slices.iter_mut().zip(segments) {
            *slice = IoSlice::new(segment.rest());
            filled += 1;
        }
        filled
    }

    /// Drops the first `count` bytes: they have left.
    pub fn advance(&mut self, mut count: usize) {
        let Some(queue) = &mut self.0 else {
            return;
        };
        if count >= queue.len {
            self.0 = None;
            return;
        }
        queue.len -= count;
        while let Some(first) = queue.segments.front_mut() {
            let rest = first.rest().len();
            if count < rest {
                first.advance(count);
                return;
            }
            count -= rest;
            queue.segments.pop_front();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(queue: &WriteQueue) -> Vec<u8> {
        let mut slices = [IoSlice::new(b""); 16];
        let filled = queue.fill(&mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn bytes_leave_in_order_whatever_the_socket_takes() {
        let shared: SharedBytes = Arc::new(vec![b's'; 1_000]);
        for step in [1, 7, 256, 999, 5_000] {
            let mut queue = WriteQueue::default();
            let mut expected = b"first".to_vec();
            queue.push_owned(b"first");
            queue.push_shared(Arc::clone(&shared), 10..500);
            expected.extend_from_slice(&[b's'; 490]);
            queue.push_owned(b"then");
            queue.push_shared(Arc::clone(&shared), 0..3);
            expected.extend_from_slice(b"thensss");
            while !queue.is_empty() {
                assert_eq!(queue.len(), expected.len());
                assert_eq!(waiting(&queue), expected);
                queue.advance(step);
                expected.drain(..step.min(expected.len()));
            }
            assert!(expected.is_empty());
        }
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn long_shared_bytes_are_kept_by_reference() {
        let shared: SharedBytes = Arc::new(vec![1; 1_000]);
        let mut queue = WriteQueue::default();
        queue.push_shared(Arc::clone(&shared), 0..1_000);
        let mut slices = [IoSlice::new(b"")];
        assert_eq!(queue.fill(&mut slices), 1);
        assert_eq!(slices[0].as_ptr(), (*shared).as_ref().as_ptr());
        queue.clear();
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn a_range_outside_the_shared_bytes_is_cut() {
        let shared: SharedBytes = Arc::new(vec![1; 1_000]);
        let mut queue = WriteQueue::default();
        queue.push_shared(Arc::clone(&shared), 600..2_000);
        queue.push_shared(shared, 3_000..4_000);
        assert_eq!(queue.len(), 400);
    }

    #[test]
    fn what_has_left_is_freed_while_more_is_appended() {
        let mut queue = WriteQueue::default();
        queue.push_owned(&[0; 1_000]);
        for _ in 0..10_000 {
            queue.push_owned(&[0; 1_000]);
            queue.advance(1_000);
        }
        let held = |segment: &Segment| match segment {
            Segment::Owned { bytes, .. } => bytes.capacity(),
            Segment::Shared { .. } => 0,
        };
        let segments = &queue.0.as_ref().unwrap().segments;
        assert!(segments.iter().map(held).sum::<usize>() <= 3 * SEGMENT_BYTES);
    }

    #[test]
    fn empty_it_is_one_pointer() {
        assert_eq!(size_of::<WriteQueue>(), 8);
        let mut queue = WriteQueue::default();
        queue.push_owned(b"");
        assert!(queue.is_empty());
    }
}
