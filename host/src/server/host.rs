//! A host in the hands of a program.

use std::{
    fmt,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    config::{Config, ListenAddress},
    net::{
        adopting::{AcceptedStream, Adopt, AdoptError, NotAdopted},
        event_loop::Turned,
        token::ConnectionId,
        watcher::FdReadiness,
    },
    server::{
        builder::HostBuilder,
        conductor::{Conductor, Errand},
        handle::{HostHandle, Waker},
        host_thread::HostThread,
        start_error::StartError,
        threads,
        worker::{HostError, ServiceThread, Worker},
    },
};

/// A server: it listens from the moment it is built, and serves whenever it is given a turn.
///
/// The program decides who drives it. [`run`](Self::run) does until the host has drained; [`spawn`](Self::spawn) does so on
/// a thread; [`turn`](Self::turn) is for a loop of the program's own, which watches the host's descriptor; and a host with
/// several service threads gives them away by [`workers`](Self::workers). It installs no signal handlers and writes
/// nothing to standard output, and it takes no thread that it was not asked for: a plugin directory, a control socket,
/// certificates that are watched and a config that can be read again need one together. Starting and freeing a plugin takes
/// one for that moment, since a plugin that does not come back must not hold up the program.
///
/// Dropped, it closes every session with 1001, tells each, and frees its plugins; it waits for no peer.
/// [`shutdown`](Self::shutdown) does.
pub struct Host {
    /// Once it has turned.
    thread: Option<ServiceThread>,
    /// Those that have not begun and were not given away.
    workers: Vec<Worker>,
    conducting: Conducting,
    /// Some were given away, and may serve on while this is dropped.
    are_given_away: bool,
    handle: HostHandle,
    /// A copy of the descriptor of the first service thread.
    descriptor: OwnedFd,
}

/// Where the conductor is.
enum Conducting {
    /// Here, and has something to do when there is an errand.
    Here(Box<Conductor>),
    /// On a thread of its own.
    Beside(JoinHandle<()>),
    /// It has gone.
    Over,
}

impl Host {
    /// What a host is made of, to be said piece by piece.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// A host that does what `config` says, whether it comes from a file or from the program.
    ///
    /// # Errors
    ///
    /// One for each cause; nothing is left of the host then.
    pub fn from_config(config: Config) -> Result<Self, StartError> {
        Self::builder().config(config).build()
    }

    pub(crate) fn new(
        conductor: Box<Conductor>,
        workers: Vec<Worker>,
        handle: HostHandle,
        descriptor: OwnedFd,
    ) -> Self {
        Self {
            thread: None,
            workers,
            conducting: Conducting::Here(conductor),
            are_given_away: false,
            handle,
            descriptor,
        }
    }

