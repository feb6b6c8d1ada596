//! The two traits of an extension: [`Extension`] per vhost, [`Codec`] per connection.

use std::{fmt, num::NonZeroU64};

use serde::de::DeserializeOwned;

use crate::{Call, FramePiece, FrameSink, Host, Opcode, Parameters, PluginError, Rsv, Stop};

/// An extension on one vhost: RFC 6455, section 9. It stands between the frames of a connection and its messages.
///
/// # Agreeing
///
/// As server the host asks [`accept`](Self::accept) for each offer of the peer in its order until one is agreed on. As
/// client it asks [`offer`](Self::offer) for each alternative, and [`confirm`](Self::confirm) with what the server chose.
/// What was agreed on is a [`Codec`], the state of the connection, and what it owns: RSV bits and opcodes, each of which
/// has one owner per connection. One that is taken by an extension agreed on before undoes the agreement.
///
/// # Threads and order
///
/// [`new`](Self::new), [`on_retire`](Self::on_retire) and `drop` as in [`Instance`](crate::Instance); everything else runs
/// on service threads, several at once: hence `Sync`. All that concerns one connection runs on the thread that owns it.
///
/// # Failure
///
/// An error or a panic in `new` refuses the whole file, or the whole new config. In `accept` the connection goes on
/// without the extension; in `offer` and `confirm` it fails.
#[expect(
    unused_variables,
    reason = "the names of what a hook gets are its documentation"
)]
pub trait Extension: Send + Sync + Sized + 'static {
    /// The name in Sec-WebSocket-Extensions, a token. Checked when the plugin is compiled.
    const NAME: &'static str;

    /// The state of one connection.
    type Codec: Codec<Thread = Self::Thread>;

    /// The options of the extension on this vhost, as [`Instance::Options`](crate::Instance::Options).
    type Options: DeserializeOwned;

    /// State of one service thread, for what connections share there, reached by [`Call::thread`]; `()` if there is
    /// none. Made and dropped on its thread.
    type Thread: 'static;

    /// Makes the extension. `host` may be kept: it is valid for ever, on all threads. It has no protocol and no
    /// sessions.
    ///
    /// # Errors
    ///
    /// What this plugin cannot serve with, in words for the operator.
    fn new(host: &Host, options: Self::Options) -> Result<Self, PluginError>;

    /// Makes the state of a service thread, before the first connection of this extension there.
    fn thread(&self, host: &Host) -> Self::Thread;

    /// As server: judges an offer. None declines it; the next one of the peer may do.
    ///
    /// # Errors
    ///
    /// As none, with a reason for the log.
    fn accept(
        &self,
        call: &Call<Self::Thread>,
        offer: &Parameters<'_>,
    ) -> Result<Option<Agreed<Self::Codec>>, PluginError>;

    /// As client: the parameters of offer number `alternative`, counted from 0 in order of preference; none when
    /// there are no more. An extension that is for servers only has none at all.
    fn offer(&self, call: &Call<Self::Thread>, alternative: u32) -> Option<Parameters<'static>> {
        None
    }

    /// As client: judges what the server answered to one of our offers.
    ///
    /// # Errors
    ///
    /// Why that is no answer to any of them. The connection fails.
    fn confirm(
        &self,
        call: &Call<Self::Thread>,
        response: &Parameters<'_>,
    ) -> Result<Agreed<Self::Codec>, PluginError> {
        Err(PluginError::new("nothing was offered"))
    }

    /// A newer instance is asked for new connections from now on, or none is; those of this one go on. Called at most
    /// once.
    fn on_retire(&self) {}
}

