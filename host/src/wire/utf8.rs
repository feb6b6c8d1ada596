//! UTF-8 that comes in pieces, refused at the octet where it becomes invalid. RFC 3629; RFC 6455 section 8.1.

/// The bytes cannot be the beginning of any UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// From this length on the vectorised check is faster than that of the standard library.
const VECTOR_BYTES: usize = 128;

/// What is known of a text so far: the code point that has begun, if any. Fresh by `default()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8 {
    /// Octets that the code point still needs.
    missing: u8,
    /// The range of the next one: narrower after E0, ED, F0 and F4.
    low: u8,
    high: u8,
}

impl Default for Utf8 {
    fn default() -> Self {
        Self::wants(0)
    }
}

impl Utf8 {
    /// Takes the next piece of the text.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if no continuation could make the text valid.
    #[inline]
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), InvalidUtf8> {
        while self.missing > 0 {
            let Some((octet, rest)) = bytes.split_first() else {
                return Ok(());
            };
            self.octet(*octet)?;
            bytes = rest;
        }
        let (whole, begun) = bytes.split_at(begun_code_point(bytes));
        if !is_utf8(whole) {
            return Err(InvalidUtf8);
        }
        begun.iter().try_for_each(|octet| self.octet(*octet))
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`InvalidUtf8`] if a code point is not complete.
    #[inline]
    pub fn finish(&self) -> Result<(), InvalidUtf8> {
        if self.missing == 0 {
            Ok(())
        } else {
            Err(InvalidUtf8)
        }
    }

    const fn wants(missing: u8) -> Self {
        Self::wants_within(missing, 0x80, 0xBF)
    }

    const fn wants_within(missing: u8, low: u8, high: u8) -> Self {
        Self { missing, low, high }
    }

    /// The table of RFC 3629 section 4.
    fn octet(&mut self, octet: u8) -> Result<(), InvalidUtf8> {
        *self = if self.missing > 0 {
            if !(self.low..=self.high).contains(&octet) {
                return Err(InvalidUtf8);
            }
            Self::wants(self.missing - 1)
        } else {
            match octet {
                0x00..=0x7F => Self::wants(0),
                0xC2..=0xDF => Self::wants(1),
                0xE0 => Self::wants_within(2, 0xA0, 0xBF),
                0xED => Self::wants_within(2, 0x80, 0x9F),
                0xE1..=0xEF => Self::wants(2),
                0xF0 => Self::wants_within(3, 0x90, 0xBF),
                0xF1..=0xF3 => Self::wants(3),
                0xF4 => Self::wants_within(3, 0x80, 0x8F),
                _ => return Err(InvalidUtf8),
            }
        };
        Ok(())
    }
}

/// Whether these bytes are a whole text.
#[inline]
pub fn is_utf8(bytes: &[u8]) -> bool {
    if bytes.len() < VECTOR_BYTES {
        // Most text is, and that is told without looking for code points.
        bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
    } else {
        simdutf8::basic::from_utf8(bytes).is_ok()
    }
}

/// Where the last code point begins if its octets are not all there, else the end.
#[inline]
fn begun_code_point(bytes: &[u8]) -> usize {
    for (back, octet) in bytes.iter().rev().take(3).enumerate() {
        let width = match octet {
            0x80..=0xBF => continue,
            0x00..=0x7F => 1,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        return bytes.len() - if width > back + 1 { back + 1 } else { 0 };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The octet at which `bytes` become invalid, pushed one at a time.
    fn first_bad_octet(bytes: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        bytes.iter().position(|octet| utf8.push(&[*octet]).is_err())
    }

    #[test]
    fn invalid_text_fails_at_its_octet() {
        for (bytes, at) in [
            (&b"\x80"[..], 0),
            (b"\xc0\xaf", 0),
            (b"\xc1\xbf", 0),
            (b"a\xc3a", 2),
            (b"\xe0\x9f\xbf", 1),
            (b"\xed\xa0\x80", 1),
            (b"\xf0\x8f\xbf\xbf", 1),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5\x80\x80\x80", 0),
            (b"\xff", 0),
            (b"\xce\xba\xe1\xbd\xb9\xf4\x90", 6),
        ] {
            assert_eq!(first_bad_octet(bytes), Some(at), "{bytes:x?}");
            // In one piece it is no later: cut behind the bad octet it fails, cut before it does not.
            assert!(Utf8::default().push(&bytes[..=at]).is_err(), "{bytes:x?}");
            assert!(Utf8::default().push(&bytes[..at]).is_ok(), "{bytes:x?}");
        }
    }

    #[test]
    fn every_code_point_passes_whole_and_split() {
        let mut octets = [0; 4];
        for character in (0..=0x0010_FFFF).filter_map(char::from_u32) {
            let bytes = character.encode_utf8(&mut octets).as_bytes();
            for cut in 0..=bytes.len() {
                let mut utf8 = Utf8::default();
                assert_eq!(utf8.push(&bytes[..cut]), Ok(()));
                assert_eq!(utf8.finish().is_ok(), cut == 0 || cut == bytes.len());
                assert_eq!(utf8.push(&bytes[cut..]), Ok(()));
                assert_eq!(utf8.finish(), Ok(()));
            }
        }
    }

    #[test]
    fn every_sequence_of_three_octets_is_judged_as_by_the_standard_library() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                for third in [
                    0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF,
                ] {
                    let bytes = [first, second, third];
                    let expected = std::str::from_utf8(&bytes).is_ok();
                    let mut utf8 = Utf8::default();
                    let judged = utf8.push(&bytes).and_then(|()| utf8.finish());
                    assert_eq!(judged.is_ok(), expected, "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn long_text_is_judged_the_same_at_every_cut() {
        let text = "κόσμε € 𝄞 plain ".repeat(20);
        let mut broken = text.clone().into_bytes();
        broken[200] = 0xFF;
        for cut in 0..text.len() {
            let (left, right) = text.as_bytes().split_at(cut);
            let mut utf8 = Utf8::default();
            assert!(utf8.push(left).and_then(|()| utf8.push(right)).is_ok());
            assert_eq!(utf8.finish(), Ok(()));

            let (left, right) = broken.split_at(cut);
            let mut utf8 = Utf8::default();
            assert_eq!(utf8.push(left).is_err(), cut > 200);
            assert!(cut > 200 || utf8.push(right).is_err());
        }
    }
}
