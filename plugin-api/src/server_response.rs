//! What a plugin is told of the answer to a plain request, and what it may ask of the request meanwhile.

use std::{error::Error, fmt, slice};

use crate::{ConnectStage, Host, RequestHandle, RequestId, Sent, abi, facts::Facts};

/// What is told of the answer to a request, on the service thread that has it, one call at a time, never nested. A handler must
/// not wait for anything; what it learns it passes on by handles.
///
/// When the plugin is replaced the requests that it has begun go on, and are told to the code that began them.
pub trait ResponseHandler: Send + 'static {
    /// The server redirects. True, which is the default, follows, within the limits; false takes the redirect for the answer.
    fn on_redirect(&mut self, to: &str) -> bool {
        let _ = to;
        true
    }

    /// The head of the answer has come. Its content follows, unless this pauses it.
    fn on_head(&mut self, response: &mut ServerResponse) {
        let _ = response;
    }

    /// A piece of content, without its transfer coding.
    fn on_content(&mut self, response: &mut ServerResponse, piece: &[u8]) {
        let _ = (response, piece);
    }

    /// There is room for more of the body: told once when that of a streamed request may begin, and then whenever
    /// [`ServerResponse::ask_writable`] was called.
    fn on_writable(&mut self, response: &mut ServerResponse) {
        let _ = response;
    }

    /// The request is over: the answer is complete, with the fields behind its content; or this is why it is not. Told exactly
    /// once, and nothing after it. When the host ends before the request could begin that may be on another thread.
    fn on_end(&mut self, end: Result<Trailer<'_>, RequestError>);
}

/// A request while its handler is told something.
pub struct ServerResponse {
    raw: abi::Response,
}

/// What was answered.
impl ServerResponse {
    /// In [`ResponseHandler::on_head`]: the status. 0 in all other calls.
    #[must_use]
    pub fn status(&self) -> u16 {
        let status = self.number(abi::FACT_STATUS);
        status
            .and_then(|status| status.try_into().ok())
            .unwrap_or_default()
    }

