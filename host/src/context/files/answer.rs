//! From an open file to an answer: validators, conditions, ranges.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::conditions::{Conditions, Current, Method, Verdict};
use super::content::{self, Unread};
use super::media_type::MediaTypes;
use super::open::open_path;
use super::source::{Opened, OpenedAs};
use super::{Cold, Reach};
use crate::connection::content::{FileAnswer, Part};
use crate::wire::entity_tag::EntityTag;
use crate::wire::fields::Fields;
use crate::wire::http_date;

/// Answers with an open file: whole, in parts, or not at all, as the conditions say. `fields` go before those that
/// would be set here: Content-Type, ETag, Last-Modified, Accept-Ranges. Its bytes are not read; those of
/// [`Content::Read`](super::Content::Read) have to be there already, unless the answer is without them.
#[must_use]
pub fn answer_file(conditions: &Conditions, opened: &Opened, mut fields: Fields) -> FileAnswer {
    put_validators(&mut fields, opened);
    match judged(conditions, opened, &fields) {
        Verdict::Whole => {
            put_whole(&mut fields);
            let parts = match opened.size {
                0 => Vec::new(),
                size => parts(opened, 0..size),
            };
            FileAnswer {
                status: 200,
                fields,
                parts,
            }
        }
        Verdict::Parts(ranges) => in_parts(opened, fields, &ranges),
        Verdict::NotModified => FileAnswer {
            status: 304,
            // RFC 9110 section 15.4.5: nothing of the content that the client has already, but for its tag.
            fields: fields.without(&[
                "Content-Type",
                "Content-Encoding",
                "Content-Language",
                "Last-Modified",
            ]),
            parts: Vec::new(),
        },
        Verdict::Failed => refusal(
            412,
            "the file is not in the state that the condition asks for",
        ),
        Verdict::Unsatisfiable => {
            let mut answer = refusal(416, "the file has no such range");
            let size = opened.size;
            answer
                .fields
                .set("Content-Range", format_args!("bytes */{size}"));
            answer
        }
    }
}

/// What the conditions say of a file whose answer has these fields.
fn judged(conditions: &Conditions, opened: &Opened, fields: &Fields) -> Verdict {
    conditions.judge(&Current {
        tag: fields.get("ETag").and_then(EntityTag::parse),
        modified: fields.get("Last-Modified").and_then(http_date::parse),
        length: opened.size,
    })
}

impl Conditions {
    /// Whether an answer with these fields has bytes of the file.
    pub(crate) fn want_content(&self, opened: &Opened, fields: &Fields) -> bool {
        let mut fields = fields.clone();
        put_validators(&mut fields, opened);
        self.method == Method::Get
            && matches!(
                judged(self, opened, &fields),
                Verdict::Whole | Verdict::Parts(_)
            )
    }
}

/// Answers with the file at a path that somebody we trust has named; 404 when it cannot be opened. The type is taken
/// from the name unless `fields` has one.
///
/// # Errors
///
/// [`Cold`], with [`Reach::Memory`] only.
pub fn answer_path(
    path: &Path,
    conditions: &Conditions,
    mut fields: Fields,
    reach: Reach,
) -> Result<FileAnswer, Cold> {
    let opened = match open_path(path, reach)? {
        OpenedAs::File(opened) => opened,
        OpenedAs::Broken(error) => return Ok(broken(path, &error)),
        OpenedAs::Directory | OpenedAs::Nothing | OpenedAs::Denied => return Ok(nothing()),
    };
    if !fields.has("Content-Type") {
        let name = path.as_os_str().as_encoded_bytes();
        fields.set("Content-Type", MediaTypes::default().of(name));
    }
    let answer = answer_file(conditions, &opened, fields);
    loaded(answer, conditions.method, reach, || path.to_owned())
}

