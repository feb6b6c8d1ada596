//! Plain requests in HTTP that a plugin sends: what it asks for, and the way to one that goes on.

use std::{fmt, path::Path, time::Duration};

use crate::{ClientRequest, Host, PostError, abi, handle::posted, session::milliseconds};

/// A request in plain HTTP, and how its server is reached: to be given to [`Host::request`] or [`Host::fetch`].
///
/// ```
/// use std::time::Duration;
/// use hotsocket_plugin::HttpRequest;
///
/// let request = HttpRequest::post("https://example.org/hooks", r#"{"up": true}"#)
///     .field("Content-Type", "application/json")
///     .within(Duration::from_secs(5));
/// # drop(request);
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before it is given to `Host::request`"]
pub struct HttpRequest {
    method: String,
    body: Body,
    answer_ms: u64,
    to: ClientRequest,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Whole(Vec<u8>),
    Exact(u64),
    Chunked,
}

impl HttpRequest {
    /// With this method to this URL: `http:` or `https:`. What is wrong with them, and with all that is added,
    /// [`Host::request`] tells.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            body: Body::None,
            answer_ms: abi::CONNECT_USUAL,
            to: ClientRequest::to(url),
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST with this content.
    pub fn post(url: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).content(content)
    }

    /// With this content.
    pub fn content(self, content: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Body::Whole(content.into()),
            ..self
        }
    }

    /// With so many bytes of content, which are given while it is sent: see
    /// [`ResponseHandler::on_writable`](crate::ResponseHandler::on_writable). Such a request is sent once only, and a redirect
    /// that would need the content again is the answer.
    pub fn streamed(self, length: u64) -> Self {
        Self {
            body: Body::Exact(length),
            ..self
        }
    }

    /// The same where it is not known how many: in chunks.
    pub fn chunked(self) -> Self {
        Self {
            body: Body::Chunked,
            ..self
        }
    }

    /// With one more field.
    pub fn field(self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.with(|to| to.field(name, value))
    }

    /// With this value of the field Host, in place of what the URL says.
    pub fn host(self, host: impl Into<String>) -> Self {
        self.with(|to| to.host(host))
    }

    /// As [`ClientRequest::accepting_self_signed`].
    pub fn accepting_self_signed(self) -> Self {
        self.with(ClientRequest::accepting_self_signed)
    }

    /// As [`ClientRequest::pinned`].
    pub fn pinned(self, sha256: [u8; 32]) -> Self {
        self.with(|to| to.pinned(sha256))
    }

    /// As [`ClientRequest::roots`].
    pub fn roots(self, file: impl AsRef<Path>) -> Self {
        self.with(|to| to.roots(file))
    }

    /// Through this proxy, `[http://][NAME:PASSWORD@]HOST:PORT`, whatever config and environment say. It opens a tunnel to an
    /// `https:` URL, and is asked for an `http:` one itself.
    pub fn proxy(self, proxy: impl Into<String>) -> Self {
        self.with(|to| to.proxy(proxy))
    }

    /// Without a proxy, whatever config and environment say.
    pub fn without_proxy(self) -> Self {
        self.with(ClientRequest::without_proxy)
    }

    /// Follows so many redirects, in place of `limits.redirects_count`. With 0 a redirect is the answer.
    pub fn redirects(self, count: u64) -> Self {
        self.with(|to| to.redirects(count))
    }

    /// Follows redirects from `https:` to `http:` too.
    pub fn allowing_downgrade(self) -> Self {
        self.with(ClientRequest::allowing_downgrade)
    }

    /// Fails when the server is not reached after this time, in place of `limits.dial_ms`.
    pub fn within(self, time: Duration) -> Self {
        self.with(|to| to.within(time))
    }

    /// Fails when the server is silent for this time, in place of `limits.client_answer_ms`.
    pub fn answer_within(self, time: Duration) -> Self {
        Self {
            answer_ms: milliseconds(time),
            ..self
        }
    }

    fn with(self, change: impl FnOnce(ClientRequest) -> ClientRequest) -> Self {
        let to = change(self.to);
        Self { to, ..self }
    }

    /// Calls `body` with this as the ABI has it.
    pub(crate) fn lend<R>(&self, body: impl FnOnce(*const abi::HttpRequest<'_>) -> R) -> R {
        let (body_kind, content, body_length) = match &self.body {
            Body::None => (abi::REQUEST_BODY_NONE, &[][..], 0),
            Body::Whole(content) => (abi::REQUEST_BODY_WHOLE, &content[..], 0),
            Body::Exact(length) => (abi::REQUEST_BODY_EXACT, &[][..], *length),
            Body::Chunked => (abi::REQUEST_BODY_CHUNKED, &[][..], 0),
        };
        self.to.lend(|to| {
            body(&abi::HttpRequest {
                size: size_of::<abi::HttpRequest<'_>>(),
                to,
                method: abi::Bytes::new(self.method.as_bytes()),
                body: abi::Bytes::new(content),
                body_length,
                answer_ms: self.answer_ms,
                body_kind,
                reserved: 0,
            })
        })
    }
}

/// Names a plain request. Never used again for another one while the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The way to a request that goes on, from any thread. Harmless once the request is over.
#[derive(Clone, Copy, Debug)]
pub struct RequestHandle {
    host: Host,
    id: RequestId,
}

impl RequestHandle {
    pub(crate) const fn new(host: Host, id: RequestId) -> Self {
        Self { host, id }
    }

    /// Which request this is.
    #[must_use]
    pub const fn id(&self) -> RequestId {
        self.id
    }

    /// Sends a piece of the body, once [`ResponseHandler::on_writable`](crate::ResponseHandler::on_writable) was told. Whoever
    /// gives more than may wait, see `limits.high_mark_bytes`, ends the request: [`Self::ask_writable`] tells when there is
    /// room.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`] when too much is queued for its service thread, as for all that follow.
    pub fn send(&self, piece: impl AsRef<[u8]>) -> Result<(), PostError> {
        self.post(abi::POST_SEND, piece.as_ref())
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn finish(&self) -> Result<(), PostError> {
        self.post(abi::POST_FINISH, &[])
    }

    /// Asks for one [`ResponseHandler::on_writable`](crate::ResponseHandler::on_writable).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn ask_writable(&self) -> Result<(), PostError> {
        self.post(abi::POST_ASK_WRITABLE, &[])
    }

    /// No content is told until [`Self::resume`]; the transport pushes back on the server.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn pause(&self) -> Result<(), PostError> {
        self.post(abi::POST_PAUSE, &[])
    }

    /// Undoes [`Self::pause`].
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn resume(&self) -> Result<(), PostError> {
        self.post(abi::POST_RESUME, &[])
    }

    /// Gives the request up: its handler is told that it has ended, if it goes on.
    pub fn give_up(&self) {
        self.host.give_up_number(self.id.0);
    }

    fn post(&self, operation: u32, payload: &[u8]) -> Result<(), PostError> {
        posted(self.host.post_request(self.id.0, operation, payload))
    }
}
