//! A request that a protocol answers: its way from the connection to the hooks and back.

use std::sync::Arc;

use crate::{
    context::{
        exchange::{Body, Doing, Exchange, ExchangeCall, FileFate, Handled},
        handler::{Fault, ProtocolHandler},
        held_head::HeldHead,
        http_handler::{BodyPiece, ExchangeState, FileSent, HttpHandler},
        hub::Operation,
        instances::{Instance, report},
        judging::Granted,
        roster::SetId,
        routes::{Route, Routes},
        serving::{Context, Io},
    },
    net::{
        http_port::HttpPort,
        peer::Peer,
        service::{EndedBy, ExchangeEnd, Refused},
        token::ConnectionId,
    },
    wire::{body_length::BodyLength, fields::Fields, request_head::RequestHead},
};

impl Context {
    /// Hands a request to the protocol that is mounted at `mountpoint`. Its body may have `body_bytes`, if the mount says
    /// so, and what the protocol takes whole.
    pub(super) fn handle(
        &mut self,
        routes: &Routes,
        route: &Route,
        mountpoint: &Arc<str>,
        body_bytes: Option<u64>,
        (head, granted): (&RequestHead<'_>, &Granted),
        port: &mut HttpPort<'_>,
    ) -> Exchange {
        let at = match self.instances.enter(route.instance, &route.handler) {
            Ok(at) => at,
            Err(fault) => {
                report(&*route.handler, &fault);
                routes.site.fail(port);
                return Exchange::answered(&routes.site);
            }
        };
        let facts = route.handler.facts().http.unwrap_or_default();
        let allowed = port.limits().request_body_bytes;
        let most = body_bytes.unwrap_or(allowed);
        let most = facts.body_bytes.map_or(most, |own| own.min(most));
        port.limit_body(most);
        let handled = Handled {
            site: Arc::clone(&routes.site),
            state: None,
            instance: at,
            number: port.number(),
            is_encrypted: port.is_encrypted(),
            head: HeldHead::of(head),
            tags: Arc::clone(&granted.tags),
            mountpoint: Arc::clone(mountpoint),
            body: Body {
                length: match BodyLength::of(head) {
                    Ok(BodyLength::Exact(length)) => Some(length),
                    _ => None,
                },
                whole: facts.body_bytes.is_some().then_some(most),
                seen: 0,
                has_begun: false,
                owes_last: false,
                trailer: Fields::new(),
            },
            fields: Fields::new(),
            has_length: false,
            file: None,
            instead: None,
        };
        let mut handled = Box::new(handled);
        self.open_exchange(&mut handled, port);
        Exchange {
            doing: Doing::Handler(handled),
            site: Arc::clone(&routes.site),
            told: None,
        }
    }

    fn open_exchange(&self, handled: &mut Handled, port: &mut HttpPort<'_>) {
        let number = SetId(handled.number);
        self.hub.exchanges(self.thread).enter(port.id(), number);
        let Some((instance, http)) = self.handler_of(handled.instance) else {
            return handled.site.fail(port);
        };
        let (id, peer) = (port.id(), port.peer());
        let mut call = self.exchange_call(instance, handled, (id, peer), Some(port));
        match http.open(&mut call) {
            Ok(state) => handled.state = Some(state),
            Err(fault) => {
                // Nobody is to find an exchange that never was one.
                self.hub.exchanges(self.thread).leave(id);
                self.exchange_failed(instance, handled, port, &fault);
            }
        }
    }

    /// An instance on this thread and the part of it that answers HTTP.
    fn handler_of(&self, at: u32) -> Option<(&Instance<dyn ProtocolHandler>, &dyn HttpHandler)> {
        let instance = self.instances.get(at)?;
        Some((instance, instance.handler.http()?))
    }

    /// What a hook is given.
    fn exchange_call<'a, 'p>(
        &'a self,
        instance: &'a Instance<dyn ProtocolHandler>,
        handled: &'a mut Handled,
        (id, peer): (ConnectionId, Peer),
        port: Option<&'a mut HttpPort<'p>>,
    ) -> ExchangeCall<'a, 'p> {
        ExchangeCall {
            exchange: handled,
            id,
            peer,
            port,
            desk: &self.desk,
            protocol: instance.handler.facts(),
            thread: instance.thread,
            fields_bytes: self.answer_fields_bytes,
            fault: String::new(),
            ip: None,
            local: String::new(),
        }
    }

    /// Calls a hook of an exchange, and ends the exchange when the hook does not end well.
    pub(super) fn call_exchange(
        &self,
        handled: &mut Handled,
        port: &mut HttpPort<'_>,
        hook: impl FnOnce(
            &dyn HttpHandler,
            ExchangeState,
            &mut ExchangeCall<'_, '_>,
        ) -> Result<(), Fault>,
    ) {
        let Some(state) = handled.state else {
            return;
        };
        let Some((instance, http)) = self.handler_of(handled.instance) else {
            return;
        };
        if port.is_cut_off() {
            return;
        }
        let of = (port.id(), port.peer());
        let mut call = self.exchange_call(instance, handled, of, Some(port));
        if let Err(fault) = hook(http, state, &mut call) {
            self.exchange_failed(instance, handled, port, &fault);
        }
        if handled.body.owes_last && !port.is_paused() {
            self.give_last(handled, port);
        }
    }

    /// A hook did not end well: who has no answer yet reads 500, and who has a part of one can tell that it is no more.
    #[cold]
    fn exchange_failed(
        &self,
        instance: &Instance<dyn ProtocolHandler>,
        handled: &mut Handled,
        port: &mut HttpPort<'_>,
        fault: &Fault,
    ) {
        report(&*instance.handler, fault);
        let why = "the handler failed";
        if !port.is_answered() && !port.is_cut_off() {
            handled.note(EndedBy::Handler, why);
            handled.site.fail(port);
        } else if !port.is_over() {
            port.cut_off(EndedBy::Handler, why);
        }
        if fault.panicked
            && let Some(state) = handled.state.take()
        {
            // What panicked is only freed; nothing else of it is called.
            self.free_exchange(instance, handled, (port.id(), port.peer()), state);
        }
    }

    /// A piece of the body has come.
    pub(super) fn give_piece(&self, handled: &mut Handled, port: &mut HttpPort<'_>, piece: &[u8]) {
        let body = &mut handled.body;
        body.seen = body.seen.saturating_add(piece.len() as u64);
        let Some(most) = body.whole else {
            let first = !std::mem::replace(&mut body.has_begun, true);
            let piece = BodyPiece {
                first,
                last: false,
                bytes: piece,
            };
            return self.call_exchange(handled, port, |http, state, call| {
                http.body(state, call, piece)
            });
        };
        let expected = body.length.unwrap_or(most).saturating_sub(body.seen);
        if !port.gather(piece, expected) {
            let why = "out of memory for request bodies: see limits.buffered_total_bytes";
            self.refuse_handled(handled, port, &Refused::new(503, why));
        }
    }

    /// The body is complete.
    pub(super) fn end_body(&self, handled: &mut Handled, port: &mut HttpPort<'_>, trailer: Fields) {
        handled.body.trailer = trailer;
        handled.body.owes_last = true;
        // A request without a body may be paused before there is anything to read.
        if !port.is_paused() {
            self.give_last(handled, port);
        }
    }

    fn give_last(&self, handled: &mut Handled, port: &mut HttpPort<'_>) {
        handled.body.owes_last = false;
        let gathered = port.take_gathered();
        let piece = BodyPiece {
            first: !handled.body.has_begun,
            last: true,
            bytes: &gathered,
        };
        self.call_exchange(handled, port, |http, state, call| {
            http.body(state, call, piece)
        });
        port.give_back(gathered);
    }

    /// An exchange cannot go on: it is answered by the host, or cut off.
    pub(super) fn refuse_handled(
        &self,
        handled: &mut Handled,
        port: &mut HttpPort<'_>,
        why: &Refused,
    ) {
        let why = match handled.body.whole {
            Some(most) if why.status == 413 => {
                let text = format!("request body too large: {most} bytes are taken here");
                Refused::new(413, text)
            }
            _ => why.clone(),
        };
        if port.is_answered() {
            return port.cut_off(EndedBy::Host, why.why);
        }
        handled.site.refuse(port, why.status, why.why.clone());
        handled.note(EndedBy::Host, why.why);
    }

    /// Does with an exchange what was asked from outside.
    pub(super) fn operate_exchange(
        &self,
        (id, number): (ConnectionId, u32),
        operation: &Operation,
        io: &mut Io,
    ) {
        io.with_exchange(id, number, |exchange, port| {
            let Some(handled) = exchange.handled() else {
                return;
            };
            self.call_exchange(handled, port, |http, state, call| {
                match operation {
                    Operation::Notify(payload) => return http.notify(state, call, payload),
                    Operation::AskWritable => call.ask_writable(),
                    Operation::Pause => call.pause(),
                    Operation::Resume => call.resume(),
                    Operation::HangUp => call.abort(),
                    // Those of a WebSocket.
                    _ => {}
                }
                Ok(())
            });
        });
    }

    /// Ends the exchange of a connection if one of these instances answers it: with 503 where there is no answer yet.
    pub(super) fn drain_exchange(&self, id: ConnectionId, keys: &[u64], io: &mut Io) {
        let Some((number, exchange)) = io.exchange(id) else {
            return;
        };
        let Some(handled) = exchange.handled() else {
            return;
        };
        if !self.instances.is_among(handled.instance, keys) {
            return;
        }
        let why = Refused::new(503, "the plugin was replaced");
        io.with_exchange(id, number, |exchange, port| {
            if let Some(handled) = exchange.handled()
                && !port.is_over()
            {
                port.close_after();
                self.refuse_handled(handled, port, &why);
            }
        });
    }

    /// An exchange has ended: its handler is told, and its state is freed.
    pub(super) fn end_handled(
        &mut self,
        mut handled: Handled,
        of: (ConnectionId, Peer),
        end: &ExchangeEnd,
    ) {
        self.hub.exchanges(self.thread).leave(of.0);
        if let Some(state) = handled.state.take()
            && let Some((instance, http)) = self.handler_of(handled.instance)
        {
            let mut end = end.clone();
            if let Some(instead) = handled.instead.take() {
                (end.by, end.why) = instead;
            }
            let sent = handled.file.map(|fate| file_sent(fate, end.by));
            let mut call = self.exchange_call(instance, &mut handled, of, None);
            let mut told = match sent {
                Some(sent) => http.sent(state, &mut call, sent),
                None => Ok(()),
            };
            if !told.as_ref().is_err_and(|fault| fault.panicked) {
                told.unwrap_or_else(|fault| report(&*instance.handler, &fault));
                told = http.end(state, &mut call, &end);
            }
            told.unwrap_or_else(|fault| report(&*instance.handler, &fault));
            self.free_exchange(instance, &mut handled, of, state);
        }
        self.instances.leave(handled.instance);
    }

    /// Frees the state of an exchange.
    fn free_exchange(
        &self,
        instance: &Instance<dyn ProtocolHandler>,
        handled: &mut Handled,
        of: (ConnectionId, Peer),
        state: ExchangeState,
    ) {
        let Some(http) = instance.handler.http() else {
            return;
        };
        let mut call = self.exchange_call(instance, handled, of, None);
        http.destroy(state, &mut call)
            .unwrap_or_else(|fault| report(&*instance.handler, &fault));
    }
}

/// What became of a file, when its exchange has ended.
fn file_sent(fate: FileFate, by: EndedBy) -> FileSent {
    match fate {
        FileFate::Missing => FileSent::Missing,
        FileFate::Opened if by == EndedBy::Done => FileSent::Done,
        _ => FileSent::Failed,
    }
}

#[cfg(test)]
mod tests;
