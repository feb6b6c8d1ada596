//! A service thread in the hands of whoever drives it.

use std::{
    fmt, io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    context::{hub::Hub, offload::OffloadThreads, serving::Context, vhosts::Vhosts},
    limits::Limits,
    net::{
        adopting::{AcceptedStream, Adopt, AdoptError, NotAdopted},
        event_loop::{EventLoop, Loop, Turned},
        io::Shared,
        listener::Listener,
        settings::Settings,
        token::ConnectionId,
        watcher::FdReadiness,
    },
    server::{
        handle::{HostHandle, Waker},
        start_error::StartError,
    },
};

/// Why a host that has started does not go on.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A poll cannot be used.
    #[error(
        "a service thread cannot wait for its sockets: {0}; is the limit of open files too low?"
    )]
    Poll(#[source] io::Error),
    /// A service thread has failed, and the host has ended.
    #[error("{0}")]
    Failed(String),
    /// A thread cannot be made.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A turn serves one service thread, and the host has more.
    #[error(
        "the host has {0} service threads: drive each that `workers` gives, or let `run` do it"
    )]
    SeveralThreads(usize),
    /// Who drives them is decided.
    #[error("the service threads of this host were given away: whoever has them drives them")]
    GivenAway,
    /// Turns of this host wait for nothing.
    #[error(
        "a loop of the program waits for the sockets of this host (`fd_sink`): turn the host there, nothing else can run it"
    )]
    ForeignLoop,
    /// It has turned here, so it stays here.
    #[error(
        "the host has turned on this thread, and its sessions cannot leave it: spawn it before its first turn"
    )]
    HasTurned,
}

/// What all service threads of a host have.
#[derive(Clone)]
pub(crate) struct WorkerParts {
    pub(crate) hub: Arc<Hub>,
    pub(crate) vhosts: Arc<Vhosts>,
    pub(crate) files: Arc<OffloadThreads>,
    pub(crate) limits: Limits,
    pub(crate) shared: Shared,
    pub(crate) handle: HostHandle,
}

/// A service thread that has not begun: it can be sent to the thread that is to drive it, which [starts](Self::start) it.
///
/// Dropped, it gives up its listeners; connections that would have come to it are refused.
pub struct Worker {
    number: u8,
    poll: Loop,
    listeners: Vec<Listener>,
    parts: WorkerParts,
    mailbox: OwnMailbox,
}

/// Closes the mailbox of a service thread that has ended, or does not begin.
struct OwnMailbox {
    hub: Arc<Hub>,
    thread: usize,
}

impl OwnMailbox {
    fn close(&self) {
        self.hub.close_thread(self.thread);
    }
}

impl Drop for OwnMailbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Worker {
    pub(crate) fn new(
        number: u8,
        poll: Loop,
        listeners: Vec<Listener>,
        parts: &WorkerParts,
    ) -> Self {
        Self {
            number,
            poll,
            listeners,
            mailbox: OwnMailbox {
                hub: Arc::clone(&parts.hub),
                thread: number.into(),
            },
            parts: parts.clone(),
        }
    }

    /// Which service thread of the host it is, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number.into()
    }

    /// Makes its turn return at once, and that of no other.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.parts.handle.waker_of_thread(self.number())
    }

    /// Whether a loop of the program waits for its sockets.
    pub(crate) fn is_foreign(&self) -> bool {
        self.poll.is_foreign()
    }

    /// Begins to serve on this thread, which its sessions never leave: plugins may keep state per thread.
    ///
    /// # Errors
    ///
    /// When its listeners cannot be watched.
    pub fn start(self) -> Result<ServiceThread, HostError> {
        let parts = self.parts;
        let context = Context::new(
            self.number.into(),
            parts.hub,
            parts.vhosts,
            parts.files,
            &parts.limits,
        );
        let event_loop = EventLoop::new(
            self.poll,
            self.number,
            self.listeners,
            context,
            Settings::from(&parts.limits),
            parts.shared,
        );
        Ok(ServiceThread {
            number: self.number,
            event_loop: event_loop.map_err(HostError::Poll)?,
            handle: parts.handle,
            turned: Turned::Running,
            mailbox: self.mailbox,
            stays: PhantomData,
        })
    }
}

impl AsFd for Worker {
    /// As that of the [`ServiceThread`] that it becomes.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.as_fd()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.number)
            .finish()
    }
}

