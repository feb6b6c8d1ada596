//! Requests against real files.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::{Conditions, FileRequest, FilesMount, FilesRoot, Reach, answer_path};
use crate::connection::content::{FileAnswer, Part};
use crate::limits::Limits;
use crate::wire::fields::Fields;
use crate::wire::http_date;
use crate::wire::request_head::{HeadParsed, RequestHead};

/// A root with a directory beside it, and the mount `/m` of the root.
struct Site {
    directory: TempDir,
    root: FilesRoot,
}

impl Site {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FilesMount)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        let mut mount = FilesMount::new(directory.path().join("root"));
        change(&mut mount);
        Self {
            directory,
            root: mount.open().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn date(&self, name: &str, seconds: u64) {
        let file = File::options().write(true).open(self.path(name)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }

    /// Asks with the disk, and then again without, which may be *cold* but nothing else.
    fn ask(&self, method: &str, target: &str, fields: &str) -> FileAnswer {
        let answer = request(method, target, fields, |request| {
            let answer = self.root.answer(request, Reach::Disk).unwrap();
            if let Ok(again) = self.root.answer(request, Reach::Memory) {
                assert_eq!(again.status, answer.status, "{target}");
                assert_eq!(again.content_length(), answer.content_length(), "{target}");
            }
            answer
        });
        let length: u64 = answer.parts.iter().map(Part::len).sum();
        assert_eq!(answer.content_length(), length);
        answer
    }

    fn get(&self, target: &str, fields: &str) -> (u16, String) {
        let answer = self.ask("GET", target, fields);
        (answer.status, String::from_utf8(body(&answer)).unwrap())
    }
}

fn head<T>(method: &str, target: &str, fields: &str, act: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let input = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    match RequestHead::parse(input.as_bytes(), &Limits::default()) {
        HeadParsed::Done(head) => act(&head),
        other => panic!("{input:?}: {other:?}"),
    }
}

fn request<T>(method: &str, target: &str, fields: &str, act: impl FnOnce(&FileRequest) -> T) -> T {
    head(method, target, fields, |head| {
        let rest = head.path().strip_prefix("/m").unwrap();
        act(&FileRequest::of(head, rest, &Limits::default()))
    })
}

fn body(answer: &FileAnswer) -> Vec<u8> {
    let mut content = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Bytes(bytes) => content.extend_from_slice(bytes),
            Part::File { file, range } => {
                let start = content.len();
                content.resize(start + part.len() as usize, 0);
                file.read_exact_at(&mut content[start..], range.start)
                    .unwrap();
            }
        }
    }
    content
}

fn field<'a>(answer: &'a FileAnswer, name: &str) -> &'a str {
    std::str::from_utf8(answer.fields.get(name).unwrap_or_default()).unwrap()
}

