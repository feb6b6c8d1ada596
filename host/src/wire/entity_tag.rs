//! Entity tags, and the lists of them that conditions have. RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2.

/// An entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Whether it stands for what is only much the same.
    pub is_weak: bool,
    /// What stands between the quotes.
    pub opaque: &'a [u8],
}

/// The field does not follow its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> EntityTag<'a> {
    /// Reads a field that is one tag.
    #[must_use]
    pub fn parse(field: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::take(field.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// Whether both stand for the same bytes: section 8.8.3.2.
    #[must_use]
    pub fn is_same(&self, other: &EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    /// Whether both stand for much the same.
    #[must_use]
    pub fn is_like(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    fn take(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, rest) = match input.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, input),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let is_inside = |byte: &u8| matches!(byte, b'!' | b'#'..=b'~' | 0x80..);
        let end = rest.iter().position(|byte| !is_inside(byte))?;
        let (opaque, rest) = rest.split_at(end);
        Some((Self { is_weak, opaque }, rest.strip_prefix(b"\"")?))
    }
}

/// Whether a list has a tag for which `is_match` holds. `*` stands for any, and so matches what is there.
///
/// # Errors
///
/// [`Malformed`], wherever in the list it is.
pub fn list_has(
    field: &[u8],
    is_match: impl Fn(&EntityTag<'_>) -> bool,
) -> Result<bool, Malformed> {
    let mut rest = field.trim_ascii();
    if rest == b"*" {
        return Ok(true);
    }
    let (mut found, mut count) = (false, 0);
    loop {
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return if count == 0 {
                Err(Malformed)
            } else {
                Ok(found)
            };
        }
        let (tag, after) = EntityTag::take(rest).ok_or(Malformed)?;
        rest = after.trim_ascii_start();
        if !rest.is_empty() && rest[0] != b',' {
            return Err(Malformed);
        }
        found |= is_match(&tag);
        count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_quoted_and_may_be_weak() {
        let tag = |is_weak, opaque| Some(EntityTag { is_weak, opaque });
        assert_eq!(EntityTag::parse(b"\"a,b\""), tag(false, b"a,b"));
        assert_eq!(EntityTag::parse(b" W/\"\xff\" "), tag(true, b"\xff"));
        assert_eq!(EntityTag::parse(b"\"\""), tag(false, b""));
        for field in [
            "",
            "a",
            "\"",
            "\"a",
            "a\"",
            "w/\"a\"",
            "W/a",
            "\"a\"\"",
            "\"a b\"",
            "\"a\", \"b\"",
        ] {
            assert_eq!(EntityTag::parse(field.as_bytes()), None, "{field}");
        }
    }

    #[test]
    fn weak_tags_are_alike_and_never_the_same() {
        let strong = EntityTag::parse(b"\"1\"").unwrap();
        let weak = EntityTag::parse(b"W/\"1\"").unwrap();
        let other = EntityTag::parse(b"\"2\"").unwrap();
        assert!(strong.is_same(&strong) && strong.is_like(&weak));
        assert!(!strong.is_same(&weak) && !weak.is_same(&weak));
        assert!(weak.is_like(&weak) && !strong.is_like(&other));
    }

    #[test]
    fn a_list_is_searched_to_its_end() {
        let has = |field: &str| list_has(field.as_bytes(), |tag| tag.opaque == b"x,");
        for field in [
            "*",
            " * ",
            "\"x,\"",
            "\"a\",\"x,\"",
            ", W/\"a\" ,,\t\"x,\",",
        ] {
            assert_eq!(has(field), Ok(true), "{field}");
        }
        assert_eq!(has("\"a\", \"x\""), Ok(false));
        for field in [
            "",
            ",",
            "x",
            "\"x,\" \"a\"",
            "\"x,\", a",
            "\"x,\", *",
            "*, \"x,\"",
        ] {
            assert_eq!(has(field), Err(Malformed), "{field}");
        }
    }
}
