//! When a connection goes on after an answer and when it ends: RFC 9112 section 9.

use std::time::{Duration, Instant};

use super::peer::{HttpPeer, request};
use super::site::{A_TXT, INDEX, Site};
use crate::support::plugins::echo;
use crate::support::{Config, Frame, RawPeer, Setup};

#[test]
fn a_connection_of_http_1_1_goes_on_until_someone_says_close() {
    let site = Site::new();
    let mut peer = site.peer();
    for _ in 0..100 {
        let answer = peer.ask("GET", "/a.txt", "");
        assert_eq!((answer.status, answer.text()), (200, A_TXT));
        assert!(!answer.closes());
    }
    let answer = peer.ask("GET", "/a.txt", "Connection: close\r\n");
    assert_eq!(answer.text(), A_TXT);
    assert!(answer.closes(), "{answer:?}");
    peer.expect_end();
}

#[test]
fn close_is_found_among_other_words_in_any_case_and_in_any_of_several_fields() {
    let site = Site::new();
    for fields in [
        "Connection: Close\r\n",
        "Connection: x, close\r\n",
        "Connection: keep-alive,CLOSE , x\r\n",
        "Connection: x\r\nConnection: close\r\n",
    ] {
        let mut peer = site.peer();
        assert!(peer.ask("GET", "/a.txt", fields).closes(), "{fields:?}");
        peer.expect_end();
    }
    for fields in [
        "Connection: closed\r\n",
        "Connection: not-close\r\n",
        "X: close\r\n",
    ] {
        let mut peer = site.peer();
        assert!(!peer.ask("GET", "/a.txt", fields).closes(), "{fields:?}");
        peer.expect_open();
    }
}

#[test]
fn requests_behind_one_that_closes_are_not_answered() {
    let site = Site::new();
    let mut peer = site.peer();
    let last = request("GET", "/a.txt", "Connection: close\r\n");
    let more = request("GET", "/dir/b.txt", "");
    peer.send_while_open(last + &more);
    assert_eq!(peer.answer().text(), A_TXT);
    peer.expect_end();
}

#[test]
fn a_connection_of_http_1_0_ends_unless_keep_alive_is_asked_for_and_granted() {
    let site = Site::new();
    let mut peer = site.peer();
    peer.send("GET /a.txt HTTP/1.0\r\n\r\n");
    let answer = peer.answer();
    assert_eq!((answer.status, answer.text()), (200, A_TXT));
    peer.expect_end();

    let mut peer = site.peer();
    for _ in 0..3 {
        peer.send("GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let answer = peer.answer();
        assert_eq!(answer.text(), A_TXT);
        let granted = answer.elements("Connection");
        let is_granted = granted.iter().any(|e| e.eq_ignore_ascii_case("keep-alive"));
        assert!(is_granted, "{answer:?}");
    }
    peer.send("GET /a.txt HTTP/1.0\r\n\r\n");
    peer.answer();
    peer.expect_end();
}

#[test]
fn an_answer_to_http_1_0_has_no_chunks() {
    let site = Site::new();
    for target in ["/", "/nothing", "/dir", "/big.bin"] {
        let mut peer = site.peer();
        peer.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let answer = peer.answer();
        assert_eq!(answer.field("Transfer-Encoding"), None, "{target}");
        peer.expect_end();
    }
}

#[test]
fn errors_that_leave_the_connection_readable_do_not_end_it() {
    let site = Site::new();
    let mut peer = site.peer();
    for (method, target, status) in [
        ("GET", "/nothing", 404),
        ("HEAD", "/nothing", 404),
        ("GET", "/dir", 301),
        ("DELETE", "/a.txt", 405),
        ("GET", "/bare/", 404),
    ] {
        let answer = peer.ask(method, target, "");
        assert!(!answer.closes(), "{method} {target}: {answer:?}");
        let known = answer.status == status || target == "/bare/" && answer.status == 403;
        assert!(known, "{method} {target}: {answer:?}");
    }
    let answer = peer.ask("GET", "/a.txt", "Range: bytes=900-\r\n");
    assert_eq!(answer.status, 416);
    peer.expect_open();
}

#[test]
fn seed_4_12_pipelined_requests_are_answered_in_their_order() {
    let site = Site::new();
    let mut peer = site.peer();
    let mut sent = String::new();
    for nth in 0..200 {
        let at = nth % 26;
        match nth % 4 {
            0 => sent += &request("GET", "/a.txt", &format!("Range: bytes={at}-{at}\r\n")),
            1 => sent += &request("HEAD", "/big.bin", ""),
            2 => sent += &request("GET", "/nothing", ""),
            _ => sent += &request("GET", "/big.bin", &format!("Range: bytes={at}-70000\r\n")),
        }
    }
    // Much more comes back than sockets hold, so the other way must not wait for it.
    let mut writer = peer.transport().try_clone().expect("a descriptor is free");
    let writing = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, sent.as_bytes()).expect("the server reads on");
    });
    for nth in 0..200 {
        let at = nth % 26;
        match nth % 4 {
            0 => assert_eq!(peer.answer().text(), &A_TXT[at..=at], "{nth}"),
            1 => {
                let answer = peer.answer_to("HEAD");
                assert_eq!(answer.field("Content-Length"), Some("1048576"), "{nth}");
            }
            2 => assert_eq!(peer.answer().status, 404, "{nth}"),
            _ => assert_eq!(peer.answer().content.len(), 70_001 - at, "{nth}"),
        }
    }
    writing.join().expect("all was written");
    peer.expect_open();
}

