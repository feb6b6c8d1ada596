//! What may be asked of a connection while it is being served.
//!
//! Sending appends framed bytes to what leaves at the end of the event, or writes at once what is long; everything else is
//! noted and done by the event loop after the hook has returned, so no hook runs inside another.

use crate::{
    connection::{
        buffers::BufferPool,
        deadline::{DeadlineName, Deadlines},
        outbound::{KeySource, Masking, SendError, decode_messages, encode_message},
        websocket::{ClosedBy, Framed, FramedAs, Sending, State},
        write_queue::WriteQueue,
    },
    net::{
        in_place::{IN_PLACE_BYTES, InPlace},
        link::Readiness,
        peer::Peer,
        settings::Settings,
        spare::Spare,
        timer_wheel::TimerKey,
        timers::{Due, Timers},
        tls::TlsFacts,
        token::ConnectionId,
        transport::Transport,
    },
    wire::{MessageKind, close_code::Failure},
};

/// What became of something that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it is queued.
    Queued,
    /// None of it is: a bound is reached.
    Full,
    /// None of it is: the closing handshake has begun.
    Closed,
    /// None of it is: it makes no sense here, such as a control frame above 125 bytes or a piece out of order.
    Refused,
}

impl From<Result<(), SendError>> for Sent {
    #[inline]
    fn from(result: Result<(), SendError>) -> Self {
        match result {
            Ok(()) => Self::Queued,
            Err(SendError::Closed) => Self::Closed,
            Err(_) => Self::Refused,
        }
    }
}

/// What was asked for and is done by the event loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// No messages until this is taken back.
    pub(crate) paused: bool,
    /// A call when there is room to send.
    pub(crate) writable: bool,
    /// The end of the transport, at once.
    pub(crate) hang_up: bool,
}

/// One open connection, for the time of one call.
pub struct Port<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) transport: &'a mut Transport,
    pub(crate) readiness: &'a mut Readiness,
    pub(crate) peer: Peer,
    pub(crate) now: u64,
    pub(crate) sending: &'a mut Sending,
    /// For the frames of a client; a server does not mask.
    pub(crate) keys: Option<&'a mut KeySource>,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) in_place: &'a mut InPlace,
    pub(crate) queue: &'a mut WriteQueue,
    /// So many bytes may be gathered before sends are refused: what of the high mark is not taken.
    pub(crate) room: usize,
    /// Bytes that were written at once. Until the event is over they count as if they waited, as all others do.
    pub(crate) left_at_once: usize,
    pub(crate) spare: &'a mut Spare,
    pub(crate) wants: &'a mut Wants,
    pub(crate) deadlines: &'a mut Deadlines,
    pub(crate) timers: &'a mut Timers,
    pub(crate) buffers: &'a mut BufferPool,
    pub(crate) settings: &'a Settings,
}

