//! How long the body of a response is: RFC 9112 section 6.3, with little of its leniency.

use super::answer_head::AnswerHead;
use super::body_length::{LengthError, decimal};

/// What follows the head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerLength {
    /// So many bytes; 0 without a body.
    Exact(u64),
    /// Chunks, up to the last one and the trailer.
    Chunked,
    /// All that comes, up to the end of the connection.
    UntilClose,
}

impl AnswerLength {
    /// What status and fields of a final response say, to a request with this method. An accepted CONNECT, and an
    /// accepted upgrade, have no body: what follows is another protocol.
    ///
    /// # Errors
    ///
    /// [`LengthError`], after which nothing on the connection can be understood.
    pub fn of(head: &AnswerHead<'_>, method: &str) -> Result<Self, LengthError> {
        let is_tunnel = method == "CONNECT" && (200..300).contains(&head.status);
        if method == "HEAD" || is_tunnel || has_no_body(head.status) {
            return Ok(Self::Exact(0));
        }
        let mut lengths = head.fields("Content-Length");
        let mut codings = head.fields("Transfer-Encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(Self::UntilClose),
            (Some(_), Some(_)) => Err(LengthError::Both),
            (Some(length), None) if lengths.next().is_none() => {
                decimal(length).map(Self::Exact).ok_or(LengthError::Length)
            }
            (Some(_), None) => Err(LengthError::Length),
            (None, Some(_)) if head.minor_version == 0 => Err(LengthError::Version),
            // We asked for no other coding.
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

const fn has_no_body(status: u16) -> bool {
    status < 200 || status == 204 || status == 304
}

#[cfg(test)]
mod tests {
    use super::super::answer_head::AnswerParsed;
    use super::*;
    use crate::limits::Limits;

    fn length(method: &str, line: &str, fields: &str) -> Result<AnswerLength, LengthError> {
        let input = format!("HTTP/{line}\r\n{fields}\r\n");
        match AnswerHead::parse(input.as_bytes(), &Limits::default()) {
            AnswerParsed::Done(head) => AnswerLength::of(&head, method),
            other => panic!("{input:?}: {other:?}"),
        }
    }

    #[test]
    fn a_body_has_a_length_or_chunks_or_ends_with_the_connection() {
        let of = |fields| length("GET", "1.1 200 OK", fields);
        assert_eq!(of(""), Ok(AnswerLength::UntilClose));
        assert_eq!(of("Content-Length: 7\r\n"), Ok(AnswerLength::Exact(7)));
        assert_eq!(
            of("Transfer-Encoding: Chunked\r\n"),
            Ok(AnswerLength::Chunked)
        );
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_announce() {
        let none = Ok(AnswerLength::Exact(0));
        for fields in [
            "",
            "Content-Length: 7\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 7\r\nTransfer-Encoding: gzip\r\n",
        ] {
            for (method, line) in [
                ("HEAD", "1.1 200 OK"),
                ("HEAD", "1.1 404 No"),
                ("GET", "1.1 204 No"),
                ("GET", "1.1 304 No"),
                ("GET", "1.1 103 Hints"),
                ("CONNECT", "1.1 200 OK"),
            ] {
                assert_eq!(length(method, line, fields), none, "{method} {line}");
            }
        }
        let refused = length("CONNECT", "1.1 407 No", "Content-Length: 7\r\n");
        assert_eq!(refused, Ok(AnswerLength::Exact(7)));
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        for (version, fields, error) in [
            (
                "1.1",
                "Content-Length: 1\r\nContent-Length: 1\r\n",
                LengthError::Length,
            ),
            ("1.1", "Content-Length: 1, 1\r\n", LengthError::Length),
            ("1.1", "Content-Length: -1\r\n", LengthError::Length),
            ("1.1", "Content-Length: \r\n", LengthError::Length),
            (
                "1.1",
                "Content-Length: 18446744073709551616\r\n",
                LengthError::Length,
            ),
            (
                "1.1",
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                LengthError::Both,
            ),
            (
                "1.0",
                "Transfer-Encoding: chunked\r\n",
                LengthError::Version,
            ),
            (
                "1.1",
                "Transfer-Encoding: gzip, chunked\r\n",
                LengthError::Coding,
            ),
            ("1.1", "Transfer-Encoding: gzip\r\n", LengthError::Coding),
            (
                "1.1",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                LengthError::Coding,
            ),
        ] {
            let line = format!("{version} 200 OK");
            assert_eq!(length("GET", &line, fields), Err(error), "{fields}");
        }
    }
}