    /// In [`ResponseHandler::on_head`]: the value of a field by its name, in any case of letters; the first one if it is
    /// repeated. Need not be UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// The same, as text; none when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The values of a field, in their order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        (0..).map_while(move |index| {
            let mut out = abi::Bytes::empty();
            // SAFETY: the calls are valid while the handler is told; the name outlives this one, and `out` is ours to write.
            let status =
                unsafe { (self.calls().field)(self.raw.context, name, index, &raw mut out) };
            // SAFETY: the host lends fields until the call returns, which this borrow does not outlive.
            (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
        })
    }

    /// Names and values of all fields, in their order.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        (0..).map_while(|index| {
            let (mut name, mut value) = (abi::Bytes::empty(), abi::Bytes::empty());
            // SAFETY: as in `headers`; both places are ours to write.
            let status = unsafe {
                (self.calls().field_at)(self.raw.context, index, &raw mut name, &raw mut value)
            };
            if status != abi::STATUS_OK {
                return None;
            }
            // SAFETY: as in `headers`.
            let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
            Some((str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// Whom the request was sent to, as of the last redirect, without name and password.
    #[must_use]
    pub fn url(&self) -> &str {
        self.words(abi::FACT_URL).unwrap_or_default()
    }

    /// Which request it is.
    #[must_use]
    pub fn id(&self) -> RequestId {
        RequestId(self.number(abi::FACT_CONNECT).unwrap_or_default())
    }

    /// The way to the request from elsewhere.
    #[must_use]
    pub fn handle(&self) -> RequestHandle {
        RequestHandle::new(self.host(), self.id())
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> Host {
        // SAFETY: the contract has a host that stays valid for ever.
        unsafe { Host::from_raw(self.raw.host) }
    }
}

/// What may be asked.
impl ServerResponse {
    /// Sends a piece of the body. [`Sent::Full`] when more waits already than `limits.high_mark_bytes`; [`Sent::Closed`] when the
    /// server wants no more of it; [`Sent::Refused`] when it would be longer than was announced.
    pub fn send(&mut self, piece: impl AsRef<[u8]>) -> Sent {
        let piece = abi::Bytes::new(piece.as_ref());
        // SAFETY: the calls are valid while the handler is told; the piece outlives this one.
        sent(unsafe { (self.calls().send)(self.raw.context, piece) })
    }

    /// Ends the body. As [`Self::send`]; a body that is shorter than was announced fails the request.
    pub fn finish(&mut self) -> Sent {
        // SAFETY: the calls are valid while the handler is told.
        sent(unsafe { (self.calls().finish)(self.raw.context) })
    }

    /// Asks for one [`ResponseHandler::on_writable`]: in the next turn when there is room already.
    pub fn ask_writable(&mut self) {
        // SAFETY: as in `finish`.
        unsafe { (self.calls().ask_writable)(self.raw.context) }
    }

    /// No content is told after this call until [`Self::resume`] or [`RequestHandle::resume`]; the transport pushes back on
    /// the server.
    pub fn pause(&mut self) {
        // SAFETY: as in `finish`.
        unsafe { (self.calls().pause)(self.raw.context) }
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&mut self) {
        // SAFETY: as in `finish`.
        unsafe { (self.calls().resume)(self.raw.context) }
    }

    /// Gives the request up, for this reason; the handler is told that it has ended.
    pub fn give_up(&mut self, why: &str) {
        // SAFETY: as in `finish`; the text outlives this one.
        unsafe { (self.calls().give_up)(self.raw.context, abi::Bytes::new(why.as_bytes())) }
    }

    /// # Safety
    ///
    /// `raw` is what the host gave to the call that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Response) -> Self {
        Self { raw }
    }

    pub(crate) const fn raw(&self) -> abi::Response {
        self.raw
    }

    /// Where a redirect leads.
    pub(crate) fn location(&self) -> &str {
        self.words(abi::FACT_LOCATION).unwrap_or_default()
    }

    /// Tells why the call that is running is about to fail.
    pub(crate) fn fail(&self, text: &str) {
        // SAFETY: as in `finish`; the text outlives this one.
        unsafe { (self.calls().fail)(self.raw.context, abi::Bytes::new(text.as_bytes())) }
    }

    const fn calls(&self) -> &abi::ResponseCalls {
        // SAFETY: `from_raw` promises that the calls are valid while the handler is told.
        unsafe { &*self.raw.calls }
    }
}

fn sent(status: abi::Status) -> Sent {
    match status {
        abi::STATUS_OK => Sent::Queued,
        abi::STATUS_FULL => Sent::Full,
        abi::STATUS_CLOSED => Sent::Closed,
        _ => Sent::Refused,
    }
}

impl Facts for ServerResponse {
    fn number(&self, key: u32) -> Option<u64> {
        let mut out = 0;
        // SAFETY: the calls are valid while the handler is told; `out` is ours to write.
        let status = unsafe { (self.calls().fact_number)(self.raw.context, key, &raw mut out) };
        (status == abi::STATUS_OK).then_some(out)
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let mut out = abi::Bytes::empty();
        // SAFETY: as above.
        let status = unsafe { (self.calls().fact_bytes)(self.raw.context, key, &raw mut out) };
        // SAFETY: the host lends facts until the call returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}

impl fmt::Debug for ServerResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerResponse")
            .field("id", &self.id())
            .field("url", &self.url())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The fields behind the content of an answer.
#[derive(Clone, Copy)]
pub struct Trailer<'a>(&'a [abi::Field<'a>]);

impl<'a> Trailer<'a> {
    /// The value of a field by its name, in any case of letters.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.iter();
        fields.find_map(|(other, value)| other.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let fields: &'a [abi::Field<'a>] = self.0;
        fields.iter().map(|field| {
            // SAFETY: the host lends both until the call returns, which `'a` does not outlive.
            let (name, value) = unsafe { (field.name.as_slice(), field.value.as_slice()) };
            (str::from_utf8(name).unwrap_or_default(), value)
        })
    }
}

impl fmt::Debug for Trailer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Why a request has no answer, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestError {
    /// How far it came.
    pub stage: RequestStage,
    /// What happened, for people; begins with the stage.
    pub reason: String,
    /// Whether the same may succeed later: the server could not be reached, was too slow, or left in the middle.
    pub may_pass: bool,
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestStage {
    /// On the way to the server: as of a connection that becomes a WebSocket.
    Way(ConnectStage),
    /// The request was sent, and the head of its answer awaited.
    Request,
    /// The head of the answer had come.
    Response,
}

impl RequestError {
    pub(crate) fn new(stage: RequestStage, reason: impl Into<String>, may_pass: bool) -> Self {
        Self {
            stage,
            reason: reason.into(),
            may_pass,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for RequestError {}

/// How a request has ended, as the host tells it.
///
/// # Safety
///
/// `end` is lent for the call that is running, which `'a` does not outlive.
pub(crate) unsafe fn ended<'a>(
    end: *const abi::RequestEnd<'a>,
) -> Result<Trailer<'a>, RequestError> {
    // SAFETY: the caller promises it, and the host that the trailer has so many fields.
    let (end, reason) = unsafe { (&*end, (*end).reason.as_slice()) };
    let stage = match end.stage {
        abi::STAGE_DONE if end.trailer_count == 0 => return Ok(Trailer(&[])),
        abi::STAGE_DONE => {
            // SAFETY: as above.
            let fields = unsafe { slice::from_raw_parts(end.trailer, end.trailer_count) };
            return Ok(Trailer(fields));
        }
        abi::STAGE_RESOLVE => RequestStage::Way(ConnectStage::Resolve),
        abi::STAGE_CONNECT => RequestStage::Way(ConnectStage::Connect),
        abi::STAGE_PROXY => RequestStage::Way(ConnectStage::Proxy),
        abi::STAGE_TLS => RequestStage::Way(ConnectStage::Tls),
        abi::STAGE_RESPONSE => RequestStage::Response,
        _ => RequestStage::Request,
    };
    let reason = String::from_utf8_lossy(reason);
    Err(RequestError::new(stage, reason, end.may_pass == 1))
}