impl Port<'_> {
    /// The connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// What was agreed on with TLS, if it is spoken.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFacts<'_>> {
        self.transport.tls()
    }

    /// Sends a message or a piece of one.
    #[inline(always)]
    pub fn send(&mut self, kind: MessageKind, first: bool, last: bool, payload: &[u8]) -> Sent {
        if self.is_full(payload.len()) {
            return Sent::Full;
        }
        let sent = match self.keys {
            None if payload.len() < IN_PLACE_BYTES => self
                .sending
                .message(self.out, Masking::None, kind, first, last, payload)
                .into(),
            None => self.send_large(kind, first, last, payload),
            Some(_) => self.send_masked(kind, first, last, payload),
        };
        // Also when an extension vetoed it: the message is over.
        if self.spare.held_back_len() > 0 && self.is_open() && self.sending.is_between_messages() {
            self.let_go();
        }
        sent
    }

    // Apart, so that what a server sends stays as short as it can be.
    #[inline(never)]
    fn send_masked(&mut self, kind: MessageKind, first: bool, last: bool, payload: &[u8]) -> Sent {
        let mask = Masking::with(self.keys.as_deref_mut());
        self.sending
            .message(self.out, mask, kind, first, last, payload)
            .into()
    }

    /// A payload that is worth a look at where it lies.
    #[inline(never)]
    fn send_large(&mut self, kind: MessageKind, first: bool, last: bool, payload: &[u8]) -> Sent {
        let is_offered = self.in_place.takes(payload);
        if !self.sending.is_plain() || !is_offered && !self.leaves_at_once(payload) {
            let (sending, mask) = (&mut *self.sending, Masking::None);
            let sent = sending.message(self.out, mask, kind, first, last, payload);
            return sent.into();
        }
        let len = payload.len() as u64;
        let begun = self
            .sending
            .message_header(self.out, kind, first, last, len);
        match begun {
            Ok(()) if is_offered => self.in_place.push(self.out.len(), payload),
            Ok(()) => self.write_at_once(payload),
            Err(_) => {}
        }
        begun.into()
    }

    /// The message has ended: what was broadcast meanwhile comes next.
    #[cold]
    fn let_go(&mut self) {
        let held_back = &mut self.spare.make().held_back;
        let mut frames = Vec::with_capacity(held_back.len());
        for segment in held_back.iter() {
            frames.extend_from_slice(segment);
        }
        self.buffers.budget().give(held_back.len() as u64);
        held_back.clear();
        self.append(&frames);
    }

    /// Appends whole plain frames, through the extensions if there are any.
    fn append(&mut self, frames: &[u8]) {
        if self.sending.takes_framed() == Framed::Now {
            return self.out.extend_from_slice(frames);
        }
        for (kind, payload) in decode_messages(frames) {
            let mask = Masking::with(self.keys.as_deref_mut());
            let sent = self
                .sending
                .message(self.out, mask, kind, true, true, payload);
            // An extension that failed has failed the connection; one may also veto this message and not the next.
            if sent == Err(SendError::Closed) {
                return;
            }
        }
    }

    /// Sends a ping.
    pub fn ping(&mut self, payload: &[u8]) -> Sent {
        if self.is_full(payload.len()) {
            return Sent::Full;
        }
        let mask = Masking::with(self.keys.as_deref_mut());
        self.sending.ping(self.out, mask, payload).into()
    }

    /// Sends a pong.
    pub fn pong(&mut self, payload: &[u8]) -> Sent {
        if self.is_full(payload.len()) {
            return Sent::Full;
        }
        let mask = Masking::with(self.keys.as_deref_mut());
        self.sending.pong(self.out, mask, payload).into()
    }

    /// Sends a whole message of somebody else's, who knows nothing of a message that the session has begun.
    pub(crate) fn send_between(&mut self, kind: MessageKind, payload: &[u8]) -> Sent {
        if !self.is_open() || self.sending.is_between_messages() {
            return self.send(kind, true, true, payload);
        }
        let mut frame = Vec::new();
        encode_message(&mut frame, kind, payload);
        match self.hold_back(&frame) {
            true => Sent::Queued,
            false => Sent::Full,
        }
    }

    /// Appends whole plain frames that were encoded before, those of a broadcast; behind the message that was begun, if
    /// there is one. False when this connection is full or closing.
    pub(crate) fn send_frames(&mut self, frames: &[u8]) -> bool {
        if !self.is_open() {
            return false;
        }
        if !self.sending.is_between_messages() {
            return self.hold_back(frames);
        }
        let has_room = !self.is_full(frames.len());
        if has_room {
            self.append(frames);
        }
        has_room
    }

    /// The same for a connection with extensions: what they make of the frames is made once for all connections that
    /// would make the same, and kept in `made`, which is for these frames.
    pub(crate) fn send_frames_once(
        &mut self,
        frames: &[u8],
        made: &mut Vec<(FramedAs, Vec<u8>)>,
    ) -> bool {
        let framed_as = self.sending.framed_as();
        if self.sending.takes(framed_as) != Framed::Now || self.is_full(frames.len()) {
            return self.send_frames(frames);
        }
        if let Some((_, bytes)) = made.iter().find(|(key, _)| *key == framed_as) {
            self.out.extend_from_slice(bytes);
            return true;
        }
        let start = self.out.len();
        self.append(frames);
        if self.is_open() {
            made.push((framed_as, self.out[start..].to_vec()));
        }
        true
    }

    #[cold]
    fn hold_back(&mut self, frames: &[u8]) -> bool {
        let has_room = self.queued_bytes() < self.settings.high_mark
            && self.buffers.budget().take(frames.len() as u64);
        if has_room {
            self.spare.make().held_back.push_owned(frames);
        }
        has_room
    }

    /// Sends what extensions have held back.
    pub(crate) fn flush_extensions(&mut self) {
        let mask = Masking::with(self.keys.as_deref_mut());
        self.sending.flush(self.out, mask);
    }

    /// Begins the closing handshake. Code 0 sends an empty Close frame.
    pub fn close(&mut self, by: ClosedBy, code: u16, reason: &str) -> Sent {
        let code = (code != 0).then_some(code);
        let mask = Masking::with(self.keys.as_deref_mut());
        self.sending.close(self.out, mask, by, code, reason).into()
    }

    /// Fails the connection: the Close frame, and nothing more is read.
    pub fn fail(&mut self, code: u16, why: &'static str) {
        let mask = Masking::with(self.keys.as_deref_mut());
        self.sending.fail(self.out, mask, Failure { code, why });
    }

    /// Whether messages still go both ways.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sending.state() == State::Open
    }

    /// Ends the transport once the hook has returned.
    pub fn hang_up(&mut self) {
        self.sending
            .abandon(ClosedBy::Protocol, "the protocol hung up");
        self.wants.hang_up = true;
    }

    /// Bytes the socket has not taken.
    #[inline]
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.len() + self.left_at_once + self.gathered_bytes() + self.spare.held_back_len()
    }

    /// Bytes that leave at the end of the event.
    #[inline]
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.out.len() + self.in_place.bytes()
    }

    /// Above the high mark; or so many bytes more would have to wait, and all connections together keep enough.
    #[inline]
    fn is_full(&mut self, bytes: usize) -> bool {
        let more = (self.gathered_bytes() + bytes) as u64;
        self.has_no_room() || !self.queue.is_empty() && !self.buffers.budget().has_room(more)
    }

    /// What is held back does not count: it leaves when the message is ended, which must not be refused for it.
    #[inline]
    pub(crate) fn has_no_room(&self) -> bool {
        self.gathered_bytes() >= self.room
    }

    /// Asks for one call when there is room to send: in the next turn if there is room already.
    pub fn ask_writable(&mut self) {
        self.wants.writable = true;
    }

    /// No messages until [`Self::resume`].
    pub fn pause(&mut self) {
        self.wants.paused = true;
    }

    /// Messages again.
    pub fn resume(&mut self) {
        self.wants.paused = false;
    }

    /// Fails the connection with 1008 and `reason` after so many milliseconds; 0 takes it back.
    pub fn set_deadline(&mut self, after_ms: u64, reason: &str) {
        match after_ms {
            0 => {
                self.deadlines.clear(DeadlineName::Protocol);
                if let Some(things) = self.spare.things() {
                    things.deadline_reason = None;
                }
            }
            _ => {
                self.deadlines
                    .set(DeadlineName::Protocol, self.now, after_ms);
                self.spare.make().deadline_reason = Some(reason.into());
            }
        }
    }

    /// Sets a timer of the session, or sets it anew.
    pub fn set_timer(&mut self, id: u64, after_ms: u64) -> Sent {
        self.cancel_timer(id);
        if self.spare.timers_len() as u64 >= self.settings.limits.session_timers_count {
            return Sent::Full;
        }
        let due = Due::Session(self.id, id);
        let key = self.timers.insert(self.now.saturating_add(after_ms), due);
        self.spare.make().timers.add(id, key);
        Sent::Queued
    }

    /// Takes a timer back; false when it was not set.
    pub fn cancel_timer(&mut self, id: u64) -> bool {
        match self.forget_timer(id) {
            Some(key) => self.timers.cancel(key),
            None => false,
        }
    }

    /// A timer of the session has fired, or is taken back; none when it was not set.
    pub(crate) fn forget_timer(&mut self, id: u64) -> Option<TimerKey> {
        self.spare.things()?.timers.remove(id)
    }
}
