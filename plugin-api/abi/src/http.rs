//! Hooks and host calls of an exchange: one HTTP request and its answer (RFC 9110, section 3.4).
//!
//! A protocol that answers HTTP has an [`HttpBlock`] beside its sessions, or in place of them. It has the instance and
//! the state per service thread of its protocol, and a state per exchange.
//!
//! # Order
//!
//! ```text
//! open   body*   (writable | timer | notify)*   sent?   end   destroy
//! ```
//!
//! `open` is told when the head of the request is there. The answer may be given in any hook until `end`: at once by
//! `respond`, piece by piece by `start`, `send` and `finish`, or as a file by `respond_file`. An exchange ends when
//! its answer has left and its body is read or given up; or when the peer leaves, a deadline passes, or it is aborted.
//! On `STATUS_ERROR` and `STATUS_PANIC` an exchange without an answer is answered with 500, and one whose answer has
//! begun is cut off, so that the peer can tell; in `sent`, `end` and `destroy` it is only logged.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, Status};

/// An exchange as a hook sees it. Valid during the hook that it was given to, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Exchange {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const ExchangeCalls,
    /// What [`crate::InstanceBlock::thread_create`] made on this service thread.
    pub thread: *mut c_void,
}

// Facts of an exchange, beside those of a session that hold for it too: `FACT_ID` (of the connection), `FACT_VHOST`,
// `FACT_PATH`, `FACT_QUERY`, `FACT_PEER_IP`, `FACT_PEER_PORT`, `FACT_TRANSPORT`, `FACT_ENCRYPTED`, `FACT_PROTOCOL`,
// `FACT_PROTOCOL_ID`.

/// Fact of an exchange, number: which request of its connection it is, counted from 1.
pub const FACT_EXCHANGE: u32 = 32;
/// Fact of an exchange, bytes: the method, as it came.
pub const FACT_METHOD: u32 = 33;
/// Fact of an exchange, bytes: the request target, as it came.
pub const FACT_TARGET: u32 = 34;
/// Fact of an exchange, bytes: the mountpoint that leads to this handler; the path begins with it.
pub const FACT_MOUNTPOINT: u32 = 35;
/// Fact of an exchange, number: the minor version of HTTP/1.x.
pub const FACT_HTTP_MINOR: u32 = 36;
/// Fact of an exchange, number: bytes of the body that its head announces; none for a chunked one, 0 without a body.
pub const FACT_CONTENT_LENGTH: u32 = 37;
/// Fact of an exchange, bytes: whom the request is for, from the target or the Host field.
pub const FACT_HOST: u32 = 38;
/// Fact of an exchange, bytes: the address and port that the connection was accepted on, as text.
pub const FACT_LOCAL: u32 = 39;

/// [`ExchangeCalls::field_at`], [`ExchangeCalls::field`]: the fields of the request's head.
pub const FIELDS_HEAD: u32 = 0;
/// [`ExchangeCalls::field_at`], [`ExchangeCalls::field`]: the fields behind a chunked body; none before it is read.
pub const FIELDS_TRAILER: u32 = 1;

/// [`ExchangeCalls::start`]: the length is not known.
pub const LENGTH_UNKNOWN: u64 = u64::MAX;

/// [`HttpBlock::body`]: the first piece of the body.
pub const BODY_FIRST: u32 = 1;
/// [`HttpBlock::body`]: the last piece; it may be empty. A request without a body has one piece, first and last.
pub const BODY_LAST: u32 = 2;

