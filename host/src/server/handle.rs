//! What is told to a host from other threads.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc::Sender},
    time::Duration,
};

use crate::{
    config::ListenAddress,
    context::hub::{Command, Hub},
    net::token::ConnectionId,
    server::conductor::Errand,
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
}

impl HostHandle {
    pub(crate) fn new(errands: Sender<Errand>) -> Self {
        Self {
            shared: Arc::new(Shared {
                errands,
                hub: OnceLock::new(),
                listening: Mutex::default(),
                usual_drain: Mutex::default(),
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
