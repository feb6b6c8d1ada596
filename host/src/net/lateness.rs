//! Deadlines and timers of a connection, when they have come.

use crate::{
    connection::{deadline::DeadlineName, opening::OpeningCause, websocket::ClosedBy},
    net::{
        io::Io,
        link::{Link, Pending, Stage},
        service::{Refused, Service},
        token::ConnectionId,
    },
    wire::close_code::POLICY,
};

impl<T, E> Io<T, E> {
    /// Some deadline of the connection may have come.
    pub(crate) fn serve_deadlines<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        while let Some(link) = self.slots.get_mut(id)
            && let Some(name) = link.deadlines.expired(self.now)
        {
            self.deadline(service, id, name);
        }
        self.settle(service, id);
        // Also when a deadline took the connection out.
        self.tell_ended(service);
    }

    pub(super) fn deadline<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        name: DeadlineName,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        match name {
            DeadlineName::Request => self.request_is_late(service, id),
            DeadlineName::IdlePing => self.ping(id),
            DeadlineName::Pong => {
                if self.is_heard(id) {
                    self.hang_up(id, ClosedBy::Host, "no answer to a ping");
                } else {
                    self.await_input(id);
                }
            }
            DeadlineName::StalledWrite => {
                self.hang_up(id, ClosedBy::Host, "the peer does not read");
            }
            DeadlineName::Close => self.hang_up(id, ClosedBy::Peer, "no answer to the Close frame"),
            DeadlineName::Protocol => {
                let reason = link
                    .spare
                    .deadline_reason()
                    .unwrap_or("deadline")
                    .to_owned();
                self.with(id, |_, port| port.close(ClosedBy::Host, POLICY, &reason));
            }
        }
    }

    /// What is awaited of a request has not come in time.
    pub(super) fn request_is_late<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let http = match &link.stage {
            Stage::Http(http) => http,
            Stage::Dialling(_) => return self.fail_dial(id, OpeningCause::Late),
            Stage::Requesting(_) => return self.server_is_silent(id),
            Stage::Open(_) | Stage::Lingering => return,
        };
        if link.awaits_announcement {
            let why = "no header of the PROXY protocol within limits.opening_handshake_ms";
            let peer = link.peer.get();
            self.tell_unannounced(peer, why);
            return self.abandon(id, ClosedBy::Peer, why);
        }
        if link.transport.is_handshaking() {
            let why = "no TLS handshake within limits.opening_handshake_ms";
            return self.abandon(id, ClosedBy::Peer, why);
        }
        let why = match &http.running {
            Some(running) if http.is_half_closed || running.is_streamed() => {
                if link.deadlines.is_set(DeadlineName::StalledWrite) {
                    // It still takes what it is given.
                    let after = self.settings.limits.half_closed_ms;
                    link.deadlines.set(DeadlineName::Request, self.now, after);
                    return;
                }
                let why = "the client has ended its side: see limits.half_closed_ms";
                return self.abandon(id, ClosedBy::Peer, why);
            }
            Some(running) if running.exchange.has_body() => {
                Refused::new(504, "no answer within limits.answer_ms")
            }
            Some(_) => Refused::new(
                408,
                "no more of the body within limits.request_body_idle_ms",
            ),
            None if http.pending != Pending::No => {
                Refused::new(503, "no verdict within limits.verdict_ms")
            }
            // It has not had its answers yet, or has asked for more already.
            None if http.count > 0 && (link.is_cut_short || !link.queue.is_empty()) => {
                return self.await_request(id);
            }
            // Nobody has asked for anything, so nobody is answered.
            None if http.count > 0 && !http.has_begun => return self.finish(id),
            None => Refused::new(
                408,
                "no complete request within limits.opening_handshake_ms",
            ),
        };
        self.refuse(service, id, &why);
    }

    /// The peer was silent. It cannot answer while nothing is read from it, but a transport that is gone shows.
    pub(super) fn ping(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id) {
            link.spare.shed();
        }
        self.with(id, |_, port| port.ping(b""));
        if !self.is_heard(id) {
            return self.await_input(id);
        }
        if let Some(link) = self.slots.get_mut(id) {
            let after = self.settings.limits.pong_ms;
            link.deadlines.set(DeadlineName::Pong, self.now, after);
        }
    }

    /// Whether all that the peer has sent is read by now.
    pub(super) fn is_heard(&mut self, id: ConnectionId) -> bool {
        let settings = &self.settings;
        let waits = |link: &mut Link<T, E>| link.is_held(settings) || link.readiness.readable;
        !self.slots.get_mut(id).is_some_and(waits)
    }

    /// The silence of the peer begins now.
    pub(super) fn await_input(&mut self, id: ConnectionId) {
        let after = self.settings.limits.idle_ping_ms;
        if let Some(link) = self.slots.get_mut(id)
            && after > 0
        {
            link.deadlines.set(DeadlineName::IdlePing, self.now, after);
        }
    }

    /// A timer of a session is due.
    pub(crate) fn serve_timer<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        timer: u64,
    ) {
        let is_session = self.with(id, |session, port| {
            port.forget_timer(timer);
            if port.is_open() {
                service.timer(session, port, timer);
            }
        });
        if is_session.is_some() {
            return;
        }
        self.with_port(id, |kept, port| {
            port.exchange_timers.remove(timer);
            if let Some(kept) = kept {
                service.http_timer(kept, port, timer);
            }
        });
        self.await_rest(id);
        self.flush(id);
        self.send_parts(id);
        self.touch(id);
    }
}
