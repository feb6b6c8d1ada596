//! The path of a message: bytes from a socket to the service, and what the service sends back to the socket.

use std::io;

use crate::{
    connection::{
        deadline::DeadlineName,
        inbound::Event,
        outbound::Masking,
        websocket::{ClosedBy, WebSocket},
        write_queue::WriteQueue,
    },
    net::{
        io::{HEADROOM, Io},
        link::{Lent, Link, Open, Stage},
        port::Port,
        service::{Delivered, Refused, Service},
        timers::SessionTimers,
        token::ConnectionId,
    },
    wire::{close_code::TRY_AGAIN_LATER, extension::ExtensionChain},
};

impl<T, E> Io<T, E> {
    /// Serves a connection after an edge, or because it is listed.
    pub(crate) fn serve<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let phase = self.write_waiting(id);
        if phase == Phase::Http {
            self.requests_left = self.settings.limits.turn_requests_count.max(1);
            self.send_parts(id);
            self.end_if_over(service, id);
        }
        if phase == Phase::Opening {
            self.pursue(service, id);
        }
        self.call_writable(service, id);
        self.read(service, id);
        if phase == Phase::Opening {
            self.pursue_secured(id);
        }
        self.settle(service, id);
    }

    /// Output that waits goes on when the socket has room again.
    fn write_waiting(&mut self, id: ConnectionId) -> Phase {
        let Some(link) = self.slots.get_mut(id) else {
            return Phase::Frames;
        };
        let phase = Phase::at(&link.stage);
        link.note_marks(&self.settings);
        if !link.readiness.writable {
            return phase;
        }
        if link.queue.is_empty() {
            if link.transport.has_output()
                && let Err(error) = link.transport.flush()
            {
                self.lose(id, &error);
            }
            return phase;
        }
        match link.write_queue(self.buffers.budget()) {
            Ok(has_moved) => {
                link.note_marks(&self.settings);
                if link.queue.is_empty() {
                    link.deadlines.clear(DeadlineName::StalledWrite);
                } else if has_moved {
                    let after = self.settings.limits.stalled_write_ms;
                    link.deadlines
                        .set(DeadlineName::StalledWrite, self.now, after);
                }
            }
            Err(error) => self.lose(id, &error),
        }
        phase
    }

    fn call_writable<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if !link.wants.writable || link.queue.len() > self.settings.low_mark {
            return;
        }
        link.wants.writable = false;
        let lent = Lent {
            id,
            now: self.now,
            out: &mut self.out,
            timers: &mut self.timers,
            buffers: &mut self.buffers,
            settings: &self.settings,
            date: &mut self.date,
            seats: &self.shared.seats,
            keys: &mut *self.keys,
        };
        if let Some((session, mut port)) = link.port(lent)
            && port.is_open()
        {
            service.writable(session, &mut port);
        }
        self.with_port(id, |kept, port| {
            if let Some(kept) = kept
                && !port.is_over()
            {
                service.http_writable(kept, port);
            }
        });
        self.await_rest(id);
        self.flush(id);
        self.send_parts(id);
        self.end_if_over(service, id);
    }

    /// Reads until the socket is empty, the budget is spent, or messages must wait.
    fn read<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S, id: ConnectionId) {
        let mut budget = self.settings.read_budget;
        if self.is_opening(id) {
            if !self.is_announced(id) {
                return;
            }
            if self.must_shake_later(id) {
                return self.list(id);
            }
        }
        self.consume_carried(service, id);
        loop {
            let Some(link) = self.slots.get_mut(id) else {
                return;
            };
            let may_read = link.readiness.readable && !link.wants.hang_up;
            // While something that was read waits its turn nothing is added to it.
            if !may_read || link.is_cut_short || link.is_held(&self.settings) {
                return;
            }
            if budget == 0 {
                self.list(id);
                return;
            }
            let room = &mut self.input[HEADROOM..];
            let asked = room.len();
            let is_shaking = link.transport.is_handshaking() && !link.is_dialled;
            let read = link.read(room);
            if is_shaking && !link.transport.is_handshaking() && !self.is_secured(service, id) {
                return;
            }
            let Some(link) = self.slots.get_mut(id) else {
                return;
            };
            match read {
                Ok(0) => {
                    link.readiness.readable = false;
                    link.readiness.read_closed = true;
                    self.peer_left(id);
                    return;
                }
                Ok(count) => {
                    budget = budget.saturating_sub(count);
                    // A short read has emptied the socket, unless the edge told of an end that is still to be read.
                    if link.transport.is_emptied(count, asked) && !link.readiness.read_closed {
                        link.readiness.readable = false;
                    }
                    self.consume_read(service, id, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.readiness.readable = link.transport.has_more();
                    return;
                }
                Err(error) if link.transport.is_refused() && !link.is_dialled => {
                    tracing::debug!(target: "hotsocket::net", peer = %link.peer, %error, "connection refused");
                    self.finish(id);
                    return;
                }
                Err(error) => {
                    link.readiness.readable = false;
                    self.lose(id, &error);
                    return;
                }
            }
        }
    }

    /// Whether something comes ahead of HTTP: the header of a proxy, or a TLS handshake.
    #[inline]
    fn is_opening(&mut self, id: ConnectionId) -> bool {
        let link = self.slots.get_mut(id);
        link.is_some_and(|link| link.awaits_announcement || link.transport.is_handshaking())
    }

    /// Whether it is known whose connection it is.
    fn is_announced(&mut self, id: ConnectionId) -> bool {
        let awaits = |link: &mut Link<T, E>| link.awaits_announcement;
        !self.slots.get_mut(id).is_some_and(awaits) || self.read_announcement(id)
    }

    /// Tells that TLS was agreed on; whether the connection may go on.
    #[cold]
    fn is_secured<S: Service<Session = T, Exchange = E>>(
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
    fn must_shake_later(&mut self, id: ConnectionId) -> bool {
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
    #[inline]
    fn phase(&mut self, id: ConnectionId) -> Phase {
        let link = self.slots.get_mut(id);
        link.map_or(Phase::Frames, |link| Phase::at(&link.stage))
    }

    /// What came behind a pause comes first.
    fn consume_carried<S: Service<Session = T, Exchange = E>>(
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
        let mut carried = self.take_carry(id);
        let consumed = self.consume(service, id, &mut carried);
        carried.drain(..consumed);
        self.keep(service, id, carried);
    }

    /// Serves what was read into the thread's buffer behind the headroom.
    fn consume_read<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        count: usize,
    ) {
        let mut carried = self.take_carry(id);
        let mut input = std::mem::take(&mut self.input);
        let read = HEADROOM..HEADROOM + count;
        if carried.len() <= HEADROOM {
            // The beginning of a frame is put in front of the rest of it.
            let start = HEADROOM - carried.len();
            input[start..HEADROOM].copy_from_slice(&carried);
            let unread = &mut input[start..read.end];
            let consumed = self.consume(service, id, unread);
            carried.clear();
            carried.extend_from_slice(&unread[consumed..]);
        } else {
            carried.extend_from_slice(&input[read]);
            let consumed = self.consume(service, id, &mut carried);
            carried.drain(..consumed);
        }
        self.input = input;
        self.keep(service, id, carried);
    }

    /// Keeps what was not consumed, if there is room for it.
    fn keep<S: Service<Session = T, Exchange = E>>(
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
    fn consume<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &mut [u8],
    ) -> usize {
        let mut consumed = match self.phase(id) {
            Phase::Frames => {
                let consumed = self.consume_frames(service, id, input);
                self.flush(id);
                return consumed;
            }
            Phase::Http => self.consume_http(service, id, input),
            Phase::Opening => self.consume_answer(service, id, input),
        };
        consumed += self.consume_frames(service, id, &mut input[consumed..]);
        self.flush(id);
        self.send_parts(id);
        consumed
    }

    /// Serves the frames of an open WebSocket. Whoever is not open has no use for input.
    fn consume_frames<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &mut [u8],
    ) -> usize {
        let Self {
            slots,
            timers,
            buffers,
            settings,
            now,
            out,
            keys,
            ..
        } = self;
        let Some(link) = slots.get_mut(id) else {
            return input.len();
        };
        let peer = link.client();
        let open = match &mut link.stage {
            Stage::Open(open) => &mut **open,
            Stage::Http(_) | Stage::Dialling(_) => return 0,
            Stage::Lingering => return input.len(),
        };
        link.deadlines.clear(DeadlineName::Pong);
        if settings.limits.idle_ping_ms > 0 {
            let after = settings.limits.idle_ping_ms;
            link.deadlines.set(DeadlineName::IdlePing, *now, after);
        }
        let rules = service.rules(&open.session);
        let mut keys = link.is_dialled.then_some(&mut **keys);
        let mut at = 0;
        link.is_cut_short = true;
        // Nothing is delivered while a send would be refused.
        let room = settings.high_mark.saturating_sub(link.queue.len());
        while !link.wants.paused && !link.wants.hang_up && out.len() < room {
            let mask = Masking::with(keys.as_deref_mut());
            let turn = open
                .websocket
                .next(&rules, buffers, out, mask, &mut input[at..]);
            at += turn.consumed;
            let mut port = Port {
                id,
                transport: &link.transport,
                peer,
                now: *now,
                sending: turn.sending,
                keys: keys.as_deref_mut(),
                out,
                queue: &link.queue,
                held_back: &mut open.held_back,
                wants: &mut link.wants,
                deadlines: &mut link.deadlines,
                session_timers: &mut open.timers,
                timers,
                budget: buffers.budget(),
                settings,
            };
            match hand_over(service, &mut open.session, &mut port, turn.event) {
                Next::Go => {}
                Next::Need => {
                    link.is_cut_short = false;
                    break;
                }
                Next::End => return input.len(),
            }
        }
        at
    }

    pub(super) fn upgrade<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        session: T,
        chain: ExtensionChain,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        link.deadlines.clear(DeadlineName::Request);
        let websocket = match link.is_dialled {
            true => WebSocket::client(chain),
            false => WebSocket::with_extensions(chain),
        };
        link.stage = Stage::Open(Box::new(Open {
            websocket,
            session,
            timers: SessionTimers::default(),
            held_back: WriteQueue::default(),
        }));
        let lent = Lent {
            id,
            now: self.now,
            out: &mut self.out,
            timers: &mut self.timers,
            buffers: &mut self.buffers,
            settings: &self.settings,
            date: &mut self.date,
            seats: &self.shared.seats,
            keys: &mut *self.keys,
        };
        if let Some((session, mut port)) = link.port(lent) {
            service.opened(session, &mut port);
        }
    }

    /// Refuses what an HTTP connection is at: the exchange that goes on, or a request that has only begun.
    pub(super) fn refuse<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        why: &Refused,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        match &link.stage {
            Stage::Http(http) if http.running.is_some() => self.refuse_running(service, id, why),
            Stage::Http(_) => self.refuse_unread(service, id, why),
            _ => return,
        }
        self.flush(id);
    }

    /// Nothing more is served: when the output has left, the connection ends.
    pub(crate) fn finish(&mut self, id: ConnectionId) {
        drop(self.take_carry(id));
        if let Some(link) = self.slots.get_mut(id) {
            link.stage = Stage::Lingering;
            link.is_cut_short = false;
            link.deadlines.clear(DeadlineName::Request);
        }
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// HTTP.
    Http,
    /// What leads to a WebSocket, as its client.
    Opening,
    /// Frames, or nothing any more.
    Frames,
}

