//! Host calls: what a plugin calls in the host.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Asker, Bytes, ConnectRequest, Explain, Given, HttpRequest, Status};

/// A session as a hook sees it. Valid during the hook that it was given to, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Session {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const SessionCalls,
    /// What [`crate::InstanceBlock::thread_create`] made on this service thread.
    pub thread: *mut c_void,
}

/// Fact of a session, number: its id; never 0, never used again.
pub const FACT_ID: u32 = 1;
/// Fact of a session, bytes: the name of its vhost.
pub const FACT_VHOST: u32 = 2;
/// Fact of a session, bytes: the path of the request target, as it came, without the query.
pub const FACT_PATH: u32 = 3;
/// Fact of a session, bytes: what follows the `?` of the request target; none without one.
pub const FACT_QUERY: u32 = 4;
/// Fact of a session, bytes: the peer's IP address, 4 or 16 bytes in network order; none on a unix socket.
pub const FACT_PEER_IP: u32 = 5;
/// Fact of a session, number: the peer's port; none on a unix socket.
pub const FACT_PEER_PORT: u32 = 6;
/// Fact of a session, bytes: the subprotocol that was agreed on; none when there is none.
pub const FACT_SUBPROTOCOL: u32 = 7;
/// Fact of a session, number: [`ROLE_SERVER`] or [`ROLE_CLIENT`], our side of the connection.
pub const FACT_ROLE: u32 = 8;
/// Fact of a session, number: `TRANSPORT_*`.
pub const FACT_TRANSPORT: u32 = 9;
/// Fact of a session, number: 1 when the transport is encrypted.
pub const FACT_ENCRYPTED: u32 = 10;
/// Fact of a session, number: the id of its protocol, from the manifest.
pub const FACT_PROTOCOL_ID: u32 = 11;
/// Fact of a session, bytes: the name of its protocol.
pub const FACT_PROTOCOL: u32 = 12;
/// Fact of a session, number: the version of TLS as the protocol writes it, 0x0303 for 1.2 and 0x0304 for 1.3; none
/// without TLS. This and the following are known until the connection ends.
pub const FACT_TLS_VERSION: u32 = 13;
/// Fact of a session, bytes: the name of the cipher suite; none without TLS.
pub const FACT_TLS_SUITE: u32 = 14;
/// Fact of a session, bytes: the name of the server that the peer asked for with TLS (SNI); none when it asked for none.
pub const FACT_SERVER_NAME: u32 = 15;
/// Fact of a session, bytes: the protocol that was agreed on with TLS (ALPN); none when the peer offered none.
pub const FACT_APPLICATION_PROTOCOL: u32 = 16;
/// Fact of a session, bytes: the peer's own certificate in DER; none when it showed none.
pub const FACT_PEER_CERTIFICATE: u32 = 17;
/// Fact of a session, number: 1 when that certificate comes from an authority that the host was told to trust, and the
/// peer holds the key to it; none without TLS. Of a client session: when the server's certificate was checked, against the
/// roots or as the one that is pinned.
pub const FACT_PEER_CHECKED: u32 = 18;
/// Fact of a session, bytes: the name of the peer's address, which leads back to that address; none when the host looks up no
/// names, when it has none, and as long as it is not known.
pub const FACT_PEER_NAME: u32 = 19;

/// [`FACT_ROLE`]: the peer opened the connection.
pub const ROLE_SERVER: u64 = 1;
/// [`FACT_ROLE`]: we opened the connection.
pub const ROLE_CLIENT: u64 = 2;
/// [`FACT_TRANSPORT`]: TCP.
pub const TRANSPORT_TCP: u64 = 1;
/// [`FACT_TRANSPORT`]: a unix socket.
pub const TRANSPORT_UNIX: u64 = 2;

