//! The path of a message: the frames of an open WebSocket, one by one to its session.

use crate::{
    connection::{deadline::DeadlineName, inbound::Event, outbound::Masking},
    net::{
        io::Io,
        link::Stage,
        port::Port,
        service::{Delivered, Service},
        token::ConnectionId,
    },
};

impl<T, E> Io<T, E> {
    /// Serves the frames of an open WebSocket. Whoever is not open has no use for input.
    pub(super) fn consume_frames<S: Service<Session = T, Exchange = E>>(
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
            Stage::Http(_) | Stage::Dialling(_) | Stage::Requesting(_) => return 0,
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
