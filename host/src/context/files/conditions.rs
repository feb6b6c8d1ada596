//! What a request says about the file it already has, or wants a part of. RFC 9110 sections 13 and 14.

use std::ops::Range;

use crate::limits::Limits;
use crate::wire::byte_range::{Selection, select};
use crate::wire::entity_tag::{EntityTag, list_has};
use crate::wire::http_date;
use crate::wire::request_head::RequestHead;

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// To be sent.
    #[default]
    Get,
    /// To be told of.
    Head,
    /// To be asked what can be done.
    Options,
    /// Anything else.
    Other,
}

/// What a request says of conditions and of what it accepts; outlives its head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Conditions hold for GET and HEAD, ranges for GET.
    pub method: Method,
    /// If-Match; all its lines as one list.
    pub if_match: Option<Vec<u8>>,
    /// If-None-Match; all its lines as one list.
    pub if_none_match: Option<Vec<u8>>,
    /// If-Modified-Since; this and the next are not there when repeated, as dates that cannot be read are.
    pub if_modified_since: Option<Vec<u8>>,
    /// If-Unmodified-Since.
    pub if_unmodified_since: Option<Vec<u8>>,
    /// If-Range.
    pub if_range: Option<Vec<u8>>,
    /// Range; not there when repeated.
    pub range: Option<Vec<u8>>,
    /// Accept-Encoding; all its lines as one list.
    pub accept_encoding: Option<Vec<u8>>,
    /// `limits.ranges_count`.
    pub ranges_count: u64,
}

/// What a file is now, as conditions compare it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current<'a> {
    pub(crate) tag: Option<EntityTag<'a>>,
    /// Seconds since 1970.
    pub(crate) modified: Option<i64>,
    /// In bytes.
    pub(crate) length: u64,
}

/// What the answer is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 200.
    Whole,
    /// 206; at least one, none empty, all inside.
    Parts(Vec<Range<u64>>),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

impl Conditions {
    /// Takes what counts from a head.
    #[must_use]
    pub fn of(head: &RequestHead<'_>, limits: &Limits) -> Self {
        Self {
            method: match head.method {
                "GET" => Method::Get,
                "HEAD" => Method::Head,
                "OPTIONS" => Method::Options,
                _ => Method::Other,
            },
            if_match: list(head, "If-Match"),
            if_none_match: list(head, "If-None-Match"),
            if_modified_since: single(head, "If-Modified-Since"),
            if_unmodified_since: single(head, "If-Unmodified-Since"),
            if_range: single(head, "If-Range"),
            // An If-Range that cannot be read must not let a range through.
            range: single(head, "Range").filter(|_| head.fields("If-Range").count() < 2),
            accept_encoding: list(head, "Accept-Encoding"),
            ranges_count: limits.ranges_count,
        }
    }

    /// Judges in the order of section 13.2.2.
    pub(crate) fn judge(&self, current: &Current<'_>) -> Verdict {
        if !matches!(self.method, Method::Get | Method::Head) {
            return Verdict::Whole;
        }
        if !self.is_still(current) {
            return Verdict::Failed;
        }
        if self.is_known(current) {
            return Verdict::NotModified;
        }
        match &self.range {
            Some(range) if self.method == Method::Get && self.is_range_of(current) => {
                match select(range, current.length, self.ranges_count) {
                    Selection::Whole => Verdict::Whole,
                    Selection::Parts(parts) => Verdict::Parts(parts),
                    Selection::Unsatisfiable => Verdict::Unsatisfiable,
                }
            }
            _ => Verdict::Whole,
        }
    }

    /// Steps 1 and 2. A list that cannot be read matches nothing: who asked for a certain state must not get another.
    fn is_still(&self, current: &Current<'_>) -> bool {
        if let Some(list) = &self.if_match {
            let is_same = |tag: &EntityTag<'_>| current.tag.is_some_and(|own| own.is_same(tag));
            return list_has(list, is_same).unwrap_or(false);
        }
        match (date(self.if_unmodified_since.as_deref()), current.modified) {
            (Some(date), Some(modified)) => modified <= date,
            _ => true,
        }
    }

