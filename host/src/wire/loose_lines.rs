//! Lines of a head that not all readers would end at the same place. RFC 9112 section 2.2.

use super::eights::below;
use super::request_head::HeadError;

/// Section 2.2: lines end with CR LF and with nothing else, and there is no NUL.
pub(super) fn refuse_loose_lines(head: &[u8]) -> Result<(), HeadError> {
    let mut before = 0;
    for eight in head.chunks(8) {
        if before != b'\r' && is_text(eight) {
            before = eight[7];
            continue;
        }
        for byte in eight {
            match (before, byte) {
                (b'\r', b'\n') => {}
                (b'\r', _) => return Err(HeadError::Malformed("CR without LF")),
                (_, b'\n') => return Err(HeadError::Malformed("LF without CR")),
                (_, 0) => return Err(HeadError::Malformed("NUL")),
                _ => {}
            }
            before = *byte;
        }
    }
    Ok(())
}

/// Whether these are eight bytes, none of them below a blank: most of a head, seen at once.
fn is_text(bytes: &[u8]) -> bool {
    let eight = bytes.try_into().map(u64::from_le_bytes);
    eight.is_ok_and(|eight| below(eight, b' ') == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loose_line_is_found_wherever_it_stands() {
        let good = b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\t long enough for all places\r\n\r\n";
        assert_eq!(refuse_loose_lines(good), Ok(()));
        for place in 0..good.len() {
            for (bytes, expected) in [
                (&b"\n"[..], HeadError::Malformed("LF without CR")),
                (b"\0", HeadError::Malformed("NUL")),
                (b"\rx", HeadError::Malformed("CR without LF")),
            ] {
                // Between a CR and its LF it is the CR that is wrong.
                if place > 0 && good[place - 1] == b'\r' {
                    continue;
                }
                let mut head = good.to_vec();
                head.splice(place..place, bytes.iter().copied());
                assert_eq!(refuse_loose_lines(&head), Err(expected), "{place}");
            }
        }
    }
}
