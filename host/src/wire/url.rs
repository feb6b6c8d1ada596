//! The URLs that a client connects to. RFC 3986, and RFC 6455 section 3 for `ws` and `wss`.
//!
//! Strict, and in-house for that reason: a reader as browsers have it repairs what it is given, and then connects to
//! something else than was written. What is read is kept as it came.

use std::fmt;
use std::ops::Range;

use super::credentials::Credentials;
use super::url_host::{Host, HostError};

/// How a URL is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A WebSocket.
    Ws,
    /// A WebSocket over TLS.
    Wss,
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// A URL that can be connected to. Printed, its credentials are left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    scheme: Scheme,
    credentials: Option<Credentials>,
    host: Host,
    port: u16,
    path: Range<usize>,
    query: Option<Range<usize>>,
}

/// Why a text is no URL that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It begins with no scheme.
    #[error("the URL has no scheme: begin it with ws://, wss://, http:// or https://")]
    NoScheme,
    /// It begins with another one.
    #[error("scheme `{0}` is not known here: use ws, wss, http or https")]
    Scheme(String),
    /// No `//` behind the scheme.
    #[error("the URL names no host: write // and the host behind the scheme")]
    NoHost,
    /// A blank, a control character, a backslash, or a letter beyond ASCII.
    #[error("character {found:?} in the URL at byte {at}: write it as escape, %20 for a blank")]
    Character {
        /// The character.
        found: char,
        /// Where it stands, from 0.
        at: usize,
    },
    /// Section 3 of RFC 6455 has none.
    #[error("a WebSocket URL has no name and password: send them in the field Authorization")]
    WebSocketCredentials,
    /// Broken escapes, control characters, or a colon in the name.
    #[error("name and password of the URL cannot be read: write special characters as escapes")]
    Credentials,
    /// See there.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not 1 to 65535.
    #[error("port `{0}` of the URL is none: use 1 to 65535")]
    Port(String),
    /// Section 3 of RFC 6455.
    #[error("a WebSocket URL has no fragment: leave out what follows the #, or write it as %23")]
    Fragment,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        [Self::Ws, Self::Wss, Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }

    /// As a URL has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Wss | Self::Https)
    }

    /// Whether a WebSocket is opened.
    #[must_use]
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port of a URL without one.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }

    /// The scheme that asks the same server for a WebSocket.
    #[must_use]
    pub const fn to_websocket(self) -> Self {
        if self.is_secure() {
            Self::Wss
        } else {
            Self::Ws
        }
    }
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`UrlError`], which says what to write.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (name, rest) = split_scheme(text).ok_or(UrlError::NoScheme)?;
        let scheme = Scheme::parse(name).ok_or_else(|| UrlError::Scheme(name.to_owned()))?;
        let rest = rest.strip_prefix("//").ok_or(UrlError::NoHost)?;
        let start = text.len() - rest.len();
        let end = start + rest.find(['/', '?', '#']).unwrap_or(rest.len());
        refuse_characters(text, start..end)?;
        let (credentials, host, port) = parse_authority(&text[start..end], scheme)?;
        let fragment = text[end..].find('#').map(|at| end + at);
        if fragment.is_some() && scheme.is_websocket() {
            return Err(UrlError::Fragment);
        }
        let behind = end..fragment.unwrap_or(text.len());
        let mark = text[behind.clone()].find('?').map(|at| end + at);
        Ok(Self {
            text: text.to_owned(),
            scheme,
            credentials,
            host,
            port: port.unwrap_or_else(|| scheme.default_port()),
            path: behind.start..mark.unwrap_or(behind.end),
            query: mark.map(|mark| mark + 1..behind.end),
        })
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whom it names; for TLS the name that the certificate has to have.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, by the scheme if it names none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Name and password; never those of a WebSocket URL.
    #[must_use]
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The path with its slash; `/` if there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.text[self.path.clone()] {
            "" => "/",
            path => path,
        }
    }

    /// What follows the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.clone().map(|query| &self.text[query])
    }

    /// The request target: path and query (RFC 9112 section 3.2.1).
    #[must_use]
    pub fn target(&self) -> String {
        match self.query() {
            Some(query) => format!("{}?{query}", self.path()),
            None => self.path().to_owned(),
        }
    }

    /// The request target for a proxy that is asked for HTTP without a tunnel (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn absolute_target(&self) -> String {
        let (scheme, host) = (self.scheme.name(), self.host_field());
        format!("{scheme}://{host}{}", self.target())
    }

    /// The value of the Host field: without the port of the scheme.
    #[must_use]
    pub fn host_field(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            self.authority()
        }
    }

    /// Host and port, as CONNECT asks for them (RFC 9110 section 9.3.6).
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether scheme, host and port are the same: what is meant for one is then meant for the other.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The same with another scheme and, where it was the port of the old one, with its port.
    ///
    /// # Errors
    ///
    /// [`UrlError`] where the other scheme does not take what this URL has: credentials, a fragment.
    pub fn with_scheme(&self, scheme: Scheme) -> Result<Self, UrlError> {
        let rest = self.text.split_once(':').map_or("", |(_, rest)| rest);
        Self::parse(&format!("{}:{rest}", scheme.name()))
    }

    /// What a reference means that was found here, such as the value of a Location field (RFC 3986 section 5.2). Letters
    /// beyond ASCII become escapes, since many servers send them.
    ///
    /// # Errors
    ///
    /// [`UrlError`] when the result is no URL.
    pub fn resolve(&self, reference: &str) -> Result<Self, UrlError> {
        let reference = &escape_beyond_ascii(reference);
        let scheme = self.scheme.name();
        if let Some((name, rest)) = split_scheme(reference) {
            return Self::parse(&format!("{name}:{}", clean_rest(rest)));
        }
        if reference.starts_with("//") {
            return Self::parse(&format!("{scheme}:{}", clean_rest(reference)));
        }
        let origin = format!("{scheme}://{}", self.host_field());
        let path_end = reference.find(['?', '#']).unwrap_or(reference.len());
        let (path, rest) = reference.split_at(path_end);
        let resolved = match path {
            "" if rest.starts_with('?') => format!("{origin}{}{rest}", self.path()),
            "" => format!("{origin}{}{rest}", self.target()),
            _ if path.starts_with('/') => format!("{origin}{}{rest}", without_dots(path)),
            _ => {
                let base = self.path();
                let directory = &base[..=base.rfind('/').unwrap_or(0)];
                let merged = format!("{directory}{path}");
                format!("{origin}{}{rest}", without_dots(&merged))
            }
        };
        Self::parse(&resolved)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.absolute_target())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The scheme and what follows its colon (RFC 3986 section 3.1).
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once(':')?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_letter);
    is_name.then_some((name, rest))
}

