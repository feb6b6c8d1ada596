//! The opening handshake as the client has it. RFC 6455 section 4.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::answer_head::AnswerHead;
use super::client_fields::ClientFields;
use super::handshake::accept_of;
use super::header_list::{ExtensionOffer, extensions, has_element, is_token};
use super::response_head::put_field;

/// What is shown of a field that cannot stand, in bytes.
const SHOWN_BYTES: usize = 100;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClientHandshake<'a> {
    /// Host and port, as in the URL.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Sixteen random bytes, new for each connection.
    pub nonce: [u8; 16],
    /// The page that asks, as browsers send it.
    pub origin: Option<&'a str>,
    /// The subprotocols to offer, the preferred one first.
    pub subprotocols: &'a [String],
    /// The value of the extensions field, empty for none.
    pub extensions: &'a str,
    /// Further fields.
    pub fields: &'a ClientFields,
}

/// A server's answer that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The subprotocol it chose, one of those offered.
    pub subprotocol: Option<&'a str>,
    /// The extensions it chose, each of a name that was offered. Their parameters are not judged here.
    pub extensions: Vec<ExtensionOffer<'a>>,
}

/// Why a request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Section 4.1, item 10.
    #[error("subprotocol `{0}` is no token: use letters, digits and hyphens")]
    Subprotocol(String),
    /// Section 4.1, item 10.
    #[error("subprotocol `{0}` is offered twice")]
    SubprotocolTwice(String),
    /// Not an origin, or two of them.
    #[error("origin `{0}` is none: use scheme://host[:port], or null")]
    Origin(String),
    /// Section 9.1.
    #[error(
        "the extensions `{0}` cannot be offered: write NAME; PARAMETER=VALUE, with commas between them"
    )]
    Extensions(String),
}

/// Why a server's answer is refused: section 4.1, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unaccepted {
    /// It answered with another status, such as a refusal or a redirect.
    #[error("the server answered with status {0} in place of 101")]
    Status(u16),
    /// Only HTTP/1.1 has 101.
    #[error("the server answered 101 in HTTP/1.0")]
    Version,
    /// Item 2.
    #[error("the server's field Upgrade is `{0}` in place of `websocket`")]
    Upgrade(String),
    /// Item 3.
    #[error("the server's field Connection is `{0}` in place of `Upgrade`")]
    Connection(String),
    /// Item 4.
    #[error(
        "the server's Sec-WebSocket-Accept `{0}` does not answer our key: a cache, or no WebSocket server"
    )]
    Accept(String),
    /// Item 6.
    #[error("the server chose subprotocol `{0}`, which was not offered")]
    Subprotocol(String),
    /// It may choose one.
    #[error("the server chose two subprotocols, `{0}` and more")]
    SubprotocolTwice(String),
    /// Section 9.1.
    #[error("the server's field Sec-WebSocket-Extensions `{0}` cannot be read")]
    ExtensionsMalformed(String),
    /// Item 5.
    #[error("the server chose extension `{0}`, which was not offered")]
    Extension(String),
}

