//! Where a body ends is said in one way or the request is refused, and a body that nobody reads is never taken for a
//! request: RFC 9112 sections 6 and 7.

use super::answer::find;
use super::peer::request;
use super::site::{A_TXT, Site};
use super::strict_heads::expect_refused;

/// A request with a body that nothing of the tree takes.
fn post(fields: &str, body: &str) -> String {
    format!("POST /a.txt HTTP/1.1\r\nHost: test\r\n{fields}\r\n{body}")
}

#[test]
fn two_lengths_are_refused_even_if_they_are_equal() {
    let site = Site::new();
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0\r\ncontent-length: 5\r\n",
    ] {
        expect_refused(&site, post(fields, "hello"), 400);
    }
}

#[test]
fn a_length_is_digits_and_nothing_else() {
    let site = Site::new();
    for value in [
        "",
        "-1",
        "+5",
        "0x5",
        "5.0",
        "5 5",
        "five",
        "5;",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        let fields = format!("Content-Length: {value}\r\n");
        expect_refused(&site, post(&fields, "hello"), 400);
    }
}

#[test]
fn a_length_beside_a_coding_is_refused() {
    let site = Site::new();
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ] {
        expect_refused(&site, post(fields, "0\r\n\r\n"), 400);
    }
}

#[test]
fn a_coding_that_is_not_chunked_once_and_last_is_refused() {
    let site = Site::new();
    for (fields, statuses) in [
        ("Transfer-Encoding: gzip\r\n", [501, 400]),
        ("Transfer-Encoding: gzip, chunked\r\n", [501, 501]),
        ("Transfer-Encoding: identity\r\n", [501, 400]),
        ("Transfer-Encoding: xchunked\r\n", [501, 400]),
        ("Transfer-Encoding: chunked, chunked\r\n", [501, 400]),
        ("Transfer-Encoding: chunked, gzip\r\n", [501, 400]),
        ("Transfer-Encoding: \u{b}chunked\r\n", [400, 400]),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            [501, 400],
        ),
        ("Transfer-Encoding: \"chunked\"\r\n", [501, 400]),
    ] {
        let mut peer = site.peer();
        peer.send_while_open(post(fields, "0\r\n\r\n"));
        let answer = peer.answer();
        assert!(statuses.contains(&answer.status), "{fields:?}: {answer:?}");
        assert!(answer.closes(), "{fields:?}: {answer:?}");
        peer.expect_end();
    }
}

#[test]
fn a_coding_in_http_1_0_is_refused() {
    let site = Site::new();
    let request = "POST /a.txt HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    expect_refused(&site, request, 400);
}

/// What a body says that would like to be a request.
const INNER: &str = "GET /dir/b.txt HTTP/1.1\r\nHost: inner\r\n\r\n";

/// Sends a request whose body looks like one, and another behind it: of the answers none may be that to the body.
fn expect_body_is_no_request(site: &Site, first: &str) {
    let mut peer = site.peer();
    let last = "GET /a.txt HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    peer.send_while_open(format!("{first}{last}"));
    let answer = peer.answer();
    let status = answer.status;
    assert!([400, 405].contains(&status), "{first:?}: {answer:?}");
    if answer.closes() {
        assert_eq!(peer.rest(), b"", "{first:?}: it said that it closes");
    } else {
        assert_eq!(peer.answer().text(), A_TXT, "{first:?}");
        peer.expect_end();
    }
}

#[test]
fn a_body_that_nobody_reads_is_never_taken_for_a_request() {
    let site = Site::new();
    let length = INNER.len();
    for first in [
        post(&format!("Content-Length: {length}\r\n"), INNER),
        post(&format!("content-length:{length}\r\n"), INNER),
        post(
            "Transfer-Encoding: chunked\r\n",
            &format!("{length:x}\r\n{INNER}\r\n0\r\n\r\n"),
        ),
        post(
            "Transfer-Encoding: Chunked\r\n",
            &format!("{length:X};a=b\r\n{INNER}\r\n0\r\nA: b\r\n\r\n"),
        ),
        post(
            &format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"),
            INNER,
        ),
    ] {
        expect_body_is_no_request(&site, &first);
        expect_body_is_no_request(&site, &first.replacen("POST", "DELETE", 1));
        expect_body_is_no_request(&site, &first.replacen("POST", "PUT", 1));
    }
}

#[test]
fn a_body_with_get_is_read_and_is_no_request_either() {
    let site = Site::new();
    let mut peer = site.peer();
    let length = INNER.len();
    let get = post(&format!("Content-Length: {length}\r\n"), INNER).replacen("POST", "GET", 1);
    peer.send_while_open(get + "GET /empty.txt HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = peer.answer();
    assert_eq!((answer.status, answer.text()), (200, A_TXT));
    if answer.closes() {
        peer.expect_end();
    } else {
        assert_eq!(peer.answer().text(), "");
        peer.expect_open();
    }
}

#[test]
fn an_answer_without_a_look_at_the_body_comes_whole_also_if_the_body_is_above_its_limit() {
    let site = Site::limited("request_body_bytes", 100);
    for (method, length) in [
        ("POST", 101),
        ("POST", 5000),
        ("POST", 100_000),
        ("GET", 101),
    ] {
        let mut peer = site.peer();
        let fields = format!("Content-Length: {length}\r\n");
        peer.send_while_open(request(method, "/big.bin", &fields) + &"x".repeat(length));
        let answer = peer.answer();
        let known = [200, 405, 413].contains(&answer.status);
        assert!(known && !answer.content.is_empty(), "{method} {length}");
    }
}

#[test]
fn behind_a_bad_chunk_nothing_is_read_as_a_request() {
    let site = Site::new();
    for body in [
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\nA: b\n\r\n",
    ] {
        let mut peer = site.peer();
        peer.send_while_open(post("Transfer-Encoding: chunked\r\n", body) + INNER);
        let answer = peer.answer();
        let status = answer.status;
        assert!([400, 405].contains(&status), "{body:?}: {answer:?}");
        assert!(answer.closes(), "{body:?}: {answer:?}");
        assert_eq!(find(&peer.rest(), b"HTTP/1.1"), None, "{body:?}");
    }
    site.assert_serves();
}
