//! Plain requests that a plugin sends in the test host: recorded, and answered or failed by the test.

use std::{
    cell::{Cell, RefCell},
    fmt, ptr,
    rc::Rc,
};

use super::{Inner, Part, TestAnswer, asked_calls::CALLS, client::Asked};
use crate::{ConnectStage, RequestStage, abi};

/// A request that was asked for, with who is to be told of its answer.
pub(super) struct WaitingRequest {
    protocol: String,
    number: u64,
    method: String,
    asked: Asked,
    body: Vec<u8>,
    is_streamed: bool,
    asker: abi::Asker,
}

// SAFETY: the value of an asker may be used on any thread, and is only handed on here.
unsafe impl Send for WaitingRequest {}

impl WaitingRequest {
    /// # Safety
    ///
    /// A request that is lent for this call, and an asker whose value is the host's from here on if it is kept.
    pub(super) unsafe fn read(
        request: *const abi::HttpRequest<'_>,
        asker: *const abi::Asker,
    ) -> Self {
        // SAFETY: the caller promises it.
        let (request, asker) = unsafe { (&*request, *asker) };
        // SAFETY: as above.
        let (method, body, asked) = unsafe {
            (
                String::from_utf8_lossy(request.method.as_slice()).into_owned(),
                request.body.as_slice().to_vec(),
                Asked::read(request.to),
            )
        };
        Self {
            protocol: String::new(),
            number: 0,
            method,
            asked,
            body,
            is_streamed: request.body_kind >= abi::REQUEST_BODY_EXACT,
            asker,
        }
    }

    /// What is wrong with it at first sight; the real host looks closer.
    pub(super) fn refusal(&self) -> Option<String> {
        let url = &self.asked.url;
        let is_fine = ["http://", "https://"]
            .iter()
            .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        (!is_fine).then(|| format!("the URL `{url}` is none of plain HTTP"))
    }

    pub(super) fn of(self, protocol: &str, number: u64) -> Self {
        Self {
            protocol: protocol.to_owned(),
            number,
            ..self
        }
    }
}

/// A plain request that the plugin sends, seen from the server. Dropped before its end, its handler is told that it was lost.
pub struct TestAsked {
    host: Rc<Inner>,
    raw_host: *const abi::Host,
    method: String,
    asked: Asked,
    is_streamed: bool,
    asker: abi::Asker,
    is_over: bool,
    state: State,
}

/// What the plugin has done with it. Its calls come while it is shared, hence the cells.
#[derive(Default)]
pub(super) struct State {
    pub(super) number: u64,
    pub(super) url: String,
    pub(super) body: RefCell<Vec<u8>>,
    pub(super) is_finished: Cell<bool>,
    pub(super) wants_writable: Cell<bool>,
    pub(super) is_paused: Cell<bool>,
    pub(super) is_full: Cell<bool>,
    pub(super) given_up: RefCell<Option<String>>,
    pub(super) answer: RefCell<Option<TestAnswer>>,
    pub(super) location: RefCell<Option<String>>,
    pub(super) fault: RefCell<String>,
}

impl TestAsked {
    pub(super) fn new(host: &Rc<Inner>, waiting: WaitingRequest) -> Self {
        let index = host.index(&waiting.protocol);
        let instance = host.instance(Part::Protocol(index));
        Self {
            host: Rc::clone(host),
            raw_host: instance.host,
            method: waiting.method,
            is_streamed: waiting.is_streamed,
            asker: waiting.asker,
            is_over: false,
            state: State {
                number: waiting.number,
                url: waiting.asked.url.clone(),
                body: RefCell::new(waiting.body),
                is_finished: Cell::new(!waiting.is_streamed),
                ..State::default()
            },
            asked: waiting.asked,
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL, as of the last redirect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Names and values of the fields that the plugin adds.
    #[must_use]
    pub fn fields(&self) -> &[(String, Vec<u8>)] {
        &self.asked.fields
    }

    /// The number of its [`RequestId`](crate::RequestId).
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.state.number
    }

    /// The body, as far as it was given.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.take_posts();
        self.state.body.borrow().clone()
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.take_posts();
        self.state.is_finished.get()
    }

