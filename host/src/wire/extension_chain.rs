//! The extensions of one connection, one behind the other, and who owns what.
//!
//! Each link hands on what it makes as it makes it: between two links nothing is kept. What a link or the end of the
//! chain gets is judged there, sequence and size, so the blame is never with the one that is called.

use std::fmt;
use std::mem;

use super::close_code::{
    CONTROL_PAYLOAD_BYTES, Failure, INTERNAL_ERROR, TOO_LARGE, may_stand_in_frame,
};
use super::extension::{
    Extension, Independence, LATE_VETO, NOT_OWNED, OUT_OF_SEQUENCE, Passed, Piece, PieceSink,
};
use super::opcode::{Opcode, RESERVED_OPCODES};

/// More links than this share nothing with other connections.
const KEYED_LINKS: usize = 4;

/// The extensions of one connection in the order in which they were agreed on: outbound the first one is the first to
/// get a message, inbound the last one.
#[derive(Default)]
pub struct ExtensionChain {
    links: Vec<Link>,
    rsv_bits: u8,
    opcodes: u16,
    /// What comes out of the chain for us.
    inward: Sequence,
    /// What comes out of the chain for the wire.
    outward: Sequence,
    failed: Option<Failure>,
}

struct Link {
    extension: Box<dyn Extension>,
    place: Place,
}

/// What the chain knows of a link.
struct Place {
    independence: Option<Independence>,
    opcodes: u16,
    rsv_bits: u8,
    /// Also of those before it: what may be set on the frames it puts.
    rsv_bits_up_to_here: u8,
    inbound: Side,
    outbound: Side,
}

/// One direction of a link.
#[derive(Default)]
struct Side {
    /// What it gets.
    got: Sequence,
    /// Ended frames that it got and did not put. Meaningful outbound.
    owes: u32,
    /// RSV bits of the others on what it got, for the next frame it puts. Meaningful inbound.
    others_rsv: u8,
    /// The message was vetoed.
    skips: bool,
}

/// Where a sequence of pieces stands.
#[derive(Clone, Copy, Default)]
struct Sequence {
    /// Bytes of the message so far.
    bytes: u64,
    message: Option<Opcode>,
    in_frame: bool,
}

/// What two connections of a service thread have in common if they make the same frames of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainKey([Option<Independence>; KEYED_LINKS]);

/// Why an extension cannot be agreed on together with those that were agreed on before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// These RSV bits have an owner.
    Rsv(u8),
    /// These opcodes have an owner: bit n for opcode n.
    Opcodes(u16),
    /// These opcodes have a meaning, and no extension can own them.
    NotReserved(u16),
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rsv(bits) => {
                write_bits(f, "RSV", (1..=3).filter(|bit| bits >> (3 - bit) & 1 != 0))?;
                f.write_str(": another extension owns it")
            }
            Self::Opcodes(opcodes) => {
                write_bits(f, "opcode ", ones(opcodes))?;
                f.write_str(": another extension owns it")
            }
            Self::NotReserved(opcodes) => {
                write_bits(f, "opcode ", ones(opcodes))?;
                f.write_str(": RFC 6455 gives it a meaning; 3 to 7 and 11 to 15 can be owned")
            }
        }
    }
}

fn ones(bits: u16) -> impl Iterator<Item = u32> {
    (0..16).filter(move |bit| bits >> bit & 1 != 0)
}

fn write_bits(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    bits: impl Iterator<Item = u32>,
) -> fmt::Result {
    for (index, bit) in bits.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{name}{bit}")?;
    }
    Ok(())
}

/// Which way a piece goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Way {
    fn next(self, links: &mut [Link]) -> Option<(&mut Link, &mut [Link])> {
        match self {
            Self::In => links.split_last_mut(),
            Self::Out => links.split_first_mut(),
        }
    }
}

