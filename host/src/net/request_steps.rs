//! The steps of plain requests that we send: on their way, on a connection that was kept, their answers, their ends. What
//! serving calls here is apart (`cold`), as the steps of what becomes a WebSocket are.

use crate::{
    connection::{
        client_exchange::AnswerEvent, deadline::DeadlineName, request_error::RequestCause,
        websocket::ClosedBy, write_queue::SharedBytes,
    },
    net::{
        dial::{Dial, DialRefused},
        dialling::Wanted,
        io::{Ended, Io},
        link::{Link, Stage},
        port::Wants,
        requesting::{EndedRequest, RequestPort, Requested, RunningRequest},
        service::Service,
        settings::Settings,
        token::ConnectionId,
    },
    wire::fields::Fields,
};

/// A body up to this leaves together with its head.
const COPIED_BYTES: usize = 16 << 10;

/// What follows an event.
enum Next {
    Go,
    Need,
    End,
}

impl<T, E> Io<T, E> {
    /// Sends a request over a connection of its own, which is begun in the next turn. The service is told by
    /// `request_reached`, by what there is of an answer, and by `request_ended`, exactly once.
    ///
    /// # Errors
    ///
    /// Nothing was begun; the request comes back.
    pub fn ask(
        &mut self,
        dial: Box<Dial>,
        requested: Box<Requested>,
    ) -> Result<ConnectionId, (DialRefused, Box<Requested>)> {
        match self.reserve(*dial, true) {
            Ok((id, way)) => {
                self.embark(id, way, Wanted::Answer(requested));
                Ok(id)
            }
            Err(refused) => Err((refused, requested)),
        }
    }

    /// Sends a request over a connection that was kept.
    ///
    /// # Errors
    ///
    /// The request, when the connection is gone or carries another one.
    pub fn ask_on(
        &mut self,
        id: ConnectionId,
        requested: Box<Requested>,
    ) -> Result<(), Box<Requested>> {
        if !self.is_kept(id) {
            return Err(requested);
        }
        self.send_request(id, *requested, true);
        Ok(())
    }

    /// Whether a connection is there for the next request.
    #[must_use]
    pub fn is_kept(&mut self, id: ConnectionId) -> bool {
        self.slots.get_mut(id).is_some_and(|link| {
            let is_idle = matches!(&link.stage, Stage::Requesting(kept) if kept.running.is_none());
            // What is readable is the end of the connection, or nothing that was asked for.
            is_idle && !link.wants.hang_up && !link.readiness.read_closed
        })
    }

    /// Does something with a request that goes on, outside its own event. What it sends leaves at once.
    pub fn with_request<R>(
        &mut self,
        id: ConnectionId,
        number: u64,
        action: impl FnOnce(&mut RequestPort<'_>) -> R,
    ) -> Option<R> {
        let link = self.slots.get_mut(id)?;
        let mut port = link.request_port(id, &mut self.out, &self.settings)?;
        if port.running.number != number {
            return None;
        }
        let result = action(&mut port);
        self.flush(id);
        self.await_answer(id);
        self.touch(id);
        Some(result)
    }

    /// The way of a request leads to its server.
    pub(super) fn ready(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let dialling = match std::mem::replace(&mut link.stage, Stage::Lingering) {
            Stage::Dialling(dialling) => *dialling,
            stage => {
                link.stage = stage;
                return;
            }
        };
        if let Wanted::Answer(requested) = dialling.wanted {
            link.stage = Stage::Requesting(Box::default());
            self.ended.push(Ended::Reached(requested.number));
            self.send_request(id, *requested, false);
        }
    }

    fn send_request(&mut self, id: ConnectionId, requested: Requested, is_reused: bool) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        link.wants = Wants {
            writable: requested.exchange.takes_body(),
            ..Wants::default()
        };
        self.out.extend_from_slice(&requested.head);
        let mut body = requested.body.clone();
        // One write and one packet are worth a copy.
        if let Some(short) = body.take_if(|body| (**body).as_ref().len() <= COPIED_BYTES) {
            self.out.extend_from_slice((*short).as_ref());
        }
        if let Stage::Requesting(requesting) = &mut link.stage {
            requesting.running = Some(RunningRequest::new(requested, is_reused));
        }
        self.flush(id);
        if let Some(body) = body {
            self.queue_body(id, body);
        }
        self.await_answer(id);
        self.list(id);
        self.touch(id);
    }

    /// Has a body that is there as a whole follow what waits; it leaves when the connection is served.
    fn queue_body(&mut self, id: ConnectionId, body: SharedBytes) {
        let length = (*body).as_ref().len();
        if !self.buffers.budget().take(length as u64) {
            return self.abandon(id, ClosedBy::Host, "limits.buffered_total_bytes is reached");
        }
        if let Some(link) = self.slots.get_mut(id) {
            let waited = !link.queue.is_empty();
            link.queue.push_shared(body, 0..length);
            self.watch_stall(id, waited);
        }
    }

    /// The silence of the server begins now. While nothing is read from it there is none.
    fn await_answer(&mut self, id: ConnectionId) {
        let now = self.now;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Requesting(requesting) = &link.stage else {
            return;
        };
        match &requesting.running {
            Some(_) if link.wants.paused => link.deadlines.clear(DeadlineName::Request),
            Some(running) => {
                let after = running.answer_ms;
                link.deadlines.set(DeadlineName::Request, now, after);
            }
            None => {}
        }
    }