    /// Steps 3 and 4. A list that cannot be read matches nothing here too: then the file is sent.
    fn is_known(&self, current: &Current<'_>) -> bool {
        if let Some(list) = &self.if_none_match {
            let is_like = |tag: &EntityTag<'_>| current.tag.is_some_and(|own| own.is_like(tag));
            return list_has(list, is_like).unwrap_or(false);
        }
        match (date(self.if_modified_since.as_deref()), current.modified) {
            (Some(date), Some(modified)) => modified <= date,
            _ => false,
        }
    }

    /// Step 5. A date has to be the very one that we gave; whether it is strong enough is known to who kept the Date
    /// beside it (section 13.1.5).
    fn is_range_of(&self, current: &Current<'_>) -> bool {
        let Some(field) = self.if_range.as_deref() else {
            return true;
        };
        match EntityTag::parse(field) {
            Some(tag) => current.tag.is_some_and(|own| own.is_same(&tag)),
            None => current.modified.is_some() && http_date::parse(field) == current.modified,
        }
    }
}

fn date(field: Option<&[u8]>) -> Option<i64> {
    http_date::parse(field?)
}

/// Section 5.3: lines of a list are one list.
fn list(head: &RequestHead<'_>, name: &str) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = head.fields(name).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

fn single(head: &RequestHead<'_>, name: &str) -> Option<Vec<u8>> {
    let mut lines = head.fields(name);
    let line = lines.next()?;
    lines.next().is_none().then(|| line.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::request_head::HeadParsed;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn conditions(method: &str, fields: &str) -> Conditions {
        let fields = fields
            .replace("NOW", NOW)
            .replace("BEFORE", BEFORE)
            .replace("AFTER", AFTER);
        let input = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        match RequestHead::parse(input.as_bytes(), &Limits::default()) {
            HeadParsed::Done(head) => Conditions::of(&head, &Limits::default()),
            other => panic!("{input:?}: {other:?}"),
        }
    }

    fn judged(method: &str, fields: &str) -> Verdict {
        conditions(method, fields).judge(&Current {
            tag: EntityTag::parse(b"\"1\""),
            modified: Some(784_111_777),
            length: 10,
        })
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        for (fields, expected) in [
            ("", Verdict::Whole),
            ("If-Match: \"1\"\r\n", Verdict::Whole),
            ("If-Match: *\r\n", Verdict::Whole),
            ("If-Match: \"2\"\r\nIf-Match: \"1\"\r\n", Verdict::Whole),
            ("If-Match: \"2\"\r\n", Verdict::Failed),
            ("If-Match: W/\"1\"\r\n", Verdict::Failed),
            ("If-Match: 1\r\n", Verdict::Failed),
            (
                "If-Match: \"1\"\r\nIf-Unmodified-Since: BEFORE\r\n",
                Verdict::Whole,
            ),
            (
                "If-Match: \"2\"\r\nIf-Unmodified-Since: AFTER\r\n",
                Verdict::Failed,
            ),
            (
                "If-Match: \"2\"\r\nIf-None-Match: \"1\"\r\n",
                Verdict::Failed,
            ),
            ("If-Unmodified-Since: NOW\r\n", Verdict::Whole),
            ("If-Unmodified-Since: BEFORE\r\n", Verdict::Failed),
            ("If-Unmodified-Since: whenever\r\n", Verdict::Whole),
            (
                "If-Unmodified-Since: BEFORE\r\nIf-None-Match: \"1\"\r\n",
                Verdict::Failed,
            ),
            ("If-None-Match: \"1\"\r\n", Verdict::NotModified),
            ("If-None-Match: W/\"1\"\r\n", Verdict::NotModified),
            ("If-None-Match: \"2\", \"1\"\r\n", Verdict::NotModified),
            ("If-None-Match: *\r\n", Verdict::NotModified),
            ("If-None-Match: \"2\"\r\n", Verdict::Whole),
            ("If-None-Match: 1\r\n", Verdict::Whole),
            (
                "If-Match: \"1\"\r\nIf-None-Match: \"1\"\r\n",
                Verdict::NotModified,
            ),
            (
                "If-None-Match: \"2\"\r\nIf-Modified-Since: NOW\r\n",
                Verdict::Whole,
            ),
            (
                "If-None-Match: \"1\"\r\nIf-Modified-Since: BEFORE\r\n",
                Verdict::NotModified,
            ),
            ("If-Modified-Since: NOW\r\n", Verdict::NotModified),
            ("If-Modified-Since: AFTER\r\n", Verdict::NotModified),
            ("If-Modified-Since: BEFORE\r\n", Verdict::Whole),
            ("If-Modified-Since: 784111777\r\n", Verdict::Whole),
            (
                "If-Modified-Since: AFTER\r\nIf-Modified-Since: AFTER\r\n",
                Verdict::Whole,
            ),
            (
                "If-None-Match: \"1\"\r\nRange: bytes=0-0\r\n",
                Verdict::NotModified,
            ),
        ] {
            assert_eq!(judged("GET", fields), expected, "GET {fields}");
            assert_eq!(judged("HEAD", fields), expected, "HEAD {fields}");
            assert_eq!(judged("POST", fields), Verdict::Whole, "POST {fields}");
        }
    }

    #[test]
    fn ranges_are_for_get_and_only_of_what_if_range_names() {
        let part = || Verdict::Parts(std::iter::once(0..1).collect());
        for (fields, expected) in [
            ("", part()),
            ("If-Range: \"1\"\r\n", part()),
            ("If-Range: \"2\"\r\n", Verdict::Whole),
            ("If-Range: W/\"1\"\r\n", Verdict::Whole),
            ("If-Range: \"1\", \"2\"\r\n", Verdict::Whole),
            ("If-Range: *\r\n", Verdict::Whole),
            ("If-Range: NOW\r\n", part()),
            ("If-Range: BEFORE\r\n", Verdict::Whole),
            ("If-Range: AFTER\r\n", Verdict::Whole),
            ("If-Range: \"1\"\r\nIf-Range: \"1\"\r\n", Verdict::Whole),
            ("If-Match: \"1\"\r\n", part()),
        ] {
            let fields = format!("Range: bytes=0-0\r\n{fields}");
            assert_eq!(judged("GET", &fields), expected, "{fields}");
            assert_eq!(judged("HEAD", &fields), Verdict::Whole, "{fields}");
        }
        assert_eq!(
            judged("GET", "Range: bytes=10-\r\n"),
            Verdict::Unsatisfiable
        );
        let twice = "Range: bytes=0-0\r\nRange: bytes=1-1\r\n";
        assert_eq!(judged("GET", twice), Verdict::Whole);
        let many = format!("Range: bytes={}\r\n", ["0-0"; 17].join(","));
        assert_eq!(judged("GET", &many), Verdict::Whole);
    }

    #[test]
    fn what_a_file_does_not_have_is_not_compared() {
        let unknown = Current {
            tag: None,
            modified: None,
            length: 10,
        };
        for (fields, expected) in [
            ("If-Match: \"1\"\r\n", Verdict::Failed),
            ("If-None-Match: \"1\"\r\n", Verdict::Whole),
            ("If-Modified-Since: AFTER\r\n", Verdict::Whole),
            ("If-Unmodified-Since: BEFORE\r\n", Verdict::Whole),
            ("Range: bytes=0-0\r\nIf-Range: whenever\r\n", Verdict::Whole),
        ] {
            assert_eq!(
                conditions("GET", fields).judge(&unknown),
                expected,
                "{fields}"
            );
        }
    }
}
