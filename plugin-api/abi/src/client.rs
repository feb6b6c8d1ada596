//! Connections that we open: what a plugin asks for, and what its protocol has to say before there is a session. The session
//! itself is one like all others, with [`crate::ROLE_CLIENT`].

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, Host, Status};

/// Fact of a client session, bytes: the URL that it was opened to, after redirects, without name and password.
pub const FACT_URL: u32 = 64;
/// Fact of a client session, number: what [`crate::HostCalls::connect`] gave for it.
pub const FACT_CONNECT: u32 = 65;
/// Fact of an answer, number: its status; none when nothing was answered.
pub const FACT_STATUS: u32 = 66;
/// Fact of an answer, bytes: the beginning of its content.
pub const FACT_CONTENT: u32 = 67;
/// Fact of a failure, number: how far it came, `STAGE_*`.
pub const FACT_STAGE: u32 = 68;
/// Fact of a failure, bytes: what happened, for people.
pub const FACT_REASON: u32 = 69;
/// Fact of a failure, number: how many there were in a row, this one included.
pub const FACT_FAILURES: u32 = 70;
/// Fact of a failure, number: 1 when the same may succeed later.
pub const FACT_MAY_PASS: u32 = 71;
/// Fact of a redirect, bytes: the URL that it leads to.
pub const FACT_LOCATION: u32 = 72;

/// [`FACT_STAGE`]: the addresses of the host were looked up.
pub const STAGE_RESOLVE: u64 = 1;
/// [`FACT_STAGE`]: the transport was connected.
pub const STAGE_CONNECT: u64 = 2;
/// [`FACT_STAGE`]: the proxy was looked up, connected to or asked for a tunnel.
pub const STAGE_PROXY: u64 = 3;
/// [`FACT_STAGE`]: TLS was agreed on.
pub const STAGE_TLS: u64 = 4;
/// [`FACT_STAGE`]: the opening handshake was sent, or its answer looked at.
pub const STAGE_HANDSHAKE: u64 = 5;
/// [`FACT_STAGE`]: the server answered with another status than 101.
pub const STAGE_STATUS: u64 = 6;

/// [`ConnectRequest::tls`]: the server's certificate is checked against the roots, and against the name.
pub const TLS_VERIFIED: u32 = 0;
/// [`ConnectRequest::tls`]: a certificate that nobody else has signed does too.
pub const TLS_SELF_SIGNED: u32 = 1;
/// [`ConnectRequest::tls`]: the server's key is the one with this SHA-256 (of the SubjectPublicKeyInfo of its certificate), whoever has
/// signed for it.
pub const TLS_PINNED: u32 = 2;

/// [`ConnectRequest::proxies`]: the proxy that config or environment name.
pub const PROXIES_USUAL: u32 = 0;
/// [`ConnectRequest::proxies`]: none.
pub const PROXIES_NONE: u32 = 1;
/// [`ConnectRequest::proxies`]: [`ConnectRequest::proxy`].
pub const PROXIES_GIVEN: u32 = 2;

/// [`ConnectRequest::flags`]: a redirect may lead from TLS to none.
pub const CONNECT_DOWNGRADE: u32 = 1;

/// A count or time in a [`ConnectRequest`] that is left to the host's limits.
pub const CONNECT_USUAL: u64 = u64::MAX;
/// [`ConnectRequest::retries`]: without end.
pub const CONNECT_FOREVER: u64 = u64::MAX - 1;

/// Name and value of a field, lent for a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Field<'a> {
    /// The name.
    pub name: Bytes<'a>,
    /// The value.
    pub value: Bytes<'a>,
}

/// Where a connection is to lead, and how. Lent for a call; all text is UTF-8, and empty where there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ConnectRequest<'a> {
    /// Bytes of this struct as the plugin knows it.
    pub size: usize,
    /// `ws:` or `wss:`.
    pub url: Bytes<'a>,
    /// The value of Host, in place of what the URL says.
    pub host: Bytes<'a>,
    /// The value of Origin.
    pub origin: Bytes<'a>,
    /// The subprotocols to offer, the preferred one first.
    pub subprotocols: *const Bytes<'a>,
    /// How many.
    pub subprotocol_count: usize,
    /// Further fields of the opening handshake.
    pub fields: *const Field<'a>,
    /// How many.
    pub field_count: usize,
    /// How the server is known if TLS is spoken: `TLS_*`.
    pub tls: u32,
    /// `PROXIES_*`.
    pub proxies: u32,
    /// With [`TLS_PINNED`]: 32 bytes.
    pub pin: Bytes<'a>,
    /// A file of certificates in PEM, in place of the roots of the system.
    pub roots: Bytes<'a>,
    /// With [`PROXIES_GIVEN`]: `[http://][NAME:PASSWORD@]HOST:PORT`.
    pub proxy: Bytes<'a>,
    /// `CONNECT_*` flags.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// From the beginning of each try to the open WebSocket, in milliseconds, or [`CONNECT_USUAL`].
    pub within_ms: u64,
    /// How many redirects are followed, or [`CONNECT_USUAL`].
    pub redirects: u64,
    /// How often it is tried again after a failure that may pass, or [`CONNECT_FOREVER`].
    pub retries: u64,
    /// The longest first wait before that, in milliseconds, or [`CONNECT_USUAL`]. It doubles each time.
    pub retry_first_ms: u64,
    /// The longest of all waits, in milliseconds, or [`CONNECT_USUAL`].
    pub retry_most_ms: u64,
}

