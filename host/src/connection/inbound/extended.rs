//! The same through extensions: what they make of what arrives is held until it is told.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use super::{
    BufferPool, Delivery, Event, Failure, Found, FrameHeader, IN_MESSAGE, Inbound, InboundRules,
    NO_MESSAGE, Reading, UNOWNED_RSV, judge_text, key_of,
};
use crate::connection::extended::{Extended, Record};
use crate::wire::close_code::TOO_LARGE;
use crate::wire::extension::{OUT_OF_SEQUENCE, Piece, PieceSink};
use crate::wire::frame_header::Decoded;
use crate::wire::mask::apply_mask;
use crate::wire::utf8::Utf8;
use crate::wire::{MessageKind, Opcode, Role};

/// In pieces, extensions get so many bytes at a time: all that they make of them waits in memory.
const AT_A_TIME: usize = 1 << 10;

/// What a message that waits counts besides its bytes.
const RECORD_BYTES: u64 = 32;

/// What is told next, without a borrow of where it lies.
enum Told {
    Found(Found),
    Record {
        record: Record,
        at: Range<usize>,
        remaining: u64,
    },
}

impl Inbound {
    // Not rare where there are extensions, but the layout of the path without them is worth more.
    #[cold]
    pub(super) fn next_extended<'a>(
        &'a mut self,
        rules: &InboundRules,
        extended: &mut Extended,
        buffers: &mut BufferPool,
        input: &'a mut [u8],
    ) -> (usize, Event<'a>) {
        let (consumed, told) = self.advance_extended(rules, extended, buffers, input);
        let event = match told {
            Told::Found(found) => self.event(rules, found, input),
            Told::Record {
                record,
                at,
                remaining,
            } => {
                let (kind, payload) = (record.kind, &self.held[at]);
                match rules.delivery {
                    Delivery::Messages => Event::Message { kind, payload },
                    Delivery::Pieces { .. } => Event::Piece {
                        kind,
                        first: record.first,
                        last: record.ended,
                        remaining,
                        payload,
                    },
                }
            }
        };
        (consumed, event)
    }

    fn advance_extended(
        &mut self,
        rules: &InboundRules,
        extended: &mut Extended,
        buffers: &mut BufferPool,
        input: &mut [u8],
    ) -> (usize, Told) {
        let mut at = 0;
        loop {
            if !self.discards
                && let Some(told) = self.tell(rules, &mut extended.waiting)
            {
                return (at, told);
            }
            self.reclaim(extended, buffers);
            let step = match (self.reading, extended.untold.take()) {
                (_, Some(failure)) => Err(failure),
                (Reading::Header, None) => {
                    self.read_extended_header(rules, extended, buffers, input, &mut at)
                }
                (Reading::Payload, None) => {
                    self.read_extended_payload(rules, extended, buffers, input, &mut at)
                }
                (Reading::Nothing, None) => {
                    self.release_extended(extended, buffers);
                    return (input.len(), Told::Found(Found::Need));
                }
            };
            match step {
                Ok(None) => {}
                Ok(Some(found)) => return (at, Told::Found(found)),
                Err(failure) => {
                    self.reading = Reading::Nothing;
                    self.release_extended(extended, buffers);
                    return (input.len(), Told::Found(Found::Failed(failure)));
                }
            }
        }
    }

    /// The next of what waits.
    fn tell(&mut self, rules: &InboundRules, waiting: &mut VecDeque<Record>) -> Option<Told> {
        let front = waiting.front_mut()?;
        let most = match rules.delivery {
            Delivery::Messages if front.ended => front.len,
            Delivery::Messages => return None,
            Delivery::Pieces { rx_chunk } => front.len.min(rx_chunk.max(1) as usize),
        };
        if most == 0 && !front.ended {
            return None;
        }
        let at = self.handed..self.handed + most;
        self.handed = at.end;
        front.len -= most;
        let behind = front.len as u64;
        let is_open = !front.ended;
        let record = Record {
            first: mem::take(&mut front.first),
            ended: front.ended && behind == 0,
            ..*front
        };
        if record.ended {
            waiting.pop_front();
        }
        let remaining = behind + if is_open { self.remaining } else { 0 };
        Some(Told::Record {
            record,
            at,
            remaining,
        })
    }

    /// Frees what has been told.
    fn reclaim(&mut self, extended: &mut Extended, buffers: &mut BufferPool) {
        if self.discards || extended.waiting.is_empty() {
            extended.forget_waiting();
        }
        if self.discards || self.handed == self.held.len() {
            self.release(buffers);
        } else if self.handed > 0 {
            self.held.drain(..mem::take(&mut self.handed));
        }
    }

    fn release_extended(&mut self, extended: &mut Extended, buffers: &mut BufferPool) {
        extended.forget_waiting();
        self.release(buffers);
    }

    /// Reads a frame header, and the whole frame if it is a control frame.
    fn read_extended_header(
        &mut self,
        rules: &InboundRules,
        extended: &mut Extended,
        buffers: &mut BufferPool,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Found>, Failure> {
        let owned = extended.chain.opcodes();
        let (header, len) = match FrameHeader::decode_with(&input[*at..], owned) {
            Decoded::Done { header, len } => (header, len),
            Decoded::Need(_) => return Ok(Some(Found::Need)),
            Decoded::Wrong(failure) => return Err(failure),
        };
        self.key = key_of(rules.role, &header)?;
        let opcode = match header.opcode {
            Opcode::Continuation if !self.in_message => return Err(NO_MESSAGE),
            Opcode::Continuation => self.opcode,
            opcode if self.in_message && !opcode.is_control() => return Err(IN_MESSAGE),
            opcode => opcode,
        };
        if header.rsv & !extended.chain.rsv_bits(opcode) != 0 {
            return Err(UNOWNED_RSV);
        }
        if opcode.is_control() && !opcode.is_reserved() {
            return Ok(Some(self.read_control(rules, &header, len, input, at)));
        }
        if opcode.is_control() {
            let start = *at + len;
            let end = start + header.payload_len as usize;
            let Some(payload) = input.get_mut(start..end) else {
                return Ok(Some(Found::Need));
            };
            if rules.role == Role::Server {
                apply_mask(payload, self.key);
            }
            *at = end;
            let piece = Piece {
                rsv: header.rsv,
                ..Piece::whole(opcode, payload)
            };
            self.pass(rules, extended, buffers, piece);
            return Ok(None);
        }
        self.message_unread = header.opcode != Opcode::Continuation;
        self.frame_unread = true;
        self.opcode = opcode;
        self.in_message = true;
        self.fin = header.fin;
        self.rsv = header.rsv;
        self.remaining = header.payload_len;
        self.reading = Reading::Payload;
        *at += len;
        Ok(None)
    }

    /// Gives the extensions what there is of the payload of a data frame.
    fn read_extended_payload(
        &mut self,
        rules: &InboundRules,
        extended: &mut Extended,
        buffers: &mut BufferPool,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Found>, Failure> {
        let mut arrived = input.len() - *at;
        if rules.delivery != Delivery::Messages {
            arrived = arrived.min(AT_A_TIME);
        }
        let taken = usize::try_from(self.remaining).map_or(arrived, |most| arrived.min(most));
        if taken == 0 && self.remaining > 0 {
            return Ok(Some(Found::Need));
        }
        let (at, frame_ended) = self.take_payload(rules.role, input, at, taken);
        let frame_first = mem::take(&mut self.frame_unread);
        let piece = Piece {
            opcode: self.opcode,
            rsv: if frame_first { self.rsv } else { 0 },
            frame_first,
            frame_last: frame_ended,
            message_first: mem::take(&mut self.message_unread),
            message_last: frame_ended && self.fin,
            payload: &input[at],
        };
        self.pass(rules, extended, buffers, piece);
        Ok(None)
    }

    /// Holds what the extensions make of a piece. What was good before a failure is told first.
    fn pass(
        &mut self,
        rules: &InboundRules,
        extended: &mut Extended,
        buffers: &mut BufferPool,
        piece: Piece<'_>,
    ) {
        if self.discards {
            return;
        }
        let Extended {
            chain,
            waiting,
            untold,
            ..
        } = extended;
        if rules.delivery != Delivery::Messages {
            chain.forget_sizes();
        }
        let mut sink = WaitingSink {
            held: &mut self.held,
            waiting,
            utf8: &mut self.utf8,
            buffers,
            most: rules.message_bytes.saturating_mul(2),
        };
        if let Err(failure) = chain.inbound(piece, rules.message_bytes, &mut sink) {
            *untold = Some(failure);
        }
    }
}

/// Where what comes out of the chain waits until it is told.
struct WaitingSink<'a> {
    held: &'a mut Vec<u8>,
    waiting: &'a mut VecDeque<Record>,
    utf8: &'a mut Utf8,
    buffers: &'a mut BufferPool,
    /// All messages that wait together.
    most: u64,
}

impl PieceSink for WaitingSink<'_> {
    fn put(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        let kind = piece.opcode.kind().ok_or(OUT_OF_SEQUENCE)?;
        let count = self.waiting.len() as u64 + u64::from(piece.message_first);
        let bytes = (self.held.len() + piece.payload.len()) as u64;
        if bytes + count.saturating_sub(1) * RECORD_BYTES > self.most {
            return Err(TOO_LARGE);
        }
        if piece.message_first {
            *self.utf8 = Utf8::default();
        }
        if kind == MessageKind::Text {
            judge_text(self.utf8, piece.payload, piece.message_last)?;
        }
        // Nobody knows what is still to come: let it double.
        let expected = if piece.message_last { 0 } else { u64::MAX };
        self.buffers.append(self.held, piece.payload, expected)?;
        if piece.message_first {
            self.waiting.push_back(Record {
                len: 0,
                kind,
                first: true,
                ended: false,
            });
        }
        let record = self.waiting.back_mut().ok_or(OUT_OF_SEQUENCE)?;
        record.len += piece.payload.len();
        record.ended = piece.message_last;
        Ok(())
    }
}
