//! What of a file is sent: by conditions, ranges, and where it is.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::io::{ReadWriteFlags, preadv2};

use super::{Site, body, field, head, request};
use crate::connection::content::Part;
use crate::context::files::answer::loaded;
use crate::context::files::{Conditions, Opened, Reach, answer_file, answer_path};
use crate::limits::Limits;
use crate::wire::fields::Fields;
use crate::wire::http_date;

#[test]
fn a_file_is_sent_with_its_type_and_validators() {
    let sites = Site::each(|mount| {
        mount.cache_control = Some("max-age=60".into());
        mount.fields.add("X-Frame-Options", b"DENY").unwrap();
    });
    for site in sites {
        site.put("a/b.html", "hello");
        site.date("a/b.html", 784_111_777);
        let answer = site.ask("GET", "/m/a/b.html?x=1", "");
        assert_eq!((answer.status, &*body(&answer)), (200, &b"hello"[..]));
        for (name, value) in [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Accept-Ranges", "bytes"),
            ("Vary", "Accept-Encoding"),
            ("Cache-Control", "max-age=60"),
            ("X-Frame-Options", "DENY"),
        ] {
            assert_eq!(field(&answer, name), value);
        }
        assert!(field(&answer, "ETag").starts_with('"'));
        assert!(!answer.fields.has("Content-Length"));
        let missing = site.ask("GET", "/m/absent", "");
        assert!(
            !missing.fields.has("Cache-Control"),
            "an error must not be kept"
        );
    }
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    for site in Site::each(|mount| mount.cache_control = Some("no-cache".into())) {
        site.put("file.txt", "hello");
        site.date("file.txt", 784_111_777);
        let first = site.ask("GET", "/m/file.txt", "");
        let tag = field(&first, "ETag").to_owned();
        for condition in [
            format!("If-None-Match: {tag}\r\n"),
            format!("If-Modified-Since: {}\r\n", field(&first, "Last-Modified")),
        ] {
            let answer = site.ask("GET", "/m/file.txt", &condition);
            assert_eq!((answer.status, answer.parts.len()), (304, 0));
            for name in ["ETag", "Cache-Control", "Vary"] {
                assert_eq!(field(&answer, name), field(&first, name), "{name}");
            }
            for name in ["Content-Type", "Last-Modified", "Content-Length"] {
                assert!(!answer.fields.has(name), "{name}");
            }
        }
        let other = site.ask("GET", "/m/file.txt", "If-Match: \"other\"\r\n");
        assert_eq!(other.status, 412);
        // As long as before, and with the old time: only the time of the change itself tells.
        site.put("file.txt", "world");
        site.date("file.txt", 784_111_777);
        let condition = format!("If-None-Match: {tag}\r\n");
        assert_eq!(site.get("/m/file.txt", &condition), (200, "world".into()));
    }
}

