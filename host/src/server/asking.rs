//! Plain requests of the program, through its host.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    connection::request_error::RequestError,
    context::{
        asking::Asking,
        http_request::HttpRequest,
        hub::{Hub, PostError, RequestOperation},
        response_handler::{Listener, ResponseCall, ResponseHandler},
    },
    server::handle::{ConnectError, HostHandle},
    wire::{answer_head::HeldAnswer, fields::Fields, url::Url},
};

impl HostHandle {
    /// Sends a request in plain HTTP, from any thread, on the next service thread in turn; `handler` is told of the answer
    /// there. Connections that servers keep open are used again. Gives the way to the request while it goes on.
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    /// use hotsocket::{Host, HttpRequest, WholeResponse};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let anywhere: std::net::SocketAddr = "127.0.0.1:0".parse()?;
    /// let host = Host::builder().listen(anywhere).build()?;
    /// let url = format!("http://{}/", host.local_addrs()[0]);
    /// let server = host.spawn()?;
    ///
    /// let (done, answer) = channel();
    /// let request = HttpRequest::get(&url)?.field("Accept", b"text/html")?.without_proxy();
    /// let handler = WholeResponse::gather(1 << 20, move |response| drop(done.send(response)));
    /// server.handle().request(request, handler)?;
    /// assert_eq!(answer.recv()??.status, 200);
    /// # server.shutdown(std::time::Duration::from_secs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError`]; the handler is dropped, and told nothing.
    pub fn request(
        &self,
        request: HttpRequest,
        handler: impl ResponseHandler + 'static,
    ) -> Result<RequestHandle, ConnectError> {
        let hub = self.hub().ok_or(ConnectError::NotRunning)?;
        if request.url().scheme().is_secure() {
            let made = hub.clients().tls(&request.to.trust);
            made.map_err(ConnectError::Tls)?;
        }
        let seat = hub.clients().seat().ok_or(ConnectError::TooMany)?;
        let number = hub.clients().number(hub.thread_for_client());
        let asked = hub.ask(Asking {
            number,
            whose: None,
            request,
            listener: Listener::new(Box::new(Guarded(Some(handler)))),
            seat,
        });
        match asked {
            Ok(()) => Ok(RequestHandle {
                number,
                hub: Arc::clone(hub),
            }),
            Err(asking) => {
                asking.listener.forget();
                Err(ConnectError::Full)
            }
        }
    }
}

/// A handler of the program whose panics end its request, and nothing else; none once it has panicked.
struct Guarded<H>(Option<H>);

impl<H: ResponseHandler> Guarded<H> {
    /// Tells it something. None when that panicked, or it has before.
    fn tell<R>(&mut self, tell: impl FnOnce(&mut H) -> R) -> Option<R> {
        let mut handler = self.0.take()?;
        // A handler that has panicked is dropped, and what it was told is its own.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let told = tell(&mut handler);
            (told, handler)
        }));
        match told {
            Ok((told, handler)) => {
                self.0 = Some(handler);
                Some(told)
            }
            Err(_) => {
                tracing::error!(target: "hotsocket::server", "the handler of a request of the program panicked: the request is given up");
                None
            }
        }
    }

    /// The same, where the request is given up.
    fn tell_of(
        &mut self,
        call: &mut ResponseCall<'_, '_>,
        tell: impl FnOnce(&mut H, &mut ResponseCall<'_, '_>),
    ) {
        if self.tell(|handler| tell(handler, call)).is_none() {
            call.give_up("its handler panicked");
        }
    }
}

impl<H: ResponseHandler> ResponseHandler for Guarded<H> {
    fn redirected(&mut self, to: &Url) -> bool {
        self.tell(|handler| handler.redirected(to)).unwrap_or(false)
    }

    fn head(&mut self, call: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        self.tell_of(call, |handler, call| handler.head(call, head));
    }

    fn content(&mut self, call: &mut ResponseCall<'_, '_>, piece: &[u8]) {
        self.tell_of(call, |handler, call| handler.content(call, piece));
    }

    fn writable(&mut self, call: &mut ResponseCall<'_, '_>) {
        self.tell_of(call, ResponseHandler::writable);
    }

    fn ended(&mut self, end: Result<Fields, RequestError>) {
        self.tell(|handler| handler.ended(end));
        // Its drop may panic too.
        let handler = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(handler)));
    }
}

/// The way to a request that goes on, from any thread. Cheap to clone, and harmless once the request is over.
#[derive(Clone, Debug)]
pub struct RequestHandle {
    number: u64,
    hub: Arc<Hub>,
}

/// Too much waits for a service thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits for a service thread: see limits.commands_count and limits.commands_bytes")]
pub struct Busy;

impl RequestHandle {
    /// The number of the request.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Sends a piece of the body, once [`ResponseHandler::writable`] was told. Whoever gives more than may wait, see
    /// `limits.high_mark_bytes`, ends the request: [`Self::ask_writable`] tells when there is room.
    ///
    /// # Errors
    ///
    /// [`Busy`]; the piece is not sent.
    pub fn send(&self, piece: impl Into<Arc<[u8]>>) -> Result<(), Busy> {
        self.post(RequestOperation::Send(piece.into()))
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// [`Busy`], as for all that follow.
    pub fn finish(&self) -> Result<(), Busy> {
        self.post(RequestOperation::Finish)
    }

    /// Has [`ResponseHandler::writable`] told once there is room for more of the body.
    ///
    /// # Errors
    ///
    /// [`Busy`].
    pub fn ask_writable(&self) -> Result<(), Busy> {
        self.post(RequestOperation::AskWritable)
    }

    /// No content is told until [`Self::resume`]; the transport pushes back on the server.
    ///
    /// # Errors
    ///
    /// [`Busy`].
    pub fn pause(&self) -> Result<(), Busy> {
        self.post(RequestOperation::Pause)
    }

    /// Undoes [`Self::pause`].
    ///
    /// # Errors
    ///
    /// [`Busy`].
    pub fn resume(&self) -> Result<(), Busy> {
        self.post(RequestOperation::Resume)
    }

    /// Gives the request up; its handler is told, unless it has ended already.
    pub fn give_up(&self) {
        self.hub.give_up(self.number);
    }

    fn post(&self, operation: RequestOperation) -> Result<(), Busy> {
        match self.hub.post_request(self.number, operation) {
            Err(PostError::Full) => Err(Busy),
            // A request that is over wants nothing.
            Ok(()) | Err(PostError::Stale) => Ok(()),
        }
    }
}