impl Phase {
    #[inline]
    fn at<T, E>(stage: &Stage<T, E>) -> Self {
        match stage {
            Stage::Http(_) => Self::Http,
            Stage::Dialling(_) => Self::Opening,
            Stage::Open(_) | Stage::Lingering => Self::Frames,
        }
    }
}

/// What follows an event.
enum Next {
    /// Another one, perhaps.
    Go,
    /// More input.
    Need,
    /// Nothing: the peer has closed, or was failed.
    End,
}

/// Tells the service what came; control frames were answered before.
#[inline(always)]
fn hand_over<S: Service>(
    service: &mut S,
    session: &mut S::Session,
    port: &mut Port<'_>,
    event: Event<'_>,
) -> Next {
    match event {
        Event::Need => return Next::Need,
        Event::Message { kind, payload } => {
            let message = Delivered {
                kind,
                first: true,
                last: true,
                remaining: 0,
                payload,
            };
            service.delivered(session, port, message);
        }
        Event::Piece {
            kind,
            first,
            last,
            remaining,
            payload,
        } => {
            let message = Delivered {
                kind,
                first,
                last,
                remaining,
                payload,
            };
            service.delivered(session, port, message);
        }
        Event::Pong(payload) => service.pong(session, port, payload),
        Event::Ping(_) => {}
        Event::Close { .. } | Event::Failed(_) => return Next::End,
    }
    Next::Go
}