#[test]
fn a_file_is_sent_with_its_type_and_validators() {
    let site = Site::with(|mount| {
        mount.cache_control = Some("max-age=60".into());
        mount.fields.add("X-Frame-Options", b"DENY").unwrap();
    });
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

#[test]
fn names_are_decoded_once() {
    let site = Site::new();
    for (name, target) in [
        ("100%.txt", "/m/100%25.txt"),
        ("%41", "/m/%2541"),
        ("a b", "/m/a%20b"),
        ("gr\u{fc}\u{df}", "/m/gr%C3%BC%C3%9F"),
        ("a\\b", "/m/a\\b"),
        ("...", "/m/..."),
        ("d/e", "/m//d/x/..///./e"),
    ] {
        site.put(name, name);
        assert_eq!(site.get(target, ""), (200, name.to_owned()), "{target}");
    }
    assert_eq!(site.get("/m/%4", "").0, 400);
    assert_eq!(site.get("/m/d%2Fe", "").0, 404);
    assert_eq!(site.get("/m/%2541%00", "").0, 404);
}

#[test]
fn nothing_leads_out() {
    for follow_links in [false, true] {
        let site = Site::with(|mount| mount.follow_links = follow_links);
        fs::write(site.directory.path().join("secret"), "secret").unwrap();
        site.put("d/inside", "inside");
        let secret = site.directory.path().join("secret");
        symlink(&secret, site.path("absolute")).unwrap();
        symlink("../secret", site.path("relative")).unwrap();
        symlink("..", site.path("parent")).unwrap();
        symlink("/proc/self/root", site.path("magic")).unwrap();
        symlink("loop", site.path("loop")).unwrap();
        symlink(site.path("d/inside"), site.path("absolute-inside")).unwrap();
        for target in [
            "/m/../secret",
            "/m/%2e%2e/secret",
            "/m/d/../../secret",
            "/m/..%2fsecret",
            "/m/..\\secret",
            "/m/absolute",
            "/m/relative",
            "/m/parent/secret",
            "/m/magic/etc/passwd",
            "/m/loop",
            "/m/absolute-inside",
        ] {
            assert_eq!(
                site.get(target, "").0,
                404,
                "{target}, links {follow_links}"
            );
        }
    }
}

#[test]
fn links_inside_are_followed_only_if_the_mount_says_so() {
    for (follow_links, status) in [(false, 404), (true, 200)] {
        let site = Site::with(|mount| mount.follow_links = follow_links);
        site.put("d/file", "inside");
        symlink("d/file", site.path("link")).unwrap();
        symlink("d", site.path("directory")).unwrap();
        symlink("../root/d/file", site.path("d-out-and-in")).unwrap();
        for target in ["/m/link", "/m/directory/file"] {
            assert_eq!(site.get(target, "").0, status, "{target}");
        }
        assert_eq!(site.get("/m/d-out-and-in", "").0, 404);
    }
}

#[test]
fn what_is_no_regular_file_is_not_there_and_holds_nobody_up() {
    let site = Site::new();
    let mode = Mode::from_raw_mode(0o644);
    mknodat(CWD, site.path("fifo"), FileType::Fifo, mode, 0).unwrap();
    let _listener = UnixListener::bind(site.path("socket")).unwrap();
    site.put("file", "");
    for target in [
        "/m/fifo",
        "/m/socket",
        "/m/absent",
        "/m/file/",
        "/m/file/below",
        "/m/absent/",
    ] {
        assert_eq!(site.get(target, "").0, 404, "{target}");
    }
    let long = format!("/m/{}", "a".repeat(300));
    assert_eq!(site.get(&long, "").0, 404);
}

#[test]
fn a_directory_is_its_index_and_is_never_listed() {
    let site = Site::with(|mount| mount.index = vec!["index.html".into(), "index.txt".into()]);
    site.put("both/index.html", "html");
    site.put("both/index.txt", "txt");
    site.put("text/index.txt", "txt");
    site.put("other/index.html/below", "");
    site.put("index.txt", "root");
    assert_eq!(site.get("/m/both/", ""), (200, "html".into()));
    let answer = site.ask("GET", "/m/text/", "");
    assert_eq!(field(&answer, "Content-Type"), "text/plain; charset=utf-8");
    assert_eq!(site.get("/m/text/x/..", ""), (200, "txt".into()));
    assert_eq!(site.get("/m/", ""), (200, "root".into()));
    assert_eq!(site.get("/m/other/", "").0, 403);
}

#[test]
fn a_directory_without_its_slash_is_asked_for_again_with_it() {
    let site = Site::with(|mount| mount.fields.add("X-Own", b"1").unwrap());
    site.put("a b/index.html", "");
    for (target, location) in [
        ("/m/a%20b", "/m/a%20b/"),
        ("/m/a%20b?x=/&y", "/m/a%20b/?x=/&y"),
        ("/m/x\\/../a%20b", "/m/x%5C/../a%20b/"),
        ("/m", "/m/"),
        ("/m?", "/m/?"),
    ] {
        let answer = site.ask("GET", target, "");
        assert_eq!(answer.status, 301, "{target}");
        assert_eq!(field(&answer, "Location"), location);
        assert_eq!(field(&answer, "X-Own"), "1");
    }
    head("GET", "//m/a%20b", "", |head| {
        let request = FileRequest::of(head, "/a%20b", &Limits::default());
        let answer = site.root.answer(&request, Reach::Disk).unwrap();
        assert_eq!(field(&answer, "Location"), "/m/a%20b/", "another host");
    });
    site.put("index.html", "root");
    head("GET", "/", "", |head| {
        let request = FileRequest::of(head, "", &Limits::default());
        assert_eq!(site.root.answer(&request, Reach::Disk).unwrap().status, 200);
    });
}

#[test]
fn files_are_read_and_nothing_else_is_done_to_them() {
    let site = Site::new();
    site.put("file", "hello");
    let answer = site.ask("HEAD", "/m/file", "");
    assert_eq!((answer.status, answer.content_length()), (200, 5));
    assert!(
        matches!(answer.parts[..], [Part::File { .. }]),
        "was read for HEAD"
    );
    for target in ["/m/file", "/m/absent"] {
        let answer = site.ask("OPTIONS", target, "");
        assert_eq!((answer.status, answer.content_length()), (204, 0));
        assert_eq!(field(&answer, "Allow"), "GET, HEAD, OPTIONS");
    }
    for method in ["POST", "PUT", "DELETE", "TRACE", "get"] {
        let answer = site.ask(method, "/m/file", "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(field(&answer, "Allow"), "GET, HEAD, OPTIONS");
    }
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let site = Site::with(|mount| mount.cache_control = Some("no-cache".into()));
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
    let site = Site::new();
    site.put("small", "0123456789");
    let large: Vec<u8> = (0..300_000_u32).map(|at| at as u8).collect();
    site.put("large", &large);
    let answer = site.ask("GET", "/m/small", "Range: bytes=2-4\r\n");
    assert_eq!((answer.status, &*body(&answer)), (206, &b"234"[..]));
    assert_eq!(field(&answer, "Content-Range"), "bytes 2-4/10");
    assert_eq!(field(&answer, "Content-Type"), "application/octet-stream");
    let answer = site.ask("GET", "/m/large", "Range: bytes=100000-\r\n");
    assert!(matches!(answer.parts[..], [Part::File { .. }]));
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

#[test]
fn several_ranges_are_parts_of_one_answer() {
    let site = Site::new();
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

#[test]
fn a_sibling_is_sent_to_who_accepts_it() {
    let site = Site::new();
    for (name, content) in [
        ("a.js", "plain"),
        ("a.js.br", "brotli"),
        ("a.js.gz", "gzip"),
        ("b.js", "plain"),
        ("only.js.gz", "gzip"),
    ] {
        site.put(name, content);
        site.date(name, 1_000_000_000);
    }
    for (fields, coding, content) in [
        ("", "", "plain"),
        ("Accept-Encoding: gzip\r\n", "gzip", "gzip"),
        (
            "Accept-Encoding: gzip, deflate, br, zstd\r\n",
            "br",
            "brotli",
        ),
        (
            "Accept-Encoding: gzip\r\nAccept-Encoding: br;q=0.1\r\n",
            "gzip",
            "gzip",
        ),
        ("Accept-Encoding: zstd\r\n", "", "plain"),
        ("Accept-Encoding: identity;q=0, *\r\n", "br", "brotli"),
        ("Accept-Encoding: br;q=0\r\n", "", "plain"),
    ] {
        let answer = site.ask("GET", "/m/a.js", fields);
        assert_eq!((answer.status, &*body(&answer)), (200, content.as_bytes()));
        assert_eq!(field(&answer, "Content-Encoding"), coding, "{fields}");
        assert_eq!(
            field(&answer, "Content-Type"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(field(&answer, "Vary"), "Accept-Encoding");
    }
    let refused = "Accept-Encoding: identity;q=0\r\n";
    let answer = site.ask("GET", "/m/b.js", refused);
    assert_eq!(
        (answer.status, field(&answer, "Vary")),
        (406, "Accept-Encoding")
    );
    assert_eq!(site.get("/m/only.js", "Accept-Encoding: gzip\r\n").0, 404);
    let answer = site.ask("GET", "/m/a.js.gz", "Accept-Encoding: gzip\r\n");
    assert_eq!(field(&answer, "Content-Type"), "application/gzip");
    assert!(!answer.fields.has("Content-Encoding") && !answer.fields.has("Vary"));
}

#[test]
fn each_form_of_a_file_has_its_own_tag_and_ranges() {
    let site = Site::new();
    site.put("a.js", "plain");
    site.put("a.js.gz", "gz");
    let gzip = "Accept-Encoding: gzip\r\n";
    let plain = site.ask("GET", "/m/a.js", "");
    let coded = site.ask("GET", "/m/a.js", gzip);
    let (plain, tag) = (field(&plain, "ETag"), field(&coded, "ETag"));
    assert!(plain != tag && tag.ends_with("-gzip\""));
    let known = format!("{gzip}If-None-Match: {tag}\r\n");
    assert_eq!(site.get("/m/a.js", &known).0, 304);
    let other = format!("{gzip}If-None-Match: {plain}\r\n");
    assert_eq!(site.get("/m/a.js", &other), (200, "gz".into()));
    let answer = site.ask("GET", "/m/a.js", &format!("{gzip}Range: bytes=1-\r\n"));
    assert_eq!((answer.status, &*body(&answer)), (206, &b"z"[..]));
    assert_eq!(field(&answer, "Content-Range"), "bytes 1-1/2");
}

#[test]
fn a_sibling_that_is_old_or_no_file_or_not_wanted_is_left_aside() {
    let gzip = "Accept-Encoding: gzip\r\n";
    let site = Site::new();
    site.put("old", "plain");
    site.put("old.gz", "gzip");
    site.date("old", 1_000_000_001);
    site.date("old.gz", 1_000_000_000);
    site.put("odd", "plain");
    site.put("odd.gz/below", "");
    site.put("out", "plain");
    symlink("../secret", site.path("out.gz")).unwrap();
    for target in ["/m/old", "/m/odd", "/m/out"] {
        assert_eq!(site.get(target, gzip), (200, "plain".into()), "{target}");
    }
    let site = Site::with(|mount| mount.precompressed = false);
    site.put("a", "plain");
    site.put("a.gz", "gzip");
    let answer = site.ask("GET", "/m/a", "Accept-Encoding: gzip, identity;q=0\r\n");
    assert_eq!(body(&answer), b"plain");
    assert!(!answer.fields.has("Vary"));
}

#[test]
fn what_takes_the_disk_is_cold_first() {
    let site = Site::new();
    request("GET", "/m/nobody-has-asked-for-it", "", |request| {
        assert!(site.root.answer(request, Reach::Memory).is_err());
        assert_eq!(site.root.answer(request, Reach::Disk).unwrap().status, 404);
    });
}

#[test]
fn what_was_just_read_is_answered_from_memory() {
    let site = Site::with(|mount| mount.precompressed = false);
    site.put("small", vec![b's'; 64 << 10]);
    site.put("large", vec![b'l'; (64 << 10) + 1]);
    for (target, is_in_memory) in [("/m/small", true), ("/m/large", false)] {
        request("GET", target, "", |request| {
            site.root.answer(request, Reach::Disk).unwrap();
            let answer = site.root.answer(request, Reach::Memory).unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(
                matches!(answer.parts[..], [Part::Bytes(_)]),
                is_in_memory,
                "{target}"
            );
        });
    }
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
    let mut opened = File::open(site.path("file")).unwrap();
    let metadata = opened.metadata().unwrap();
    let mut content = String::new();
    opened.read_to_string(&mut content).unwrap();
    let opened = super::Opened::of(opened, &metadata);
    site.put("file", "he");
    head("GET", "/", "", |head| {
        let conditions = Conditions::of(head, &Limits::default());
        let answer = super::answer_file(&conditions, &opened, Fields::new());
        let answer = super::answer::loaded(answer, conditions.method, Reach::Disk, PathBuf::new);
        assert_eq!(answer.unwrap().status, 503);
    });
}
