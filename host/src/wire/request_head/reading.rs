//! A head taken apart by `httparse`, and what is wrong with one that is not complete.

use std::mem::MaybeUninit;

use httparse::Status;

use super::fields::{Field, FieldList};
use super::{HeadError, RequestHead};
use crate::limits::Limits;
use crate::wire::loose_lines::refuse_loose_lines;

/// Up to so many fields are read without asking for memory: a few more than `limits.request_field_count` has by default.
const NEAR_FIELDS: usize = 128;

/// Takes a head apart; none while it is good so far and not complete.
pub(super) fn read<'a>(
    mut list: FieldList<'a>,
    input: &'a [u8],
    limits: &Limits,
) -> Result<Option<RequestHead<'a>>, HeadError> {
    let most = usize::try_from(limits.request_head_bytes).unwrap_or(usize::MAX);
    let most_fields = usize::try_from(limits.request_field_count).unwrap_or(usize::MAX);
    // As many as there could be: a field takes four bytes at least.
    let room = most_fields.min(input.len() / 4 + 1);
    // Where they are read to is not filled first, and not on the heap unless the limit is a large one.
    let mut near = [const { MaybeUninit::uninit() }; NEAR_FIELDS];
    let mut far = Vec::new();
    let fields = match near.get_mut(..room) {
        Some(near) => near,
        None => {
            far.resize(room, MaybeUninit::uninit());
            &mut far[..]
        }
    };
    let mut request = httparse::Request::new(&mut []);
    let seen = &input[..input.len().min(most)];
    let len = match request.parse_with_uninit_headers(seen, fields) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return refuse_partial(input, limits),
        Err(httparse::Error::Version) => match refused_version(input) {
            Some(error) => return Err(error),
            None => return refuse_partial(input, limits),
        },
        Err(error) => return Err(refused(error)),
    };
    let (Some(method), Some(target), Some(minor_version)) =
        (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed("no request line"));
    };
    for field in &*request.headers {
        let (name, value) = (field.name, field.value);
        list.push(Field { name, value });
    }
    Ok(Some(RequestHead {
        method,
        target,
        minor_version,
        len,
        fields: list,
    }))
}

/// A head that is not complete: what is wrong already is refused already.
fn refuse_partial<T>(input: &[u8], limits: &Limits) -> Result<Option<T>, HeadError> {
    if input.len() as u64 >= limits.request_head_bytes {
        refuse_long_target(input, limits)?;
        return Err(HeadError::TooLarge);
    }
    refuse_loose_lines(input)?;
    refuse_long_target(input, limits)?;
    Ok(None)
}

/// A request line that is not complete, and whose target is above the limit already.
fn refuse_long_target(input: &[u8], limits: &Limits) -> Result<(), HeadError> {
    let line = input.trim_ascii_start();
    let line = line.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    if target.len() as u64 > limits.request_target_bytes {
        Err(HeadError::TargetTooLong)
    } else {
        Ok(())
    }
}

/// What is wrong with the last part of the request line: a version that is not served, or none at all (section 3 has 400
/// for that). The same however much of it has come; `None` while it may be either.
fn refused_version(input: &[u8]) -> Option<HeadError> {
    const SHAPE: &[u8] = b"HTTP/0.0";
    let line = input.trim_ascii_start();
    let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let is_complete = end.is_some();
    let line = &line[..end.unwrap_or(line.len())];
    let version = line.splitn(3, |byte| *byte == b' ').nth(2);
    let version = version.unwrap_or_default();
    let fits = version.len() <= SHAPE.len()
        && version
            .iter()
            .zip(SHAPE)
            .all(|(byte, shape)| byte == shape || *shape == b'0' && byte.is_ascii_digit());
    if !fits {
        return Some(HeadError::Malformed("version of HTTP"));
    }
    is_complete.then_some(if version.len() == SHAPE.len() {
        HeadError::Version
    } else {
        HeadError::Malformed("version of HTTP")
    })
}

fn refused(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName => HeadError::Malformed("field name, or a folded line"),
        httparse::Error::HeaderValue => HeadError::Malformed("field value"),
        httparse::Error::NewLine => HeadError::Malformed("end of a line"),
        httparse::Error::Token | httparse::Error::Status => HeadError::Malformed("request line"),
    }
}
