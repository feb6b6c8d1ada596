//! One HTTP exchange as the server has it: the body that comes in, and the framing of the answer that goes out.
//! RFC 9112 sections 6, 7 and 9.

use crate::{
    limits::Limits,
    wire::{
        body_length::BodyLength,
        chunked::{self, ChunkError, Decoded, Decoder},
        fields::Fields,
        header_list::has_element,
        request_head::RequestHead,
        response_head::{Dated, put_content_length, put_field, put_status},
    },
};

/// An unread body up to this size is read and thrown away to keep the connection; a longer one ends it.
const DISCARD_BYTES: u64 = 64 << 10;

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    body: Body,
    answer: Answer,
    /// How many bytes of body may still come.
    room: u64,
    status: u16,
    /// Bytes of content that were given out.
    sent: u64,
    is_head: bool,
    /// HTTP/1.0: no chunks, and the connection goes on only if asked for.
    is_old: bool,
    /// Another request may follow.
    persists: bool,
    /// The client waits for 100 (RFC 9110 section 10.1.1).
    awaits_continue: bool,
    /// Nobody wants the rest of the body.
    discards: bool,
}

#[derive(Debug)]
enum Body {
    Exact { left: u64 },
    Chunked(Box<Decoder>),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Streamed(Framing),
    Complete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Exact {
        left: u64,
    },
    Chunked,
    /// HTTP/1.0: the end of the connection is the end of the content.
    UntilClose,
    /// To HEAD, and with 204 and 304: what is given is thrown away.
    None,
}

/// What came of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyEvent<'a> {
    /// Nothing without more input.
    Need,
    /// Content; the last piece is told by `End`.
    Piece(&'a [u8]),
    /// The body is complete, with its trailer.
    End(Fields),
    /// The body cannot be read on; the connection ends with the answer.
    Wrong(BodyError),
}

/// Why a body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Its coding is broken.
    #[error("bad request body: {0}")]
    Chunk(#[from] ChunkError),
    /// Above what was allowed.
    #[error("request body too large: see limits.request_body_bytes")]
    TooLarge,
}

impl BodyError {
    /// The status code of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Chunk(ChunkError::TrailerTooLarge) => 431,
            Self::Chunk(_) => 400,
            Self::TooLarge => 413,
        }
    }
}

/// Why something cannot be given as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The answer was given already.
    Late,
    /// Content beyond or below what was announced, a status that is none, content before the answer.
    Wrong,
}

impl Exchange {
    /// The exchange that a request begins.
    #[must_use]
    pub fn new(head: &RequestHead<'_>, length: BodyLength, limits: &Limits) -> Self {
        let is_old = head.minor_version == 0;
        let says = |element| {
            let mut values = head.fields("Connection");
            values.any(|value| has_element(value, element))
        };
        let body = match length {
            BodyLength::Exact(0) => Body::Done,
            BodyLength::Exact(left) => Body::Exact { left },
            BodyLength::Chunked => {
                let most = usize::try_from(limits.request_head_bytes).unwrap_or(usize::MAX);
                Body::Chunked(Box::new(Decoder::new(most)))
            }
        };
        let mut expects = head.fields("Expect");
        Self {
            awaits_continue: !is_old
                && !matches!(body, Body::Done)
                && expects.any(|value| has_element(value, "100-continue")),
            body,
            answer: Answer::Awaited,
            room: limits.request_body_bytes,
            status: 0,
            sent: 0,
            is_head: head.method == "HEAD",
            is_old,
            persists: !says("close") && (!is_old || says("keep-alive")),
            discards: false,
        }
    }

    /// The exchange of a request that could not be read: its answer ends the connection.
    #[must_use]
    pub fn unread() -> Self {
        Self {
            body: Body::Done,
            answer: Answer::Awaited,
            room: 0,
            status: 0,
            sent: 0,
            is_head: false,
            is_old: false,
            persists: false,
            awaits_continue: false,
            discards: true,
        }
    }

    /// Bounds the body, in place of `limits.request_body_bytes`.
    pub fn limit_body(&mut self, bytes: u64) {
        self.room = bytes;
    }

