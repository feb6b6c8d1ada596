//! What an event of a socket leads to: what waited is written, what came is read, and what follows is settled.

use crate::{
    connection::{deadline::DeadlineName, websocket::WebSocket},
    net::{
        io::Io,
        link::{Lent, Open, Stage},
        running::Running,
        service::{Refused, Service},
        token::ConnectionId,
    },
    wire::extension::ExtensionChain,
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
            if self.running(id).flatten().is_some() {
                self.send_parts(id);
                self.end_if_over(service, id);
            }
        }
        if phase == Phase::Opening {
            self.pursue(service, id);
        }
        if self.is_writable(id) {
            self.call_writable(service, id);
        }
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
        self.write_queue(id);
        phase
    }

    #[inline(never)]
    fn write_queue(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
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
    }

    /// Whether somebody asked to be told that there is room, and there is.
    #[inline]
    fn is_writable(&mut self, id: ConnectionId) -> bool {
        let low_mark = self.settings.low_mark;
        let link = self.slots.get_mut(id);
        link.is_some_and(|link| link.wants.writable && link.queue.len() <= low_mark)
    }

    #[inline(never)]
    fn call_writable<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        // Those were called before.
        if let Stage::Requesting(_) = link.stage {
            return;
        }
        link.wants.writable = false;
        let lent = Lent {
            id,
            now: self.now,
            out: &mut self.out,
            in_place: &mut self.in_place,
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
        let opened = Stage::Open(Open { websocket, session });
        if let Stage::Http(http) = std::mem::replace(&mut link.stage, opened) {
            self.spare_running = http.running.map(Running::emptied);
        }
        let lent = Lent {
            id,
            now: self.now,
            out: &mut self.out,
            in_place: &mut self.in_place,
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
    /// What leads to a WebSocket, as its client; or plain requests of ours.
    Opening,
    /// Frames, or nothing any more.
    Frames,
}

impl Phase {
    #[inline]
    pub(super) fn at<T, E>(stage: &Stage<T, E>) -> Self {
        match stage {
            Stage::Http(_) => Self::Http,
            Stage::Dialling(_) | Stage::Requesting(_) => Self::Opening,
            Stage::Open(_) | Stage::Lingering => Self::Frames,
        }
    }
}
