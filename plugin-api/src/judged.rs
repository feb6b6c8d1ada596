//! What a policy judges: a connection; and what that has in common with a request.

use std::{error::Error, fmt, net::SocketAddr};

use crate::{Host, SessionId, Tls, Transport, abi, facts::Facts, session::ThreadState};

/// What a policy says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a policy has to say it"]
pub enum Admission {
    /// Nothing against it.
    Accept,
    /// It ends, without an answer.
    Refuse,
}

/// What a policy says of a request that it does not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a policy has to say it"]
pub enum Verdict {
    /// Nothing against it.
    Allow,
    /// Not known yet. [`PolicyRequest::ask_again`](crate::PolicyRequest::ask_again) gave a handle by which any thread has
    /// the hook called again, for the same request; until then nothing more of the connection is read, and fields that
    /// were added are not kept: they are added again beside the verdict. After `limits.verdict_ms` of the host the request
    /// is answered with 503, and the connection ends. When a plugin or the config is replaced meanwhile, all
    /// policies of the vhost are asked anew at once, this one too if it is still one of them.
    Later,
}

/// An option of a connection that a policy sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionOption {
    /// Small packets leave at once (`TCP_NODELAY`), as the host sets it, or not.
    NoDelay(bool),
    /// The kernel's buffer for sending, in bytes (`SO_SNDBUF`).
    SendBuffer(u32),
    /// The kernel's buffer for receiving, in bytes (`SO_RCVBUF`).
    ReceiveBuffer(u32),
    /// Seconds of silence before the kernel asks whether the peer is there; 0 for never.
    KeepaliveS(u32),
    /// Bytes of a message, at most. Only what is below `limits.message_bytes` of the host makes a difference.
    MessageBytes(u64),
    /// Milliseconds for the first request. Only what is below `limits.opening_handshake_ms` makes a difference.
    FirstRequestMs(u64),
}

/// Why an option or a tag is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetError {
    /// It makes no sense: a tag whose name is no token, a value that the system does not take; or not in this hook.
    Invalid,
    /// A unix socket has no such option.
    NoSuchOption,
    /// All tags together are above `limits.tags_bytes` of the host.
    TooMuch,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "the name is no token, the value makes no sense, or not in this hook",
            Self::NoSuchOption => "the transport has no such option",
            Self::TooMuch => "the tags are more than `limits.tags_bytes` of the host",
        })
    }
}

impl Error for SetError {}

/// A connection as a policy sees it: valid during the hook that it was given to, on its thread.
pub struct Connection {
    raw: abi::Judged,
}

/// What is known of it.
impl Connection {
    /// Its id, which its sessions have too.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.raw.number(abi::FACT_ID).and_then(SessionId::new)
    }

    /// The name of the vhost.
    #[must_use]
    pub fn vhost(&self) -> &str {
        self.raw.words(abi::FACT_VHOST).unwrap_or_default()
    }

    /// The address of the peer; none on a unix socket.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.raw.peer()
    }

    /// Whether the peer is a proxy that the config trusts (`trusted_proxies`): for whom it asks is known with a request.
    #[must_use]
    pub fn is_trusted_proxy(&self) -> bool {
        self.raw.number(abi::FACT_TRUSTED_PROXY) == Some(1)
    }

    /// The address that it was accepted on; none on a unix socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.raw.words(abi::FACT_LOCAL)?.parse().ok()
    }

    /// What carries it.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.raw.transport()
    }

    /// Whether TLS is, or is going to be, spoken.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.raw.is_encrypted()
    }

    /// What was agreed on with TLS; none without it, and before [`Policy::on_certificate`](crate::Policy::on_certificate).
    #[must_use]
    pub fn tls(&self) -> Option<Tls<'_>> {
        self.raw.tls()
    }

    /// What a policy has said of it by that name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&[u8]> {
        self.raw.tag(name)
    }

    /// The host.
    ///
    /// # Panics
    ///
    /// Never with a host that keeps the contract.
    #[must_use]
    pub fn host(&self) -> Host {
        self.raw.thread_state().host
    }
}

