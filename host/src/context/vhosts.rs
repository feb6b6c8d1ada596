//! Which vhost a request is for: by the name it asks for, and else the default one.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::routes::Routes;
use crate::net::network::Network;

/// A name that leads to a vhost, in lower case.
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

/// All vhosts of a host. Made anew, as a whole, whenever something changes.
#[derive(Debug)]
pub struct Vhosts {
    default: Arc<Routes>,
    others: Vec<Arc<Routes>>,
    /// Places in `others`.
    exact: HashMap<String, usize>,
    below: HashMap<String, usize>,
    trusted_proxies: Vec<Network>,
}

impl Vhosts {
    /// The default vhost, and others with the names that lead to them.
    #[must_use]
    pub fn new(default: Arc<Routes>, others: Vec<(Vec<HostPattern>, Arc<Routes>)>) -> Self {
        let mut vhosts = Self {
            default,
            others: Vec::with_capacity(others.len()),
            exact: HashMap::new(),
            below: HashMap::new(),
            trusted_proxies: Vec::new(),
        };
        for (hosts, routes) in others {
            let at = vhosts.others.len();
            vhosts.others.push(routes);
            for host in hosts {
                match host {
                    HostPattern::Exact(name) => vhosts.exact.insert(name, at),
                    HostPattern::Below(name) => vhosts.below.insert(name, at),
                };
            }
        }
        vhosts
    }

    /// One vhost and no other.
    #[must_use]
    pub fn only(default: Arc<Routes>) -> Self {
        Self::new(default, Vec::new())
    }

    /// The same, where peers of these networks are believed when they say whom they ask for.
    #[must_use]
    pub fn trusting(self, trusted_proxies: Vec<Network>) -> Self {
        Self {
            trusted_proxies,
            ..self
        }
    }

    /// See [`Self::trusting`].
    #[must_use]
    pub fn trusted_proxies(&self) -> &[Network] {
        &self.trusted_proxies
    }

    /// The one for requests that name none.
    #[must_use]
    pub fn default_one(&self) -> &Arc<Routes> {
        &self.default
    }

    /// All of them, the default one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Routes>> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// The vhost of a request for `authority`: a host with or without a port. An exact name goes before a pattern, a
    /// longer pattern before a shorter one.
    #[must_use]
    pub fn find(&self, authority: &str) -> &Arc<Routes> {
        // Without other vhosts nothing is looked at.
        if self.others.is_empty() {
            return &self.default;
        }
        let name = host_of(authority).to_ascii_lowercase();
        let at = self.exact.get(&name).or_else(|| {
            let mut dots = name.match_indices('.');
            dots.find_map(|(at, _)| self.below.get(&name[at..]))
        });
        at.and_then(|at| self.others.get(*at))
            .unwrap_or(&self.default)
    }
}

/// The host of an authority: without port, brackets, and the dot that may end a name.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(vhost: &str) -> Arc<Routes> {
        Arc::new(Routes::empty(vhost))
    }

    fn vhosts(others: &[(&str, &[&str])]) -> Vhosts {
        let others = others.iter().map(|(name, hosts)| {
            let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap());
            (hosts.collect(), routes(name))
        });
        Vhosts::new(routes("default"), others.collect())
    }

    #[test]
    fn the_name_asked_for_leads_to_its_vhost_and_any_other_to_the_default_one() {
        let vhosts = vhosts(&[
            ("a", &["a.example", "*.a.example", "::1"]),
            ("b", &["b.example", "*.b.a.example", "10.0.0.1"]),
        ]);
        for (authority, name) in [
            ("a.example", "a"),
            ("A.Example:8080", "a"),
            ("a.example.", "a"),
            ("x.a.example", "a"),
            ("x.y.a.example", "a"),
            ("b.a.example", "a"),
            ("x.b.a.example:1", "b"),
            ("b.example", "b"),
            ("10.0.0.1:80", "b"),
            ("[::1]:80", "a"),
            ("x.b.example", "default"),
            ("aa.example", "default"),
            (".a.example", "a"),
            ("example", "default"),
            ("", "default"),
        ] {
            assert_eq!(&*vhosts.find(authority).vhost, name, "{authority}");
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
