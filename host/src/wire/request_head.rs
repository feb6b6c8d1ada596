//! The head of an HTTP/1.x request: strict about whatever two readers could understand differently.
//! RFC 9112 sections 2 to 5.

use std::{mem::MaybeUninit, net::Ipv6Addr, sync::Arc};

use httparse::{Header, Status};

use crate::limits::Limits;

/// Up to so many fields are read without asking for memory: a few more than `limits.request_field_count` has by default.
const NEAR_FIELDS: usize = 128;

/// Which bytes a host may have that is no address in brackets.
const HOST_BYTES: [bool; 256] = {
    let mut fits = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        fits[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~%!$&'()*+,;=";
    let mut at = 0;
    while at < others.len() {
        fits[others[at] as usize] = true;
        at += 1;
    }
    fits
};

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
    fields: Vec<Header<'a>>,
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

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Not a request as RFC 9112 has it.
    #[error("bad request: {0}")]
    Malformed(&'static str),
    /// Above `limits.request_target_bytes`.
    #[error("request target too long: see limits.request_target_bytes")]
    TargetTooLong,
    /// Above `limits.request_head_bytes` or `limits.request_field_count`.
    #[error("request head too large: see limits.request_head_bytes and limits.request_field_count")]
    TooLarge,
    /// Above `limits.request_field_bytes`.
    #[error("request field too large: see limits.request_field_bytes")]
    FieldTooLarge,
    /// Above what `limits.per_field_bytes` has for fields of this name.
    #[error(
        "request field `{name}` too large: see limits.per_field_bytes, which is {bytes} for it"
    )]
    FieldAboveItsOwn {
        /// As the limit writes it.
        name: Arc<str>,
        /// What all its values together may have.
        bytes: u64,
    },
    /// A tunnel is asked for: what follows the head would be no request (RFC 9110 section 9.3.6).
    #[error("CONNECT is for proxies, and this is none")]
    Tunnel,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("HTTP version not supported: use HTTP/1.1")]
    Version,
}

impl HeadError {
    /// The status code of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::TargetTooLong => 414,
            Self::TooLarge | Self::FieldTooLarge | Self::FieldAboveItsOwn { .. } => 431,
            Self::Tunnel => 501,
            Self::Version => 505,
        }
    }
}