impl ClientHandshake<'_> {
    /// Appends the request (section 4.1).
    ///
    /// # Errors
    ///
    /// [`OfferError`]; nothing is appended.
    pub fn put_request(&self, out: &mut Vec<u8>) -> Result<(), OfferError> {
        self.refuse_subprotocols()?;
        self.refuse_origin()?;
        self.offered()?;
        out.extend_from_slice(format!("GET {} HTTP/1.1\r\n", self.target).as_bytes());
        put_field(out, "Host", self.host);
        put_field(out, "Upgrade", "websocket");
        put_field(out, "Connection", "Upgrade");
        put_field(out, "Sec-WebSocket-Key", self.key());
        put_field(out, "Sec-WebSocket-Version", "13");
        if let Some(origin) = self.origin {
            put_field(out, "Origin", origin);
        }
        if !self.subprotocols.is_empty() {
            put_field(out, "Sec-WebSocket-Protocol", self.subprotocols.join(", "));
        }
        if !self.extensions.is_empty() {
            put_field(out, "Sec-WebSocket-Extensions", self.extensions);
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Judges the answer (section 4.1).
    ///
    /// # Errors
    ///
    /// [`Unaccepted`]; the connection is of no use for a WebSocket then.
    pub fn judge<'a>(&self, head: &AnswerHead<'a>) -> Result<Accepted<'a>, Unaccepted> {
        if head.status != 101 {
            return Err(Unaccepted::Status(head.status));
        }
        if head.minor_version < 1 {
            return Err(Unaccepted::Version);
        }
        // One value and no list: a server that also upgrades to something else leaves open what follows.
        let upgrade = all(head, "Upgrade");
        if !upgrade.eq_ignore_ascii_case(b"websocket") {
            return Err(Unaccepted::Upgrade(shown(&upgrade)));
        }
        let connection = all(head, "Connection");
        if !has_element(&connection, "upgrade") {
            return Err(Unaccepted::Connection(shown(&connection)));
        }
        let accept = all(head, "Sec-WebSocket-Accept");
        if accept != accept_of(self.key().as_bytes()).as_bytes() {
            return Err(Unaccepted::Accept(shown(&accept)));
        }
        Ok(Accepted {
            subprotocol: self.judge_subprotocol(head)?,
            extensions: self.judge_extensions(head)?,
        })
    }

    fn judge_subprotocol<'a>(&self, head: &AnswerHead<'a>) -> Result<Option<&'a str>, Unaccepted> {
        let mut chosen = head.fields("Sec-WebSocket-Protocol");
        let Some(value) = chosen.next() else {
            return Ok(None);
        };
        if chosen.next().is_some() {
            return Err(Unaccepted::SubprotocolTwice(shown(value)));
        }
        let chosen = std::str::from_utf8(value).ok();
        chosen
            .filter(|chosen| self.subprotocols.iter().any(|offered| offered == chosen))
            .map(Some)
            .ok_or_else(|| Unaccepted::Subprotocol(shown(value)))
    }

    fn judge_extensions<'a>(
        &self,
        head: &AnswerHead<'a>,
    ) -> Result<Vec<ExtensionOffer<'a>>, Unaccepted> {
        let mut chosen = Vec::new();
        for value in head.fields("Sec-WebSocket-Extensions") {
            extensions(value, &mut chosen)
                .map_err(|_| Unaccepted::ExtensionsMalformed(shown(value)))?;
        }
        let offered = self.offered().unwrap_or_default();
        let is_offered = |name: &str| offered.iter().any(|offer| offer.name == name);
        match chosen.iter().find(|chosen| !is_offered(chosen.name)) {
            Some(other) => Err(Unaccepted::Extension(shown(other.name.as_bytes()))),
            None => Ok(chosen),
        }
    }

    fn refuse_subprotocols(&self) -> Result<(), OfferError> {
        for (at, name) in self.subprotocols.iter().enumerate() {
            if !is_token(name.as_bytes()) {
                return Err(OfferError::Subprotocol(name.clone()));
            }
            if self.subprotocols[..at].contains(name) {
                return Err(OfferError::SubprotocolTwice(name.clone()));
            }
        }
        Ok(())
    }

    fn refuse_origin(&self) -> Result<(), OfferError> {
        let is_origin = |origin: &str| {
            let is_listed = origin.split_once("://").is_some_and(|(scheme, place)| {
                !scheme.is_empty() && !place.is_empty() && !place.contains('/')
            });
            (is_listed || origin == "null") && origin.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match self.origin {
            Some(origin) if !is_origin(origin) => Err(OfferError::Origin(origin.to_owned())),
            _ => Ok(()),
        }
    }

    fn offered(&self) -> Result<Vec<ExtensionOffer<'_>>, OfferError> {
        let mut offered = Vec::new();
        extensions(self.extensions.as_bytes(), &mut offered)
            .map_err(|_| OfferError::Extensions(self.extensions.to_owned()))?;
        Ok(offered)
    }

    fn key(&self) -> String {
        BASE64.encode(self.nonce)
    }
}

/// The values of a field as one (RFC 9110 section 5.3); empty if it is not there.
fn all(head: &AnswerHead<'_>, name: &str) -> Vec<u8> {
    head.fields(name).collect::<Vec<_>>().join(&b", "[..])
}

/// What a server sent, as an error can say it.
fn shown(value: &[u8]) -> String {
    let short = &value[..value.len().min(SHOWN_BYTES)];
    let text = short.escape_ascii().to_string();
    if short.len() < value.len() {
        text + "..."
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
