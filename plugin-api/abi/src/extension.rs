//! Hooks and host calls of an extension: RFC 6455, section 9.
//!
//! An extension stands between the frames of a connection and its messages. It has an instance per vhost and a state
//! per service thread, both by the same [`crate::InstanceBlock`] as a protocol, and a state per connection, made when
//! the extension is agreed on. Hosts of this minor version compare the blocks and call none of them.
//!
//! # Agreeing
//!
//! ```text
//! as server   accept, for each offer of the peer in its order, until it agrees to one
//! as client   offer, for each alternative, until there is none left;   confirm, with what the server chose
//! ```
//!
//! Parameters are text, in the order in which they were written: `name` or `name=value`, with `"; "` between them and
//! without quotes, which RFC 6455 allows around tokens only. No text stands for no parameters.
//!
//! Each RSV bit and each reserved opcode has one owner per connection. An extension whose agreement claims one that is
//! taken is not agreed on: as server the offer is declined, as client the connection fails; its state is destroyed.
//!
//! # Pieces
//!
//! Payload comes and goes in pieces of frames, unmasked, in one shape ([`FramePiece`]), so that what one extension
//! puts is what the next one gets: outbound in the order of agreement, inbound the other way round. Pieces of a frame
//! follow each other, and so do frames of a message; frames with an opcode of 8 and above may come between two frames.
//! An extension gets the data frames and those whose opcode it owns, and no other control frame.
//!
//! For one piece it may put none (it holds back), one, or many, of one frame or several. What it held back is asked
//! for by `flush`. It puts valid sequences only; the host fails the connection with 1011 otherwise.

use std::ffi::c_void;

#[cfg(feature = "layout")]
use abi_stable::StableAbi;

use crate::{Bytes, Status};

/// [`FramePiece::flags`], [`Agreement::rsv`]: RSV1, as the bit stands in its nibble of the frame header.
pub const FRAME_RSV1: u32 = 4;
/// [`FramePiece::flags`], [`Agreement::rsv`]: RSV2.
pub const FRAME_RSV2: u32 = 2;
/// [`FramePiece::flags`], [`Agreement::rsv`]: RSV3.
pub const FRAME_RSV3: u32 = 1;
/// [`FramePiece::flags`]: a frame begins with this piece. Only here are RSV bits set.
pub const FRAME_FIRST: u32 = 0x10;
/// [`FramePiece::flags`]: a frame ends with this piece.
pub const FRAME_LAST: u32 = 0x20;
// With `MESSAGE_FIRST` and `MESSAGE_LAST`, which stand in the same flags.

/// A frame, or a piece of one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct FramePiece<'a> {
    /// The opcode: in all frames of a message that of its first one, never 0.
    pub opcode: u32,
    /// `FRAME_*`, and with the first and last piece of a message [`crate::MESSAGE_FIRST`] and
    /// [`crate::MESSAGE_LAST`]. Inbound the RSV bits that this extension owns, and those of nobody else; outbound it
    /// sets its own and leaves the others as they came.
    pub flags: u32,
    /// The payload, lent for the call.
    pub payload: Bytes<'a>,
}

/// What an extension agrees to. The host fills it with zeros; it is read when the hook answers `STATUS_OK`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct Agreement {
    /// The state of the connection, which the other hooks get.
    pub state: *mut c_void,
    /// The RSV bits it owns: `FRAME_RSV1` to `FRAME_RSV3`.
    pub rsv: u32,
    /// The opcodes it owns: bit n for opcode n, of 3 to 7 and 11 to 15.
    pub opcodes: u32,
    /// Not 0: what `outbound` makes of a message depends on that message and this number alone, not on what the
    /// connection sent before, and nothing is held back at the end of a message. The host may then call
    /// it for one connection and send the result to all that gave the same number on this instance and service thread.
    pub independence: u64,
}

/// A connection as a hook of an extension sees it. Valid during the hook that it was given to, on its thread only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ExtensionCall {
    /// The host's own; first argument of all calls.
    pub context: *mut c_void,
    /// The calls.
    pub calls: *const ExtensionCalls,
    /// What [`crate::InstanceBlock::thread_create`] made on this service thread.
    pub thread: *mut c_void,
}