impl<'a> RequestHead<'a> {
    /// Reads a head from the beginning of `input`.
    pub fn parse(input: &'a [u8], limits: &Limits) -> HeadParsed<'a> {
        match Self::try_parse(input, limits) {
            Ok(Some(head)) => HeadParsed::Done(head),
            Ok(None) => HeadParsed::Partial,
            Err(error) => HeadParsed::Wrong(error),
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

    /// The names of all fields, in order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.fields.iter().map(|field| field.name)
    }

    /// Name and value of the field with this index, of all.
    pub fn field_at(&self, index: usize) -> Option<(&'a str, &'a [u8])> {
        self.fields
            .get(index)
            .map(|field| (field.name, field.value))
    }

    /// A head that was parsed before, from its parts.
    pub(crate) fn of_parts(
        method: &'a str,
        target: &'a str,
        minor_version: u8,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let fields = fields.map(|(name, value)| Header { name, value });
        Self {
            method,
            target,
            minor_version,
            len: 0,
            fields: fields.collect(),
        }
    }

    /// The target without its query; for the absolute form without scheme and authority too.
    pub fn path(&self) -> &'a str {
        let (_, path) = self.split_target();
        // Byte by byte: a path is too short for what searches long texts.
        match path.bytes().position(|byte| byte == b'?') {
            // Of the absolute form only; RFC 9112 section 3.2.2.
            Some(0) => "/",
            Some(end) => &path[..end],
            None => path,
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

    fn try_parse(input: &'a [u8], limits: &Limits) -> Result<Option<Self>, HeadError> {
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
        let head = Self {
            method,
            target,
            minor_version,
            len,
            fields: request.headers.to_vec(),
        };
        refuse_loose_lines(&input[..len])?;
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
        let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !self.target.bytes().all(fits) {
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

    fn refuse_long_fields(&self, limits: &Limits) -> Result<(), HeadError> {
        let bytes = |field: &Header<'_>| (field.name.len() + field.value.len()) as u64;
        let is_long = |field| bytes(field) > limits.request_field_bytes;
        if self.fields.iter().any(is_long) {
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

/// Scheme and rest of a target in absolute form.
fn absolute_form(target: &str) -> Option<(&str, &str)> {
    // As nearly all are, and no scheme is.
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"];
    known
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        .then_some((scheme, rest))
}

/// A host with an optional port, without user information: RFC 3986 section 3.2.2. It chooses the vhost, so nobody may read
/// another name in it than we do.
fn is_authority(bytes: &[u8]) -> bool {
    let (is_host, rest) = match bytes {
        [b'[', bytes @ ..] => {
            let Some(end) = bytes.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let address = std::str::from_utf8(&bytes[..end]).ok();
            let address = address.and_then(|address| address.parse::<Ipv6Addr>().ok());
            (address.is_some(), &bytes[end + 1..])
        }
        _ => {
            // A colon begins the port; whatever else does not fit is refused with it.
            let end = bytes
                .iter()
                .position(|byte| !HOST_BYTES[usize::from(*byte)]);
            (true, &bytes[end.unwrap_or(bytes.len())..])
        }
    };
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    is_host && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

/// Section 2.2: lines end with CR LF and with nothing else, and there is no NUL.
pub(super) fn refuse_loose_lines(head: &[u8]) -> Result<(), HeadError> {
    let mut before = 0;
    for eight in head.chunks(8) {
        if before != b'\r' && is_text(eight) {
            before = eight[7];
            continue;
        }
        for byte in eight {
            match (before, byte) {
                (b'\r', b'\n') => {}
                (b'\r', _) => return Err(HeadError::Malformed("CR without LF")),
                (_, b'\n') => return Err(HeadError::Malformed("LF without CR")),
                (_, 0) => return Err(HeadError::Malformed("NUL")),
                _ => {}
            }
            before = *byte;
        }
    }
    Ok(())
}

/// Whether these are eight bytes, none of them below a blank: most of a head, seen at once.
fn is_text(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let Ok(eight) = bytes.try_into().map(u64::from_ne_bytes) else {
        return false;
    };
    // Where a byte is below, taking the blank away borrows into its highest bit, which it did not have.
    eight.wrapping_sub(ONES * 0x20) & !eight & (ONES * 0x80) == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "GET /chat?room=1&x HTTP/1.1\r\nHost: example.org:80\r\nA: 1\r\na:  2 \r\n\r\n";

    fn parse(input: &str) -> HeadParsed<'_> {
        RequestHead::parse(input.as_bytes(), &Limits::default())
    }

    fn head(input: &str) -> RequestHead<'_> {
        match parse(input) {
            HeadParsed::Done(head) => head,
            other => panic!("{input:?}: {other:?}"),
        }
    }

    fn wrong_with(input: &str, limits: &Limits) -> HeadError {
        match RequestHead::parse(input.as_bytes(), limits) {
            HeadParsed::Wrong(error) => error,
            other => panic!("{input:?}: {other:?}"),
        }
    }

    fn wrong(input: &str) -> HeadError {
        wrong_with(input, &Limits::default())
    }

    #[test]
    fn a_head_is_read_and_what_follows_is_left() {
        let input = GOOD.to_owned() + "rest";
        let head = head(&input);
        assert_eq!(
            (head.method, head.minor_version, head.len),
            ("GET", 1, GOOD.len())
        );
        assert_eq!((head.path(), head.query()), ("/chat", Some("room=1&x")));
        assert_eq!(head.host(), "example.org:80");
        assert_eq!(head.fields("a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(head.field("none"), None);
    }

    #[test]
    fn a_loose_line_is_found_wherever_it_stands() {
        let good = b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\t long enough for all places\r\n\r\n";
        assert_eq!(refuse_loose_lines(good), Ok(()));
        for place in 0..good.len() {
            for (bytes, expected) in [
                (&b"\n"[..], HeadError::Malformed("LF without CR")),
                (b"\0", HeadError::Malformed("NUL")),
                (b"\rx", HeadError::Malformed("CR without LF")),
            ] {
                // Between a CR and its LF it is the CR that is wrong.
                if place > 0 && good[place - 1] == b'\r' {
                    continue;
                }
                let mut head = good.to_vec();
                head.splice(place..place, bytes.iter().copied());
                assert_eq!(refuse_loose_lines(&head), Err(expected), "{place}");
            }
        }
    }

    #[test]
    fn a_host_has_the_letters_of_rfc_3986_and_a_port_of_digits() {
        for byte in 0..=255_u8 {
            let is_fit = byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:".contains(&byte);
            assert_eq!(is_authority(&[b'a', byte]), is_fit, "{byte}");
            assert_eq!(is_authority(&[b':', byte]), byte.is_ascii_digit(), "{byte}");
        }
    }

    #[test]
    fn a_head_is_partial_until_its_last_byte() {
        for cut in 0..GOOD.len() {
            assert!(matches!(parse(&GOOD[..cut]), HeadParsed::Partial), "{cut}");
        }
    }

    #[test]
    fn the_absolute_form_names_the_host() {
        let head = head("GET http://other:1/p?q HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_eq!(
            (head.host(), head.path(), head.query()),
            ("other:1", "/p", Some("q"))
        );
        let head = self::head("GET ws://other?q HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_eq!((head.host(), head.query()), ("other", Some("q")));
    }

    #[test]
    fn http_1_0_needs_no_host_and_1_1_needs_exactly_one() {
        assert_eq!(head("GET / HTTP/1.0\r\n\r\n").host(), "");
        for fields in [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a b\r\n",
            "Host: a/b\r\n",
            "Host: u@a\r\n",
            "Host: a:80:90\r\n",
            "Host: a:b\r\n",
            "Host: [a.example]\r\n",
            "Host: [::1]a\r\n",
            "Host: [::1\r\n",
            "Host: ::1\r\n",
        ] {
            let error = wrong(&format!("GET / HTTP/1.1\r\n{fields}\r\n"));
            assert_eq!(error.status(), 400, "{fields}");
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        for input in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01",
        ] {
            assert_eq!(wrong(input).status(), 400, "{input:?}");
        }
        for target in ["a:1", "/", "http://a/"] {
            let input = format!("CONNECT {target} HTTP/1.1\r\nHost: a:1\r\n\r\n");
            assert_eq!(wrong(&input).status(), 501, "{target}");
        }
    }

    #[test]
    fn a_version_that_is_not_served_is_told_apart_from_none_however_much_has_come() {
        for (line, status) in [
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1.2", 505),
            ("GET / HTTP/0.9", 505),
            ("GET /a b HTTP/1.1", 400),
            ("GET / http/1.1", 400),
            ("GET / HTTP/1", 400),
            ("GET / HTTP/1.x", 400),
            ("GET / HTTP/01.1", 400),
            ("GET / HTTP/2.00", 400),
        ] {
            let input = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(wrong(&input).status(), status, "{line}");
            for cut in 0..input.len() {
                match parse(&input[..cut]) {
                    HeadParsed::Partial => {}
                    HeadParsed::Wrong(error) => assert_eq!(error.status(), status, "{line} {cut}"),
                    HeadParsed::Done(_) => panic!("{line} {cut}"),
                }
            }
        }
    }

    #[test]
    fn limits_have_their_own_answers() {
        let limits = Limits {
            request_head_bytes: 100,
            request_target_bytes: 20,
            request_field_count: 2,
            ..Limits::default()
        };
        let target = "x".repeat(20);
        let long_target = format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wrong_with(&long_target, &limits).status(), 414);
        assert_eq!(wrong_with(&long_target[..26], &limits).status(), 414);
        let old = long_target.replace("HTTP/1.1", "HTTP/0.9");
        assert_eq!(wrong_with(&old[..33], &limits).status(), 414);
        let long_value = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
            target.repeat(5)
        );
        assert_eq!(wrong_with(&long_value, &limits).status(), 431);
        assert_eq!(wrong_with(&long_value[..100], &limits).status(), 431);
        let one = Limits {
            request_field_bytes: 10,
            ..Limits::default()
        };
        let long_field = "GET / HTTP/1.1\r\nHost: a\r\nName: 1234567\r\n\r\n";
        assert_eq!(wrong_with(long_field, &one), HeadError::FieldTooLarge);
        assert_eq!(HeadError::FieldTooLarge.status(), 431);
        let many = "GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC: c\r\n\r\n";
        assert_eq!(wrong_with(many, &limits).status(), 431);
    }

    #[test]
    fn fields_of_one_name_may_have_a_bound_of_their_own_which_holds_over_all_their_lines() {
        let mut limits = Limits::default();
        limits.per_field_bytes.add("Cookie", 8);
        let head = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        for good in [
            "Cookie: 12345678\r\n",
            "cookie: 1234\r\nCOOKIE: 5678\r\n",
            "Cookies: 123456789\r\n",
        ] {
            let head = head(good);
            let parsed = RequestHead::parse(head.as_bytes(), &limits);
            assert!(matches!(parsed, HeadParsed::Done(_)), "{good}");
        }
        for long in [
            "Cookie: 123456789\r\n",
            "cookie: 1234\r\nA: a\r\nCOOKIE: 56789\r\n",
        ] {
            let error = wrong_with(&head(long), &limits);
            assert_eq!(error.status(), 431, "{long}");
            assert_eq!(
                error.to_string(),
                "request field `Cookie` too large: see limits.per_field_bytes, which is 8 for it"
            );
        }
    }

    #[test]
    fn no_byte_at_any_place_makes_it_panic() {
        for place in 0..GOOD.len() {
            for byte in 0..=255 {
                let mut input = GOOD.as_bytes().to_vec();
                input[place] = byte;
                if let HeadParsed::Done(head) = RequestHead::parse(&input, &Limits::default()) {
                    let _ = (head.host(), head.path(), head.query());
                }
            }
        }
    }
}
