//! The path of a message: the frames of an open WebSocket, one by one to its session.

use crate::{
    connection::{
        deadline::DeadlineName,
        inbound::{Event, InboundRules},
        outbound::Masking,
        receiving::Receiving,
        websocket::{hear, rest},
    },
    net::{
        in_place::IN_PLACE_BYTES,
        io::Io,
        link::Stage,
        port::Port,
        service::{Delivered, Service},
        token::ConnectionId,
    },
};

impl<T, E> Io<T, E> {
    /// Serves the frames of an open WebSocket. Whoever is not open has no use for input.
    #[inline]
    pub(super) fn consume_frames<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &mut [u8],
    ) -> usize {
        let mut at = 0;
        loop {
            let (consumed, is_over) = self.serve_frames(service, id, &mut input[at..]);
            at += consumed;
            self.flush_in_place(id, input);
            if is_over {
                return at;
            }
        }
    }

    /// The same up to a message that has to leave before more is read. Gives what is consumed, and whether that is all.
    fn serve_frames<S: Service<Session = T, Exchange = E>>(
        &mut self,
        service: &mut S,
        id: ConnectionId,
        input: &mut [u8],
    ) -> (usize, bool) {
        let Self {
            slots,
            timers,
            buffers,
            settings,
            now,
            out,
            in_place,
            keys,
            ..
        } = self;
        let Some(link) = slots.get_mut(id) else {
            return (input.len(), true);
        };
        let peer = link.client();
        let open = match &mut link.stage {
            Stage::Open(open) => open,
            Stage::Http(_) | Stage::Dialling(_) | Stage::Requesting(_) => return (0, true),
            Stage::Lingering => return (input.len(), true),
        };
        link.deadlines.clear(DeadlineName::Pong);
        if settings.limits.idle_ping_ms > 0 {
            let after = settings.limits.idle_ping_ms;
            link.deadlines.set(DeadlineName::IdlePing, *now, after);
        }
        let (inbound, sending) = open.websocket.halves();
        let length = input.len();
        let mut frames = Frames {
            inbound,
            input,
            at: 0,
            stopped: Stopped::Held,
        };
        let mut port = Port {
            id,
            transport: &mut link.transport,
            readiness: &mut link.readiness,
            peer,
            now: *now,
            sending,
            keys: link.is_dialled.then_some(&mut **keys),
            out,
            in_place,
            room: settings.high_mark.saturating_sub(link.queue.len()),
            queue: &mut link.queue,
            left_at_once: 0,
            spare: &mut link.spare,
            wants: &mut link.wants,
            deadlines: &mut link.deadlines,
            timers,
            buffers,
            settings,
        };
        service.hear(&mut open.session, &mut port, &mut frames);
        let Frames {
            inbound,
            at,
            stopped,
            ..
        } = frames;
        port.in_place.withdraw();
        link.is_cut_short = stopped != Stopped::Need;
        if stopped == Stopped::Need {
            rest(inbound, port.sending, port.buffers);
        }
        if stopped != Stopped::Over {
            return (at, stopped != Stopped::Leaves);
        }
        if link.queue.is_empty() && !link.is_dialled {
            match in_place.is_empty() {
                true => link.write_last(out),
                false => link.transport.note_last(),
            }
        }
        (length, true)
    }
}

/// What has come for an open WebSocket, to be heard one by one.
pub struct Frames<'a> {
    inbound: &'a mut Receiving,
    input: &'a mut [u8],
    /// How much of the input is done with.
    at: usize,
    stopped: Stopped,
}

/// Why nothing more is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// The rest has to wait.
    Held,
    /// More input is needed.
    Need,
    /// What was sent has to be written first.
    Leaves,
    /// The peer has closed, or was failed: the rest means nothing.
    Over,
}

/// One of them. Control frames were answered before.
#[derive(Debug)]
pub enum Heard<'a> {
    /// A message, or a piece of one.
    Message(Delivered<'a>),
    /// A pong.
    Pong(&'a [u8]),
    /// Something that is done with.
    Nothing,
}

impl Frames<'_> {
    /// The next one; none when there is none, or when it has to wait.
    #[inline]
    pub fn next(&mut self, rules: &InboundRules, port: &mut Port<'_>) -> Option<Heard<'_>> {
        if port.in_place.is_offered() && self.must_leave(port) {
            self.stopped = Stopped::Leaves;
            return None;
        }
        // Nothing is delivered while a send would be refused.
        if port.wants.paused || port.wants.hang_up || port.has_no_room() {
            return None;
        }
        let (consumed, event) = hear(
            self.inbound,
            port.sending,
            rules,
            port.buffers,
            port.out,
            Masking::with(port.keys.as_deref_mut()),
            &mut self.input[self.at..],
        );
        self.at += consumed;
        // What is sent of a large one may leave from where it lies.
        if let Event::Message { payload, .. } | Event::Piece { payload, .. } = &event
            && payload.len() >= IN_PLACE_BYTES
        {
            port.in_place.offer(payload);
        }
        match event {
            Event::Message { kind, payload } => Some(Heard::Message(Delivered {
                kind,
                first: true,
                last: true,
                remaining: 0,
                payload,
            })),
            Event::Piece {
                kind,
                first,
                last,
                remaining,
                payload,
            } => Some(Heard::Message(Delivered {
                kind,
                first,
                last,
                remaining,
                payload,
            })),
            Event::Pong(payload) => Some(Heard::Pong(payload)),
            Event::Ping(_) => Some(Heard::Nothing),
            Event::Need => {
                self.stopped = Stopped::Need;
                None
            }
            Event::Close { .. } | Event::Failed(_) => {
                self.stopped = Stopped::Over;
                None
            }
        }
    }

    /// A large message was delivered. Whether something of it is to be written before what it lies in is used for the
    /// next one.
    #[cold]
    fn must_leave(&self, port: &mut Port<'_>) -> bool {
        port.in_place.withdraw();
        !port.in_place.is_empty() && self.inbound.hands_held()
    }

    /// The session was failed: the rest means nothing.
    pub fn give_up(&mut self) {
        self.stopped = Stopped::Over;
    }
}
