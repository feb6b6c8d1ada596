//! An answer to an HTTP request, as an author builds it.

use std::{borrow::Cow, fmt};

use serde::Serialize;

use crate::manifest::is_token;

/// An answer: a status, fields and content. Given to [`Exchange::respond`](crate::Exchange::respond), or without content
/// to [`Exchange::start`](crate::Exchange::start).
///
/// It is built without a look at errors. What cannot be sent, such as a field whose value would end its line, is kept in
/// mind and refused as a whole when the answer is given; see [`Sent::Refused`](crate::Sent::Refused).
#[derive(Clone, Debug)]
#[must_use = "it answers nothing before it is given to the exchange"]
pub struct Response<'a> {
    status: u16,
    fields: Fields,
    content: Cow<'a, [u8]>,
}

impl<'a> Response<'a> {
    /// An answer without fields and content. `status` is from 200 to 599.
    pub fn new(status: u16) -> Self {
        let mut fields = Fields::new();
        if !(200..=599).contains(&status) {
            fields.refuse(format_args!("status {status} is not from 200 to 599"));
        }
        Self {
            status,
            fields,
            content: Cow::Borrowed(&[]),
        }
    }

    /// Plain text.
    pub fn text(status: u16, text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(status).with_text("text/plain; charset=utf-8", text.into())
    }

    /// A page.
    pub fn html(status: u16, html: impl Into<Cow<'a, str>>) -> Self {
        Self::new(status).with_text("text/html; charset=utf-8", html.into())
    }

    /// Content of the type `media_type`, such as `image/png`.
    pub fn bytes(status: u16, media_type: &str, content: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::new(status)
            .field("Content-Type", media_type)
            .content(content)
    }

    /// A value as JSON. One that has no JSON is refused when the answer is given.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        let mut response = Self::new(status).field("Content-Type", "application/json");
        match serde_json::to_vec(value) {
            Ok(json) => response.content = json.into(),
            Err(error) => response
                .fields
                .refuse(format_args!("the value cannot be written as JSON: {error}")),
        }
        response
    }

    /// Sends the peer to another address. `status` is 301, 302, 303, 307 or 308.
    pub fn redirect(status: u16, to: &str) -> Self {
        let mut response = Self::new(status).field("Location", to);
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            response
                .fields
                .refuse(format_args!("status {status} is no redirect"));
        }
        response
    }

    /// Adds a field, as [`Fields::field`].
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.add(name, value.as_ref());
        self
    }

    /// The content in place of the one before.
    pub fn content(mut self, content: impl Into<Cow<'a, [u8]>>) -> Self {
        self.content = content.into();
        self
    }

    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    pub(crate) const fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.content
    }

    /// Why it cannot be sent, if it cannot.
    pub(crate) fn refusal(&self) -> Option<Cow<'_, str>> {
        if let Some(why) = self.fields.refusal() {
            return Some(why.into());
        }
        let is_bare = matches!(self.status, 204 | 205 | 304);
        (is_bare && !self.content.is_empty())
            .then(|| format!("an answer with status {} has no content", self.status).into())
    }

    fn with_text(self, media_type: &str, text: Cow<'a, str>) -> Self {
        let response = self.field("Content-Type", media_type);
        match text {
            Cow::Borrowed(text) => response.content(text.as_bytes()),
            Cow::Owned(text) => response.content(text.into_bytes()),
        }
    }
}

/// Fields of an answer, in their order.
#[derive(Clone, Default)]
#[must_use = "they say nothing before they are part of an answer"]
pub struct Fields {
    /// `name:value` and a line feed for each. A name has no colon and a value no line feed, or it would not be here.
    lines: Vec<u8>,
    /// Why they cannot be sent: the first reason.
    refused: Option<String>,
}

