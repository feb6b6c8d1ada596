//! The two traits that an author implements: [`Protocol`] per session, [`Instance`] for what sessions share.

use std::marker::PhantomData;

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Client, Close, ConnectError, Extensions, Handshake, Host, Message, Next, Parameters, Piece,
    PluginError, Refusal, Request, Session, TimerId,
};

/// A protocol: one value per session.
///
/// # Threads and order
///
/// All hooks of a session run on the service thread that owns it, never two at once and never one inside another:
/// what a hook asks for is done after it has returned, only `send` queues at once. The order is
/// [`on_open`](Self::on_open), then any of the others, then [`on_close`](Self::on_close), then the value is dropped, on
/// that same thread. Many sessions share a service thread, so a hook must not block; long work goes to a thread of the
/// plugin's own, which answers through a [`SessionHandle`](crate::SessionHandle).
///
/// # Ownership
///
/// What a hook is lent, the [`Session`] included, is valid until the hook returns. Whoever wants to keep bytes copies
/// them; whoever wants to reach the session later keeps its [`SessionHandle`](crate::SessionHandle).
///
/// # Failure
///
/// A hook that panics ends its session with close code 1011 and no other: the host logs the panic's text, calls
/// no further hook, `on_close` neither, and drops the value. A panic in `on_close` or in `drop` is only logged.
///
/// # Reload
///
/// When a newer version of the file is installed, sessions that are open stay with the code and the values they were
/// opened with, until they close.
#[expect(
    unused_variables,
    reason = "the names of what a hook gets are its documentation"
)]
pub trait Protocol: Send + Sized + 'static {
    /// The name of the protocol: the subprotocol that clients ask for, and the path `/NAME` where no config says
    /// otherwise. A token: letters, digits and ``!#$%&'*+-.^_`|~``. Checked when the plugin is compiled.
    const NAME: &'static str;

    /// A number of the author's choice, which sessions can read as [`Session::protocol_id`].
    const ID: u32 = 0;

    /// Whole messages, or pieces as they arrive.
    const DELIVERY: Delivery = Delivery::Messages;

    /// Whether [`on_pong`](Self::on_pong) is called.
    const PONGS: bool = false;

    /// Which extensions may be used on its connections. [`Instance::on_extension_offer`] can say more per handshake.
    const EXTENSIONS: Extensions = Extensions::All;

    /// The fields of the opening handshake that [`Session::header`] can read for as long as the session is open, by their
    /// names. Each costs memory in each session that has it; [`Handshake::header`] reads any of them, once.
    const KEEP_HEADERS: &'static [&'static str] = &[];

    /// The opening handshake is done; the peer can be sent to.
    fn on_open(&mut self, session: &mut Session) {}

    /// A message arrived. Messages come one by one in the order the peer sent them; none while the session is paused.
    /// Only with [`Delivery::Messages`].
    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {}

    /// A piece of a message arrived. Pieces of one message come in order, and none of another message between them.
    /// Only with [`Delivery::Pieces`].
    fn on_piece(&mut self, session: &mut Session, piece: Piece<'_>) {}

    /// There is room to send. Called once for each [`Session::ask_writable`], in a later turn of the service loop.
    fn on_writable(&mut self, session: &mut Session) {}

    /// A timer is due. It is no longer set; set it again for a period.
    fn on_timer(&mut self, session: &mut Session, timer: TimerId) {}

    /// Somebody notified this session, through its handle or together with all sessions of its protocol. What
    /// `payload` means is up to the plugin; it may come from another version of it.
    fn on_notify(&mut self, session: &mut Session, payload: &[u8]) {}

    /// A pong arrived, as the answer to a ping or unasked. Only with [`PONGS`](Self::PONGS).
    fn on_pong(&mut self, session: &mut Session, payload: &[u8]) {}

    /// The session has ended. Called exactly once, and last; nothing is sent any more, `send` answers `Closed`.
    fn on_close(&mut self, session: &mut Session, close: &Close<'_>) {}
}

/// How messages reach a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Whole, by [`Protocol::on_message`]. A message above the host's limit fails the connection with 1009.
    Messages,
    /// In pieces as they arrive, by [`Protocol::on_piece`], of any total size.
    Pieces {
        /// A frame of up to so many bytes comes in one piece; a larger one comes in several.
        rx_chunk: u32,
    },
}

