//! A small complete response: status line, fields and content. RFC 9112 sections 4 and 6.

use std::fmt::Display;
use std::io::Write as _;

/// A response that ends the connection.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// Fields besides Content-Length and Connection.
    pub fields: &'a [(&'a str, &'a str)],
    /// The content.
    pub content: &'a [u8],
}

impl Response<'_> {
    /// Appends the response. The answer to a HEAD request has the fields and leaves the content out.
    pub fn encode(&self, out: &mut Vec<u8>, to_head_request: bool) {
        put_status(out, self.status);
        for (name, value) in self.fields {
            put_field(out, name, value);
        }
        put_content_length(out, self.content.len() as u64);
        put_field(out, "Connection", "close");
        out.extend_from_slice(b"\r\n");
        if !to_head_request {
            out.extend_from_slice(self.content);
        }
    }
}

/// The line that most answers begin with.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

/// Status line and Date field of answers, made once for each date.
#[derive(Clone, Debug, Default)]
pub struct Dated {
    /// With status 200.
    ok: Vec<u8>,
}

impl Dated {
    /// Of a date that is one of ours.
    #[must_use]
    pub fn new(date: &str) -> Self {
        let ok = [OK, b"Date: ", date.as_bytes(), b"\r\n"].concat();
        Self { ok }
    }

    /// Both lines, with status 200.
    #[must_use]
    pub fn ok(&self) -> &[u8] {
        &self.ok
    }

    /// The Date field alone.
    #[must_use]
    pub fn line(&self) -> &[u8] {
        self.ok.get(OK.len()..).unwrap_or_default()
    }

    /// Appends both.
    pub fn put(&self, out: &mut Vec<u8>, status: u16) {
        if status == 200 {
            return out.extend_from_slice(&self.ok);
        }
        put_status(out, status);
        out.extend_from_slice(self.line());
    }
}

/// Appends the status line.
pub fn put_status(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    put_number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a Content-Length field.
pub fn put_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    put_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Every answer has numbers in it: formatting them is what takes longest in a head.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // One digit.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Appends a field. Control characters in its value become blanks, so that no value can end its line.
pub fn put_field(out: &mut Vec<u8>, name: &str, value: impl Display) {
    put_field_with(out, name, |out| put(out, format_args!("{value}")));
}

/// The same with a value that need not be formatted.
pub fn put_text_field(out: &mut Vec<u8>, name: &str, value: &str) {
    put_field_with(out, name, |out| out.extend_from_slice(value.as_bytes()));
}

fn put_field_with(out: &mut Vec<u8>, name: &str, put_value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    put_value(out);
    for byte in &mut out[start..] {
        if byte.is_ascii_control() {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// What people read beside the status code.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}

/// A `Vec` takes all that is written.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(response: Response<'_>, to_head_request: bool) -> String {
        let mut out = Vec::new();
        response.encode(&mut out, to_head_request);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_is_complete_and_ends_the_connection() {
        let response = Response {
            status: 405,
            fields: &[("Allow", "GET")],
            content: b"no",
        };
        let head = "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
        assert_eq!(encoded(response, false), format!("{head}no"));
        assert_eq!(encoded(response, true), head);
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 9, 10, 1024, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let response = Response {
            status: 404,
            fields: &[("X", "a\r\nSet-Cookie: b")],
            content: b"",
        };
        assert!(encoded(response, false).contains("X: a  Set-Cookie: b\r\n"));
    }
}
