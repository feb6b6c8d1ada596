//! Files that are none, or that change while they are sent: answered or ended, never a hang, never a wrong length.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use super::answer::Answer;
use super::peer::{HttpPeer, request};
use super::site::{Site, pattern};
use crate::support::{Config, Setup};

/// Longer than all that sockets hold by themselves.
const LONG: usize = 48 << 20;

/// A site whose tree follows links.
fn following_links() -> Site {
    Site::with(Config::new().mount("/links", json!({"files": "www", "follow_links": true})))
}

/// What a target gets, which must not take long.
fn at_once(site: &Site, target: &str) -> Answer {
    let began = Instant::now();
    let answer = site.ask("GET", target, "");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{target} after {took:?}");
    answer
}

fn expect_no_file(site: &Site, target: &str) {
    let answer = at_once(site, target);
    let known = [403, 404].contains(&answer.status);
    assert!(known, "{target}: {answer:?}");
    site.assert_serves();
}

#[test]
fn a_fifo_is_no_file_and_nobody_waits_for_its_writer() {
    let site = following_links();
    let mode = Mode::from_raw_mode(0o644);
    mknodat(CWD, site.file("fifo"), FileType::Fifo, mode, 0).expect("a fresh file");
    symlink("fifo", site.file("link")).expect("a fresh link");
    for target in ["/fifo", "/links/fifo", "/links/link"] {
        expect_no_file(&site, target);
    }
}

#[test]
fn a_device_a_socket_and_a_directory_without_index_are_no_files() {
    let site = following_links();
    symlink("/dev/zero", site.file("zero")).expect("a fresh link");
    symlink("../../../../../../../../../dev/zero", site.file("dots")).expect("a fresh link");
    let _socket = UnixListener::bind(site.file("socket")).expect("a fresh socket");
    for name in ["zero", "dots", "socket", "bare/"] {
        expect_no_file(&site, &format!("/{name}"));
        expect_no_file(&site, &format!("/links/{name}"));
    }
    let device = rustix::fs::makedev(1, 5);
    let mode = Mode::from_raw_mode(0o644);
    // Only root may.
    if mknodat(
        CWD,
        site.file("device"),
        FileType::CharacterDevice,
        mode,
        device,
    )
    .is_ok()
    {
        expect_no_file(&site, "/device");
    }
}

#[test]
fn links_are_followed_only_where_it_is_said_and_only_beneath_the_root() {
    let site = following_links();
    symlink("a.txt", site.file("inside")).expect("a fresh link");
    symlink("dir", site.file("there")).expect("a fresh link");
    symlink(site.file("a.txt"), site.file("absolute")).expect("a fresh link");
    symlink("../hotsocket.json", site.file("above")).expect("a fresh link");
    symlink("loop", site.file("loop")).expect("a fresh link");
    for (target, status) in [
        ("/inside", 404),
        ("/there/b.txt", 404),
        ("/links/inside", 200),
        ("/links/there/b.txt", 200),
        ("/links/absolute", 404),
        ("/links/above", 404),
        ("/links/loop", 404),
    ] {
        assert_eq!(at_once(&site, target).status, status, "{target}");
    }
}

#[test]
fn names_that_cannot_be_are_not_found() {
    let site = Site::new();
    for target in [
        format!("/{}", "x".repeat(256)),
        format!("/{}", "y/".repeat(3000)),
        "/a.txt/".into(),
        "/a.txt/b".into(),
        "/dir/index.html/".into(),
        "/a.txt%00.html".into(),
        "/.".repeat(2000) + "/nothing",
    ] {
        let answer = at_once(&site, &target);
        let known = [400, 404, 414].contains(&answer.status);
        assert!(known, "{}: {answer:?}", &target[..20.min(target.len())]);
    }
    site.assert_serves();
}

/// A site with a long file, and a peer that has read the head of the answer and some of its content.
fn half_way() -> (Site, HttpPeer, usize, Vec<u8>) {
    let site = Site::start(Setup::new(), Config::new().limit("stalled_write_ms", 5000));
    fs::write(site.file("long.bin"), pattern(LONG)).expect("a fresh file");
    let mut peer = site.peer();
    peer.send(request("GET", "/long.bin", "") + &request("GET", "/a.txt", ""));
    let head = peer.head();
    let length = head.field("Content-Length").expect("a length");
    let length: usize = length.parse().expect("a length");
    assert_eq!((head.status, length), (200, LONG));
    let begun = peer.take(100_000);
    (site, peer, length, begun)
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    let (site, mut peer, length, mut got) = half_way();
    const CUT: usize = 200_000;
    let file = OpenOptions::new().write(true).open(site.file("long.bin"));
    file.and_then(|file| file.set_len(CUT as u64))
        .expect("our own file");
    let began = Instant::now();
    got.extend(peer.rest());
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(
        got.len() < length,
        "{} bytes of a file that was cut",
        got.len()
    );
    // What is cut off may come as zeros: the kernel sends the pages of the file, not a copy.
    let is_kept = got.len() >= CUT && pattern(LONG).starts_with(&got[..CUT]);
    assert!(is_kept, "what came is not of the file");
    site.assert_serves();
}