/// What an extension may ask in its hooks. `context` is [`ExtensionCall::context`] in all of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ExtensionCalls {
    /// Bytes of this block.
    pub size: usize,
    /// In `inbound`, `outbound` and `flush`: hands a piece on; it is copied. `STATUS_FULL` when the message would
    /// become larger than it may: nothing was taken, the hook answers `STATUS_FULL`, and the connection fails with 1009.
    /// `STATUS_ERROR` for a piece that cannot stand here.
    pub put: unsafe extern "C" fn(context: *mut c_void, piece: *const FramePiece<'_>) -> Status,
    /// In `offer` and `accept`: the parameters to send, all at once; the last call counts. `STATUS_ERROR` for text
    /// that is no list of parameters, `STATUS_NONE` in other hooks.
    pub parameters: unsafe extern "C" fn(context: *mut c_void, parameters: Bytes<'_>) -> Status,
    /// As [`crate::SessionCalls::fact_number`], for the facts that are known before there is a session.
    pub fact_number: unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut u64) -> Status,
    /// As [`crate::SessionCalls::fact_bytes`]; likewise.
    pub fact_bytes:
        unsafe extern "C" fn(context: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status,
    /// Why the hook that is running is about to answer `STATUS_ERROR` or `STATUS_PANIC`, and with which close code the
    /// connection is to fail; 0, or one that must not be sent, is taken as 1011. The first code counts; texts are joined.
    pub fail: unsafe extern "C" fn(context: *mut c_void, code: u32, text: Bytes<'_>),
}

/// The hooks of an extension: those of one connection all on its service thread, never two at once, never nested.
///
/// After `STATUS_ERROR`, `STATUS_PANIC` or any answer that is not named, a connection that is being agreed on goes on
/// without the extension as server, and fails as client; an open one fails. `destroy` is then its only further call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "layout", derive(StableAbi))]
pub struct ExtensionBlock {
    /// Bytes of this block.
    pub size: usize,
    /// As client: gives the parameters of offer number `alternative`, counted from 0 in order of preference.
    /// `STATUS_NONE` when there are no more. Makes nothing.
    pub offer: unsafe extern "C" fn(
        instance: *mut c_void,
        call: *const ExtensionCall,
        alternative: u32,
    ) -> Status,
    /// As server: judges an offer. `STATUS_OK` accepts it, with `out` and the parameters of the answer; `STATUS_NONE`
    /// declines it. On anything but `STATUS_OK` no state is left behind.
    pub accept: unsafe extern "C" fn(
        instance: *mut c_void,
        call: *const ExtensionCall,
        parameters: Bytes<'_>,
        out: *mut Agreement,
    ) -> Status,
    /// As client: judges the server's answer to one of our offers. `STATUS_OK` agrees, with `out`; anything else fails
    /// the connection, and no state is left behind.
    pub confirm: unsafe extern "C" fn(
        instance: *mut c_void,
        call: *const ExtensionCall,
        parameters: Bytes<'_>,
        out: *mut Agreement,
    ) -> Status,
    /// A piece from the peer. `STATUS_NONE`, with the first piece of a message and nothing put, vetoes the message:
    /// it goes no further, and its other pieces do not come.
    pub inbound: unsafe extern "C" fn(
        state: *mut c_void,
        call: *const ExtensionCall,
        piece: *const FramePiece<'_>,
    ) -> Status,
    /// A piece for the peer. `STATUS_NONE` vetoes as in `inbound`; who sends the message is answered `STATUS_ERROR`.
    pub outbound: unsafe extern "C" fn(
        state: *mut c_void,
        call: *const ExtensionCall,
        piece: *const FramePiece<'_>,
    ) -> Status,
    /// Puts what `outbound` has held back. Before the Close frame, and at the end of each turn in which the last
    /// `outbound` put less than it got.
    pub flush: unsafe extern "C" fn(state: *mut c_void, call: *const ExtensionCall) -> Status,
    /// Frees the state of the connection. The last call, exactly once, also after a panic.
    pub destroy: unsafe extern "C" fn(state: *mut c_void, call: *const ExtensionCall) -> Status,
}
