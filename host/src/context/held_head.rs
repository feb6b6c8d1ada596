//! The head of a request for as long as its exchange goes on: the bytes it came in are used again before that.

use std::ops::Range;

use crate::wire::request_head::RequestHead;

/// A request head that owns its bytes: all of them in one buffer.
#[derive(Debug)]
pub struct HeldHead {
    text: Box<[u8]>,
    method: Place,
    target: Place,
    path: Place,
    query: Option<Place>,
    host: Place,
    minor_version: u8,
    /// Names and values in order.
    fields: Box<[(Place, Place)]>,
}

/// Where something stands in the buffer. A head is bounded by `limits.request_head_bytes`, and what is taken out of it
/// twice by a multiple of that.
type Place = Range<u32>;

/// The buffer in the making.
struct Filling(Vec<u8>);

impl Filling {
    fn put(&mut self, bytes: &[u8]) -> Place {
        let start = self.0.len() as u32;
        self.0.extend_from_slice(bytes);
        start..self.0.len() as u32
    }
}

impl HeldHead {
    /// Copies a head.
    #[must_use]
    pub fn of(head: &RequestHead<'_>) -> Self {
        let mut filling = Filling(Vec::with_capacity(head.len + 2 * head.target.len()));
        let mut fields = Vec::new();
        let mut index = 0;
        while let Some((name, value)) = head.field_at(index) {
            fields.push((filling.put(name.as_bytes()), filling.put(value)));
            index += 1;
        }
        Self {
            method: filling.put(head.method.as_bytes()),
            target: filling.put(head.target.as_bytes()),
            path: filling.put(head.path().as_bytes()),
            query: head.query().map(|query| filling.put(query.as_bytes())),
            host: filling.put(head.host().as_bytes()),
            minor_version: head.minor_version,
            fields: fields.into(),
            text: filling.0.into(),
        }
    }

    /// The same head, borrowed, for whoever reads one.
    pub(crate) fn lend(&self) -> RequestHead<'_> {
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (self.str(name), self.bytes(value)));
        RequestHead::of_parts(self.method(), self.target(), self.minor_version, fields)
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.str(&self.method)
    }

    /// The request target as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.str(&self.target)
    }

    /// The target without its query, as [`RequestHead::path`].
    #[must_use]
    pub fn path(&self) -> &str {
        self.str(&self.path)
    }

    /// What follows the question mark of the target.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_ref().map(|query| self.str(query))
    }

    /// Whom the request is for, as [`RequestHead::host`].
    #[must_use]
    pub fn host(&self) -> &str {
        self.str(&self.host)
    }

    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    #[must_use]
    pub fn minor_version(&self) -> u8 {
        self.minor_version
    }

    /// Name and value of the field with this index, of all.
    #[must_use]
    pub fn field_at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let (name, value) = self.fields.get(index)?;
        Some((self.bytes(name), self.bytes(value)))
    }

    /// The values of a field, in order. The name is in any case of letters.
    pub fn fields(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |(own, _)| self.bytes(own).eq_ignore_ascii_case(name))
            .map(|(_, value)| self.bytes(value))
    }

    fn bytes(&self, place: &Place) -> &[u8] {
        let range = place.start as usize..place.end as usize;
        self.text.get(range).unwrap_or_default()
    }

    /// Of what was text when it was copied.
    fn str(&self, place: &Place) -> &str {
        std::str::from_utf8(self.bytes(place)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::Limits, wire::request_head::HeadParsed};

    fn held(text: &str) -> HeldHead {
        let HeadParsed::Done(head) = RequestHead::parse(text.as_bytes(), &Limits::default()) else {
            panic!("no head: {text}");
        };
        HeldHead::of(&head)
    }

    #[test]
    fn all_of_a_head_can_be_read_after_its_bytes_are_gone() {
        let head = held("PUT /a%20b?q=1?2 HTTP/1.0\r\nHost: h:80\r\nA: 1\r\na:  2\u{e9} \r\n\r\n");
        assert_eq!(
            (head.method(), head.target(), head.path(), head.query()),
            ("PUT", "/a%20b?q=1?2", "/a%20b", Some("q=1?2"))
        );
        assert_eq!((head.host(), head.minor_version()), ("h:80", 0));
        let values: Vec<_> = head.fields(b"A").collect();
        assert_eq!(values, [&b"1"[..], "2\u{e9}".as_bytes()]);
        assert_eq!(head.field_at(1), Some((&b"A"[..], &b"1"[..])));
        assert_eq!(head.field_at(3), None);
    }

    #[test]
    fn what_is_lent_reads_as_the_head_did() {
        let head = held("GET http://other?x HTTP/1.1\r\nHost: h\r\nRange: bytes=1-\r\n\r\n");
        assert_eq!((head.path(), head.host()), ("/", "other"));
        let lent = head.lend();
        assert_eq!(
            (lent.path(), lent.query(), lent.host()),
            ("/", Some("x"), "other")
        );
        assert_eq!(lent.field("range"), Some(&b"bytes=1-"[..]));
    }
}
