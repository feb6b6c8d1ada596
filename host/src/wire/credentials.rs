//! A name and a password, as a URL has them and as they are shown to a server or a proxy. RFC 3986 section 3.2.1,
//! RFC 7617.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A name and a password. Printed, the password is left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    name: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// What stands in front of the `@` of an authority, `name[:password]`, with its escapes. `None` when an escape is
    /// broken, or when it has what Basic cannot carry: control characters, or a colon in the name.
    #[must_use]
    pub fn decode(userinfo: &str) -> Option<Self> {
        let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let credentials = Self {
            name: unescape(name)?,
            password: unescape(password)?,
        };
        let mut bytes = credentials.name.iter().chain(&credentials.password);
        let is_fine =
            !credentials.name.contains(&b':') && !bytes.any(|byte| byte.is_ascii_control());
        is_fine.then_some(credentials)
    }

    /// The value of `Authorization` or `Proxy-Authorization`.
    #[must_use]
    pub fn basic(&self) -> String {
        let shown = [self.name.as_slice(), b":", &self.password].concat();
        format!("Basic {}", BASE64.encode(shown))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", String::from_utf8_lossy(&self.name))
    }
}

/// Takes the escapes (`%41`) away.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let digit = |at: usize| (*behind.get(at)? as char).to_digit(16);
        bytes.push((digit(0)? << 4 | digit(1)?) as u8);
        rest = &behind[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_shown_as_rfc_7617_has_it() {
        let credentials = Credentials::decode("Aladdin:open%20sesame").unwrap();
        assert_eq!(credentials.basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(Credentials::decode("a").unwrap().basic(), "Basic YTo=");
        assert_eq!(
            Credentials::decode("a:b:c").unwrap().basic(),
            "Basic YTpiOmM="
        );
    }

    #[test]
    fn what_basic_cannot_carry_is_refused() {
        for userinfo in ["a%", "a%4", "a%4g", "a%3ab:c", "a:%0d%0aX", "a%00", "a%7f"] {
            assert_eq!(Credentials::decode(userinfo), None, "{userinfo}");
        }
    }

    #[test]
    fn a_printed_password_is_left_out() {
        let credentials = Credentials::decode("me:secret").unwrap();
        assert_eq!(format!("{credentials:?}"), "me:***");
    }
}
