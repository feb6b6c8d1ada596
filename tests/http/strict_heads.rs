//! Heads that two readers could understand differently are refused, and nothing behind them is read: RFC 9112 sections 2
//! to 5, RFC 9110 section 5.

use super::answer::Answer;
use super::peer::{HttpPeer, request};
use super::site::{A_TXT, Site};
use crate::support::Config;

/// What an attacker would have the server read as a request of its own.
const NEXT: &str = "GET /a.txt HTTP/1.1\r\nHost: test\r\n\r\n";

/// Expects that `bytes`, and a good request behind them, are answered once, with this status, and that the connection ends.
pub(crate) fn expect_refused(site: &Site, bytes: impl AsRef<[u8]>, status: u16) -> Answer {
    let shown = bytes.as_ref()[..bytes.as_ref().len().min(200)].escape_ascii();
    let mut peer = site.peer();
    peer.send_while_open([bytes.as_ref(), NEXT.as_bytes()].concat());
    let answer = peer.answer();
    assert_eq!(answer.status, status, "\"{shown}\": {answer:?}");
    assert!(answer.closes(), "\"{shown}\": {answer:?}");
    assert_eq!(peer.rest(), b"", "\"{shown}\" is answered once");
    answer
}

/// The same for a head that ends with the fields `fields`.
fn expect_fields_refused(fields: &[&str], status: u16) {
    let site = Site::new();
    for fields in fields {
        let head = format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
        expect_refused(&site, head, status);
    }
    site.assert_serves();
}

#[test]
fn a_folded_line_is_refused() {
    expect_fields_refused(&["A: b\r\n c\r\n", "A: b\r\n\tc\r\n", "A: b\r\n \r\n"], 400);
}

#[test]
fn a_blank_before_the_first_field_is_refused() {
    let site = Site::new();
    for blank in [" ", "\t"] {
        let head = format!("GET / HTTP/1.1\r\n{blank}Host: test\r\n\r\n");
        expect_refused(&site, head, 400);
    }
}

#[test]
fn a_bare_cr_is_refused() {
    expect_fields_refused(
        &["A: b\rc\r\n", "A: b\r\r\n", "A\r: b\r\n", "A: b\rB: c\r\n"],
        400,
    );
    let site = Site::new();
    expect_refused(&site, "GET /\r HTTP/1.1\r\nHost: test\r\n\r\n", 400);
}

#[test]
fn a_line_that_ends_with_lf_alone_is_refused() {
    expect_fields_refused(&["A: b\n", "A: b\nB: c\r\n"], 400);
    let site = Site::new();
    for head in [
        "GET / HTTP/1.1\nHost: test\n\n",
        "GET / HTTP/1.1\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\n\n",
        "GET / HTTP/1.1\r\nHost: test\n\r\n",
    ] {
        expect_refused(&site, head, 400);
    }
}

#[test]
fn a_blank_between_name_and_colon_is_refused() {
    expect_fields_refused(&["A : b\r\n", "A\t: b\r\n", "Content-Length : 5\r\n"], 400);
}

#[test]
fn a_nul_anywhere_is_refused() {
    expect_fields_refused(&["A: b\0c\r\n", "A\0: b\r\n", "\0: b\r\n"], 400);
    let site = Site::new();
    expect_refused(&site, "GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n", 400);
    expect_refused(&site, "G\0T / HTTP/1.1\r\nHost: test\r\n\r\n", 400);
}

#[test]
fn a_field_without_a_name_or_a_colon_is_refused() {
    expect_fields_refused(
        &[
            ": b\r\n",
            "A\r\n",
            "A b: c\r\n",
            "(A): b\r\n",
            "\u{e9}: b\r\n",
        ],
        400,
    );
}

#[test]
fn control_characters_in_a_value_are_refused() {
    expect_fields_refused(&["A: \u{1}\r\n", "A: b\u{7f}\r\n", "A: \u{1b}[2J\r\n"], 400);
}

