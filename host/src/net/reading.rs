//! What comes from a socket: read once per readiness into the buffer of the service thread, and given to whoever reads it.

use std::io;

use crate::{
    connection::websocket::ClosedBy,
    net::{
        io::{HEADROOM, Io, READ_BYTES},
        link::{Link, Stage},
        serve::Phase,
        service::{Refused, Service},
        token::ConnectionId,
    },
    wire::close_code::TRY_AGAIN_LATER,
};

/// What a read has brought.
struct Read {
    /// Bytes; none at the end.
    count: usize,
    /// How many there was room for.
    asked: usize,
    /// How many of them lie in the thread's buffer and are to be consumed.
    unread: usize,
}

impl<T, E> Io<T, E> {
    /// Reads until the socket is empty, the budget is spent, or messages must wait.
    pub(super) fn read<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let mut budget = self.settings.read_budget;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if (link.is_opening() || link.is_cut_short) && !self.begin_read(service, id) {
            return;
        }
        loop {
            let Some(mut link) = self.slots.get_mut(id) else {
                return;
            };
            // What TLS has said to what was read, and no answer took with it.
            if link.transport.has_output()
                && link.readiness.writable
                && let Err(error) = link.transport.flush()
            {
                return self.lose(id, &error);
            }
            let may_read = link.readiness.readable && !link.wants.hang_up;
            // While something that was read waits its turn nothing is added to it.
            if !may_read || link.is_cut_short || link.is_held(&self.settings) {
                return;
            }
            if budget == 0 {
                self.list(id);
                return;
            }
            let is_shaking = link.transport.is_handshaking() && !link.is_dialled;
            let mut read = None;
            if link.awaits_long() {
                read = self.gather(id);
                let Some(gathered) = self.slots.get_mut(id) else {
                    return;
                };
                link = gathered;
            }
            let read = read.unwrap_or_else(|| {
                let room = &mut self.input[self.input_at..];
                link.read(room).map(|count| Read {
                    count,
                    asked: room.len(),
                    unread: count,
                })
            });
            if is_shaking && !link.transport.is_handshaking() {
                if !self.is_secured(service, id) {
                    return;
                }
                let Some(secured) = self.slots.get_mut(id) else {
                    return;
                };
                link = secured;
            }
            match read {
                Ok(Read { count: 0, .. }) => {
                    link.readiness.readable = false;
                    link.readiness.read_closed = true;
                    self.peer_left(id);
                    return;
                }
                Ok(Read {
                    count,
                    asked,
                    unread,
                }) => {
                    budget = budget.saturating_sub(count);
                    // A short read has emptied the socket, unless the edge told of an end that is still to be read.
                    if link.transport.is_emptied(count, asked) && !link.readiness.read_closed {
                        link.readiness.readable = false;
                    }
                    let is_empty = !link.readiness.readable;
                    let phase = Phase::at(&link.stage);
                    let carried = link.take_carry(self.buffers.budget());
                    self.consume_read(service, id, phase, carried, unread);
                    if is_empty {
                        return;
                    }
                }
                Err(error) => return self.not_read(id, &error),
            }
        }
    }

    /// Nothing was there, or nothing can be read any more.
    #[inline(never)]
    fn not_read(&mut self, id: ConnectionId, error: &io::Error) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if error.kind() == io::ErrorKind::WouldBlock {
            link.readiness.readable = link.transport.has_more();
        } else if link.transport.is_refused() && !link.is_dialled {
            tracing::debug!(target: "hotsocket::net", peer = %link.peer.get(), %error, "connection refused");
            self.finish(id);
        } else {
            link.readiness.readable = false;
            self.lose(id, error);
        }
    }

    /// Reads straight to where a long message is gathered; what follows it comes into the thread's buffer. None where that
    /// cannot be.
    #[inline(never)]
    fn gather(&mut self, id: ConnectionId) -> Option<io::Result<Read>> {
        let link = self.slots.get_mut(id)?;
        let Stage::Open(open) = &mut link.stage else {
            return None;
        };
        let place = open.websocket.place(&mut self.buffers, READ_BYTES)?;
        let asked = place.capacity() - place.len();
        let count = match link.transport.read_spare(place)? {
            Ok(count) => count,
            Err(error) => return Some(Err(error)),
        };
        let behind = &mut self.input[self.input_at..];
        let gathered = open.websocket.gathered(&mut self.buffers, count, behind);
        let unread = gathered.unwrap_or_else(|failure| {
            self.with(id, |_, port| port.fail(failure.code, failure.why));
            0
        });
        Some(Ok(Read {
            count,
            asked,
            unread,
        }))
    }

    /// What comes before anything is read: what is ahead of HTTP, and what came behind a pause. False when nothing is to
    /// be read now.
    #[inline(never)]
    fn begin_read<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) -> bool {
        if !self.is_announced(id) {
            return false;
        }
        if self.must_shake_later(id) {
            self.list(id);
            return false;
        }
        self.consume_carried(service, id);
        true
    }

    /// Whether it is known whose connection it is.
    pub(super) fn is_announced(&mut self, id: ConnectionId) -> bool {
        let awaits = |link: &mut Link<T, E>| link.awaits_announcement;
        !self.slots.get_mut(id).is_some_and(awaits) || self.read_announcement(id)
    }

    /// Tells that TLS was agreed on; whether the connection may go on.
    #[cold]
    pub(super) fn is_secured<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) -> bool {
        let link = self.slots.get_mut(id);
        if link.is_none_or(|link| link.transport.is_refused()) {
            // That is told by what was read.
            return true;
        }
        let is_welcome = self.with_setup(id, |setup| service.secured(setup));
        if is_welcome == Some(false) {
            self.finish(id);
        }
        is_welcome == Some(true)
    }

    /// Whether it is in a TLS handshake, and the turn has done enough of them.
    pub(super) fn must_shake_later(&mut self, id: ConnectionId) -> bool {
        let Some(link) = self.slots.get_mut(id) else {
            return false;
        };
        if !link.transport.is_handshaking() || !link.readiness.readable {
            return false;
        }
        let is_late = self.handshakes_left == 0;
        self.handshakes_left = self.handshakes_left.saturating_sub(1);
        is_late
    }

    /// A part of a turn begins, with its share of TLS handshakes.
    pub(crate) fn allow_handshakes(&mut self) {
        self.handshakes_left = self.settings.limits.tls_handshakes_count.max(1);
    }

    /// What is spoken over a connection.
    pub(super) fn phase(&mut self, id: ConnectionId) -> Phase {
        let link = self.slots.get_mut(id);
        link.map_or(Phase::Frames, |link| Phase::at(&link.stage))
    }

    /// What came behind a pause comes first.
    pub(super) fn consume_carried<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if !link.is_cut_short || link.is_held(&self.settings) {
            return;
        }
        let phase = Phase::at(&link.stage);
        let mut carried = link.take_carry(self.buffers.budget());
        let consumed = self.consume(service, id, phase, &mut carried);
        carried.drain(..consumed);
        self.keep(service, id, carried);
    }

    /// Serves what was read into the thread's buffer behind the headroom, and behind what was carried.
    pub(super) fn consume_read<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        phase: Phase,
        mut carried: Vec<u8>,
        count: usize,
    ) {
        let mut input = std::mem::take(&mut self.input);
        let read = self.input_at..self.input_at + count;
        if carried.len() <= HEADROOM {
            // The beginning of a frame is put in front of the rest of it.
            let start = read.start - carried.len();
            input[start..read.start].copy_from_slice(&carried);
            let unread = &mut input[start..read.end];
            let consumed = self.consume(service, id, phase, unread);
            carried.clear();
            carried.extend_from_slice(&unread[consumed..]);
        } else {
            carried.extend_from_slice(&input[read]);
            let consumed = self.consume(service, id, phase, &mut carried);
            carried.drain(..consumed);
        }
        self.input = input;
        if !carried.is_empty() {
            self.keep(service, id, carried);
        }
    }

    /// Keeps what was not consumed, if there is room for it.
    pub(super) fn keep<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        carried: Vec<u8>,
    ) {
        if self.put_carry(id, carried) {
            return;
        }
        let why = "out of memory for messages";
        if self.phase(id) == Phase::Opening {
            return self.abandon(id, ClosedBy::Host, why);
        }
        if self
            .with(id, |_, port| port.fail(TRY_AGAIN_LATER, why))
            .is_none()
        {
            self.refuse(service, id, &Refused::new(503, why));
        }
    }

    /// Serves input; gives how much of it is done with.
    pub(super) fn consume<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        phase: Phase,
        input: &mut [u8],
    ) -> usize {
        let mut consumed = match phase {
            Phase::Frames => {
                let consumed = self.consume_frames(service, id, input);
                self.flush(id);
                return consumed;
            }
            Phase::Http => self.consume_http(service, id, input),
            Phase::Opening => self.consume_answer(service, id, input),
        };
        let speaks_http = |link: &mut Link<T, E>| matches!(link.stage, Stage::Http(_));
        if !self.slots.get_mut(id).is_some_and(speaks_http) {
            // What leads to a WebSocket may have done so.
            consumed += self.consume_frames(service, id, &mut input[consumed..]);
        }
        self.flush(id);
        self.send_parts(id);
        consumed
    }
}
