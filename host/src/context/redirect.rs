//! Redirects: where a request is sent instead (RFC 9110 sections 10.2.2 and 15.4). The address is made of what the config
//! says and of the path and query of the request. Its host is the one of the config, or by `https://*` the one that the
//! request was sent to, and no request can make it name a third one.

use std::{fmt::Write as _, sync::Arc};

use crate::wire::host_pattern::{HostPattern, host_of};

/// The status codes a redirect may have. 308 and 307 keep the method.
pub const STATUSES: &[u16] = &[301, 302, 303, 307, 308];

/// The status code of a redirect that names none.
pub const DEFAULT_STATUS: u16 = 308;

/// What a target begins with that leads to the host that was asked for, over TLS.
const ASKED_HOST: &str = "https://*";

/// The port of https that no URL names.
const HTTPS_PORT: u16 = 443;

/// Where requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The port of the host that was asked for, where TLS is spoken; none when the target says the host.
    asked_host_at: Option<u16>,
    /// A path or a URL; behind the host that was asked for a path, which may be empty.
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
    /// It has `*` where no host that was asked for is meant.
    #[error("has `*` elsewhere than in `https://*`")]
    Asterisk,
    /// What follows the colon of `https://*:` is no port.
    #[error("has no port behind its colon")]
    Port,
    /// It has `?` or `#` in it.
    #[error("has a query or a fragment, behind which no path can be appended")]
    Query,
    /// It has a character that must be encoded.
    #[error("has a character that stands in no URL as it is")]
    Character,
}

impl Redirect {
    /// A redirect to `target`, a path, a URL, or `https://*` for the host that was asked for, with one of [`STATUSES`].
    ///
    /// # Errors
    ///
    /// [`BadTarget`].
    pub fn new(target: &str, status: u16) -> Result<Self, BadTarget> {
        check(target)?;
        let (asked_host_at, target) = match target.strip_prefix(ASKED_HOST) {
            Some(rest) => {
                let (port, path) = split_port(rest)?;
                (Some(port), path)
            }
            None => (None, target),
        };
        Ok(Self {
            asked_host_at,
            target: target.into(),
            status,
        })
    }

    /// Whether it leads to the host that was asked for, over TLS. Where that is spoken already, it would never end.
    #[must_use]
    pub const fn begins_tls(&self) -> bool {
        self.asked_host_at.is_some()
    }

    /// The status code of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The path it leads to, if that is on this host.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let is_here = self.asked_host_at.is_none() && self.target.starts_with('/');
        is_here.then_some(&*self.target)
    }

    /// The value of Location for a request for `authority`: `rest` is what followed the mountpoint, as it came. Has no
    /// character that could end a line. None when it leads to the host that was asked for, and none was.
    #[must_use]
    pub fn location(&self, authority: &str, rest: &str, query: Option<&str>) -> Option<String> {
        let mut location = String::with_capacity(self.target.len() + rest.len() + 1);
        if let Some(port) = self.asked_host_at {
            push_origin(&mut location, authority, port)?;
        }
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
        Some(location)
    }
}

/// Puts the host of an authority as the one of https. None when it is neither a name nor an address.
fn push_origin(out: &mut String, authority: &str, port: u16) -> Option<()> {
    let HostPattern::Exact(host) = HostPattern::parse(host_of(authority))? else {
        return None;
    };
    // Brackets are for addresses of IPv6, and those stand in brackets.
    if authority.starts_with('[') != host.contains(':') {
        return None;
    }
    let (open, close) = if host.contains(':') {
        ("[", "]")
    } else {
        ("", "")
    };
    // Nothing of it can fail: it goes into memory.
    let _ = write!(out, "https://{open}{host}{close}");
    if port != HTTPS_PORT {
        let _ = write!(out, ":{port}");
    }
    Some(())
}

/// The port and the path behind `https://*`.
fn split_port(rest: &str) -> Result<(u16, &str), BadTarget> {
    let (port, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0),
        None if port.is_empty() => Some(HTTPS_PORT),
        None => return Err(BadTarget::Asterisk),
    };
    Ok((port.ok_or(BadTarget::Port)?, path))
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
    if authority.contains('*') && !target.starts_with(ASKED_HOST) {
        return Err(BadTarget::Asterisk);
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
        let redirect = Redirect::new(target, DEFAULT_STATUS).unwrap();
        redirect.location("asked.example", rest, query).unwrap()
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
            for (target, expected) in [
                ("https://*", "https://asked.example/"),
                ("https://*/", "https://asked.example/"),
                ("https://*:8443/new", "https://asked.example:8443/new/"),
            ] {
                let location = super::tests::location(target, rest, None);
                assert!(location.starts_with(expected), "{location}");
            }
        }
    }

    #[test]
    fn the_host_that_was_asked_for_is_led_to_over_tls_and_its_port_is_that_of_the_target() {
        for (target, authority, expected) in [
            ("https://*", "example.org", "https://example.org/a?q"),
            (
                "https://*:443",
                "Example.org.:80",
                "https://example.org/a?q",
            ),
            ("https://*:8443", "10.0.0.1:80", "https://10.0.0.1:8443/a?q"),
            ("https://*:8443/b/", "[::1]:80", "https://[::1]:8443/b/a?q"),
        ] {
            let redirect = Redirect::new(target, DEFAULT_STATUS).unwrap();
            let location = redirect.location(authority, "/a", Some("q"));
            assert_eq!(location.as_deref(), Some(expected), "{target} {authority}");
            assert_eq!(redirect.path(), None);
        }
    }

    #[test]
    fn an_authority_that_is_no_host_is_led_nowhere() {
        let redirect = Redirect::new("https://*", DEFAULT_STATUS).unwrap();
        for authority in [
            "",
            ":80",
            "user@evil.example",
            "*.example",
            "a b",
            "a/b",
            "a%2fb",
            "a\\b",
            "[a]",
            "a..b",
        ] {
            assert_eq!(redirect.location(authority, "", None), None, "{authority}");
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
            ("https://*.example.org", BadTarget::Asterisk),
            ("https://a.*", BadTarget::Asterisk),
            ("http://*", BadTarget::Asterisk),
            ("https://*:", BadTarget::Port),
            ("https://*:0", BadTarget::Port),
            ("https://*:65536", BadTarget::Port),
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