/// A service thread that this thread drives: its listeners and connections, served in turns.
///
/// A loop that waits for other things too watches its descriptor for readability, waits no longer than
/// [`timeout`](Self::timeout) says, and takes a turn of [`Duration::ZERO`] after each wait, whatever ended it.
///
/// Dropped, it closes what is still open, and tells each session.
pub struct ServiceThread {
    number: u8,
    event_loop: EventLoop<Context>,
    handle: HostHandle,
    turned: Turned,
    /// Closed behind the last turn.
    mailbox: OwnMailbox,
    /// Plugins may keep state per thread, so this is not `Send` whatever it is made of.
    stays: PhantomData<*const ()>,
}

impl ServiceThread {
    /// Waits for something to happen, at most `timeout` (none: as long as it takes; zero: not at all), and serves what
    /// there is. It may return earlier, having served nothing. Once done it stays so, and returns at once.
    ///
    /// # Errors
    ///
    /// When the poll itself fails.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<Turned, HostError> {
        if self.turned == Turned::Running {
            self.turned = self.event_loop.turn(timeout).map_err(HostError::Poll)?;
            if self.turned == Turned::Done {
                self.mailbox.close();
            }
        }
        Ok(self.turned)
    }

    /// Turns until it is done.
    ///
    /// # Errors
    ///
    /// As for [`Self::turn`], and when a loop of the program waits for its sockets.
    pub fn run(&mut self) -> Result<(), HostError> {
        if self.event_loop.is_foreign() {
            return Err(HostError::ForeignLoop);
        }
        while self.turn(None)? == Turned::Running {}
        Ok(())
    }

    /// It was told to stop: carries that out, which waits for nobody.
    pub(crate) fn finish(mut self) {
        // After a panic nothing here can be relied on.
        if !std::thread::panicking() {
            while matches!(self.turn(Some(Duration::ZERO)), Ok(Turned::Running)) {}
        }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.event_loop.is_foreign()
    }

    /// The program's loop has seen this of a descriptor that it was told of by its [`FdSink`](crate::FdSink): the next
    /// turn serves it. False, and nothing happens, when it is none of this thread. To be called with all that the loop has
    /// seen, and then [`Self::turn`] once.
    pub fn service_fd(&mut self, fd: RawFd, readiness: FdReadiness) -> bool {
        self.event_loop.service_fd(fd, readiness)
    }

    /// Takes a stream in that the program has accepted, as if a listener of this thread had: with its limits, its TLS, its
    /// policies. It is served from the next turn on.
    ///
    /// # Errors
    ///
    /// Why not, and the stream.
    pub fn adopt(&mut self, adopt: impl Into<Adopt>) -> Result<ConnectionId, NotAdopted> {
        let adopt = adopt.into();
        match self.turned {
            Turned::Running => self.event_loop.adopt(adopt),
            Turned::Done => Err(adopt.refused(AdoptError::Gone)),
        }
    }

    /// The same of a stream of which something was read already, which is served first.
    ///
    /// # Errors
    ///
    /// As [`Self::adopt`], and when it is longer than `limits.request_head_bytes`.
    pub fn adopt_with_prefix(
        &mut self,
        stream: impl Into<AcceptedStream>,
        prefix: impl Into<Vec<u8>>,
    ) -> Result<ConnectionId, NotAdopted> {
        self.adopt(Adopt::new(stream).prefix(prefix))
    }

    /// Which service thread of the host it is, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number.into()
    }

    /// Makes its turn return at once, and that of no other.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.handle.waker_of_thread(self.number())
    }

    /// How long the next turn may be put off while its descriptor is not readable; none for as long as it is not.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match self.turned {
            Turned::Running => self.event_loop.timeout(),
            Turned::Done => None,
        }
    }

    /// The same as a point in time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.timeout()?)
    }

    /// The connections of this thread.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.event_loop.connections()
    }

    /// The socket under one of them, whatever is spoken over it; none when the connection has ended. It is for looking
    /// and for options: what is read from it or written to it is lost to the connection, or breaks it.
    pub fn socket(&mut self, id: ConnectionId) -> Option<BorrowedFd<'_>> {
        self.event_loop.socket(id)
    }
}

impl AsFd for ServiceThread {
    /// The one descriptor to watch, for readability: that of the poll.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event_loop.as_fd()
    }
}

impl AsRawFd for ServiceThread {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for ServiceThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceThread")
            .field("number", &self.number)
            .finish()
    }
}
