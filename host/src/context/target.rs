//! The request target of a session, kept in the place of a session where it is short.

use std::{fmt, ops::Deref, str};

/// The longest that needs nothing on the heap, in bytes: what fits beside the pointer and length of a longer one.
const SHORT_BYTES: usize = 22;

/// A request target, as it came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target(Kept);

#[derive(Clone, PartialEq, Eq)]
enum Kept {
    Short { len: u8, bytes: [u8; SHORT_BYTES] },
    Long(Box<str>),
}

impl From<&str> for Target {
    fn from(target: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        Self(match bytes.get_mut(..target.len()) {
            Some(place) => {
                place.copy_from_slice(target.as_bytes());
                let len = target.len() as u8;
                Kept::Short { len, bytes }
            }
            None => Kept::Long(target.into()),
        })
    }
}

impl Deref for Target {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            // It was made of text, and whole.
            Kept::Short { len, bytes } => {
                str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default()
            }
            Kept::Long(target) => target,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_of_any_length_is_read_as_it_was_written() {
        assert_eq!(size_of::<Target>(), 24);
        for len in 0..60 {
            let text = format!("/{}", "ü?=a".repeat(len));
            let text = &text[..text.floor_char_boundary(len)];
            let target = Target::from(text);
            assert_eq!(&*target, text);
            assert_eq!(matches!(target.0, Kept::Long(_)), text.len() > SHORT_BYTES);
        }
    }
}
