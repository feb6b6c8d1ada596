//! The body of a response, in whatever pieces it comes. RFC 9112 sections 6 and 7.

use crate::{
    limits::Limits,
    wire::{
        answer_length::AnswerLength,
        chunked::{ChunkError, Decoded, Decoder},
        fields::Fields,
    },
};

/// What is left of a body.
#[derive(Debug)]
pub struct AnswerBody(State);

#[derive(Debug)]
enum State {
    Exact { left: u64 },
    Chunked(Box<Decoder>),
    UntilClose,
    Done,
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum AnswerBodyEvent<'a> {
    /// Nothing without more input.
    Need,
    /// Content.
    Piece(&'a [u8]),
    /// The body is complete, with its trailer; told once.
    End(Fields),
    /// Its coding is broken; nothing on the connection can be understood any more.
    Wrong(ChunkError),
}

impl AnswerBody {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(length: AnswerLength, limits: &Limits) -> Self {
        Self(match length {
            AnswerLength::Exact(left) => State::Exact { left },
            AnswerLength::Chunked => {
                let most = usize::try_from(limits.response_head_bytes).unwrap_or(usize::MAX);
                State::Chunked(Box::new(Decoder::new(most)))
            }
            AnswerLength::UntilClose => State::UntilClose,
        })
    }

    /// Reads on; says how many bytes of input that took. To be called until it needs more.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> (usize, AnswerBodyEvent<'a>) {
        let (used, event) = match &mut self.0 {
            State::Done => (0, AnswerBodyEvent::Need),
            State::Exact { left: 0 } => (0, AnswerBodyEvent::End(Fields::new())),
            _ if input.is_empty() => (0, AnswerBodyEvent::Need),
            State::Exact { left } => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let piece = &input[..most.min(input.len())];
                *left -= piece.len() as u64;
                (piece.len(), AnswerBodyEvent::Piece(piece))
            }
            State::UntilClose => (input.len(), AnswerBodyEvent::Piece(input)),
            State::Chunked(decoder) => match decoder.next(input) {
                Ok((used, Decoded::Need)) => (used, AnswerBodyEvent::Need),
                Ok((used, Decoded::Data(piece))) => (used, AnswerBodyEvent::Piece(piece)),
                Ok((used, Decoded::End(trailer))) => (used, AnswerBodyEvent::End(trailer)),
                Err(error) => (input.len(), AnswerBodyEvent::Wrong(error)),
            },
        };
        if matches!(event, AnswerBodyEvent::End(_) | AnswerBodyEvent::Wrong(_)) {
            self.0 = State::Done;
        }
        (used, event)
    }

    /// Whether the end of the connection is the end of the body, and not the loss of a part of it.
    #[must_use]
    pub fn ends_with_the_connection(&self) -> bool {
        matches!(self.0, State::UntilClose)
    }
}
