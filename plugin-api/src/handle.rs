//! Sessions by id, from any thread: one, or all of a protocol.

use std::{
    any::Any,
    error::Error,
    ffi::c_void,
    fmt,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
};

use serde::Deserialize;

use crate::{CloseCode, Host, Kind, Message, abi};

/// Names a session. Never used again for another one while the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(NonZeroU64);

impl SessionId {
    /// The id of that number, as [`get`](Self::get) gave it; none for 0.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Its number, to be put into a notification or a log.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session by its id: what any thread, and any hook of another session, can do with it.
///
/// Everything is queued for the service thread that owns the session and done there after the hook that may be
/// running; what one thread asks of one session is done in that order. A session that has ended is a clean error.
#[derive(Clone, Copy, Debug)]
pub struct SessionHandle {
    host: Host,
    id: SessionId,
}

impl SessionHandle {
    pub(crate) const fn new(host: Host, id: SessionId) -> Self {
        Self { host, id }
    }

    /// Which session this is.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Sends a message. If the session is above its high mark when its turn comes, the message is dropped there: a
    /// sender that must not lose any notifies the session, which sends by itself when it is writable.
    ///
    /// # Errors
    ///
    /// As all calls of a handle: [`PostError`].
    pub fn send<'m>(&self, message: impl Into<Message<'m>>) -> Result<(), PostError> {
        let message = message.into();
        self.post(abi::POST_SEND, whole(message.kind()), message.as_bytes())
    }

    /// Sends a ping of at most 125 bytes.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn ping(&self, payload: &[u8]) -> Result<(), PostError> {
        let flags = abi::MESSAGE_PING | abi::MESSAGE_WHOLE;
        self.post(abi::POST_SEND, flags, payload)
    }

    /// Sends a pong of at most 125 bytes.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn pong(&self, payload: &[u8]) -> Result<(), PostError> {
        let flags = abi::MESSAGE_PONG | abi::MESSAGE_WHOLE;
        self.post(abi::POST_SEND, flags, payload)
    }

    /// Begins the closing handshake, as [`Session::close`](crate::Session::close).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<(), PostError> {
        let code = code_to_abi(code.into());
        self.post(abi::POST_CLOSE, code, reason.as_bytes())
    }

    /// Ends the transport without a closing handshake.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn hang_up(&self) -> Result<(), PostError> {
        self.post(abi::POST_HANG_UP, 0, &[])
    }

    /// Asks for one [`on_writable`](crate::Protocol::on_writable) of that session.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn ask_writable(&self) -> Result<(), PostError> {
        self.post(abi::POST_ASK_WRITABLE, 0, &[])
    }

    /// Stops reading from its peer, as [`Session::pause`](crate::Session::pause).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn pause(&self) -> Result<(), PostError> {
        self.post(abi::POST_PAUSE, 0, &[])
    }

    /// Reads on, as [`Session::resume`](crate::Session::resume).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn resume(&self) -> Result<(), PostError> {
        self.post(abi::POST_RESUME, 0, &[])
    }

    /// Has [`on_notify`](crate::Protocol::on_notify) of that session called with a copy of `payload`.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn notify(&self, payload: &[u8]) -> Result<(), PostError> {
        self.post(abi::POST_NOTIFY, 0, payload)
    }

    fn post(&self, operation: u32, number: u32, payload: &[u8]) -> Result<(), PostError> {
        posted(self.host.post(self.id.get(), operation, number, payload))
    }
}

/// All sessions of one protocol on one vhost, on all service threads and of all generations, from any thread.
///
/// As with [`SessionHandle`] everything is queued. What one thread asks of all is done with each in that order.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    host: Host,
}

impl Sessions {
    pub(crate) const fn new(host: Host) -> Self {
        Self { host }
    }

    /// Calls `visit` with a handle of each, before it returns. Sessions may end or open meanwhile.
    pub fn for_each(&self, visit: impl FnMut(SessionHandle)) {
        let mut visitor = Visitor {
            host: self.host,
            visit,
            panic: None,
        };
        visitor.run();
        if let Some(panic) = visitor.panic {
            resume_unwind(panic);
        }
    }

