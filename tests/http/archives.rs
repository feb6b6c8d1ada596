//! Mounts of zip archives.

use std::fs;
use std::io::{Cursor, Write};

use rustix::process::Signal;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::peer::HttpPeer;
use super::site::pattern;
use crate::support::{Config, DEADLINE, Server, Setup, process::eventually};

fn archive(page: &str, large: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, content) in [
        ("index.html", page.as_bytes()),
        ("assets/large.bin", large),
        ("page.css", b"h1 {}"),
        ("page.css.br", b"as brotli"),
    ] {
        writer.start_file(name, options).expect("a fresh name");
        writer.write_all(content).expect("it is in memory");
    }
    writer.finish().expect("it is in memory").into_inner()
}

fn start(archive: &[u8]) -> Server {
    let setup = Setup::new();
    let file = setup.config_file().with_file_name("site.zip");
    fs::write(file, archive).expect("a fresh file");
    let config = Config::new().mount(
        "/docs",
        json!({"zip": "site.zip", "cache_control": "no-cache"}),
    );
    setup.config(&config).start()
}

#[test]
fn seed_4_20_a_mount_serves_the_files_of_a_zip_archive_as_those_of_a_directory() {
    let large = pattern(3 << 20);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let server = start(&archive("<h1>one</h1>", &large, method));
        let mut peer = HttpPeer::connect(server.address());
        let page = peer.ask("GET", "/docs/", "");
        assert_eq!((page.status, page.text()), (200, "<h1>one</h1>"));
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.field("Cache-Control"), Some("no-cache"));
        assert!(page.field("Last-Modified").is_some());
        let tag = page.field("ETag").expect("a validator");
        let known = peer.ask("GET", "/docs/", &format!("If-None-Match: {tag}\r\n"));
        assert_eq!(known.status, 304);
        assert_eq!(peer.ask("GET", "/docs/assets", "").status, 301);
        assert_eq!(peer.ask("GET", "/docs/nothing", "").status, 404);
        let coded = peer.ask("GET", "/docs/page.css", "Accept-Encoding: br\r\n");
        assert_eq!(coded.field("Content-Encoding"), Some("br"));
        assert_eq!(coded.text(), "as brotli");

        let all = peer.ask("GET", "/docs/assets/large.bin", "");
        assert!(all.status == 200 && all.content == large, "{method}");
        let head = peer.ask("HEAD", "/docs/assets/large.bin", "");
        assert_eq!(head.field("Content-Length"), Some("3145728"));
        let range = "Range: bytes=1048576-2097151\r\n";
        let part = peer.ask("GET", "/docs/assets/large.bin", range);
        assert!(part.status == 206 && part.content == large[1 << 20..2 << 20]);
    }
}

#[test]
fn seed_4_20_what_is_deflated_in_an_archive_leaves_as_gzip() {
    let server = start(&archive("", &[b'a'; 1 << 20], CompressionMethod::Deflated));
    let mut peer = HttpPeer::connect(server.address());
    let coded = peer.ask("GET", "/docs/assets/large.bin", "Accept-Encoding: gzip\r\n");
    assert_eq!(coded.field("Content-Encoding"), Some("gzip"));
    assert_eq!(coded.field("Vary"), Some("Accept-Encoding"));
    assert!(coded.content.starts_with(b"\x1f\x8b\x08") && coded.content.len() < 10_000);
}

#[test]
fn seed_4_20_an_archive_that_was_replaced_is_served_from_the_next_reload_on() {
    let server = start(&archive("one", b"", CompressionMethod::Stored));
    let mut peer = HttpPeer::connect(server.address());
    assert_eq!(peer.ask("GET", "/docs/", "").text(), "one");
    let replace = |content: &[u8]| {
        let new = server.directory().join("new.zip");
        fs::write(&new, content).expect("a fresh file");
        fs::rename(new, server.directory().join("site.zip")).expect("our own file");
    };
    replace(&archive("two", b"", CompressionMethod::Deflated));
    assert_eq!(
        peer.ask("GET", "/docs/", "").text(),
        "one",
        "not reloaded yet"
    );
    server.signal(Signal::HUP);
    eventually("the new archive is served", DEADLINE, || {
        peer.ask("GET", "/docs/", "").text() == "two"
    });

    replace(b"no archive");
    let mark = server.log().mark();
    server.signal(Signal::HUP);
    server.await_log(mark, |line| {
        line.mentions("cannot be served as a zip archive")
    });
    assert_eq!(peer.ask("GET", "/docs/", "").text(), "two");
}

#[test]
fn an_archive_that_cannot_be_served_is_told_at_the_start_with_the_mend() {
    let setup = Setup::new();
    let file = setup.config_file().with_file_name("site.zip");
    let bytes = archive("", &[0; 1 << 20], CompressionMethod::Deflated);
    fs::write(file, bytes).expect("a fresh file");
    let config = Config::new()
        .mount("/docs", json!({"zip": "site.zip"}))
        .limit("zip_inflated_bytes", 1 << 20);
    let output = setup.config(&config).run();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("mounts: `/docs`") && told.contains("raise the limit"),
        "{told}"
    );
}
