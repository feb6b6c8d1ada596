//! What the context asks of whoever implements a protocol: host-side traits, so that this floor knows no plugin.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    connection::{inbound::Delivery, websocket::CloseReport},
    context::{
        handshake::HandshakeCall,
        http_handler::{HttpFacts, HttpHandler},
        outgoing::ClientCall,
        routes::Route,
        session::SessionCall,
    },
    net::{peer::Peer, service::Delivered, tls::TlsFacts, token::ConnectionId},
    wire::{Role, extension::Extension},
};

/// Who answers for a handler in logs and lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name in the plugin's manifest.
    pub plugin: String,
    /// The version there.
    pub version: String,
    /// Which load of the plugin this is, counted from 1.
    pub generation: u64,
}

/// What the manifest says of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolFacts {
    /// The name of the vhost that it is for.
    pub vhost: Arc<str>,
    /// The name, a token.
    pub name: String,
    /// The number its sessions can read.
    pub id: u32,
    /// Whole messages or pieces.
    pub delivery: Delivery,
    /// Whether it is told of pongs.
    pub pongs: bool,
    /// Which extensions may be used with it.
    pub extensions: AllowedExtensions,
    /// The fields of the opening handshake that its sessions can read.
    pub keep_headers: Vec<String>,
    /// Whether it has sessions.
    pub websocket: bool,
    /// How it answers HTTP, if it does.
    pub http: Option<HttpFacts>,
}

/// Which extensions a protocol lets be used on its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AllowedExtensions {
    /// All there are.
    #[default]
    All,
    /// Those of these names.
    Only(Vec<String>),
    /// All but those of these names.
    Except(Vec<String>),
}

impl AllowedExtensions {
    /// Whether the extension of that name may be used.
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        let is_named = |names: &[String]| names.iter().any(|other| other == name);
        match self {
            Self::All => true,
            Self::Only(names) => is_named(names),
            Self::Except(names) => !is_named(names),
        }
    }

    pub(crate) fn are_all(&self) -> bool {
        *self == Self::All
    }
}

/// The handler's own state of a session: a word that means something to the handler only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionState(pub usize);

/// What the handler has learnt of an opening handshake: a word that means something to the handler only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearntState(pub NonZeroUsize);

/// What a protocol says of an opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is accepted, with what was learnt of it.
    Accepted(Option<LearntState>),
    /// It is refused, as [`HandshakeCall::refuse`] was told.
    Refused,
}

/// The handler's own state of a service thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState(pub usize);

/// A hook that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub hook: &'static str,
    /// It panicked: what it worked on is not touched again, only freed.
    pub panicked: bool,
    /// The text of the panic or error.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.panicked { "panicked" } else { "failed" };
        write!(f, "{} {how}: {}", self.hook, self.text)
    }
}

impl Fault {
    /// Writes the one line that an operator reads.
    #[cold]
    pub(crate) fn log(&self, label: &Label, protocol: &str) {
        let Label {
            plugin,
            version,
            generation,
        } = label;
        let hook = self.hook;
        tracing::error!(target: "hotsocket::plugin", plugin, version, generation, protocol, hook, "{self}");
    }
}

/// What a plugin made for one vhost: an instance of a protocol or of an extension. Shared by the service threads.
pub trait Hosted: Send + Sync {
    /// Who this is.
    fn label(&self) -> &Label;

    /// The name of the protocol or extension.
    fn name(&self) -> &str;

    /// Another one serves new sessions from now on. Not on a service thread.
    ///
    /// # Errors
    ///
    /// When the hook failed; it is retired all the same.
    fn retire(&self) -> Result<(), Fault>;

    /// Makes the state of a service thread, on it.
    ///
    /// # Errors
    ///
    /// When the hook failed; there is nothing of this on that thread then.
    fn thread_create(&self) -> Result<ThreadState, Fault>;

    /// Frees the state of a service thread, on it.
    ///
    /// # Errors
    ///
    /// When the hook failed; the state is gone all the same.
    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault>;
}

/// A protocol on one vhost, of one generation. A session's hooks are called on the service thread that owns it, never
/// two at once, never nested.
pub trait ProtocolHandler: Hosted {
    /// What it is.
    fn facts(&self) -> &ProtocolFacts;

