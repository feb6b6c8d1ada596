//! What may be asked of an HTTP exchange while it is being served.
//!
//! As with a [`Port`](super::port::Port), an answer is appended to what leaves at the end of the event, and everything
//! else is noted and done by the event loop after the hook has returned.

use std::{borrow::Cow, collections::VecDeque, net::SocketAddr, sync::Arc};

use crate::{
    connection::{
        buffers::BufferPool,
        content::Part,
        exchange::{AnswerError, Exchange},
        write_queue::WriteQueue,
    },
    limits::Limits,
    net::{
        date_clock::DateClock,
        listening::ListenerNumber,
        peer::Peer,
        port::{Sent, Wants},
        seats::{Full, Seat, SeatBound, Seats},
        service::EndedBy,
        settings::Settings,
        spare::Spare,
        timers::{Due, SessionTimers, Timers},
        tls::TlsFacts,
        token::ConnectionId,
        transport::Transport,
    },
    wire::{
        fields::Fields,
        repeated_fields::{RepeatedFields, completed},
    },
};

/// What stands behind the head of an answer.
#[derive(Debug)]
pub enum Content<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// All of it, some of it in files.
    Parts(Vec<Part>),
    /// It follows by [`HttpPort::send`]: so many bytes, or as many as come.
    Streamed(Option<u64>),
}

/// What is noted of an exchange on its way.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Fields that the answer gets too; the last ones go before.
    pub(crate) fields: Vec<Arc<Fields>>,
    pub(crate) rule: Option<Cow<'static, str>>,
    pub(crate) mount: Option<Arc<str>>,
    pub(crate) peer_name: Option<Arc<str>>,
}

impl Notes {
    /// Forgets them, and keeps the room of the list.
    pub(crate) fn clear(&mut self) {
        let Self {
            fields,
            rule,
            mount,
            peer_name,
        } = self;
        fields.clear();
        (*rule, *mount, *peer_name) = (None, None, None);
    }
}

/// One exchange, for the time of one call.
pub struct HttpPort<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) number: u32,
    pub(crate) transport: &'a Transport,
    pub(crate) listener: ListenerNumber,
    pub(crate) peer: Peer,
    pub(crate) spare: &'a mut Spare,
    pub(crate) now: u64,
    pub(crate) exchange: &'a mut Exchange,
    pub(crate) gathered: &'a mut Vec<u8>,
    pub(crate) parts: &'a mut VecDeque<Part>,
    pub(crate) cut_off: &'a mut Option<(EndedBy, Cow<'static, str>)>,
    pub(crate) notes: &'a mut Notes,
    pub(crate) exchange_timers: &'a mut SessionTimers,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) queue: &'a WriteQueue,
    pub(crate) wants: &'a mut Wants,
    pub(crate) is_watched: &'a mut bool,
    pub(crate) timers: &'a mut Timers,
    pub(crate) buffers: &'a mut BufferPool,
    pub(crate) settings: &'a Settings,
    pub(crate) date: &'a mut DateClock,
    pub(crate) seat: &'a mut Seat,
    pub(crate) seats: &'a Seats,
}

impl<'a> HttpPort<'a> {
    /// What was agreed on with TLS, if it is spoken.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFacts<'a>> {
        self.transport.tls()
    }
}

