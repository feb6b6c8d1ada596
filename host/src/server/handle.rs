//! What is told to a host from other threads.

use std::{
    any::Any,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use crate::{
    config::ListenAddress,
    context::{
        client_request::{ClientRequest, ClientRequestError},
        hub::{Command, Hub, PostError},
        outgoing::{Connecting, Whose},
    },
    net::{
        adopting::{Adopt, AdoptError, Adopting, NotAdopted},
        token::ConnectionId,
    },
    plugin::connect_calls::given,
    server::conductor::Errand,
    wire::close_code::{REASON_BYTES, may_stand_in_frame},
};

/// The way to a host from any thread: it drains, reloads and wakes it. Cheap to clone, and harmless once the host is gone.
///
/// It exists before the host does, see [`HostBuilder::handle`](crate::HostBuilder::handle): a host that was told to drain
/// while it starts ends in its first turn.
#[derive(Clone, Debug)]
pub struct HostHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    errands: Sender<Errand>,
    /// Set when the host has its service threads.
    hub: OnceLock<Arc<Hub>>,
    listening: Mutex<Vec<ListenAddress>>,
    /// What [`HostHandle::drain`] takes when it is given nothing.
    usual_drain: Mutex<Duration>,
    /// Streams that were given to the host, which go to its service threads in turn.
    adopted: AtomicUsize,
}

/// Why a session was not told to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// It has ended, or has not begun: there is no session of this id.
    #[error("no session has this id: it has ended, or its opening handshake has not")]
    Gone,
    /// Too much waits for its service thread.
    #[error(
        "too much waits for the service thread: limits.commands_count or limits.commands_bytes is reached"
    )]
    Busy,
    /// The code does not go over the wire.
    #[error("{0} cannot stand in a Close frame: use 1000, or 3000 to 4999 for codes of your own")]
    Code(u16),
    /// The reason is too long.
    #[error(
        "a reason of {0} bytes does not fit into a Close frame: it has room for {REASON_BYTES}"
    )]
    Reason(usize),
}

impl From<PostError> for CloseError {
    fn from(error: PostError) -> Self {
        match error {
            PostError::Stale => Self::Gone,
            PostError::Full => Self::Busy,
        }
    }
}

impl HostHandle {
    pub(crate) fn new(errands: Sender<Errand>) -> Self {
        Self {
            shared: Arc::new(Shared {
                errands,
                hub: OnceLock::new(),
                listening: Mutex::default(),
                usual_drain: Mutex::default(),
                adopted: AtomicUsize::default(),
            }),
        }
    }

    /// Begins to end the host: nothing new is accepted, sessions are closed with 1001, and what is still open after
    /// `within` is cut off. None for `limits.drain_host_ms` of the config. The host is done when its turns answer
    /// [`Turned::Done`](crate::Turned::Done), or its threads have ended.
    pub fn drain(&self, within: Option<Duration>) {
        let within = within.unwrap_or_else(|| *lock(&self.shared.usual_drain));
        let hub = self.shared.hub.get();
        let is_told = hub.is_some();
        // First the errand: service threads that end at once are then told of behind it, and not in its place.
        self.send(Errand::Drain { within, is_told });
        if let Some(hub) = hub {
            tell_drain(hub, within);
        }
    }

    /// Has the config read again by what was given to [`HostBuilder::reload`](crate::HostBuilder::reload), and applied,
    /// whole or not at all. Nothing happens without.
    pub fn reload(&self) {
        self.send(Errand::Reload);
        self.waker().wake();
    }

    /// Opens a connection as a client, for the protocol of that name at the default vhost: what comes of it is a session of
    /// that protocol, on the next service thread in turn. `value` is for a plugin that is linked into the program, whose
    /// session finds it as if the plugin itself had connected; whose plugin came from a file gets none. It is dropped if nobody
    /// takes it. Gives the number of the connection, for [`Self::give_up`].
    ///
    /// A protocol that is not there is told in the log, since plugins come and go.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; the value is dropped.
    pub fn connect(
        &self,
        protocol: &str,
        request: ClientRequest,
        value: Option<Box<dyn Any + Send>>,
    ) -> Result<u64, ConnectError> {
        let hub = self.shared.hub.get().ok_or(ConnectError::NotRunning)?;
        request.check()?;
        if request.url.scheme().is_secure() {
            let made = hub.clients().tls(&request.trust);
            made.map_err(ConnectError::Tls)?;
        }
        let seat = hub.clients().seat().ok_or(ConnectError::TooMany)?;
        let number = hub.clients().number(hub.thread_for_client());
        let connecting = Connecting {
            number,
            whose: Whose::Protocol(protocol.to_owned()),
            request,
            given: value.map(given),
            seat,
        };
        match hub.connect(connecting) {
            Ok(()) => Ok(number),
            Err(_) => Err(ConnectError::Full),
        }
    }

    /// Gives up a connection that is not open yet, by its number: its protocol is told, and it is not tried again. One that
    /// is open, or has ended, is left alone. A plain request is given up too, if that is what has the number.
    pub fn give_up(&self, number: u64) {
        if let Some(hub) = self.shared.hub.get() {
            hub.give_up(number);
        }
    }

