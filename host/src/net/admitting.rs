//! Connections that come in: whether there is room for one more, and how it begins.

use std::sync::atomic::Ordering::Relaxed;

use mio::Interest;

use crate::{
    connection::deadline::DeadlineName,
    net::{
        adopting::AdoptError, io::Io, link::Link, peer::Peer, service::Service,
        token::ConnectionId, transport::Transport,
    },
};

impl<T, E> Io<T, E> {
    /// Takes a connection in that was accepted, if there is room for it and the policies agree.
    ///
    /// # Errors
    ///
    /// Why not, and what carries it.
    pub(crate) fn admit<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        link: Link<T, E>,
    ) -> Result<ConnectionId, (Transport, AdoptError)> {
        let peer = link.peer.get();
        if let Err(why) = self.enter(service, peer, link.awaits_announcement) {
            return Err((link.transport, why));
        }
        let id = match self.slots.insert(link) {
            Ok(id) => id,
            Err(link) => {
                self.leave(peer);
                let most = self.slots.len() as u64;
                return Err((link.transport, AdoptError::TooMany(most)));
            }
        };
        let welcomed = self.welcome(service, id);
        let admitted = match welcomed {
            Ok(()) => Ok(id),
            Err(why) => match self.take_out(id) {
                Some(mut link) => {
                    link.transport.deregister(&mut self.watcher);
                    Err((link.transport, why))
                }
                // It is there.
                None => Ok(id),
            },
        };
        self.arm(id);
        self.tell_ended(service);
        admitted
    }

    /// Has it watched, and asks the policies.
    fn welcome<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) -> Result<(), AdoptError> {
        let Some(link) = self.slots.get_mut(id) else {
            return Ok(());
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        link.transport
            .register(&mut self.watcher, id.token(), interest)?;
        let after = self.settings.limits.opening_handshake_ms;
        link.deadlines.set(DeadlineName::Request, self.now, after);
        match self.with_setup(id, |setup| service.accepted(setup)) {
            Some(false) => Err(AdoptError::Policy),
            _ => Ok(()),
        }
    }

    /// Counts one more connection of a peer, unless there are enough.
    fn enter<S: Service<Session = T, Exchange = E>>(
        &self,
        service: &S,
        peer: Peer,
        is_announced: bool,
    ) -> Result<(), AdoptError> {
        if self.is_draining {
            return Err(AdoptError::Draining);
        }
        let most = self.settings.limits.max_connections;
        if most > 0 && self.shared.connections.load(Relaxed) as u64 >= most {
            return Err(AdoptError::TooMany(most));
        }
        if is_announced && !service.trusts(peer) {
            return Err(AdoptError::Untrusted);
        }
        // Those of a proxy count for whom it announces.
        let most = match is_announced {
            true => 0,
            false => self.settings.limits.max_connections_per_address,
        };
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