    /// Waits for something to happen, at most `timeout` (none: as long as it takes; zero: not at all), and serves what
    /// there is. It may return earlier, having served nothing. Once done it stays so, and returns at once. With the first
    /// turn the host is bound to this thread, which its sessions never leave.
    ///
    /// # Errors
    ///
    /// When the host has several service threads or they were given away, or the poll fails.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<Turned, HostError> {
        let errands = self.errand_timeout();
        let timeout = timeout.into_iter().chain(errands).min();
        let turned = self.begun()?.turn(timeout)?;
        if let Conducting::Here(conductor) = &mut self.conducting {
            conductor.attend();
        }
        Ok(turned)
    }

    /// Serves until the host has drained: on this thread, and with several service threads or something to decide
    /// beside them on threads of its own.
    ///
    /// # Errors
    ///
    /// Why a service thread has failed, or does not end.
    pub fn run(mut self) -> Result<(), HostError> {
        self.refuse_foreign()?;
        match std::mem::replace(&mut self.conducting, Conducting::Over) {
            Conducting::Here(conductor)
                if self.thread.is_none() && (conductor.is_needed() || self.workers.len() > 1) =>
            {
                self.conduct(*conductor)
            }
            conducting => {
                self.conducting = conducting;
                while self.turn(None)? == Turned::Running {}
                Ok(())
            }
        }
    }

    fn conduct(mut self, conductor: Conductor) -> Result<(), HostError> {
        let workers = std::mem::take(&mut self.workers);
        let end = self.handle.clone();
        let running = threads::spawn(workers, move |result| end.send(Errand::Ended(result)))?;
        conductor.tell_listening();
        conductor.run(running).map_err(HostError::Failed)
    }

    /// The same on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the host has turned on this thread, its service threads were given away, or the system has no thread for it.
    pub fn spawn(mut self) -> Result<HostThread, HostError> {
        self.refuse_foreign()?;
        if self.thread.is_some() {
            return Err(HostError::HasTurned);
        }
        if self.workers.is_empty() {
            return Err(HostError::GivenAway);
        }
        let descriptor = self.descriptor.try_clone().map_err(HostError::Poll)?;
        let (workers, handle) = (std::mem::take(&mut self.workers), self.handle.clone());
        let conducting = std::mem::replace(&mut self.conducting, Conducting::Over);
        let Conducting::Here(conductor) = conducting else {
            self.conducting = conducting;
            return Err(HostError::GivenAway);
        };
        let run = move || Self::new(conductor, workers, handle, descriptor).run();
        let thread = thread::Builder::new()
            .name("host".into())
            .stack_size(threads::STACK_BYTES)
            .spawn(run)
            .map_err(StartError::Poll)?;
        let handle = self.handle.clone();
        Ok(HostThread {
            handle,
            thread: Some(thread),
        })
    }

    /// The service threads, each to be sent to the thread that is to drive it. The host is to be kept as long as they
    /// are: dropped, it ends them.
    ///
    /// # Errors
    ///
    /// When they were given away before, or the host has turned.
    pub fn workers(&mut self) -> Result<Vec<Worker>, HostError> {
        if self.thread.is_some() {
            return Err(HostError::HasTurned);
        }
        if self.workers.is_empty() {
            return Err(HostError::GivenAway);
        }
        self.begin()?;
        self.are_given_away = true;
        Ok(std::mem::take(&mut self.workers))
    }

    /// The way to the host from any thread.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        self.handle.clone()
    }

    /// Makes a turn that waits return at once, from any thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.handle.waker()
    }

    /// Begins to end the host, see [`HostHandle::drain`]; its turns go on until they answer [`Turned::Done`].
    pub fn drain(&self, within: Duration) {
        self.handle.drain(Some(within));
    }

    /// Ends the host in order: closes every session with 1001 and waits for the closing handshakes, but no longer than
    /// `within`. Service threads that were given away end by themselves.
    ///
    /// # Errors
    ///
    /// When the poll fails.
    pub fn shutdown(mut self, within: Duration) -> Result<(), HostError> {
        self.refuse_foreign()?;
        self.drain(within);
        while self.thread.is_some() && self.turn(None)? == Turned::Running {}
        Ok(())
    }

    /// What needs turns that wait is not for a host whose sockets a loop of the program watches.
    fn refuse_foreign(&self) -> Result<(), HostError> {
        let is_foreign = match &self.thread {
            Some(thread) => thread.is_foreign(),
            None => self.workers.iter().any(Worker::is_foreign),
        };
        match is_foreign {
            true => Err(HostError::ForeignLoop),
            false => Ok(()),
        }
    }

    /// The program's loop has seen this of a descriptor, see [`ServiceThread::service_fd`]. False when it is none of the
    /// host's, or the host has not turned yet.
    pub fn service_fd(&mut self, fd: RawFd, readiness: FdReadiness) -> bool {
        let thread = self.thread.as_mut();
        thread.is_some_and(|thread| thread.service_fd(fd, readiness))
    }

    /// Takes a stream in that the program has accepted, as if a listener of the host had: with its limits, its TLS, its
    /// policies. It is served from the next turn on. From other threads, and where there are several service threads:
    /// [`HostHandle::adopt`].
    ///
    /// # Errors
    ///
    /// Why not, and the stream.
    pub fn adopt(&mut self, adopt: impl Into<Adopt>) -> Result<ConnectionId, NotAdopted> {
        match self.begun() {
            Ok(thread) => thread.adopt(adopt),
            Err(_) => Err(adopt.into().refused(AdoptError::Elsewhere)),
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

    /// How long the next turn may be put off while the descriptor is not readable; none for as long as it is not.
    #[must_use]
    pub fn timeout(&mut self) -> Option<Duration> {
        let errands = self.errand_timeout();
        let serving = match &self.thread {
            Some(thread) => thread.timeout(),
            None => Some(Duration::ZERO),
        };
        serving.into_iter().chain(errands).min()
    }

    /// The same as a point in time.
    #[must_use]
    pub fn next_deadline(&mut self) -> Option<Instant> {
        Instant::now().checked_add(self.timeout()?)
    }

    /// Where the host listens, with the ports that the system chose.
    #[must_use]
    pub fn listening(&self) -> Vec<ListenAddress> {
        self.handle.listening()
    }

    /// The TCP addresses among them.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.handle.local_addrs()
    }

    /// The connections that this thread serves.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        let thread = self.thread.as_ref();
        thread.map(ServiceThread::connections).unwrap_or_default()
    }

    /// The socket under one of them, see [`ServiceThread::socket`].
    pub fn socket(&mut self, id: ConnectionId) -> Option<BorrowedFd<'_>> {
        self.thread.as_mut()?.socket(id)
    }

    /// The name of this machine, as the system knows it.
    #[must_use]
    pub fn hostname(&self) -> String {
        let system = rustix::system::uname();
        system.nodename().to_string_lossy().into_owned()
    }

    /// How long until the conductor has something to do, if it is here.
    fn errand_timeout(&mut self) -> Option<Duration> {
        match &mut self.conducting {
            Conducting::Here(conductor) => conductor.timeout(),
            _ => None,
        }
    }

    fn begun(&mut self) -> Result<&mut ServiceThread, HostError> {
        // It is large: it stays where it is from turn to turn.
        if self.thread.is_none() {
            if self.workers.len() > 1 {
                return Err(HostError::SeveralThreads(self.workers.len()));
            }
            let worker = self.workers.pop().ok_or(HostError::GivenAway)?;
            self.begin()?;
            self.thread = Some(worker.start()?);
        }
        self.thread.as_mut().ok_or(HostError::GivenAway)
    }

    /// The program drives the host: what is to be decided beside it is, on a thread, if there is anything.
    fn begin(&mut self) -> Result<(), HostError> {
        match std::mem::replace(&mut self.conducting, Conducting::Over) {
            Conducting::Here(conductor) => {
                conductor.tell_listening();
                self.conducting = match conductor.is_needed() {
                    true => Conducting::Beside(accompany(*conductor)?),
                    false => Conducting::Here(conductor),
                };
            }
            conducting => self.conducting = conducting,
        }
        Ok(())
    }
}