    /// Calls for more of a body, if there is room for it.
    #[cold]
    pub(super) fn call_for_body<S: Service<Session = T, Exchange = E>>(
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
        if let Some(mut port) = link.request_port(id, &mut self.out, &self.settings) {
            service.request_writable(port.running.number, &mut port);
        }
        self.flush(id);
        self.await_answer(id);
    }

    /// Reads on in an answer; gives how much of the input is done with.
    #[cold]
    pub(super) fn consume_response<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> usize {
        let mut at = 0;
        loop {
            let Some(link) = self.slots.get_mut(id) else {
                return input.len();
            };
            if link.wants.hang_up {
                return input.len();
            }
            link.is_cut_short = link.wants.paused;
            if link.wants.paused {
                return at;
            }
            match self.read_response(service, id, &input[at..]) {
                (used, Next::Go) => at += used,
                (used, Next::Need) => {
                    self.await_answer(id);
                    return at + used;
                }
                (_, Next::End) => return input.len(),
            }
        }
    }

    fn read_response<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> (usize, Next) {
        let port = self
            .slots
            .get_mut(id)
            .and_then(|link| link.request_port(id, &mut self.out, &self.settings));
        let Some(mut port) = port else {
            // Nobody has asked for anything, so it is no answer.
            if !input.is_empty() {
                self.abandon(id, ClosedBy::Peer, "bytes that nobody has asked for");
            }
            return (input.len(), Next::End);
        };
        let (used, event) = port.running.exchange.read(input);
        let number = port.running.number;
        match event {
            AnswerEvent::Need => return (used, Next::Need),
            AnswerEvent::Interim(_) => {}
            AnswerEvent::Head(head) => {
                port.running.has_head = true;
                service.response_head(number, &head, &mut port);
            }
            AnswerEvent::Piece(piece) => service.response_content(number, piece, &mut port),
            AnswerEvent::End(trailer) => {
                self.answer_is_complete(id, trailer, input.len() == used);
                return (used, Next::End);
            }
            AnswerEvent::Failed(error) => {
                port.give_up(error);
                self.touch(id);
                return (used, Next::End);
            }
        }
        self.flush(id);
        (used, Next::Go)
    }

    /// An answer has come to its end: the connection is kept for the next request, or not. `is_all` says that nothing came
    /// behind it.
    fn answer_is_complete(&mut self, id: ConnectionId, trailer: Fields, is_all: bool) {
        let idle_ms = self.settings.limits.client_idle_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Requesting(requesting) = &mut link.stage else {
            return;
        };
        let Some(running) = requesting.running.take() else {
            return;
        };
        let exchange = &running.exchange;
        let is_kept = exchange.is_over()
            && exchange.persists()
            && is_all
            && link.queue.is_empty()
            && !link.readiness.read_closed
            && !self.is_draining
            && idle_ms > 0;
        link.wants = Wants {
            hang_up: !is_kept,
            ..Wants::default()
        };
        link.deadlines.clear(DeadlineName::StalledWrite);
        link.deadlines.set(DeadlineName::Request, self.now, idle_ms);
        self.ended.push(Ended::Request(EndedRequest {
            number: running.number,
            id,
            how: running.error.map_or(Ok(trailer), Err),
            was_stale: false,
            is_kept,
        }));
        self.touch(id);
    }

    /// The server has ended its side.
    pub(super) fn server_left(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let is_clean = link.transport.is_ended_cleanly();
        let Stage::Requesting(requesting) = &mut link.stage else {
            return;
        };
        let ended = requesting
            .running
            .as_mut()
            .map(|running| running.exchange.ended(is_clean));
        match ended {
            Some(AnswerEvent::End(trailer)) => self.answer_is_complete(id, trailer, true),
            Some(AnswerEvent::Failed(error)) => self.fail_request(id, error),
            _ => self.abandon(id, ClosedBy::Peer, "the server closed the connection"),
        }
    }

    /// Nothing has moved for as long as it may.
    pub(super) fn server_is_silent(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        // What still moves has a deadline of its own.
        if link.deadlines.is_set(DeadlineName::StalledWrite) {
            return self.await_answer(id);
        }
        self.fail_request(id, RequestCause::Late);
    }

    fn fail_request(&mut self, id: ConnectionId, cause: impl Into<RequestCause>) {
        if let Some(link) = self.slots.get_mut(id) {
            if let Stage::Requesting(requesting) = &mut link.stage
                && let Some(running) = &mut requesting.running
            {
                running.fail(cause);
            }
            link.wants.hang_up = true;
        }
        self.touch(id);
    }

    /// Ends the connections that carry requests, or are kept for them.
    pub(super) fn give_up_requests(&mut self) {
        for id in self.ids() {
            let link = self.slots.get_mut(id);
            if link.is_some_and(|link| matches!(link.stage, Stage::Requesting(_))) {
                self.hang_up(id, ClosedBy::Drain, "the host is going away");
            }
        }
    }
}

impl<T, E> Link<T, E> {
    /// The request that goes on, and what may be asked of it.
    pub(super) fn request_port<'a>(
        &'a mut self,
        id: ConnectionId,
        out: &'a mut Vec<u8>,
        settings: &'a Settings,
    ) -> Option<RequestPort<'a>> {
        let Stage::Requesting(requesting) = &mut self.stage else {
            return None;
        };
        Some(RequestPort {
            id,
            peer: self.peer.get(),
            running: requesting.running.as_mut()?,
            out,
            queue: &self.queue,
            wants: &mut self.wants,
            settings,
        })
    }
}