/// What is the same for all links during one call.
struct Run<'r> {
    way: Way,
    /// The largest message that a link may put.
    limit: u64,
    /// What comes out of the chain.
    end: &'r mut dyn PieceSink,
    at_end: &'r mut Sequence,
    vetoed: bool,
}

impl ExtensionChain {
    /// Adds an extension behind the others.
    ///
    /// # Errors
    /// [`Taken`] if what it owns has an owner or cannot be owned; it is dropped then.
    pub fn push(&mut self, extension: Box<dyn Extension>) -> Result<(), Taken> {
        let (rsv_bits, opcodes) = (extension.rsv_bits() & 0x7, extension.opcodes());
        if opcodes & !RESERVED_OPCODES != 0 {
            return Err(Taken::NotReserved(opcodes & !RESERVED_OPCODES));
        }
        if rsv_bits & self.rsv_bits != 0 {
            return Err(Taken::Rsv(rsv_bits & self.rsv_bits));
        }
        if opcodes & self.opcodes != 0 {
            return Err(Taken::Opcodes(opcodes & self.opcodes));
        }
        self.rsv_bits |= rsv_bits;
        self.opcodes |= opcodes;
        self.links.push(Link {
            place: Place {
                independence: extension.independence(),
                opcodes,
                rsv_bits,
                rsv_bits_up_to_here: self.rsv_bits,
                inbound: Side::default(),
                outbound: Side::default(),
            },
            extension,
        });
        Ok(())
    }

    /// Whether nothing was agreed on.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The opcodes that have an owner: bit n for opcode n.
    pub fn opcodes(&self) -> u16 {
        self.opcodes
    }

    /// The RSV bits that may stand in a frame of a message that began with this opcode: those with an owner that gets
    /// to see it.
    pub fn rsv_bits(&self, opcode: Opcode) -> u8 {
        match opcode {
            Opcode::Text | Opcode::Binary => self.rsv_bits,
            _ => {
                let mut places = self.links.iter().map(|link| &link.place);
                let owner = places.find(|place| place.takes(opcode));
                owner.map_or(0, |place| place.rsv_bits)
            }
        }
    }

    /// Set if all extensions are independent: what they make of a message may be sent to all connections of this
    /// service thread that have the same key.
    pub fn key(&self) -> Option<ChainKey> {
        if self.links.len() > KEYED_LINKS {
            return None;
        }
        let mut key = [None; KEYED_LINKS];
        for (part, link) in key.iter_mut().zip(&self.links) {
            *part = Some(link.place.independence?);
        }
        Some(ChainKey(key))
    }

    /// Whether an extension may hold back something that was sent.
    pub fn is_holding(&self) -> bool {
        self.links.iter().any(|link| link.place.outbound.owes > 0)
    }

    /// Whether the wire is between two messages.
    pub fn is_between_messages(&self) -> bool {
        self.outward.message.is_none()
    }

    /// Why it can be used no more.
    pub fn failed(&self) -> Option<Failure> {
        self.failed
    }

    /// What has come in of a message is handed on and counts no more against the limit.
    pub fn forget_sizes(&mut self) {
        self.inward.bytes = 0;
        for link in &mut self.links {
            link.place.inbound.got.bytes = 0;
        }
    }

    /// Passes a piece from the wire through the extensions, the last one first. What one of them makes of a message is
    /// bounded by `limit` bytes.
    ///
    /// # Errors
    /// The failure of the connection.
    pub fn inbound(
        &mut self,
        piece: Piece<'_>,
        limit: u64,
        end: &mut dyn PieceSink,
    ) -> Result<(), Failure> {
        self.run(Way::In, limit, end, |links, run| {
            pass(links, run, piece, u64::MAX)
        })
        .map(|_| ())
    }