#[test]
fn seed_4_12_a_transaction_ends_by_itself_and_the_connection_waits_for_the_next() {
    let site = Site::new();
    let mut peer = site.peer();
    for _ in 0..3 {
        assert_eq!(peer.ask("GET", "/", "").text(), INDEX);
        peer.expect_nothing_yet();
        assert_eq!(peer.ask("GET", "/a.txt", "").text(), A_TXT);
    }
    peer.ask("GET", "/", "Connection: close\r\n");
    peer.expect_end();
}

#[test]
fn requests_are_answered_before_an_upgrade_on_the_same_connection() {
    let site = Site::start(Setup::new().plugin(&echo()), Config::new());
    let mut peer = RawPeer::connect(site.address());
    let upgrade = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        crate::support::raw_peer::KEY
    );
    let mut bytes = request("GET", "/a.txt", "") + &request("GET", "/dir/b.txt", "");
    bytes += &request("GET", "/echo", &upgrade);
    let mut bytes = bytes.into_bytes();
    bytes.extend(Frame::text("at once").masked());
    peer.bytes(&bytes);
    assert_eq!(peer.response().body, A_TXT);
    assert_eq!(peer.response().body, "b");
    assert_eq!(peer.response().status, 101);
    assert_eq!(peer.frame(), Frame::text("at once"));
    peer.close();
}

#[test]
fn an_upgrade_that_is_refused_leaves_the_connection_to_http_or_ends_it_as_it_says() {
    let site = Site::start(Setup::new().plugin(&echo()), Config::new());
    let mut peer = site.peer();
    let answer = peer.ask(
        "GET",
        "/echo",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n",
    );
    assert_eq!(answer.status / 100, 4, "{answer:?}");
    if answer.closes() {
        peer.expect_end();
    } else {
        peer.expect_open();
    }
}

#[test]
fn a_connection_without_a_request_ends_at_its_deadline_without_a_word() {
    let site = Site::limited("http_keep_alive_ms", 300);
    let mut peer = site.peer();
    for _ in 0..3 {
        peer.expect_open();
    }
    let waited = peer.expect_end();
    assert!(waited >= Duration::from_millis(200), "after {waited:?}");
}

#[test]
fn a_head_that_does_not_end_is_answered_408_also_as_second_request() {
    let site = Site::limited("opening_handshake_ms", 300);
    for earlier in 0..2 {
        let mut peer = site.peer();
        for _ in 0..earlier {
            peer.expect_open();
        }
        peer.send("GET /a.txt HTTP/1.1\r\n");
        let began = Instant::now();
        let answer = peer.answer();
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(answer.closes(), "{answer:?}");
        peer.expect_end();
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(200), "after {waited:?}");
    }
}

#[test]
fn a_head_that_trickles_has_the_same_deadline() {
    let site = Site::limited("opening_handshake_ms", 500);
    let mut peer = site.peer();
    peer.send("GET /a.txt HTTP/1.1\r\n");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) && !has_come(&peer) {
        peer.send_while_open("A: b\r\n");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(peer.answer().status, 408);
    assert!(began.elapsed() < Duration::from_secs(5));
}

fn has_come(peer: &HttpPeer) -> bool {
    peer.transport().set_nonblocking(true).expect("an option");
    let came = peer.transport().peek(&mut [0]).is_ok();
    peer.transport().set_nonblocking(false).expect("an option");
    came
}

#[test]
fn a_client_that_has_ended_its_side_gets_all_its_answers() {
    let site = Site::new();
    let mut peer = site.peer();
    peer.send(request("GET", "/big.bin", "") + &request("GET", "/a.txt", ""));
    peer.end_sending();
    assert_eq!(peer.answer().content.len(), 1 << 20);
    assert_eq!(peer.answer().text(), A_TXT);
    peer.expect_end();
    let mut peer = site.peer();
    peer.send("GET /a.txt HTTP/1.1\r\nHost: te");
    peer.end_sending();
    // Half a request: 400 or nothing, but an end.
    peer.rest();
}