/// What an extension does to the frames of one connection.
///
/// # Pieces
///
/// Payload comes and goes as [`FramePiece`]: a whole frame, or pieces of one as they arrive. For one piece a codec may
/// put none (it holds back), one, or many, of one frame or several, as long as they make valid frames and messages; the
/// host fails the connection with 1011 otherwise. With several extensions, what one puts is what the next one gets:
/// outbound in the order of agreement, inbound the other way round. It gets the data frames, and those whose opcode it
/// owns.
///
/// # Threads and order
///
/// As for the hooks of a [`Protocol`](crate::Protocol): all on the service thread that owns the connection, never two at
/// once. [`on_end`](Self::on_end) is the last one, then the value is dropped there.
///
/// # Failure
///
/// On a [`Stop`] that is no veto, and on a panic, the connection fails, and no hook is called any more but `on_end`; after
/// a panic `on_end` neither. A panic in `on_end` or in `drop` is only logged.
#[expect(
    unused_variables,
    reason = "the names of what a hook gets are its documentation"
)]
pub trait Codec: Send + Sized + 'static {
    /// [`Extension::Thread`] of its extension.
    type Thread: 'static;

    /// A piece from the peer.
    ///
    /// # Errors
    ///
    /// A veto, or why the connection fails.
    fn inbound(
        &mut self,
        call: &Call<Self::Thread>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop>;

    /// A piece for the peer.
    ///
    /// # Errors
    ///
    /// A veto, or why the connection fails.
    fn outbound(
        &mut self,
        call: &Call<Self::Thread>,
        piece: FramePiece<'_>,
        sink: &mut FrameSink,
    ) -> Result<(), Stop>;

    /// Puts what `outbound` has held back. Called before the Close frame, and at the end of each turn in which the last
    /// `outbound` put fewer frames than it got.
    ///
    /// # Errors
    ///
    /// Why the connection fails. There is nothing to veto.
    fn flush(&mut self, call: &Call<Self::Thread>, sink: &mut FrameSink) -> Result<(), Stop> {
        Ok(())
    }

    /// The connection has ended, or was not agreed on after all: what was borrowed from the thread's state can go back.
    fn on_end(&mut self, call: &Call<Self::Thread>) {}
}

/// What an extension agrees to for a connection.
#[must_use = "nothing is agreed on before it is returned"]
pub struct Agreed<C> {
    pub(crate) codec: C,
    pub(crate) rsv: Rsv,
    pub(crate) opcodes: u32,
    pub(crate) independence: Option<NonZeroU64>,
    pub(crate) response: Parameters<'static>,
}

impl<C> Agreed<C> {
    /// An agreement that owns nothing and answers no parameters.
    pub const fn new(codec: C) -> Self {
        Self {
            codec,
            rsv: Rsv::NONE,
            opcodes: 0,
            independence: None,
            response: Parameters::new(),
        }
    }

    /// Owns these bits.
    pub fn with_rsv(mut self, rsv: Rsv) -> Self {
        self.rsv |= rsv;
        self
    }

    /// Owns these opcodes, of 3 to 7 and 11 to 15.
    ///
    /// # Panics
    ///
    /// If one is above 15.
    pub fn with_opcodes(mut self, opcodes: &[Opcode]) -> Self {
        for opcode in opcodes {
            assert!(opcode.0 < 16, "{opcode:?} is none");
            self.opcodes |= 1 << opcode.0;
        }
        self
    }

    /// Promises that what [`Codec::outbound`] makes of a message depends on that message and `key` alone, not on what the
    /// connection sent before, and that nothing is held back at the end of a message. A broadcast is then made once
    /// for all connections of a service thread to which this instance gave the same key.
    pub const fn with_independence(mut self, key: NonZeroU64) -> Self {
        self.independence = Some(key);
        self
    }

    /// The parameters of the answer, in [`Extension::accept`]; a client answers nothing.
    pub fn with_response(mut self, parameters: Parameters<'static>) -> Self {
        self.response = parameters;
        self
    }
}

impl<C> fmt::Debug for Agreed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed")
            .field("rsv", &self.rsv)
            .field("opcodes", &self.opcodes)
            .field("independence", &self.independence)
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}

/// Which extensions may be used below a protocol. The others are neither accepted nor offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extensions {
    /// All that the host has.
    All,
    /// None.
    None,
    /// Those of these names.
    Only(&'static [&'static str]),
    /// All but those of these names.
    Except(&'static [&'static str]),
}