/// A protocol on one vhost: what all its sessions there share.
///
/// A protocol without shared state needs none of this: [`export_plugin!`](crate::export_plugin) takes a [`Protocol`]
/// that is `Default` as it is. If a type is both, this trait wins.
///
/// # Threads and order
///
/// [`new`](Self::new), [`on_retire`](Self::on_retire) and `drop` run on a thread of the host that lives for this call, so
/// thread-locals keep nothing there. Only other plugins wait for them, and no longer than
/// `limits.plugin_start_ms`: a `new` that does not come back by then is refused. [`thread`](Self::thread),
/// [`on_handshake`](Self::on_handshake) and [`open`](Self::open) run on service threads, several at once: hence `Sync`.
/// The value is dropped after its last session has ended; not at all when the process ends before.
///
/// # Failure
///
/// An error or a panic in `new` refuses the whole file, or the whole new config: what served before goes on. In
/// `open` it ends that session with 1011; in `on_handshake`, and a panic in `thread`, it answers that opening handshake
/// with 500. In `on_retire` and `drop` it is only logged.
#[expect(
    unused_variables,
    reason = "the names of what a hook gets are its documentation"
)]
pub trait Instance: Send + Sync + Sized + 'static {
    /// The value of one session.
    type Session: Protocol;

    /// The options of the protocol on this vhost. Those that are absent are absent from the JSON object too,
    /// so give each field a default or a good reason. `#[serde(deny_unknown_fields)]` finds misspelled keys.
    type Options: DeserializeOwned;

    /// State of one service thread, reached by [`Session::thread`]; `()` if there is none.
    /// Made and dropped on its thread. Prefer it to `thread_local!`, whose values stay when this version is retired.
    type Thread: 'static;

    /// Makes the instance. `host` may be kept: it is valid for ever, on all threads.
    ///
    /// # Errors
    ///
    /// What this plugin cannot serve with, in words for the operator.
    fn new(host: &Host, options: Self::Options) -> Result<Self, PluginError>;

    /// Makes the state of a service thread, before the first session of this instance there.
    fn thread(&self, host: &Host) -> Self::Thread;

    /// An opening handshake that the host would accept: its form and its origin are judged already, its extensions and its
    /// answer come after this. `Ok` accepts it. `request` also says which subprotocol and fields the answer has, and keeps
    /// what [`open`](Self::open) is to know.
    ///
    /// # Errors
    ///
    /// The answer when it is refused. An error that was turned into one by `?`, or a panic, is answered with 500 and
    /// logged.
    fn on_handshake(&self, request: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    /// Makes the value of a session; [`Protocol::on_open`] is called on it next.
    ///
    /// # Errors
    ///
    /// Why this session cannot be served, for the log; the peer reads close code 1011.
    fn open(&self, session: &mut Session) -> Result<Self::Session, PluginError>;

    /// Whether an extension may be used for a connection whose session is yet to come. As server, asked for each offer of
    /// the peer that [`Protocol::EXTENSIONS`] lets through, before the extension itself is asked; as client, before each of
    /// our offers is sent. A panic is logged, and counts as `false`.
    fn on_extension_offer(
        &self,
        request: &Request,
        name: &str,
        parameters: &Parameters<'_>,
    ) -> bool {
        true
    }

    /// A server has accepted an opening handshake of ours, as it should: the last look at its answer, before there is a
    /// session.
    ///
    /// # Errors
    ///
    /// Why the answer will not do. The connection is closed, and [`on_connect_error`](Self::on_connect_error) is told. A
    /// panic does the same.
    fn on_answer(&self, answer: &Client) -> Result<(), PluginError> {
        Ok(())
    }

    /// A server redirects us to the URL `to`, and the host would follow. False makes a failure of it, which
    /// [`on_connect_error`](Self::on_connect_error) is told. A panic does the same.
    fn on_redirect(&self, answer: &Client, to: &str) -> bool {
        true
    }

    /// A connection that was asked for by [`Host::connect`] could not be opened: says what follows. A panic gives it up.
    fn on_connect_error(&self, error: &mut ConnectError) -> Next {
        Next::Usual
    }

    /// A newer instance serves new sessions from now on, or none does; those of this one go on, and one whose opening
    /// handshake is under way may still come. Called at most once.
    fn on_retire(&self) {}
}

/// The instance of a protocol that has no shared state.
pub(crate) struct PerSession<P>(PhantomData<fn() -> P>);

impl<P: Protocol + Default> Instance for PerSession<P> {
    type Session = P;
    type Options = NoOptions;
    type Thread = ();

    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self(PhantomData))
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, _session: &mut Session) -> Result<P, PluginError> {
        Ok(P::default())
    }
}

/// The options of a protocol that has none: any key is refused by name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoOptions {}
