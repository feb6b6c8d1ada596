//! What the hooks of an extension are given beside their own: facts, the thread's state, a sink.

use std::{any::Any, cell::RefMut, error::Error, fmt, marker::PhantomData, net::SocketAddr};

use crate::{
    CloseCode, FramePiece, Host, PluginError, Role, Tls, Transport, abi, facts::Facts,
    session::ThreadState,
};

/// What is known of a connection before there is a session: of the opening handshake, and of the transport.
/// Valid during the hook that it is lent to.
pub struct Request {
    raw: abi::ExtensionCall,
}

impl Request {
    /// The name of the vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.words(abi::FACT_VHOST).unwrap_or_default()
    }

    /// The path of the request target, as it came, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.words(abi::FACT_PATH).unwrap_or_default()
    }

    /// What follows the `?` of the request target, as it came.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.words(abi::FACT_QUERY)
    }

    /// The address of the peer; none on a unix socket.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        Facts::peer(self)
    }

    /// The name of the protocol that the session is to have.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.words(abi::FACT_PROTOCOL).unwrap_or_default()
    }

    /// Its [`Protocol::ID`](crate::Protocol::ID).
    #[must_use]
    pub fn protocol_id(&self) -> u32 {
        Facts::protocol_id(self)
    }

    /// The subprotocol, as server the one that was chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.words(abi::FACT_SUBPROTOCOL)
    }

    /// Which side of the connection we are.
    #[must_use]
    pub fn role(&self) -> Role {
        Facts::role(self)
    }

    /// What carries the connection.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Facts::transport(self)
    }

    /// Whether the transport is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        Facts::is_encrypted(self)
    }

    /// What was agreed on with TLS; none without it.
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        Facts::tls(self)
    }

    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::ExtensionCall) -> Self {
        Self { raw }
    }
}

impl Facts for Request {
    fn number(&self, key: u32) -> Option<u64> {
        let mut out = 0;
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status =
            unsafe { ((*self.raw.calls).fact_number)(self.raw.context, key, &raw mut out) };
        (status == abi::STATUS_OK).then_some(out)
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let mut out = abi::Bytes::empty();
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { ((*self.raw.calls).fact_bytes)(self.raw.context, key, &raw mut out) };
        // SAFETY: the host lends facts until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("vhost", &self.vhost())
            .field("protocol", &self.protocol())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// The connection that a hook of an extension is called for, and the state of the service thread that owns it.
/// Valid during the hook that it is lent to.
pub struct Call<T> {
    request: Request,
    thread: PhantomData<fn() -> T>,
}

impl<T: 'static> Call<T> {
    /// The opening handshake of the connection, and its transport.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The state that [`Extension::thread`](crate::Extension::thread) made on this service thread.
    ///
    /// # Panics
    ///
    /// If it is lent already: by this hook, or by one that has called `put` meanwhile, where an extension is agreed on
    /// twice for one connection.
    #[must_use]
    pub fn thread(&self) -> RefMut<'_, T> {
        let value = self.thread_state().value.try_borrow_mut();
        let value = value.expect("the state of the thread is lent once at a time");
        RefMut::map(value, |value: &mut Box<dyn Any>| {
            value
                .downcast_mut()
                .expect("the thread's state was made by the same extension")
        })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> Host {
        self.thread_state().host
    }

    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, this value ends with it, and `T` is the state of the
    /// thread of the extension whose hook it is.
    pub(crate) const unsafe fn from_raw(raw: abi::ExtensionCall) -> Self {
        Self {
            // SAFETY: the caller promises it.
            request: unsafe { Request::from_raw(raw) },
            thread: PhantomData,
        }
    }

    fn thread_state(&self) -> &ThreadState {
        let state: *const ThreadState = self.request.raw.thread.cast();
        // SAFETY: the host hands back what `thread_create` of this instance made on this thread, and frees it after
        // the last connection there.
        unsafe { state.as_ref() }
            .expect("the host makes the thread's state before the first connection")
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.request).finish()
    }
}

/// Where an extension puts what it makes of a frame. What it is given is copied, or has been handed on, when `put`
/// returns.
pub struct FrameSink {
    raw: abi::ExtensionCall,
    refused: Option<Refused>,
}

/// Why the host took no more.
#[derive(Clone, Copy)]
pub(crate) enum Refused {
    Full,
    Sequence,
}

impl FrameSink {
    /// Hands a piece on: to the next extension, or to whoever comes last.
    ///
    /// # Errors
    ///
    /// When the message would become larger than it may, or the piece cannot stand here. Nothing was taken, the
    /// connection fails (with 1009, with 1011), and nothing else that is put changes that: return it by `?`.
    #[inline]
    pub fn put(&mut self, piece: FramePiece<'_>) -> Result<(), Stop> {
        let piece = piece.to_raw();
        // SAFETY: the calls are valid during the hook; the piece outlives this one.
        match unsafe { ((*self.raw.calls).put)(self.raw.context, &raw const piece) } {
            abi::STATUS_OK => Ok(()),
            status => Err(self.refuse(status)),
        }
    }

    #[cold]
    fn refuse(&mut self, status: abi::Status) -> Stop {
        let refused = match status {
            abi::STATUS_FULL => Refused::Full,
            _ => Refused::Sequence,
        };
        // The first counts: what comes after it is refused because of it.
        Stop(Reason::Refused(*self.refused.get_or_insert(refused)))
    }

    /// # Safety
    ///
    /// As [`Call::from_raw`].
    pub(crate) const unsafe fn from_raw(raw: abi::ExtensionCall) -> Self {
        Self { raw, refused: None }
    }

    pub(crate) const fn refused(&self) -> Option<Refused> {
        self.refused
    }
}

impl fmt::Debug for FrameSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSink").finish_non_exhaustive()
    }
}

/// Why a piece goes no further: a veto, a failure, or a sink that takes no more.
///
/// Every error turns into a failure with 1011 by `?`.
#[must_use = "it stops nothing before it is returned"]
pub struct Stop(pub(crate) Reason);

pub(crate) enum Reason {
    Veto,
    Refused(Refused),
    Fail(CloseCode, String),
}

impl Stop {
    /// The message goes no further, and its other pieces do not come; the connection goes on. Only as the answer to the
    /// first piece of a message, before anything was put; anywhere else the connection fails with 1011. Who sends a
    /// message that is vetoed is told that it was refused.
    pub const fn veto() -> Self {
        Self(Reason::Veto)
    }

    /// The connection fails with `code`, which the peer is sent; `why` is for the log.
    pub fn fail(code: impl Into<CloseCode>, why: impl fmt::Display) -> Self {
        Self(Reason::Fail(code.into(), why.to_string()))
    }

    /// Whether the message has become larger than it may.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self.0, Reason::Refused(Refused::Full))
    }
}

impl<E: Error> From<E> for Stop {
    fn from(error: E) -> Self {
        PluginError::from(error).into()
    }
}

impl From<PluginError> for Stop {
    fn from(error: PluginError) -> Self {
        Self::fail(CloseCode::INTERNAL_ERROR, error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Veto => f.write_str("vetoed"),
            Reason::Refused(refused) => refused.fmt(f),
            Reason::Fail(code, why) => write!(f, "{why} ({})", code.0),
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the message is larger than it may be",
            Self::Sequence => "a piece was put that cannot stand there",
        })
    }
}