#[test]
fn a_time_that_no_date_can_say_is_left_out_and_a_future_one_is_now() {
    let site = Site::new();
    site.put("old", "");
    site.put("new", "");
    let old = File::options().write(true).open(site.path("old")).unwrap();
    old.set_modified(SystemTime::UNIX_EPOCH - Duration::from_secs(9))
        .unwrap();
    let answer = site.ask("GET", "/m/old", "");
    assert_eq!((answer.status, field(&answer, "Last-Modified")), (200, ""));
    let new = File::options().write(true).open(site.path("new")).unwrap();
    new.set_modified(SystemTime::now() + Duration::from_secs(9999))
        .unwrap();
    let answer = site.ask("GET", "/m/new", "");
    let told = http_date::parse(field(&answer, "Last-Modified").as_bytes()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!(told as u64 <= now.unwrap().as_secs());
}

#[test]
fn a_range_is_sent_alone() {
    for site in Site::each(|_| {}) {
        site.put("small", "0123456789");
        let large: Vec<u8> = (0..300_000_u32).map(|at| at as u8).collect();
        site.put("large", &large);
        let answer = site.ask("GET", "/m/small", "Range: bytes=2-4\r\n");
        assert_eq!((answer.status, &*body(&answer)), (206, &b"234"[..]));
        assert_eq!(field(&answer, "Content-Range"), "bytes 2-4/10");
        assert_eq!(field(&answer, "Content-Type"), "application/octet-stream");
        let answer = site.ask("GET", "/m/large", "Range: bytes=100000-\r\n");
        assert!(
            !matches!(answer.parts[..], [Part::Bytes(_)]),
            "was copied: {:?}",
            site.kind
        );
        assert_eq!(body(&answer), large[100_000..]);
        assert_eq!(
            field(&answer, "Content-Range"),
            "bytes 100000-299999/300000"
        );
        let answer = site.ask("GET", "/m/small", "Range: bytes=10-\r\n");
        assert_eq!(answer.status, 416);
        assert_eq!(field(&answer, "Content-Range"), "bytes */10");
        let answer = site.ask("HEAD", "/m/small", "Range: bytes=2-4\r\n");
        assert_eq!((answer.status, answer.content_length()), (200, 10));
        let tag = field(&answer, "ETag");
        let same = format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n");
        assert_eq!(site.get("/m/small", &same).0, 206);
        let other = "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n";
        assert_eq!(site.get("/m/small", other).0, 200);
        site.put("empty", "");
        assert_eq!(
            site.get("/m/empty", "Range: bytes=-5\r\n"),
            (200, String::new())
        );
    }
}

#[test]
fn several_ranges_are_parts_of_one_answer() {
    for site in Site::each(|_| {}) {
        site.put("a.txt", "0123456789");
        let answer = site.ask("GET", "/m/a.txt", "Range: bytes=7-,0-1,-1\r\n");
        assert_eq!(answer.status, 206);
        assert!(!answer.fields.has("Content-Range"));
        let media_type = field(&answer, "Content-Type");
        let boundary = media_type
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        assert_eq!(boundary.len(), 32);
        let part = |range: &str, content: &str| {
            format!(
                "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/10\r\n\r\n{content}\r\n"
            )
        };
        let expected = part("7-9", "789") + &part("0-1", "01") + &part("9-9", "9");
        let content = String::from_utf8(body(&answer)).unwrap();
        assert_eq!(content, format!("{expected}--{boundary}--\r\n"));
        let again = site.ask("GET", "/m/a.txt", "Range: bytes=0-0,2-2\r\n");
        assert!(!field(&again, "Content-Type").ends_with(boundary));
        let all = "Range: bytes=0-,0-,0-\r\n";
        assert_eq!(site.get("/m/a.txt", all), (200, "0123456789".into()));
    }
}

#[test]
fn what_takes_the_disk_is_cold_first() {
    let site = Site::new();
    let root = site.root();
    request("GET", "/m/nobody-has-asked-for-it", "", |request| {
        assert!(root.answer(request, Reach::Memory).is_err());
        assert_eq!(root.answer(request, Reach::Disk).unwrap().status, 404);
    });
}

/// Whether this filesystem can say that something is in memory; not all can.
fn is_at_hand(path: &Path) -> bool {
    let file = File::open(path).unwrap();
    let mut byte = [0];
    preadv2(
        file,
        &mut [IoSliceMut::new(&mut byte)],
        0,
        ReadWriteFlags::NOWAIT,
    )
    .is_ok()
}

#[test]
fn what_is_small_and_at_hand_is_answered_from_memory() {
    let site = Site::with(|mount| mount.precompressed = false);
    site.put("small", vec![b's'; 64 << 10]);
    site.put("large", vec![b'l'; (64 << 10) + 1]);
    let root = site.root();
    request("GET", "/m/small", "", |request| {
        root.answer(request, Reach::Disk).unwrap();
        let answer = root.answer(request, Reach::Memory);
        assert_eq!(answer.is_ok(), is_at_hand(&site.path("small")));
        if let Ok(answer) = answer {
            assert!(matches!(answer.parts[..], [Part::Bytes(_)]));
            assert_eq!(body(&answer), vec![b's'; 64 << 10]);
        }
    });
    request("GET", "/m/large", "", |request| {
        root.answer(request, Reach::Disk).unwrap();
        let answer = root.answer(request, Reach::Memory).unwrap();
        assert!(matches!(answer.parts[..], [Part::File { .. }]));
    });
}

#[test]
fn a_file_that_was_replaced_is_sent_as_it_was_when_it_was_opened() {
    let site = Site::new();
    site.put("large", vec![b'1'; 100_000]);
    let answer = site.ask("GET", "/m/large", "");
    fs::rename(site.path("large"), site.path("former")).unwrap();
    site.put("large", vec![b'2'; 200_000]);
    assert_eq!(body(&answer), vec![b'1'; 100_000]);
    assert_eq!(site.ask("GET", "/m/large", "").content_length(), 200_000);
}

#[test]
fn a_path_that_a_handler_names_has_conditions_and_ranges_too() {
    let site = Site::new();
    site.put("report.csv", "a;b");
    symlink("report.csv", site.path("link")).unwrap();
    let path = site.path("report.csv");
    let ask = |fields: &str, path: PathBuf, own: &Fields| {
        head("GET", "/anything", fields, |head| {
            let conditions = Conditions::of(head, &Limits::default());
            answer_path(&path, &conditions, own.clone(), Reach::Disk).unwrap()
        })
    };
    let answer = ask("", path.clone(), &Fields::new());
    assert_eq!((answer.status, &*body(&answer)), (200, &b"a;b"[..]));
    assert_eq!(field(&answer, "Content-Type"), "text/csv; charset=utf-8");
    let mut own = Fields::new();
    own.add("Content-Type", b"text/own").unwrap();
    own.add("ETag", b"\"own\"").unwrap();
    let answer = ask("Range: bytes=2-\r\n", site.path("link"), &own);
    assert_eq!((answer.status, &*body(&answer)), (206, &b"b"[..]));
    assert_eq!(field(&answer, "Content-Type"), "text/own");
    let answer = ask("If-None-Match: \"own\"\r\n", path, &own);
    assert_eq!(answer.status, 304);
    for absent in [site.path("absent"), site.path(""), "/dev/zero".into()] {
        assert_eq!(ask("", absent, &own).status, 404);
    }
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_not_sent_in_part() {
    let site = Site::new();
    site.put("file", "hello");
    let opened = File::open(site.path("file")).unwrap();
    let metadata = opened.metadata().unwrap();
    let opened = Opened::of(opened, &metadata);
    site.put("file", "he");
    head("GET", "/", "", |head| {
        let conditions = Conditions::of(head, &Limits::default());
        let answer = answer_file(&conditions, &opened, Fields::new());
        let answer = loaded(answer, conditions.method, Reach::Disk, PathBuf::new);
        assert_eq!(answer.unwrap().status, 503);
    });
}
