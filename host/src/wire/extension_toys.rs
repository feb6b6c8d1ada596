//! Extensions for tests. Each undoes inbound what it does outbound.

use super::close_code::Failure;
use super::extension::{Extension, ExtensionChain, Independence, Passed, Piece, PieceSink};
use super::opcode::Opcode;

type Put<'a> = &'a mut dyn PieceSink;
type Answer = Result<Passed, Failure>;

/// A chain of these.
pub(crate) fn chain(toys: Vec<Box<dyn Extension>>) -> ExtensionChain {
    let mut chain = ExtensionChain::default();
    for toy in toys {
        chain.push(toy).unwrap();
    }
    chain
}

pub(crate) fn marks(bit: u8, xor: u8) -> Box<dyn Extension> {
    Box::new(Marks {
        bit,
        xor,
        awaits_mark: false,
    })
}

/// XORs the payload, puts a byte before it, and sets its bit on the first frame. Keeps nothing back.
struct Marks {
    bit: u8,
    xor: u8,
    awaits_mark: bool,
}

impl Marks {
    fn xored(&self, payload: &[u8]) -> Vec<u8> {
        payload.iter().map(|byte| byte ^ self.xor).collect()
    }
}

impl Extension for Marks {
    fn rsv_bits(&self) -> u8 {
        self.bit
    }

    fn opcodes(&self) -> u16 {
        0
    }

    fn independence(&self) -> Option<Independence> {
        Some(Independence {
            instance: self.bit.into(),
            number: self.xor.into(),
        })
    }

    fn inbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        let expected = if piece.message_first { self.bit } else { 0 };
        if piece.rsv != expected {
            return Err(Failure::protocol("the toy's bit is missing"));
        }
        self.awaits_mark |= piece.message_first;
        let payload = match piece.payload {
            [mark, rest @ ..] if self.awaits_mark => {
                self.awaits_mark = false;
                if *mark != self.xor {
                    return Err(Failure::protocol("the toy's mark is missing"));
                }
                rest
            }
            payload => payload,
        };
        let payload = &self.xored(payload);
        sink.put(Piece { payload, ..piece })?;
        Ok(Passed::Done)
    }

    fn outbound(&mut self, mut piece: Piece<'_>, sink: Put<'_>) -> Answer {
        if piece.message_first {
            let mark = Piece {
                rsv: piece.rsv | self.bit,
                frame_last: false,
                message_last: false,
                payload: &[self.xor],
                ..piece
            };
            sink.put(mark)?;
            piece.frame_first = false;
            piece.message_first = false;
            piece.rsv = 0;
        }
        let payload = &self.xored(piece.payload);
        sink.put(Piece { payload, ..piece })?;
        Ok(Passed::Done)
    }

    fn flush(&mut self, _: Put<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

pub(crate) fn splits(bit: u8, size: usize) -> Box<dyn Extension> {
    Box::new(Splits {
        bit,
        size,
        rsv: 0,
        whole: Vec::new(),
    })
}

/// Keeps a message until it is whole and sends it in frames of a size, all with its bit; each last of them in two
/// pieces. Inbound it passes what it gets.
struct Splits {
    bit: u8,
    size: usize,
    rsv: u8,
    whole: Vec<u8>,
}

impl Extension for Splits {
    fn rsv_bits(&self) -> u8 {
        self.bit
    }

    fn opcodes(&self) -> u16 {
        0
    }

    fn independence(&self) -> Option<Independence> {
        None
    }

    fn inbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        if piece.frame_first && piece.rsv != self.bit {
            return Err(Failure::protocol("the toy's bit is missing"));
        }
        sink.put(piece)?;
        Ok(Passed::Done)
    }

    fn outbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        if piece.message_first {
            self.rsv = piece.rsv;
        }
        self.whole.extend_from_slice(piece.payload);
        if !piece.message_last {
            return Ok(Passed::Done);
        }
        let whole = std::mem::take(&mut self.whole);
        let mut rest = whole.as_slice();
        let mut first = true;
        loop {
            let (payload, behind) = rest.split_at(self.size.min(rest.len()));
            let frame = Piece {
                rsv: self.bit | if first { self.rsv } else { 0 },
                message_first: first,
                message_last: behind.is_empty(),
                ..Piece::whole(piece.opcode, payload)
            };
            if !behind.is_empty() {
                sink.put(frame)?;
            } else {
                let (left, right) = payload.split_at(payload.len() / 2);
                let half = Piece {
                    frame_last: false,
                    message_last: false,
                    payload: left,
                    ..frame
                };
                sink.put(half)?;
                let half = Piece {
                    rsv: 0,
                    frame_first: false,
                    message_first: false,
                    payload: right,
                    ..frame
                };
                sink.put(half)?;
                return Ok(Passed::Done);
            }
            (rest, first) = (behind, false);
        }
    }

    fn flush(&mut self, _: Put<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

pub(crate) fn merges(bit: u8) -> Box<dyn Extension> {
    Box::new(Merges {
        bit,
        rsv: 0,
        gets: Vec::new(),
        holds: Vec::new(),
        count: 0,
    })
}

/// Makes one binary message of two: kind, RSV bits, length and bytes of each. Inbound it makes them two again.
struct Merges {
    bit: u8,
    rsv: u8,
    gets: Vec<u8>,
    holds: Vec<u8>,
    count: usize,
}

impl Extension for Merges {
    fn rsv_bits(&self) -> u8 {
        self.bit
    }

    fn opcodes(&self) -> u16 {
        0
    }

    fn independence(&self) -> Option<Independence> {
        None
    }

    fn inbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        self.gets.extend_from_slice(piece.payload);
        if piece.message_last {
            let gets = std::mem::take(&mut self.gets);
            let mut rest = gets.as_slice();
            while let [kind, a, b, c, d, behind @ ..] = rest {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                let (payload, behind) = behind
                    .split_at_checked(length)
                    .ok_or(Failure::protocol("the toy's length is wrong"))?;
                let message = Piece::whole(Opcode::from_bits(*kind), payload);
                sink.put(Piece {
                    rsv: kind >> 4,
                    ..message
                })?;
                rest = behind;
            }
        }
        Ok(Passed::Done)
    }

    fn outbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        if piece.message_first {
            self.rsv = piece.rsv;
        }
        self.gets.extend_from_slice(piece.payload);
        if piece.message_last {
            self.holds.push(piece.opcode.bits() | self.rsv << 4);
            let length = self.gets.len() as u32;
            self.holds.extend_from_slice(&length.to_be_bytes());
            self.holds.append(&mut self.gets);
            self.count += 1;
            if self.count == 2 {
                self.flush(sink)?;
            }
        }
        Ok(Passed::Done)
    }

    fn flush(&mut self, sink: Put<'_>) -> Result<(), Failure> {
        if std::mem::take(&mut self.count) > 0 {
            let merged = Piece {
                rsv: self.bit,
                ..Piece::whole(Opcode::Binary, &self.holds)
            };
            sink.put(merged)?;
            self.holds.clear();
        }
        Ok(())
    }
}

