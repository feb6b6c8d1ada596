//! What a plugin or a program asks for that wants an answer in plain HTTP: judged when it is asked for, as far as that can be
//! told before anything is connected.

use std::sync::Arc;

use crate::{
    connection::{
        client_exchange::{
            ClientExchange, ClientRequest as Head, RequestBody, RequestError as UnsentError,
        },
        write_queue::SharedBytes,
    },
    context::client_request::{ClientRequest, ClientRequestError, ServerTrust},
    limits::Limits,
    wire::{
        proxy::Proxy,
        url::{Scheme, Url},
    },
};

/// A request in plain HTTP/1.1, and how its server is reached.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub(crate) method: String,
    pub(crate) body: HttpBody,
    /// The longest silence, in milliseconds.
    pub(crate) answer_ms: Option<u64>,
    /// Where it goes, and all that it has in common with a WebSocket.
    pub(crate) to: ClientRequest,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HttpBody {
    /// There is none.
    #[default]
    None,
    /// This.
    Whole(Arc<[u8]>),
    /// So many bytes, which are given while it is sent; in chunks where it is not known how many.
    Streamed(Option<u64>),
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpRequestError {
    /// The URL, a field or the proxy.
    #[error(transparent)]
    Request(#[from] ClientRequestError),
    /// The scheme is that of WebSockets.
    #[error("the URL `{0}` leads to a WebSocket: write http: or https:, or connect to it")]
    WebSocket(String),
    /// What cannot be sent.
    #[error(transparent)]
    Unsent(#[from] UnsentError),
}

impl HttpRequest {
    /// With this method to this URL, `http:` or `https:`.
    ///
    /// # Errors
    ///
    /// When the URL is none, or the method cannot be sent.
    pub fn new(method: &str, url: &str) -> Result<Self, HttpRequestError> {
        let bad = |cause| ClientRequestError::Url(url.to_owned(), cause);
        let url = Url::parse(url).map_err(bad)?;
        Self::of(method, ClientRequest::of(url), HttpBody::None, None)
    }

    /// The same of all that there is.
    pub(crate) fn of(
        method: &str,
        to: ClientRequest,
        body: HttpBody,
        answer_ms: Option<u64>,
    ) -> Result<Self, HttpRequestError> {
        Self {
            method: method.to_owned(),
            body,
            answer_ms,
            to,
        }
        .checked()
    }

    /// A GET.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn get(url: &str) -> Result<Self, HttpRequestError> {
        Self::new("GET", url)
    }

    /// A POST with this content.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn post(url: &str, content: impl Into<Arc<[u8]>>) -> Result<Self, HttpRequestError> {
        Ok(Self::new("POST", url)?.body(content))
    }

    /// With this content.
    #[must_use]
    pub fn body(self, content: impl Into<Arc<[u8]>>) -> Self {
        Self {
            body: HttpBody::Whole(content.into()),
            ..self
        }
    }

    /// With content that is given while it is sent: so many bytes, or in chunks where it is not known how many. A request of
    /// this kind is sent once only, and a redirect that would need the content again is the answer.
    #[must_use]
    pub fn streamed(self, length: Option<u64>) -> Self {
        Self {
            body: HttpBody::Streamed(length),
            ..self
        }
    }

    /// With one more field.
    ///
    /// # Errors
    ///
    /// When it is none, or the client's own.
    pub fn field(self, name: &str, value: &[u8]) -> Result<Self, HttpRequestError> {
        let to = self.to.field(name, value)?;
        Ok(Self { to, ..self })
    }

    /// With this value of the field Host, in place of what the URL says.
    ///
    /// # Errors
    ///
    /// When it cannot be sent.
    pub fn host(self, host: &str) -> Result<Self, HttpRequestError> {
        let to = self.to.host(host);
        Self { to, ..self }.checked()
    }

    /// How the server is known if TLS is spoken.
    #[must_use]
    pub fn trust(self, trust: ServerTrust) -> Self {
        let to = self.to.trust(trust);
        Self { to, ..self }
    }

    /// Through this proxy, `[http://][NAME:PASSWORD@]HOST:PORT`, whatever config and environment say.
    ///
    /// # Errors
    ///
    /// When the text names none.
    pub fn proxy(self, proxy: &str) -> Result<Self, HttpRequestError> {
        let to = self.to.proxy(proxy)?;
        Ok(Self { to, ..self })
    }

    /// Without a proxy, whatever config and environment say.
    #[must_use]
    pub fn without_proxy(self) -> Self {
        let to = self.to.without_proxy();
        Self { to, ..self }
    }

    /// Follows so many redirects, in place of `limits.redirects_count`. With 0 a redirect is the answer.
    #[must_use]
    pub fn redirects(self, count: u64) -> Self {
        let to = self.to.redirects(count);
        Self { to, ..self }
    }

    /// Follows redirects from TLS to none too.
    #[must_use]
    pub fn allowing_downgrade(self, may_downgrade: bool) -> Self {
        let to = self.to.allowing_downgrade(may_downgrade);
        Self { to, ..self }
    }

    /// Fails when the server is not reached after so many milliseconds, in place of `limits.dial_ms`.
    #[must_use]
    pub fn within_ms(self, within_ms: u64) -> Self {
        let to = self.to.within_ms(within_ms);
        Self { to, ..self }
    }

    /// Fails when the server is silent for so many milliseconds, in place of `limits.client_answer_ms`.
    #[must_use]
    pub fn answer_ms(self, answer_ms: u64) -> Self {
        Self {
            answer_ms: Some(answer_ms),
            ..self
        }
    }

    /// Where it goes.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.to.url
    }

    fn checked(self) -> Result<Self, HttpRequestError> {
        if !matches!(self.to.url.scheme(), Scheme::Http | Scheme::Https) {
            return Err(HttpRequestError::WebSocket(self.to.url.to_string()));
        }
        self.begin(None, &Limits::default())?;
        Ok(self)
    }

    /// The head of the request, with the exchange that it begins. A proxy is named where it is asked itself.
    pub(crate) fn begin(
        &self,
        proxy: Option<&Proxy>,
        limits: &Limits,
    ) -> Result<(Vec<u8>, ClientExchange), UnsentError> {
        let url = &self.to.url;
        let proxy = proxy.filter(|_| !url.scheme().is_secure());
        let target = match proxy {
            Some(_) => url.absolute_target(),
            None => url.target(),
        };
        let host = self.to.host.clone().unwrap_or_else(|| url.host_field());
        let mut head = Vec::new();
        let mut exchange = ClientExchange::begin(
            &mut head,
            &Head {
                method: &self.method,
                target: &target,
                host: &host,
                fields: &self.to.fields,
                credentials: url.credentials(),
                proxy_credentials: proxy.and_then(|proxy| proxy.credentials.as_ref()),
                body: self.body.framed(),
                awaits_continue: false,
                keep_alive: true,
            },
            limits,
        )?;
        if let HttpBody::Whole(_) = self.body {
            exchange.sent_whole();
        }
        Ok((head, exchange))
    }

    /// Whether it may be sent twice (RFC 9110 section 9.2.2), and can be.
    pub(crate) fn may_be_repeated(&self) -> bool {
        let is_idempotent = matches!(
            &*self.method,
            "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE"
        );
        is_idempotent && !matches!(self.body, HttpBody::Streamed(_))
    }
}

