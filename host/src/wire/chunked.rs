//! The chunked transfer coding, both ways. RFC 9112 section 7.1.

use std::io::Write as _;

use super::fields::{Fields, check};

/// Hexadecimal digits of a chunk size that are taken: enough for 2^60.
const SIZE_DIGITS: u8 = 15;
/// Bytes of extensions of one chunk that are skipped.
const EXTENSION_BYTES: u16 = 256;

/// Reads a chunked body from whatever pieces it comes in.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// The trailer so far; nothing on the heap without one.
    trailer: Vec<u8>,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        skipped: u16,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// In the trailer, at the beginning of a line or inside one.
    Trailer,
    Done,
}

/// What a chunked body turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// Good so far; all of the input is used up.
    Need,
    /// Content.
    Data(&'a [u8]),
    /// The body is complete.
    End(Fields),
}

/// Why a chunked body is refused, with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// No hexadecimal digits, or more than any body has.
    #[error("bad chunk size")]
    Size,
    /// Too long, or with a control character.
    #[error("bad chunk extension")]
    Extension,
    /// Not CR LF where a chunk or its size ends.
    #[error("a chunk does not end with CR LF")]
    End,
    /// Not fields as in a head.
    #[error("bad trailer")]
    Trailer,
    /// Above `limits.request_head_bytes`.
    #[error("trailer too large: see limits.request_head_bytes")]
    TrailerTooLarge,
}

impl Decoder {
    /// At the beginning of a body whose trailer may have so many bytes.
    #[must_use]
    pub fn new(trailer_bytes: usize) -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            trailer: Vec::new(),
            trailer_bytes,
        }
    }

    /// Reads on; says how many bytes of the input that took.
    ///
    /// # Errors
    ///
    /// [`ChunkError`], after which nothing on the connection can be understood.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Decoded<'a>), ChunkError> {
        let mut at = 0;
        while at < input.len() {
            if let State::Data { left } = &mut self.state {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = &input[at..][..most.min(input.len() - at)];
                *left -= data.len() as u64;
                if *left == 0 {
                    self.state = State::DataCr;
                }
                return Ok((at + data.len(), Decoded::Data(data)));
            }
            let byte = input[at];
            at += 1;
            self.state = self.step(byte)?;
            if self.state == State::Done {
                let trailer = std::mem::take(&mut self.trailer);
                return Ok((at, Decoded::End(parse_trailer(&trailer)?)));
            }
        }
        Ok((at, Decoded::Need))
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match self.state {
            State::Size { size, digits } => match (byte as char).to_digit(16) {
                Some(_) if digits == SIZE_DIGITS => Err(ChunkError::Size),
                Some(digit) => Ok(State::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }),
                None if digits == 0 => Err(ChunkError::Size),
                None => match byte {
                    b'\r' => Ok(State::SizeLf { size }),
                    b';' => Ok(State::Extension { size, skipped: 0 }),
                    _ => Err(ChunkError::Size),
                },
            },
            State::Extension { size, .. } if byte == b'\r' => Ok(State::SizeLf { size }),
            State::Extension { size, skipped } => {
                let is_text = byte == b'\t' || !byte.is_ascii_control();
                if !is_text || skipped == EXTENSION_BYTES {
                    return Err(ChunkError::Extension);
                }
                Ok(State::Extension {
                    size,
                    skipped: skipped + 1,
                })
            }
            State::SizeLf { size: 0 } if byte == b'\n' => Ok(State::Trailer),
            State::SizeLf { size } if byte == b'\n' => Ok(State::Data { left: size }),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size { size: 0, digits: 0 }),
            State::SizeLf { .. } | State::DataCr | State::DataLf => Err(ChunkError::End),
            State::Trailer => self.trailer(byte),
            state @ (State::Data { .. } | State::Done) => Ok(state),
        }
    }

    /// Gathers the trailer up to the empty line.
    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.trailer.push(byte);
        if self.trailer == b"\r\n" || self.trailer.ends_with(b"\r\n\r\n") {
            return Ok(State::Done);
        }
        if self.trailer.len() > self.trailer_bytes {
            return Err(ChunkError::TrailerTooLarge);
        }
        Ok(State::Trailer)
    }
}

