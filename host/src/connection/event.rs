//! What is told of the bytes that arrived, and by which rules.

use crate::wire::close_code::Failure;
use crate::wire::{MessageKind, Role};

/// How messages are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Whole, bounded by [`InboundRules::message_bytes`].
    Messages,
    /// In pieces of at most `rx_chunk` bytes: a frame up to that size comes in one piece, a larger one as it arrives.
    Pieces {
        /// The largest piece, in bytes.
        rx_chunk: u32,
    },
}

/// What is the same for many connections, so that none has to keep it.
#[derive(Clone, Copy, Debug)]
pub struct InboundRules {
    /// Our role; the peer has the other one.
    pub role: Role,
    /// The largest message (`limits.message_bytes`). In pieces it bounds only what extensions make of one piece.
    pub message_bytes: u64,
    /// How messages are handed on.
    pub delivery: Delivery,
}

/// What was found in the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing more in this input.
    Need,
    /// A whole message.
    Message {
        /// Its kind; text is valid UTF-8.
        kind: MessageKind,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// A piece of a message.
    Piece {
        /// The kind of the message; text is valid UTF-8 so far, and may end within a code point.
        kind: MessageKind,
        /// The first piece of the message.
        first: bool,
        /// The last piece of the message.
        last: bool,
        /// Bytes of the same frame still to come.
        remaining: u64,
        /// The bytes.
        payload: &'a [u8],
    },
    /// A ping.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong(&'a [u8]),
    /// A valid Close frame. Nothing comes after it.
    Close {
        /// Its code, if it had one.
        code: Option<u16>,
        /// Its reason.
        reason: &'a str,
    },
    /// The peer broke a rule. Nothing comes after it.
    Failed(Failure),
}
