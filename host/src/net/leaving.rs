//! How a connection ends, whoever ends it.

use std::io;

use crate::{
    connection::websocket::ClosedBy,
    net::io::{Ended, Io},
    net::{
        dialling::Wanted,
        link::{Link, Open, Stage},
        peer::Peer,
        service::EndedBy,
        spare::Spare,
        token::ConnectionId,
    },
};

impl<T, E> Io<T, E> {
    /// Ends the transport of a connection, whatever its state.
    pub fn hang_up(&mut self, id: ConnectionId, by: ClosedBy, reason: &str) {
        self.abandon(id, by, reason);
        self.remove(id);
    }

    /// The socket failed, or what it did not take is more than all connections may keep.
    pub(crate) fn lose(&mut self, id: ConnectionId, error: &io::Error) {
        let by = match error.kind() {
            io::ErrorKind::OutOfMemory => ClosedBy::Host,
            _ => ClosedBy::Peer,
        };
        let is_over = |link: &mut Link<T, E>| matches!(link.stage, Stage::Lingering);
        match self.slots.get_mut(id).is_some_and(is_over) {
            // Nobody is told why: many clients end their side by a reset.
            true => self.abandon(id, by, ""),
            false => self.abandon(id, by, &error.to_string()),
        }
    }

    /// The transport is gone or given up.
    pub(crate) fn abandon(&mut self, id: ConnectionId, by: ClosedBy, reason: &str) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        match &mut link.stage {
            Stage::Open(open) => open.websocket.sending().abandon(by, reason),
            Stage::Http(http) => {
                if let Some(running) = &mut http.running {
                    let why = reason.to_owned().into();
                    running.cut_off.get_or_insert_with(|| (ended_by(by), why));
                }
            }
            Stage::Dialling(dialling) => dialling.give_up(by, reason),
            Stage::Requesting(requesting) => requesting.give_up(by, reason),
            Stage::Lingering => {}
        }
        link.wants.hang_up = true;
        self.touch(id);
    }

    /// Takes a connection out and closes its socket; its session is told later.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        if let Some(link) = self.take_out(id)
            && let Some(socket) = link.transport.descriptor()
        {
            self.watcher.forget(socket);
        }
    }

    /// Takes a connection out, with its socket, which is still watched.
    pub(crate) fn take_out(&mut self, id: ConnectionId) -> Option<Link<T, E>> {
        drop(self.take_carry(id));
        self.cut_off(id);
        let mut link = self.slots.remove(id)?;
        self.timers.let_sleep(id);
        self.buffers.budget().give(link.queue.len() as u64);
        if link.is_watched {
            self.gone.push((id, link.peer.get()));
        }
        match std::mem::replace(&mut link.stage, Stage::Lingering) {
            Stage::Open(open) => {
                let (peer, spare) = (link.client(), std::mem::take(&mut link.spare));
                self.end_session(id, peer, open, spare);
            }
            Stage::Dialling(dialling) => {
                let (wanted, error) = dialling.end(&mut self.timers, &mut self.watcher);
                self.ended.push(match wanted {
                    Wanted::Session(session) => Ended::NotOpened(session, id, error),
                    Wanted::Answer(requested) => {
                        Ended::Request(requested.unsent(id, (*error).into()))
                    }
                });
            }
            Stage::Requesting(requesting) => {
                self.ended.extend(requesting.end(id).map(Ended::Request));
            }
            Stage::Http(_) | Stage::Lingering => {}
        }
        // One that we have opened was not counted for its address.
        match link.is_dialled {
            true => drop(
                self.shared
                    .connections
                    .fetch_sub(1, std::sync::atomic::Ordering::Relaxed),
            ),
            false => self.leave(link.peer.get()),
        }
        self.shared.seats.leave(&mut link.seat);
        Some(link)
    }

    /// The exchange of a connection that is going is over.
    pub(super) fn cut_off(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if let Stage::Http(http) = &mut link.stage
            && let Some(running) = &mut http.running
        {
            let lost = || (EndedBy::Peer, "the connection was lost".into());
            let (by, why) = running.cut_off.take().unwrap_or_else(lost);
            self.end_exchange(id, by, why);
        }
    }

    /// The session is over, though its transport may still be closing.
    pub(crate) fn end_session(
        &mut self,
        id: ConnectionId,
        peer: Peer,
        open: Open<T>,
        mut spare: Spare,
    ) {
        let Open {
            mut websocket,
            session,
        } = open;
        if let Some(things) = spare.things() {
            things.timers.cancel_all(&mut self.timers);
            self.buffers.budget().give(things.held_back.len() as u64);
        }
        websocket.release(&mut self.buffers);
        websocket
            .sending()
            .abandon(ClosedBy::Peer, "the connection was lost");
        if let Some(report) = websocket.sending().take_report() {
            self.ended.push(Ended::Closed(session, id, peer, report));
        }
    }
}

fn ended_by(by: ClosedBy) -> EndedBy {
    match by {
        ClosedBy::Peer => EndedBy::Peer,
        ClosedBy::Protocol => EndedBy::Handler,
        _ => EndedBy::Host,
    }
}
