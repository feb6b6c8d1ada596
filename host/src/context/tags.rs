//! What policies say of a connection or a request, for policies behind them, protocols and handlers to read.

use crate::wire::fields::is_token;

/// Names with values, in the order they were first said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    said: Vec<(Box<str>, Box<[u8]>)>,
}

/// Why a tag is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTag {
    /// Its name is no token.
    Name,
    /// All together are above `limits.tags_bytes`.
    TooMuch,
}

impl Tags {
    /// What was said by that name. Names are told apart by their letters' case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let mut said = self.said.iter();
        said.find(|(other, _)| **other == *name)
            .map(|(_, value)| &**value)
    }

    /// Says something, in place of what was said by that name before.
    ///
    /// # Errors
    ///
    /// When the name is no token, or names and values together would be above `most` bytes.
    pub fn set(&mut self, name: &str, value: &[u8], most: u64) -> Result<(), BadTag> {
        if !is_token(name.as_bytes()) {
            return Err(BadTag::Name);
        }
        let others = self.said.iter().filter(|(other, _)| **other != *name);
        let others: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if (others + name.len() + value.len()) as u64 > most {
            return Err(BadTag::TooMuch);
        }
        match self.said.iter_mut().find(|(other, _)| **other == *name) {
            Some((_, before)) => *before = value.into(),
            None => self.said.push((name.into(), value.into())),
        }
        Ok(())
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_by_a_name_holds() {
        let mut tags = Tags::default();
        assert!(tags.is_empty());
        for (name, value) in [("user", "ada"), ("tenant", "7"), ("user", "bob")] {
            assert_eq!(tags.set(name, value.as_bytes(), 100), Ok(()));
        }
        assert_eq!(tags.get("user"), Some(&b"bob"[..]));
        assert_eq!(tags.get("tenant"), Some(&b"7"[..]));
        assert_eq!(tags.get("User"), None);
    }

    #[test]
    fn all_together_are_bounded_to_the_byte() {
        let mut tags = Tags::default();
        assert_eq!(tags.set("a", b"1234", 5), Ok(()));
        assert_eq!(tags.set("a", b"12345", 5), Err(BadTag::TooMuch));
        assert_eq!(tags.set("b", b"", 5), Err(BadTag::TooMuch));
        assert_eq!(tags.set("a", b"123", 5), Ok(()));
        assert_eq!(tags.set("b", b"", 5), Ok(()));
        assert_eq!(tags.get("a"), Some(&b"123"[..]));
    }

    #[test]
    fn a_name_is_a_token() {
        for name in ["", "a b", "a=b", "ä"] {
            assert_eq!(Tags::default().set(name, b"", 9), Err(BadTag::Name));
        }
    }
}
