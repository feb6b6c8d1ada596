//! Plain requests in HTTP that a plugin sends as a client: what it asks for, what it is told of the answer, and what it may
//! ask of the request meanwhile.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, ConnectRequest, Field, Host, Status};

/// [`RequestEnd::stage`]: the answer is complete.
pub const STAGE_DONE: u64 = 0;
/// [`RequestEnd::stage`], behind [`crate::STAGE_TLS`]: the request was sent, and the head of its answer awaited.
pub const STAGE_REQUEST: u64 = 7;
/// [`RequestEnd::stage`]: the head of the answer had come.
pub const STAGE_RESPONSE: u64 = 8;

/// [`HttpRequest::body_kind`]: there is none.
pub const REQUEST_BODY_NONE: u32 = 0;
/// [`HttpRequest::body_kind`]: [`HttpRequest::body`].
pub const REQUEST_BODY_WHOLE: u32 = 1;
/// [`HttpRequest::body_kind`]: [`HttpRequest::body_length`] bytes, which are given by [`ResponseCalls::send`].
pub const REQUEST_BODY_EXACT: u32 = 2;
/// [`HttpRequest::body_kind`]: as many bytes as are given so.
pub const REQUEST_BODY_CHUNKED: u32 = 3;

/// A request. Lent for a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct HttpRequest<'a> {
    /// Bytes of this struct as the plugin knows it.
    pub size: usize,
    /// Where it goes, and how: an `http:` or `https:` URL. What it says of subprotocols, Origin and retries means nothing; with
    /// no redirects at all, one is the answer.
    pub to: *const ConnectRequest<'a>,
    /// The method, a token.
    pub method: Bytes<'a>,
    /// With [`REQUEST_BODY_WHOLE`]: the body.
    pub body: Bytes<'a>,
    /// With [`REQUEST_BODY_EXACT`]: how long it is.
    pub body_length: u64,
    /// The longest silence of the server, in milliseconds, or [`crate::CONNECT_USUAL`].
    pub answer_ms: u64,
    /// `REQUEST_BODY_*`.
    pub body_kind: u32,
    /// 0.
    pub reserved: u32,
}

/// A request that goes on, as a call of its [`ResponseBlock`] sees it. Valid during that call, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Response {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const ResponseCalls,
    /// The host of the instance that asked.
    pub host: *const Host,
}

/// How a request has ended. Lent for a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct RequestEnd<'a> {
    /// Bytes of this struct as the host knows it.
    pub size: usize,
    /// What happened, for people; empty when the answer is complete.
    pub reason: Bytes<'a>,
    /// The fields behind the content.
    pub trailer: *const Field<'a>,
    /// How many.
    pub trailer_count: usize,
    /// How far it came, `STAGE_*`; [`STAGE_DONE`] when the answer is complete.
    pub stage: u64,
    /// 1 when the same may succeed later.
    pub may_pass: u64,
}

/// What is told of the answer to a request, with the value that came with it. All calls are made on the service thread that
/// has the request, one at a time, never nested. A call that answers neither `STATUS_OK` nor what stands there gives the
/// request up, and the reason is logged.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ResponseBlock {
    /// Bytes of this block.
    pub size: usize,
    /// The server redirects to [`crate::FACT_LOCATION`], and the host would follow. `STATUS_NONE` takes the redirect for the
    /// answer.
    pub redirected: unsafe extern "C" fn(value: *mut c_void, response: *const Response) -> Status,
    /// The head of the answer has come: [`crate::FACT_STATUS`], [`ResponseCalls::field`].
    pub head: unsafe extern "C" fn(value: *mut c_void, response: *const Response) -> Status,
    /// A piece of content, lent for the call.
    pub content: unsafe extern "C" fn(
        value: *mut c_void,
        response: *const Response,
        piece: Bytes<'_>,
    ) -> Status,
    /// There is room for more of the body: first when it may begin, then whenever it was asked for.
    pub writable: unsafe extern "C" fn(value: *mut c_void, response: *const Response) -> Status,
    /// The request is over. Told exactly once, and nothing after it: the value is the plugin's to free. When the host ends
    /// before the request could begin that may be on any thread.
    pub ended: unsafe extern "C" fn(
        value: *mut c_void,
        host: *const Host,
        end: *const RequestEnd<'_>,
    ) -> Status,
}

/// A value of the plugin's for a request, and what is told with it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Asker {
    /// The value; may be used on any thread.
    pub value: *mut c_void,
    /// The calls; they stay valid for ever.
    pub block: *const ResponseBlock,
}

/// What may be asked of a request that goes on. `context` is [`Response::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ResponseCalls {
    /// Bytes of this block.
    pub size: usize,
    /// A fact that is a number: [`crate::FACT_STATUS`] in `head`, [`crate::FACT_CONNECT`], which is the number of the request.
    /// `STATUS_NONE` when there is none.
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// A fact that is bytes, lent until the call of the block returns: [`crate::FACT_URL`], as of the last redirect,
    /// [`crate::FACT_LOCATION`] in `redirected`.
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// In `head`: the value of a field by name, as [`crate::ExchangeCalls::field`].
    pub field: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        index: u64,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// In `head`: name and value of a field, as [`crate::ExchangeCalls::field_at`].
    pub field_at: unsafe extern "C" fn(
        context: *mut c_void,
        index: u64,
        name: *mut Bytes<'static>,
        value: *mut Bytes<'static>,
    ) -> Status,
    /// Sends a piece of the body. `STATUS_FULL` when more waits already than the high mark says; `STATUS_CLOSED` when the server
    /// wants no more of it; `STATUS_ERROR` when it would be longer than was announced. Nothing is sent then.
    pub send: unsafe extern "C" fn(context: *mut c_void, piece: Bytes<'_>) -> Status,
    /// Ends the body. `STATUS_CLOSED` as above; `STATUS_ERROR` when it is shorter than was announced, which fails the request.
    pub finish: unsafe extern "C" fn(context: *mut c_void) -> Status,
    /// Asks for one `writable`: in the next turn when there is room already.
    pub ask_writable: unsafe extern "C" fn(context: *mut c_void),
    /// After this call no `content` is told until `resume`; the transport pushes back on the server.
    pub pause: unsafe extern "C" fn(context: *mut c_void),
    /// Undoes `pause`.
    pub resume: unsafe extern "C" fn(context: *mut c_void),
    /// Gives the request up, for this reason.
    pub give_up: unsafe extern "C" fn(context: *mut c_void, why: Bytes<'_>),
    /// As [`crate::SessionCalls::fail`].
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
}
