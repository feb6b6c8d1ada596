//! HTTP requests: heads, bodies in chunks, and what is asked of a file.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use hotsocket::{
    connection::content::Part,
    context::files::{Conditions, Content, Method, Opened, answer_file},
    limits::Limits,
    wire::{
        body_length::BodyLength,
        byte_range::{Selection, select},
        chunked::{ChunkError, Decoded, Decoder, put_chunk, put_end},
        content_coding::weight,
        entity_tag::{EntityTag, list_has},
        fields::Fields,
        http_date,
        request_head::{HeadParsed, RequestHead},
        request_path::RequestPath,
    },
};

/// A head that is read is read the same whatever follows it, and no part of it was taken for a head or refused before;
/// its path names nothing outside.
pub(crate) fn request_head(input: &[u8]) {
    let limits = Limits::default();
    let head = match RequestHead::parse(input, &limits) {
        HeadParsed::Done(head) => head,
        HeadParsed::Partial => return,
        HeadParsed::Wrong(error) => {
            assert!((400..=505).contains(&error.status()));
            return;
        }
    };
    let read = |input: &[u8]| match RequestHead::parse(input, &limits) {
        HeadParsed::Done(head) => format!("{head:?} {:?}", BodyLength::of(&head)),
        other => panic!("{other:?}"),
    };
    let expected = read(&input[..head.len]);
    assert_eq!(read(input), expected);
    assert_eq!(
        read(&[input, b"\r\n\r\nGET / HTTP/1.1\r\n"].concat()),
        expected
    );
    for cut in 0..head.len {
        let parsed = RequestHead::parse(&input[..cut], &limits);
        assert!(matches!(parsed, HeadParsed::Partial), "{cut}: {parsed:?}");
    }
    if let Err(error) = BodyLength::of(&head) {
        assert!(matches!(error.status(), 400 | 501));
    }
    request_path(head.path());
}

/// What is decoded has plain names only, and is decoded the same when all of it is escaped.
fn request_path(path: &str) {
    let path = match RequestPath::decode(path) {
        Ok(path) => path,
        Err(error) => return assert!(matches!(error.status(), 400 | 404)),
    };
    let names = path.as_bytes();
    assert!(!names.contains(&0));
    if names.is_empty() {
        return;
    }
    let mut escaped = String::new();
    for name in names.split(|byte| *byte == b'/') {
        assert!(!matches!(name, b"" | b"." | b".."), "{path:?}");
        escaped.push('/');
        escaped.extend(name.iter().map(|byte| format!("%{byte:02x}")));
    }
    let again = RequestPath::decode(&escaped).unwrap();
    assert_eq!(again.as_bytes(), names);
}

/// Content, trailer, and how many bytes that took.
type Body = (Vec<u8>, Option<Fields>, usize);

fn decode(input: &[u8], steps: &mut dyn Iterator<Item = usize>) -> Result<Body, ChunkError> {
    let mut decoder = Decoder::new(64);
    let (mut data, mut at, mut given) = (Vec::new(), 0, 0);
    loop {
        let (used, decoded) = decoder.next(&input[at..given])?;
        at += used;
        match decoded {
            Decoded::Data(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= used);
                data.extend_from_slice(bytes);
            }
            Decoded::End(trailer) => return Ok((data, Some(trailer), at)),
            Decoded::Need => {
                assert_eq!(at, given, "input was left aside");
                if given == input.len() {
                    return Ok((data, None, at));
                }
                let step = steps.next().unwrap_or(input.len());
                given = (given + step.max(1)).min(input.len());
            }
        }
    }
}

