//! The one trait upward: what a service thread serves.

use std::{borrow::Cow, fs::File, ops::Range, sync::Arc};

use crate::{
    connection::{
        opening::{Opened, OpeningError},
        websocket::CloseReport,
    },
    net::{
        connection_setup::ConnectionSetup,
        frames::Frames,
        http_port::HttpPort,
        io::Io,
        peer::Peer,
        port::Port,
        requesting::{EndedRequest, RequestPort},
        resolve::Lookup,
        token::ConnectionId,
    },
    wire::{
        MessageKind, answer_head::AnswerHead, extension::ExtensionChain, fields::Fields,
        request_head::RequestHead,
    },
};

/// What becomes of a connection after the head of a request.
pub enum Answer<T, E> {
    /// It is a WebSocket from now on, with these extensions; the 101 answer has been written.
    Upgrade(T, ExtensionChain),
    /// It goes on as HTTP, whether the answer was given or not.
    Exchange(E),
    /// That is not known yet: nothing was answered, and nothing more is read until [`Io::ask_again`], after which the
    /// service is asked for the same request again, or until `limits.verdict_ms` have passed.
    Pending,
}

/// Why the host itself refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status code of the answer.
    pub status: u16,
    /// The rule that was broken, for the answer and the access log.
    pub why: Cow<'static, str>,
}

impl Refused {
    pub(crate) fn new(status: u16, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            why: why.into(),
        }
    }
}

/// Who ended an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Its answer is complete.
    Done,
    /// The peer left.
    Peer,
    /// The handler cut it off, or failed.
    Handler,
    /// The host: a limit, a deadline, a bad body, a drain.
    Host,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeEnd {
    /// Who ended it.
    pub by: EndedBy,
    /// The status of the answer; 0 when there was none.
    pub status: u16,
    /// Bytes of content that were given to the socket, or wait for it.
    pub sent: u64,
    /// Why it was cut off; empty when it is done.
    pub why: Cow<'static, str>,
    /// The rule that it was refused by.
    pub rule: Option<Cow<'static, str>>,
    /// The mount that took it.
    pub mount: Option<Arc<str>>,
    /// The name of the peer, where names are looked up and if it was known.
    pub peer_name: Option<Arc<str>>,
}

impl ExchangeEnd {
    /// Of a request that made the connection a WebSocket.
    pub(crate) const fn upgraded() -> Self {
        Self {
            by: EndedBy::Done,
            status: 101,
            sent: 0,
            why: Cow::Borrowed(""),
            rule: None,
            mount: None,
            peer_name: None,
        }
    }
}

/// A message or a piece of one.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// Text or binary.
    pub kind: MessageKind,
    /// The first piece of its message.
    pub first: bool,
    /// The last piece of its message.
    pub last: bool,
    /// Bytes of the same frame that are still to come.
    pub remaining: u64,
    /// The bytes.
    pub payload: &'a [u8],
}

/// What is served. All calls are made on the service thread, one at a time, never nested.
pub trait Service: Sized {
    /// What the service keeps of a WebSocket while it is open.
    type Session;

    /// What the service keeps of an exchange while it goes on.
    type Exchange;

