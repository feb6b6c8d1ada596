//! The walk of a request: from bytes of a connection to the service, and on to the next request. RFC 9112.
//!
//! One exchange at a time: the next request is looked at when the answer before it has been given out, so pipelined
//! requests are answered in their order (section 9.3.2), and those of one batch with one write.

use std::collections::VecDeque;

use crate::{
    connection::{
        deadline::DeadlineName,
        exchange::{BodyEvent, Exchange},
    },
    net::{
        exchange_end::give_up,
        http_port::{HttpPort, Notes},
        io::Io,
        link::{Awaited, Http, Lent, Pending, Running, Stage},
        service::{Answer, Refused, Service},
        timers::SessionTimers,
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
            let is_running = self.running(id).map(|running| running.is_some());
            let step = match is_running {
                None => return at,
                Some(_) if self.must_wait(id) => Step::Busy,
                Some(false) if self.requests_left == 0 => Step::Busy,
                Some(false) => self.begin_exchange(service, id, rest),
                Some(true) => self.read_body(service, id, rest),
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

    /// Whether nothing of the input may be looked at now.
    fn must_wait(&mut self, id: ConnectionId) -> bool {
        let (gathered, high_mark) = (self.out.len(), self.settings.high_mark);
        let Some(link) = self.slots.get_mut(id) else {
            return true;
        };
        let is_full = link.is_choked || link.queue.len() + gathered >= high_mark;
        let is_busy = match &link.stage {
            Stage::Http(http) => {
                http.running.as_ref().is_some_and(|running| {
                    running.cut_off.is_some() || running.exchange.has_body() || link.wants.paused
                }) || http.pending == Pending::Awaited
            }
            _ => false,
        };
        is_full || is_busy
    }

    /// Reads the head of a request and has it answered.
    fn begin_exchange<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &[u8],
    ) -> Step {
        let head = match RequestHead::parse(input, &self.settings.limits) {
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
                self.start_exchange(id, exchange);
                self.request(service, id, &head)
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

    pub(super) fn start_exchange(&mut self, id: ConnectionId, mut exchange: Exchange) {
        let is_draining = self.is_draining;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if let Stage::Http(http) = &mut link.stage {
            if is_draining {
                exchange.close_after();
            }
            http.count = http.count.wrapping_add(1);
            http.has_begun = false;
            http.running = Some(Box::new(Running {
                exchange,
                kept: None,
                timers: SessionTimers::default(),
                gathered: Vec::new(),
                parts: VecDeque::new(),
                is_cold: false,
                warm_until: 0,
                cut_off: None,
                notes: Notes::default(),
                awaited: None,
            }));
        }
    }

    fn request<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        head: &RequestHead<'_>,
    ) -> Step {
        let answer = self.with_port(id, |_, port| service.request(head, port));
        if !matches!(answer, Some(Answer::Pending)) {
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
            Some(Answer::Exchange(exchange)) => {
                self.with_port(id, |kept, port| {
                    let kept = kept.insert(exchange);
                    if port.exchange.is_too_long() {
                        let why = "request body too large: see limits.request_body_bytes";
                        give_up(service, kept, port, &Refused::new(413, why));
                    }
                    if port.exchange.has_body() && !port.exchange.discards() {
                        service.body_end(kept, port, Default::default());
                    }
                });
                self.await_rest(id);
                Step::Took(head.len)
            }
        }
    }

    /// The service takes its time with a request: it is as if it had not been looked at, but has a deadline of its own.
    fn hold(&mut self, id: ConnectionId) {
        self.requests_left += 1;
        let after = self.settings.limits.verdict_ms;
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &mut link.stage else {
            return;
        };
        http.running = None;
        http.count = http.count.wrapping_sub(1);
        if std::mem::replace(&mut http.pending, Pending::Awaited) == Pending::No {
            link.deadlines.set(DeadlineName::Request, self.now, after);
        }
    }

    pub(super) fn not_pending(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id)
            && let Stage::Http(http) = &mut link.stage
        {
            http.pending = Pending::No;
        }
    }

    /// The service knows more of a request that it took its time with, and is asked for it again.
    pub fn ask_again(&mut self, id: ConnectionId, number: u32) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        if let Stage::Http(http) = &mut link.stage
            && http.pending == Pending::Awaited
            && http.count.wrapping_add(1) == number
        {
            http.pending = Pending::Known;
            self.list(id);
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
