//! The lines of a request head, each read once: RFC 9112 sections 2 to 5, with none of its leniency. Lines end with CR LF
//! and with nothing else, one blank stands between the parts of the request line, no field is folded, and no blank stands
//! before a colon.
//!
//! What is wrong is refused as soon as it is there, however much of the head is still to come.

use super::error::HeadError;
use super::stops::{target_end, token_end, value_end};
use super::{Field, FieldList};
use crate::limits::Limits;

/// Why there is no head.
pub(super) enum Stop {
    /// Good so far.
    Partial,
    Wrong(HeadError),
}

impl From<HeadError> for Stop {
    fn from(error: HeadError) -> Self {
        Self::Wrong(error)
    }
}

const fn malformed(what: &'static str) -> Stop {
    Stop::Wrong(HeadError::Malformed(what))
}

/// The parts of a request line.
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) minor_version: u8,
}

/// What of a head was not read yet.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The request line, behind empty ones (section 2.2).
    pub(super) fn request_line(&mut self, limits: &Limits) -> Result<RequestLine<'a>, Stop> {
        while let Some(rest) = self.0.strip_prefix(b"\r\n") {
            self.0 = rest;
        }
        if self.0 == b"\r" {
            return Err(Stop::Partial);
        }
        Ok(RequestLine {
            method: self.method()?,
            target: self.target(limits.request_target_bytes)?,
            minor_version: self.version()?,
        })
    }

    fn method(&mut self) -> Result<&'a str, Stop> {
        // As nearly all.
        if let Some(rest) = self.0.strip_prefix(b"GET ") {
            self.0 = rest;
            return Ok("GET");
        }
        let end = token_end(self.0);
        self.word(end, malformed("request line"))
    }

    fn target(&mut self, most: u64) -> Result<&'a str, Stop> {
        let end = target_end(self.0);
        if end as u64 > most {
            return Err(HeadError::TargetTooLong.into());
        }
        let wrong = match self.0.get(end) {
            Some(b' ' | b'\r' | b'\n') => "request line",
            _ => "character in the request target",
        };
        self.word(end, malformed(wrong))
    }

    /// What ends at `end` with a blank, and is not empty.
    fn word(&mut self, end: usize, wrong: Stop) -> Result<&'a str, Stop> {
        match self.0.split_at_checked(end) {
            Some((_, [])) => Err(Stop::Partial),
            Some((word @ [_, ..], [b' ', rest @ ..])) => {
                self.0 = rest;
                std::str::from_utf8(word).map_err(|_| wrong)
            }
            _ => Err(wrong),
        }
    }

    fn version(&mut self) -> Result<u8, Stop> {
        let (minor_version, rest) = match self.0 {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', rest @ ..] => (1, rest),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', rest @ ..] => (0, rest),
            other => return Err(refused_version(other)),
        };
        self.0 = rest;
        self.end_line("version of HTTP")?;
        Ok(minor_version)
    }

    /// All fields, with the empty line behind them.
    pub(super) fn fields(
        &mut self,
        fields: &mut FieldList<'a>,
        limits: &Limits,
    ) -> Result<(), Stop> {
        loop {
            if let [b'\r', rest @ ..] = self.0 {
                return match rest {
                    [b'\n', rest @ ..] => {
                        self.0 = rest;
                        Ok(())
                    }
                    [] => Err(Stop::Partial),
                    _ => Err(malformed("CR without LF")),
                };
            }
            if self.0.is_empty() {
                return Err(Stop::Partial);
            }
            if fields.len() as u64 >= limits.request_field_count {
                return Err(HeadError::TooLarge.into());
            }
            let field = self.field()?;
            if (field.name.len() + field.value.len()) as u64 > limits.request_field_bytes {
                return Err(HeadError::FieldTooLarge.into());
            }
            fields.push(field);
        }
    }

    /// The line of a field (section 5).
    fn field(&mut self) -> Result<Field<'a>, Stop> {
        let (name, mut rest) = self.0.split_at(token_end(self.0));
        rest = match rest {
            [] => return Err(Stop::Partial),
            [b':', rest @ ..] if !name.is_empty() => rest,
            _ => return Err(malformed("field name, or a folded line")),
        };
        while let [b' ' | b'\t', behind @ ..] = rest {
            rest = behind;
        }
        let (mut value, rest) = rest.split_at(value_end(rest));
        while let [before @ .., b' ' | b'\t'] = value {
            value = before;
        }
        self.0 = rest;
        self.end_line("field value")?;
        Ok(Field { name, value })
    }

    /// The end of a line, whose content is as `what` says.
    fn end_line(&mut self, what: &'static str) -> Result<(), Stop> {
        match self.0 {
            [b'\r', b'\n', rest @ ..] => {
                self.0 = rest;
                Ok(())
            }
            [] | [b'\r'] => Err(Stop::Partial),
            [b'\r', ..] => Err(malformed("CR without LF")),
            [b'\n', ..] => Err(malformed("LF without CR")),
            _ => Err(malformed(what)),
        }
    }
}

/// What is wrong with the last part of a request line: a version that is not served, or none at all (section 3 has 400 for
/// that). The same however much of it has come; nothing while it may be either.
#[cold]
fn refused_version(rest: &[u8]) -> Stop {
    const SHAPE: &[u8] = b"HTTP/0.0";
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let version = &rest[..end.unwrap_or(rest.len())];
    let fits = version.len() <= SHAPE.len()
        && version
            .iter()
            .zip(SHAPE)
            .all(|(byte, shape)| byte == shape || *shape == b'0' && byte.is_ascii_digit());
    if !fits {
        return malformed("version of HTTP");
    }
    match end {
        None => Stop::Partial,
        Some(_) if version.len() == SHAPE.len() => HeadError::Version.into(),
        Some(_) => malformed("version of HTTP"),
    }
}
