//! What follows from the state a connection is in: how it ends, and what its deadlines do.

use crate::{
    connection::{
        deadline::{DeadlineName, Deadlines},
        opening::OpeningCause,
        websocket::{ClosedBy, State},
    },
    net::{
        io::{Ended, Io},
        link::{Link, Stage},
        port::Wants,
        service::Service,
        settings::Settings,
        timers::Timers,
        token::ConnectionId,
        watcher::Watcher,
    },
};

impl<T, E> Io<T, E> {
    /// The peer sends no more.
    pub(super) fn peer_left(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let has_ended = match &mut link.stage {
            Stage::Http(http) => {
                http.is_half_closed = true;
                return self.http_half_closed(id);
            }
            Stage::Dialling(_) => return self.fail_dial(id, OpeningCause::Ended),
            Stage::Requesting(_) => return self.server_left(id),
            Stage::Open(open) => {
                let state = open.websocket.sending().state();
                !matches!(state, State::Open | State::CloseSent)
            }
            Stage::Lingering => true,
        };
        // It may have closed its own side only, and still read.
        if has_ended && !link.queue.is_empty() {
            return;
        }
        let reason = "the peer closed the connection without a Close frame";
        self.abandon(id, ClosedBy::Peer, reason);
    }

    /// The client has ended its side: what it has asked for is still answered, for some time (RFC 9112 section 9.6).
    fn http_half_closed(&mut self, id: ConnectionId) {
        let after = self.settings.limits.half_closed_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &mut link.stage else {
            return;
        };
        if let Some(running) = &mut http.running
            && running.exchange.discards()
        {
            running.exchange.give_up_body();
        }
        match &http.running {
            Some(running) if running.exchange.has_body() => {
                link.deadlines.set(DeadlineName::Request, self.now, after);
            }
            Some(_) => self.abandon(id, ClosedBy::Peer, "the client left within its request"),
            None => self.finish(id),
        }
    }

