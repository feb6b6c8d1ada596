//! What an author implements to answer HTTP: [`HttpHandler`] per exchange, and what exchanges share in an
//! [`HttpInstance`] of their own or, by [`ServesHttp`], in that of a protocol.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::{Exchange, Host, Instance, NoOptions, PluginError, TimerId};

/// Answers HTTP: one value per exchange, which is a request and its answer.
///
/// # Order
///
/// [`on_request`](Self::on_request) comes when the head of the request is there, then [`on_body`](Self::on_body) for
/// each piece of its content, and at last [`on_end`](Self::on_end); the others come in between, when they were asked
/// for. The answer may be given in any of them: at once by [`Exchange::respond`], piece by piece by
/// [`Exchange::start`], or as a file by [`Exchange::respond_file`]. The exchange ends when the answer has left and the
/// body is read or given up, or when the peer leaves.
///
/// # Threads
///
/// All hooks of an exchange run on the service thread that owns its connection, never two at once and never one inside
/// another. Many connections share a service thread, so a hook must not block; long work goes to a thread of the
/// plugin's own, which notifies the exchange through an [`ExchangeHandle`](crate::ExchangeHandle).
///
/// # Failure
///
/// A hook that panics, or that leaves a [`Response`](crate::Response) behind which cannot be sent, ends its exchange and
/// no other: the host logs why, and answers with 500. If the answer has begun it is cut off, so that the peer can tell.
/// After a panic no further hook is called, `on_end` neither, and the value is dropped. A failure in `on_sent`, `on_end`
/// or `drop` is only logged.
///
/// # Reload
///
/// When a newer version of the file is installed, exchanges that are under way stay with the code and the values they
/// were opened with. The next request of the same connection gets the new version.
#[expect(
    unused_variables,
    reason = "the names of what a hook gets are its documentation"
)]
pub trait HttpHandler: Send + Sized + 'static {
    /// The name that a mount of the config names; a handler that no mount names answers nothing. A token, as
    /// [`Protocol::NAME`](crate::Protocol::NAME), with which it shares a namespace. Only a handler that is exported as
    /// `http:` needs one; beside the sessions of a protocol that of the protocol counts.
    const NAME: &'static str = "";

    /// A number of the author's choice, which exchanges can read as [`Exchange::protocol_id`]. Beside the sessions of a
    /// protocol that of the protocol counts.
    const ID: u32 = 0;

    /// The body in pieces as they arrive, or whole.
    const BODY: BodyDelivery = BodyDelivery::Pieces;

    /// A request has come; its head is there.
    fn on_request(&mut self, exchange: &mut Exchange) {}

    /// A piece of the body has come; none while the exchange is paused. A request without a body has one that is empty,
    /// first and last.
    fn on_body(&mut self, exchange: &mut Exchange, body: BodyPiece<'_>) {}

    /// There is room to send. Called once for each [`Exchange::ask_writable`], in a later turn of the service loop.
    fn on_writable(&mut self, exchange: &mut Exchange) {}

    /// A timer is due. It is no longer set; set it again for a period.
    fn on_timer(&mut self, exchange: &mut Exchange, timer: TimerId) {}

    /// Somebody notified this exchange, through its handle.
    fn on_notify(&mut self, exchange: &mut Exchange, payload: &[u8]) {}

    /// What became of the file of [`Exchange::respond_file`].
    fn on_sent(&mut self, exchange: &mut Exchange, outcome: FileSent) {}

    /// The exchange has ended. Called exactly once, and last; nothing is sent any more.
    fn on_end(&mut self, exchange: &mut Exchange, end: &ExchangeEnd<'_>) {}
}

/// An HTTP handler on one vhost: what all its exchanges there share.
///
/// A handler without shared state needs none of this: [`export_plugin!`](crate::export_plugin) takes an [`HttpHandler`]
/// that is `Default` as it is. If a type is both, this trait wins. A protocol that also answers HTTP implements
/// [`ServesHttp`] instead.
///
/// Threads, order and failure are those of an [`Instance`], with exchanges in the place of sessions; an error in
/// [`open`](Self::open) and a panic in [`thread`](Self::thread) answer the request with 500.
pub trait HttpInstance: Send + Sync + Sized + 'static {
    /// The value of one exchange; its [`NAME`](HttpHandler::NAME) is that of the handler.
    type Exchange: HttpHandler;

    /// The options of the handler on this vhost, as [`Instance::Options`].
    type Options: DeserializeOwned;

    /// State of one service thread, reached by [`Exchange::thread`]; `()` if there is none.
    type Thread: 'static;

    /// Makes the instance. `host` may be kept: it is valid for ever, on all threads.
    ///
    /// # Errors
    ///
    /// What this plugin cannot serve with, in words for the operator.
    fn new(host: &Host, options: Self::Options) -> Result<Self, PluginError>;

    /// Makes the state of a service thread, before the first exchange of this instance there.
    fn thread(&self, host: &Host) -> Self::Thread;

    /// Makes the value of an exchange; [`HttpHandler::on_request`] is called on it next.
    ///
    /// # Errors
    ///
    /// Why this request cannot be served, for the log; the peer reads 500.
    fn open(&self, exchange: &mut Exchange) -> Result<Self::Exchange, PluginError>;

    /// A newer instance serves new requests from now on, or none does; exchanges of this one go on. Called at most once.
    fn on_retire(&self) {}
}

