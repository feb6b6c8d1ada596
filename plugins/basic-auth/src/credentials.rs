//! Name and password as a request has them.

use base64::{Engine, prelude::BASE64_STANDARD};

/// What the field Authorization says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl Credentials {
    /// None when it is not of HTTP Basic, or not as RFC 7617 wants it: UTF-8 without control characters.
    pub(crate) fn of(field: &[u8]) -> Option<Self> {
        let field = str::from_utf8(field).ok()?;
        let (scheme, encoded) = field.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return None;
        }
        let decoded = BASE64_STANDARD.decode(encoded.trim_matches(' ')).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        if decoded.contains(char::is_control) {
            return None;
        }
        let (name, password) = decoded.split_once(':')?;
        Some(Self {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}