fn accompany(conductor: Conductor) -> Result<JoinHandle<()>, HostError> {
    let thread = thread::Builder::new().name("conductor".into());
    let spawned = thread.spawn(move || conductor.accompany());
    Ok(spawned.map_err(StartError::Poll)?)
}

impl AsFd for Host {
    /// The one descriptor to watch, for readability: that of the poll. A host with several service threads has one for
    /// each, and this is the first one's.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Host {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("listening", &self.listening())
            .finish_non_exhaustive()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let conducting = std::mem::replace(&mut self.conducting, Conducting::Over);
        if matches!(conducting, Conducting::Over) {
            return;
        }
        self.handle.drain(Some(Duration::ZERO));
        if let Some(thread) = self.thread.take() {
            thread.finish();
        }
        self.workers.clear();
        let are_threads_over = !self.are_given_away;
        match conducting {
            Conducting::Here(conductor) => conductor.farewell(are_threads_over),
            Conducting::Beside(thread) => {
                self.handle.send(Errand::Leave { are_threads_over });
                // A panic there was told by itself.
                let _ = thread.join();
            }
            Conducting::Over => {}
        }
    }
}

// A host that has not turned can be built on one thread and spawned; what is spawned are its parts.
const _: () = {
    const fn is_send<T: Send>() {}
    const fn is_shared<T: Send + Sync + Clone>() {}
    is_send::<Worker>();
    is_send::<Conductor>();
    is_send::<HostThread>();
    is_shared::<HostHandle>();
    is_shared::<Waker>();
};