impl Fields {
    /// None.
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            refused: None,
        }
    }

    /// Adds a field. Several of one name are kept, except that a Content-Type takes the place of the one before.
    ///
    /// The name is a token. The value has no control characters except tabs; blanks around it are removed. Connection,
    /// Content-Length, Date, Keep-Alive, Server, TE, Trailer, Transfer-Encoding and Upgrade are the host's own. With
    /// anything else the answer that the fields are for is refused as a whole.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name, value.as_ref());
        self
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        if let Some(why) = refusal(name, value) {
            self.refuse(format_args!("the field {name:?} {why}"));
            return;
        }
        if name.eq_ignore_ascii_case("Content-Type") {
            self.remove(name);
        }
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.push(b':');
        self.lines.extend_from_slice(value.trim_ascii());
        self.lines.push(b'\n');
    }

    fn remove(&mut self, name: &str) {
        if !self.iter().any(|(other, _)| is_same(other, name)) {
            return;
        }
        let mut kept = Self::new();
        for (other, value) in self.iter().filter(|(other, _)| !is_same(other, name)) {
            kept.lines.extend_from_slice(other);
            kept.lines.push(b':');
            kept.lines.extend_from_slice(value);
            kept.lines.push(b'\n');
        }
        self.lines = kept.lines;
    }

    fn refuse(&mut self, why: fmt::Arguments<'_>) {
        self.refused.get_or_insert_with(|| why.to_string());
    }

    /// Why they cannot be sent, if they cannot.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], &line[colon + 1..]))
        })
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.iter().map(|(name, value)| {
            (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            )
        });
        f.debug_map().entries(fields).finish()
    }
}

fn is_same(name: &[u8], other: &str) -> bool {
    name.eq_ignore_ascii_case(other.as_bytes())
}

/// Why a field cannot be sent, if it cannot.
fn refusal(name: &str, value: &[u8]) -> Option<&'static str> {
    if !is_token(name) {
        return Some("has a name that is no token");
    }
    if HOSTS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Some("is set by the host alone");
    }
    let is_allowed = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    (!value.iter().all(is_allowed)).then_some("has a control character in its value")
}

/// The fields that frame the answer, and those that are the same in all answers.
const HOSTS_OWN: [&str; 9] = [
    "Connection",
    "Content-Length",
    "Date",
    "Keep-Alive",
    "Server",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(response: &Response<'_>) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = response.fields().iter();
        fields
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn why(response: &Response<'_>) -> String {
        response.refusal().expect("refused").into_owned()
    }

    #[test]
    fn fields_come_in_their_order_and_only_the_last_content_type_stays() {
        let response = Response::text(200, "x")
            .field("Set-Cookie", "a=1")
            .field("set-cookie", " b=2\t")
            .field("content-type", "text/csv");
        assert_eq!(
            fields(&response),
            [
                ("Set-Cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("content-type", "text/csv")
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(response.refusal(), None);
    }

    #[test]
    fn no_field_can_end_its_line() {
        for value in ["a\r\nSet-Cookie: b=1", "a\nb", "a\rb", "a\0b", "\x7f", "\n"] {
            let response = Response::new(200).field("X-Name", value);
            assert_eq!(
                why(&response),
                "the field \"X-Name\" has a control character in its value",
                "{value:?}"
            );
            assert_eq!(fields(&response), []);
        }
        for name in ["", "X:", "X Y", "X\r\nY", "Ä"] {
            let response = Response::new(200).field(name, "value");
            assert!(why(&response).ends_with("has a name that is no token"));
            assert_eq!(fields(&response), []);
        }
        let response = Response::redirect(302, "/\r\nSet-Cookie: b=1");
        assert!(why(&response).starts_with("the field \"Location\" has a control character"));
    }

    #[test]
    fn the_hosts_own_fields_are_refused_in_any_case_of_letters() {
        for name in ["content-length", "TRANSFER-ENCODING", "Te", "Upgrade"] {
            let response = Response::new(200).field(name, "1");
            assert!(why(&response).ends_with("is set by the host alone"));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused_with_the_first_reason() {
        for status in [0, 100, 101, 199, 600, u16::MAX] {
            let response = Response::new(status).field("X:", "");
            assert_eq!(
                why(&response),
                format!("status {status} is not from 200 to 599")
            );
        }
        assert_eq!(
            why(&Response::text(204, "x")),
            "an answer with status 204 has no content"
        );
        assert_eq!(
            why(&Response::redirect(200, "/")),
            "status 200 is no redirect"
        );
        assert_eq!(Response::new(304).refusal(), None);
    }

    #[test]
    fn a_value_that_has_no_json_is_refused() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(why(&Response::json(200, &map)).starts_with("the value cannot be written as JSON"));
        assert_eq!(Response::json(200, &[1, 2]).as_bytes(), b"[1,2]");
    }
}