    /// Passes a whole frame for the wire through the extensions. A message that is vetoed is over.
    ///
    /// # Errors
    /// The failure of the connection.
    pub fn outbound(
        &mut self,
        piece: Piece<'_>,
        end: &mut dyn PieceSink,
    ) -> Result<Passed, Failure> {
        self.run(Way::Out, u64::MAX, end, |links, run| {
            pass(&mut *links, run, piece, u64::MAX)?;
            if run.vetoed && !piece.message_last {
                // Those before the one that vetoed have seen it begin.
                let rest = Piece {
                    message_first: false,
                    message_last: true,
                    payload: b"",
                    ..piece
                };
                pass(links, run, rest, u64::MAX)?;
            }
            Ok(())
        })
    }

    /// Has the extensions put what they hold back: those that owe something, or `all`.
    ///
    /// # Errors
    /// The failure of the connection.
    pub fn flush(&mut self, all: bool, end: &mut dyn PieceSink) -> Result<(), Failure> {
        self.run(Way::Out, u64::MAX, end, |mut links, run| {
            while let Some((link, rest)) = links.split_first_mut() {
                let Link { extension, place } = link;
                if all || place.outbound.owes > 0 {
                    let mut sink = LinkSink::new(place, &mut *rest, run);
                    let flushed = extension.flush(&mut sink);
                    sink.judge(flushed)?;
                    place.outbound.owes = 0;
                }
                links = rest;
            }
            Ok(())
        })
        .map(|_| ())
    }

    fn run(
        &mut self,
        way: Way,
        limit: u64,
        end: &mut dyn PieceSink,
        pass: impl FnOnce(&mut [Link], &mut Run<'_>) -> Result<(), Failure>,
    ) -> Result<Passed, Failure> {
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        let at_end = match way {
            Way::In => &mut self.inward,
            Way::Out => &mut self.outward,
        };
        let mut run = Run {
            way,
            limit,
            end,
            at_end,
            vetoed: false,
        };
        match pass(&mut self.links, &mut run) {
            Ok(()) if run.vetoed => Ok(Passed::Vetoed),
            Ok(()) => Ok(Passed::Done),
            Err(failure) => {
                self.failed = Some(failure);
                Err(failure)
            }
        }
    }
}

impl Place {
    /// Whether the extension gets to see frames of such messages.
    fn takes(&self, opcode: Opcode) -> bool {
        matches!(opcode, Opcode::Text | Opcode::Binary) || opcode.is_among(self.opcodes)
    }

    fn side(&mut self, way: Way) -> &mut Side {
        match way {
            Way::In => &mut self.inbound,
            Way::Out => &mut self.outbound,
        }
    }
}

/// Passes a piece to the next link that takes it, or out of the chain. `limit` bounds its message.
fn pass(
    mut links: &mut [Link],
    run: &mut Run<'_>,
    mut piece: Piece<'_>,
    limit: u64,
) -> Result<(), Failure> {
    let (link, rest) = loop {
        match run.way.next(links) {
            Some((link, rest)) if link.place.takes(piece.opcode) => break (link, rest),
            Some((_, rest)) => links = rest,
            None => {
                run.at_end.advance(&piece, limit)?;
                return run.end.put(piece);
            }
        }
    };
    let Link { extension, place } = link;
    let (way, own_bits) = (run.way, place.rsv_bits);
    let side = place.side(way);
    side.got.advance(&piece, limit)?;
    let is_control = piece.opcode.is_control();
    if side.skips && !is_control {
        side.skips = !piece.message_last;
        return Ok(());
    }
    let (others_rsv, owes) = (side.others_rsv, side.owes);
    side.owes = owes.saturating_add(piece.frame_last.into());
    if way == Way::In {
        side.others_rsv |= piece.rsv & !own_bits;
        piece.rsv &= own_bits;
    }
    let mut sink = LinkSink::new(place, rest, run);
    let passed = match way {
        Way::In => extension.inbound(piece, &mut sink),
        Way::Out => extension.outbound(piece, &mut sink),
    };
    let has_put = sink.has_put;
    match sink.judge(passed)? {
        Passed::Done => Ok(()),
        Passed::Vetoed if piece.message_first && !has_put => {
            let side = place.side(way);
            side.others_rsv = others_rsv;
            side.owes = owes;
            side.skips |= !piece.message_last;
            run.vetoed = true;
            Ok(())
        }
        Passed::Vetoed => Err(LATE_VETO),
    }
}

/// What one extension puts.
struct LinkSink<'a, 'r> {
    place: &'a mut Place,
    /// Those who come after it.
    rest: &'a mut [Link],
    run: &'a mut Run<'r>,
    has_put: bool,
    failed: Option<Failure>,
}

impl<'a, 'r> LinkSink<'a, 'r> {
    fn new(place: &'a mut Place, rest: &'a mut [Link], run: &'a mut Run<'r>) -> Self {
        Self {
            place,
            rest,
            run,
            has_put: false,
            failed: None,
        }
    }