#[test]
fn a_file_that_is_replaced_while_it_is_sent_comes_whole_as_it_was() {
    let (site, mut peer, length, mut got) = half_way();
    fs::write(site.file("new.bin"), "new").expect("a fresh file");
    fs::rename(site.file("new.bin"), site.file("long.bin")).expect("our own file");
    got.extend(peer.take(length - got.len()));
    assert!(got == pattern(LONG), "the content is another");
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.ask("GET", "/long.bin", "").text(), "new");
}

#[test]
fn a_file_that_is_removed_while_it_is_sent_comes_whole() {
    let (site, mut peer, length, mut got) = half_way();
    fs::remove_file(site.file("long.bin")).expect("our own file");
    got.extend(peer.take(length - got.len()));
    assert!(got == pattern(LONG), "the content is another");
    assert_eq!(peer.answer().status, 200);
    assert_eq!(peer.ask("GET", "/long.bin", "").status, 404);
}

#[test]
fn a_file_that_grows_while_it_is_sent_comes_as_long_as_was_said() {
    let (site, mut peer, length, mut got) = half_way();
    let file = OpenOptions::new().append(true).open(site.file("long.bin"));
    file.and_then(|mut file| file.write_all(&[b'+'; 100_000]))
        .expect("our own file");
    got.extend(peer.take(length - got.len()));
    assert!(got == pattern(LONG), "the content is another");
    assert_eq!(peer.answer().status, 200);
    site.assert_serves();
}

#[test]
fn a_file_of_five_gib_has_its_length_and_its_end() {
    const LENGTH: u64 = 5 << 30;
    let site = Site::new();
    // Of holes, but for its last bytes.
    let mut file = File::create(site.file("huge.bin")).expect("a fresh file");
    file.seek(SeekFrom::Start(LENGTH - 3))
        .expect("our own file");
    file.write_all(b"end").expect("our own file");
    let answer = site.ask("HEAD", "/huge.bin", "");
    let length = LENGTH.to_string();
    assert_eq!(answer.field("Content-Length"), Some(length.as_str()));
    let answer = site.ask("GET", "/huge.bin", "Range: bytes=-3\r\n");
    assert_eq!((answer.status, answer.text()), (206, "end"));
    let range = format!("bytes {}-{}/{LENGTH}", LENGTH - 3, LENGTH - 1);
    assert_eq!(answer.field("Content-Range"), Some(range.as_str()));
    let mut peer = site.peer();
    peer.send(request("GET", "/huge.bin", ""));
    assert_eq!(peer.head().field("Content-Length"), Some(length.as_str()));
    assert_eq!(peer.take(1 << 20), vec![0; 1 << 20]);
    drop(peer);
    site.assert_serves();
}

#[test]
fn a_file_that_is_made_later_is_found_and_one_that_changes_gets_another_tag() {
    // Looked at for each request.
    let site = Site::limited("file_cache_ms", 0);
    let mut peer = site.peer();
    assert_eq!(peer.ask("GET", "/later.txt", "").status, 404);
    fs::write(site.file("later.txt"), "one").expect("a fresh file");
    let first = peer.ask("GET", "/later.txt", "");
    assert_eq!((first.status, first.text()), (200, "one"));
    let tag = first.field("ETag").expect("a tag").to_owned();
    let fresh = format!("If-None-Match: {tag}\r\n");
    assert_eq!(peer.ask("GET", "/later.txt", &fresh).status, 304);
    // As long as before, and within the same second.
    fs::write(site.file("other.txt"), "two").expect("a fresh file");
    fs::rename(site.file("other.txt"), site.file("later.txt")).expect("our own file");
    let second = peer.ask("GET", "/later.txt", &fresh);
    assert_eq!((second.status, second.text()), (200, "two"));
    assert_ne!(second.field("ETag"), Some(tag.as_str()));
}
