//! Bytes from the peer in, messages and control frames out. RFC 6455 sections 5 and 6.2.

use std::mem;
use std::ops::Range;

use super::buffers::BufferPool;
pub use super::event::{Delivery, Event, InboundRules};
use super::extended::Extended;
use crate::wire::close_code::{self, Failure, NOT_UTF8, TOO_LARGE};
use crate::wire::frame_header::{Decoded, FrameHeader};
use crate::wire::mask::{MaskingKey, apply_mask, apply_mask_is_ascii, rotate_key};
use crate::wire::utf8::{Utf8, is_utf8};
use crate::wire::{MessageKind, Opcode, Role};

/// The receiving half of one connection: what must outlive a call.
#[derive(Debug)]
pub struct Inbound {
    /// What has arrived of a message that is not complete, or what is being handed on.
    held: Vec<u8>,
    /// How much of `held` has been handed on.
    handed: usize,
    /// Payload of the current data frame still to come.
    remaining: u64,
    /// Its masking key, rotated to the next byte.
    key: MaskingKey,
    utf8: Utf8,
    reading: Reading,
    kind: MessageKind,
    /// With extensions: what the message on the wire began with, and the RSV bits of the current data frame.
    opcode: Opcode,
    rsv: u8,
    /// The current data frame ends its message.
    fin: bool,
    /// The current data frame is handed on as it arrives.
    spills: bool,
    /// The message is handed on when it is complete, and not in pieces.
    is_whole: bool,
    /// A message has begun and not ended.
    in_message: bool,
    /// With extensions: nothing of the frame, or of the message, has been given to them.
    frame_unread: bool,
    message_unread: bool,
    /// Nothing of the message has been handed on.
    unheard: bool,
    /// Data frames are skipped.
    discards: bool,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Header,
    Payload,
    /// Of no interest: the peer has closed, or was failed.
    Nothing,
}

/// What a step found, without a borrow of where it lies.
enum Found {
    Need,
    Control(Opcode, Range<usize>),
    Data(Place),
    Failed(Failure),
}

enum Place {
    Input(Range<usize>),
    Held,
}

/// What has been read of the current data frame.
struct Progress {
    piece: Range<usize>,
    frame_ended: bool,
    message_ended: bool,
}

const UNOWNED_RSV: Failure = Failure::protocol("RSV bit that no extension owns");
const NO_MESSAGE: Failure = Failure::protocol("continuation of no message");
const IN_MESSAGE: Failure = Failure::protocol("message inside another message");

impl Default for Inbound {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            handed: 0,
            remaining: 0,
            key: [0; 4],
            utf8: Utf8::default(),
            reading: Reading::Header,
            kind: MessageKind::Binary,
            opcode: Opcode::Continuation,
            rsv: 0,
            fin: false,
            spills: false,
            is_whole: false,
            in_message: false,
            frame_unread: false,
            message_unread: false,
            unheard: false,
            discards: false,
        }
    }
}