impl HttpPort<'_> {
    /// The connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Which exchange of the connection this is, counted from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Who asks: the other end, or whom it asks for.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.spare.asks_for().unwrap_or(self.peer)
    }

    /// Who is at the other end of the transport.
    #[must_use]
    pub fn transport_peer(&self) -> Peer {
        self.peer
    }

    /// The other end asks for somebody else, or for itself, until the next request says otherwise. A session keeps it.
    pub(crate) fn asks_for(&mut self, client: Option<Peer>) {
        self.spare.set_asks_for(client);
    }

    /// Counts the connection for the vhost that it asks for, and no longer for the one before, unless that vhost has all
    /// that it may.
    pub(crate) fn enter(&mut self, bound: SeatBound) -> Result<(), Full> {
        self.seats.enter(self.seat, bound)
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// The listener that accepted the connection. No other one ever has its number.
    #[must_use]
    pub fn listener(&self) -> ListenerNumber {
        self.listener
    }

    /// Has the end of the connection told, by [`Service::gone`](super::service::Service::gone).
    pub fn watch(&mut self) {
        *self.is_watched = true;
    }

    /// The address that the connection was accepted on.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.transport.local_address()
    }

    /// Milliseconds of the service thread's clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Bounds the body of the request, in place of `limits.request_body_bytes`.
    pub fn limit_body(&mut self, bytes: u64) {
        self.exchange.limit_body(bytes);
    }

    /// Keeps a piece of the body until all of it is there; `expected` is how many bytes may come behind it. False when
    /// all connections together keep too much: then nothing is added.
    #[must_use]
    pub(crate) fn gather(&mut self, piece: &[u8], expected: u64) -> bool {
        let kept = self.buffers.append(self.gathered, piece, expected);
        kept.is_ok()
    }

    /// What was gathered of the body. To be given to [`Self::give_back`].
    pub(crate) fn take_gathered(&mut self) -> Vec<u8> {
        std::mem::take(self.gathered)
    }

    /// What was gathered is not needed any more.
    pub(crate) fn give_back(&mut self, gathered: Vec<u8>) {
        self.buffers.put(gathered);
    }

    /// The bounds that hold for this exchange.
    pub(crate) fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Has the answer get these fields too, those that it does not have.
    pub fn complete_with(&mut self, fields: &Arc<Fields>) {
        if !fields.is_empty() {
            self.notes.fields.push(Arc::clone(fields));
        }
    }

    /// Which rule the request was refused by, for whoever is told of the end.
    pub fn note_rule(&mut self, rule: impl Into<Cow<'static, str>>) {
        self.notes.rule.get_or_insert_with(|| rule.into());
    }

    /// Which mount took the request, for whoever is told of the end.
    pub fn note_mount(&mut self, mount: &Arc<str>) {
        self.notes.mount = Some(Arc::clone(mount));
    }

    /// The name of who asks, or that it is not known.
    pub(crate) fn note_peer_name(&mut self, name: Option<Arc<str>>) {
        self.notes.peer_name = name;
    }

    /// The name of who asks, if it is known.
    #[must_use]
    pub fn peer_name(&self) -> Option<&Arc<str>> {
        self.notes.peer_name.as_ref()
    }

    /// Begins the answer, and ends it unless its content is streamed.
    pub fn answer(&mut self, status: u16, fields: &Fields, content: Content<'_>) -> Sent {
        if self.notes.fields.is_empty() {
            return self.begin(status, fields, content);
        }
        let fields = completed(fields, &self.notes.fields);
        self.begin(status, &fields, content)
    }

    /// The same with status 200 and all of a content, whose fields are given again and again.
    pub(crate) fn answer_again(&mut self, fields: &mut RepeatedFields, content: &[u8]) -> Sent {
        let (fields, ending) = fields.with(&self.notes.fields);
        let head = [self.date.dated(self.now).ok(), fields.as_bytes(), ending];
        if self.cut_off.is_none() && self.exchange.put_ready(self.out, head, content) {
            self.resume_unwanted();
            return Sent::Queued;
        }
        self.begin(200, &fields, Content::Whole(content))
    }

    /// Begins an answer with these fields and no others.
    fn begin(&mut self, status: u16, fields: &Fields, content: Content<'_>) -> Sent {
        if self.is_over() {
            return Sent::Closed;
        }
        let sent = self.put_answer(status, fields, content);
        self.resume_unwanted();
        sent
    }

    fn put_answer(&mut self, status: u16, fields: &Fields, content: Content<'_>) -> Sent {
        let (length, whole) = match &content {
            Content::Whole(bytes) => (Some(bytes.len() as u64), true),
            Content::Parts(parts) => (Some(parts.iter().map(Part::len).sum()), true),
            Content::Streamed(length) => (*length, false),
        };
        let date = self.date.dated(self.now);
        let begun = self
            .exchange
            .begin(self.out, (status, fields), length, whole, date);
        if let Err(error) = begun {
            return sent(error);
        }
        match content {
            Content::Whole(bytes) => {
                // As long as was announced a moment ago.
                let _ = self.exchange.put(self.out, bytes);
                self.end()
            }
            Content::Parts(parts) if self.exchange.takes_content() => self.give_parts(parts),
            Content::Parts(_) => self.end(),
            Content::Streamed(_) => Sent::Queued,
        }
    }

    /// Gives a piece of streamed content out: all of it, or none when the connection is above its high mark.
    pub fn send(&mut self, piece: &[u8]) -> Sent {
        if self.is_over() || !self.parts.is_empty() {
            return Sent::Closed;
        }
        if self.is_full(piece.len()) {
            return Sent::Full;
        }
        match self.exchange.put(self.out, piece) {
            Ok(()) => Sent::Queued,
            Err(error) => sent(error),
        }
    }

    /// Ends streamed content. The exchange is cut off when less was given than announced.
    pub fn finish(&mut self, trailer: &Fields) -> Sent {
        if self.is_over() || !self.parts.is_empty() {
            return Sent::Closed;
        }
        let finished = self.exchange.finish(self.out, trailer);
        self.resume_unwanted();
        match finished {
            Ok(()) => Sent::Queued,
            Err(AnswerError::Wrong) if self.exchange.is_answered() => {
                self.cut_off(EndedBy::Handler, "less content than announced");
                Sent::Refused
            }
            Err(error) => sent(error),
        }
    }

    /// What is in memory leaves with the head; the rest waits for it.
    fn give_parts(&mut self, parts: Vec<Part>) -> Sent {
        for part in parts {
            match part {
                Part::Bytes(bytes) if self.parts.is_empty() => {
                    // As long as was announced a moment ago.
                    let _ = self.exchange.put(self.out, &bytes);
                }
                part if part.is_empty() => {}
                part => self.parts.push_back(part),
            }
        }
        if self.parts.is_empty() {
            return self.end();
        }
        Sent::Queued
    }

    fn end(&mut self) -> Sent {
        self.finish(&Fields::new())
    }

    /// Ends the transport once the hook has returned, so that the peer can tell that the answer is not complete.
    pub fn cut_off(&mut self, by: EndedBy, why: impl Into<Cow<'static, str>>) {
        self.cut_off.get_or_insert((by, why.into()));
    }

    /// The connection ends with this answer.
    pub fn close_after(&mut self) {
        self.exchange.close_after();
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.exchange.is_answered()
    }

    /// Whether nothing can be given out any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.exchange.is_complete() || self.cut_off.is_some()
    }

    /// Whether the transport is about to end without a whole answer.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.is_some()
    }

    /// Whether nothing of the body is to come now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.wants.paused
    }

    /// Appends bytes as they are: the answer to an opening handshake, which frames itself.
    pub(crate) fn switch(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Bytes the socket has not taken.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queue.len() + self.out.len()
    }

    fn is_full(&mut self, bytes: usize) -> bool {
        let more = (self.out.len() + bytes) as u64;
        self.queued_bytes() >= self.settings.high_mark
            || !self.queue.is_empty() && !self.buffers.budget().has_room(more)
    }

    /// Asks for one call when there is room to send: in the next turn if there is room already.
    pub fn ask_writable(&mut self) {
        self.wants.writable = true;
    }

    /// Nothing of the body until [`Self::resume`], or until nobody wants it.
    pub fn pause(&mut self) {
        self.wants.paused = true;
        self.resume_unwanted();
    }

    /// What is thrown away waits for nobody.
    fn resume_unwanted(&mut self) {
        self.wants.paused &= !self.exchange.discards();
    }

    /// The body again.
    pub fn resume(&mut self) {
        self.wants.paused = false;
    }

    /// Sets a timer of the exchange, or sets it anew.
    pub fn set_timer(&mut self, id: u64, after_ms: u64) -> Sent {
        self.cancel_timer(id);
        if self.exchange_timers.len() as u64 >= self.settings.limits.session_timers_count {
            return Sent::Full;
        }
        let due = Due::Session(self.id, id);
        let key = self.timers.insert(self.now.saturating_add(after_ms), due);
        self.exchange_timers.add(id, key);
        Sent::Queued
    }

    /// Takes a timer back; false when it was not set.
    pub fn cancel_timer(&mut self, id: u64) -> bool {
        match self.exchange_timers.remove(id) {
            Some(key) => self.timers.cancel(key),
            None => false,
        }
    }
}

fn sent(error: AnswerError) -> Sent {
    match error {
        AnswerError::Late => Sent::Closed,
        AnswerError::Wrong => Sent::Refused,
    }
}
