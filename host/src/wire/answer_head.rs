//! The head of an HTTP/1.x response as a client reads it: as strict as of a request, since a client that reads past the
//! end of one answer takes what somebody else wrote for the next. RFC 9112 sections 2, 4 and 5.

use httparse::{EMPTY_HEADER, Header, Status};

use super::fields::Fields;
use super::header_list::has_element;
use super::loose_lines::refuse_loose_lines;
use super::request_head::HeadError;
use crate::limits::Limits;

/// A response head, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct AnswerHead<'a> {
    /// The status code, 100 to 999. One above 599 means what 500 does (RFC 9110 section 15).
    pub status: u16,
    /// What people read beside it; empty where it is not ASCII.
    pub reason: &'a str,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// Bytes of the head, with the empty line.
    pub len: usize,
    fields: Vec<Header<'a>>,
}

/// What the input turned out to be.
#[derive(Debug)]
pub enum AnswerParsed<'a> {
    /// A response head.
    Done(AnswerHead<'a>),
    /// Good so far.
    Partial,
    /// Not to be understood.
    Wrong(AnswerHeadError),
}

/// Why a response cannot be understood. The connection is of no use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerHeadError {
    /// Not a response as RFC 9112 has it.
    #[error("the server sent a malformed response: {0}")]
    Malformed(&'static str),
    /// Something else than HTTP/1.0 or HTTP/1.1, or another protocol.
    #[error(
        "the server does not answer in HTTP/1.1: is it the right port, and is TLS spoken there?"
    )]
    Version,
    /// Above `limits.response_head_bytes`.
    #[error("the head of the response is too large: see limits.response_head_bytes")]
    TooLarge,
    /// Above `limits.response_field_count`.
    #[error("the response has too many fields: see limits.response_field_count")]
    TooManyFields,
}

/// An answer that outlives the bytes it came in: what a client tells of a server that refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldAnswer {
    /// The status code.
    pub status: u16,
    /// What people read beside it.
    pub reason: String,
    /// All fields, in order.
    pub fields: Fields,
    /// The start of the content, at most `limits.refusal_content_bytes`.
    pub content: Vec<u8>,
}

impl<'a> AnswerHead<'a> {
    /// Reads a head from the beginning of `input`.
    pub fn parse(input: &'a [u8], limits: &Limits) -> AnswerParsed<'a> {
        match Self::try_parse(input, limits) {
            Ok(Some(head)) => AnswerParsed::Done(head),
            Ok(None) => AnswerParsed::Partial,
            Err(error) => AnswerParsed::Wrong(error),
        }
    }

    /// The value of a field, the first one if it is repeated.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields(name).next()
    }

    /// The values of a field, in order. The name is in any case of letters.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// Names and values of all fields, in order.
    pub fn all_fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// Whether a field that is a list has this element, in any case of letters.
    pub fn says(&self, name: &str, element: &str) -> bool {
        self.fields(name).any(|value| has_element(value, element))
    }

    /// A copy, without content.
    pub fn held(&self) -> HeldAnswer {
        let mut fields = Fields::new();
        for (name, value) in self.all_fields() {
            fields.push(name, value);
        }
        HeldAnswer {
            status: self.status,
            reason: self.reason.to_owned(),
            fields,
            content: Vec::new(),
        }
    }

    fn try_parse(input: &'a [u8], limits: &Limits) -> Result<Option<Self>, AnswerHeadError> {
        refuse_other_protocols(input)?;
        let most = usize::try_from(limits.response_head_bytes).unwrap_or(usize::MAX);
        let most_fields = usize::try_from(limits.response_field_count).unwrap_or(usize::MAX);
        // As many as there could be: a field takes four bytes at least.
        let mut fields = vec![EMPTY_HEADER; most_fields.min(input.len() / 4 + 1)];
        let mut response = httparse::Response::new(&mut fields);
        let len = match response.parse(&input[..input.len().min(most)]) {
            Ok(Status::Complete(len)) => len,
            Ok(Status::Partial) if input.len() >= most => return Err(AnswerHeadError::TooLarge),
            Ok(Status::Partial) => {
                refuse_loose_lines(input).map_err(loose)?;
                return Ok(None);
            }
            Err(error) => return Err(refused(error)),
        };
        let (Some(status), Some(minor_version)) = (response.code, response.version) else {
            return Err(AnswerHeadError::Malformed("no status line"));
        };
        let reason = response.reason.unwrap_or_default();
        let count = response.headers.len();
        fields.truncate(count);
        refuse_loose_lines(&input[..len]).map_err(loose)?;
        if status < 100 {
            return Err(AnswerHeadError::Malformed("a status below 100"));
        }
        Ok(Some(Self {
            status,
            reason,
            minor_version,
            len,
            fields,
        }))
    }
}

/// What does not begin as an answer does: the first bytes tell, and nothing more is waited for. Empty lines in front are
/// none of ours: we sent no request that could have brought them.
fn refuse_other_protocols(input: &[u8]) -> Result<(), AnswerHeadError> {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let seen = input.len().min(BEGINNING.len());
    if input[..seen] == BEGINNING[..seen] {
        Ok(())
    } else {
        Err(AnswerHeadError::Version)
    }
}