impl Inbound {
    /// Looks for the next event in `input`; also says how many bytes of it are done with. To be called again with the
    /// rest until [`Event::Need`], and then with that rest and what has arrived since: at most an incomplete header or
    /// control frame. The payload is unmasked where it lies.
    pub fn next<'a>(
        &'a mut self,
        rules: &InboundRules,
        extended: Option<&mut Extended>,
        buffers: &mut BufferPool,
        input: &'a mut [u8],
    ) -> (usize, Event<'a>) {
        if let Some(extended) = extended {
            return self.next_extended(rules, extended, buffers, input);
        }
        if !self.held.is_empty() || self.discards {
            if self.has_more_held() && !self.discards {
                return (0, self.event(rules, Found::Data(Place::Held), input));
            }
            if self.handed > 0 || self.discards {
                self.release(buffers);
            }
        }
        let (consumed, found) = self.advance(rules, buffers, input);
        (consumed, self.event(rules, found, input))
    }

    /// From now on data frames are skipped: we have sent a Close frame and nobody listens any more. Control frames
    /// are still told.
    pub fn discard_data(&mut self) {
        self.discards = true;
    }

    /// Gives the memory back. To be called before the value is dropped.
    pub fn release(&mut self, buffers: &mut BufferPool) {
        self.handed = 0;
        if self.held.capacity() > 0 {
            buffers.put(mem::take(&mut self.held));
        }
    }

    /// Whether it is as it was in the beginning: nothing has begun, and nothing is to be handed on or given back.
    pub(super) fn is_empty(&self) -> bool {
        let is_between = self.reading == Reading::Header && !self.in_message;
        is_between && !self.discards && self.held.capacity() == 0
    }

    /// Steps until something is found.
    #[inline]
    fn advance(
        &mut self,
        rules: &InboundRules,
        buffers: &mut BufferPool,
        input: &mut [u8],
    ) -> (usize, Found) {
        let mut at = 0;
        loop {
            let step = match self.reading {
                Reading::Header => self.read_header(rules, input, &mut at),
                Reading::Payload => self.read_payload(rules, buffers, input, &mut at),
                Reading::Nothing => {
                    self.release(buffers);
                    return (input.len(), Found::Need);
                }
            };
            match step {
                Ok(None) => {}
                Ok(Some(found)) => return (at, found),
                Err(failure) => {
                    self.reading = Reading::Nothing;
                    self.release(buffers);
                    return (input.len(), Found::Failed(failure));
                }
            }
        }
    }

    /// Reads a frame header, and the whole frame if it is a control frame.
    #[inline]
    fn read_header(
        &mut self,
        rules: &InboundRules,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Found>, Failure> {
        let (header, len) = match FrameHeader::decode(&input[*at..]) {
            Decoded::Done { header, len } => (header, len),
            Decoded::Need(_) => return Ok(Some(Found::Need)),
            Decoded::Wrong(failure) => return Err(failure),
        };
        self.key = key_of(rules.role, &header)?;
        // Section 5.2: a bit that no extension owns is 0.
        if header.rsv != 0 {
            return Err(UNOWNED_RSV);
        }
        if header.opcode.is_control() {
            return Ok(Some(self.read_control(rules, &header, len, input, at)));
        }
        self.begin_frame(rules, &header)?;
        *at += len;
        Ok(None)
    }

    fn read_control(
        &mut self,
        rules: &InboundRules,
        header: &FrameHeader,
        len: usize,
        input: &mut [u8],
        at: &mut usize,
    ) -> Found {
        let start = *at + len;
        let end = start + header.payload_len as usize;
        let Some(payload) = input.get_mut(start..end) else {
            return Found::Need;
        };
        if rules.role == Role::Server {
            apply_mask(payload, self.key);
        }
        if header.opcode == Opcode::Close {
            self.reading = Reading::Nothing;
        }
        *at = end;
        Found::Control(header.opcode, start..end)
    }

    /// Section 5.4: a message is one text or binary frame and the continuations up to FIN, with no other message
    /// between them.
    #[inline]
    fn begin_frame(&mut self, rules: &InboundRules, header: &FrameHeader) -> Result<(), Failure> {
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            _ if self.in_message => self.kind,
            _ => return Err(NO_MESSAGE),
        };
        if header.opcode != Opcode::Continuation {
            if self.in_message {
                return Err(IN_MESSAGE);
            }
            self.utf8 = Utf8::default();
            self.unheard = true;
        }
        self.spills = match rules.delivery {
            Delivery::Pieces { rx_chunk } => header.payload_len > u64::from(rx_chunk),
            // Told by the header, before memory is taken.
            Delivery::Messages if !self.discards => {
                let room = rules.message_bytes.saturating_sub(self.held.len() as u64);
                if header.payload_len > room {
                    return Err(TOO_LARGE);
                }
                false
            }
            Delivery::Messages => false,
        };
        self.is_whole = rules.delivery == Delivery::Messages;
        self.kind = kind;
        self.in_message = true;
        self.fin = header.fin;
        self.remaining = header.payload_len;
        self.reading = Reading::Payload;
        Ok(())
    }

    /// Takes what there is of the payload of a data frame.
    #[inline]
    fn read_payload(
        &mut self,
        rules: &InboundRules,
        buffers: &mut BufferPool,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Found>, Failure> {
        let arrived = input.len() - *at;
        let mut taken = usize::try_from(self.remaining).map_or(arrived, |most| arrived.min(most));
        if let Delivery::Pieces { rx_chunk } = rules.delivery
            && self.spills
        {
            taken = taken.min(rx_chunk.max(1) as usize);
        }
        if taken == 0 && self.remaining > 0 {
            return Ok(Some(Found::Need));
        }
        let (piece, frame_ended) = self.take_payload(rules.role, input, at, taken);
        if self.discards {
            return Ok(None);
        }
        let progress = Progress {
            piece,
            frame_ended,
            message_ended: frame_ended && self.fin,
        };
        let place = self.take_plain(rules, buffers, input, progress)?;
        Ok(place.map(Found::Data))
    }

    /// Unmasks what has arrived of a data frame; says where it lies, and whether the frame has ended.
    #[inline]
    fn take_payload(
        &mut self,
        role: Role,
        input: &mut [u8],
        at: &mut usize,
        taken: usize,
    ) -> (Range<usize>, bool) {
        let piece = *at..*at + taken;
        *at = piece.end;
        self.remaining -= taken as u64;
        if role == Role::Server {
            apply_mask(&mut input[piece.clone()], self.key);
            self.key = rotate_key(self.key, taken);
        }
        let frame_ended = self.remaining == 0;
        if frame_ended {
            self.reading = Reading::Header;
            self.in_message = !self.fin;
        }
        (piece, frame_ended)
    }

    /// A message or piece that lies whole in the input is handed on from there.
    #[inline]
    fn take_plain(
        &mut self,
        rules: &InboundRules,
        buffers: &mut BufferPool,
        input: &[u8],
        progress: Progress,
    ) -> Result<Option<Place>, Failure> {
        let payload = &input[progress.piece.clone()];
        if self.kind == MessageKind::Text {
            judge_text(&mut self.utf8, payload, progress.message_ended)?;
        }
        let complete = match rules.delivery {
            Delivery::Messages => progress.message_ended,
            Delivery::Pieces { .. } => progress.frame_ended,
        };
        if self.spills || complete && self.held.is_empty() {
            let tells = progress.message_ended || !payload.is_empty();
            return Ok(tells.then_some(Place::Input(progress.piece)));
        }
        let expected = gathering::expected(self.remaining);
        buffers.append(&mut self.held, payload, expected)?;
        Ok(complete.then_some(Place::Held))
    }

    /// The event with its borrow.
    #[inline]
    fn event<'a>(&'a mut self, rules: &InboundRules, found: Found, input: &'a [u8]) -> Event<'a> {
        let (payload, behind) = match found {
            Found::Need => return Event::Need,
            Found::Failed(failure) => return Event::Failed(failure),
            Found::Control(Opcode::Ping, at) => return Event::Ping(&input[at]),
            Found::Control(Opcode::Pong, at) => return Event::Pong(&input[at]),
            Found::Control(_, at) => return close_event(&input[at]),
            Found::Data(Place::Input(at)) => (&input[at], 0),
            Found::Data(Place::Held) => {
                let from = self.handed;
                self.handed = match rules.delivery {
                    Delivery::Messages => self.held.len(),
                    Delivery::Pieces { rx_chunk } => {
                        let chunk = rx_chunk.max(1) as usize;
                        self.held.len().min(from.saturating_add(chunk))
                    }
                };
                let behind = self.held.len() - self.handed;
                (&self.held[from..self.handed], behind as u64)
            }
        };
        match rules.delivery {
            Delivery::Messages => Event::Message {
                kind: self.kind,
                payload,
            },
            Delivery::Pieces { .. } => Event::Piece {
                kind: self.kind,
                first: mem::take(&mut self.unheard),
                last: !self.in_message && behind == 0,
                remaining: self.remaining + behind,
                payload,
            },
        }
    }
}