/// Fields as strict as those of a head. What would change how the body is read is left out (section 6.5.1).
fn parse_trailer(bytes: &[u8]) -> Result<Fields, ChunkError> {
    let mut fields = Fields::new();
    let text = bytes.strip_suffix(b"\r\n").ok_or(ChunkError::Trailer)?;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").ok_or(ChunkError::Trailer)?;
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or(ChunkError::Trailer)?);
        let name = std::str::from_utf8(name).map_err(|_| ChunkError::Trailer)?;
        let value = trim_blanks(&value[1..]);
        check(name, value).map_err(|_| ChunkError::Trailer)?;
        // Framing behind the frame means nothing.
        let _ = fields.add(name, value);
    }
    Ok(fields)
}

/// What stands around a value is blanks and tabs, and nothing else (RFC 9110 section 5.5).
fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Appends one chunk; nothing for no data, which would be the last one.
pub fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    // A `Vec` takes all that is written.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailer.
pub fn put_end(out: &mut Vec<u8>, trailer: &Fields) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailer.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Content, trailer and what is left of the input.
    fn decode(mut input: &[u8], step: usize) -> Result<(Vec<u8>, Fields, usize), ChunkError> {
        let mut decoder = Decoder::new(100);
        let (mut data, whole) = (Vec::new(), input.len());
        let mut given = 0;
        loop {
            let end = (given + step).min(whole);
            let piece = &input[..end - (whole - input.len())];
            let (used, decoded) = decoder.next(piece)?;
            input = &input[used..];
            match decoded {
                Decoded::Data(bytes) => data.extend_from_slice(bytes),
                Decoded::End(trailer) => return Ok((data, trailer, input.len())),
                Decoded::Need => {
                    assert!(end < whole, "the body ends too early");
                    given = end;
                }
            }
        }
    }

    const BODY: &[u8] =
        b"4\r\nWiki\r\n6;a=\"b\"\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nX-Sum: 7\r\nContent-Length: 5\r\n\r\nGET";

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_it_comes() {
        for step in 1..=BODY.len() {
            let (data, trailer, left) = decode(BODY, step).unwrap();
            assert_eq!(data, b"Wikipedia in \r\n\r\nchunks.", "{step}");
            assert_eq!(trailer.as_bytes(), b"X-Sum: 7\r\n");
            assert_eq!(left, 3);
        }
    }

    #[test]
    fn what_is_loose_is_refused() {
        for (body, error) in [
            (&b"\r\n"[..], ChunkError::Size),
            (b"g\r\n", ChunkError::Size),
            (b" 4\r\nWiki\r\n", ChunkError::Size),
            (b"4 \r\nWiki\r\n", ChunkError::Size),
            (b"0x4\r\n", ChunkError::Size),
            (b"-1\r\n", ChunkError::Size),
            (b"1234567890abcdef\r\n", ChunkError::Size),
            (b"4\nWiki\r\n", ChunkError::Size),
            (b"4\r\rWiki\r\n", ChunkError::End),
            (b"4\r\nWikipedia\r\n", ChunkError::End),
            (b"4\r\nWiki\n", ChunkError::End),
            (b"4;\n\r\nWiki\r\n", ChunkError::Extension),
            (b"0\r\nno colon\r\n\r\n", ChunkError::Trailer),
            (b"0\r\nA : b\r\n\r\n", ChunkError::Trailer),
            (b"0\r\nA: b\r\n folded\r\n\r\n", ChunkError::Trailer),
            (b"0\r\nA: b\n\r\n\r\n", ChunkError::Trailer),
            (b"0\r\nA: b\r\r\n\r\n", ChunkError::Trailer),
            (b"0\r\nA:\x0cb\r\n\r\n", ChunkError::Trailer),
        ] {
            assert_eq!(decode(body, body.len()), Err(error), "{body:?}");
        }
        let long = [b"0\r\nA: ".as_slice(), &[b'b'; 100], b"\r\n\r\n"].concat();
        assert_eq!(decode(&long, 1), Err(ChunkError::TrailerTooLarge));
        let long = [b"1;".as_slice(), &[b'b'; 300], b"\r\na\r\n"].concat();
        assert_eq!(decode(&long, 1), Err(ChunkError::Extension));
    }

    #[test]
    fn what_we_write_we_can_read() {
        let mut out = Vec::new();
        put_chunk(&mut out, b"hello ");
        put_chunk(&mut out, b"");
        put_chunk(&mut out, &[b'x'; 300]);
        let mut trailer = Fields::new();
        trailer.set("X-Sum", 7);
        put_end(&mut out, &trailer);
        let (data, read, left) = decode(&out, out.len()).unwrap();
        assert_eq!((data.len(), read, left), (306, trailer, 0));
    }
}