impl HttpBody {
    fn framed(&self) -> RequestBody {
        match self {
            Self::None => RequestBody::None,
            Self::Whole(content) => RequestBody::Exact(content.len() as u64),
            Self::Streamed(Some(length)) => RequestBody::Exact(*length),
            Self::Streamed(None) => RequestBody::Chunked,
        }
    }

    /// It, where it is there as a whole.
    pub(crate) fn shared(&self) -> Option<SharedBytes> {
        match self {
            Self::Whole(content) => Some(Arc::new(Arc::clone(content))),
            _ => None,
        }
    }

    /// What it takes of memory while it waits, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Whole(content) => content.len() as u64,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(request: &HttpRequest, proxy: Option<&Proxy>) -> String {
        let (head, _) = request.begin(proxy, &Limits::default()).unwrap();
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_request_that_makes_no_sense_is_told_when_it_is_made() {
        for (method, url) in [
            ("GET", "ws://h/"),
            ("GET", "h"),
            ("GET", "ftp://h/"),
            ("G T", "http://h/"),
            ("CONNECT", "http://h/"),
        ] {
            assert!(HttpRequest::new(method, url).is_err(), "{method} {url}");
        }
        let fine = || HttpRequest::get("http://h/a").unwrap();
        assert!(fine().field("Content-Length", b"1").is_err());
        assert!(fine().host("a b").is_err());
        assert!(fine().proxy("socks5://p:1").is_err());
    }

    #[test]
    fn a_proxy_is_asked_for_the_whole_url_unless_a_tunnel_leads_through_it() {
        let proxy = Proxy::parse("n:p@proxy:3128").unwrap();
        let plain = HttpRequest::get("http://h:81/a?b").unwrap();
        let asked = head(&plain, Some(&proxy));
        assert!(
            asked.starts_with("GET http://h:81/a?b HTTP/1.1\r\nHost: h:81\r\n"),
            "{asked}"
        );
        assert!(asked.contains("\r\nProxy-Authorization: Basic "), "{asked}");
        let secure = HttpRequest::get("https://h/a?b").unwrap();
        let asked = head(&secure, Some(&proxy));
        assert_eq!(asked, "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n");
    }

    #[test]
    fn only_what_changes_nothing_more_when_it_is_done_twice_is_repeated() {
        let request = |method| HttpRequest::new(method, "http://h/").unwrap();
        assert!(request("GET").may_be_repeated());
        assert!(request("PUT").body(*b"abc").may_be_repeated());
        assert!(!request("PUT").streamed(Some(3)).may_be_repeated());
        assert!(!request("POST").may_be_repeated());
        assert!(!request("PATCH").may_be_repeated());
    }
}