/// The answer with its content in memory, if it is small and to be sent at all.
pub(crate) fn loaded(
    mut answer: FileAnswer,
    method: Method,
    reach: Reach,
    path: impl FnOnce() -> PathBuf,
) -> Result<FileAnswer, Cold> {
    if method == Method::Head {
        return Ok(answer);
    }
    match content::load(&mut answer, reach) {
        Ok(()) => Ok(answer),
        Err(Unread::Cold) => Err(Cold),
        Err(Unread::Shorter) => Ok(refusal(503, "the file is being written; ask again")),
        Err(Unread::Broken(error)) => Ok(broken(&path(), &error.into())),
    }
}

/// An answer of one line of text. It has no fields of the mount: those are made for its files.
pub(crate) fn refusal(status: u16, text: &str) -> FileAnswer {
    let mut fields = Fields::new();
    fields.set("Content-Type", "text/plain; charset=utf-8");
    FileAnswer {
        status,
        fields,
        parts: vec![Part::Bytes(format!("{text}\n").into_bytes())],
    }
}

pub(crate) fn nothing() -> FileAnswer {
    refusal(404, "there is nothing here")
}

/// What went wrong is for our log, not for the peer.
pub(crate) fn broken(path: &Path, error: &io::Error) -> FileAnswer {
    tracing::warn!(target: "hotsocket::context", path = %path.display(), %error,
        "a file could not be read, and its request was refused; see what the system says of it");
    match Errno::from_io_error(error) {
        // What may be over soon: too many open files, too little memory, a file that is leased or being moved.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => {
            refusal(503, "the file cannot be read now; ask again")
        }
        _ => refusal(500, "the file cannot be read"),
    }
}

/// What an answer of the whole file says beside the validators.
pub(super) fn put_whole(fields: &mut Fields) {
    set_default(fields, "Accept-Ranges", "bytes");
}

pub(super) fn put_validators(fields: &mut Fields, opened: &Opened) {
    set_default(fields, "ETag", format_args!("\"{}\"", opened.tag));
    // RFC 9110 section 8.8.2.1: never in the future.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let modified = opened.modified.map(|modified| modified.min(now));
    if let Some(date) = modified.and_then(http_date::format) {
        set_default(fields, "Last-Modified", date);
    }
}

fn set_default(fields: &mut Fields, name: &str, value: impl std::fmt::Display) {
    if !fields.has(name) {
        fields.set(name, value);
    }
}

pub(super) fn parts(opened: &Opened, range: Range<u64>) -> Vec<Part> {
    let mut parts = Vec::with_capacity(1);
    opened.content.put_parts(range, &mut parts);
    parts
}

/// RFC 9110 sections 15.3.7.1 and 15.3.7.2.
fn in_parts(opened: &Opened, mut fields: Fields, ranges: &[Range<u64>]) -> FileAnswer {
    set_default(&mut fields, "Accept-Ranges", "bytes");
    let status = 206;
    if let [range] = ranges {
        fields.set("Content-Range", content_range(range, opened.size));
        return FileAnswer {
            status,
            fields,
            parts: parts(opened, range.clone()),
        };
    }
    let boundary = boundary();
    let media_type = fields.get("Content-Type").map(<[u8]>::to_vec);
    let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
    for range in ranges {
        let before = if parts.is_empty() { "" } else { "\r\n" };
        let mut inner = Fields::new();
        if let Some(media_type) = &media_type {
            // It is a field already, so it can be one again.
            let _ = inner.add("Content-Type", media_type);
        }
        inner.set("Content-Range", content_range(range, opened.size));
        let mut head = format!("{before}--{boundary}\r\n").into_bytes();
        head.extend_from_slice(inner.as_bytes());
        head.extend_from_slice(b"\r\n");
        parts.push(Part::Bytes(head));
        opened.content.put_parts(range.clone(), &mut parts);
    }
    parts.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into_bytes()));
    let mut fields = fields.without(&["Content-Type"]);
    fields.set(
        "Content-Type",
        format_args!("multipart/byteranges; boundary={boundary}"),
    );
    FileAnswer {
        status,
        fields,
        parts,
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// New for each answer and not to be guessed: 128 bits of a keyed hash whose keys nobody sees. So nobody can have
/// written it into a file, and by chance it is not there.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