pub(crate) fn renames() -> Box<dyn Extension> {
    Box::new(Renames {
        opcode: Opcode::Binary,
        begins_frame: false,
        begins_message: false,
        count: 0,
    })
}

/// Sends all messages with opcode 3, kind and RSV bits before each frame, and behind it one with opcode 12 that counts.
struct Renames {
    opcode: Opcode,
    begins_frame: bool,
    begins_message: bool,
    count: u8,
}

impl Extension for Renames {
    fn rsv_bits(&self) -> u8 {
        0
    }

    fn opcodes(&self) -> u16 {
        1 << 3 | 1 << 12
    }

    fn independence(&self) -> Option<Independence> {
        None
    }

    fn inbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        if piece.opcode == Opcode::Reserved12 {
            self.count = self.count.wrapping_add(1);
            return match piece.payload == [self.count] {
                true => Ok(Passed::Vetoed),
                false => Err(Failure::protocol("the toy counts otherwise")),
            };
        }
        if piece.opcode != Opcode::Reserved3 {
            return Err(Failure::protocol("the toy's opcode is missing"));
        }
        self.begins_frame |= piece.frame_first;
        self.begins_message |= piece.message_first;
        if !self.begins_frame {
            let opcode = self.opcode;
            sink.put(Piece { opcode, ..piece })?;
            return Ok(Passed::Done);
        }
        let Some((head, payload)) = piece.payload.split_first() else {
            return Ok(Passed::Done);
        };
        self.begins_frame = false;
        self.opcode = Opcode::from_bits(*head & 0xF);
        let first = Piece {
            opcode: self.opcode,
            rsv: head >> 4,
            frame_first: true,
            message_first: std::mem::take(&mut self.begins_message),
            payload,
            ..piece
        };
        sink.put(first)?;
        Ok(Passed::Done)
    }

    fn outbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        let mut payload = Vec::new();
        if piece.frame_first {
            payload.push(piece.opcode.bits() | piece.rsv << 4);
        }
        payload.extend_from_slice(piece.payload);
        let renamed = Piece {
            opcode: Opcode::Reserved3,
            rsv: 0,
            payload: &payload,
            ..piece
        };
        sink.put(renamed)?;
        if piece.frame_last {
            self.count = self.count.wrapping_add(1);
            sink.put(Piece::whole(Opcode::Reserved12, &[self.count]))?;
        }
        Ok(Passed::Done)
    }

    fn flush(&mut self, _: Put<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Does in both directions what it is told, and nothing on a flush.
pub(crate) struct Scripted<F> {
    pub(crate) rsv_bits: u8,
    pub(crate) opcodes: u16,
    pub(crate) script: F,
}

/// One that owns RSV1 and opcode 3.
pub(crate) fn scripted(
    script: impl FnMut(Piece<'_>, Put<'_>) -> Answer + Send + 'static,
) -> Box<dyn Extension> {
    Box::new(Scripted {
        rsv_bits: 4,
        opcodes: 1 << 3,
        script,
    })
}

/// Lets no message pass whose first byte is this.
pub(crate) fn vetoes(byte: u8) -> Box<dyn Extension> {
    let script = move |piece: Piece<'_>, sink: Put<'_>| {
        if piece.message_first && piece.payload.first() == Some(&byte) {
            return Ok(Passed::Vetoed);
        }
        sink.put(piece)?;
        Ok(Passed::Done)
    };
    Box::new(Scripted {
        rsv_bits: 0,
        opcodes: 0,
        script,
    })
}

impl<F: FnMut(Piece<'_>, Put<'_>) -> Answer + Send> Extension for Scripted<F> {
    fn rsv_bits(&self) -> u8 {
        self.rsv_bits
    }

    fn opcodes(&self) -> u16 {
        self.opcodes
    }

    fn independence(&self) -> Option<Independence> {
        None
    }

    fn inbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        (self.script)(piece, sink)
    }

    fn outbound(&mut self, piece: Piece<'_>, sink: Put<'_>) -> Answer {
        (self.script)(piece, sink)
    }

    fn flush(&mut self, _: Put<'_>) -> Result<(), Failure> {
        Ok(())
    }
}