    /// Sends a message to each. It is framed once for all of them. `slow` says what becomes of a session that is above
    /// its high mark.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`] when too much is queued already; then no session gets it.
    pub fn broadcast<'m>(
        &self,
        message: impl Into<Message<'m>>,
        slow: SlowPolicy,
    ) -> Result<(), PostError> {
        let message = message.into();
        let slow = match slow {
            SlowPolicy::Drop => abi::SLOW_DROP,
            SlowPolicy::Close => abi::SLOW_CLOSE,
        };
        let number = whole(message.kind()) | slow;
        posted(
            self.host
                .post_all(abi::POST_SEND, number, message.as_bytes()),
        )
    }

    /// Has [`on_notify`](crate::Protocol::on_notify) of each called with a copy of `payload`.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`].
    pub fn notify(&self, payload: &[u8]) -> Result<(), PostError> {
        posted(self.host.post_all(abi::POST_NOTIFY, 0, payload))
    }

    /// Asks for one [`on_writable`](crate::Protocol::on_writable) of each.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`].
    pub fn ask_writable(&self) -> Result<(), PostError> {
        posted(self.host.post_all(abi::POST_ASK_WRITABLE, 0, &[]))
    }

    /// Reads on from the peers of those that were paused.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`].
    pub fn resume(&self) -> Result<(), PostError> {
        posted(self.host.post_all(abi::POST_RESUME, 0, &[]))
    }
}

/// What a broadcast does with a session that is above its high mark. As an option: `"drop"` or `"close"`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum SlowPolicy {
    /// Leaves this message out for it.
    Drop,
    /// Closes it with 1013, so that no session misses a message without noticing.
    #[default]
    Close,
}

/// Why nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// The session, or the exchange, has ended.
    Stale,
    /// Too much is queued for its service thread; nothing was taken.
    Full,
    /// What was asked makes no sense: a close code that must not be sent, a reason above 123 bytes, a ping above 125.
    Refused,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the session, or the exchange, has ended",
            Self::Full => "too much is queued for its service thread; try again later",
            Self::Refused => "the session cannot do that: the code or the length is not allowed",
        })
    }
}

impl Error for PostError {}

/// The flags of a whole message.
pub(crate) const fn whole(kind: Kind) -> u32 {
    kind_to_abi(kind) | abi::MESSAGE_WHOLE
}

pub(crate) const fn kind_to_abi(kind: Kind) -> u32 {
    match kind {
        Kind::Text => abi::MESSAGE_TEXT,
        Kind::Binary => abi::MESSAGE_BINARY,
    }
}

/// The code as the host calls take it: 0 where a Close frame without a code is meant.
pub(crate) fn code_to_abi(code: CloseCode) -> u32 {
    if code == CloseCode::NO_CODE {
        0
    } else {
        code.0.into()
    }
}

pub(crate) const fn posted(status: abi::Status) -> Result<(), PostError> {
    match status {
        abi::STATUS_OK => Ok(()),
        abi::STATUS_FULL => Err(PostError::Full),
        abi::STATUS_STALE | abi::STATUS_CLOSED => Err(PostError::Stale),
        _ => Err(PostError::Refused),
    }
}

/// Carries a closure through the host, and a panic of it past the host.
struct Visitor<F> {
    host: Host,
    visit: F,
    panic: Option<Box<dyn Any + Send>>,
}

impl<F: FnMut(SessionHandle)> Visitor<F> {
    fn run(&mut self) {
        let host = self.host;
        // SAFETY: `visit_one` of this type gets this value, which is borrowed until the call returns; it does not unwind.
        unsafe { host.for_each(abi::Visit(Self::visit_one), ptr::from_mut(self).cast()) };
    }

    unsafe extern "C" fn visit_one(data: *mut c_void, session: u64) {
        // SAFETY: the host hands back what `run` gave it.
        let visitor = unsafe { &mut *data.cast::<Self>() };
        let Some(id) = SessionId::new(session) else {
            return;
        };
        if visitor.panic.is_none() {
            let handle = SessionHandle::new(visitor.host, id);
            let visited = catch_unwind(AssertUnwindSafe(|| (visitor.visit)(handle)));
            visitor.panic = visited.err();
        }
    }
}