    /// Whether the plugin wants no content now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.take_posts();
        self.state.is_paused.get()
    }

    /// Whether the plugin waits for room for more of the body.
    #[must_use]
    pub fn wants_writable(&self) -> bool {
        self.take_posts();
        self.state.wants_writable.get()
    }

    /// From now on a piece of the body finds no room, or finds some again.
    pub fn set_full(&mut self, is_full: bool) {
        self.state.is_full.set(is_full);
    }

    /// There is room for more of the body.
    ///
    /// # Panics
    ///
    /// When the body was not to be streamed.
    pub fn writable(&mut self) {
        assert!(self.is_streamed, "the body of this request is not streamed");
        self.state.wants_writable.set(false);
        // SAFETY: the value is the host's until its end, and the response ours until the call returns.
        self.tell(|asker, response| unsafe { ((*asker.block).writable)(asker.value, response) });
    }

    /// The server redirects; whether the plugin follows. If so, it is asked at the other URL from here on.
    pub fn redirect(&mut self, to: &str) -> bool {
        self.state.location.replace(Some(to.to_owned()));
        // SAFETY: as in `writable`.
        let told = |asker: &abi::Asker, response: *const abi::Response| unsafe {
            ((*asker.block).redirected)(asker.value, response)
        };
        let is_followed = self.tell(told) == abi::STATUS_OK;
        self.state.location.take();
        if is_followed {
            to.clone_into(&mut self.state.url);
        }
        is_followed
    }

    /// The head of the answer; of what is given only status and fields.
    pub fn head(&mut self, answer: TestAnswer) {
        self.state.answer.replace(Some(answer));
        // SAFETY: as in `writable`.
        self.tell(|asker, response| unsafe { ((*asker.block).head)(asker.value, response) });
        self.state.answer.take();
    }

    /// A piece of content.
    pub fn content(&mut self, piece: impl AsRef<[u8]>) {
        let piece = piece.as_ref();
        // SAFETY: as in `writable`; the piece outlives the call.
        self.tell(|asker, response| unsafe {
            ((*asker.block).content)(asker.value, response, abi::Bytes::new(piece))
        });
    }

    /// The answer is complete.
    pub fn end(mut self) {
        self.ended(abi::STAGE_DONE, "", &[]);
    }

    /// The server answers at once, with this head and all of its content.
    pub fn respond(mut self, answer: TestAnswer) {
        let content = answer.content.clone();
        self.head(answer);
        if !content.is_empty() {
            self.content(&content);
        }
        self.end();
    }

    /// It fails.
    pub fn fail(mut self, stage: RequestStage, why: &str) {
        let stage = match stage {
            RequestStage::Way(ConnectStage::Resolve) => abi::STAGE_RESOLVE,
            RequestStage::Way(ConnectStage::Connect) => abi::STAGE_CONNECT,
            RequestStage::Way(ConnectStage::Proxy) => abi::STAGE_PROXY,
            RequestStage::Way(_) => abi::STAGE_TLS,
            RequestStage::Request => abi::STAGE_REQUEST,
            RequestStage::Response => abi::STAGE_RESPONSE,
        };
        self.ended(stage, why, &[]);
    }

    /// Tells the plugin something, unless it has ended; one that gives up or fails is told so.
    fn tell(
        &mut self,
        call: impl FnOnce(&abi::Asker, *const abi::Response) -> abi::Status,
    ) -> abi::Status {
        if self.is_over {
            return abi::STATUS_CLOSED;
        }
        let response = abi::Response {
            context: ptr::from_ref(&self.state).cast_mut().cast(),
            calls: &CALLS,
            host: self.raw_host,
        };
        let status = call(&self.asker, &response);
        self.take_posts();
        let failed = !matches!(status, abi::STATUS_OK | abi::STATUS_NONE);
        let why = self.state.given_up.take();
        if let Some(why) = why.or_else(|| failed.then(|| self.state.fault.take())) {
            self.ended(abi::STAGE_RESPONSE, &why, &[]);
        }
        self.host.turn();
        status
    }

    /// Does what the plugin has asked for by handles.
    fn take_posts(&self) {
        for (operation, piece) in self.host.shared.take_request_posts(self.state.number) {
            match operation {
                abi::POST_SEND => self.state.body.borrow_mut().extend(piece),
                abi::POST_FINISH => self.state.is_finished.set(true),
                abi::POST_ASK_WRITABLE => self.state.wants_writable.set(true),
                abi::POST_PAUSE => self.state.is_paused.set(true),
                abi::POST_RESUME => self.state.is_paused.set(false),
                _ => {}
            }
        }
    }

    fn ended(&mut self, stage: u64, why: &str, trailer: &[abi::Field<'_>]) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let end = abi::RequestEnd {
            size: size_of::<abi::RequestEnd<'_>>(),
            reason: abi::Bytes::new(why.as_bytes()),
            trailer: trailer.as_ptr(),
            trailer_count: trailer.len(),
            stage,
            may_pass: 0,
        };
        // SAFETY: the value is the host's, and gone with this call.
        unsafe { ((*self.asker.block).ended)(self.asker.value, self.raw_host, &end) };
        self.host.turn();
    }
}

impl Drop for TestAsked {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ended(abi::STAGE_REQUEST, "the test dropped the request", &[]);
        }
    }
}

impl fmt::Debug for TestAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAsked")
            .field("number", &self.number())
            .field("method", &self.method)
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}
