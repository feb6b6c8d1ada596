//! Connections that come in: whether there is room for one more, and how it begins.

use std::sync::atomic::Ordering::Relaxed;

use mio::Interest;

use crate::{
    connection::deadline::DeadlineName,
    net::{
        adopting::AdoptError, io::Io, link::Link, peer::Peer, token::ConnectionId,
        transport::Transport,
    },
};

impl<T, E> Io<T, E> {
    /// Takes a connection in, for the listener at this place.
    ///
    /// # Errors
    ///
    /// Why not, and what carries it.
    pub(crate) fn admit(
        &mut self,
        transport: Transport,
        peer: Peer,
        listener: u8,
    ) -> Result<ConnectionId, (Transport, AdoptError)> {
        if let Err(why) = self.enter(peer) {
            return Err((transport, why));
        }
        let id = match self.slots.insert(Link::new(transport, peer, listener)) {
            Ok(id) => id,
            Err(link) => {
                self.leave(peer);
                let most = self.slots.len() as u64;
                return Err((link.transport, AdoptError::TooMany(most)));
            }
        };
        let (watcher, now) = (&mut self.watcher, self.now);
        if let Some(link) = self.slots.get_mut(id) {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = link.transport.register(watcher, id.token(), interest);
            let after = self.settings.limits.opening_handshake_ms;
            link.deadlines.set(DeadlineName::Request, now, after);
            if let Err(error) = registered
                && let Some(link) = self.slots.remove(id)
            {
                self.leave(peer);
                return Err((link.transport, error.into()));
            }
        }
        self.arm(id);
        Ok(id)
    }

    /// Counts one more connection of a peer, unless there are enough.
    fn enter(&self, peer: Peer) -> Result<(), AdoptError> {
        if self.is_draining {
            return Err(AdoptError::Draining);
        }
        let most = self.settings.limits.max_connections;
        if most > 0 && self.shared.connections.load(Relaxed) as u64 >= most {
            return Err(AdoptError::TooMany(most));
        }
        let most = self.settings.limits.max_connections_per_address;
        if !self.shared.addresses.enter(peer, most) {
            return Err(AdoptError::TooManyOfAddress(most));
        }
        self.shared.connections.fetch_add(1, Relaxed);
        Ok(())
    }

    /// A connection that was counted is gone.
    pub(crate) fn leave(&self, peer: Peer) {
        self.shared.addresses.leave(peer);
        self.shared.connections.fetch_sub(1, Relaxed);
    }
}
