//! The walk of a request: from bytes of a connection to the service, and on to the next request. RFC 9112.
//!
//! One exchange at a time: the next request is looked at when the answer before it has been given out, so pipelined
//! requests are answered in their order (section 9.3.2), and those of one batch with one write.

use crate::{
    connection::{
        deadline::DeadlineName,
        exchange::{BodyEvent, Exchange},
    },
    net::{
        exchange_end::give_up,
        http_port::HttpPort,
        io::Io,
        link::{Http, Lent, Pending, Stage},
        running::{Awaited, Running},
        service::{Answer, Refused, Service},
        token::ConnectionId,
    },
    wire::{
        body_length::BodyLength,
        request_head::{HeadError, HeadParsed, RequestHead},
    },
};

/// What follows a step through the input.
enum Step {
    /// So many bytes were used up; another step follows.
    Took(usize),
    /// So many bytes were used up; the rest is the beginning of something.
    Need(usize),
    /// The rest has to wait until the exchange is over, or output has left.
    Busy,
    /// The connection speaks HTTP no longer; so many bytes were used up.
    Gone(usize),
}

/// What of the input may be looked at now.
enum Next {
    /// The head of a request.
    Head,
    /// The body of the one that goes on.
    Body,
    Nothing,
}

impl<T, E> Io<T, E> {
    /// Serves input as HTTP; gives how much of it is done with.
    pub(super) fn consume_http<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> usize {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let step = match self.next_part(id) {
                None => return at,
                Some(Next::Nothing) => Step::Busy,
                Some(Next::Head) if self.requests_left == 0 => Step::Busy,
                Some(Next::Head) if rest.is_empty() => Step::Need(0),
                Some(Next::Head) => self.begin_exchange(service, id, rest),
                Some(Next::Body) => self.read_body(service, id, rest),
            };
            self.end_if_over(service, id);
            let waits = match step {
                Step::Took(used) => {
                    at += used;
                    continue;
                }
                Step::Gone(used) => return at + used,
                Step::Need(used) => {
                    at += used;
                    false
                }
                // The end of a body that was read is still to be told.
                Step::Busy => at < input.len() || self.owes_end(id),
            };
            if let Some(link) = self.slots.get_mut(id)
                && matches!(link.stage, Stage::Http(_))
            {
                link.is_cut_short = waits;
            }
            return at;
        }
    }

    /// The exchange of a connection that speaks HTTP.
    pub(super) fn running(&mut self, id: ConnectionId) -> Option<Option<&mut Running<E>>> {
        match &mut self.slots.get_mut(id)?.stage {
            Stage::Http(http) => Some(http.running.as_deref_mut()),
            _ => None,
        }
    }

    /// Whether all of a body was read, and that was not told yet.
    fn owes_end(&mut self, id: ConnectionId) -> bool {
        let running = self.running(id).flatten();
        running.is_some_and(|running| running.exchange.owes_end())
    }

    /// What comes next on a connection that speaks HTTP.
    fn next_part(&mut self, id: ConnectionId) -> Option<Next> {
        let (gathered, high_mark) = (self.out.len(), self.settings.high_mark);
        let link = self.slots.get_mut(id)?;
        let Stage::Http(http) = &link.stage else {
            return None;
        };
        let is_full = link.is_choked || link.queue.len() + gathered >= high_mark;
        if is_full || http.pending == Pending::Awaited {
            return Some(Next::Nothing);
        }
        Some(match &http.running {
            None => Next::Head,
            Some(running) => {
                let is_busy = running.cut_off.is_some() || running.exchange.has_body();
                match is_busy || link.wants.paused {
                    true => Next::Nothing,
                    false => Next::Body,
                }
            }
        })
    }

    /// Reads the head of a request and has it answered.
    fn begin_exchange<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> Step {
        let room = std::mem::take(&mut self.field_room);
        let head = match RequestHead::parse_in(room, input, &self.settings.limits) {
            HeadParsed::Done(head) => head,
            HeadParsed::Partial => {
                self.await_head(id, !input.is_empty());
                return Step::Need(0);
            }
            HeadParsed::Wrong(error) => {
                self.tell_of_limit(id, &error);
                let why = Refused::new(error.status(), error.to_string());
                self.refuse_unread(service, id, &why);
                return Step::Gone(input.len());
            }
        };
        self.requests_left -= 1;
        match BodyLength::of(&head) {
            Ok(length) => {
                let exchange = Exchange::new(&head, length, &self.settings.limits);
                let known = self.start_exchange(id, exchange);
                let step = self.request(service, id, &head, known);
                self.field_room = head.into_room();
                step
            }
            Err(error) => {
                let why = Refused::new(error.status(), error.to_string());
                self.refuse_unread(service, id, &why);
                Step::Gone(input.len())
            }
        }
    }

    /// A request above a limit is the operator's business: the limit may be too low for honest clients.
    #[cold]
    fn tell_of_limit(&mut self, id: ConnectionId, error: &HeadError) {
        if let Some(link) = self.slots.get_mut(id)
            && matches!(error.status(), 414 | 431)
        {
            tracing::warn!(target: "hotsocket::net", peer = %link.peer.get(), %error, "request refused");
        }
    }

    /// A head is not complete: it has its time, from its first byte on.
    fn await_head(&mut self, id: ConnectionId, has_begun: bool) {
        let after = self.settings.limits.opening_handshake_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &mut link.stage else {
            return;
        };
        if has_begun && !http.has_begun {
            http.has_begun = true;
            // That of the first request began when the connection was accepted.
            if http.count > 0 {
                link.deadlines.set(DeadlineName::Request, self.now, after);
            }
        }
    }

    /// Begins an exchange; gives what the service knows of its request already.
    pub(super) fn start_exchange(&mut self, id: ConnectionId, mut exchange: Exchange) -> Pending {
        let is_draining = self.is_draining;
        let Some(link) = self.slots.get_mut(id) else {
            return Pending::No;
        };
        let Stage::Http(http) = &mut link.stage else {
            return Pending::No;
        };
        if is_draining {
            exchange.close_after();
        }
        http.count = http.count.wrapping_add(1);
        http.has_begun = false;
        http.running = Some(Running::boxed(exchange, self.spare_running.take()));
        http.pending
    }

    fn request<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        head: &RequestHead<'_>,
        known: Pending,
    ) -> Step {
        let mut is_over = false;
        let answer = self.with_port(id, |kept, port| match service.request(head, port) {
            Answer::Exchange(exchange) => {
                begun(service, kept.insert(exchange), port);
                is_over = port.exchange.is_over();
                Answer::Exchange(())
            }
            Answer::Upgrade(session, chain) => Answer::Upgrade(session, chain),
            Answer::Pending => Answer::Pending,
        });
        if known != Pending::No && !matches!(answer, Some(Answer::Pending)) {
            self.not_pending(id);
        }
        match answer {
            None => Step::Gone(head.len),
            Some(Answer::Upgrade(session, chain)) => {
                self.upgrade(service, id, session, chain);
                Step::Gone(head.len)
            }
            Some(Answer::Pending) => {
                self.hold(id);
                Step::Busy
            }
            Some(Answer::Exchange(())) => {
                // One that is over is ended at once, and waits for nothing but the next request.
                if !is_over {
                    self.await_rest(id);
                }
                Step::Took(head.len)
            }
        }
    }

    /// Sets the deadline for what comes next in an exchange, and has the client send its body if it waits for a word.
    pub(super) fn await_rest(&mut self, id: ConnectionId) {
        let limits = &self.settings.limits;
        let (body_ms, answer_ms) = (limits.request_body_idle_ms, limits.answer_ms);
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(Http {
            running: Some(running),
            is_half_closed: false,
            ..
        }) = &mut link.stage
        else {
            return;
        };
        let exchange = &mut running.exchange;
        if exchange.awaits_continue() && !link.wants.paused {
            exchange.go_on(&mut self.out);
        }
        let awaited = if !exchange.has_body() && !link.wants.paused {
            Awaited::Body
        } else if !exchange.is_answered() {
            Awaited::Answer
        } else {
            Awaited::Nothing
        };
        // What is awaited already is not given more time by what else is done.
        if running.awaited.replace(awaited) == Some(awaited) {
            return;
        }
        let deadlines = &mut link.deadlines;
        match awaited {
            Awaited::Body => deadlines.set(DeadlineName::Request, self.now, body_ms),
            Awaited::Answer => deadlines.set(DeadlineName::Request, self.now, answer_ms),
            Awaited::Nothing => deadlines.clear(DeadlineName::Request),
        }
    }

    /// Hands on what there is of a body.
    fn read_body<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> Step {
        let step = self.with_port(id, |kept, port| {
            let (used, event) = port.exchange.read(input);
            let step = match event {
                BodyEvent::Need => return Step::Need(used),
                BodyEvent::Wrong(_) => Step::Gone(input.len()),
                _ => Step::Took(used),
            };
            let Some(kept) = kept else {
                return step;
            };
            match event {
                BodyEvent::Wrong(error) => {
                    let why = Refused::new(error.status(), error.to_string());
                    give_up(service, kept, port, &why);
                }
                _ if port.exchange.discards() => {}
                BodyEvent::Piece(piece) => service.body(kept, port, piece),
                BodyEvent::End(trailer) => service.body_end(kept, port, trailer),
                BodyEvent::Need => {}
            }
            step
        });
        if !input.is_empty()
            && let Some(Some(running)) = self.running(id)
        {
            running.awaited = None;
        }
        self.await_rest(id);
        step.unwrap_or(Step::Gone(input.len()))
    }

    /// Calls something with the exchange that goes on.
    pub(super) fn with_port<R>(
        &mut self,
        id: ConnectionId,
        action: impl FnOnce(&mut Option<E>, &mut HttpPort<'_>) -> R,
    ) -> Option<R> {
        let link = self.slots.get_mut(id)?;
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
        let (kept, mut port) = link.http_port(lent)?;
        Some(action(kept, &mut port))
    }

    /// Does something with an exchange outside its own event, if it still goes on. What it sends leaves at once.
    pub fn with_exchange<R>(
        &mut self,
        id: ConnectionId,
        number: u32,
        action: impl FnOnce(&mut E, &mut HttpPort<'_>) -> R,
    ) -> Option<R> {
        let result = self.with_port(id, |kept, port| match kept {
            Some(kept) if port.number == number => Some(action(kept, port)),
            _ => None,
        })??;
        self.await_rest(id);
        self.flush(id);
        self.send_parts(id);
        self.touch(id);
        Some(result)
    }
}

/// What follows when the service has taken a request: a body that is too long is refused, and the end of none is told.
fn begun<S: Service>(service: &mut S, kept: &mut S::Exchange, port: &mut HttpPort<'_>) {
    if port.exchange.is_too_long() {
        let why = "request body too large: see limits.request_body_bytes";
        give_up(service, kept, port, &Refused::new(413, why));
    }
    if port.exchange.has_body() && !port.exchange.discards() {
        service.body_end(kept, port, Default::default());
    }
}
