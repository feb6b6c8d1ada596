//! What a method gets, and the forms of a target: RFC 9110 section 9, RFC 9112 section 3.2.

use super::peer::request;
use super::site::{A_TXT, INDEX, Site};
use super::strict_heads::expect_refused;

#[test]
fn head_says_what_get_would_and_has_no_content() {
    let site = Site::new();
    let mut peer = site.peer();
    for (target, fields) in [
        ("/", ""),
        ("/a.txt", ""),
        ("/empty.txt", ""),
        ("/big.bin", ""),
        ("/nothing", ""),
        ("/dir", ""),
        ("/bare/", ""),
        ("/a.txt", "If-None-Match: *\r\n"),
        ("/a.txt", "If-Match: \"none\"\r\n"),
    ] {
        let get = peer.ask("GET", target, fields).timeless();
        let head = peer.ask("HEAD", target, fields).timeless();
        assert_eq!(
            (head.status, &head.fields),
            (get.status, &get.fields),
            "{target}"
        );
    }
    peer.expect_open();
    // RFC 9110 section 14.2: Range is for GET alone.
    let ranged = peer.ask("HEAD", "/a.txt", "Range: bytes=0-1\r\n");
    assert_eq!(ranged.status, 200);
    peer.expect_open();
}

#[test]
fn a_method_that_files_do_not_have_is_answered_405_with_those_they_have() {
    let site = Site::new();
    for target in ["/a.txt", "/", "/dir/"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = site.ask(method, target, "");
            assert_eq!(answer.status, 405, "{method} {target}: {answer:?}");
            let mut allowed = answer.elements("Allow");
            allowed.sort_unstable();
            assert_eq!(allowed, ["GET", "HEAD", "OPTIONS"], "{method} {target}");
        }
    }
}

#[test]
fn trace_and_connect_are_not_served() {
    let site = Site::new();
    let answer = site.ask("TRACE", "/a.txt", "X-Secret: s\r\n");
    assert!([405, 501].contains(&answer.status), "{answer:?}");
    let content = String::from_utf8_lossy(&answer.content);
    assert!(!content.contains("X-Secret"), "{content}");
    for target in ["/a.txt", "example.org:443"] {
        let mut peer = site.peer();
        peer.send(request("CONNECT", target, ""));
        // As to GET: a refusal has content, and only success makes a tunnel.
        let answer = peer.answer();
        let known = [400, 405, 501].contains(&answer.status);
        assert!(known, "CONNECT {target}: {answer:?}");
    }
}

#[test]
fn a_method_that_nobody_knows_is_answered_501() {
    let site = Site::new();
    for method in ["BREW", "get", "Get", "M-X!#$%&'*+.^_`|~0"] {
        let answer = site.ask(method, "/a.txt", "");
        assert_eq!(answer.status, 501, "{method}: {answer:?}");
    }
}

#[test]
fn options_tells_what_is_allowed_for_a_file_and_for_the_server() {
    let site = Site::new();
    let mut peer = site.peer();
    let answer = peer.ask("OPTIONS", "/a.txt", "");
    assert!([200, 204].contains(&answer.status), "{answer:?}");
    let mut allowed = answer.elements("Allow");
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "OPTIONS"]);
    let answer = peer.ask("OPTIONS", "*", "");
    assert!([200, 204].contains(&answer.status), "{answer:?}");
    assert!(answer.content.is_empty(), "{answer:?}");
    peer.expect_open();
}

#[test]
fn the_absolute_form_gets_what_the_path_gets() {
    let site = Site::new();
    let mut peer = site.peer();
    for (target, content) in [
        ("http://test/a.txt", A_TXT),
        ("HTTP://TEST:80/a.txt?q", A_TXT),
        ("http://test/", INDEX),
        ("http://test", INDEX),
        ("http://test?q", INDEX),
        ("http://other/a.txt", A_TXT),
    ] {
        let answer = peer.ask("GET", target, "");
        assert_eq!((answer.status, answer.text()), (200, content), "{target}");
    }
    expect_refused(&site, request("GET", "https:/a.txt", ""), 400);
}

#[test]
fn a_final_answer_comes_in_place_of_100_when_the_body_is_not_wanted() {
    let site = Site::new();
    let mut peer = site.peer();
    peer.send(request(
        "POST",
        "/a.txt",
        "Content-Length: 5\r\nExpect: 100-continue\r\n",
    ));
    let answer = peer.answer();
    assert_eq!(answer.status, 405, "{answer:?}");
    // Section 10.1.1 of RFC 9110: the client may send the body all the same or leave it out, so either the connection ends
    // or the five bytes are read as body.
    if answer.closes() {
        peer.expect_end();
    } else {
        peer.send("hello");
        peer.expect_open();
    }
}

#[test]
fn who_expects_100_of_a_get_without_body_is_simply_answered() {
    let site = Site::new();
    let mut peer = site.peer();
    let answer = peer.ask("GET", "/a.txt", "Expect: 100-continue\r\n");
    assert_eq!((answer.status, answer.text()), (200, A_TXT));
    peer.expect_open();
}

#[test]
fn seed_1_14_every_answer_has_a_date_and_none_names_the_server_unasked() {
    let site = Site::new();
    for (method, target) in [
        ("GET", "/a.txt"),
        ("HEAD", "/"),
        ("GET", "/nothing"),
        ("GET", "/dir"),
        ("DELETE", "/a.txt"),
        ("BREW", "/a.txt"),
    ] {
        let answer = site.ask(method, target, "");
        let date = answer.field("Date").unwrap_or_default();
        // As in `Sun, 06 Nov 1994 08:49:37 GMT`.
        let shape: String = date
            .chars()
            .map(|letter| match letter {
                '0'..='9' => '0',
                'A'..='Z' => 'A',
                'a'..='z' => 'a',
                other => other,
            })
            .collect();
        assert_eq!(shape, "Aaa, 00 Aaa 0000 00:00:00 AAA", "{method} {target}");
        assert_eq!(answer.field("Server"), None, "{method} {target}");
    }
    let answer = expect_refused(&site, "bad\r\n\r\n", 400);
    assert!(answer.field("Date").is_some(), "{answer:?}");
}