    /// A connection was accepted, and nothing of it was read. False ends it without a byte.
    fn accepted(&mut self, setup: &mut ConnectionSetup<'_>) -> bool;

    /// TLS was agreed on with a connection. False ends it.
    fn secured(&mut self, setup: &mut ConnectionSetup<'_>) -> bool;

    /// A connection that was watched ([`ConnectionSetup::watch`]) is over: told exactly once, and nothing after it.
    fn gone(&mut self, id: ConnectionId, peer: Peer);

    /// The head of a request has come; the body, if there is one, follows by [`Self::body`].
    fn request(
        &mut self,
        head: &RequestHead<'_>,
        port: &mut HttpPort<'_>,
    ) -> Answer<Self::Session, Self::Exchange>;

    /// A request could not be read: to be answered with what stands in `why`.
    fn unreadable(&mut self, why: &Refused, port: &mut HttpPort<'_>) -> Self::Exchange;

    /// An exchange cannot go on. If it has no answer yet, it is to be answered with what stands in `why`; else it is
    /// cut off behind this call.
    fn refuse(&mut self, exchange: &mut Self::Exchange, port: &mut HttpPort<'_>, why: &Refused);

    /// A piece of the body of a request, decoded.
    fn body(&mut self, exchange: &mut Self::Exchange, port: &mut HttpPort<'_>, piece: &[u8]);

    /// The body is complete; told for requests without one too.
    fn body_end(&mut self, exchange: &mut Self::Exchange, port: &mut HttpPort<'_>, trailer: Fields);

    /// There is room to send, as was asked for.
    fn http_writable(&mut self, exchange: &mut Self::Exchange, port: &mut HttpPort<'_>);

    /// A timer of the exchange is due.
    fn http_timer(&mut self, exchange: &mut Self::Exchange, port: &mut HttpPort<'_>, id: u64);

    /// The exchange has ended; told exactly once, and nothing after it.
    fn exchange_ended(
        &mut self,
        exchange: Self::Exchange,
        id: ConnectionId,
        peer: Peer,
        end: &ExchangeEnd,
    );

    /// These bytes of a file are to be read from disk off this thread; then [`Io::warmed`] is to be called.
    fn warm(&mut self, id: ConnectionId, number: u32, file: &Arc<File>, range: Range<u64>);

    /// The addresses of a name are to be looked up off this thread; then [`Io::resolved`] is to be called. False when too
    /// many lookups wait. Only services that dial are asked.
    fn resolve(&mut self, id: ConnectionId, lookup: Lookup) -> bool {
        let _ = (id, lookup);
        false
    }

    /// A server has taken the opening handshake that [`Io::dial`] began: the last look at its answer. Gives the extensions
    /// that were agreed on. Only services that dial are asked.
    ///
    /// # Errors
    ///
    /// Why the answer will not do; `dial_failed` tells it.
    fn answered(
        &mut self,
        session: &mut Self::Session,
        id: ConnectionId,
        opened: &Opened,
    ) -> Result<ExtensionChain, Cow<'static, str>> {
        let _ = (session, id, opened);
        Ok(ExtensionChain::default())
    }

    /// What [`Io::dial`] began was not opened; told exactly once, in place of `opened`.
    fn dial_failed(
        &mut self,
        session: Self::Session,
        id: ConnectionId,
        error: Box<OpeningError>,
        io: &mut Io<Self::Session, Self::Exchange>,
    ) {
        let _ = (session, id, error, io);
    }

    /// The way of the request of this number leads to its server: it is being sent.
    fn request_reached(&mut self, number: u64) {
        let _ = number;
    }

    /// The head of the answer to that request.
    fn response_head(&mut self, number: u64, head: &AnswerHead<'_>, port: &mut RequestPort<'_>) {
        let _ = (number, head, port);
    }

    /// A piece of its content, decoded.
    fn response_content(&mut self, number: u64, piece: &[u8], port: &mut RequestPort<'_>) {
        let _ = (number, piece, port);
    }

    /// There is room for more of the body of that request, as was asked for; and first when it may begin.
    fn request_writable(&mut self, number: u64, port: &mut RequestPort<'_>) {
        let _ = (number, port);
    }

    /// What [`Io::ask`] or [`Io::ask_on`] began is over; told exactly once, and nothing after it.
    fn request_ended(&mut self, ended: EndedRequest, io: &mut Io<Self::Session, Self::Exchange>) {
        let _ = (ended, io);
    }

    /// The time has come that [`Io::call_after`] was told of.
    fn called(&mut self, number: u64, io: &mut Io<Self::Session, Self::Exchange>) {
        let _ = (number, io);
    }

    /// The opening handshake is done.
    fn opened(&mut self, session: &mut Self::Session, port: &mut Port<'_>);

    /// Something came: the service hears all of it, by the rules of this session. What it leaves comes again.
    fn hear(&mut self, session: &mut Self::Session, port: &mut Port<'_>, frames: &mut Frames<'_>);

    /// There is room to send, as was asked for.
    fn writable(&mut self, session: &mut Self::Session, port: &mut Port<'_>);

    /// A timer of the session is due.
    fn timer(&mut self, session: &mut Self::Session, port: &mut Port<'_>, id: u64);

    /// The session has ended; told exactly once, and nothing after it.
    fn closed(
        &mut self,
        session: Self::Session,
        id: ConnectionId,
        peer: Peer,
        report: &CloseReport,
        io: &mut Io<Self::Session, Self::Exchange>,
    );

    /// Whether a peer is believed when it says whose connections it passes on.
    fn trusts(&self, peer: Peer) -> bool;

    /// A turn begins: nothing of it has been served.
    fn turn_begins(&mut self);

    /// The thread was woken: commands may wait.
    fn woken(&mut self, io: &mut Io<Self::Session, Self::Exchange>);

    /// A connection has been served, and others of the turn wait: what its hooks have queued is not to pile up.
    fn connection_served(&mut self, io: &mut Io<Self::Session, Self::Exchange>);

    /// All events of the turn have been served: what hooks have queued is done now.
    fn events_served(&mut self, io: &mut Io<Self::Session, Self::Exchange>);

    /// Nothing follows in this turn. True when there is more to do at once.
    fn turn_ends(&mut self) -> bool;
}
