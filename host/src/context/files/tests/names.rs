//! From a path to a file, and to nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Site, field, head};
use crate::connection::content::Part;
use crate::context::files::{FileRequest, Reach};
use crate::limits::Limits;

#[test]
fn names_are_decoded_once() {
    for site in Site::each(|_| {}) {
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
    for site in Site::each(|mount| mount.index = vec!["index.html".into(), "index.txt".into()]) {
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
}

#[test]
fn a_directory_without_its_slash_is_asked_for_again_with_it() {
    for site in Site::each(|mount| mount.fields.add("X-Own", b"1").unwrap()) {
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
            let answer = site.root().answer(&request, Reach::Disk).unwrap();
            assert_eq!(field(&answer, "Location"), "/m/a%20b/", "another host");
        });
        site.put("index.html", "root");
        head("GET", "/", "", |head| {
            let request = FileRequest::of(head, "", &Limits::default());
            assert_eq!(
                site.root().answer(&request, Reach::Disk).unwrap().status,
                200
            );
        });
    }
}

#[test]
fn files_are_read_and_nothing_else_is_done_to_them() {
    for site in Site::each(|_| {}) {
        site.put("file", "hello");
        let answer = site.ask("HEAD", "/m/file", "");
        assert_eq!((answer.status, answer.content_length()), (200, 5));
        assert!(
            !matches!(answer.parts[..], [Part::Bytes(_)]),
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
}