/// The short way, worth half the time of a small message: the input begins with a whole message in one frame. Whatever
/// else it is, also if it is wrong, [`Inbound::next`] tells. It has one caller, and is a part of it.
#[inline(always)]
pub(super) fn whole_message(
    rules: &InboundRules,
    input: &mut [u8],
) -> Option<(MessageKind, Range<usize>)> {
    if rules.delivery != Delivery::Messages {
        return None;
    }
    let Decoded::Done { header, len } = FrameHeader::decode(input) else {
        return None;
    };
    let kind = match header.opcode {
        Opcode::Text => MessageKind::Text,
        Opcode::Binary => MessageKind::Binary,
        _ => return None,
    };
    let masked = rules.role == Role::Server;
    if !header.fin
        || header.rsv != 0
        || header.key.is_some() != masked
        || header.payload_len > rules.message_bytes
    {
        return None;
    }
    let end = len.checked_add(usize::try_from(header.payload_len).ok()?)?;
    let payload = input.get_mut(len..end)?;
    let key = header.key.unwrap_or_default();
    let is_ascii = masked && apply_mask_is_ascii(payload, key);
    if kind == MessageKind::Text && !is_ascii && !is_utf8(payload) {
        apply_mask(payload, key);
        return None;
    }
    Some((kind, len..end))
}

/// Section 5.1: a client masks, a server does not.
#[inline]
fn key_of(role: Role, header: &FrameHeader) -> Result<MaskingKey, Failure> {
    match (role, header.key) {
        (Role::Server, Some(key)) => Ok(key),
        (Role::Client, None) => Ok([0; 4]),
        (Role::Server, None) => Err(Failure::protocol("unmasked frame from a client")),
        (Role::Client, Some(_)) => Err(Failure::protocol("masked frame from a server")),
    }
}

/// Section 8.1, at the octet where the text becomes invalid.
#[inline]
fn judge_text(utf8: &mut Utf8, piece: &[u8], ended: bool) -> Result<(), Failure> {
    let judged = utf8
        .push(piece)
        .and_then(|()| if ended { utf8.finish() } else { Ok(()) });
    judged.map_err(|_| NOT_UTF8)
}

fn close_event(payload: &[u8]) -> Event<'_> {
    match close_code::decode(payload) {
        Ok((code, reason)) => Event::Close { code, reason },
        Err(failure) => Event::Failed(failure),
    }
}

mod extended;
mod gathering;
#[cfg(test)]
mod tests;
