//! Bodies as a plugin's handler gets them, and how they are refused: RFC 9112 sections 6 and 7, RFC 9110 section 10.1.1.

use serde_json::{Value, json};

use super::handlers::{site, value};
use super::peer::request;
use super::site::{Site, pattern};
use super::strict_heads::expect_refused;
use crate::support::Config;

fn post(target: &str, fields: &str, body: &str) -> String {
    request("POST", target, fields) + body
}

fn chunked(target: &str, body: &str) -> String {
    post(target, "Transfer-Encoding: chunked\r\n", body)
}

fn counted(site: &Site, bytes: &str) -> Value {
    let mut peer = site.peer();
    peer.send(bytes);
    let told = value(&peer.answer());
    peer.expect_open();
    told
}

#[test]
fn seed_4_10_a_body_comes_in_pieces_and_its_end_is_told() {
    let site = site(Config::new());
    let told = counted(
        &site,
        &post("/probe/count", "Content-Length: 5\r\n", "hello"),
    );
    assert_eq!(told["bytes"], 5);
    assert_eq!(counted(&site, &post("/probe/count", "", ""))["bytes"], 0);
    let none = post("/probe/count", "Content-Length: 0\r\n", "");
    assert_eq!(counted(&site, &none)["bytes"], 0);
    let body = "5\r\nhello\r\n00A;a=\"b;c\"\r\n0123456789\r\n0\r\nX-Sum: 15\r\nX-More: 1\r\n\r\n";
    let told = counted(&site, &chunked("/probe/count", body));
    assert_eq!((&told["bytes"], &told["sum"]), (&json!(15), &json!("15")));
    let none = counted(&site, &chunked("/probe/count", "0\r\n\r\n"));
    assert_eq!(none["bytes"], 0);
}

#[test]
fn seed_4_10_a_long_body_is_echoed_both_ways_coded() {
    let site = site(Config::new());
    let content = pattern(4 << 20);
    let mut peer = site.peer();
    let mut writer = peer.transport().try_clone().expect("a descriptor is free");
    let mut bytes = post(
        "/probe/echo",
        &format!("Content-Length: {}\r\n", content.len()),
        "",
    )
    .into_bytes();
    bytes.extend(&content);
    bytes.extend(chunked("/probe/echo", "").as_bytes());
    for piece in content.chunks(10_007) {
        bytes.extend(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let writing = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, &bytes).expect("the server reads on");
    });
    for coding in ["a length", "chunks"] {
        let answer = peer.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.content == content, "with {coding} another content");
    }
    writing.join().expect("all was written");
    peer.expect_open();
}

#[test]
fn seed_4_10_a_handler_may_have_the_body_whole_and_only_so_long() {
    let site = site(Config::new());
    let body = "x".repeat(1000);
    let told = counted(&site, &post("/whole", "Content-Length: 1000\r\n", &body));
    assert_eq!(told, json!({"bytes": 1000, "whole": true}));
    let pieces = "1\r\nx\r\n".repeat(999);
    let told = counted(&site, &chunked("/whole", &(pieces.clone() + "0\r\n\r\n")));
    assert_eq!(told, json!({"bytes": 999, "whole": true}));
    expect_refused(
        &site,
        post("/whole", "Content-Length: 1001\r\n", &(body + "x")),
        413,
    );
    let more = pieces + "2\r\nxx\r\n0\r\n\r\n";
    expect_refused(&site, chunked("/whole", &more), 413);
}

#[test]
fn a_body_above_its_limit_is_answered_413_by_length_and_by_chunks() {
    let site = site(Config::new().limit("request_body_bytes", 100));
    let body = "x".repeat(100);
    let told = counted(
        &site,
        &post("/probe/count", "Content-Length: 100\r\n", &body),
    );
    assert_eq!(told["bytes"], 100);
    let told = counted(
        &site,
        &chunked("/probe/count", &format!("64\r\n{body}\r\n0\r\n\r\n")),
    );
    assert_eq!(told["bytes"], 100);
    let above = post(
        "/probe/count",
        "Content-Length: 101\r\n",
        &(body.clone() + "x"),
    );
    expect_refused(&site, above, 413);
    let above = format!("64\r\n{body}\r\n1\r\nx\r\n0\r\n\r\n");
    expect_refused(&site, chunked("/probe/count", &above), 413);
    // Told before any of it is sent.
    let mut peer = site.peer();
    peer.send(post("/probe/count", "Content-Length: 9999999999\r\n", ""));
    assert_eq!(peer.answer().status, 413);
    peer.expect_end();
    let expecting = "Content-Length: 101\r\nExpect: 100-continue\r\n";
    let mut peer = site.peer();
    peer.send(post("/probe/count", expecting, ""));
    assert_eq!(peer.answer().status, 413);
    peer.expect_end();
}

#[test]
fn a_mount_may_have_a_limit_of_its_own() {
    let config = Config::new().limit("request_body_bytes", 100).mount(
        "/probe/count",
        json!({"status": 200, "text": "not the probe"}),
    );
    let larger = json!({"protocol": "http_probe", "body_bytes": 200});
    let site = site(config.mount("/larger", larger));
    let body = "x".repeat(200);
    let told = counted(
        &site,
        &post("/larger/count", "Content-Length: 200\r\n", &body),
    );
    assert_eq!(told["bytes"], 200);
    expect_refused(
        &site,
        post("/larger/count", "Content-Length: 201\r\n", &body),
        413,
    );
}

