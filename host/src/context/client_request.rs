//! What a plugin or a program asks for that wants a WebSocket of a server: judged when it is asked for, as far as that can be
//! told before anything is connected.

use std::path::PathBuf;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use crate::net::tls::ClientTlsConfig;
use crate::{
    connection::{
        opening::{Opening, OpeningRequest},
        retry::RetryPolicy,
    },
    limits::Limits,
    wire::{
        client_fields::{ClientFieldError, ClientFields},
        client_handshake::OfferError,
        proxy::{Proxy, ProxyError},
        url::{Scheme, Url, UrlError},
    },
};

/// Where a connection is to lead, and how.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub(crate) url: Url,
    pub(crate) host: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) fields: ClientFields,
    pub(crate) trust: ServerTrust,
    pub(crate) proxy: ProxyUse,
    pub(crate) may_downgrade: bool,
    pub(crate) within_ms: Option<u64>,
    pub(crate) redirects: Option<u64>,
    pub(crate) retries: Option<u64>,
    pub(crate) retry_first_ms: Option<u64>,
    pub(crate) retry_most_ms: Option<u64>,
}

/// How a server is known that is spoken to over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTrust {
    /// By a certificate for its name of an authority that the platform trusts.
    Verified,
    /// By one of the authorities in this PEM file.
    Roots(PathBuf),
    /// By one of those in this PEM file, or one that the platform trusts.
    MoreRoots(PathBuf),
    /// By the SHA-256 of its key, the SubjectPublicKeyInfo of its certificate.
    Pinned([u8; 32]),
    /// Not at all: any certificate does.
    AcceptSelfSigned,
    /// As the program says by a configuration of its own.
    #[cfg(feature = "tls")]
    Given(GivenTls),
}

/// What a program brings of TLS: all that rustls can be told, such as a certificate of the client.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub struct GivenTls(pub(crate) Arc<ClientTlsConfig>);

#[cfg(feature = "tls")]
impl From<Arc<ClientTlsConfig>> for GivenTls {
    fn from(config: Arc<ClientTlsConfig>) -> Self {
        Self(config)
    }
}

/// The same one, not one that says the same.
#[cfg(feature = "tls")]
impl PartialEq for GivenTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(feature = "tls")]
impl Eq for GivenTls {}

