//! Where the parts of a line end: the first byte that does not belong to a name, a value or a target. Most of a head is
//! looked at eight bytes at a time.

use crate::wire::eights::{below, beyond_ascii, equal, first};

/// The bytes of a token: RFC 9110 section 5.6.2.
const TOKEN: [bool; 256] = {
    let mut fits = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        fits[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        fits[others[at] as usize] = true;
        at += 1;
    }
    fits
};

/// Where a token ends.
pub(super) fn token_end(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| !TOKEN[usize::from(*byte)]);
    end.unwrap_or(bytes.len())
}

/// Where a request target ends: at a blank, or at what no URI has (RFC 3986 section 2; a fragment is never sent).
pub(super) fn target_end(bytes: &[u8]) -> usize {
    let marks =
        |eight| below(eight, 0x21) | beyond_ascii(eight) | equal(eight, 0x7f) | equal(eight, b'#');
    first(bytes, marks, |byte| {
        !byte.is_ascii_graphic() || byte == b'#'
    })
}

/// Where the value of a field ends: at a control character other than a tab (RFC 9110 section 5.5).
pub(super) fn value_end(bytes: &[u8]) -> usize {
    let marks = |eight| below(eight, b' ') | equal(eight, 0x7f);
    let is_stop = |byte: u8| byte.is_ascii_control();
    let mut end = first(bytes, marks, is_stop);
    while let Some((b'\t', rest)) = bytes[end..].split_first() {
        end += 1 + first(rest, marks, is_stop);
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte at each place among others that stop nothing, and each next to each.
    fn agrees(end: impl Fn(&[u8]) -> usize, is_stop: impl Fn(u8) -> bool) {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                let expected = if is_stop(byte) { place } else { 20 };
                assert_eq!(end(&bytes), expected, "{byte} at {place}");
            }
            for next in 0..=255_u8 {
                let bytes = [b'a', byte, next, b'a', b'a', b'a', b'a', b'a', b'a'];
                let expected = bytes.iter().position(|byte| is_stop(*byte));
                assert_eq!(end(&bytes), expected.unwrap_or(9), "{byte} {next}");
            }
        }
    }

    #[test]
    fn each_part_of_a_line_ends_at_the_first_byte_that_does_not_belong_to_it() {
        let is_token = |byte: u8| crate::wire::fields::is_token(&[byte]);
        agrees(token_end, |byte| !is_token(byte));
        agrees(target_end, |byte| !byte.is_ascii_graphic() || byte == b'#');
        agrees(value_end, |byte| byte.is_ascii_control() && byte != b'\t');
    }
}