#[test]
fn a_chunk_that_is_not_as_the_rfc_has_it_is_answered_400() {
    let site = site(Config::new());
    for body in [
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5h\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "0\nX: y\r\n\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\0c\r\n\r\n",
        "0\r\n: b\r\n\r\n",
    ] {
        let answer = expect_refused(&site, chunked("/probe/count", body), 400);
        assert!(!answer.text().contains("bytes"), "{body:?} was taken");
    }
    site.assert_serves();
}

#[test]
fn a_trailer_or_chunk_line_that_does_not_end_is_refused() {
    let site = site(
        Config::new()
            .limit("request_head_bytes", 1000)
            .limit("request_target_bytes", 100),
    );
    let trailer = format!("0\r\n{}\r\n", "A: b\r\n".repeat(1000));
    expect_refused(&site, chunked("/probe/count", &trailer), 431);
    let extension = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000));
    let mut peer = site.peer();
    peer.send_while_open(chunked("/probe/count", &extension));
    let answer = peer.answer();
    assert!([400, 413, 431].contains(&answer.status), "{answer:?}");
    peer.expect_end();
}

#[test]
fn a_body_that_is_expected_is_asked_for_with_100_and_only_then() {
    let site = site(Config::new());
    let fields = "Content-Length: 5\r\nExpect: 100-Continue\r\n";
    let mut peer = site.peer();
    for _ in 0..2 {
        peer.send(post("/probe/count", fields, ""));
        let interim = peer.answer();
        assert_eq!(
            (interim.status, interim.fields.len()),
            (100, 0),
            "{interim:?}"
        );
        peer.send("hello");
        assert_eq!(value(&peer.answer())["bytes"], 5);
    }
    peer.expect_open();
    // Who sends the body at once waits for nothing; 100 may come all the same.
    peer.send(post("/probe/count", fields, "hello"));
    let mut answer = peer.answer();
    if answer.status == 100 {
        answer = peer.answer();
    }
    assert_eq!(value(&answer)["bytes"], 5);
    // HTTP/1.0 knows no 100.
    let mut old = site.peer();
    old.send("POST /probe/count HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    old.expect_nothing_yet();
    old.send("hello");
    assert_eq!(value(&old.answer())["bytes"], 5);
    old.expect_end();
}

#[test]
fn an_answer_before_the_body_leaves_a_connection_that_is_read_right() {
    let site = site(Config::new());
    let inner = request("GET", "/probe/panic", "");
    let length = format!("Content-Length: {}\r\n", inner.len());
    let in_chunks = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for first in [
        post("/probe/early", &length, &inner),
        chunked("/probe/early", &in_chunks),
    ] {
        let mut peer = site.peer();
        peer.send_while_open(first + &request("GET", "/a.txt", ""));
        let answer = peer.answer();
        assert_eq!(answer.text(), "before the body");
        if answer.closes() {
            peer.expect_end();
        } else {
            assert_eq!(peer.answer().text(), super::site::A_TXT);
        }
    }
    site.assert_serves();
}

#[test]
fn a_body_that_stops_is_answered_408() {
    let site = site(Config::new().limit("request_body_idle_ms", 300));
    for begun in [
        post("/probe/count", "Content-Length: 5\r\n", "hel"),
        chunked("/probe/count", "5\r\nhel"),
        chunked("/probe/count", "5\r\nhello\r\n"),
        chunked("/probe/count", "0\r\nA: b\r\n"),
    ] {
        let mut peer = site.peer();
        peer.send(begun);
        let answer = peer.answer();
        assert_eq!(answer.status, 408, "{answer:?}");
        assert!(answer.closes(), "{answer:?}");
        peer.expect_end();
    }
    site.assert_serves();
}

#[test]
fn a_body_that_ends_with_the_connection_is_not_taken_for_whole() {
    let site = site(Config::new());
    for begun in [
        post("/probe/count", "Content-Length: 5\r\n", "hel"),
        chunked("/probe/count", "5\r\nhello\r\n"),
    ] {
        let mut peer = site.peer();
        peer.send(begun);
        peer.end_sending();
        let told = String::from_utf8_lossy(&peer.rest()).into_owned();
        assert!(!told.contains("\"bytes\""), "{told}");
    }
    site.assert_serves();
}

#[test]
fn a_paused_body_waits_in_the_transport_and_comes_whole() {
    let site = site(Config::new());
    let mut peer = site.peer();
    let length = 8 << 20;
    let mut writer = peer.transport().try_clone().expect("a descriptor is free");
    let head = post(
        "/probe/pause?300",
        &format!("Content-Length: {length}\r\n"),
        "",
    );
    let writing = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, head.as_bytes()).expect("the server reads");
        std::io::Write::write_all(&mut writer, &pattern(length)).expect("the server reads on");
    });
    assert_eq!(value(&peer.answer())["bytes"], json!(length));
    writing.join().expect("all was written");
    let told = value(&site.ask("GET", "/probe/told", ""));
    let paused = json!({"asks": "/pause", "pieces while paused": 0});
    assert!(told.as_array().expect("a list").contains(&paused), "{told}");
}
