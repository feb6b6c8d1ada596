//! How long the body of a request is: RFC 9112 section 6, with none of its leniency, since what two readers understand
//! differently is how requests are smuggled.

use super::request_head::RequestHead;

/// What follows the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; 0 without a body.
    Exact(u64),
    /// Chunks, up to the last one and the trailer.
    Chunked,
}

/// Why the length of a body is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// Section 6.3: not one decimal number.
    #[error("Content-Length is not one number")]
    Length,
    /// Sections 6.1 and 6.3.
    #[error("Content-Length beside Transfer-Encoding")]
    Both,
    /// Section 6.1.
    #[error("Transfer-Encoding in HTTP/1.0")]
    Version,
    /// Section 6.1: a coding other than `chunked`, once.
    #[error("a transfer coding other than chunked")]
    Coding,
}

impl LengthError {
    /// The status code of the answer; RFC 9112 section 6.1 for 501.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Coding => 501,
            _ => 400,
        }
    }
}

impl BodyLength {
    /// What the fields of a request say.
    ///
    /// # Errors
    ///
    /// [`LengthError`], after which nothing on the connection can be understood.
    pub fn of(head: &RequestHead<'_>) -> Result<Self, LengthError> {
        let mut lengths = head.fields("Content-Length");
        let mut codings = head.fields("Transfer-Encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(Self::Exact(0)),
            (Some(_), Some(_)) => Err(LengthError::Both),
            (Some(length), None) if lengths.next().is_none() => {
                decimal(length).map(Self::Exact).ok_or(LengthError::Length)
            }
            (Some(_), None) => Err(LengthError::Length),
            (None, Some(_)) if head.minor_version == 0 => Err(LengthError::Version),
            (None, Some(coding)) => {
                let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
                if is_chunked && codings.next().is_none() {
                    Ok(Self::Chunked)
                } else {
                    Err(LengthError::Coding)
                }
            }
        }
    }
}

/// Digits only: no sign, no blank, nothing that does not fit.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limits, wire::request_head::HeadParsed};

    fn length(version: &str, fields: &str) -> Result<BodyLength, LengthError> {
        let input = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        match RequestHead::parse(input.as_bytes(), &Limits::default()) {
            HeadParsed::Done(head) => BodyLength::of(&head),
            other => panic!("{input:?}: {other:?}"),
        }
    }

    #[test]
    fn a_body_has_a_length_or_chunks_or_is_not_there() {
        assert_eq!(length("1.1", ""), Ok(BodyLength::Exact(0)));
        assert_eq!(
            length("1.1", "Content-Length: 7\r\n"),
            Ok(BodyLength::Exact(7))
        );
        for coding in ["chunked", "Chunked"] {
            let field = format!("Transfer-Encoding: {coding}\r\n");
            assert_eq!(length("1.1", &field), Ok(BodyLength::Chunked));
        }
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        for (fields, error) in [
            (
                "Content-Length: 1\r\nContent-Length: 1\r\n",
                LengthError::Length,
            ),
            ("Content-Length: 1, 1\r\n", LengthError::Length),
            ("Content-Length: +1\r\n", LengthError::Length),
            ("Content-Length: 0x1\r\n", LengthError::Length),
            ("Content-Length: \r\n", LengthError::Length),
            (
                "Content-Length: 18446744073709551616\r\n",
                LengthError::Length,
            ),
            (
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                LengthError::Both,
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", LengthError::Coding),
            (
                "Transfer-Encoding: chunked, chunked\r\n",
                LengthError::Coding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                LengthError::Coding,
            ),
            ("Transfer-Encoding: identity\r\n", LengthError::Coding),
            ("Transfer-Encoding: \r\n", LengthError::Coding),
        ] {
            assert_eq!(length("1.1", fields), Err(error), "{fields}");
        }
        let old = length("1.0", "Transfer-Encoding: chunked\r\n");
        assert_eq!(old, Err(LengthError::Version));
    }
}