fn loose(error: HeadError) -> AnswerHeadError {
    AnswerHeadError::Malformed(match error {
        HeadError::Malformed(what) => what,
        _ => "end of a line",
    })
}

fn refused(error: httparse::Error) -> AnswerHeadError {
    match error {
        httparse::Error::TooManyHeaders => AnswerHeadError::TooManyFields,
        httparse::Error::Version => AnswerHeadError::Version,
        httparse::Error::HeaderName => AnswerHeadError::Malformed("field name, or a folded line"),
        httparse::Error::HeaderValue => AnswerHeadError::Malformed("field value"),
        httparse::Error::NewLine => AnswerHeadError::Malformed("end of a line"),
        httparse::Error::Token | httparse::Error::Status => {
            AnswerHeadError::Malformed("status line")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "HTTP/1.1 404 Not There\r\nServer: x\r\nA: 1\r\na:  2 \r\nConnection: a, Close\r\n\r\n";

    fn parse(input: &str) -> AnswerParsed<'_> {
        AnswerHead::parse(input.as_bytes(), &Limits::default())
    }

    fn head(input: &str) -> AnswerHead<'_> {
        match parse(input) {
            AnswerParsed::Done(head) => head,
            other => panic!("{input:?}: {other:?}"),
        }
    }

    fn wrong_with(input: &str, limits: &Limits) -> AnswerHeadError {
        match AnswerHead::parse(input.as_bytes(), limits) {
            AnswerParsed::Wrong(error) => error,
            other => panic!("{input:?}: {other:?}"),
        }
    }

    #[test]
    fn a_head_is_read_and_what_follows_is_left() {
        let input = GOOD.to_owned() + "rest";
        let head = head(&input);
        assert_eq!((head.status, head.reason), (404, "Not There"));
        assert_eq!((head.minor_version, head.len), (1, GOOD.len()));
        assert_eq!(head.fields("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert!(head.says("connection", "close") && !head.says("a", "close"));
        let held = head.held();
        assert_eq!(
            (held.status, held.fields.get("SERVER")),
            (404, Some(&b"x"[..]))
        );
        assert_eq!(held.fields.iter().count(), 4);
    }

    #[test]
    fn a_head_is_partial_until_its_last_byte() {
        for cut in 0..GOOD.len() {
            assert!(
                matches!(parse(&GOOD[..cut]), AnswerParsed::Partial),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_reason_may_be_missing_and_a_status_is_three_digits() {
        for line in ["HTTP/1.1 200 ", "HTTP/1.1 200"] {
            assert_eq!(head(&format!("{line}\r\n\r\n")).reason, "");
        }
        assert_eq!(head("HTTP/1.0 999 x\r\n\r\n").status, 999);
        for status in ["099", "20", "2000", "2x0", "-20", ""] {
            let input = format!("HTTP/1.1 {status}\r\n\r\n");
            let error = wrong_with(&input, &Limits::default());
            assert!(matches!(error, AnswerHeadError::Malformed(_)), "{status}");
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for input in [
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\r\nA: b\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
        ] {
            let error = wrong_with(input, &Limits::default());
            assert!(matches!(error, AnswerHeadError::Malformed(_)), "{input:?}");
        }
    }

    #[test]
    fn another_protocol_is_told_by_its_first_bytes() {
        for input in [
            "\x15\x03\x01",
            "SSH-2.0-OpenSSH",
            "HTTP/2",
            "HTTP/1.2 200 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "http/1.1",
        ] {
            let error = wrong_with(input, &Limits::default());
            assert_eq!(error, AnswerHeadError::Version, "{input:?}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let limits = Limits {
            response_head_bytes: 60,
            response_field_count: 2,
            ..Limits::default()
        };
        let fits = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(36));
        assert_eq!(fits.len(), 60);
        assert!(matches!(
            AnswerHead::parse(fits.as_bytes(), &limits),
            AnswerParsed::Done(_)
        ));
        let long = fits.replace("A: b", "A: bb");
        assert_eq!(wrong_with(&long, &limits), AnswerHeadError::TooLarge);
        assert_eq!(wrong_with(&long[..60], &limits), AnswerHeadError::TooLarge);
        let many = "HTTP/1.1 200 OK\r\nA:b\r\nB:b\r\nC:b\r\n\r\n";
        assert_eq!(wrong_with(many, &limits), AnswerHeadError::TooManyFields);
    }

    #[test]
    fn no_byte_at_any_place_makes_it_panic() {
        for place in 0..GOOD.len() {
            for byte in 0..=255 {
                let mut input = GOOD.as_bytes().to_vec();
                input[place] = byte;
                if let AnswerParsed::Done(head) = AnswerHead::parse(&input, &Limits::default()) {
                    assert!(head.len <= input.len() && head.status >= 100);
                }
            }
        }
    }
}
