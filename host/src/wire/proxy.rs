//! An HTTP proxy as users write it, and how it is asked for a tunnel. RFC 9110 section 9.3.6.

use super::credentials::Credentials;
use super::response_head::put_field;
use super::url::{Url, UrlError, parse_port, split_port};
use super::url_host::{Host, HostError};

/// A proxy that is spoken to in HTTP without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Who asks it.
    pub credentials: Option<Credentials>,
}

/// Why a text names no proxy. None of these shows its password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// A way to speak to a proxy that we do not know.
    #[error("scheme `{0}` of the proxy is not known here: use http://HOST:PORT")]
    Scheme(String),
    /// Which port is meant differs from program to program.
    #[error("the proxy has no port: write HOST:PORT")]
    NoPort,
    /// Not 1 to 65535.
    #[error("port `{0}` of the proxy is none: use 1 to 65535")]
    Port(String),
    /// See there.
    #[error("the proxy: {0}")]
    Host(#[from] HostError),
    /// Broken escapes, control characters, or a colon in the name.
    #[error("name and password of the proxy cannot be read: write special characters as escapes")]
    Credentials,
    /// A path, a query, a fragment.
    #[error("the proxy has more than host and port: write [http://][NAME:PASSWORD@]HOST:PORT")]
    More,
}

impl Proxy {
    /// Reads `[http://][NAME[:PASSWORD]@]HOST:PORT`. With its scheme the port may be missing and is 80.
    ///
    /// # Errors
    ///
    /// [`ProxyError`].
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if let Some(scheme) = scheme.filter(|scheme| !scheme.eq_ignore_ascii_case("http")) {
            return Err(ProxyError::Scheme(scheme.to_owned()));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(ProxyError::More);
        }
        let (userinfo, place) = match rest.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, rest),
        };
        let credentials = match userinfo {
            Some(userinfo) if userinfo.contains('@') => return Err(ProxyError::Credentials),
            Some(userinfo) => Some(Credentials::decode(userinfo).ok_or(ProxyError::Credentials)?),
            None => None,
        };
        let (host, port) = split_port(place);
        let host = Host::parse(host)?;
        let port = match port {
            Some(digits) => parse_port(digits).map_err(|error| match error {
                UrlError::Port(digits) => ProxyError::Port(digits),
                _ => ProxyError::NoPort,
            })?,
            None if scheme.is_some() => 80,
            None => return Err(ProxyError::NoPort),
        };
        Ok(Self {
            host,
            port,
            credentials,
        })
    }

    /// Appends the request for a tunnel to the host of a URL.
    pub fn put_connect(&self, out: &mut Vec<u8>, url: &Url) {
        let authority = url.authority();
        out.extend_from_slice(format!("CONNECT {authority} HTTP/1.1\r\n").as_bytes());
        put_field(out, "Host", authority);
        if let Some(credentials) = &self.credentials {
            put_field(out, "Proxy-Authorization", credentials.basic());
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_as_users_write_it() {
        for (text, host, port) in [
            ("proxy:3128", "proxy", 3128),
            ("http://Proxy.example:3128/", "proxy.example", 3128),
            ("HTTP://10.0.0.1", "10.0.0.1", 80),
            ("[::1]:8080", "[::1]", 8080),
            ("http://[::1]", "[::1]", 80),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!((proxy.host.to_string().as_str(), proxy.port), (host, port));
            assert_eq!(proxy.credentials, None, "{text}");
        }
    }

    #[test]
    fn a_malformed_proxy_is_refused_with_its_cause_and_without_its_password() {
        for (text, error) in [
            ("", ProxyError::Host(HostError::Empty)),
            ("proxy", ProxyError::NoPort),
            ("proxy:", ProxyError::Port(String::new())),
            ("proxy:0", ProxyError::Port("0".into())),
            ("proxy:http", ProxyError::Port("http".into())),
            (":3128", ProxyError::Host(HostError::Empty)),
            ("https://proxy:1", ProxyError::Scheme("https".into())),
            ("socks5://proxy:1", ProxyError::Scheme("socks5".into())),
            ("proxy:1/path", ProxyError::More),
            ("http://proxy:1?x", ProxyError::More),
            ("u:secret@x@proxy:1", ProxyError::Credentials),
            ("u:secret%@proxy:1", ProxyError::Credentials),
            (
                "a b:1",
                ProxyError::Host(HostError::Malformed("a b".into())),
            ),
            (
                "u:secret@127.1:1",
                ProxyError::Host(HostError::Number("127.1".into())),
            ),
        ] {
            let found = Proxy::parse(text).unwrap_err();
            assert!(!found.to_string().contains("secret"), "{found}");
            assert_eq!(found, error, "{text}");
        }
    }

    #[test]
    fn a_tunnel_is_asked_for_with_host_port_and_credentials() {
        let url = Url::parse("wss://example.org/chat").unwrap();
        let mut out = Vec::new();
        Proxy::parse("proxy:1").unwrap().put_connect(&mut out, &url);
        let plain = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n";
        assert_eq!(out, plain);
        out.clear();
        let proxy = Proxy::parse("http://a:b@proxy:1").unwrap();
        proxy.put_connect(&mut out, &url);
        assert!(out.ends_with(b":443\r\nProxy-Authorization: Basic YTpi\r\n\r\n"));
    }
}