/// What is set.
impl Connection {
    /// Says something of the connection that policies behind this one, and all its requests, sessions and exchanges can
    /// read, in place of what was said by that name before. In `on_connection` and `on_certificate`.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub fn set_tag(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), SetError> {
        self.raw.set_tag(name, value.as_ref())
    }

    /// Sets an option. In `on_connection`.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub fn set_option(&mut self, option: ConnectionOption) -> Result<(), SetError> {
        let (key, value) = match option {
            ConnectionOption::NoDelay(is_set) => (abi::OPTION_NO_DELAY, is_set.into()),
            ConnectionOption::SendBuffer(bytes) => (abi::OPTION_SEND_BUFFER, bytes.into()),
            ConnectionOption::ReceiveBuffer(bytes) => (abi::OPTION_RECEIVE_BUFFER, bytes.into()),
            ConnectionOption::KeepaliveS(seconds) => (abi::OPTION_KEEPALIVE_S, seconds.into()),
            ConnectionOption::MessageBytes(bytes) => (abi::OPTION_MESSAGE_BYTES, bytes),
            ConnectionOption::FirstRequestMs(within) => (abi::OPTION_FIRST_REQUEST_MS, within),
        };
        let calls = self.raw.calls();
        // SAFETY: the calls are valid during the hook.
        set(unsafe { (calls.set_option)(self.raw.context, key, value) })
    }

    /// # Safety
    ///
    /// `raw` is what the host gave to the hook that is running, and this value ends with it.
    pub(crate) const unsafe fn from_raw(raw: abi::Judged) -> Self {
        Self { raw }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("vhost", &self.vhost())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

/// What both have in common. The context is that of the hook which is running: see `from_raw` of both.
pub(crate) trait Judged: Facts {
    fn calls(&self) -> &abi::PolicyCalls;

    fn thread_state(&self) -> &ThreadState;

    fn tag(&self, name: &str) -> Option<&[u8]>;

    fn set_tag(&mut self, name: &str, value: &[u8]) -> Result<(), SetError>;
}

impl Judged for abi::Judged {
    fn calls(&self) -> &abi::PolicyCalls {
        // SAFETY: `from_raw` promises that the calls are valid during the hook.
        unsafe { &*self.calls }
    }

    fn thread_state(&self) -> &ThreadState {
        // SAFETY: the host hands back what `thread_create` of this instance made on this thread, and frees it after
        // the last call there.
        unsafe { ThreadState::from_raw(self.thread) }
    }

    fn tag(&self, name: &str) -> Option<&[u8]> {
        let name = abi::Bytes::new(name.as_bytes());
        let mut out = abi::Bytes::empty();
        let tag = Judged::calls(self).tag;
        // SAFETY: the calls are valid during the hook; the name outlives this one, and `out` is ours to write.
        let status = unsafe { tag(self.context, name, &raw mut out) };
        // SAFETY: the host lends it until the hook returns or a tag is set, for which this borrow would have to end.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }

    fn set_tag(&mut self, name: &str, value: &[u8]) -> Result<(), SetError> {
        let (name, value) = (abi::Bytes::new(name.as_bytes()), abi::Bytes::new(value));
        let set_tag = Judged::calls(self).set_tag;
        // SAFETY: the calls are valid during the hook; name and value outlive this one.
        set(unsafe { set_tag(self.context, name, value) })
    }
}

pub(crate) fn set(status: abi::Status) -> Result<(), SetError> {
    match status {
        abi::STATUS_OK => Ok(()),
        abi::STATUS_NONE => Err(SetError::NoSuchOption),
        abi::STATUS_FULL => Err(SetError::TooMuch),
        _ => Err(SetError::Invalid),
    }
}

impl Facts for abi::Judged {
    fn number(&self, key: u32) -> Option<u64> {
        let mut out = 0;
        let fact_number = Judged::calls(self).fact_number;
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { fact_number(self.context, key, &raw mut out) };
        (status == abi::STATUS_OK).then_some(out)
    }

    fn bytes(&self, key: u32) -> Option<&[u8]> {
        let mut out = abi::Bytes::empty();
        let fact_bytes = Judged::calls(self).fact_bytes;
        // SAFETY: the calls are valid during the hook; `out` is ours to write.
        let status = unsafe { fact_bytes(self.context, key, &raw mut out) };
        // SAFETY: the host lends facts until the hook returns, which this borrow does not outlive.
        (status == abi::STATUS_OK).then(|| unsafe { out.as_slice() })
    }
}