/// Calls for the exchange that is being served. `context` is [`Exchange::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ExchangeCalls {
    /// Bytes of this block.
    pub size: usize,
    /// As [`crate::SessionCalls::fact_number`].
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// As [`crate::SessionCalls::fact_bytes`].
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// The value of a field by name, in any case of letters: the one with this index of those of that name, lent until
    /// the hook returns. `list` is `FIELDS_*`. `STATUS_NONE` when there are not so many. Values need not be UTF-8.
    pub field: unsafe extern "C" fn(
        context: *mut c_void,
        list: u32,
        name: Bytes<'_>,
        index: u64,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// Name and value of the field with this index, of all. As above.
    pub field_at: unsafe extern "C" fn(
        context: *mut c_void,
        list: u32,
        index: u64,
        name: *mut Bytes<'static>,
        value: *mut Bytes<'static>,
    ) -> Status,
    /// What a policy has said of the connection or of this request, by name; lent until the hook returns. `STATUS_NONE` when there
    /// is no such tag. See [`crate::PolicyCalls::set_tag`].
    pub tag: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// Adds a field to the answer's head, or behind `start` to the trailers of a body of unknown length. `STATUS_ERROR`
    /// when the name is no token, the value has control characters, or the field is the host's own: Connection,
    /// Content-Length, Date, Keep-Alive, Server, TE, Trailer, Transfer-Encoding, Upgrade. `STATUS_FULL` when it is too
    /// much, `STATUS_CLOSED` when it is too late.
    pub add_field:
        unsafe extern "C" fn(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status,
    /// Answers with a status from 200 to 599 and the whole content, which is copied. `STATUS_CLOSED` when the exchange
    /// has an answer already, `STATUS_ERROR` for a status that is none, or that has no content.
    pub respond:
        unsafe extern "C" fn(context: *mut c_void, status: u32, content: Bytes<'_>) -> Status,
    /// Begins an answer whose content follows by `send`: `length` bytes, or [`LENGTH_UNKNOWN`]. As `respond`.
    pub start: unsafe extern "C" fn(context: *mut c_void, status: u32, length: u64) -> Status,
    /// Queues a piece of content: all of it or, with `STATUS_FULL`, none. `STATUS_ERROR` when it is more than was
    /// announced, or nothing was started; `STATUS_CLOSED` when the exchange is over.
    pub send: unsafe extern "C" fn(context: *mut c_void, piece: Bytes<'_>) -> Status,
    /// Ends the content. `STATUS_ERROR` when less was sent than announced: the exchange is cut off.
    pub finish: unsafe extern "C" fn(context: *mut c_void) -> Status,
    /// Answers with a file that the host sends: with 200, or as the request's conditions and ranges say. An absent
    /// Content-Type is taken from the name. `STATUS_ERROR` when the path is relative. Whether it could be opened and was
    /// sent is told by `sent`; one that could not be opened is answered with 404.
    pub respond_file: unsafe extern "C" fn(context: *mut c_void, path: Bytes<'_>) -> Status,
    /// The connection ends with this answer.
    pub close_after: unsafe extern "C" fn(context: *mut c_void),
    /// Ends the transport once the hook has returned.
    pub abort: unsafe extern "C" fn(context: *mut c_void),
    /// Bytes that are queued and not yet taken by the socket.
    pub queued_bytes: unsafe extern "C" fn(context: *mut c_void) -> u64,
    /// Asks for one `writable` call: in the next turn when there is room already.
    pub ask_writable: unsafe extern "C" fn(context: *mut c_void),
    /// After this hook no `body` is called until `resume`; the transport pushes back on the peer.
    pub pause: unsafe extern "C" fn(context: *mut c_void),
    /// Undoes `pause`.
    pub resume: unsafe extern "C" fn(context: *mut c_void),
    /// As [`crate::SessionCalls::set_timer`].
    pub set_timer: unsafe extern "C" fn(context: *mut c_void, id: u64, after_ms: u64) -> Status,
    /// As [`crate::SessionCalls::cancel_timer`].
    pub cancel_timer: unsafe extern "C" fn(context: *mut c_void, id: u64) -> Status,
    /// As [`crate::SessionCalls::fail`].
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
}

/// The hooks of an exchange: all on the service thread that owns its connection, never two at once, never nested.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct HttpBlock {
    /// Bytes of this block.
    pub size: usize,
    /// A request has come: its head is there. Makes the state that the other hooks get. If it fails, none of them
    /// is called.
    pub open: unsafe extern "C" fn(
        instance: *mut c_void,
        exchange: *const Exchange,
        out: *mut *mut c_void,
    ) -> Status,
    /// A piece of the body, decoded; `flags` is `BODY_*`. Whole, and once, when the manifest says so.
    pub body: unsafe extern "C" fn(
        state: *mut c_void,
        exchange: *const Exchange,
        flags: u32,
        piece: Bytes<'_>,
    ) -> Status,
    /// There is room to send again; asked for by `ask_writable`.
    pub writable: unsafe extern "C" fn(state: *mut c_void, exchange: *const Exchange) -> Status,
    /// The timer `id` is due; it is no longer set.
    pub timer:
        unsafe extern "C" fn(state: *mut c_void, exchange: *const Exchange, id: u64) -> Status,
    /// Somebody notified this exchange, by [`crate::HostCalls::post_exchange`].
    pub notify: unsafe extern "C" fn(
        state: *mut c_void,
        exchange: *const Exchange,
        payload: Bytes<'_>,
    ) -> Status,
    /// After `respond_file`: `outcome` is `STATUS_OK` when all that was to be sent has left, `STATUS_NONE` when the file
    /// could not be opened, `STATUS_ERROR` otherwise.
    pub sent: unsafe extern "C" fn(
        state: *mut c_void,
        exchange: *const Exchange,
        outcome: Status,
    ) -> Status,
    /// The exchange has ended. Told exactly once, unless a hook has panicked before; nothing can be sent any more.
    pub end: unsafe extern "C" fn(
        state: *mut c_void,
        exchange: *const Exchange,
        end: *const ExchangeEnd<'_>,
    ) -> Status,
    /// Frees the state. The last call, exactly once, also after a panic.
    pub destroy: unsafe extern "C" fn(state: *mut c_void, exchange: *const Exchange) -> Status,
}

/// [`ExchangeEnd::by`]: the answer is complete and has left.
pub const EXCHANGE_DONE: u32 = 0;
/// [`ExchangeEnd::by`]: the peer left before.
pub const EXCHANGE_BY_PEER: u32 = 1;
/// [`ExchangeEnd::by`]: the handler aborted or failed.
pub const EXCHANGE_BY_HANDLER: u32 = 2;
/// [`ExchangeEnd::by`]: the host ended it: a bad body, a limit, a deadline, the host going away.
pub const EXCHANGE_BY_HOST: u32 = 3;

/// How an exchange ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ExchangeEnd<'a> {
    /// `EXCHANGE_*`.
    pub by: u32,
    /// The status of the answer; 0 when there was none.
    pub status: u32,
    /// Bytes of content that the socket took.
    pub sent: u64,
    /// What the host has to say; empty when the answer is complete. UTF-8.
    pub reason: Bytes<'a>,
}
