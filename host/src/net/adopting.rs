//! Connections that the program has accepted itself, and gives to a service thread.

use std::{
    fmt, io,
    net::TcpStream,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{Mutex, PoisonError},
};

use socket2::SockRef;

use crate::net::{
    io::Io,
    link::Link,
    listener::{Listener, Spoken},
    listening::{ListenerNumber, Listening},
    peer::Peer,
    service::Service,
    token::ConnectionId,
    transport::Transport,
};

/// A stream that was accepted.
#[derive(Debug)]
pub enum AcceptedStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl From<TcpStream> for AcceptedStream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for AcceptedStream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl AsFd for AcceptedStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AcceptedStream {
    fn peer(&self) -> io::Result<Peer> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().map(Peer::Inet),
            Self::Unix(stream) => stream.peer_addr().map(|_| Peer::Unix),
        }
    }

    /// Gives it what a listener gives to those that it accepts.
    fn prepare(&self, listener: Option<&Listener>) -> io::Result<()> {
        let socket = SockRef::from(self);
        socket.set_nonblocking(true)?;
        if let Self::Tcp(stream) = self {
            stream.set_nodelay(true)?;
            listener.map_or(Ok(()), |listener| listener.lend_keepalive(&socket))?;
        }
        Ok(())
    }

    fn into_transport(self) -> Transport {
        match self {
            Self::Tcp(stream) => Transport::Tcp(mio::net::TcpStream::from_std(stream)),
            Self::Unix(stream) => Transport::Unix(mio::net::UnixStream::from_std(stream)),
        }
    }
}

/// A stream to be adopted, and how: as if a listener of the host had accepted it.
#[derive(Debug)]
pub struct Adopt {
    stream: AcceptedStream,
    prefix: Vec<u8>,
    listener: Option<ListenerNumber>,
    is_plain: bool,
}

impl<S: Into<AcceptedStream>> From<S> for Adopt {
    fn from(stream: S) -> Self {
        Self {
            stream: stream.into(),
            prefix: Vec::new(),
            listener: None,
            is_plain: false,
        }
    }
}

impl Adopt {
    /// A stream, as the first listener of the host would have accepted it.
    #[must_use]
    pub fn new(stream: impl Into<AcceptedStream>) -> Self {
        Self::from(stream)
    }

    /// What was read from the stream already, and is served before anything else of it: bytes of TLS where TLS is
    /// spoken. At most `limits.request_head_bytes`.
    #[must_use]
    pub fn prefix(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.prefix = bytes.into();
        self
    }

    /// As the listener of this number would have accepted it: from 0, in the order in which they were bound.
    #[must_use]
    pub fn listener(mut self, number: u32) -> Self {
        self.listener = Some(number);
        self
    }

    /// Begins with HTTP, also where the listener speaks TLS or awaits the header of a proxy: somebody else has dealt with
    /// that.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    pub(crate) fn prefix_bytes(&self) -> u64 {
        self.prefix.len() as u64
    }

    pub(crate) fn refused(self, why: AdoptError) -> NotAdopted {
        NotAdopted {
            stream: self.stream,
            prefix: self.prefix,
            why,
        }
    }
}

/// Why a connection is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// What was read already is longer than a head may be.
    #[error(
        "{bytes} bytes were read before: more than the head of a request may have (limits.request_head_bytes is {most}); \
         give the stream away earlier, or raise the limit"
    )]
    PrefixTooLong {
        /// So long it is.
        bytes: usize,
        /// So long it may be.
        most: u64,
    },
    /// There is no such listener.
    #[error("the host has no listener of number {0}: they are counted from 0")]
    NoListener(ListenerNumber),
    /// Enough connections.
    #[error("limits.max_connections ({0}) is reached")]
    TooMany(u64),
    /// Enough connections of this peer.
    #[error("its address has limits.max_connections_per_address ({0})")]
    TooManyOfAddress(u64),
    /// What all connections keep leaves no room for what was read before.
    #[error("limits.buffered_total_bytes is reached")]
    NoMemory,
    /// The host takes nobody in any more.
    #[error("the host is draining")]
    Draining,
    /// The service thread has too much to do.
    #[error(
        "too much waits for the service thread: limits.commands_count or limits.commands_bytes is reached"
    )]
    Busy,
    /// It is to begin with the header of a proxy, which is looked for in the socket.
    #[error(
        "the listener awaits a header of the PROXY protocol (`proxy_protocol`), which is looked for in the socket: \
         adopt without a prefix, or take the header out and say `plain`"
    )]
    PrefixBeforeHeader,
    /// The peer may not say whose connections it passes on.
    #[error(
        "`proxy_protocol` is set for the listener, and the peer is in none of `trusted_proxies`; add it there, or adopt for \
         a listener without it"
    )]
    Untrusted,
    /// A policy does not want it.
    #[error("a policy has refused it")]
    Policy,
    /// The thread that was asked has no connections.
    #[error(
        "this is not the thread that serves: adopt by a `HostHandle`, or at the `ServiceThread` that is to have it"
    )]
    Elsewhere,
    /// There is no service thread any more, or not yet.
    #[error("the host does not serve: it has ended, or was not built yet")]
    Gone,
    /// The operating system does not play along.
    #[error("the socket cannot be served: {0}; is it connected, and are there descriptors left?")]
    Socket(#[from] io::Error),
}

