//! Redirects: where a request is sent instead (RFC 9110 sections 10.2.2 and 15.4). The address is made of what the config
//! says and of the path and query of the request, never of its Host field, and no request can make it name another host.

use std::sync::Arc;

/// The status codes a redirect may have. 308 and 307 keep the method.
pub const STATUSES: &[u16] = &[301, 302, 303, 307, 308];

/// The status code of a redirect that names none.
pub const DEFAULT_STATUS: u16 = 308;

/// Where requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    target: Arc<str>,
    status: u16,
}

/// Why a text is nothing to redirect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Neither a path nor an address of the web.
    #[error("is neither a path that begins with `/` nor an http or https URL")]
    Form,
    /// `//host` is an address on another host.
    #[error("begins with `//`, which browsers take for a host")]
    Host,
    /// A URL without a host, or with user information.
    #[error("has no host, or user information before it")]
    Authority,
    /// It has `?` or `#` in it.
    #[error("has a query or a fragment, behind which no path can be appended")]
    Query,
    /// It has a character that must be encoded.
    #[error("has a character that stands in no URL as it is")]
    Character,
}

impl Redirect {
    /// A redirect to `target`, a path or a URL, with one of [`STATUSES`].
    ///
    /// # Errors
    ///
    /// [`BadTarget`].
    pub fn new(target: &str, status: u16) -> Result<Self, BadTarget> {
        check(target)?;
        Ok(Self {
            target: target.into(),
            status,
        })
    }

    /// The status code of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The path it leads to, if that is on this host.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.target.starts_with('/').then_some(&*self.target)
    }

    /// The value of Location for a request: `rest` is what followed the mountpoint, as it came. Has no character that
    /// could end a line.
    #[must_use]
    pub fn location(&self, rest: &str, query: Option<&str>) -> String {
        let mut location = String::with_capacity(self.target.len() + rest.len() + 1);
        if rest.is_empty() {
            location.push_str(&self.target);
        } else {
            // One slash between the two, whatever the request has: behind a target `/` a second one would make a
            // host of the next name, and browsers take `\` for a slash.
            location.push_str(self.target.trim_end_matches('/'));
            location.push('/');
            push_encoded(&mut location, rest.trim_start_matches(['/', '\\']));
        }
        if let Some(query) = query {
            location.push('?');
            push_encoded(&mut location, query);
        }
        location
    }
}

fn check(target: &str) -> Result<(), BadTarget> {
    if target.contains(['?', '#']) {
        return Err(BadTarget::Query);
    }
    if !target.bytes().all(is_literal) {
        return Err(BadTarget::Character);
    }
    if target.starts_with("//") {
        return Err(BadTarget::Host);
    }
    if target.starts_with('/') {
        return Ok(());
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| target.strip_prefix(scheme))
        .ok_or(BadTarget::Form)?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || authority.starts_with(':') || authority.contains('@') {
        return Err(BadTarget::Authority);
    }
    Ok(())
}

/// What stands in a URL as it is: RFC 3986 section 2, with the percent sign of what is encoded already.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn push_encoded(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_literal(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(DIGITS[usize::from(digit)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadTarget, DEFAULT_STATUS, Redirect};

    fn location(target: &str, rest: &str, query: Option<&str>) -> String {
        Redirect::new(target, DEFAULT_STATUS)
            .unwrap()
            .location(rest, query)
    }

    #[test]
    fn what_follows_the_mountpoint_is_appended_and_the_query_kept() {
        for (target, rest, query, expected) in [
            ("/new", "", None, "/new"),
            ("/new", "/", None, "/new/"),
            ("/new", "/a/b", Some("x=1&y=%20"), "/new/a/b?x=1&y=%20"),
            ("/new/", "/a", None, "/new/a"),
            ("/new/", "", Some(""), "/new/?"),
            ("/", "/a", None, "/a"),
            ("/", "", None, "/"),
            (
                "https://example.org",
                "/a",
                Some("q"),
                "https://example.org/a?q",
            ),
            ("https://example.org", "", None, "https://example.org"),
            ("https://example.org/", "/", None, "https://example.org/"),
        ] {
            assert_eq!(
                location(target, rest, query),
                expected,
                "{target} {rest} {query:?}"
            );
        }
    }

    #[test]
    fn no_request_makes_the_address_name_another_host() {
        for rest in [
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/\\/evil.example",
            "/@evil.example",
            "/:80",
        ] {
            for target in ["/", "/new", "/new/"] {
                let location = location(target, rest, None);
                assert!(location.starts_with('/'), "{location}");
                assert!(!location.starts_with("//"), "{location}");
                assert!(!location.contains('\\'), "{location}");
            }
            let location = location("https://example.org", rest, None);
            assert!(location.starts_with("https://example.org/"), "{location}");
        }
    }

    #[test]
    fn no_byte_of_a_request_can_end_the_line() {
        let all: String = (1..=0xff).map(|byte| char::from(byte as u8)).collect();
        let location = location("/new", &format!("/{all}"), Some(&all));
        assert!(
            location.bytes().all(|byte| byte.is_ascii_graphic()),
            "{location}"
        );
        assert!(location.contains("%0A%0B%0C%0D%0E"), "{location}");
    }

    #[test]
    fn a_target_that_is_no_address_is_refused() {
        for (target, error) in [
            ("", BadTarget::Form),
            ("new", BadTarget::Form),
            ("javascript:alert(1)", BadTarget::Form),
            ("ftp://example.org", BadTarget::Form),
            ("//evil.example", BadTarget::Host),
            ("https://", BadTarget::Authority),
            ("https:///a", BadTarget::Authority),
            ("https://user@example.org", BadTarget::Authority),
            ("/new?x=1", BadTarget::Query),
            ("/new#x", BadTarget::Query),
            ("/\\evil.example", BadTarget::Character),
            ("/a b", BadTarget::Character),
            ("/a\r\nSet-Cookie: b", BadTarget::Character),
            ("/ü", BadTarget::Character),
        ] {
            assert_eq!(Redirect::new(target, 308), Err(error), "{target}");
        }
    }
}
