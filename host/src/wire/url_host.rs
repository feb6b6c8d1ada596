//! The host of an authority: a name, or an address. RFC 3986 section 3.2.2.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 1035 section 2.3.4, as text.
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// A host. Shown as an authority has it, an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, in small letters.
    Name(String),
    /// An address.
    V4(Ipv4Addr),
    /// An address.
    V6(Ipv6Addr),
}

/// Why a text is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is nothing.
    #[error("the host is empty")]
    Empty,
    /// A letter beyond ASCII. Which ASCII name is meant is for a table of Unicode to say, and we have none.
    #[error("the host `{0}` is not ASCII: write it in its form with xn--")]
    NotAscii(String),
    /// Neither name nor address.
    #[error(
        "`{0}` is no host: use letters, digits, hyphens and dots, an IPv4 address, or an IPv6 address in brackets"
    )]
    Malformed(String),
    /// A number where one of the four of an address is missing, or written in another way: what resolvers make of it
    /// differs.
    #[error("`{0}` looks like an IPv4 address and is none: write its four decimal numbers")]
    Number(String),
}

impl Host {
    /// Reads a host.
    ///
    /// # Errors
    ///
    /// [`HostError`].
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let malformed = || HostError::Malformed(text.to_owned());
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if !text.is_ascii() {
            return Err(HostError::NotAscii(text.to_owned()));
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(malformed)?;
            return inner.parse().map(Self::V6).map_err(|_| malformed());
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > NAME_BYTES || !name.split('.').all(is_label) {
            return Err(malformed());
        }
        if name.rsplit('.').next().is_some_and(is_number) {
            return Err(HostError::Number(text.to_owned()));
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }

    /// The address, if it is one.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::V4(_) | Self::V6(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Underscores are in no host name, but in names that resolve all the same.
fn is_label(label: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_fine)
}

/// What the last number of an IPv4 address may look like to a resolver: `1`, `017`, `0x7f`.
fn is_number(label: &str) -> bool {
    let hexadecimal = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for (text, host, shown) in [
            (
                "Example.ORG",
                Host::Name("example.org".into()),
                "example.org",
            ),
            ("a_b-c.", Host::Name("a_b-c.".into()), "a_b-c."),
            (
                "xn--bcher-kva.example",
                Host::Name("xn--bcher-kva.example".into()),
                "xn--bcher-kva.example",
            ),
            ("1.2.3.4a", Host::Name("1.2.3.4a".into()), "1.2.3.4a"),
            ("127.0.0.1", Host::V4(Ipv4Addr::LOCALHOST), "127.0.0.1"),
            ("[::1]", Host::V6(Ipv6Addr::LOCALHOST), "[::1]"),
            ("[0:0:0:0:0:0:0:1]", Host::V6(Ipv6Addr::LOCALHOST), "[::1]"),
        ] {
            let parsed = Host::parse(text).unwrap();
            assert_eq!((parsed.to_string().as_str(), &parsed), (shown, &host));
        }
        assert_eq!(
            Host::parse("[::1]").unwrap().address(),
            Some(Ipv6Addr::LOCALHOST.into())
        );
        assert_eq!(Host::parse("A").unwrap().name(), Some("a"));
    }

    #[test]
    fn what_resolvers_understand_differently_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a"; 128].join(".");
        for text in [
            "a..b",
            ".a",
            ".",
            "a b",
            "a%41",
            "::1",
            "[::1",
            "::1]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "[]",
            "a,b",
            "a@b",
            long_label.as_str(),
            long_name.as_str(),
        ] {
            let malformed = HostError::Malformed(text.to_owned());
            assert_eq!(Host::parse(text), Err(malformed), "{text}");
        }
        for text in [
            "127.1",
            "2130706433",
            "0x7f.1",
            "127.0.0.01",
            "1.2.3.4.5",
            "0x",
            "1.2.3.4.",
        ] {
            let number = HostError::Number(text.to_owned());
            assert_eq!(Host::parse(text), Err(number), "{text}");
        }
        assert_eq!(Host::parse(""), Err(HostError::Empty));
        let told = Host::parse("b\u{fc}cher.example").unwrap_err().to_string();
        assert!(told.contains("b\u{fc}cher.example") && told.contains("xn--"));
    }
}
