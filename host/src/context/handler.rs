//! What the context asks of whoever implements a protocol: host-side traits, so that this floor knows no plugin.

use std::fmt;

use crate::{
    connection::{inbound::Delivery, websocket::CloseReport},
    context::session::SessionCall,
    net::service::Delivered,
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
    /// The name, a token.
    pub name: String,
    /// The number its sessions can read.
    pub id: u32,
    /// Whole messages or pieces.
    pub delivery: Delivery,
    /// Whether it is told of pongs.
    pub pongs: bool,
}

/// The handler's own state of a session: a word that means something to the handler only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionState(pub usize);

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

/// A protocol on one vhost, of one generation. Shared by the service threads; a session's hooks are called on the
/// service thread that owns it, never two at once, never nested.
pub trait ProtocolHandler: Send + Sync {
    /// Who this is.
    fn label(&self) -> &Label;

    /// What it is.
    fn facts(&self) -> &ProtocolFacts;

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
    /// When the hook failed; the handler then has no sessions on that thread.
    fn thread_create(&self) -> Result<ThreadState, Fault>;

    /// Frees the state of a service thread, on it.
    ///
    /// # Errors
    ///
    /// When the hook failed; the state is gone all the same.
    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault>;

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
