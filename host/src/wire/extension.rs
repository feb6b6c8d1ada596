//! The seam for extensions: what stands between the frames of a connection and its messages. RFC 6455 section 9.
//!
//! Payload passes in pieces of frames, unmasked and in one shape, so that what one extension puts is what the next one
//! gets. An extension gets text and binary frames and those whose opcode it owns. For one piece it may put none (it
//! holds back), one, or many, of one frame or several, of one message or several.
//!
//! What it gets and what it puts is a valid sequence: the pieces of a frame follow each other, and so do the frames of
//! a message; a control frame is one piece, and may stand between two frames of a message.

use super::close_code::{Failure, INTERNAL_ERROR};
pub use super::extension_chain::{ChainKey, ExtensionChain, Taken};
use super::opcode::Opcode;

/// A frame, or a piece of one, on its way through the extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// In all frames of a message that of its first one: text, binary, or a reserved one that has an owner.
    pub opcode: Opcode,
    /// 4 for RSV1, 2 for RSV2, 1 for RSV3; set only where a frame begins. Outbound an extension sets its own and leaves
    /// the others as they came. Inbound it gets its own; those of the others on what it got are added to the next frame
    /// that it puts, and only one that has kept some elsewhere on the way out has to set them.
    pub rsv: u8,
    /// A frame begins with it.
    pub frame_first: bool,
    /// A frame ends with it.
    pub frame_last: bool,
    /// A message begins with it, and so does a frame.
    pub message_first: bool,
    /// A message ends with it, and so does a frame.
    pub message_last: bool,
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> Piece<'a> {
    /// A whole message in one frame.
    pub const fn whole(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self {
            opcode,
            rsv: 0,
            frame_first: true,
            frame_last: true,
            message_first: true,
            message_last: true,
            payload,
        }
    }
}

/// Where an extension puts what it makes.
pub trait PieceSink {
    /// Takes a piece; it is handed on before this returns.
    ///
    /// # Errors
    /// The failure of the connection: 1009 when the message becomes too large, 1011 for a piece that cannot stand
    /// here, or what those who come after have against it. It is the same from then on; the extension hands it on.
    fn put(&mut self, piece: Piece<'_>) -> Result<(), Failure>;
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It was put, changed, or held back.
    Done,
    /// With the first piece of a message and nothing put: the message goes no further, and its other pieces do not come.
    Vetoed,
}

/// When what an extension sends does not depend on what the connection sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Independence {
    /// Whose number it is: different for any two instances whose numbers could be confused.
    pub instance: u64,
    /// The same for all connections of the instance on this service thread where a message becomes the same frames.
    pub number: u64,
}

/// What was agreed on for one connection, with its state. All calls come on the thread of the connection, and never two
/// at once, but `put` calls the next extension before it returns.
///
/// After a failure there are no further calls. A code that must not be sent is taken as 1011.
pub trait Extension: Send {
    /// The RSV bits it owns: 4 for RSV1, 2 for RSV2, 1 for RSV3. Asked once.
    fn rsv_bits(&self) -> u8;

    /// The opcodes it owns: bit n for opcode n, of 3 to 7 and 11 to 15. Asked once.
    fn opcodes(&self) -> u16;

    /// Set if what [`Self::outbound`] makes of a message depends on that message and this alone, and nothing is held
    /// back at the end of a message. Asked once.
    fn independence(&self) -> Option<Independence>;

    /// A piece from the peer.
    ///
    /// # Errors
    /// The failure of the connection.
    fn inbound(&mut self, piece: Piece<'_>, sink: &mut dyn PieceSink) -> Result<Passed, Failure>;

    /// A piece for the peer. What is sent to a connection comes in whole frames, but an extension may put pieces.
    ///
    /// # Errors
    /// The failure of the connection.
    fn outbound(&mut self, piece: Piece<'_>, sink: &mut dyn PieceSink) -> Result<Passed, Failure>;

    /// Puts what [`Self::outbound`] has held back: before the Close frame, and at the end of a turn in which it put
    /// fewer frames than it got.
    ///
    /// # Errors
    /// The failure of the connection.
    fn flush(&mut self, sink: &mut dyn PieceSink) -> Result<(), Failure>;
}

/// An extension put a piece where it cannot stand.
pub const OUT_OF_SEQUENCE: Failure = Failure {
    code: INTERNAL_ERROR,
    why: "an extension broke the sequence of frames",
};

/// An extension set an RSV bit, or used an opcode, that it does not own.
pub const NOT_OWNED: Failure = Failure {
    code: INTERNAL_ERROR,
    why: "an extension used what it does not own",
};

/// An extension vetoed a message of which it had seen or put something.
pub const LATE_VETO: Failure = Failure {
    code: INTERNAL_ERROR,
    why: "an extension vetoed a message too late",
};
