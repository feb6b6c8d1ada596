//! The one trait upward: what a service thread serves.

use std::net::SocketAddr;

use crate::{
    connection::{inbound::InboundRules, websocket::CloseReport},
    net::{io::Io, port::Port, token::ConnectionId},
    wire::{MessageKind, request_head::RequestHead},
};

/// What becomes of a connection after its request.
#[derive(Debug)]
pub enum Answer<T> {
    /// It is a WebSocket from now on; the 101 answer has been written.
    Upgrade(T),
    /// The answer has been written; the connection ends when it is sent.
    End,
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

    /// Answers a request: writes the answer and says what follows.
    fn request(
        &mut self,
        request: &RequestHead<'_>,
        peer: SocketAddr,
        answer: &mut Vec<u8>,
    ) -> Answer<Self::Session>;

    /// How messages of this session are to be delivered.
    fn rules(&self, session: &Self::Session) -> InboundRules;

    /// The opening handshake is done.
    fn opened(&mut self, session: &mut Self::Session, port: &mut Port<'_>);

    /// A message came, or a piece of one.
    fn delivered(
        &mut self,
        session: &mut Self::Session,
        port: &mut Port<'_>,
        message: Delivered<'_>,
    );

    /// A pong came.
    fn pong(&mut self, session: &mut Self::Session, port: &mut Port<'_>, payload: &[u8]);

    /// There is room to send, as was asked for.
    fn writable(&mut self, session: &mut Self::Session, port: &mut Port<'_>);

    /// A timer of the session is due.
    fn timer(&mut self, session: &mut Self::Session, port: &mut Port<'_>, id: u64);

    /// The session has ended; told exactly once, and nothing after it.
    fn closed(
        &mut self,
        session: Self::Session,
        id: ConnectionId,
        peer: SocketAddr,
        report: &CloseReport,
        io: &mut Io<Self::Session>,
    );

    /// A turn begins: nothing of it has been served.
    fn turn_begins(&mut self);

    /// The thread was woken: commands may wait.
    fn woken(&mut self, io: &mut Io<Self::Session>);

    /// A connection has been served, and others of the turn wait: what its hooks have queued is not to pile up.
    fn connection_served(&mut self, io: &mut Io<Self::Session>);

    /// All events of the turn have been served: what hooks have queued is done now.
    fn events_served(&mut self, io: &mut Io<Self::Session>);

    /// Nothing follows in this turn. True when there is more to do at once.
    fn turn_ends(&mut self) -> bool;
}
