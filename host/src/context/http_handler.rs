//! What the context asks of a protocol that answers HTTP: one of its exchanges, from the head of a request to the end of
//! the answer.
//!
//! It is the instance of [`ProtocolHandler`](super::handler::ProtocolHandler) that gives it, so that sessions and
//! exchanges of a generation are counted together. The hooks of an exchange are called on the service thread that owns
//! its connection, never two at once, never nested.

use crate::{
    context::{exchange::ExchangeCall, handler::Fault},
    net::service::ExchangeEnd,
};

/// What the manifest says of a protocol that answers HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpFacts {
    /// It wants bodies whole, up to so many bytes; in pieces if there is no number.
    pub body_bytes: Option<u64>,
}

/// The handler's own state of an exchange: a word that means something to the handler only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeState(pub usize);

/// A piece of the body of a request, decoded.
#[derive(Clone, Copy, Debug)]
pub struct BodyPiece<'a> {
    /// The first one.
    pub first: bool,
    /// The last one; it may be empty.
    pub last: bool,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What became of a file that an exchange was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSent {
    /// All that was to be sent has left.
    Done,
    /// It could not be opened.
    Missing,
    /// It was not sent to its end.
    Failed,
}

/// The exchanges of a protocol.
pub trait HttpHandler {
    /// A request has come; its head is there.
    ///
    /// # Errors
    ///
    /// When the hook failed: there is no state, and none of the other hooks is called.
    fn open(&self, call: &mut ExchangeCall<'_, '_>) -> Result<ExchangeState, Fault>;

    /// A piece of the body.
    ///
    /// # Errors
    ///
    /// When the hook failed, as in all that follow.
    fn body(
        &self,
        state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        piece: BodyPiece<'_>,
    ) -> Result<(), Fault>;

    /// There is room to send again.
    ///
    /// # Errors
    ///
    /// As in [`Self::body`].
    fn writable(&self, state: ExchangeState, call: &mut ExchangeCall<'_, '_>) -> Result<(), Fault>;

    /// A timer is due.
    ///
    /// # Errors
    ///
    /// As in [`Self::body`].
    fn timer(
        &self,
        state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        id: u64,
    ) -> Result<(), Fault>;

    /// Somebody notified the exchange.
    ///
    /// # Errors
    ///
    /// As in [`Self::body`].
    fn notify(
        &self,
        state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault>;

    /// The exchange that was answered with a file has ended.
    ///
    /// # Errors
    ///
    /// As in [`Self::body`].
    fn sent(
        &self,
        state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        outcome: FileSent,
    ) -> Result<(), Fault>;

    /// The exchange has ended.
    ///
    /// # Errors
    ///
    /// As in [`Self::body`].
    fn end(
        &self,
        state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        end: &ExchangeEnd,
    ) -> Result<(), Fault>;

    /// Frees the state; always the last call for an exchange, also after a panic.
    ///
    /// # Errors
    ///
    /// When the hook failed; the state is gone all the same.
    fn destroy(&self, state: ExchangeState, call: &mut ExchangeCall<'_, '_>) -> Result<(), Fault>;
}
