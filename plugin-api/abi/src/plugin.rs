//! Hooks: what the host calls in a plugin.
//!
//! Each is guarded on the plugin's side. On [`crate::STATUS_ERROR`] and [`crate::STATUS_PANIC`] the reason has been
//! told through the `fail` call of the session or host that was given to the hook.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, Host, Session, Status};

/// [`PluginBlock::start`] flag: the plugin is linked into the program, and leaves its panic hook and loggers alone.
pub const START_LINKED: u32 = 1;

/// Message flag: the payload is text, UTF-8.
pub const MESSAGE_TEXT: u32 = 1;
/// Message flag: the payload is binary.
pub const MESSAGE_BINARY: u32 = 2;
/// Message kind of a send: a ping; always [`MESSAGE_WHOLE`], at most 125 bytes.
pub const MESSAGE_PING: u32 = 4;
/// Message kind of a send: a pong; always [`MESSAGE_WHOLE`], at most 125 bytes.
pub const MESSAGE_PONG: u32 = 8;
/// Message flag: the first piece of its message.
pub const MESSAGE_FIRST: u32 = 0x100;
/// Message flag: the last piece of its message.
pub const MESSAGE_LAST: u32 = 0x200;
/// A message in one piece.
pub const MESSAGE_WHOLE: u32 = MESSAGE_FIRST | MESSAGE_LAST;

/// Calls that concern the whole file. Made on a loader thread, one at a time.
///
/// A loader thread is the host's and lives for one call: what is thread-local there is gone afterwards. `start` and
/// `create` have `limits.plugin_start_ms` for themselves, as `retire` and `destroy` of an instance have. One that does
/// not come back in time is given up: the version is refused, the thread is left to itself, and other plugins
/// are called meanwhile; what it makes after all is destroyed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct PluginBlock {
    /// Bytes of this block.
    pub size: usize,
    /// The first call, once per generation; again for a generation whose file has the content of one that is mapped
    /// already, which may still have sessions. There is no counterpart: what it makes stays, also when the version is
    /// refused afterwards. `host` stays valid for ever. `flags` is `START_*`.
    pub start: unsafe extern "C" fn(host: *const Host, flags: u32) -> Status,
}

/// A protocol or an extension on one vhost, shared by all service threads, and its state per service thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct InstanceBlock {
    /// Bytes of this block.
    pub size: usize,
    /// Makes an instance from its options, a JSON value as text. On a loader thread. `host` stays valid for ever.
    pub create: unsafe extern "C" fn(
        host: *const Host,
        options: Bytes<'_>,
        out: *mut *mut c_void,
    ) -> Status,
    /// A newer instance serves new sessions from now on, or none does; the sessions of this one go on, and one whose
    /// opening handshake is under way may still open. On a loader thread, at most once: not when the host ends, and not
    /// for an instance that never served.
    pub retire: unsafe extern "C" fn(instance: *mut c_void, host: *const Host) -> Status,
    /// Frees the instance: its last session has ended and its thread states are gone, or it never served since something
    /// else of its version was refused. On a loader thread, exactly once; the last call.
    pub destroy: unsafe extern "C" fn(instance: *mut c_void, host: *const Host) -> Status,
    /// Makes the state of one service thread, on that thread, before its first session there. If it fails, the opening
    /// handshake is answered with 500, and the next one tries again.
    pub thread_create: unsafe extern "C" fn(
        instance: *mut c_void,
        host: *const Host,
        out: *mut *mut c_void,
    ) -> Status,
    /// Frees the state of one service thread, on that thread, after the last session there.
    pub thread_destroy: unsafe extern "C" fn(thread: *mut c_void, host: *const Host) -> Status,
}

/// The hooks of a session: all on the service thread that owns it, never two at once, never nested. On
/// `STATUS_ERROR` and `STATUS_PANIC` the session ends with 1011; in `close` and `destroy` it is only logged.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct SessionBlock {
    /// Bytes of this block.
    pub size: usize,
    /// The opening handshake is done. Makes the state that the other hooks get. If it fails, none of them is called.
    pub open: unsafe extern "C" fn(
        instance: *mut c_void,
        session: *const Session,
        out: *mut *mut c_void,
    ) -> Status,
    /// A message or a piece of one. `flags` is a kind and `MESSAGE_FIRST`, `MESSAGE_LAST`; `remaining` is how many
    /// bytes of the same frame are still to come, 0 with whole messages. `payload` may be kept until the hook
    /// returns, and may be given to `send`.
    pub message: unsafe extern "C" fn(
        state: *mut c_void,
        session: *const Session,
        flags: u32,
        remaining: u64,
        payload: Bytes<'_>,
    ) -> Status,
    /// There is room to send again; asked for by `ask_writable`.
    pub writable: unsafe extern "C" fn(state: *mut c_void, session: *const Session) -> Status,
    /// The timer `id` is due; it is no longer set.
    pub timer: unsafe extern "C" fn(state: *mut c_void, session: *const Session, id: u64) -> Status,
    /// Somebody notified this session.
    pub notify: unsafe extern "C" fn(
        state: *mut c_void,
        session: *const Session,
        payload: Bytes<'_>,
    ) -> Status,
    /// The peer answered a ping, or sent a pong of its own. Only when the manifest says `pongs`.
    pub pong: unsafe extern "C" fn(
        state: *mut c_void,
        session: *const Session,
        payload: Bytes<'_>,
    ) -> Status,
    /// The session has ended. Told exactly once, unless a hook has panicked before; nothing is sent any more.
    pub close: unsafe extern "C" fn(
        state: *mut c_void,
        session: *const Session,
        close: *const Close<'_>,
    ) -> Status,
    /// Frees the state. The last call, exactly once, also after a panic.
    pub destroy: unsafe extern "C" fn(state: *mut c_void, session: *const Session) -> Status,
}

/// [`Close::by`]: the peer sent its Close frame first, or went away.
pub const CLOSE_BY_PEER: u32 = 0;
/// [`Close::by`]: the protocol asked for it.
pub const CLOSE_BY_PROTOCOL: u32 = 1;
/// [`Close::by`]: the host failed the connection: a protocol error, a limit, a deadline, a panic.
pub const CLOSE_BY_HOST: u32 = 2;
/// [`Close::by`]: the generation was drained past its deadline, or the host is going away.
pub const CLOSE_BY_DRAIN: u32 = 3;

/// How a session ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Close<'a> {
    /// `CLOSE_BY_*`: who began it.
    pub by: u32,
    /// The close code: of the Close frame that began it, 1005 for one without a code, 1006 where there was none.
    pub code: u32,
    /// 1 when Close frames went both ways.
    pub clean: u32,
    /// The close reason of that frame, or what the host has to say, such as the reason of a deadline. UTF-8.
    pub reason: Bytes<'a>,
}