    /// Judges an opening handshake that the host would accept.
    ///
    /// # Errors
    ///
    /// When the hook failed: the handshake is answered with 500, and nothing was learnt of it.
    fn request(&self, call: &mut HandshakeCall<'_>) -> Result<Verdict, Fault>;

    /// Frees what was learnt of an opening handshake and is not wanted, on its service thread.
    ///
    /// # Errors
    ///
    /// When the hook failed; it is gone all the same.
    fn forget(&self, learnt: LearntState) -> Result<(), Fault>;

    /// The part of it that answers HTTP, if [`ProtocolFacts::http`] says that there is one.
    fn http(&self) -> Option<&dyn HttpHandler> {
        None
    }

    /// The last look at the answer of a server that has accepted an opening handshake of ours; false refuses it.
    ///
    /// # Errors
    ///
    /// When the hook failed; the answer is refused.
    fn answered(&self, call: &mut ClientCall<'_>) -> Result<bool, Fault> {
        let _ = call;
        Ok(true)
    }

    /// Whether a redirect of an opening handshake of ours is followed.
    ///
    /// # Errors
    ///
    /// When the hook failed; it is not.
    fn redirected(&self, call: &mut ClientCall<'_>) -> Result<bool, Fault> {
        let _ = call;
        Ok(true)
    }

    /// A connection that we were to open could not be opened.
    ///
    /// # Errors
    ///
    /// When the hook failed; it is not tried again.
    fn connect_failed(&self, call: &mut ClientCall<'_>) -> Result<(), Fault> {
        let _ = call;
        Ok(())
    }

    /// It gets new sessions from here on, by this route. Told again with each change of what is served.
    fn serves(&self, route: &Route) {
        let _ = route;
    }

    /// Whether it is linked into the program.
    fn is_linked(&self) -> bool {
        false
    }

    /// Whether an extension may be used with a session to be, beside what [`ProtocolFacts::extensions`] says.
    ///
    /// # Errors
    ///
    /// When the hook failed; the offer is passed over.
    fn allows_extension(
        &self,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        name: &str,
        parameters: &str,
    ) -> Result<bool, Fault>;

    /// A session begins.
    ///
    /// # Errors
    ///
    /// When the hook failed: there is no state, and the session ends with 1011.
    fn open(&self, call: &mut SessionCall<'_, '_>) -> Result<SessionState, Fault>;

    /// A message, or a piece of one.
    ///
    /// # Errors
    ///
    /// When the hook failed, as in all that follow.
    fn message(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        message: Delivered<'_>,
    ) -> Result<(), Fault>;

    /// There is room to send again.
    ///
    /// # Errors
    ///
    /// As in [`Self::message`].
    fn writable(&self, state: SessionState, call: &mut SessionCall<'_, '_>) -> Result<(), Fault>;

    /// A timer is due.
    ///
    /// # Errors
    ///
    /// As in [`Self::message`].
    fn timer(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        id: u64,
    ) -> Result<(), Fault>;

    /// Somebody notified the session.
    ///
    /// # Errors
    ///
    /// As in [`Self::message`].
    fn notify(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault>;

    /// A pong came.
    ///
    /// # Errors
    ///
    /// As in [`Self::message`].
    fn pong(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault>;

    /// The session has ended.
    ///
    /// # Errors
    ///
    /// As in [`Self::message`].
    fn close(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        report: &CloseReport,
    ) -> Result<(), Fault>;

    /// Frees the state; always the last call for a session, also after a panic.
    ///
    /// # Errors
    ///
    /// When the hook failed; the state is gone all the same.
    fn destroy(&self, state: SessionState, call: &mut SessionCall<'_, '_>) -> Result<(), Fault>;
}

/// An extension on one vhost, of one generation.
pub trait ExtensionHandler: Hosted {
    /// Judges an offer of the peer: none when it is declined.
    ///
    /// # Errors
    ///
    /// When the hook failed; the offer is passed over.
    fn accept(
        self: Arc<Self>,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        parameters: &str,
    ) -> Result<Option<Agreed>, Fault>;

    /// As client: the parameters of offer number `alternative`, counted from 0; none when there are no more.
    ///
    /// # Errors
    ///
    /// When the hook failed; it is not offered.
    fn offer(
        &self,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        alternative: u32,
    ) -> Result<Option<String>, Fault>;

    /// As client: judges the server's answer to one of our offers: none when it cannot stand.
    ///
    /// # Errors
    ///
    /// When the hook failed. Either way the connection fails.
    fn confirm(
        self: Arc<Self>,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        parameters: &str,
    ) -> Result<Option<Agreed>, Fault>;
}

/// An extension that was agreed on for one connection.
pub struct Agreed {
    /// It, with its state.
    pub extension: Box<dyn Extension>,
    /// The parameters of the answer: `name` or `name=value`, with `"; "` between them.
    pub parameters: String,
}

/// What is known of a connection before there is a session.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Its id.
    pub connection: ConnectionId,
    /// The name of its vhost.
    pub vhost: &'a str,
    /// The request target, as it came.
    pub target: &'a str,
    /// The peer's address.
    pub peer: Peer,
    /// The peer's name, where names are looked up and if it is known.
    pub peer_name: Option<&'a str>,
    /// What was agreed on with TLS, if it is spoken.
    pub tls: Option<TlsFacts<'a>>,
    /// The protocol it was bound to.
    pub protocol: &'a ProtocolFacts,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<&'a str>,
    /// Our side of the connection.
    pub role: Role,
}

impl<'a> RequestFacts<'a> {
    /// The path of the request target.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target
            .split_once('?')
            .map_or(self.target, |(path, _)| path)
    }

    /// What follows the `?` of the request target.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}
