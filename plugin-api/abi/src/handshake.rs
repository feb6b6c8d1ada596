//! What a protocol has to say of an opening handshake (RFC 6455, section 4.2.2), before there is a session.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, ExtensionCall, Host, Status};

/// An opening handshake as a hook sees it. Valid during the hook that it was given to, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Handshake {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const HandshakeCalls,
    /// What [`crate::InstanceBlock::thread_create`] made on this service thread.
    pub thread: *mut c_void,
}

/// What a protocol may ask of an opening handshake. `context` is [`Handshake::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct HandshakeCalls {
    /// Bytes of this block.
    pub size: usize,
    /// As [`crate::SessionCalls::fact_number`], for the facts that are known before there is a session, and `FACT_HOST`,
    /// `FACT_TARGET`.
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// As [`crate::SessionCalls::fact_bytes`]; likewise.
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// The value of a field of the request by name, as [`crate::ExchangeCalls::field`].
    pub field: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        index: u64,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// Name and value of a field of the request, as [`crate::ExchangeCalls::field_at`].
    pub field_at: unsafe extern "C" fn(
        context: *mut c_void,
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
    /// The subprotocol that the peer offers at this place; `STATUS_NONE` when there are not so many.
    pub offered:
        unsafe extern "C" fn(context: *mut c_void, index: u64, out: *mut Bytes<'static>) -> Status,
    /// The answer names this subprotocol, in place of the one that the host would name; empty: none. `STATUS_ERROR` when
    /// the peer does not offer it.
    pub choose: unsafe extern "C" fn(context: *mut c_void, subprotocol: Bytes<'_>) -> Status,
    /// Adds a field to the answer, whatever the answer will be. As [`crate::ExchangeCalls::add_field`]; the
    /// `Sec-WebSocket-` fields are the host's own too.
    pub add_field:
        unsafe extern "C" fn(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status,
    /// The handshake is refused with a status from 300 to 599 and this content, which is copied. The hook then
    /// answers `STATUS_NONE`. `STATUS_ERROR` for any other status, and for content with 304.
    pub refuse:
        unsafe extern "C" fn(context: *mut c_void, status: u32, content: Bytes<'_>) -> Status,
    /// As [`crate::SessionCalls::fail`].
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
}

/// What a protocol has to say of a connection before there is a session. On its service thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct HandshakeBlock {
    /// Bytes of this block.
    pub size: usize,
    /// Whether an extension may be used: asked for each offer of the peer that the manifest lets through, before the
    /// extension itself is asked; as client, before each of our offers is sent. `STATUS_OK` it may; `STATUS_NONE`
    /// this offer is passed over. On anything else it is passed over too, and the reason is logged.
    /// Of `call` the facts and `fail` may be used.
    pub extension: unsafe extern "C" fn(
        instance: *mut c_void,
        call: *const ExtensionCall,
        name: Bytes<'_>,
        parameters: Bytes<'_>,
    ) -> Status,
    /// As server: an opening handshake that the host would accept. `STATUS_OK` accepts it, with what it has learnt in
    /// `out`, or null; `STATUS_NONE` refuses it, with 403 when it did not say otherwise by `refuse`. On anything else it
    /// is refused with 500. What it has learnt is given to `open` by [`crate::SessionCalls::take_learnt`]; if nobody
    /// takes it there, or there never is a session, it is freed by `forget`.
    pub request: unsafe extern "C" fn(
        instance: *mut c_void,
        handshake: *const Handshake,
        out: *mut *mut c_void,
    ) -> Status,
    /// Frees what `request` has learnt. On its service thread.
    pub forget: unsafe extern "C" fn(learnt: *mut c_void, host: *const Host) -> Status,
}