/// A protocol that answers HTTP beside its sessions, from the same instance.
///
/// It is enough to implement it: `export_plugin!(Room)` finds out by itself. What is no opening handshake and reaches
/// the protocol by its mount comes here.
///
/// ```standalone_crate
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// use hotsocket_plugin::{prelude::*, testing::{TestHost, TestRequest}};
///
/// /// Counts who comes in, and tells it to everyone who asks over HTTP.
/// struct Room {
///     guests: AtomicU32,
/// }
///
/// struct Guest;
///
/// impl Protocol for Guest {
///     const NAME: &'static str = "room";
/// }
///
/// impl Instance for Room {
///     type Session = Guest;
///     type Options = NoOptions;
///     type Thread = ();
///
///     fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
///         Ok(Self { guests: AtomicU32::new(0) })
///     }
///
///     fn thread(&self, _host: &Host) {}
///
///     fn open(&self, _session: &mut Session) -> Result<Guest, PluginError> {
///         self.guests.fetch_add(1, Ordering::Relaxed);
///         Ok(Guest)
///     }
/// }
///
/// /// A look into the room.
/// struct Look;
///
/// impl HttpHandler for Look {}
///
/// impl ServesHttp for Room {
///     type Exchange = Look;
///
///     fn open_exchange(&self, exchange: &mut Exchange) -> Result<Look, PluginError> {
///         let guests = self.guests.load(Ordering::Relaxed);
///         exchange.respond(Response::text(200, format!("{guests} came in")));
///         Ok(Look)
///     }
/// }
///
/// export_plugin!(Room);
///
/// let host = TestHost::new(plugin());
/// let _guest = host.open("room");
/// assert_eq!(host.request("room", TestRequest::get("/room")).text(), "1 came in");
/// ```
pub trait ServesHttp: Instance {
    /// The value of one exchange.
    type Exchange: HttpHandler;

    /// Makes the value of an exchange; [`HttpHandler::on_request`] is called on it next.
    ///
    /// # Errors
    ///
    /// Why this request cannot be served, for the log; the peer reads 500.
    fn open_exchange(&self, exchange: &mut Exchange) -> Result<Self::Exchange, PluginError>;
}

/// How the body of a request reaches a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyDelivery {
    /// In pieces as they arrive, of any total size.
    Pieces,
    /// In one piece, when all of it is there.
    Whole {
        /// A request with a larger body is answered with 413 by the host, which may have a lower limit itself.
        most_bytes: u32,
    },
}

/// A piece of a body, with transfer coding removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPiece<'a> {
    /// The content. May be empty, in the last piece.
    pub bytes: &'a [u8],
    /// The body begins here.
    pub first: bool,
    /// The body ends here: from now on there are [`Exchange::trailers`].
    pub last: bool,
}

/// What became of the file that an exchange was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileSent {
    /// All that was to be sent has left.
    Sent,
    /// It could not be opened; the peer has read 404.
    NotFound,
    /// The peer left before, or the file could not be read to its end.
    Failed,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeEnd<'a> {
    /// Who ended it.
    pub by: EndedBy,
    /// The status of the answer; none when there was none.
    pub status: Option<u16>,
    /// Bytes of content that the peer's transport has taken.
    pub sent: u64,
    /// What the host has to say; empty when the answer is complete.
    pub reason: &'a str,
}

/// Who ended an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The answer: it is complete, and has left.
    Answer,
    /// The peer left before.
    Peer,
    /// The handler aborted it, or failed.
    Handler,
    /// The host: a bad body, a limit, a deadline, the host going away.
    Host,
}

/// The instance of a handler that has no shared state.
pub(crate) struct PerExchange<H>(PhantomData<fn() -> H>);

impl<H: HttpHandler + Default> HttpInstance for PerExchange<H> {
    type Exchange = H;
    type Options = NoOptions;
    type Thread = ();

    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self(PhantomData))
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _exchange: &mut Exchange) -> Result<H, PluginError> {
        Ok(H::default())
    }
}