    /// After a connection was acted on: what has to follow from the state it is in now.
    pub(crate) fn settle<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let Some(mut link) = self.slots.get_mut(id) else {
            return;
        };
        link.is_touched = false;
        if matches!(link.stage, Stage::Http(_)) {
            self.end_if_over(service, id);
            self.http_settled(id);
            let Some(settled) = self.slots.get_mut(id) else {
                return;
            };
            link = settled;
        }
        if link.wants.hang_up {
            self.remove(id);
            return self.tell_ended(service);
        }
        if let Stage::Open(open) = &mut link.stage {
            let sending = open.websocket.sending();
            match sending.state() {
                State::Open if sending.is_holding() => self.holding.push(id),
                State::Open => {}
                State::CloseSent => link.await_close(&self.settings, self.now),
                over @ (State::Closed | State::Failed | State::Abandoned) => {
                    self.close_session(id);
                    if over == State::Closed {
                        self.part(id);
                    }
                    let Some(settled) = self.slots.get_mut(id) else {
                        return self.tell_ended(service);
                    };
                    link = settled;
                }
            }
        }
        link.linger(&self.settings, self.now);
        link.arm(id, self.now, &mut self.timers);
        if link.goes_on(&self.settings) {
            self.list(id);
        }
        if let Watcher::Foreign(_) = self.watcher {
            self.want_socket(id);
        }
        self.tell_ended(service);
    }

    /// A client that has ended its side sends no further request; those that are here already are served.
    fn http_settled(&mut self, id: ConnectionId) {
        let after = self.settings.limits.half_closed_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &link.stage else {
            return;
        };
        match &http.running {
            None if http.is_half_closed && !link.is_cut_short => self.finish(id),
            // Its end is not read while requests wait before it.
            Some(running)
                if link.readiness.read_closed
                    && running.is_streamed()
                    && !link.deadlines.is_set(DeadlineName::Request) =>
            {
                link.deadlines.set(DeadlineName::Request, self.now, after);
            }
            _ => {}
        }
    }

    /// The session is over; the transport goes on until its output has left.
    fn close_session(&mut self, id: ConnectionId) {
        drop(self.take_carry(id));
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let peer = link.client();
        if let Stage::Open(open) = std::mem::replace(&mut link.stage, Stage::Lingering) {
            link.deadlines = Deadlines::default();
            if !link.queue.is_empty() {
                let after = self.settings.limits.stalled_write_ms;
                link.deadlines
                    .set(DeadlineName::StalledWrite, self.now, after);
            }
            link.wants = Wants::default();
            link.is_cut_short = false;
            let spare = std::mem::take(&mut link.spare);
            self.end_session(id, peer, open, spare);
        }
    }

    /// Close frames went both ways, so the peer sends nothing more: when nothing of it is unread and ours has left, the
    /// socket can be closed at once, and nothing is lost to a reset. Under TLS the peer still answers.
    fn part(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let is_through = link.queue.is_empty() && !link.readiness.readable;
        if is_through && !link.is_dialled && !link.transport.is_answered() {
            self.remove(id);
        }
    }

    /// Tells a foreign loop what would be used of the socket.
    fn want_socket(&mut self, id: ConnectionId) {
        let (Watcher::Foreign(foreign), Some(link)) = (&mut self.watcher, self.slots.get_mut(id))
        else {
            return;
        };
        let interest = link.interest(&self.settings);
        if let Some(socket) = link.transport.descriptor()
            && let Err(error) = foreign.want(socket, interest)
        {
            self.lose(id, &error);
        }
    }

    /// Tells the sessions and exchanges that have ended, and asks for what they wait for.
    #[inline]
    pub(crate) fn tell_ended<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S) {
        // As after most messages.
        if self.ended.is_empty()
            && self.ended_exchanges.is_empty()
            && self.cold.is_empty()
            && self.gone.is_empty()
        {
            return;
        }
        self.tell_all_ended(service);
    }

    fn tell_all_ended<S: Service<Session = T, Exchange = E>>(&mut self, service: &mut S) {
        while let Some(ended) = self.ended.pop() {
            match ended {
                Ended::Closed(session, id, peer, report) => {
                    service.closed(session, id, peer, &report, self);
                }
                Ended::NotOpened(session, id, error) => {
                    service.dial_failed(session, id, error, self);
                }
                Ended::Reached(number) => service.request_reached(number),
                Ended::Request(ended) => service.request_ended(ended, self),
            }
        }
        self.tell_ended_exchanges(service);
        self.ask_for_cold(service);
        while let Some((id, peer)) = self.gone.pop() {
            service.gone(id, peer);
        }
    }

    /// Tells the exchanges that have ended.
    pub(super) fn tell_ended_exchanges<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
    ) {
        while let Some(ended) = self.ended_exchanges.pop_front() {
            service.exchange_ended(ended.exchange, ended.id, ended.peer, &ended.end);
        }
    }
}

impl<T, E> Link<T, E> {
    /// Our Close frame is out.
    fn await_close(&mut self, settings: &Settings, now: u64) {
        // No message is delivered any more; the peer's answer is to be heard.
        self.wants.paused = false;
        // Until it has left, the output has to move.
        if self.queue.is_empty() && !self.deadlines.is_set(DeadlineName::Close) {
            let after = settings.limits.close_ms;
            self.deadlines.set(DeadlineName::Close, now, after);
        }
    }

    /// A connection that has nothing more to say says so, and waits a moment for the peer to have read it.
    #[inline]
    fn linger(&mut self, settings: &Settings, now: u64) {
        if matches!(self.stage, Stage::Lingering) && !self.is_shut_down && self.queue.is_empty() {
            // A client waits for the server to do that first (RFC 6455 section 7.1.1).
            if !self.is_dialled {
                self.shut_down();
            }
            self.is_shut_down = true;
            let after = settings.limits.close_ms;
            self.deadlines.set(DeadlineName::Close, now, after);
            // What the peer still sends is read and thrown away; its end, which may have been read already, is so again.
            self.readiness.readable |= self.readiness.read_closed;
        }
    }

    /// Whether something of it can go on without an edge.
    #[inline]
    fn goes_on(&self, settings: &Settings) -> bool {
        let writable = self.wants.writable && self.queue.len() <= settings.low_mark;
        let readable = !self.is_held(settings) && (self.readiness.readable || self.is_cut_short);
        writable || readable
    }

    /// Arms the timer for the earliest deadline.
    #[inline]
    pub(super) fn arm(&mut self, id: ConnectionId, now: u64, timers: &mut Timers) {
        let Some(earliest) = self.deadlines.earliest(now) else {
            // Nothing is awaited any more, and an idle host is not woken to find that out.
            return timers.let_sleep(id);
        };
        timers.wake(id, earliest);
    }
}
