//! The end of an exchange, for whatever reason, and what follows it on its connection.

use std::borrow::Cow;

use crate::{
    connection::{deadline::DeadlineName, exchange::Exchange},
    net::{
        http_port::HttpPort,
        io::{EndedExchange, Io},
        link::Stage,
        port::Wants,
        service::{EndedBy, ExchangeEnd, Refused, Service},
        token::ConnectionId,
    },
};

impl<T, E> Io<T, E> {
    /// The request could not be read, so nothing behind it can: it is answered, and the connection ends.
    pub(super) fn refuse_unread<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        why: &Refused,
    ) {
        self.not_pending(id);
        self.start_exchange(id, Exchange::unread());
        self.with_port(id, |kept, port| {
            let exchange = service.unreadable(why, port);
            *kept = Some(exchange);
        });
        self.end_if_over(service, id);
    }

    /// The exchange that goes on is given up.
    pub(super) fn refuse_running<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        why: &Refused,
    ) {
        self.with_port(id, |kept, port| {
            if let Some(kept) = kept {
                give_up(service, kept, port, why);
            }
        });
        self.end_if_over(service, id);
    }

    /// Ends the exchange that goes on when nothing of it is left to do.
    pub(super) fn end_if_over<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
    ) {
        let Some(Some(running)) = self.running(id) else {
            return;
        };
        // Sessions are told when this connection has been served: they may send, and what is gathered is not theirs.
        match running.cut_off.take() {
            Some((by, why)) => {
                self.end_exchange(id, by, why);
                if let Some(link) = self.slots.get_mut(id) {
                    link.wants.hang_up = true;
                }
                self.touch(id);
                self.tell_ended_exchanges(service);
            }
            None if running.exchange.is_over() && running.parts.is_empty() => {
                let ended = self.take_exchange(id, EndedBy::Done, Cow::Borrowed(""));
                self.await_request(id);
                // Those that ended before go first.
                self.tell_ended_exchanges(service);
                if let Some(ended) = ended {
                    service.exchange_ended(ended.exchange, ended.id, ended.peer, &ended.end);
                }
            }
            None => {}
        }
    }

    /// The next request may come, or the connection ends.
    pub(super) fn await_request(&mut self, id: ConnectionId) {
        let after = self.settings.limits.http_keep_alive_ms;
        if let Some(link) = self.slots.get_mut(id)
            && matches!(link.stage, Stage::Http(_))
        {
            link.deadlines.set(DeadlineName::Request, self.now, after);
        }
    }

    /// Takes the exchange that goes on out. It is told by `tell_ended`.
    pub(super) fn end_exchange(&mut self, id: ConnectionId, by: EndedBy, why: Cow<'static, str>) {
        if let Some(ended) = self.take_exchange(id, by, why) {
            self.ended_exchanges.push_back(ended);
        }
    }

    /// The same for whoever tells it at once.
    #[inline]
    fn take_exchange(
        &mut self,
        id: ConnectionId,
        by: EndedBy,
        why: Cow<'static, str>,
    ) -> Option<EndedExchange<E>> {
        let link = self.slots.get_mut(id)?;
        let Stage::Http(http) = &mut link.stage else {
            return None;
        };
        let mut running = http.running.take()?;
        running.timers.cancel_all(&mut self.timers);
        self.buffers.put(std::mem::take(&mut running.gathered));
        let hang_up = link.wants.hang_up;
        link.wants = Wants {
            hang_up,
            ..Wants::default()
        };
        let peer = link.client();
        let exchange = &running.exchange;
        let goes_on = by == EndedBy::Done && exchange.persists();
        let end = ExchangeEnd {
            by,
            status: exchange.status(),
            sent: exchange.sent(),
            why,
            rule: running.notes.rule.take(),
            mount: running.notes.mount.take(),
            peer_name: running.notes.peer_name.take(),
        };
        let kept = running.kept.take();
        self.spare_running = Some(running.emptied());
        if !goes_on {
            self.finish(id);
        }
        Some(EndedExchange {
            exchange: kept?,
            id,
            peer,
            end,
        })
    }
}

/// Has the service refuse an exchange, or cuts it off if its answer has begun.
pub(super) fn give_up<S: Service>(
    service: &mut S,
    kept: &mut S::Exchange,
    port: &mut HttpPort<'_>,
    why: &Refused,
) {
    let had_begun = port.is_answered();
    port.exchange.give_up_body();
    port.close_after();
    if port.exchange.discards() {
        // The answer does not hang on the body, and goes on.
        return;
    }
    service.refuse(kept, port, why);
    if had_begun || !port.is_answered() {
        port.cut_off(EndedBy::Host, why.why.clone());
    }
}
