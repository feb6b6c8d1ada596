//! Bytes from the peer in, messages and control frames out. RFC 6455 sections 5 and 6.2.

use std::mem;
use std::ops::Range;

use super::buffers::BufferPool;
use crate::wire::close_code::{self, Failure, NOT_UTF8, TOO_LARGE};
use crate::wire::extension::{ExtensionChain, ExtensionFrame, PayloadSink};
use crate::wire::frame_header::{Decoded, FrameHeader};
use crate::wire::mask::{MaskingKey, apply_mask, rotate_key};
use crate::wire::utf8::Utf8;
use crate::wire::{MessageKind, Opcode, Role};

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
    /// RSV bits of the current data frame.
    rsv: u8,
    /// The current data frame ends its message.
    fin: bool,
    /// The current data frame is handed on as it arrives.
    spills: bool,
    /// A message has begun and not ended.
    in_message: bool,
    /// Nothing of the message has been given to the extensions.
    unread: bool,
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
            rsv: 0,
            fin: false,
            spills: false,
            in_message: false,
            unread: false,
            unheard: false,
            discards: false,
        }
    }
}

impl Inbound {
    /// Looks for the next event in `input`; also says how many bytes of it are done with. To be called again with the
    /// rest until [`Event::Need`], and then with that rest and what has arrived since: at most an incomplete header or
    /// control frame. The payload is unmasked where it lies.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        rules: &InboundRules,
        chain: Option<&mut ExtensionChain>,
        buffers: &mut BufferPool,
        input: &'a mut [u8],
    ) -> (usize, Event<'a>) {
        if self.handed > 0 || self.discards {
            if self.handed < self.held.len() && !self.discards {
                return (0, self.event(rules, Found::Data(Place::Held), input));
            }
            self.release(buffers);
        }
        let (consumed, found) = self.advance(rules, chain, buffers, input);
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

    /// Steps until something is found.
    #[inline]
    fn advance(
        &mut self,
        rules: &InboundRules,
        mut chain: Option<&mut ExtensionChain>,
        buffers: &mut BufferPool,
        input: &mut [u8],
    ) -> (usize, Found) {
        let mut at = 0;
        loop {
            let step = match self.reading {
                Reading::Header => self.read_header(rules, chain.as_deref(), input, &mut at),
                Reading::Payload => {
                    self.read_payload(rules, chain.as_deref_mut(), buffers, input, &mut at)
                }
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
        chain: Option<&ExtensionChain>,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Option<Found>, Failure> {
        let (header, len) = match FrameHeader::decode(&input[*at..]) {
            Decoded::Done { header, len } => (header, len),
            Decoded::Need(_) => return Ok(Some(Found::Need)),
            Decoded::Wrong(failure) => return Err(failure),
        };
        // Section 5.1: a client masks, a server does not.
        self.key = match (rules.role, header.key) {
            (Role::Server, Some(key)) => key,
            (Role::Client, None) => [0; 4],
            (Role::Server, None) => return Err(Failure::protocol("unmasked frame from a client")),
            (Role::Client, Some(_)) => {
                return Err(Failure::protocol("masked frame from a server"));
            }
        };
        // Section 5.2: a bit that no extension owns is 0.
        let owned = match chain {
            Some(chain) if !header.opcode.is_control() => chain.rsv_bits(),
            _ => 0,
        };
        if header.rsv & !owned != 0 {
            return Err(Failure::protocol("RSV bit that no extension owns"));
        }
        if header.opcode.is_control() {
            return Ok(Some(self.read_control(rules, &header, len, input, at)));
        }
        self.begin_frame(rules, chain.is_some(), &header)?;
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
    fn begin_frame(
        &mut self,
        rules: &InboundRules,
        extended: bool,
        header: &FrameHeader,
    ) -> Result<(), Failure> {
        let kind = match header.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            _ if self.in_message => self.kind,
            _ => return Err(Failure::protocol("continuation of no message")),
        };
        if header.opcode != Opcode::Continuation {
            if self.in_message {
                return Err(Failure::protocol("message inside another message"));
            }
            self.utf8 = Utf8::default();
            self.unread = true;
            self.unheard = true;
        }
        self.spills = match rules.delivery {
            Delivery::Pieces { rx_chunk } => header.payload_len > u64::from(rx_chunk),
            // Told by the header, before memory is taken. What extensions make of it is bounded where they put it.
            Delivery::Messages if !extended && !self.discards => {
                let room = rules.message_bytes.saturating_sub(self.held.len() as u64);
                if header.payload_len > room {
                    return Err(TOO_LARGE);
                }
                false
            }
            Delivery::Messages => false,
        };
        self.kind = kind;
        self.in_message = true;
        self.fin = header.fin;
        self.rsv = header.rsv;
        self.remaining = header.payload_len;
        self.reading = Reading::Payload;
        Ok(())
    }

    /// Takes what there is of the payload of a data frame.
    #[inline]
    fn read_payload(
        &mut self,
        rules: &InboundRules,
        chain: Option<&mut ExtensionChain>,
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
        let piece = *at..*at + taken;
        *at = piece.end;
        self.remaining -= taken as u64;
        if rules.role == Role::Server {
            apply_mask(&mut input[piece.clone()], self.key);
            self.key = rotate_key(self.key, taken);
        }
        let frame_ended = self.remaining == 0;
        if frame_ended {
            self.reading = Reading::Header;
            self.in_message = !self.fin;
        }
        if self.discards {
            return Ok(None);
        }
        let progress = Progress {
            piece,
            frame_ended,
            message_ended: frame_ended && self.fin,
        };
        let place = match chain {
            None => self.take_plain(rules, buffers, input, progress),
            Some(chain) => self.take_extended(rules, chain, buffers, input, progress),
        };
        Ok(place?.map(Found::Data))
    }

    /// Without extensions: a message or piece that lies whole in the input is handed on from there.
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
        buffers.append(&mut self.held, payload, self.remaining)?;
        Ok(complete.then_some(Place::Held))
    }

    /// With extensions: what they make of the piece is held.
    #[cold]
    fn take_extended(
        &mut self,
        rules: &InboundRules,
        chain: &mut ExtensionChain,
        buffers: &mut BufferPool,
        input: &[u8],
        progress: Progress,
    ) -> Result<Option<Place>, Failure> {
        let frame = ExtensionFrame {
            kind: self.kind,
            rsv: self.rsv,
            first: mem::take(&mut self.unread),
            last: progress.message_ended,
            payload: &input[progress.piece],
        };
        let limit = usize::try_from(rules.message_bytes).unwrap_or(usize::MAX);
        let before = self.held.len();
        let mut sink = HeldSink {
            held: &mut self.held,
            buffers,
            limit,
        };
        chain.inbound(frame, limit, &mut sink)?;
        if self.kind == MessageKind::Text {
            judge_text(&mut self.utf8, &self.held[before..], progress.message_ended)?;
        }
        let complete = match rules.delivery {
            Delivery::Messages => progress.message_ended,
            Delivery::Pieces { .. } => progress.message_ended || !self.held.is_empty(),
        };
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

/// What extensions make of a piece, bounded while they make it.
struct HeldSink<'a> {
    held: &'a mut Vec<u8>,
    buffers: &'a mut BufferPool,
    limit: usize,
}

impl PayloadSink for HeldSink<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > self.limit.saturating_sub(self.held.len()) {
            return Err(TOO_LARGE);
        }
        // Nobody knows what is still to come: let it double.
        self.buffers.append(self.held, bytes, u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream_tests::{Heard, hear, message, pool};
    use super::*;
    use crate::wire::close_code::{INVALID_PAYLOAD, PROTOCOL_ERROR, TOO_BIG, TRY_AGAIN_LATER};
    use crate::wire::extension::toy;

    /// A client, so that the bytes of the tests need no mask.
    const RULES: InboundRules = InboundRules {
        role: Role::Client,
        message_bytes: 100,
        delivery: Delivery::Messages,
    };
    const PIECES: InboundRules = InboundRules {
        delivery: Delivery::Pieces { rx_chunk: 4 },
        ..RULES
    };

    fn heard(rules: &InboundRules, input: &[u8]) -> Vec<Heard> {
        hear(&mut Inbound::default(), rules, None, &mut pool(), &[input])
    }

    fn fails_with(rules: &InboundRules, pieces: &[&[u8]]) -> (u16, &'static str) {
        match hear(&mut Inbound::default(), rules, None, &mut pool(), pieces).pop() {
            Some(Heard::Failed(failure)) => (failure.code, failure.why),
            other => panic!("{other:?}"),
        }
    }

    fn piece(first: bool, last: bool, remaining: u64, payload: &[u8]) -> Heard {
        Heard::Piece(
            MessageKind::Binary,
            first,
            last,
            remaining,
            payload.to_vec(),
        )
    }

    #[test]
    fn a_masked_message_is_handed_on_from_where_it_lies() {
        let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x81";
        let place = input.as_ptr();
        let rules = InboundRules {
            role: Role::Server,
            ..RULES
        };
        let mut inbound = Inbound::default();
        let (consumed, event) = inbound.next(&rules, None, &mut pool(), &mut input);
        let Event::Message {
            kind: MessageKind::Text,
            payload,
        } = event
        else {
            panic!("{event:?}");
        };
        assert_eq!((consumed, payload), (11, &b"Hello"[..]));
        assert_eq!(payload.as_ptr(), place.wrapping_add(6));
    }

    #[test]
    fn fragments_are_joined_and_control_frames_between_them_are_told_first() {
        let input = b"\x01\x02Hi\x89\x01p\x00\x00\x8a\x00\x80\x01!\x82\x00";
        let expected = [
            Heard::Ping(b"p".to_vec()),
            Heard::Pong(Vec::new()),
            message(MessageKind::Text, b"Hi!"),
            message(MessageKind::Binary, b""),
        ];
        assert_eq!(heard(&RULES, input), expected);
    }

    #[test]
    fn broken_rules_of_the_protocol_fail_with_1002() {
        for input in [
            &b"\x91\x00"[..],
            b"\xc9\x00",
            b"\x83\x00",
            b"\x80\x00",
            b"\x01\x01a\x81\x01b",
            b"\x81\x80\0\0\0\0",
            b"\x09\x00",
            b"\x88\x01\x03",
            b"\x88\x02\x03\xed",
            b"\x82\x7e\x00\x01a",
        ] {
            assert_eq!(fails_with(&RULES, &[input]).0, PROTOCOL_ERROR, "{input:x?}");
        }
        let server = InboundRules {
            role: Role::Server,
            ..RULES
        };
        assert_eq!(fails_with(&server, &[b"\x81\x01a"]).0, PROTOCOL_ERROR);
    }

    #[test]
    fn what_was_good_before_a_bad_frame_is_told_first() {
        let events = heard(&RULES, b"\x81\x01a\x89\x00\x83\x00\x81\x01b");
        assert_eq!(
            events[..2],
            [message(MessageKind::Text, b"a"), Heard::Ping(Vec::new())]
        );
        assert!(
            matches!(events[2..], [Heard::Failed(_)]),
            "and nothing after it"
        );
    }

    #[test]
    fn a_close_frame_is_told_and_nothing_after_it() {
        let expected = [Heard::Close(Some(1001), "bye".to_owned())];
        assert_eq!(heard(&RULES, b"\x88\x05\x03\xe9bye\x81\x01a"), expected);
        assert_eq!(
            heard(&RULES, b"\x88\x00"),
            [Heard::Close(None, String::new())]
        );
        assert_eq!(
            fails_with(&RULES, &[b"\x88\x03\x03\xe8\xff"]).0,
            INVALID_PAYLOAD
        );
    }

    #[test]
    fn invalid_text_fails_at_its_octet_inside_a_frame_that_is_not_complete() {
        let bytes = b"\x81\x10\xce\xba\xe1\xbd\xb9\xf4\x90";
        assert_eq!(heard(&RULES, &bytes[..8]), []);
        assert_eq!(
            fails_with(&RULES, &[&bytes[..8], &bytes[8..]]).0,
            INVALID_PAYLOAD
        );
        // A code point may be cut by a fragment, and must be complete at the end of the message.
        let text = message(MessageKind::Text, "é".as_bytes());
        assert_eq!(heard(&RULES, b"\x01\x01\xc3\x80\x01\xa9"), [text]);
        assert_eq!(
            fails_with(&RULES, &[b"\x01\x01\xc3\x80\x00"]).0,
            INVALID_PAYLOAD
        );
        assert_eq!(
            fails_with(&PIECES, &[b"\x01\x01\xc3\x80\x00"]).0,
            INVALID_PAYLOAD
        );
    }

    #[test]
    fn a_message_above_the_limit_fails_at_the_header_that_tells_it() {
        assert_eq!(fails_with(&RULES, &[b"\x82\x65"]).0, TOO_BIG);
        assert_eq!(fails_with(&RULES, &[b"\x02\x01a\x80\x64"]).0, TOO_BIG);
        let huge = b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(fails_with(&RULES, &[huge]).0, TOO_BIG);
        let most = [b"\x82\x64".as_slice(), &[7; 100]].concat();
        assert_eq!(
            heard(&RULES, &most),
            [message(MessageKind::Binary, &[7; 100])]
        );
    }

    #[test]
    fn without_memory_for_an_incomplete_message_it_fails_with_1013() {
        let mut buffers = BufferPool::new(std::sync::Arc::default(), 10);
        let mut inbound = Inbound::default();
        let whole: &[u8] = b"\x82\x02ab";
        let events = hear(
            &mut inbound,
            &RULES,
            None,
            &mut buffers,
            &[whole, b"\x82\x02a"],
        );
        assert_eq!(events[0], message(MessageKind::Binary, b"ab"), "needs none");
        assert!(matches!(
            events[1],
            Heard::Failed(Failure {
                code: TRY_AGAIN_LATER,
                ..
            })
        ));
    }

    #[test]
    fn memory_goes_back_after_a_message_a_failure_a_close_and_at_the_end() {
        let cases: [&[u8]; 4] = [b"b", b"b\x83\x00", b"b\x88\x00", b""];
        for rest in cases {
            let (mut buffers, mut inbound) = (pool(), Inbound::default());
            hear(
                &mut inbound,
                &RULES,
                None,
                &mut buffers,
                &[b"\x02\x01a\x80\x01"],
            );
            assert!(buffers.budget().used() > 0);
            if rest.is_empty() {
                inbound.release(&mut buffers);
            } else {
                hear(&mut inbound, &RULES, None, &mut buffers, &[rest]);
            }
            assert_eq!(buffers.budget().used(), 0, "{rest:x?}");
        }
    }

    #[test]
    fn a_small_frame_is_one_piece_however_it_arrives() {
        let mut inbound = Inbound::default();
        let input: [&[u8]; 3] = [b"\x02\x04ab", b"c", b"d\x80\x02ef"];
        let events = hear(&mut inbound, &PIECES, None, &mut pool(), &input);
        assert_eq!(
            events,
            [piece(true, false, 0, b"abcd"), piece(false, true, 0, b"ef")]
        );
    }

    #[test]
    fn a_large_frame_spills_as_it_arrives() {
        let mut inbound = Inbound::default();
        let input: [&[u8]; 3] = [b"\x82\x0aab", b"cdefghi", b"j"];
        let expected = [
            piece(true, false, 8, b"ab"),
            piece(false, false, 4, b"cdef"),
            piece(false, false, 1, b"ghi"),
            piece(false, true, 0, b"j"),
        ];
        assert_eq!(
            hear(&mut inbound, &PIECES, None, &mut pool(), &input),
            expected
        );
    }

    #[test]
    fn an_empty_last_frame_is_an_empty_last_piece() {
        let expected = [piece(true, false, 0, b"a"), piece(false, true, 0, b"")];
        assert_eq!(
            heard(&PIECES, b"\x02\x00\x00\x01a\x00\x00\x80\x00"),
            expected
        );
        assert_eq!(heard(&PIECES, b"\x82\x00"), [piece(true, true, 0, b"")]);
    }

    #[test]
    fn after_our_close_messages_are_skipped_and_control_frames_are_told() {
        let (mut buffers, mut inbound) = (pool(), Inbound::default());
        hear(&mut inbound, &RULES, None, &mut buffers, &[b"\x02\x03a"]);
        inbound.discard_data();
        let input: [&[u8]; 2] = [b"b", b"c\x89\x00\x80\x01d\x82\x7f\0\0\0\0\0\x01\0\0"];
        let events = hear(&mut inbound, &RULES, None, &mut buffers, &input);
        assert_eq!(events, [Heard::Ping(Vec::new())]);
        assert_eq!(buffers.budget().used(), 0);
    }

    #[test]
    fn extensions_undo_payloads_in_whole_messages_and_in_pieces() {
        // FIN, RSV2, binary: the mark, and "abcdef" XOR 1, cut in the middle.
        let input: [&[u8]; 2] = [b"\xa2\x07\x01`cb", b"edg\x82\x00"];
        let mut chain = toy::chain(&[(2, 1)]);
        let events = hear(
            &mut Inbound::default(),
            &RULES,
            Some(&mut chain),
            &mut pool(),
            &input,
        );
        assert_eq!(events[0], message(MessageKind::Binary, b"abcdef"));
        assert!(
            matches!(events[1], Heard::Failed(_)),
            "the toy wants its bit"
        );

        let events = hear(
            &mut Inbound::default(),
            &PIECES,
            Some(&mut chain),
            &mut pool(),
            &input,
        );
        let pieces = [piece(true, false, 3, b"abc"), piece(false, true, 0, b"def")];
        assert_eq!(events[..2], pieces);
    }

    #[test]
    fn what_extensions_make_is_bounded_and_handed_on_in_pieces() {
        let hear_extended = |rules: &InboundRules, length: u8| {
            let zeros = vec![1; length.into()];
            let input = [b"\xa2".as_slice(), &[length], &zeros].concat();
            let mut chain = toy::chain(&[(2, 1)]);
            hear(
                &mut Inbound::default(),
                rules,
                Some(&mut chain),
                &mut pool(),
                &[&input],
            )
        };
        assert_eq!(
            hear_extended(&RULES, 101),
            [message(MessageKind::Binary, &[0; 100])]
        );
        assert!(matches!(
            hear_extended(&RULES, 102)[..],
            [Heard::Failed(Failure { code: TOO_BIG, .. })]
        ));
        let expected = [
            piece(true, false, 3, &[0; 3]),
            piece(false, true, 0, &[0; 3]),
        ];
        assert_eq!(hear_extended(&PIECES, 7), expected);
    }

    #[test]
    fn an_idle_half_stays_small() {
        assert!(size_of::<Inbound>() <= 64, "{}", size_of::<Inbound>());
    }
}
