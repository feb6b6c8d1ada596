//! The head of what a program writes: fields for the server and for the peer, up to an empty line (RFC 3875,
//! section 6).

use std::fmt;

/// The most bytes of a head, its empty line included.
pub(crate) const MOST_HEAD_BYTES: usize = 16 * 1024;

/// A head, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// From 200 to 599.
    pub(crate) status: u16,
    /// What is passed on to the peer, in its order.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// Bytes of content that the program announces.
    pub(crate) length: Option<u64>,
}

/// Why it is no head, in words for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadHead(String);

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a head and how many bytes it has; none while its empty line is not there.
///
/// # Errors
///
/// What the peer cannot be answered with: 502.
pub(crate) fn parse(output: &[u8]) -> Result<Option<(Head, usize)>, BadHead> {
    let mut lines = Lines::default();
    let mut at = 0;
    while let Some(length) = output[at..].iter().position(|byte| *byte == b'\n') {
        let line = &output[at..at + length];
        at += length + 1;
        if at > MOST_HEAD_BYTES {
            return Err(too_large());
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok(Some((lines.head()?, at)));
        }
        lines.add(line)?;
    }
    if output.len() >= MOST_HEAD_BYTES {
        return Err(too_large());
    }
    Ok(None)
}

fn too_large() -> BadHead {
    BadHead(format!(
        "no empty line ends its head within {MOST_HEAD_BYTES} bytes"
    ))
}

/// What was read of a head.
#[derive(Default)]
struct Lines {
    status: Option<u16>,
    has_location: bool,
    has_type: bool,
    length: Option<u64>,
    fields: Vec<(String, Vec<u8>)>,
}

impl Lines {
    fn add(&mut self, line: &[u8]) -> Result<(), BadHead> {
        let bad = |why: &str| BadHead(format!("the line {:?} {why}", Shown(line)));
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or_else(|| bad("of its head is no field"))?);
        let value = value[1..].trim_ascii();
        let name = str::from_utf8(name).ok().filter(|name| is_token(name));
        let name = name.ok_or_else(|| bad("has a name that is no token"))?;
        if value
            .iter()
            .any(|byte| *byte != b'\t' && byte.is_ascii_control())
        {
            return Err(bad("has a control character in its value"));
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let is_second = if is("Status") {
            let status = status(value).ok_or_else(|| bad("is no status from 200 to 599"))?;
            return match self.status.replace(status) {
                Some(_) => Err(bad("is the second of its name")),
                None => Ok(()),
            };
        } else if is("Content-Length") {
            let length = decimal(value).ok_or_else(|| bad("is no length"))?;
            return match self.length.replace(length) {
                Some(_) => Err(bad("is the second of its name")),
                None => Ok(()),
            };
        } else if is("Location") {
            std::mem::replace(&mut self.has_location, true)
        } else if is("Content-Type") {
            std::mem::replace(&mut self.has_type, true)
        } else {
            false
        };
        if is_second {
            return Err(bad("is the second of its name"));
        }
        // What it frames, the host would frame once more.
        if is("Transfer-Encoding") {
            return Err(bad("is for the server alone to send"));
        }
        if !HOSTS_OWN.iter().any(|own| is(own)) {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    fn head(self) -> Result<Head, BadHead> {
        if self.status.is_none() && !self.has_location && !self.has_type {
            let why = "its head has neither Content-Type nor Location nor Status";
            return Err(BadHead(why.to_owned()));
        }
        let otherwise = if self.has_location { 302 } else { 200 };
        Ok(Head {
            status: self.status.unwrap_or(otherwise),
            fields: self.fields,
            length: self.length,
        })
    }
}

/// What the host says itself, so that it is left out.
const HOSTS_OWN: [&str; 7] = [
    "Connection",
    "Date",
    "Keep-Alive",
    "Server",
    "TE",
    "Trailer",
    "Upgrade",
];

/// `404` or `404 Not Found`.
fn status(value: &[u8]) -> Option<u16> {
    let code = value.split(|byte| *byte == b' ').next()?;
    let code = decimal(code).filter(|code| (200..600).contains(code))?;
    u16::try_from(code).ok()
}

fn decimal(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok()?;
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| digits.parse().ok()).flatten()
}

fn is_token(name: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_of_token)
}

/// The beginning of a line, for the log.
struct Shown<'a>(&'a [u8]);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(80)];
        write!(f, "\"{}\"", shown.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(output: &str) -> Head {
        parse(output.as_bytes()).expect("right").expect("whole").0
    }

    fn why(output: &[u8]) -> String {
        parse(output).expect_err("wrong").to_string()
    }

    #[test]
    fn a_head_is_the_same_wherever_it_is_split() {
        let output =
            b"Status: 404 Not Found\r\nContent-Type: text/plain\r\nX-A:  b \r\n\r\ncontent";
        for end in 0..output.len() {
            let parsed = parse(&output[..end]).expect("right");
            let whole = (end >= output.len() - 7).then(|| Head {
                status: 404,
                fields: vec![
                    ("Content-Type".to_owned(), b"text/plain".to_vec()),
                    ("X-A".to_owned(), b"b".to_vec()),
                ],
                length: None,
            });
            assert_eq!(parsed, whole.map(|head| (head, output.len() - 7)), "{end}");
        }
    }

    #[test]
    fn status_and_location_choose_the_status() {
        assert_eq!(head("Content-Type: a/b\n\n").status, 200);
        assert_eq!(head("Location: /there\n\n").status, 302);
        assert_eq!(head("Location: /there\nstatus: 201\n\n").status, 201);
        assert_eq!(head("Status: 599 \n\n").status, 599);
    }

    #[test]
    fn a_length_is_told_apart_and_what_is_the_hosts_is_left_out() {
        let head =
            head("Content-Type: a/b\nContent-Length: 7\nServer: mine\nConnection: close\n\n");
        assert_eq!(head.length, Some(7));
        assert_eq!(head.fields.len(), 1);
    }

    #[test]
    fn what_is_no_head_is_refused_in_words() {
        assert_eq!(
            why(b"hello\n"),
            "the line \"hello\" of its head is no field"
        );
        assert_eq!(
            why(b"\nhello"),
            "its head has neither Content-Type nor Location nor Status"
        );
        for (output, end) in [
            (&b"Status: 100\n"[..], "is no status from 200 to 599"),
            (b"Status: 2000\n", "is no status from 200 to 599"),
            (b"Status: 200\nStatus: 200\n", "is the second of its name"),
            (
                b"Content-Type: a/b\nContent-Type: a/b\n",
                "is the second of its name",
            ),
            (b"Content-Length: +1\n", "is no length"),
            (b"Content-Length: 99999999999999999999\n", "is no length"),
            (
                b"Transfer-Encoding: chunked\n",
                "is for the server alone to send",
            ),
            (b"a b: c\n", "has a name that is no token"),
            (b"a: b\rc\n", "has a control character in its value"),
        ] {
            assert!(why(output).ends_with(end), "{}", why(output));
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_refused() {
        let mut output = b"Content-Type: a/b\n".to_vec();
        output.resize(MOST_HEAD_BYTES - 1, b'x');
        assert_eq!(parse(&output), Ok(None));
        output.push(b'x');
        assert!(why(&output).starts_with("no empty line ends its head"));
        output.extend_from_slice(b": y\n\n");
        assert!(why(&output).starts_with("no empty line ends its head"));
    }
}
