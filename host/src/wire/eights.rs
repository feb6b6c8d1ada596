//! Eight bytes looked at at once: which of them are some byte, or below one. An answer has the highest bit of a byte set
//! where it is so.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Marks the bytes below `least`, which is ASCII; above the first of them others may be marked too, and before it none.
/// Taking `least` away borrows into the highest bit, which they did not have.
pub(crate) fn below(eight: u64, least: u8) -> u64 {
    eight.wrapping_sub(ONES * u64::from(least)) & !eight & HIGHS
}

/// Marks the bytes that are `byte`; others as [`below`].
pub(crate) fn equal(eight: u64, byte: u8) -> u64 {
    below(eight ^ (ONES * u64::from(byte)), 1)
}

/// Marks the bytes that are not ASCII.
pub(crate) fn beyond_ascii(eight: u64) -> u64 {
    eight & HIGHS
}

/// Marks the bytes that are `byte`, and no others.
pub(crate) fn exactly(eight: u64, byte: u8) -> u64 {
    let other = eight ^ (ONES * u64::from(byte));
    // No carry leaves its byte.
    !(((other & !HIGHS) + !HIGHS) | other | !HIGHS)
}

/// Where the first byte stands that `is_stop`; where there is none, the length. `marks` is the same for eight at once, and
/// may mark others above the first.
pub(crate) fn first(
    bytes: &[u8],
    marks: impl Fn(u64) -> u64,
    is_stop: impl Fn(u8) -> bool,
) -> usize {
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let found = marks(u64::from_le_bytes(*eight));
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let end = rest.iter().position(|byte| is_stop(*byte));
    bytes.len() - rest.len() + end.unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_marked_and_those_before_it_are_not() {
        for one in 0..=255_u8 {
            for other in 0..=255_u8 {
                let bytes = [other, one, other, other, one, one, other, one];
                let eight = u64::from_le_bytes(bytes);
                let marked = |is: &dyn Fn(u8) -> bool| {
                    let marks = bytes.map(|byte| if is(byte) { 0x80 } else { 0 });
                    u64::from_le_bytes(marks)
                };
                assert_eq!(exactly(eight, one), marked(&|byte| byte == one));
                assert_eq!(beyond_ascii(eight), marked(&|byte| byte >= 0x80));
                let first = |marks: u64| marks.trailing_zeros();
                assert_eq!(first(equal(eight, one)), first(marked(&|byte| byte == one)));
                if one <= 0x80 {
                    assert_eq!(first(below(eight, one)), first(marked(&|byte| byte < one)));
                }
            }
        }
    }
}
