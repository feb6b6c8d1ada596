//! Who is told of the answer to a plain request, and what it may ask of the request meanwhile.

use std::fmt;

use crate::{
    connection::{
        client_exchange::PutError,
        request_error::{RequestCause, RequestError},
    },
    net::{peer::Peer, port::Sent, requesting::RequestPort},
    wire::{answer_head::HeldAnswer, fields::Fields, url::Url},
};

/// What is told of the answer to a request: all calls on the service thread that has it, one at a time, never nested. A
/// handler must not wait for anything. One that panics is called no more, and its request given up.
pub trait ResponseHandler: Send {
    /// The server redirects. True follows, within the limits; false takes the redirect for the answer.
    fn redirected(&mut self, to: &Url) -> bool {
        let _ = to;
        true
    }

    /// The head of the answer has come. Its content follows, unless this pauses it.
    fn head(&mut self, call: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        let _ = (call, head);
    }

    /// A piece of content, without its transfer coding.
    fn content(&mut self, call: &mut ResponseCall<'_, '_>, piece: &[u8]) {
        let _ = (call, piece);
    }

    /// There is room for more of the body. Told once when the body of a streamed request may begin, and then whenever
    /// [`ResponseCall::ask_writable`] was called.
    fn writable(&mut self, call: &mut ResponseCall<'_, '_>) {
        let _ = call;
    }

    /// The request is over: the answer is complete, with the trailer of its content; or this is why it is not. Told exactly
    /// once, and nothing after it. When the host ends before the request could begin that may be on another thread.
    fn ended(&mut self, end: Result<Fields, RequestError>);
}

/// A request while its handler is told something.
pub struct ResponseCall<'a, 'p> {
    pub(crate) number: u64,
    pub(crate) url: &'a Url,
    pub(crate) port: &'a mut RequestPort<'p>,
}

impl ResponseCall<'_, '_> {
    /// The number of the request.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whom it was sent to, as of the last redirect.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url
    }

    /// Who is at the other end: the server, or its proxy.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.port.peer()
    }

    /// Sends a piece of the body. [`Sent::Full`] when more waits already than `limits.high_mark_bytes`.
    ///
    /// # Errors
    ///
    /// [`PutError`]; nothing is sent.
    pub fn send(&mut self, piece: &[u8]) -> Result<Sent, PutError> {
        self.port.send(piece)
    }

    /// Ends the body. Without chunks the trailer is left out.
    ///
    /// # Errors
    ///
    /// [`PutError`]; after [`PutError::Length`] the request fails.
    pub fn finish(&mut self, trailer: &Fields) -> Result<(), PutError> {
        self.port.finish(trailer)
    }

    /// Asks for one [`ResponseHandler::writable`]: in the next turn when there is room already.
    pub fn ask_writable(&mut self) {
        self.port.ask_writable();
    }

    /// No content is told until [`Self::resume`], or the same by the number of the request; the transport pushes back.
    pub fn pause(&mut self) {
        self.port.pause();
    }

    /// Undoes [`Self::pause`].
    pub fn resume(&mut self) {
        self.port.resume();
    }

    /// Gives the request up, for this reason; the handler is told that it has ended.
    pub fn give_up(&mut self, why: impl Into<String>) {
        self.fail(RequestCause::GivenUp(why.into()));
    }

    pub(crate) fn fail(&mut self, cause: RequestCause) {
        self.port.give_up(cause);
    }
}

/// A handler that is told exactly once that its request has ended, whatever becomes of whoever keeps it.
pub(crate) struct Listener(Option<Box<dyn ResponseHandler>>);

impl Listener {
    pub(crate) fn new(handler: Box<dyn ResponseHandler>) -> Self {
        Self(Some(handler))
    }

    /// The handler, until the request has ended.
    pub(crate) fn get(&mut self) -> Option<&mut dyn ResponseHandler> {
        self.0.as_mut().map(|handler| &mut **handler as _)
    }

    /// The request has ended.
    pub(crate) fn end(mut self, end: Result<Fields, RequestError>) {
        self.tell(end);
    }

    /// The request was never taken; nobody is told.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }

    fn tell(&mut self, end: Result<Fields, RequestError>) {
        if let Some(mut handler) = self.0.take() {
            handler.ended(end);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tell(Err(RequestError::given_up("the host has ended")));
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.0.is_some()).finish()
    }
}
