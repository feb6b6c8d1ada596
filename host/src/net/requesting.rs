//! Plain requests that we send as a client: what is to be sent, the connection that carries one exchange after the other,
//! and what may be asked of one while it goes on. Its steps are in `request_steps.rs`.

use crate::{
    connection::{
        client_exchange::{ClientExchange, ExchangeError, PutError},
        request_error::{RequestCause, RequestError, RequestStage},
        websocket::ClosedBy,
        write_queue::{SharedBytes, WriteQueue},
    },
    net::{
        peer::Peer,
        port::{Sent, Wants},
        settings::Settings,
        token::ConnectionId,
    },
    wire::fields::Fields,
};

/// A request that is to be sent.
pub struct Requested {
    /// By which the service knows it.
    pub number: u64,
    /// The head of it, as it goes over the wire.
    pub head: Vec<u8>,
    /// The body, where it is there as a whole.
    pub body: Option<SharedBytes>,
    /// What the head has begun.
    pub exchange: ClientExchange,
    /// The longest silence, in milliseconds.
    pub answer_ms: u64,
}

/// A connection that carries plain requests, one after the other.
#[derive(Default)]
pub(crate) struct Requesting {
    /// None while the connection is kept for the next one.
    pub(super) running: Option<RunningRequest>,
}

/// A request that was sent, or is being sent.
pub(crate) struct RunningRequest {
    pub(super) number: u64,
    pub(super) exchange: ClientExchange,
    pub(super) answer_ms: u64,
    /// The connection has carried others before.
    pub(super) is_reused: bool,
    /// The head of its answer has come.
    pub(super) has_head: bool,
    /// Why it has failed.
    pub(super) error: Option<RequestError>,
}

/// How a request has ended.
#[derive(Debug)]
pub struct EndedRequest {
    /// By which the service knows it.
    pub number: u64,
    /// Its connection.
    pub id: ConnectionId,
    /// The trailer of the answer; or why there is none, or not all of it.
    pub how: Result<Fields, RequestError>,
    /// The connection had been kept, and was gone before a byte of an answer came: another one may answer.
    pub was_stale: bool,
    /// The connection is there for the next request: see [`Io::ask_on`](crate::net::io::Io::ask_on).
    pub is_kept: bool,
}

impl Requested {
    /// It was not sent, and why.
    pub(super) fn unsent(&self, id: ConnectionId, error: RequestError) -> EndedRequest {
        EndedRequest {
            number: self.number,
            id,
            how: Err(error),
            was_stale: false,
            is_kept: false,
        }
    }
}

impl RunningRequest {
    pub(super) fn new(requested: Requested, is_reused: bool) -> Self {
        Self {
            number: requested.number,
            exchange: requested.exchange,
            answer_ms: requested.answer_ms,
            is_reused,
            has_head: false,
            error: None,
        }
    }

    /// The first reason is the one that is told.
    pub(super) fn fail(&mut self, cause: impl Into<RequestCause>) {
        let stage = self.stage();
        self.error
            .get_or_insert_with(|| RequestError::new(stage, cause));
    }

    fn stage(&self) -> RequestStage {
        if self.has_head {
            RequestStage::Response
        } else {
            RequestStage::Request
        }
    }

    /// It has ended with its connection.
    pub(super) fn lost(mut self, id: ConnectionId) -> EndedRequest {
        self.fail(RequestCause::Transport(
            "the connection was lost".to_owned(),
        ));
        let is_gone = |error: &RequestError| {
            matches!(
                error.cause,
                RequestCause::Transport(_) | RequestCause::Exchange(ExchangeError::NoAnswer)
            )
        };
        let was_stale = self.is_reused
            && !self.exchange.is_touched()
            && self.error.as_ref().is_some_and(is_gone);
        EndedRequest {
            number: self.number,
            id,
            how: self.error.map_or_else(|| Ok(Fields::new()), Err),
            was_stale,
            is_kept: false,
        }
    }
}

impl Requesting {
    /// The transport was given up from outside, or has failed.
    pub(crate) fn give_up(&mut self, by: ClosedBy, reason: &str) {
        if let Some(running) = &mut self.running {
            let reason = reason.to_owned();
            running.fail(match by {
                ClosedBy::Peer => RequestCause::Transport(reason),
                _ => RequestCause::GivenUp(reason),
            });
        }
    }

    /// The request that goes on, if there is one, has ended with its connection.
    pub(crate) fn end(self, id: ConnectionId) -> Option<EndedRequest> {
        self.running.map(|running| running.lost(id))
    }
}

/// A request that goes on, for the time of one call.
pub struct RequestPort<'a> {
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    pub(super) running: &'a mut RunningRequest,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) queue: &'a WriteQueue,
    pub(super) wants: &'a mut Wants,
    pub(super) settings: &'a Settings,
}

impl RequestPort<'_> {
    /// Its connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Sends a piece of the body. [`Sent::Full`] when more waits already than the high mark says.
    ///
    /// # Errors
    ///
    /// [`PutError`]; nothing is sent.
    pub fn send(&mut self, piece: &[u8]) -> Result<Sent, PutError> {
        if self.queue.len() + self.out.len() >= self.settings.high_mark {
            return Ok(Sent::Full);
        }
        self.running.exchange.put(self.out, piece)?;
        Ok(Sent::Queued)
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// [`PutError`]; after [`PutError::Length`] the request fails.
    pub fn finish(&mut self, trailer: &Fields) -> Result<(), PutError> {
        let finished = self.running.exchange.finish(self.out, trailer);
        if finished == Err(PutError::Length) {
            self.running.fail(RequestCause::Body);
            self.wants.hang_up = true;
        }
        finished
    }

    /// Asks for one call when there is room to send.
    pub fn ask_writable(&mut self) {
        self.wants.writable = self.running.exchange.takes_body();
    }

    /// No content is given on until [`Self::resume`].
    pub fn pause(&mut self) {
        self.wants.paused = true;
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&mut self) {
        self.wants.paused = false;
    }

    /// Ends the request and its connection once the call has returned.
    pub fn give_up(&mut self, why: impl Into<RequestCause>) {
        self.running.fail(why);
        self.wants.hang_up = true;
    }
}
