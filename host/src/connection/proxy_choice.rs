//! Which proxy a client asks for which URL: the one it was given, or those of the environment.
//!
//! The variables are those of curl: `http_proxy` for `ws` and `http`, `https_proxy` for `wss` and `https`, `all_proxy` for
//! what neither says, and `no_proxy` for hosts that are reached without. A name in small letters goes before the same
//! in capitals, and an empty value counts as none.

use std::net::IpAddr;

use crate::wire::{
    network::{BadNetwork, Network},
    proxy::{Proxy, ProxyError},
    url::{Url, split_port},
    url_host::Host,
};

/// The proxies of a client. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyChoice {
    plain: Option<Proxy>,
    secure: Option<Proxy>,
    exceptions: Vec<Exception>,
    unread: Vec<String>,
}

/// A variable that names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {variable}: {cause}")]
pub struct BadVariable {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong with its value.
    pub cause: ProxyError,
}

/// What is reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    place: Place,
    /// `None` for all ports.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Everything,
    /// A name and all names below it.
    Domain(String),
    Network(Network),
}

impl ProxyChoice {
    /// One proxy for everything, whatever the environment says.
    #[must_use]
    pub fn given(proxy: Proxy) -> Self {
        Self {
            plain: Some(proxy.clone()),
            secure: Some(proxy),
            ..Self::default()
        }
    }

    /// What the environment says; `variable` gives the value of one.
    ///
    /// # Errors
    ///
    /// [`BadVariable`] for a proxy that is malformed, or spoken to in a way that we do not know.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadVariable> {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        // In a CGI program `HTTP_PROXY` is the field `Proxy` of a request: the client's word.
        let is_cgi = value("REQUEST_METHOD").is_some();
        let plain_names: &[_] = if is_cgi {
            &["http_proxy"]
        } else {
            &["http_proxy", "HTTP_PROXY"]
        };
        let mut plain = first(&value, plain_names)?;
        let mut secure = first(&value, &["https_proxy", "HTTPS_PROXY"])?;
        if plain.is_none() || secure.is_none() {
            let rest = first(&value, &["all_proxy", "ALL_PROXY"])?;
            plain = plain.or_else(|| rest.clone());
            secure = secure.or(rest);
        }
        let mut choice = Self {
            plain,
            secure,
            ..Self::default()
        };
        let list = value("no_proxy").or_else(|| value("NO_PROXY"));
        choice.except(&list.unwrap_or_default());
        Ok(choice)
    }

    /// Adds what is reached without a proxy, with commas or blanks between: `*` for everything; `example.org`, for it and
    /// all below it, whether written with a dot in front or not; an address; a network, `10.0.0.0/8`; each with
    /// `:PORT` for that port alone.
    pub fn except(&mut self, list: &str) {
        let entries = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match Exception::parse(entry) {
                Some(exception) => self.exceptions.push(exception),
                None => self.unread.push(entry.to_owned()),
            }
        }
    }

    /// What [`Self::except`] could not read and left out, to be told in a log: the list is often shared with programs
    /// that write it in another way.
    #[must_use]
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// The proxy for a URL. Names are compared as they are written and are not looked up.
    #[must_use]
    pub fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        let is_excepted = |exception: &Exception| exception.has(url.host(), url.port());
        if self.exceptions.iter().any(is_excepted) {
            return None;
        }
        if url.scheme().is_secure() {
            self.secure.as_ref()
        } else {
            self.plain.as_ref()
        }
    }
}