/// The function that frees a [`Given`], with the host of the instance that connects. Called once at most, on any thread of
/// the host.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct FreeGiven(pub unsafe extern "C" fn(value: *mut c_void, host: *const Host) -> Status);

/// A value of the caller's own, for the session that it connects for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Given {
    /// The value. Null is none.
    pub value: *mut c_void,
    /// What frees it if nobody takes it.
    pub free: FreeGiven,
}

/// The function by which a call tells, before it returns, what is wrong with a request; with the `data` it was given.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Explain(pub unsafe extern "C" fn(data: *mut c_void, text: Bytes<'_>));

/// A connection that is not open yet, as a hook sees it. Valid during the hook that it was given to, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Client {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const ClientCalls,
    /// What [`crate::InstanceBlock::thread_create`] made on this service thread.
    pub thread: *mut c_void,
}

/// What a protocol may ask of such a connection. `context` is [`Client::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ClientCalls {
    /// Bytes of this block.
    pub size: usize,
    /// As [`crate::SessionCalls::fact_number`], for the facts that are known before there is a session and those of this
    /// file.
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// As [`crate::SessionCalls::fact_bytes`]; likewise.
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// The value of a field of the answer by name, as [`crate::ExchangeCalls::field`].
    pub field: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        index: u64,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// Name and value of a field of the answer, as [`crate::ExchangeCalls::field_at`].
    pub field_at: unsafe extern "C" fn(
        context: *mut c_void,
        index: u64,
        name: *mut Bytes<'static>,
        value: *mut Bytes<'static>,
    ) -> Status,
    /// The value that the caller gave, lent until the hook returns; null when there is none.
    pub given: unsafe extern "C" fn(context: *mut c_void) -> *mut c_void,
    /// The same, the plugin's own from now on. A session that is opened all the same finds none.
    pub take_given: unsafe extern "C" fn(context: *mut c_void) -> *mut c_void,
    /// In [`ClientBlock::answered`], which then answers `STATUS_NONE`: why the answer will not do.
    pub refuse: unsafe extern "C" fn(context: *mut c_void, why: Bytes<'_>),
    /// In [`ClientBlock::failed`]: the same is tried again after so many milliseconds.
    pub again: unsafe extern "C" fn(context: *mut c_void, after_ms: u64),
    /// In [`ClientBlock::failed`]: it is tried elsewhere, at once, with what was given. `STATUS_ERROR` when the request makes no
    /// sense, which `explain` is told; nothing has changed then.
    pub retarget: unsafe extern "C" fn(
        context: *mut c_void,
        request: *const ConnectRequest<'_>,
        explain: Explain,
        data: *mut c_void,
    ) -> Status,
    /// In [`ClientBlock::failed`]: it is not tried again, whatever the request says.
    pub give_up: unsafe extern "C" fn(context: *mut c_void),
    /// As [`crate::SessionCalls::fail`].
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
}

/// What a protocol has to say of a connection that it opens, before there is a session. On its service thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ClientBlock {
    /// Bytes of this block.
    pub size: usize,
    /// The server has accepted the opening handshake, as it should: the last look at its answer. `STATUS_OK` opens the
    /// session; `STATUS_NONE` refuses the answer, and `failed` is told. On anything else too, and the reason is logged.
    pub answered: unsafe extern "C" fn(instance: *mut c_void, client: *const Client) -> Status,
    /// The server redirects to [`FACT_LOCATION`], and the host would follow. `STATUS_OK` follows; `STATUS_NONE` takes it for a
    /// failure. On anything else too, and the reason is logged.
    pub redirected: unsafe extern "C" fn(instance: *mut c_void, client: *const Client) -> Status,
    /// There is no session. On `STATUS_OK` what was asked for is done: `again`, `retarget` or `give_up`, the last of them, and
    /// else what the request says of further tries. On anything else it is given up, and the reason is logged.
    pub failed: unsafe extern "C" fn(instance: *mut c_void, client: *const Client) -> Status,
}