#[test]
fn a_request_of_http_1_1_names_exactly_one_host() {
    let site = Site::new();
    for fields in [
        "",
        "Host: test\r\nHost: test\r\n",
        "Host: test\r\nhost: other\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: a, b\r\n",
        "Host: user@a\r\n",
        "Host: a:80:90\r\n",
        "Host: [a.example]\r\n",
    ] {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        expect_refused(&site, head, 400);
    }
    expect_refused(&site, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    // Section 3.2: who has no authority sends an empty value.
    let mut peer = site.peer();
    peer.send("GET /a.txt HTTP/1.1\r\nHost:\r\n\r\n");
    assert_eq!(peer.answer().status, 200);
}

#[test]
fn a_request_line_has_three_parts_and_two_single_blanks() {
    let site = Site::new();
    for line in [
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /",
        "GET",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.x",
        "GET / HTTP/01.1",
    ] {
        let head = format!("{line}\r\nHost: test\r\n\r\n");
        expect_refused(&site, head, 400);
    }
}

#[test]
fn a_target_is_a_path_or_a_url_without_blanks_fragments_or_raw_letters_beyond_ascii() {
    let site = Site::new();
    for target in [
        "a.txt",
        "*",
        "/a.txt#b",
        "/\u{fc}.txt",
        "/\u{7f}",
        "http://",
        "http:///a.txt",
        "http://user@test/a.txt",
        "ftp://test/a.txt",
        "test:80",
        "?",
    ] {
        expect_refused(&site, request("GET", target, ""), 400);
    }
}

#[test]
fn garbage_and_tls_are_answered_400() {
    let site = Site::new();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        b"hello there\r\n\r\n",
    ] {
        expect_refused(&site, bytes, 400);
    }
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    // Section 2.2: at least one. A server that goes on for ever would be kept busy for nothing.
    let site = Site::new();
    let mut peer = site.peer();
    for _ in 0..3 {
        peer.send("\r\n");
        peer.send(NEXT);
        assert_eq!(peer.answer().text(), A_TXT);
    }
    let mut peer = site.peer();
    peer.send_while_open("\r\n".repeat(40 << 10));
    peer.end_sending();
    peer.rest();
    site.assert_serves();
}

#[test]
fn a_version_other_than_1_is_answered_505() {
    let site = Site::new();
    for version in ["2.0", "0.9", "3.0", "9.9"] {
        let head = format!("GET / HTTP/{version}\r\nHost: test\r\n\r\n");
        expect_refused(&site, head, 505);
    }
    expect_refused(&site, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

#[test]
fn a_target_above_its_limit_is_answered_414_also_before_it_ends() {
    let site = Site::limited("request_target_bytes", 100);
    let at_limit = format!("/a.txt?{}", "x".repeat(93));
    assert_eq!(site.ask("GET", &at_limit, "").status, 200);
    expect_refused(&site, request("GET", &(at_limit + "x"), ""), 414);
    let mut peer = site.peer();
    peer.send(format!("GET /{}", "x".repeat(200)));
    expect_told_and_ended(&mut peer, 414);
}

#[test]
fn a_head_above_its_limits_is_answered_431_also_before_it_ends() {
    let config = Config::new()
        .limit("request_target_bytes", 100)
        .limit("request_head_bytes", 1000)
        .limit("request_field_count", 10);
    let site = Site::with(config);
    let many = "A: b\r\n".repeat(9);
    assert_eq!(site.ask("GET", "/a.txt", &many).status, 200);
    expect_refused(&site, request("GET", "/", &"A: b\r\n".repeat(10)), 431);

    let around = request("GET", "/a.txt", "A: \r\n").len();
    let fits = format!("A: {}\r\n", "x".repeat(1000 - around));
    assert_eq!(request("GET", "/a.txt", &fits).len(), 1000);
    assert_eq!(site.ask("GET", "/a.txt", &fits).status, 200);
    let above = format!("A: {}\r\n", "x".repeat(1001 - around));
    expect_refused(&site, request("GET", "/a.txt", &above), 431);
    let mut peer = site.peer();
    peer.send(format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(2000)));
    expect_told_and_ended(&mut peer, 431);
}

fn expect_told_and_ended(peer: &mut HttpPeer, status: u16) {
    let answer = peer.answer();
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.closes(), "{answer:?}");
    peer.expect_end();
}
