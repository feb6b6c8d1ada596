//! Names of hosts that lead somewhere: exact ones, and all below a name. RFC 9110 section 4.2.3, RFC 6066 section 3.

use std::{collections::HashMap, net::IpAddr};

/// A name that leads somewhere, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name, or this address.
    Exact(String),
    /// All names one label longer or more: what follows the `*` of `*.example.org`, with its dot.
    Below(String),
}

impl HostPattern {
    /// Reads `example.org`, `*.example.org` or an address; none when it is no host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('*') {
            let name = rest.strip_prefix('.').filter(|name| is_name(name))?;
            return Some(Self::Below(format!(".{}", name.to_ascii_lowercase())));
        }
        let is_address = text.parse::<IpAddr>().is_ok();
        (is_address || is_name(text)).then(|| Self::Exact(text.to_ascii_lowercase()))
    }
}

/// Labels of letters, digits and hyphens (RFC 1123 section 2.1), and underscores as they are in use.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(fits)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// What names lead to.
#[derive(Debug)]
pub struct HostMap<T> {
    exact: HashMap<String, T>,
    below: HashMap<String, T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            below: HashMap::new(),
        }
    }
}

impl<T> HostMap<T> {
    /// Has a name lead to `what`.
    pub fn insert(&mut self, host: HostPattern, what: T) {
        match host {
            HostPattern::Exact(name) => self.exact.insert(name, what),
            HostPattern::Below(name) => self.below.insert(name, what),
        };
    }

    /// Whether nothing leads anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    /// What an authority leads to: a host with or without a port. An exact name goes before a pattern, a longer pattern
    /// before a shorter one.
    #[must_use]
    pub fn find(&self, authority: &str) -> Option<&T> {
        self.find_among(authority, |_| true)
    }

    /// The same, as if only those that fit were there.
    #[must_use]
    pub fn find_among(&self, authority: &str, fits: impl Fn(&T) -> bool) -> Option<&T> {
        // Without names nothing is looked at.
        if self.is_empty() {
            return None;
        }
        let name = host_of(authority).to_ascii_lowercase();
        let exact = self.exact.get(&name).filter(|found| fits(found));
        exact.or_else(|| {
            let mut dots = name.match_indices('.');
            dots.find_map(|(at, _)| self.below.get(&name[at..]).filter(|found| fits(found)))
        })
    }
}

/// The host of an authority: without port, brackets, and the dot that may end a name.
#[must_use]
pub fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(all: &[(&'static str, &[&str])]) -> HostMap<&'static str> {
        let mut map = HostMap::default();
        for (name, hosts) in all {
            for host in *hosts {
                map.insert(HostPattern::parse(host).unwrap(), *name);
            }
        }
        map
    }

    #[test]
    fn an_exact_name_goes_before_a_pattern_and_a_longer_pattern_before_a_shorter_one() {
        let map = map(&[
            ("a", &["a.example", "*.a.example", "::1"]),
            ("b", &["b.example", "*.b.a.example", "10.0.0.1"]),
        ]);
        for (authority, name) in [
            ("a.example", Some("a")),
            ("A.Example:8080", Some("a")),
            ("a.example.", Some("a")),
            ("x.a.example", Some("a")),
            ("x.y.a.example", Some("a")),
            ("b.a.example", Some("a")),
            ("x.b.a.example:1", Some("b")),
            ("b.example", Some("b")),
            ("10.0.0.1:80", Some("b")),
            ("[::1]:80", Some("a")),
            ("x.b.example", None),
            ("aa.example", None),
            (".a.example", Some("a")),
            ("example", None),
            ("", None),
        ] {
            assert_eq!(map.find(authority).copied(), name, "{authority}");
        }
    }

    #[test]
    fn among_some_a_name_leads_where_it_would_if_the_others_were_not_there() {
        let map = map(&[
            ("a", &["x.example", "*.b.example"]),
            ("b", &["*.example", "b.example"]),
        ]);
        for (authority, only, name) in [
            ("x.example", "a", Some("a")),
            ("x.example", "b", Some("b")),
            ("x.b.example", "b", Some("b")),
            ("b.example", "a", None),
        ] {
            let found = map.find_among(authority, |found| *found == only);
            assert_eq!(found.copied(), name, "{authority} {only}");
        }
    }

    #[test]
    fn what_is_no_host_leads_nowhere() {
        for text in [
            "", "*", "*.", "a..b", "a b", "a/b", "a:80", "*a.b", "a.*", "http://a",
        ] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
        let below = HostPattern::parse("*.Example.org").unwrap();
        assert_eq!(below, HostPattern::Below(".example.org".into()));
    }
}