/// Which proxy is asked for a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyUse {
    /// The one that the config names, or else the environment.
    Usual,
    /// None.
    Direct,
    /// This one.
    Given(Proxy),
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientRequestError {
    /// The URL.
    #[error("the URL `{0}`: {1}")]
    Url(String, UrlError),
    /// A field.
    #[error(transparent)]
    Field(#[from] ClientFieldError),
    /// The proxy.
    #[error("the proxy: {0}")]
    Proxy(#[from] ProxyError),
    /// What the opening handshake would say.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

impl ClientRequest {
    /// To this URL, `ws:` or `wss:`; `http:` and `https:` mean the same.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn to(url: &str) -> Result<Self, ClientRequestError> {
        let bad = |cause| ClientRequestError::Url(url.to_owned(), cause);
        let url = Url::parse(url).map_err(bad)?;
        let url = match url.scheme() {
            Scheme::Ws | Scheme::Wss => url,
            scheme => url.with_scheme(scheme.to_websocket()).map_err(bad)?,
        };
        Ok(Self::of(url))
    }

    /// To this URL, whatever its scheme.
    pub(crate) const fn of(url: Url) -> Self {
        Self {
            url,
            host: None,
            origin: None,
            subprotocols: Vec::new(),
            fields: ClientFields::new(),
            trust: ServerTrust::Verified,
            proxy: ProxyUse::Usual,
            may_downgrade: false,
            within_ms: None,
            redirects: None,
            retries: Some(0),
            retry_first_ms: None,
            retry_most_ms: None,
        }
    }

    /// With this value of the field Host, in place of what the URL says.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        Self {
            host: Some(host.to_owned()),
            ..self
        }
    }

    /// With an Origin, as browsers send it.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        Self {
            origin: Some(origin.to_owned()),
            ..self
        }
    }

    /// Offers a subprotocol, behind those that were offered before.
    #[must_use]
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.subprotocols.push(name.to_owned());
        self
    }

    /// With one more field in the opening handshake.
    ///
    /// # Errors
    ///
    /// When it is none, or the client's own.
    pub fn field(mut self, name: &str, value: &[u8]) -> Result<Self, ClientRequestError> {
        self.fields.add(name, value)?;
        Ok(self)
    }

    /// How the server is known if TLS is spoken.
    #[must_use]
    pub fn trust(self, trust: ServerTrust) -> Self {
        Self { trust, ..self }
    }

    /// Through this proxy, `[http://][NAME:PASSWORD@]HOST:PORT`, whatever config and environment say.
    ///
    /// # Errors
    ///
    /// When the text names none.
    pub fn proxy(self, proxy: &str) -> Result<Self, ClientRequestError> {
        let proxy = ProxyUse::Given(Proxy::parse(proxy)?);
        Ok(Self { proxy, ..self })
    }

    /// Without a proxy, whatever config and environment say.
    #[must_use]
    pub fn without_proxy(self) -> Self {
        Self {
            proxy: ProxyUse::Direct,
            ..self
        }
    }

    /// Follows redirects from TLS to none too.
    #[must_use]
    pub fn allowing_downgrade(self, may_downgrade: bool) -> Self {
        Self {
            may_downgrade,
            ..self
        }
    }

    /// Each try fails that is not open after so many milliseconds, in place of `limits.dial_ms`.
    #[must_use]
    pub fn within_ms(self, within_ms: u64) -> Self {
        Self {
            within_ms: Some(within_ms),
            ..self
        }
    }

    /// Follows so many redirects, in place of `limits.redirects_count`.
    #[must_use]
    pub fn redirects(self, count: u64) -> Self {
        Self {
            redirects: Some(count),
            ..self
        }
    }

    /// Tries so often again after a failure that may pass; none for ever. Not at all unless this is called.
    #[must_use]
    pub fn retries(self, count: Option<u64>) -> Self {
        Self {
            retries: count,
            ..self
        }
    }

    /// The longest first wait before that, in milliseconds, in place of `limits.retry_first_ms`. It doubles each time.
    #[must_use]
    pub fn retry_first_ms(self, first_ms: u64) -> Self {
        Self {
            retry_first_ms: Some(first_ms),
            ..self
        }
    }

    /// The longest of all waits, in milliseconds, in place of `limits.retry_most_ms`.
    #[must_use]
    pub fn retry_most_ms(self, most_ms: u64) -> Self {
        Self {
            retry_most_ms: Some(most_ms),
            ..self
        }
    }

    /// Judges what can be judged before anything is connected.
    ///
    /// # Errors
    ///
    /// What the opening handshake cannot say.
    pub(crate) fn check(&self) -> Result<(), ClientRequestError> {
        let opening = self.opening([0; 16], String::new(), None);
        Opening::new(opening, &Limits::default())?;
        Ok(())
    }

    /// What is asked of the server.
    pub(crate) fn opening(
        &self,
        nonce: [u8; 16],
        extensions: String,
        proxy: Option<Proxy>,
    ) -> OpeningRequest {
        OpeningRequest {
            url: self.url.clone(),
            host: self.host.clone(),
            nonce,
            origin: self.origin.clone(),
            subprotocols: self.subprotocols.clone(),
            extensions,
            fields: self.fields.clone(),
            proxy,
        }
    }

    pub(crate) fn retry_policy(&self, limits: &Limits) -> RetryPolicy {
        let usual = RetryPolicy::new(limits, self.retries);
        RetryPolicy {
            first_ms: self.retry_first_ms.unwrap_or(usual.first_ms),
            most_ms: self.retry_most_ms.unwrap_or(usual.most_ms),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_makes_no_sense_is_told_when_it_is_made() {
        let to = |url: &str| ClientRequest::to(url).map(|request| request.url.to_string());
        assert_eq!(to("https://h/a").as_deref(), Ok("wss://h/a"));
        for url in ["h", "ftp://h", "ws://", "https://u:p@h", "ws://h:99999"] {
            let told = to(url).unwrap_err().to_string();
            assert!(told.contains(url), "{told}");
        }
        let fine = || ClientRequest::to("ws://h").unwrap();
        assert!(fine().field("Sec-WebSocket-Key", b"x").is_err());
        assert!(fine().field("X", b"a\r\nb").is_err());
        assert!(fine().proxy("socks5://p:1").is_err());
        for wrong in [
            fine().subprotocol("a b"),
            fine().subprotocol("a").subprotocol("a"),
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert_eq!(fine().subprotocol("a").check(), Ok(()));
    }
}