/// The proxy that the first of these variables which is set names.
fn first(
    value: &impl Fn(&str) -> Option<String>,
    names: &[&'static str],
) -> Result<Option<Proxy>, BadVariable> {
    for variable in names {
        if let Some(text) = value(variable) {
            let bad = |cause| BadVariable { variable, cause };
            return Proxy::parse(&text).map(Some).map_err(bad);
        }
    }
    Ok(None)
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let of = |place, port| Some(Self { place, port });
        if entry == "*" {
            return of(Place::Everything, None);
        }
        // An IPv6 address without brackets is full of colons.
        if let Some(network) = network(entry) {
            return of(Place::Network(network), None);
        }
        let (place, port) = split_port(entry);
        let port = port
            .map(|digits| digits.parse().ok())
            .map_or(Some(None), |port| port.map(Some))?;
        let inner = place
            .strip_prefix('[')
            .and_then(|place| place.strip_suffix(']'));
        if let Some(network) = network(inner.unwrap_or(place)) {
            return of(Place::Network(network), port);
        }
        let name = place.strip_prefix('*').unwrap_or(place).trim_matches('.');
        match Host::parse(name) {
            Ok(Host::Name(name)) => of(Place::Domain(name), port),
            _ => None,
        }
    }

    fn has(&self, host: &Host, port: u16) -> bool {
        let is_there = match (&self.place, host) {
            (Place::Everything, _) => true,
            (Place::Domain(domain), Host::Name(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                let above = name.strip_suffix(domain.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            (Place::Network(network), host) => host
                .address()
                .is_some_and(|address: IpAddr| network.contains(address)),
            (Place::Domain(_), _) => false,
        };
        is_there && self.port.is_none_or(|own| own == port)
    }
}

/// A network, also one that is named by an address in the middle of it.
fn network(text: &str) -> Option<Network> {
    match Network::parse(text) {
        Ok(network) | Err(BadNetwork::Within(network)) => Some(network),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn read(variables: Variables) -> Result<ProxyChoice, BadVariable> {
        ProxyChoice::of_environment(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// The port of the proxy for a URL.
    fn port(choice: &ProxyChoice, url: &str) -> Option<u16> {
        let url = Url::parse(url).unwrap();
        choice.proxy_for(&url).map(|proxy| proxy.port)
    }

    #[test]
    fn the_scheme_chooses_the_variable_and_small_letters_go_first() {
        for (variables, plain, secure) in [
            (&[][..], None, None),
            (&[("http_proxy", "a:1")][..], Some(1), None),
            (&[("https_proxy", "a:1")], None, Some(1)),
            (&[("all_proxy", "a:1")], Some(1), Some(1)),
            (
                &[("http_proxy", "a:1"), ("ALL_PROXY", "a:2")],
                Some(1),
                Some(2),
            ),
            (
                &[("http_proxy", "a:1"), ("HTTP_PROXY", "a:2")],
                Some(1),
                None,
            ),
            (&[("http_proxy", ""), ("HTTP_PROXY", "a:2")], Some(2), None),
            (&[("HTTPS_PROXY", "a:2")], None, Some(2)),
        ] {
            let choice = read(variables).unwrap();
            for url in ["ws://h", "http://h"] {
                assert_eq!(port(&choice, url), plain, "{variables:?}");
            }
            for url in ["wss://h", "https://h"] {
                assert_eq!(port(&choice, url), secure, "{variables:?}");
            }
        }
    }

    #[test]
    fn in_a_cgi_program_the_client_names_no_proxy() {
        let choice = read(&[
            ("REQUEST_METHOD", "GET"),
            ("HTTP_PROXY", "evil:1"),
            ("HTTPS_PROXY", "a:2"),
        ]);
        let choice = choice.unwrap();
        assert_eq!(port(&choice, "ws://h"), None);
        assert_eq!(port(&choice, "wss://h"), Some(2));
        let own = read(&[("REQUEST_METHOD", "GET"), ("http_proxy", "a:1")]);
        assert_eq!(port(&own.unwrap(), "ws://h"), Some(1));
    }

    #[test]
    fn a_malformed_proxy_is_an_error_that_names_its_variable() {
        let error = read(&[("HTTPS_PROXY", "u:secret@proxy")]).unwrap_err();
        assert_eq!(
            (error.variable, &error.cause),
            ("HTTPS_PROXY", &ProxyError::NoPort)
        );
        assert!(!error.to_string().contains("secret"));
        let error = read(&[("all_proxy", "socks5://a:1")]).unwrap_err();
        assert_eq!(error.cause, ProxyError::Scheme("socks5".into()));
        const UNUSED: Variables = &[
            ("http_proxy", "a:1"),
            ("https_proxy", "a:1"),
            ("all_proxy", "socks5://a:1"),
        ];
        assert!(read(UNUSED).is_ok(), "nobody would ask it");
    }

    #[test]
    fn a_given_proxy_is_asked_whatever_the_environment_says() {
        let choice = ProxyChoice::given(Proxy::parse("a:7").unwrap());
        assert_eq!(port(&choice, "ws://localhost"), Some(7));
        assert_eq!(port(&choice, "https://h"), Some(7));
    }

    #[test]
    fn exceptions_are_names_with_all_below_them_addresses_networks_and_ports() {
        for (list, url, is_excepted) in [
            ("*", "ws://h", true),
            ("example.org", "ws://example.org", true),
            ("Example.ORG", "wss://example.org./a", true),
            ("example.org", "ws://a.example.org", true),
            (".example.org", "ws://a.example.org", true),
            (".example.org", "ws://example.org", true),
            ("*.example.org", "ws://a.b.example.org", true),
            ("example.org", "ws://notexample.org", false),
            ("example.org", "ws://example.org.evil", false),
            ("org", "ws://example.org", true),
            ("a, example.org", "ws://example.org", true),
            ("a\texample.org b", "ws://example.org", true),
            ("example.org:80", "ws://example.org", true),
            ("example.org:80", "wss://example.org", false),
            ("10.0.0.0/8", "ws://10.1.2.3", true),
            ("10.1.2.3/8", "ws://10.200.0.1", true),
            ("10.0.0.0/8", "ws://11.0.0.1", false),
            ("10.0.0.0/8", "ws://ten.example", false),
            ("127.0.0.1", "ws://127.0.0.1:81", true),
            ("127.0.0.1:81", "ws://127.0.0.1:81", true),
            ("127.0.0.1:81", "ws://127.0.0.1", false),
            ("::1", "ws://[::1]", true),
            ("[::1]:81", "ws://[::1]:81", true),
            ("[::1]:81", "ws://[::1]", false),
            ("2001:db8::/32", "ws://[2001:db8::7]", true),
            ("2001:db8::/32", "ws://[2001:db9::7]", false),
            ("10.0.0.0/8", "ws://[::ffff:10.0.0.1]", true),
            ("", "ws://h", false),
            (",, ,", "ws://h", false),
        ] {
            let mut choice = ProxyChoice::given(Proxy::parse("a:7").unwrap());
            choice.except(list);
            assert_eq!(port(&choice, url).is_none(), is_excepted, "{list} {url}");
            assert!(choice.unread().is_empty(), "{list}");
        }
        let choice = read(&[("http_proxy", "a:1"), ("no_proxy", "b"), ("NO_PROXY", "c")]).unwrap();
        assert_eq!(
            (port(&choice, "ws://b"), port(&choice, "ws://c")),
            (None, Some(1))
        );
    }

    #[test]
    fn what_cannot_be_read_of_exceptions_is_left_out_and_told() {
        let mut choice = ProxyChoice::given(Proxy::parse("a:7").unwrap());
        choice.except("169.254/16,b,c:x,10.0.0.0/33,a..b,.");
        assert_eq!(
            choice.unread(),
            ["169.254/16", "c:x", "10.0.0.0/33", "a..b", "."]
        );
        assert_eq!(port(&choice, "ws://b"), None);
    }
}
