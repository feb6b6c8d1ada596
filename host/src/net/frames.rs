//! The path of a message: the frames of an open WebSocket, one by one to its session.

use crate::{
    connection::{deadline::DeadlineName, inbound::Event, outbound::Masking, websocket::hear},
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
        let mut at = 0;
        link.is_cut_short = true;
        // Nothing is delivered while a send would be refused.
        let room = settings.high_mark.saturating_sub(link.queue.len());
        let (inbound, sending) = open.websocket.halves();
        let mut port = Port {
            id,
            transport: &link.transport,
            peer,
            now: *now,
            sending,
            keys: link.is_dialled.then_some(&mut **keys),
            out,
            queue: &link.queue,
            spare: &mut link.spare,
            wants: &mut link.wants,
            deadlines: &mut link.deadlines,
            timers,
            buffers,
            settings,
        };
        while !port.wants.paused && !port.wants.hang_up && port.out.len() < room {
            let (consumed, event) = hear(
                inbound,
                port.sending,
                &rules,
                port.buffers,
                port.out,
                Masking::with(port.keys.as_deref_mut()),
                &mut input[at..],
            );
            at += consumed;
            match hand_over(service, &mut open.session, &mut port, event) {
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
    let message = match event {
        Event::Message { kind, payload } => Delivered {
            kind,
            first: true,
            last: true,
            remaining: 0,
            payload,
        },
        Event::Piece {
            kind,
            first,
            last,
            remaining,
            payload,
        } => Delivered {
            kind,
            first,
            last,
            remaining,
            payload,
        },
        Event::Need => return Next::Need,
        Event::Close { .. } | Event::Failed(_) => return Next::End,
        Event::Ping(_) => return Next::Go,
        Event::Pong(payload) => {
            service.pong(session, port, payload);
            return Next::Go;
        }
    };
    service.delivered(session, port, message);
    Next::Go
}
