//! Connections that wait at listeners are taken in.

use std::io;

use crate::net::{
    adopting::{Adopt, AdoptError, NotAdopted},
    announced::UNTRUSTED,
    event_loop::EventLoop,
    io::Io,
    link::Link,
    service::Service,
    timers::Due,
    token::ConnectionId,
    watcher::{FdInterest, Watcher},
};

/// How long a listener without descriptors waits before it tries again.
const RETRY_ACCEPT_MS: u64 = 1000;

impl<S: Service> EventLoop<S> {
    pub(super) fn accept_all(&mut self) {
        for at in 0..self.io.listeners.len() {
            if self.io.listeners.get_mut(at).is_some_and(|l| l.accepts()) {
                self.accept(at);
            }
        }
        if self.io.is_draining && !self.io.listeners.iter().any(|l| l.is_ready) {
            self.io.listeners.clear(&mut self.io.watcher);
        }
    }

    /// Accepts what waits, up to the limit of a turn.
    pub(super) fn accept(&mut self, at: usize) {
        for _ in 0..self.io.settings.accept_count {
            let Some(listener) = self.io.listeners.get_mut(at) else {
                return;
            };
            match listener.socket.accept() {
                Ok((transport, peer)) => {
                    let is_announced = listener.socket.is_announced();
                    let link = Link::new(transport, peer, listener.number);
                    self.admit(Link {
                        awaits_announcement: is_announced,
                        ..link
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.io.listeners.is_dry(&mut self.io.watcher, at);
                    return;
                }
                // The peer left while it waited.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(target: "hotsocket::net", %error,
                        "no connection can be accepted; trying again in {RETRY_ACCEPT_MS} ms \
                         (out of descriptors? raise the limit of open files or lower limits.max_connections)");
                    listener.is_ready = false;
                    listener.is_waiting = true;
                    let retry = self.io.now + RETRY_ACCEPT_MS;
                    self.io.timers.insert(retry, Due::Listener(at));
                    self.want_listener(at, FdInterest::NONE);
                    return;
                }
            }
        }
    }

    /// Tells a foreign loop whether it is to tell of connections that wait.
    pub(super) fn want_listener(&mut self, at: usize, interest: FdInterest) {
        let Io {
            watcher, listeners, ..
        } = &mut self.io;
        if let (Watcher::Foreign(foreign), Some(listener)) = (watcher, listeners.get_mut(at))
            && let Err(error) = foreign.want(listener.socket.descriptor(), interest)
        {
            tracing::error!(target: "hotsocket::net", %error, "the loop of the program does not watch a listener any more");
        }
    }

    /// Takes a connection in, or closes it when there are too many.
    pub(super) fn admit(&mut self, link: Link<S::Session, S::Exchange>) {
        let peer = link.peer.get();
        match self.io.admit(&mut self.service, link) {
            // A policy has told by itself.
            Ok(_) | Err((_, AdoptError::Policy)) => {}
            Err((_, AdoptError::Untrusted)) => self.io.tell_unannounced(peer, UNTRUSTED),
            Err((_, error @ AdoptError::Socket(_))) => {
                tracing::warn!(target: "hotsocket::net", %peer, "connection refused: {error}");
            }
            Err((_, error)) => {
                tracing::debug!(target: "hotsocket::net", %peer, "connection refused: {error}");
            }
        }
    }

    /// Takes a stream in that the program has accepted.
    ///
    /// # Errors
    ///
    /// Why not, and the stream.
    pub fn adopt(&mut self, adopt: Adopt) -> Result<ConnectionId, NotAdopted> {
        // It comes between two turns, and its deadline begins now.
        self.io.now = self.clock();
        self.io.adopt(&mut self.service, adopt)
    }
}
