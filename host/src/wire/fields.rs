//! Fields to send: a list that cannot hold anything that would end its line. RFC 9110 section 5.

use std::fmt;

/// Fields of a head or a trailer, encoded as they leave.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<u8>);

/// Why a field is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// Section 5.1.
    #[error("the name is no token")]
    Name,
    /// Section 5.5.
    #[error("the value has a control character")]
    Value,
    /// What frames the message or names the server.
    #[error("the field is the host's own")]
    Reserved,
}

/// Those that only the host sets: they frame the message, or are the server's.
const RESERVED: &[&str] = &[
    "Connection",
    "Content-Length",
    "Date",
    "Keep-Alive",
    "Server",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

impl Fields {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a field that somebody else names.
    ///
    /// # Errors
    ///
    /// [`BadField`]; nothing is added.
    pub fn add(&mut self, name: &str, value: &[u8]) -> Result<(), BadField> {
        if RESERVED
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
        {
            return Err(BadField::Reserved);
        }
        check(name, value)?;
        self.push(name, value);
        Ok(())
    }

    /// Adds a field of our own. What would end its line becomes blank.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.push_with(name, |line| {
            use std::io::Write as _;
            // A `Vec` takes all that is written.
            let _ = write!(line, "{value}");
        });
    }

    /// These fields but those of some names.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut kept = Self::new();
        for (name, value) in self.iter() {
            let is_meant = |left: &&str| name.eq_ignore_ascii_case(left.as_bytes());
            if !names.iter().any(is_meant) {
                kept.push(&String::from_utf8_lossy(name), value);
            }
        }
        kept
    }

    /// Whether there is a field of that name, in any case of letters.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of the first field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| {
                let line = line.strip_suffix(b"\r\n")?;
                let colon = line.iter().position(|byte| *byte == b':')?;
                Some((&line[..colon], line.get(colon + 2..)?))
            })
    }

    /// The lines as they leave, each with its end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends all of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Appends those of `more` whose names it does not have.
    pub fn complete(&mut self, more: &Self) {
        let had = self.clone();
        for (name, value) in more.iter() {
            let name = String::from_utf8_lossy(name);
            if !had.has(&name) {
                self.push(&name, value);
            }
        }
    }

    /// Adds a field that a peer has sent, whatever it means.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        self.push_with(name, |line| line.extend_from_slice(value));
    }

    fn push_with(&mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        let start = self.0.len();
        value(&mut self.0);
        for byte in &mut self.0[start..] {
            if byte.is_ascii_control() {
                *byte = b' ';
            }
        }
        self.0.extend_from_slice(b"\r\n");
    }
}

/// Judges name and value of a field.
///
/// # Errors
///
/// [`BadField`].
pub fn check(name: &str, value: &[u8]) -> Result<(), BadField> {
    if !is_token(name.as_bytes()) {
        return Err(BadField::Name);
    }
    let is_bad = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if value.iter().any(is_bad) {
        return Err(BadField::Value);
    }
    Ok(())
}

/// A token of RFC 9110 section 5.6.2.
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_can_end_its_line() {
        let mut fields = Fields::new();
        assert_eq!(fields.add("X\r\nY", b"1"), Err(BadField::Name));
        assert_eq!(fields.add("X", b"1\r\nY: 2"), Err(BadField::Value));
        assert_eq!(fields.add("X", b"1\0"), Err(BadField::Value));
        assert_eq!(fields.add("content-length", b"1"), Err(BadField::Reserved));
        assert!(fields.is_empty());
        fields.set("X", "a\r\nSet-Cookie: b");
        assert_eq!(fields.as_bytes(), b"X: a  Set-Cookie: b\r\n");
    }

    #[test]
    fn further_fields_are_added_and_overwrite_nothing() {
        let mut further = Fields::new();
        for (name, value) in [("Link", "</a>"), ("link", "</b>"), ("X-Team", "web")] {
            further.add(name, value.as_bytes()).unwrap();
        }
        let mut fields = Fields::new();
        fields.set("x-team", "api");
        fields.complete(&further);
        let expected = b"x-team: api\r\nLink: </a>\r\nlink: </b>\r\n";
        assert_eq!(fields.as_bytes(), expected);
    }

    #[test]
    fn fields_are_found_in_any_case_and_listed_in_order() {
        let mut fields = Fields::new();
        fields.add("Set-Cookie", b"a=1").unwrap();
        fields.add("set-cookie", b"b: 2\xff").unwrap();
        fields.set("Vary", "");
        assert_eq!(fields.get("SET-COOKIE"), Some(&b"a=1"[..]));
        assert!(fields.has("vary") && !fields.has("etag"));
        let all: Vec<_> = fields.iter().map(|(_, value)| value).collect();
        assert_eq!(all, [&b"a=1"[..], b"b: 2\xff", b""]);
    }
}
