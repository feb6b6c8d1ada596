//! The path of a message: bytes from a socket to the service, and what the service sends back to the socket.

use std::io;

use crate::{
    connection::{
        deadline::{DeadlineName, Deadlines},
        inbound::Event,
        outbound::Masking,
        websocket::{ClosedBy, State, WebSocket},
    },
    net::{
        io::{HEADROOM, Io},
        link::{Lent, Link, Open, Stage},
        port::Port,
        service::{Answer, Delivered, Service},
        timers::SessionTimers,
        token::ConnectionId,
    },
    wire::{
        close_code::POLICY,
        request_head::{HeadParsed, RequestHead},
        response_head::Response,
    },
};

impl<T> Io<T> {
    /// Serves a connection after an edge, or because it is listed.
    pub(crate) fn serve<S: Service<Session = T>>(&mut self, service: &mut S, id: ConnectionId) {
        self.write_waiting(id);
        self.call_writable(service, id);
        self.read(service, id);
        self.settle(service, id);
        self.tell_ended(service);
    }

    /// Output that waits goes on when the socket has room again.
    fn write_waiting(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if link.queue.is_empty() || !link.readiness.writable {
            return;
        }
        match link.write_queue(self.buffers.budget()) {
            Ok(_) if link.queue.is_empty() => link.deadlines.clear(DeadlineName::StalledWrite),
            Ok(true) => {
                let after = self.settings.limits.stalled_write_ms;
                link.deadlines
                    .set(DeadlineName::StalledWrite, self.now, after);
            }
            Ok(false) => {}
            Err(error) => self.abandon(id, &error.to_string()),
        }
    }