    /// Makes the turns of all service threads return at once.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker {
            handle: self.clone(),
            thread: None,
        }
    }

    /// Makes the turn return at once that serves this connection, and no other.
    #[must_use]
    pub fn waker_of(&self, id: ConnectionId) -> Waker {
        self.waker_of_thread(id.thread())
    }

    /// Begins the closing handshake of a session, with this code (0: without one) and reason. One that closes already goes
    /// on as it began.
    ///
    /// # Errors
    ///
    /// When there is no such session, or the Close frame cannot be.
    pub fn close(&self, id: ConnectionId, code: u16, reason: &str) -> Result<(), CloseError> {
        if code != 0 && !may_stand_in_frame(code) {
            return Err(CloseError::Code(code));
        }
        if reason.len() > REASON_BYTES {
            return Err(CloseError::Reason(reason.len()));
        }
        let hub = self.shared.hub.get().ok_or(CloseError::Gone)?;
        Ok(hub.close(id, code, reason)?)
    }

    /// Ends a connection at once, whatever is spoken over it and without a word to the peer. Nothing happens when it has
    /// ended already.
    ///
    /// # Errors
    ///
    /// When too much waits for its service thread, or the host has none.
    pub fn abort(&self, id: ConnectionId) -> Result<(), CloseError> {
        let hub = self.shared.hub.get().ok_or(CloseError::Gone)?;
        Ok(hub.abort(id)?)
    }

    /// Gives a stream that the program has accepted to the host, as if a listener had; to its service threads in turn.
    /// `outcome` is called exactly once, on the service thread or, when the stream does not get there, wherever that is
    /// found out; it must not wait for anything.
    pub fn adopt(
        &self,
        adopt: impl Into<Adopt>,
        outcome: impl FnOnce(Result<ConnectionId, NotAdopted>) + Send + 'static,
    ) {
        let adopting = Adopting::new(adopt.into(), Box::new(outcome));
        match self.shared.hub.get() {
            Some(hub) => {
                let turn = self.shared.adopted.fetch_add(1, Ordering::Relaxed);
                hub.adopt(turn % hub.thread_count().max(1), adopting);
            }
            None => adopting.refuse(AdoptError::Gone),
        }
    }

    /// Where the host listens, with the ports that the system chose.
    #[must_use]
    pub fn listening(&self) -> Vec<ListenAddress> {
        lock(&self.shared.listening).clone()
    }

    /// The TCP addresses among them.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let listening = self.listening().into_iter();
        let address = |address| match address {
            ListenAddress::Inet(settings) => Some(settings.address),
            _ => None,
        };
        listening.filter_map(address).collect()
    }

    /// The way to its service threads, once there are any.
    pub(crate) fn hub(&self) -> Option<&Arc<Hub>> {
        self.shared.hub.get()
    }

    pub(crate) fn waker_of_thread(&self, thread: usize) -> Waker {
        Waker {
            handle: self.clone(),
            thread: Some(thread),
        }
    }

    /// The service threads are there.
    pub(crate) fn attach(&self, hub: &Arc<Hub>) {
        // A host attaches once.
        let _ = self.shared.hub.set(Arc::clone(hub));
    }

    /// Gives the host something to do; it comes back when the host has ended.
    pub(crate) fn give(&self, errand: Errand) -> Option<Errand> {
        let sent = self.shared.errands.send(errand);
        sent.err().map(|error| error.0)
    }

    /// The same, and nobody minds when it is too late.
    pub(crate) fn send(&self, errand: Errand) {
        drop(self.give(errand));
    }

    pub(crate) fn set_listening(&self, addresses: Vec<ListenAddress>) {
        *lock(&self.shared.listening) = addresses;
    }

    pub(crate) fn set_usual_drain(&self, within: Duration) {
        *lock(&self.shared.usual_drain) = within;
    }
}

/// Why a program's connection is not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The host has no service threads yet.
    #[error("the host has not been built yet: connect through the handle of a host that is there")]
    NotRunning,
    /// The request makes no sense.
    #[error(transparent)]
    Request(#[from] ClientRequestError),
    /// There is no way to know the server.
    #[error("{0}")]
    Tls(String),
    /// `limits.client_connections_count`.
    #[error(
        "there are as many client connections as there may be: see limits.client_connections_count"
    )]
    TooMany,
    /// `limits.commands_count`.
    #[error("too much waits for a service thread: see limits.commands_count")]
    Full,
}

/// Closes everything, and cuts off what is left after `within`.
pub(crate) fn tell_drain(hub: &Hub, within: Duration) {
    hub.tell_all(&Command::Drain);
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    hub.tell_all(&Command::Stop(within));
}

/// Makes a turn that waits return at once, from any thread. Cheap to clone, and harmless once the host is gone.
#[derive(Clone, Debug)]
pub struct Waker {
    handle: HostHandle,
    /// None for all.
    thread: Option<usize>,
}

impl Waker {
    /// Wakes. One that does not wait returns at once from its next wait.
    pub fn wake(&self) {
        let Some(hub) = self.handle.shared.hub.get() else {
            return;
        };
        match self.thread {
            Some(thread) => hub.wake(thread),
            None => (0..hub.thread_count()).for_each(|thread| hub.wake(thread)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only whole values are put there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
