//! The listening sockets of one service thread, while the host runs: new ones come, and those that are given up accept
//! what waits before they close.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use crate::net::{
    listener::{Listener, Spoken},
    token::{MAX_LISTENERS, listener_token},
    watcher::Watcher,
};

/// A listener of a host, on all service threads: counted from 0 in the order in which they were bound, and never given
/// to a later one.
pub type ListenerNumber = u32;

/// A listening socket of this thread.
pub(crate) struct Listening {
    pub(crate) number: ListenerNumber,
    pub(crate) socket: Listener,
    /// More may wait to be accepted.
    pub(crate) is_ready: bool,
    /// Waits for descriptors.
    pub(crate) is_waiting: bool,
    /// Closes once nothing waits any more.
    is_leaving: bool,
}

impl Listening {
    /// Closes it.
    fn close(mut self, watcher: &mut Watcher) {
        self.socket.deregister(watcher);
    }

    /// Whether the next turn is to accept from it at once.
    pub(crate) fn accepts(&self) -> bool {
        self.is_ready && !self.is_waiting
    }
}

/// The listening sockets of a thread. A place that is left is given to a later one.
#[derive(Default)]
pub(crate) struct Listeners {
    places: Vec<Option<Listening>>,
}

impl Listeners {
    /// Adds a listening socket.
    ///
    /// # Errors
    ///
    /// When it cannot be registered, or all places are taken by others that stay.
    pub(crate) fn add(
        &mut self,
        watcher: &mut Watcher,
        number: ListenerNumber,
        mut socket: Listener,
    ) -> io::Result<()> {
        let at = self.place().ok_or_else(|| {
            let text = format!("a host listens on at most {MAX_LISTENERS} addresses");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        self.close(watcher, at);
        socket.register(watcher, listener_token(at))?;
        let listening = Listening {
            number,
            socket,
            is_ready: false,
            is_waiting: false,
            is_leaving: false,
        };
        match self.places.get_mut(at) {
            Some(place) => *place = Some(listening),
            None => self.places.push(Some(listening)),
        }
        Ok(())
    }

    /// A free place; when there is none, that of one that leaves, which closes at once then.
    fn place(&self) -> Option<usize> {
        let is_leaving = |place: &Option<Listening>| place.as_ref().is_some_and(|l| l.is_leaving);
        let mut places = self.places.iter();
        let free = places.position(Option::is_none);
        free.or_else(|| (self.places.len() < MAX_LISTENERS).then_some(self.places.len()))
            .or_else(|| self.places.iter().position(is_leaving))
    }

    /// Gives a listener up. Peers that wait are connected as far as they know, so they are accepted first; one that
    /// comes between the last of them and the close is reset, since Linux cannot refuse new ones and keep the rest.
    pub(crate) fn give_up(&mut self, number: ListenerNumber) {
        let mut all = self.places.iter_mut().flatten();
        if let Some(listening) = all.find(|listening| listening.number == number) {
            listening.is_leaving = true;
            listening.is_ready = true;
        }
    }

    /// What a listener speaks from the next connection on.
    pub(crate) fn set_spoken(&mut self, number: ListenerNumber, spoken: &Spoken) {
        let mut all = self.places.iter_mut().flatten();
        if let Some(listening) = all.find(|listening| listening.number == number) {
            listening.socket.set_spoken(spoken.clone());
        }
    }

    /// Nothing waits at this place any more; closes it if it was given up.
    pub(crate) fn is_dry(&mut self, watcher: &mut Watcher, at: usize) {
        if let Some(listening) = self.get_mut(at) {
            listening.is_ready = false;
            if listening.is_leaving {
                self.close(watcher, at);
            }
        }
    }

    /// Closes the one at this place, if there is one.
    fn close(&mut self, watcher: &mut Watcher, at: usize) {
        if let Some(left) = self.places.get_mut(at).and_then(Option::take) {
            left.close(watcher);
        }
    }

    /// How many places there are, taken or not.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The one at this place.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Listening> {
        self.places.get_mut(at)?.as_mut()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Listening> {
        self.places.iter().flatten()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Closes all of them.
    pub(crate) fn clear(&mut self, watcher: &mut Watcher) {
        for left in self.places.drain(..).flatten() {
            left.close(watcher);
        }
    }
}

/// Listeners that come, go or change while the service threads run.
#[derive(Debug)]
pub struct ListenChange {
    /// Those that are given up.
    pub gone: Vec<ListenerNumber>,
    /// Those that stay and speak something else to new connections.
    pub(crate) changed: Vec<(ListenerNumber, Spoken)>,
    /// By service thread; each takes its own.
    new: Vec<Mutex<Vec<(ListenerNumber, Listener)>>>,
}

impl ListenChange {
    /// `gone` are given up; `new` are the sockets that come, by service thread.
    #[must_use]
    pub fn new(gone: Vec<ListenerNumber>, new: Vec<Vec<(ListenerNumber, Listener)>>) -> Self {
        Self {
            gone,
            changed: Vec::new(),
            new: new.into_iter().map(Mutex::new).collect(),
        }
    }

    /// The same, where these stay and speak something else to new connections.
    #[must_use]
    pub fn changing(self, changed: Vec<(ListenerNumber, Spoken)>) -> Self {
        Self { changed, ..self }
    }

    /// The sockets that come, by service thread, for threads that do not run yet.
    #[must_use]
    pub fn into_sockets(self) -> Vec<Vec<Listener>> {
        let threads = self.new.into_iter();
        let threads = threads.map(|own| own.into_inner().unwrap_or_else(PoisonError::into_inner));
        threads
            .map(|own| own.into_iter().map(|(_, socket)| socket).collect())
            .collect()
    }

    /// The sockets of this service thread. There are none the second time.
    pub(crate) fn take(&self, thread: usize) -> Vec<(ListenerNumber, Listener)> {
        let own = self.new.get(thread).map(|own| {
            // Nothing in here can panic halfway through a change.
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *own)
        });
        own.unwrap_or_default()
    }
}
