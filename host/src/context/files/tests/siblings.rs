//! Files that were compressed beforehand.

use std::os::unix::fs::symlink;

use super::{Site, body, field};

#[test]
fn a_sibling_is_sent_to_who_accepts_it() {
    for site in Site::each(|_| {}) {
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
}

#[test]
fn each_form_of_a_file_has_its_own_tag_and_ranges() {
    for site in Site::each(|_| {}) {
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