/// A stream that was not adopted comes back; what was read of it too.
#[derive(Debug, thiserror::Error)]
#[error("a stream was not adopted: {why}")]
pub struct NotAdopted {
    /// The stream. It may have become one that does not block.
    pub stream: AcceptedStream,
    /// What was read of it before.
    pub prefix: Vec<u8>,
    /// Why it was not.
    #[source]
    pub why: AdoptError,
}

/// Told what became of a stream, on the service thread, or where it was refused.
pub(crate) type Outcome = Box<dyn FnOnce(Result<ConnectionId, NotAdopted>) + Send>;

/// A stream on its way to a service thread. Whatever becomes of it, its outcome is told once.
pub struct Adopting {
    prefix_bytes: u64,
    waits: Mutex<Option<(Adopt, Outcome)>>,
}

impl Adopting {
    pub(crate) fn new(adopt: Adopt, outcome: Outcome) -> Self {
        Self {
            prefix_bytes: adopt.prefix_bytes(),
            waits: Mutex::new(Some((adopt, outcome))),
        }
    }

    /// How much was read of it before.
    pub(crate) fn prefix_bytes(&self) -> u64 {
        self.prefix_bytes
    }

    /// Tells what `adopt` makes of it, if nobody has told already.
    pub(crate) fn settle(&self, adopt: impl FnOnce(Adopt) -> Result<ConnectionId, NotAdopted>) {
        // Only whole values are put there.
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = waits.take();
        drop(waits);
        if let Some((stream, outcome)) = taken {
            outcome(adopt(stream));
        }
    }

    /// Tells that it was refused.
    pub(crate) fn refuse(&self, why: AdoptError) {
        self.settle(|adopt| Err(adopt.refused(why)));
    }
}

impl Drop for Adopting {
    fn drop(&mut self) {
        self.refuse(AdoptError::Gone);
    }
}

impl fmt::Debug for Adopting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adopting")
    }
}

impl<T, E> Io<T, E> {
    /// Takes a stream in that the program has accepted.
    ///
    /// # Errors
    ///
    /// Why not, and the stream.
    pub(crate) fn adopt<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        adopt: Adopt,
    ) -> Result<ConnectionId, NotAdopted> {
        let (peer, number, spoken) = match self.judge(&adopt) {
            Ok(judged) => judged,
            Err(why) => return Err(adopt.refused(why)),
        };
        let Adopt { stream, prefix, .. } = adopt;
        let mut transport = stream.into_transport();
        let is_tls = spoken.tls.is_some();
        if let Some(tls) = spoken.tls {
            transport = tls.accept(transport, prefix.clone());
        }
        let link = Link {
            awaits_announcement: spoken.is_announced,
            ..Link::new(transport, peer, number)
        };
        match self.admit(service, link) {
            Ok(id) => {
                self.begin_with(id, prefix, is_tls);
                Ok(id)
            }
            Err((transport, why)) => Err(NotAdopted {
                stream: transport.into_accepted(),
                prefix,
                why,
            }),
        }
    }

    /// Whether it can be taken in, before anything is done with it: its peer, its listener, and what is spoken.
    fn judge(&mut self, adopt: &Adopt) -> Result<(Peer, ListenerNumber, Spoken), AdoptError> {
        let most = self.settings.limits.request_head_bytes;
        if adopt.prefix_bytes() > most {
            let bytes = adopt.prefix.len();
            return Err(AdoptError::PrefixTooLong { bytes, most });
        }
        if !self.buffers.budget().has_room(adopt.prefix_bytes()) {
            return Err(AdoptError::NoMemory);
        }
        let mut listeners = self.listeners.iter();
        let listener = match adopt.listener {
            Some(number) => {
                let is_it = |listening: &&Listening| listening.number == number;
                Some(
                    listeners
                        .find(is_it)
                        .ok_or(AdoptError::NoListener(number))?,
                )
            }
            None => listeners.next(),
        };
        let spoken = match listener {
            Some(listening) if !adopt.is_plain => listening.socket.spoken().clone(),
            _ => Spoken::default(),
        };
        if spoken.is_announced && !adopt.prefix.is_empty() {
            return Err(AdoptError::PrefixBeforeHeader);
        }
        let peer = adopt.stream.peer()?;
        adopt.stream.prepare(listener.map(|l| &l.socket))?;
        let number = listener.map_or(0, |listening| listening.number);
        Ok((peer, number, spoken))
    }

    /// Serves in the next turn what was read of a connection before it came here.
    fn begin_with(&mut self, id: ConnectionId, prefix: Vec<u8>, is_tls: bool) {
        if prefix.is_empty() {
            return;
        }
        // There was room a moment ago.
        if !is_tls && !self.put_carry(id, prefix) {
            return;
        }
        if let Some(link) = self.slots.get_mut(id) {
            link.is_cut_short = !is_tls;
            link.readiness.readable |= is_tls;
        }
        self.list(id);
    }
}