    /// Whether the body is known to be longer than it may, and somebody wants it.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        !self.discards && matches!(self.body, Body::Exact { left } if left > self.room)
    }

    /// Whether all of the body was read.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(self.body, Body::Done)
    }

    /// Whether all of the body was read, and [`Self::read`] has not said so yet.
    #[must_use]
    pub fn owes_end(&self) -> bool {
        matches!(self.body, Body::Exact { left: 0 })
    }

    /// Whether the client waits for a word before it sends the body. To be followed by [`Self::go_on`].
    #[must_use]
    pub fn awaits_continue(&self) -> bool {
        self.awaits_continue && self.answer == Answer::Awaited
    }

    /// Has the client send the body (RFC 9110 section 15.2.1).
    pub fn go_on(&mut self, out: &mut Vec<u8>) {
        self.awaits_continue = false;
        put_status(out, 100);
        out.extend_from_slice(b"\r\n");
    }

    /// Reads on in the body; says how many bytes of input that took.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> (usize, BodyEvent<'a>) {
        // Whoever sends it without a word waits for none.
        self.awaits_continue &= input.is_empty();
        let (used, event) = match &mut self.body {
            Body::Done => return (0, BodyEvent::End(Fields::new())),
            Body::Exact { left: 0 } => (0, BodyEvent::End(Fields::new())),
            Body::Exact { .. } if input.is_empty() => return (0, BodyEvent::Need),
            Body::Exact { left } => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let piece = &input[..most.min(input.len())];
                *left -= piece.len() as u64;
                (piece.len(), BodyEvent::Piece(piece))
            }
            Body::Chunked(decoder) => match decoder.next(input) {
                Ok((used, Decoded::Need)) => return (used, BodyEvent::Need),
                Ok((used, Decoded::Data(piece))) => (used, BodyEvent::Piece(piece)),
                Ok((used, Decoded::End(trailer))) => (used, BodyEvent::End(trailer)),
                Err(error) => (input.len(), BodyEvent::Wrong(error.into())),
            },
        };
        let event = self.within_room(event);
        match &event {
            BodyEvent::End(_) => self.body = Body::Done,
            BodyEvent::Wrong(_) => self.give_up_body(),
            _ => {}
        }
        (used, event)
    }

    fn within_room<'a>(&mut self, event: BodyEvent<'a>) -> BodyEvent<'a> {
        let BodyEvent::Piece(piece) = event else {
            return event;
        };
        if self.discards {
            return BodyEvent::Piece(piece);
        }
        match self.room.checked_sub(piece.len() as u64) {
            Some(room) => {
                self.room = room;
                BodyEvent::Piece(piece)
            }
            None => BodyEvent::Wrong(BodyError::TooLarge),
        }
    }

    /// The rest of the body is not read: the connection ends with the answer.
    pub fn give_up_body(&mut self) {
        if !matches!(self.body, Body::Done) {
            self.body = Body::Done;
            self.persists = false;
        }
    }

    /// Whether nobody wants what still comes of the body.
    #[must_use]
    pub fn discards(&self) -> bool {
        self.discards
    }

    /// Begins the answer: `length` bytes of content, or as many as are given. For all of them at once, `whole`: the body
    /// of the request is then of no interest any more.
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; nothing is written.
    pub fn begin(
        &mut self,
        out: &mut Vec<u8>,
        (status, fields): (u16, &Fields),
        length: Option<u64>,
        whole: bool,
        date: &Dated,
    ) -> Result<(), AnswerError> {
        if self.answer != Answer::Awaited {
            return Err(AnswerError::Late);
        }
        if !(200..=599).contains(&status) {
            return Err(AnswerError::Wrong);
        }
        if whole {
            // Whoever is not told to go on may send the body all the same, or another request.
            self.persists &= !self.awaits_continue;
            self.discard_body();
        } else if self.awaits_continue {
            self.go_on(out);
        }
        self.status = status;
        let framing = self.framing(status, length);
        self.persists &= framing != Framing::UntilClose;
        date.put(out, status);
        out.extend_from_slice(fields.as_bytes());
        match (framing, length) {
            (Framing::Chunked, _) => put_field(out, "Transfer-Encoding", "chunked"),
            (Framing::Exact { .. }, Some(length)) => put_content_length(out, length),
            // What GET would say (RFC 9110 section 8.6); but never with 204.
            (Framing::None, Some(length)) if status != 204 && status != 304 => {
                put_content_length(out, length);
            }
            (Framing::None, None) if self.is_head && !self.is_old && has_content(status) => {
                put_field(out, "Transfer-Encoding", "chunked");
            }
            _ => {}
        }
        match (self.persists, self.is_old) {
            (false, _) => put_field(out, "Connection", "close"),
            (true, true) => put_field(out, "Connection", "keep-alive"),
            (true, false) => {}
        }
        out.extend_from_slice(b"\r\n");
        self.answer = Answer::Streamed(framing);
        Ok(())
    }

    /// Gives all of an answer with status 200 whose head is written already, up to its empty line. False when this exchange
    /// needs another head or more than that; then nothing is written.
    #[must_use]
    pub fn put_ready(&mut self, out: &mut Vec<u8>, head: [&[u8]; 3], content: &[u8]) -> bool {
        let is_plain = self.persists && !self.is_old && !self.is_head;
        if !is_plain || self.answer != Answer::Awaited || !matches!(self.body, Body::Done) {
            return false;
        }
        for lines in head {
            out.extend_from_slice(lines);
        }
        out.extend_from_slice(content);
        self.status = 200;
        self.sent = content.len() as u64;
        self.answer = Answer::Complete;
        self.discards = true;
        true
    }

    fn framing(&self, status: u16, length: Option<u64>) -> Framing {
        match length {
            _ if self.is_head || !has_content(status) => Framing::None,
            Some(left) => Framing::Exact { left },
            None if self.is_old => Framing::UntilClose,
            None => Framing::Chunked,
        }
    }

    /// What is left of the body is thrown away if it is short, and else not read.
    fn discard_body(&mut self) {
        self.discards = true;
        let is_short = matches!(self.body, Body::Exact { left } if left <= DISCARD_BYTES);
        if !is_short || self.awaits_continue {
            self.give_up_body();
        }
    }

    /// Gives a piece of content out.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Wrong`] when there is more than was announced, or no answer; nothing is written.
    pub fn put(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), AnswerError> {
        let length = piece.len() as u64;
        match &mut self.answer {
            Answer::Awaited => return Err(AnswerError::Wrong),
            Answer::Complete => return Err(AnswerError::Late),
            Answer::Streamed(Framing::None) => return Ok(()),
            Answer::Streamed(Framing::Exact { left }) => {
                *left = left.checked_sub(length).ok_or(AnswerError::Wrong)?;
                out.extend_from_slice(piece);
            }
            Answer::Streamed(Framing::Chunked) => chunked::put_chunk(out, piece),
            Answer::Streamed(Framing::UntilClose) => out.extend_from_slice(piece),
        }
        self.sent += length;
        Ok(())
    }

    /// So many bytes of announced content have left by another way.
    pub fn note_sent(&mut self, bytes: u64) {
        if let Answer::Streamed(Framing::Exact { left }) = &mut self.answer {
            *left = left.saturating_sub(bytes);
        }
        self.sent += bytes;
    }

    /// Whether content is given out at all; not to HEAD, and not with 204 and 304.
    #[must_use]
    pub fn takes_content(&self) -> bool {
        self.answer != Answer::Streamed(Framing::None)
    }

    /// Ends the content.
    ///
    /// # Errors
    ///
    /// [`AnswerError`] when there is no answer, or less was given than announced: the connection cannot go on.
    pub fn finish(&mut self, out: &mut Vec<u8>, trailer: &Fields) -> Result<(), AnswerError> {
        match self.answer {
            Answer::Awaited => return Err(AnswerError::Wrong),
            Answer::Complete => return Err(AnswerError::Late),
            Answer::Streamed(Framing::Exact { left }) if left > 0 => {
                self.persists = false;
                return Err(AnswerError::Wrong);
            }
            Answer::Streamed(Framing::Chunked) => chunked::put_end(out, trailer),
            Answer::Streamed(_) => {}
        }
        self.answer = Answer::Complete;
        self.discard_body();
        Ok(())
    }

    /// The connection ends with this answer.
    pub fn close_after(&mut self) {
        self.persists = false;
    }

    /// Whether the answer has begun.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answer != Answer::Awaited
    }

    /// Whether all of the answer was given out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.answer == Answer::Complete
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_complete() && self.has_body()
    }

    /// Whether another request may follow on the connection.
    #[must_use]
    pub fn persists(&self) -> bool {
        self.persists
    }

    /// The status of the answer; 0 before it has begun.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of content that were given out.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// RFC 9110 sections 15.3.5 and 15.4.5.
const fn has_content(status: u16) -> bool {
    status != 204 && status != 304
}
