//! The Range field, held against a length. RFC 9110 sections 14.1 and 14.2.

use std::ops::Range;

/// Which part of a content is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it: the field is malformed, of another unit, or asks for more than is reasonable.
    Whole,
    /// These bytes, in the order in which they were asked for; at least one range, none empty.
    Parts(Vec<Range<u64>>),
    /// Nothing that is there: 416.
    Unsatisfiable,
}

/// What the field asks for of a content of so many bytes. More than `most_count` ranges, or ranges that together have
/// more bytes than the content, are answered with all of it: section 14.2 lets a server do so, and nobody needs them.
/// So is a content of no bytes, which has no range that a Content-Range could say.
#[must_use]
pub fn select(field: &[u8], length: u64, most_count: u64) -> Selection {
    read(field, length, most_count).unwrap_or(Selection::Whole)
}

/// `None` for what is to be ignored.
fn read(field: &[u8], length: u64, most_count: u64) -> Option<Selection> {
    let equals = field.iter().position(|byte| *byte == b'=')?;
    let (unit, list) = (&field[..equals], &field[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") || length == 0 {
        return None;
    }
    let mut parts = Vec::new();
    let (mut count, mut total) = (0, 0_u64);
    for element in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        if element.is_empty() {
            continue;
        }
        count += 1;
        if count > most_count {
            return None;
        }
        if let Some(part) = part(element, length)? {
            total = total.saturating_add(part.end - part.start);
            parts.push(part);
        }
    }
    if count == 0 || total > length {
        return None;
    }
    if parts.is_empty() {
        return Some(Selection::Unsatisfiable);
    }
    Some(Selection::Parts(parts))
}

/// `None` for what is malformed, `Some(None)` for what is not there.
fn part(element: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let dash = element.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    let range = if first.is_empty() {
        length.saturating_sub(number(last)?)..length
    } else {
        let first = number(first)?;
        let end = if last.is_empty() {
            length
        } else {
            let last = number(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(length)
        };
        first..end
    };
    Some((!range.is_empty()).then_some(range))
}

/// Digits only. What does not fit is beyond any content.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(field: &str) -> Selection {
        select(field.as_bytes(), 100, 4)
    }

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        for (field, parts) in [
            ("bytes=0-0", &[(0, 1)][..]),
            ("bytes=0-99", &[(0, 100)][..]),
            ("bytes=10-19", &[(10, 20)][..]),
            ("bytes=90-", &[(90, 100)][..]),
            ("bytes=90-200", &[(90, 100)][..]),
            ("bytes=0-18446744073709551615", &[(0, 100)][..]),
            ("bytes=0-99999999999999999999999", &[(0, 100)][..]),
            ("bytes=-1", &[(99, 100)][..]),
            ("bytes=-100", &[(0, 100)][..]),
            ("bytes=-1000", &[(0, 100)][..]),
            ("BYTES=007-08", &[(7, 9)][..]),
            ("bytes=0-0,-1", &[(0, 1), (99, 100)][..]),
            (
                "bytes= 50-59 ,\t0-9,, 20-29",
                &[(50, 60), (0, 10), (20, 30)][..],
            ),
            ("bytes=0-9,100-200", &[(0, 10)][..]),
            ("bytes=-0,5-5", &[(5, 6)][..]),
            ("bytes=0-9,5-14", &[(0, 10), (5, 15)][..]),
        ] {
            let parts = parts.iter().map(|(start, end)| *start..*end).collect();
            assert_eq!(asked(field), Selection::Parts(parts), "{field}");
        }
    }

    #[test]
    fn what_begins_behind_the_end_is_not_satisfiable() {
        for field in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=200-300,400-",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(asked(field), Selection::Unsatisfiable, "{field}");
        }
    }

    #[test]
    fn what_is_malformed_or_unreasonable_is_answered_with_all_of_it() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-4",
            "bytes=0-0,5-4",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=--1",
            "bytes=0x1-2",
            "bytes 0-1",
            "bytes =0-1",
            "bytes=0 -1",
            "items=0-1",
            "bytes=0-0,1-1,2-2,3-3,4-4",
            "bytes=0-,0-0",
            "bytes=-100,-100",
        ] {
            assert_eq!(asked(field), Selection::Whole, "{field}");
        }
        assert_eq!(select(b"bytes=0-", 0, 4), Selection::Whole);
        assert_eq!(select(b"bytes=-5", 0, 4), Selection::Whole);
    }
}