/// Calls for the session that is being served. `context` is [`Session::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct SessionCalls {
    /// Bytes of this block.
    pub size: usize,
    /// Queues a message, a piece of one, a ping or a pong: `flags` as in `MESSAGE_*`. Copies what it needs.
    /// `STATUS_OK` all of it is queued; `STATUS_FULL` none is, the connection is above its high mark;
    /// `STATUS_CLOSED` none is; `STATUS_ERROR` flags that make no sense here (a second message begun inside
    /// another, a control frame above 125 bytes). The host does not look into text: if it is not UTF-8 the peer
    /// fails the connection with 1007. The same holds for [`HostCalls::post`] and [`HostCalls::post_all`].
    pub send: unsafe extern "C" fn(context: *mut c_void, flags: u32, payload: Bytes<'_>) -> Status,
    /// Begins the closing handshake, after what was queued before. Code 0 sends an empty Close frame. `STATUS_ERROR`
    /// for a code that must not be sent, or a reason that is above 123 bytes or not UTF-8; `STATUS_CLOSED` when it has begun already.
    pub close: unsafe extern "C" fn(context: *mut c_void, code: u32, reason: Bytes<'_>) -> Status,
    /// Ends the transport without a closing handshake, once the hook has returned.
    pub hang_up: unsafe extern "C" fn(context: *mut c_void),
    /// Bytes that are queued and not yet taken by the socket.
    pub queued_bytes: unsafe extern "C" fn(context: *mut c_void) -> u64,
    /// Asks for one `writable` call: in the next turn when there is room already.
    pub ask_writable: unsafe extern "C" fn(context: *mut c_void),
    /// After this hook no `message` is called until `resume`; the transport pushes back on the peer.
    pub pause: unsafe extern "C" fn(context: *mut c_void),
    /// Undoes `pause`; what was read before comes first.
    pub resume: unsafe extern "C" fn(context: *mut c_void),
    /// Closes the session with 1008 and `reason` unless this is called again within `after_ms`; 0 takes it back.
    /// `STATUS_ERROR` for a reason that is above 123 bytes or not UTF-8.
    pub set_deadline:
        unsafe extern "C" fn(context: *mut c_void, after_ms: u64, reason: Bytes<'_>) -> Status,
    /// Sets timer `id`, or sets it anew. `STATUS_FULL` when the session has too many.
    pub set_timer: unsafe extern "C" fn(context: *mut c_void, id: u64, after_ms: u64) -> Status,
    /// Takes timer `id` back: its hook is not called, even if it was due. `STATUS_NONE` when it is not set.
    pub cancel_timer: unsafe extern "C" fn(context: *mut c_void, id: u64) -> Status,
    /// A fact that is a number. `STATUS_NONE` when this session has none, or the host does not know the key.
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// A fact that is bytes, lent until the hook returns. `STATUS_NONE` as above.
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// A field of the opening handshake that the manifest names in `keep_headers`: the value with this index of those of
    /// that name, in any case of letters, lent until the hook returns. `STATUS_NONE` when there are not so many.
    pub field: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        index: u64,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// What a policy has said of the connection or of its opening handshake, by name; lent until the hook returns. `STATUS_NONE` when there
    /// is no such tag. See [`crate::PolicyCalls::set_tag`].
    pub tag: unsafe extern "C" fn(
        context: *mut c_void,
        name: Bytes<'_>,
        out: *mut Bytes<'static>,
    ) -> Status,
    /// In `open`: what [`crate::HandshakeBlock::request`] has learnt, once; null when it is nothing. It is the plugin's
    /// own from then on.
    pub take_learnt: unsafe extern "C" fn(context: *mut c_void) -> *mut c_void,
    /// In `open` of a client session: what the caller of [`HostCalls::connect`] has given, likewise.
    pub take_given: unsafe extern "C" fn(context: *mut c_void) -> *mut c_void,
    /// Why the hook that is running is about to answer `STATUS_ERROR` or `STATUS_PANIC`. Called again in the same hook it
    /// adds to what was told. Forgotten when the hook answers `STATUS_OK`.
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
}

/// The host as a plugin, or an instance of a protocol, sees it. Valid for ever and on all threads.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Host {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const HostCalls,
}

// SAFETY: the host promises that its calls may be made from any thread for ever.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

/// Log level of [`HostCalls::log`], as in the `log` crate.
pub const LOG_ERROR: u32 = 1;
/// See [`LOG_ERROR`].
pub const LOG_WARN: u32 = 2;
/// See [`LOG_ERROR`].
pub const LOG_INFO: u32 = 3;
/// See [`LOG_ERROR`].
pub const LOG_DEBUG: u32 = 4;
/// See [`LOG_ERROR`].
pub const LOG_TRACE: u32 = 5;

/// [`HostCalls::post`]: send `payload`, `number` being `MESSAGE_*` flags of a whole message, ping or pong.
pub const POST_SEND: u32 = 1;
/// [`HostCalls::post`]: close with the code `number` and the reason `payload`.
pub const POST_CLOSE: u32 = 2;
/// [`HostCalls::post`]: end the transport without a closing handshake.
pub const POST_HANG_UP: u32 = 3;
/// [`HostCalls::post`]: call `writable` when there is room.
pub const POST_ASK_WRITABLE: u32 = 4;
/// [`HostCalls::post`]: as `pause`.
pub const POST_PAUSE: u32 = 5;
/// [`HostCalls::post`]: as `resume`.
pub const POST_RESUME: u32 = 6;
/// [`HostCalls::post`]: call `notify` with `payload`.
pub const POST_NOTIFY: u32 = 7;
/// [`HostCalls::post_exchange`]: a policy that answered `STATUS_PENDING` for that request knows now.
pub const POST_ASK_AGAIN: u32 = 8;

/// [`HostCalls::post_request`]: the body is complete.
pub const POST_FINISH: u32 = 9;

/// What a broadcast does with a session that is above its high mark: leaves this message out for it.
pub const SLOW_DROP: u32 = 0x1000;
/// What a broadcast does with a session that is above its high mark: closes it with 1013.
pub const SLOW_CLOSE: u32 = 0x2000;

/// Fact of a host: the name of the vhost of this instance; none for the plugin as a whole.
pub const HOST_FACT_VHOST: u32 = 1;
/// Fact of a host: the name of the protocol of this instance; none for the plugin as a whole.
pub const HOST_FACT_PROTOCOL: u32 = 2;
/// Fact of a host: its version.
pub const HOST_FACT_VERSION: u32 = 3;

/// The function that [`HostCalls::for_each`] calls, with the `data` it was given and the id of a session.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Visit(pub unsafe extern "C" fn(data: *mut c_void, session: u64));

/// Calls that may be made from any thread, at any time.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct HostCalls {
    /// Bytes of this block.
    pub size: usize,
    /// One line in the host's log, which adds plugin, version and generation. `level` is `LOG_*`. What is not UTF-8 in
    /// text that only people read (this, counters, `fail`) is replaced by U+FFFD.
    pub log:
        unsafe extern "C" fn(context: *mut c_void, level: u32, target: Bytes<'_>, text: Bytes<'_>),
    /// The most detailed level that is logged for this plugin now; 0 for none. Cheap.
    pub log_level: unsafe extern "C" fn(context: *mut c_void) -> u32,
    /// Adds to a counter of this plugin; the host makes it when it is new. `STATUS_FULL` when there are too many.
    pub count: unsafe extern "C" fn(context: *mut c_void, name: Bytes<'_>, by: u64) -> Status,
    /// Milliseconds on a clock that never goes back.
    pub now_ms: unsafe extern "C" fn(context: *mut c_void) -> u64,
    /// Does something with one session of any protocol of this host, from any thread: `POST_*`. The posts of one
    /// thread to one session are done in their order. `STATUS_STALE` when that session has ended, `STATUS_FULL`
    /// when too much is queued for its service thread.
    pub post: unsafe extern "C" fn(
        context: *mut c_void,
        session: u64,
        operation: u32,
        number: u32,
        payload: Bytes<'_>,
    ) -> Status,
    /// Does something with one exchange, from any thread: `operation` is [`POST_NOTIFY`], [`POST_ASK_WRITABLE`],
    /// [`POST_PAUSE`], [`POST_RESUME`], [`POST_ASK_AGAIN`] or [`POST_HANG_UP`], which cuts it off. `connection` and `exchange` are its
    /// `FACT_ID` and `FACT_EXCHANGE`. As `post`.
    pub post_exchange: unsafe extern "C" fn(
        context: *mut c_void,
        connection: u64,
        exchange: u64,
        operation: u32,
        payload: Bytes<'_>,
    ) -> Status,
    /// Does what `post` does with all sessions of the protocol on the vhost of this instance, on all service threads and of
    /// all generations. `POST_SEND` takes one of `SLOW_*` in `number` beside the `MESSAGE_*` flags of a whole
    /// message. `STATUS_FULL` when too much is queued for one of the service threads: then none was told. `STATUS_NONE`
    /// when called on the host of a plugin as a whole.
    pub post_all: unsafe extern "C" fn(
        context: *mut c_void,
        operation: u32,
        number: u32,
        payload: Bytes<'_>,
    ) -> Status,
    /// Calls `visit` with the id of each of these sessions, before it returns.
    pub for_each:
        unsafe extern "C" fn(context: *mut c_void, visit: Visit, data: *mut c_void) -> Status,
    /// A fact of the host, lent for ever.
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// Why the hook that is running on this thread is about to answer `STATUS_ERROR` or `STATUS_PANIC`; for hooks
    /// that were given this host. Called again in the same hook it adds to what was told; forgotten when the hook answers
    /// `STATUS_OK`.
    pub fail: unsafe extern "C" fn(context: *mut c_void, text: Bytes<'_>),
    /// What the program that embeds the host gave for its plugins, by type: `type_id` leads to a `TypeId` of Rust, the
    /// answer to an `Arc` of that type, which stays for ever. Null when there is none of that type, and always for a
    /// plugin that came from a file, since the ids of types mean something within one program only.
    pub linked_data:
        unsafe extern "C" fn(context: *mut c_void, type_id: *const c_void) -> *const c_void,
    /// Opens a connection, from any thread: a client session of the instance whose host this is. It lives on the service thread
    /// whose hook is running, and else on the next one in turn. Before the instance serves, what was asked for waits until it
    /// does. `out` is the number of the connection, [`crate::FACT_CONNECT`]. What is `given` is the host's from here on,
    /// which frees it or hands it out by `take_given`; null when it is nothing.
    ///
    /// `STATUS_ERROR` for a request that makes no sense; `STATUS_FULL` when `limits.client_connections_count` is reached or too
    /// much waits for the service thread; `STATUS_CLOSED` when the host is going away or the instance is gone; `STATUS_NONE` on the
    /// host of a plugin as a whole, and of what has no sessions. With all of these `explain` is told why, and what was given
    /// stays the plugin's.
    pub connect: unsafe extern "C" fn(
        context: *mut c_void,
        request: *const ConnectRequest<'_>,
        given: *const Given,
        out: *mut u64,
        explain: Explain,
        data: *mut c_void,
    ) -> Status,
    /// Gives up a connection that is not open yet, or a plain request, from any thread; [`crate::ClientBlock::failed`] or
    /// [`crate::ResponseBlock::ended`] is told, and no further try made. A session that is open already, or has ended, is left
    /// alone.
    pub give_up: unsafe extern "C" fn(context: *mut c_void, connect: u64) -> Status,
    /// Sends a plain request, from any thread, for the instance of a protocol whose host this is; on the service thread whose hook
    /// is running, and else on the next one in turn. Before the instance serves, what was asked for waits until it does. `out` is
    /// the number of the request, by which `give_up` and `post_request` know it. The value of `asker` is the host's from here on,
    /// until its `ended` is told.
    ///
    /// Answers as `connect` does; with anything but `STATUS_OK` the value stays the plugin's, and nothing is told.
    pub request: unsafe extern "C" fn(
        context: *mut c_void,
        request: *const HttpRequest<'_>,
        asker: *const Asker,
        out: *mut u64,
        explain: Explain,
        data: *mut c_void,
    ) -> Status,
    /// Does something with a plain request, from any thread: `operation` is [`POST_SEND`] with a piece of its body, [`POST_FINISH`],
    /// [`POST_ASK_WRITABLE`], [`POST_PAUSE`] or [`POST_RESUME`]. Whoever gives more of a body than the high mark says ends the
    /// request. Nothing happens to one that is over. `STATUS_FULL` when too much is queued for its service thread.
    pub post_request: unsafe extern "C" fn(
        context: *mut c_void,
        request: u64,
        operation: u32,
        payload: Bytes<'_>,
    ) -> Status,
}
