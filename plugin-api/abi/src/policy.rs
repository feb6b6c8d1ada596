//! Hooks and host calls of a policy: what has a say on connections and requests before anything else has.
//!
//! A policy has an instance per vhost, with a state per service thread, as a protocol has. It acts on the vhosts whose
//! config names it and nowhere else; where several are named they are asked in that order, and the first that refuses
//! ends it.
//!
//! # Order
//!
//! ```text
//! created  accept  connection  certificate?  (request  handshake?)*  destroyed
//! ```
//!
//! `created`, `accept`, `connection` and `destroyed` are called by the policies of the vhost that the listener's
//! connections begin in, `certificate` by those of the vhost that the peer asked for with TLS, `request` and
//! `handshake` by those of the vhost that the request is for. `created` comes first and `destroyed` last, exactly once
//! for each connection, also for one that is refused or that never spoke; a hook behind one that refused is not called.
//! On `STATUS_ERROR` and `STATUS_PANIC` the connection or request is refused.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, Handshake, InstanceBlock, Status};

/// What is to be judged, as a hook sees it. Valid during the hook that it was given to, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Judged {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const PolicyCalls,
    /// What [`InstanceBlock::thread_create`] made on this service thread.
    pub thread: *mut c_void,
}

// Facts in all hooks, as far as they are known by then: `FACT_ID` (of the connection), `FACT_VHOST`, `FACT_PEER_IP`,
// `FACT_PEER_PORT`, `FACT_TRANSPORT`, `FACT_ENCRYPTED`, those of TLS, `FACT_LOCAL`. In `request` those of an exchange too:
// `FACT_EXCHANGE`, `FACT_METHOD`, `FACT_TARGET`, `FACT_PATH`, `FACT_QUERY`, `FACT_HOST`, `FACT_HTTP_MINOR`.

/// Fact in the hooks of a policy, number: 1 when the peer of the transport is a proxy that the config trusts, so that
/// the client is only known with the request.
pub const FACT_TRUSTED_PROXY: u32 = 48;
/// Fact in [`PolicyBlock::request`], number: 1 for an opening handshake.
pub const FACT_IS_HANDSHAKE: u32 = 49;

/// [`PolicyCalls::set_option`]: small packets leave at once (`TCP_NODELAY`): 1, as the host sets it, or 0.
pub const OPTION_NO_DELAY: u32 = 1;
/// [`PolicyCalls::set_option`]: the kernel's buffer for sending, in bytes (`SO_SNDBUF`).
pub const OPTION_SEND_BUFFER: u32 = 2;
/// [`PolicyCalls::set_option`]: the kernel's buffer for receiving, in bytes (`SO_RCVBUF`).
pub const OPTION_RECEIVE_BUFFER: u32 = 3;
/// [`PolicyCalls::set_option`]: seconds of silence before the kernel asks whether the peer is there; 0 for never.
pub const OPTION_KEEPALIVE_S: u32 = 4;
/// [`PolicyCalls::set_option`]: bytes of a message, at most; only below `limits.message_bytes`.
pub const OPTION_MESSAGE_BYTES: u32 = 5;
/// [`PolicyCalls::set_option`]: milliseconds for the first request; only below `limits.opening_handshake_ms`.
pub const OPTION_FIRST_REQUEST_MS: u32 = 6;

/// What a policy may ask of what it judges. `context` is [`Judged::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct PolicyCalls {
    /// Bytes of this block.
    pub size: usize,
    /// As [`crate::SessionCalls::fact_number`].
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// As [`crate::SessionCalls::fact_bytes`].
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// In `request`: the value of a field of the request by name, as [`crate::HandshakeCalls::field`].
    pub field: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        index: u64,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// In `request`: name and value of a field of the request, as [`crate::HandshakeCalls::field_at`].
    pub field_at: unsafe extern "C" fn(
        context: *mut c_void,
        index: u64,
        name: *mut Bytes<'static>,
        value: *mut Bytes<'static>,
    ) -> Status,
    /// What a policy has said of the connection or of this request, by name; lent until the hook returns. `STATUS_NONE`
    /// when there is no such tag.
    pub tag: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// Says something that policies behind this one, protocols and handlers can read, in place of what was said by that
    /// name before: in `connection` and `certificate` for as long as the connection lasts, in `request` for the request
    /// and the session that comes of it. `STATUS_ERROR` when the name is no token, or in another hook; `STATUS_FULL`
    /// above `limits.tags_bytes`.
    pub set_tag:
        unsafe extern "C" fn(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status,
    /// In `connection`: sets `OPTION_*` of the socket or a limit of the connection. `STATUS_NONE` when this transport has
    /// no such option, `STATUS_ERROR` for a value that makes no sense, or in another hook.
    pub set_option: unsafe extern "C" fn(context: *mut c_void, option: u32, value: u64) -> Status,
    /// In `request`: adds a field to the answer, whatever it will be, as [`crate::ExchangeCalls::add_field`].
    pub add_field:
        unsafe extern "C" fn(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status,
    /// In `request`: it is refused with a status from 300 to 599 and this content, which is copied. The hook then answers
    /// `STATUS_NONE`. As [`crate::HandshakeCalls::refuse`].
    pub refuse:
        unsafe extern "C" fn(context: *mut c_void, status: u32, content: Bytes<'_>) -> Status,
    /// As [`crate::SessionCalls::fail`].
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
}

/// The hooks of a policy: for one connection all on the service thread that owns it, never two at once, never nested.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct PolicyBlock {
    /// Bytes of this block.
    pub size: usize,
    /// There is a connection.
    pub created: unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status,
    /// It was accepted, and nothing was read. `STATUS_NONE` ends it without a byte.
    pub accept: unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status,
    /// It stays: options, tags and limits can be set.
    pub connection: unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status,
    /// The peer has shown a certificate with TLS, and the host would accept it, or was not told to check it
    /// (`FACT_PEER_CHECKED`). `STATUS_NONE` ends the connection.
    pub certificate: unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status,
    /// The head of a request has come, and nothing was answered. `STATUS_NONE` refuses it, with 403 when it did not say
    /// otherwise by `refuse`. `STATUS_PENDING`: the policy does not know yet; it is asked again after
    /// [`crate::POST_ASK_AGAIN`], and nothing more of the connection is read until then, for `limits.verdict_ms`; fields
    /// that it has added are not kept.
    pub request: unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status,
    /// An opening handshake that the host would accept, before its protocol is asked; as
    /// [`crate::HandshakeBlock::request`], with nothing learnt.
    pub handshake:
        unsafe extern "C" fn(instance: *mut c_void, handshake: *const Handshake) -> Status,
    /// The connection is over. Only facts that are numbers and the peer are known here.
    pub destroyed: unsafe extern "C" fn(instance: *mut c_void, judged: *const Judged) -> Status,
}

/// One policy of the file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PolicyEntry {
    /// Bytes of this struct as the plugin knows it: the distance to the next entry.
    pub size: usize,
    /// State per vhost and per service thread.
    pub instance: *const InstanceBlock,
    /// The hooks.
    pub policy: *const PolicyBlock,
}

// SAFETY: an entry is part of an immutable static and leads to immutable statics.
unsafe impl Sync for PolicyEntry {}
// SAFETY: as above.
unsafe impl Send for PolicyEntry {}