    fn call_writable<S: Service<Session = T>>(&mut self, service: &mut S, id: ConnectionId) {
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
            settings: &self.settings,
        };
        if let Some((session, mut port)) = link.port(lent)
            && port.is_open()
        {
            service.writable(session, &mut port);
            self.flush(id);
        }
    }

    /// Reads until the socket is empty, the budget is spent, or messages must wait.
    fn read<S: Service<Session = T>>(&mut self, service: &mut S, id: ConnectionId) {
        let mut budget = self.settings.limits.read_budget_bytes as usize;
        self.consume_carried(service, id);
        loop {
            let Some(link) = self.slots.get_mut(id) else {
                return;
            };
            if !link.readiness.readable || link.wants.hang_up || link.is_held(&self.settings) {
                return;
            }
            if budget == 0 {
                self.list(id);
                return;
            }
            let room = &mut self.input[HEADROOM..];
            let asked = room.len();
            match link.read(room) {
                Ok(0) => {
                    link.readiness.readable = false;
                    self.peer_left(id);
                    return;
                }
                Ok(count) => {
                    budget = budget.saturating_sub(count);
                    // A short read has emptied the socket, unless the edge told of an end that is still to be read.
                    if count < asked && !link.readiness.read_closed {
                        link.readiness.readable = false;
                    }
                    self.consume_read(service, id, count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    link.readiness.readable = false;
                    return;
                }
                Err(error) => {
                    link.readiness.readable = false;
                    self.abandon(id, &error.to_string());
                    return;
                }
            }
        }
    }

    /// What came behind a pause comes first.
    fn consume_carried<S: Service<Session = T>>(&mut self, service: &mut S, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if !link.is_cut_short || link.is_held(&self.settings) {
            return;
        }
        let mut carried = std::mem::take(&mut link.carry);
        let consumed = self.consume(service, id, &mut carried);
        self.keep(id, carried, consumed);
    }

    /// Serves what was read into the thread's buffer behind the headroom.
    fn consume_read<S: Service<Session = T>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        count: usize,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let mut input = std::mem::take(&mut self.input);
        let read = HEADROOM..HEADROOM + count;
        if link.carry.len() <= HEADROOM {
            // The beginning of a frame is put in front of the rest of it.
            let start = HEADROOM - link.carry.len();
            input[start..HEADROOM].copy_from_slice(&link.carry);
            link.carry.clear();
            let unread = &mut input[start..read.end];
            let consumed = self.consume(service, id, unread);
            if consumed < unread.len()
                && let Some(link) = self.slots.get_mut(id)
            {
                link.carry.extend_from_slice(&unread[consumed..]);
            }
        } else {
            let mut carried = std::mem::take(&mut link.carry);
            carried.extend_from_slice(&input[read]);
            let consumed = self.consume(service, id, &mut carried);
            self.keep(id, carried, consumed);
        }
        self.input = input;
        self.release_carry(id);
    }

    /// Puts back what was not consumed.
    fn keep(&mut self, id: ConnectionId, mut carried: Vec<u8>, consumed: usize) {
        carried.drain(..consumed.min(carried.len()));
        if let Some(link) = self.slots.get_mut(id) {
            link.carry = carried;
        }
        self.release_carry(id);
    }

    /// An idle connection holds no buffer.
    fn release_carry(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id)
            && link.carry.is_empty()
            && link.carry.capacity() > 0
        {
            link.carry = Vec::new();
        }
    }

    /// Serves input; gives how much of it is done with.
    fn consume<S: Service<Session = T>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &mut [u8],
    ) -> usize {
        let mut consumed = 0;
        if let Some(Link {
            stage: Stage::Opening,
            ..
        }) = self.slots.get_mut(id)
        {
            consumed = self.open(service, id, input);
        }
        consumed += self.consume_frames(service, id, &mut input[consumed..]);
        self.flush(id);
        consumed
    }

    /// Serves the frames of an open WebSocket. Whoever is not open has no use for input.
    fn consume_frames<S: Service<Session = T>>(
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
            ..
        } = self;
        let Some(link) = slots.get_mut(id) else {
            return input.len();
        };
        let open = match &mut link.stage {
            Stage::Open(open) => &mut **open,
            Stage::Opening => return 0,
            Stage::Lingering => return input.len(),
        };
        link.deadlines.clear(DeadlineName::Pong);
        if settings.limits.idle_ping_ms > 0 {
            let after = settings.limits.idle_ping_ms;
            link.deadlines.set(DeadlineName::IdlePing, *now, after);
        }
        let rules = service.rules(&open.session);
        let mut at = 0;
        // What waits is looked at once per batch: a batch is no longer than the read buffer.
        link.is_cut_short = true;
        while !link.wants.paused && !link.wants.hang_up && out.len() < settings.high_mark {
            let turn = open
                .websocket
                .next(&rules, buffers, out, Masking::None, &mut input[at..]);
            at += turn.consumed;
            let mut port = Port {
                id,
                peer: link.peer,
                now: *now,
                sending: turn.sending,
                out,
                queue: &link.queue,
                wants: &mut link.wants,
                deadlines: &mut link.deadlines,
                session_timers: &mut open.timers,
                timers,
                settings,
            };
            match turn.event {
                Event::Need => {
                    link.is_cut_short = false;
                    break;
                }
                Event::Message { kind, payload } => {
                    let message = Delivered {
                        kind,
                        first: true,
                        last: true,
                        remaining: 0,
                        payload,
                    };
                    service.delivered(&mut open.session, &mut port, message);
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
                    service.delivered(&mut open.session, &mut port, message);
                }
                Event::Pong(payload) => service.pong(&mut open.session, &mut port, payload),
                Event::Ping(_) => {}
                Event::Close { .. } | Event::Failed(_) => return input.len(),
            }
        }
        at
    }

    /// Reads the head of a request and has it answered; gives how much of the input that took.
    fn open<S: Service<Session = T>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> usize {
        let Some(peer) = self.slots.get_mut(id).map(|link| link.peer) else {
            return input.len();
        };
        match RequestHead::parse(input, &self.settings.limits) {
            HeadParsed::Partial => 0,
            HeadParsed::Done(head) => {
                match service.request(&head, peer, &mut self.out) {
                    Answer::Upgrade(session) => self.upgrade(service, id, session),
                    Answer::End => self.finish(id),
                }
                head.len
            }
            HeadParsed::Wrong(error) => {
                self.refuse(id, error.status(), &error.to_string());
                input.len()
            }
        }
    }

    fn upgrade<S: Service<Session = T>>(&mut self, service: &mut S, id: ConnectionId, session: T) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        link.deadlines.clear(DeadlineName::OpeningHandshake);
        link.stage = Stage::Open(Box::new(Open {
            websocket: WebSocket::default(),
            session,
            timers: SessionTimers::default(),
        }));
        let lent = Lent {
            id,
            now: self.now,
            out: &mut self.out,
            timers: &mut self.timers,
            settings: &self.settings,
        };
        if let Some((session, mut port)) = link.port(lent) {
            service.opened(session, &mut port);
        }
    }

    /// A request that the service does not get to see.
    fn refuse(&mut self, id: ConnectionId, status: u16, text: &str) {
        let response = Response {
            status,
            fields: &[("Content-Type", "text/plain; charset=utf-8")],
            content: text.as_bytes(),
        };
        response.encode(&mut self.out, false);
        self.finish(id);
    }

    /// Nothing more is read: when the output has left, the connection ends.
    fn finish(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id) {
            link.stage = Stage::Lingering;
            link.deadlines.clear(DeadlineName::OpeningHandshake);
        }
    }

    /// The peer sends no more.
    fn peer_left(&mut self, id: ConnectionId) {
        self.abandon(id, "the peer closed the connection without a Close frame");
    }

    /// After a connection was served: what has to follow from the state it is in now.
    pub(crate) fn settle<S: Service<Session = T>>(&mut self, service: &mut S, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if link.wants.hang_up {
            if let Stage::Open(open) = &mut link.stage {
                let by = ClosedBy::Protocol;
                open.websocket.sending().abandon(by, "the protocol hung up");
            }
            self.remove(id);
            return self.tell_ended(service);
        }
        match &mut link.stage {
            Stage::Open(open) => match open.websocket.sending().state() {
                State::Open => {}
                State::CloseSent => {
                    if !link.deadlines.is_set(DeadlineName::Close) {
                        let after = self.settings.limits.close_ms;
                        link.deadlines.set(DeadlineName::Close, self.now, after);
                    }
                }
                State::Closed | State::Failed | State::Abandoned => self.close_session(id),
            },
            Stage::Opening | Stage::Lingering => {}
        }
        self.linger(id);
        self.relist(id);
        self.arm(id);
    }

    /// The session is over; the transport goes on until its output has left.
    fn close_session(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let peer = link.peer;
        if let Stage::Open(open) = std::mem::replace(&mut link.stage, Stage::Lingering) {
            link.deadlines = Deadlines::default();
            link.carry = Vec::new();
            link.is_cut_short = false;
            self.end_session(id, peer, *open);
        }
    }

    /// A connection that has nothing more to say says so, and waits a moment for the peer to have read it.
    fn linger(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if !matches!(link.stage, Stage::Lingering) || link.deadlines.is_set(DeadlineName::Close) {
            return;
        }
        if link.queue.is_empty() {
            link.shut_down();
            let after = self.settings.limits.close_ms;
            link.deadlines.set(DeadlineName::Close, self.now, after);
            // What the peer still sends is read and thrown away.
            link.wants.paused = false;
            self.list(id);
        }
    }

    /// Has the connection served again when something of it can go on without an edge.
    fn relist(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let writable = link.wants.writable && link.queue.len() <= self.settings.low_mark;
        let readable =
            !link.is_held(&self.settings) && (link.readiness.readable || link.is_cut_short);
        if writable || readable {
            self.list(id);
        }
    }

    /// Some deadline of the connection may have come.
    pub(crate) fn serve_deadlines<S: Service<Session = T>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        if let Some(link) = self.slots.get_mut(id) {
            link.timer = None;
        }
        while let Some(link) = self.slots.get_mut(id)
            && let Some(name) = link.deadlines.expired(self.now)
        {
            self.deadline(id, name);
        }
        self.settle(service, id);
        self.tell_ended(service);
    }

    fn deadline(&mut self, id: ConnectionId, name: DeadlineName) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        match name {
            DeadlineName::OpeningHandshake => {
                self.refuse(
                    id,
                    408,
                    "no complete request within limits.opening_handshake_ms",
                );
                self.flush(id);
            }
            DeadlineName::IdlePing => self.ping(id),
            DeadlineName::Pong => self.hang_up(id, ClosedBy::Host, "no answer to a ping"),
            DeadlineName::StalledWrite => {
                self.hang_up(id, ClosedBy::Host, "the peer does not read");
            }
            DeadlineName::Close => self.hang_up(id, ClosedBy::Peer, "no answer to the Close frame"),
            DeadlineName::Protocol => {
                let reason = link
                    .deadlines
                    .protocol_reason()
                    .unwrap_or("deadline")
                    .to_owned();
                self.with(id, |_, port| port.close(ClosedBy::Host, POLICY, &reason));
            }
        }
    }

    fn ping(&mut self, id: ConnectionId) {
        self.with(id, |_, port| port.ping(b""));
        if let Some(link) = self.slots.get_mut(id) {
            let after = self.settings.limits.pong_ms;
            link.deadlines.set(DeadlineName::Pong, self.now, after);
        }
    }

    /// A timer of a session is due.
    pub(crate) fn serve_timer<S: Service<Session = T>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        timer: u64,
    ) {
        self.with(id, |session, port| {
            port.session_timers.remove(timer);
            if port.is_open() {
                service.timer(session, port, timer);
            }
        });
    }

    /// Tells the sessions that have ended.
    pub(crate) fn tell_ended<S: Service<Session = T>>(&mut self, service: &mut S) {
        while let Some(ended) = self.ended.pop() {
            service.closed(ended.session, ended.id, ended.peer, &ended.report, self);
        }
    }
}