/// Only what may stand in a request, and nothing that somebody reads as a slash. Of the host its own reader says more.
fn refuse_characters(text: &str, authority: Range<usize>) -> Result<(), UrlError> {
    for (at, found) in text.char_indices() {
        let is_fine = found.is_ascii_graphic() && found != '\\'
            || !found.is_ascii() && authority.contains(&at);
        if !is_fine {
            return Err(UrlError::Character { found, at });
        }
    }
    Ok(())
}

type Authority = (Option<Credentials>, Host, Option<u16>);

/// `[userinfo@]host[:port]`.
fn parse_authority(authority: &str, scheme: Scheme) -> Result<Authority, UrlError> {
    let (userinfo, place) = match authority.rsplit_once('@') {
        Some((userinfo, place)) => (Some(userinfo), place),
        None => (None, authority),
    };
    let credentials = match userinfo {
        Some(_) if scheme.is_websocket() => return Err(UrlError::WebSocketCredentials),
        // A second `@`: which of them ends the credentials is for each reader to guess.
        Some(userinfo) if userinfo.contains('@') => return Err(UrlError::Credentials),
        Some(userinfo) => Some(Credentials::decode(userinfo).ok_or(UrlError::Credentials)?),
        None => None,
    };
    let (host, port) = split_port(place);
    let port = port.map(parse_port).transpose()?;
    Ok((credentials, Host::parse(host)?, port))
}

/// Host and port; the colons of an IPv6 address stand in brackets.
pub(crate) fn split_port(place: &str) -> (&str, Option<&str>) {
    match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    }
}

/// Digits only, and not 0, at which nobody can be reached.
pub(super) fn parse_port(digits: &str) -> Result<u16, UrlError> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_number.then(|| digits.parse().ok()).flatten();
    port.filter(|port| *port != 0)
        .ok_or_else(|| UrlError::Port(digits.to_owned()))
}

/// What follows a scheme, with the dots of its path followed.
fn clean_rest(rest: &str) -> String {
    let Some(behind) = rest.strip_prefix("//") else {
        return rest.to_owned();
    };
    let start = behind.find(['/', '?', '#']).unwrap_or(behind.len());
    let (authority, behind) = behind.split_at(start);
    let end = behind.find(['?', '#']).unwrap_or(behind.len());
    let (path, behind) = behind.split_at(end);
    format!("//{authority}{}{behind}", without_dots(path))
}

/// RFC 3986 section 5.2.4, of a path that begins with a slash or is empty.
fn without_dots(path: &str) -> String {
    let Some(path) = path.strip_prefix('/') else {
        return path.to_owned();
    };
    let mut kept = Vec::new();
    let mut is_directory = false;
    for segment in path.split('/') {
        is_directory = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let end = if is_directory && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", kept.join("/"))
}

fn escape_beyond_ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    escaped
}
