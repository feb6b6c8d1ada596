//! The head of an HTTP/1.x request: strict about whatever two readers could understand differently.
//! RFC 9112 sections 2 to 5.

use std::sync::Arc;

use crate::limits::Limits;

use super::authority::{absolute_form, is_authority};
use super::eights::{below, beyond_ascii, equal, first};
use super::loose_lines::refuse_loose_lines;
pub use error::HeadError;
pub(crate) use fields::FieldRoom;
use fields::{Field, FieldList};
use reading::read;

mod error;
mod fields;
mod reading;

/// A request head, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// The method; letters count (`get` is not `GET`).
    pub method: &'a str,
    /// The request target as it was sent.
    pub target: &'a str,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Bytes of the head, with the empty line.
    pub len: usize,
    fields: FieldList<'a>,
}

/// What the input turned out to be.
#[derive(Debug)]
#[must_use = "it may be an error, or ask for more bytes"]
pub enum HeadParsed<'a> {
    /// A request head.
    Done(RequestHead<'a>),
    /// Good so far.
    Partial,
    /// Refused.
    Wrong(HeadError),
}

impl<'a> RequestHead<'a> {
    /// Reads a head from the beginning of `input`.
    pub fn parse(input: &'a [u8], limits: &Limits) -> HeadParsed<'a> {
        Self::parse_in(FieldRoom::default(), input, limits)
    }

    /// The same, with fields in the room of a head before.
    pub(crate) fn parse_in(room: FieldRoom, input: &'a [u8], limits: &Limits) -> HeadParsed<'a> {
        match Self::try_parse(FieldList::within(room), input, limits) {
            Ok(Some(head)) => HeadParsed::Done(head),
            Ok(None) => HeadParsed::Partial,
            Err(error) => HeadParsed::Wrong(error),
        }
    }

    /// The room of its fields, for the next head.
    pub(crate) fn into_room(self) -> FieldRoom {
        self.fields.into_room()
    }

    /// The value of a field, the first one if it is repeated.
    #[inline]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields(name).next()
    }

    /// Whether there is a field of that name.
    #[inline]
    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The values of a field, in order. The name is in any case of letters.
    #[inline]
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.named(name)
    }

    /// Name and value of the field with this index, of all.
    pub fn field_at(&self, index: usize) -> Option<(&'a str, &'a [u8])> {
        self.fields.get(index)
    }

    /// A head that was parsed before, from its parts.
    pub(crate) fn of_parts(
        method: &'a str,
        target: &'a str,
        minor_version: u8,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let mut list = FieldList::default();
        for (name, value) in fields {
            list.push(Field { name, value });
        }
        Self {
            method,
            target,
            minor_version,
            len: 0,
            fields: list,
        }
    }

    /// The target without its query; for the absolute form without scheme and authority too.
    pub fn path(&self) -> &'a str {
        let (_, path) = self.split_target();
        // A path is too short for what searches long texts.
        let mark = |eight| equal(eight, b'?');
        match first(path.as_bytes(), mark, |byte| byte == b'?') {
            // Of the absolute form only; RFC 9112 section 3.2.2.
            0 => "/",
            end => &path[..end],
        }
    }

    /// What follows the question mark of the target.
    pub fn query(&self) -> Option<&'a str> {
        let (_, path) = self.split_target();
        path.split_once('?').map(|(_, query)| query)
    }

    /// Whom the request is for: the authority of the target if it has one, else the Host field (RFC 9112 section 3.3).
    pub fn host(&self) -> &'a str {
        let (authority, _) = self.split_target();
        let field = || std::str::from_utf8(self.field("Host").unwrap_or_default());
        authority.unwrap_or_else(|| field().unwrap_or_default())
    }

    /// Authority and path of the target: `http://host/path` (absolute form), or `/path`, or `*`.
    fn split_target(&self) -> (Option<&'a str>, &'a str) {
        // As nearly always.
        if self.target.starts_with('/') {
            return (None, self.target);
        }
        let Some((_, rest)) = absolute_form(self.target) else {
            return (None, self.target);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        (Some(authority), if path.is_empty() { "/" } else { path })
    }

    fn try_parse(
        fields: FieldList<'a>,
        input: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<Self>, HeadError> {
        let Some(head) = read(fields, input, limits)? else {
            return Ok(None);
        };
        refuse_loose_lines(&input[..head.len])?;
        head.refuse_target(limits)?;
        head.refuse_long_fields(limits)?;
        head.refuse_host()?;
        Ok(Some(head))
    }

    /// Section 3.2, and RFC 3986 for the letters.
    fn refuse_target(&self, limits: &Limits) -> Result<(), HeadError> {
        if self.method == "CONNECT" {
            return Err(HeadError::Tunnel);
        }
        if self.target.len() as u64 > limits.request_target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        if !has_letters_of_a_target(self.target.as_bytes()) {
            return Err(HeadError::Malformed("character in the request target"));
        }
        let known_form = self.target.starts_with('/')
            || (self.target == "*" && self.method == "OPTIONS")
            || absolute_form(self.target).is_some_and(|(_, rest)| {
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                !authority.is_empty() && is_authority(authority.as_bytes())
            });
        if known_form {
            Ok(())
        } else {
            Err(HeadError::Malformed("form of the request target"))
        }
    }

    /// Each has a bound, and some have one of their own, over all their lines.
    fn refuse_long_fields(&self, limits: &Limits) -> Result<(), HeadError> {
        if self.fields.longest() > limits.request_field_bytes {
            return Err(HeadError::FieldTooLarge);
        }
        for bound in limits.per_field_bytes.iter() {
            let lengths = self.fields(&bound.name).map(|value| value.len() as u64);
            if lengths.sum::<u64>() > bound.bytes {
                return Err(HeadError::FieldAboveItsOwn {
                    name: Arc::clone(&bound.name),
                    bytes: bound.bytes,
                });
            }
        }
        Ok(())
    }

    /// Section 3.2: exactly one Host field in HTTP/1.1, never two, and a valid value.
    fn refuse_host(&self) -> Result<(), HeadError> {
        let mut hosts = self.fields("Host");
        match (hosts.next(), hosts.next()) {
            (None, _) if self.minor_version == 0 => Ok(()),
            (None, _) => Err(HeadError::Malformed("no Host field")),
            (Some(_), Some(_)) => Err(HeadError::Malformed("two Host fields")),
            (Some(host), None) if is_authority(host) => Ok(()),
            (Some(_), None) => Err(HeadError::Malformed("value of the Host field")),
        }
    }
}

/// RFC 3986 section 2; a fragment is never sent.
fn has_letters_of_a_target(bytes: &[u8]) -> bool {
    let marks =
        |eight| below(eight, 0x21) | beyond_ascii(eight) | equal(eight, 0x7f) | equal(eight, b'#');
    let is_other = |byte: u8| !byte.is_ascii_graphic() || byte == b'#';
    first(bytes, marks, is_other) == bytes.len()
}

#[cfg(test)]
mod tests;