    /// What failed in the sink counts, whatever the extension made of it.
    fn judge<A>(self, answer: Result<A, Failure>) -> Result<A, Failure> {
        match (self.failed, answer) {
            (Some(failure), _) => Err(failure),
            (None, Err(failure)) if !may_stand_in_frame(failure.code) => Err(Failure {
                code: INTERNAL_ERROR,
                ..failure
            }),
            (None, answer) => answer,
        }
    }

    fn hand_on(&mut self, mut piece: Piece<'_>) -> Result<(), Failure> {
        let place = &mut *self.place;
        match self.run.way {
            Way::In => {
                piece.rsv &= !place.rsv_bits;
                if piece.frame_first {
                    piece.rsv |= mem::take(&mut place.inbound.others_rsv);
                }
            }
            Way::Out => {
                let (may_use, bits) = match piece.opcode {
                    Opcode::Text | Opcode::Binary => (true, place.rsv_bits_up_to_here),
                    opcode => (opcode.is_among(place.opcodes), place.rsv_bits),
                };
                if !may_use || piece.rsv & !bits != 0 {
                    return Err(NOT_OWNED);
                }
            }
        }
        let side = place.side(self.run.way);
        side.owes = side.owes.saturating_sub(piece.frame_last.into());
        let limit = self.run.limit;
        pass(&mut *self.rest, &mut *self.run, piece, limit)
    }
}

impl PieceSink for LinkSink<'_, '_> {
    fn put(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        if let Some(failure) = self.failed {
            return Err(failure);
        }
        self.has_put = true;
        self.hand_on(piece)
            .inspect_err(|failure| self.failed = Some(*failure))
    }
}

impl Sequence {
    /// Judges the next piece.
    fn advance(&mut self, piece: &Piece<'_>, limit: u64) -> Result<(), Failure> {
        let whole = piece.frame_first && piece.frame_last;
        let has_order = match (piece.opcode, self.message) {
            (Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong, _) => false,
            (opcode, _) if opcode.is_control() => {
                let is_message = piece.message_first && piece.message_last;
                let is_short = piece.payload.len() <= CONTROL_PAYLOAD_BYTES;
                return match whole && is_message && is_short && !self.in_frame {
                    true => Ok(()),
                    false => Err(OUT_OF_SEQUENCE),
                };
            }
            (_, None) => piece.message_first,
            (opcode, Some(begun)) => !piece.message_first && opcode == begun,
        };
        let has_order = has_order
            && piece.frame_first != self.in_frame
            && (piece.frame_first || !piece.message_first && piece.rsv == 0)
            && (piece.frame_last || !piece.message_last);
        if !has_order {
            return Err(OUT_OF_SEQUENCE);
        }
        let before = if piece.message_first { 0 } else { self.bytes };
        let bytes = before.saturating_add(piece.payload.len() as u64);
        if bytes > limit {
            return Err(TOO_LARGE);
        }
        *self = Self {
            bytes,
            message: (!piece.message_last).then_some(piece.opcode),
            in_frame: !piece.frame_last,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
