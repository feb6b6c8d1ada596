//! An answer as a strict client reads it: whatever RFC 9112 has a server write is demanded here, and shared with no code
//! of the host.

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Names and values of its fields, in order.
    pub(crate) fields: Vec<(String, String)>,
    /// Its content, out of any chunks.
    pub(crate) content: Vec<u8>,
    /// The fields behind the last chunk.
    pub(crate) trailer: Vec<(String, String)>,
}

impl Answer {
    /// Reads an answer to a request of this method from the beginning of `bytes`, and says how many they are. `ended`
    /// when no more will come. `None` needs more.
    ///
    /// # Panics
    ///
    /// When this is no answer.
    pub(crate) fn read(bytes: &[u8], method: &str, ended: bool) -> Option<(Self, usize)> {
        let end = find(bytes, b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end - 4]).expect("text");
        let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
        let mut answer = Self {
            status: status(line),
            fields: fields(rest),
            content: Vec::new(),
            trailer: Vec::new(),
        };
        let body = &bytes[end..];
        let used = match answer.length(method) {
            Length::None => 0,
            Length::Exact(length) => {
                answer.content = body.get(..length)?.to_vec();
                length
            }
            Length::Chunked => answer.read_chunks(body)?,
            Length::UntilEnd if ended => {
                answer.content = body.to_vec();
                body.len()
            }
            Length::UntilEnd => return None,
        };
        Some((answer, end + used))
    }

    /// The value of a field that stands there at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields(name);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice: {self:?}");
        value
    }

    /// The values of a field.
    pub(crate) fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The elements of a field that is a list.
    pub(crate) fn elements(&self, name: &str) -> Vec<&str> {
        let elements = self.fields(name).flat_map(|value| value.split(','));
        elements.map(str::trim).filter(|e| !e.is_empty()).collect()
    }

    /// The content as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("text")
    }

    /// Whether it announces the end of the connection.
    pub(crate) fn closes(&self) -> bool {
        let mut says = self.elements("Connection").into_iter();
        says.any(|element| element.eq_ignore_ascii_case("close"))
    }

    /// Without what may differ from one answer to the next: the time, and the boundary of several ranges.
    pub(crate) fn timeless(mut self) -> Self {
        self.fields
            .retain(|(name, _)| !name.eq_ignore_ascii_case("Date"));
        let Some(media_type) = self.field("Content-Type") else {
            return self;
        };
        if let Some((_, boundary)) = media_type.split_once("boundary=") {
            let boundary = boundary.trim_matches('"').to_owned();
            while let Some(at) = find(&self.content, boundary.as_bytes()) {
                self.content.splice(at..at + boundary.len(), *b"~");
            }
            for (_, value) in &mut self.fields {
                *value = value.replace(&boundary, "~");
            }
        }
        self
    }

    /// RFC 9112 section 6.3, for a client.
    fn length(&self, method: &str) -> Length {
        let coding = self.field("Transfer-Encoding");
        let length = self.field("Content-Length");
        assert!(coding.is_none() || length.is_none(), "both: {self:?}");
        let length = length.map(|text| {
            assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "{self:?}");
            text.parse().expect("a length")
        });
        if self.status / 100 == 1 || self.status == 204 {
            assert_eq!((coding, length), (None, None), "RFC 9110 section 8.6");
        }
        match (coding, length) {
            _ if method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304) => Length::None,
            (Some(coding), _) => {
                assert_eq!(coding, "chunked");
                Length::Chunked
            }
            (None, Some(length)) => Length::Exact(length),
            (None, None) => Length::UntilEnd,
        }
    }

    fn read_chunks(&mut self, body: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let line = at + find(&body[at..], b"\r\n")?;
            let size = std::str::from_utf8(&body[at..line]).expect("a chunk size");
            let size = usize::from_str_radix(size, 16).expect("a chunk size");
            at = line + 2;
            if size == 0 {
                break;
            }
            self.content.extend_from_slice(body.get(at..at + size)?);
            assert_eq!(body.get(at + size..at + size + 2)?, b"\r\n");
            at += size + 2;
        }
        if body.get(at..at + 2)? == b"\r\n" {
            return Some(at + 2);
        }
        let end = at + find(&body[at..], b"\r\n\r\n")?;
        self.trailer = fields(std::str::from_utf8(&body[at..end]).expect("text"));
        Some(end + 4)
    }
}

enum Length {
    None,
    Exact(usize),
    Chunked,
    UntilEnd,
}

/// Where `wanted` begins.
pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|at| at == wanted)
}

fn status(line: &str) -> u16 {
    let digits = line.strip_prefix("HTTP/1.1 ").and_then(|l| l.get(..4));
    let digits = digits.and_then(|digits| digits.strip_suffix(' '));
    let status = digits.and_then(|digits| digits.parse().ok());
    status.unwrap_or_else(|| panic!("no status line: {line:?}"))
}

fn fields(lines: &str) -> Vec<(String, String)> {
    let lines = lines.split("\r\n").filter(|line| !line.is_empty());
    let fields = lines.map(|line| {
        let clean = !line.contains(['\r', '\n', '\0']);
        let field = line.split_once(':').filter(|_| clean);
        let (name, value) = field.unwrap_or_else(|| panic!("no field: {line:?}"));
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_token), "{line:?}");
        (name.to_owned(), value.trim().to_owned())
    });
    fields.collect()
}