/// A body is the same however it is cut, and what we write is read back. The first byte says how long the pieces are.
pub(crate) fn chunked_body(input: &[u8]) {
    let Some((seed, input)) = input.split_first() else {
        return;
    };
    let whole = decode(input, &mut std::iter::empty());
    let mut ones = std::iter::repeat(1);
    assert_eq!(decode(input, &mut ones), whole);
    let mut pieces = (0..).map(|count| (usize::from(*seed) >> (count % 7)) & 15);
    assert_eq!(decode(input, &mut pieces), whole);
    let mut written = Vec::new();
    for piece in input.chunks(1 + usize::from(*seed)) {
        put_chunk(&mut written, piece);
    }
    let mut trailer = Fields::new();
    trailer.set("X", seed);
    put_end(&mut written, &trailer);
    let len = written.len();
    written.extend_from_slice(input);
    let read = decode(&written, &mut ones);
    assert_eq!(read, Ok((input.to_vec(), Some(trailer), len)));
}

fn nothing() -> Arc<File> {
    static NOTHING: OnceLock<Arc<File>> = OnceLock::new();
    let open = || Arc::new(File::open("/dev/null").unwrap());
    Arc::clone(NOTHING.get_or_init(open))
}

/// Whatever a request says of a file of any length, what is sent lies inside of it and is not more than all of it. The
/// input is two bytes for the length, one for the method, and a line for each field.
pub(crate) fn ranges(input: &[u8]) {
    let [low, high, kind, lines @ ..] = input else {
        return;
    };
    // 0 to 255, and up to the ends of what a file can have.
    let length = u64::from(*low) << (high % 64);
    let mut lines = lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let conditions = Conditions {
        method: [Method::Get, Method::Get, Method::Head, Method::Other][usize::from(kind & 3)],
        range: line(),
        if_range: line(),
        accept_encoding: line(),
        if_match: line(),
        if_none_match: line(),
        if_modified_since: line(),
        if_unmodified_since: line(),
        ranges_count: u64::from(kind >> 4),
    };
    if let Some(field) = &conditions.range {
        selected(field, length, conditions.ranges_count);
    }
    if let Some(field) = &conditions.if_range {
        entity_tag(field);
        if let Some(seconds) = http_date::parse(field) {
            let written = http_date::format(seconds).unwrap();
            assert_eq!(http_date::parse(written.as_bytes()), Some(seconds));
        }
    }
    for coding in ["zstd", "br", "gzip", "identity"] {
        assert!(weight(conditions.accept_encoding.as_deref(), coding) <= 1000);
    }
    answered(&conditions, length);
}

fn selected(field: &[u8], length: u64, most_count: u64) {
    if let Selection::Parts(parts) = select(field, length, most_count) {
        assert!(!parts.is_empty() && parts.len() as u64 <= most_count);
        assert!(
            parts
                .iter()
                .all(|part| part.start < part.end && part.end <= length)
        );
        let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
        assert!(total <= length);
        // A range can be asked for by what it turned out to be.
        let range = |part: &std::ops::Range<u64>| format!("{}-{}", part.start, part.end - 1);
        let field = format!(
            "bytes={}",
            parts.iter().map(range).collect::<Vec<_>>().join(",")
        );
        let again = select(field.as_bytes(), length, most_count);
        assert_eq!(again, Selection::Parts(parts));
    }
}

fn entity_tag(field: &[u8]) {
    if let Some(tag) = EntityTag::parse(field) {
        assert_eq!(list_has(field, |other| other.is_like(&tag)), Ok(true));
        assert_eq!(
            list_has(field, |other| other.is_same(&tag)),
            Ok(!tag.is_weak)
        );
    }
}

fn answered(conditions: &Conditions, length: u64) {
    let opened = Opened {
        content: Content::File {
            file: nothing(),
            start: 0,
        },
        size: length,
        modified: Some(784_111_777),
        tag: "1".into(),
        gzip: None,
    };
    let answer = answer_file(conditions, &opened, Fields::new());
    let mut sent = 0;
    for part in &answer.parts {
        if let Part::File { range, .. } = part {
            assert!(range.start < range.end && range.end <= length);
            sent += range.end - range.start;
        }
    }
    match answer.status {
        200 => assert_eq!(sent, length),
        206 => assert!(0 < sent && sent <= length && conditions.method == Method::Get),
        304 | 412 => assert!(sent == 0 && conditions.method != Method::Other),
        416 => assert!(sent == 0 && length > 0 && conditions.method == Method::Get),
        other => panic!("{other}"),
    }
}
