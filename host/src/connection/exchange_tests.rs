//! An exchange without a socket: what is read of the body, what the answer looks like, whether the connection goes on.

use super::exchange::{AnswerError, BodyError, BodyEvent, Exchange};
use crate::{
    limits::Limits,
    wire::{
        body_length::BodyLength,
        fields::Fields,
        request_head::{HeadParsed, RequestHead},
        response_head::Dated,
    },
};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn dated() -> Dated {
    Dated::new(DATE)
}

fn exchange(line: &str, fields: &str) -> Exchange {
    let input = format!("{line}\r\nHost: a\r\n{fields}\r\n");
    match RequestHead::parse(input.as_bytes(), &Limits::default()) {
        HeadParsed::Done(head) => {
            let length = BodyLength::of(&head).unwrap();
            Exchange::new(&head, length, &Limits::default())
        }
        other => panic!("{input:?}: {other:?}"),
    }
}

fn begin(exchange: &mut Exchange, status: u16, length: Option<u64>, whole: bool) -> String {
    let mut out = Vec::new();
    let head = (status, &Fields::new());
    let begun = exchange.begin(&mut out, head, length, whole, &dated());
    begun.unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_answer_says_how_long_it_is_and_whether_the_connection_goes_on() {
    for (line, fields, length, expected, persists) in [
        ("GET / HTTP/1.1", "", Some(2), "Content-Length: 2\r\n", true),
        (
            "GET / HTTP/1.1",
            "",
            None,
            "Transfer-Encoding: chunked\r\n",
            true,
        ),
        (
            "HEAD / HTTP/1.1",
            "",
            Some(2),
            "Content-Length: 2\r\n",
            true,
        ),
        (
            "GET / HTTP/1.1",
            "Connection: x, Close\r\n",
            Some(2),
            "Content-Length: 2\r\nConnection: close\r\n",
            false,
        ),
        (
            "GET / HTTP/1.0",
            "",
            Some(2),
            "Content-Length: 2\r\nConnection: close\r\n",
            false,
        ),
        (
            "GET / HTTP/1.0",
            "Connection: keep-alive\r\n",
            Some(2),
            "Content-Length: 2\r\nConnection: keep-alive\r\n",
            true,
        ),
        (
            "GET / HTTP/1.0",
            "Connection: keep-alive\r\n",
            None,
            "Connection: close\r\n",
            false,
        ),
    ] {
        let mut exchange = exchange(line, fields);
        let head = begin(&mut exchange, 200, length, true);
        assert_eq!(
            head,
            format!("HTTP/1.1 200 OK\r\nDate: {DATE}\r\n{expected}\r\n"),
            "{line} {fields}"
        );
        assert_eq!(exchange.persists(), persists, "{line} {fields}");
    }
}

#[test]
fn head_and_bodiless_statuses_get_no_content() {
    for (line, status, length) in [
        ("HEAD / HTTP/1.1", 200, Some(3)),
        ("HEAD / HTTP/1.1", 200, None),
        ("GET / HTTP/1.1", 204, Some(3)),
        ("GET / HTTP/1.1", 304, None),
    ] {
        let mut exchange = exchange(line, "");
        let head = begin(&mut exchange, status, length, true);
        assert_eq!(
            head.contains("Content-Length"),
            status == 200 && length.is_some()
        );
        let mut out = Vec::new();
        exchange.put(&mut out, b"abc").unwrap();
        exchange.finish(&mut out, &Fields::new()).unwrap();
        assert!(out.is_empty() && exchange.is_over() && exchange.persists());
    }
}

#[test]
fn streamed_content_is_chunked_with_its_trailer() {
    let mut exchange = exchange("GET / HTTP/1.1", "");
    begin(&mut exchange, 200, None, false);
    let mut out = Vec::new();
    exchange.put(&mut out, b"hello").unwrap();
    let mut trailer = Fields::new();
    trailer.set("X-Sum", 5);
    exchange.finish(&mut out, &trailer).unwrap();
    assert_eq!(out, b"5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n");
    assert_eq!((exchange.sent(), exchange.status()), (5, 200));
}

#[test]
fn content_is_never_longer_or_shorter_than_announced() {
    let mut exchange = exchange("GET / HTTP/1.1", "");
    begin(&mut exchange, 200, Some(3), false);
    let mut out = Vec::new();
    assert_eq!(exchange.put(&mut out, b"abcd"), Err(AnswerError::Wrong));
    assert_eq!(exchange.put(&mut out, b"ab"), Ok(()));
    assert_eq!(
        exchange.finish(&mut out, &Fields::new()),
        Err(AnswerError::Wrong)
    );
    assert!(!exchange.persists());
}

#[test]
fn an_answer_that_is_ready_leaves_as_it_would_when_it_is_put_together() {
    let (dated, mut fields) = (dated(), Fields::new());
    fields.set("ETag", "a");
    let head = [dated.ok(), fields.as_bytes(), b"Content-Length: 2\r\n\r\n"];
    for (line, more, is_given) in [
        ("GET / HTTP/1.1", "", true),
        ("POST / HTTP/1.1", "", true),
        ("HEAD / HTTP/1.1", "", false),
        ("GET / HTTP/1.0", "", false),
        ("GET / HTTP/1.0", "Connection: keep-alive\r\n", false),
        ("GET / HTTP/1.1", "Connection: close\r\n", false),
        ("GET / HTTP/1.1", "Content-Length: 1\r\n", false),
        ("GET / HTTP/1.1", "Transfer-Encoding: chunked\r\n", false),
    ] {
        let (mut one, mut other) = (exchange(line, more), exchange(line, more));
        let (mut ready, mut expected) = (Vec::new(), Vec::new());
        assert_eq!(one.put_ready(&mut ready, head, b"ab"), is_given, "{line}");
        if !is_given {
            assert!(ready.is_empty() && !one.is_answered(), "{line}");
            continue;
        }
        assert!(
            !one.put_ready(&mut ready, head, b"ab"),
            "there is one answer"
        );
        let begun = other.begin(&mut expected, (200, &fields), Some(2), true, &dated);
        begun.unwrap();
        other.put(&mut expected, b"ab").unwrap();
        other.finish(&mut expected, &Fields::new()).unwrap();
        assert_eq!(ready, expected, "{line}");
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{line}");
    }
}

#[test]
fn there_is_one_answer() {
    let mut exchange = exchange("GET / HTTP/1.1", "");
    let mut out = Vec::new();
    assert_eq!(exchange.put(&mut out, b"a"), Err(AnswerError::Wrong));
    let none = Fields::new();
    for status in [0, 100, 101, 199, 600] {
        let begun = exchange.begin(&mut out, (status, &none), Some(0), true, &dated());
        assert_eq!(begun, Err(AnswerError::Wrong), "{status}");
    }
    begin(&mut exchange, 200, Some(0), true);
    let again = exchange.begin(&mut out, (200, &none), Some(0), true, &dated());
    assert_eq!(again, Err(AnswerError::Late));
    assert!(out.is_empty());
}

#[test]
fn a_body_comes_in_pieces_up_to_its_length() {
    let mut exchange = exchange("POST / HTTP/1.1", "Content-Length: 5\r\n");
    assert_eq!(exchange.read(b""), (0, BodyEvent::Need));
    assert_eq!(exchange.read(b"abc"), (3, BodyEvent::Piece(b"abc")));
    assert_eq!(exchange.read(b"deGET"), (2, BodyEvent::Piece(b"de")));
    assert!(!exchange.has_body());
    assert_eq!(exchange.read(b"GET"), (0, BodyEvent::End(Fields::new())));
    assert!(exchange.has_body());
}

#[test]
fn a_body_above_its_bound_ends_the_connection() {
    let mut exchange = exchange("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n");
    exchange.limit_body(4);
    assert_eq!(
        exchange.read(b"3\r\nabc\r\n"),
        (6, BodyEvent::Piece(b"abc"))
    );
    let (_, event) = exchange.read(b"\r\n2\r\nde\r\n");
    assert_eq!(event, BodyEvent::Wrong(BodyError::TooLarge));
    assert!(exchange.has_body() && !exchange.persists());

    let mut exchange = self::exchange("POST / HTTP/1.1", "Content-Length: 5\r\n");
    exchange.limit_body(4);
    assert!(exchange.is_too_long());
}

#[test]
fn an_early_answer_keeps_the_connection_only_if_little_of_the_body_is_left() {
    for (fields, persists) in [
        ("Content-Length: 1000\r\n", true),
        ("Content-Length: 100000\r\n", false),
        ("Transfer-Encoding: chunked\r\n", false),
        ("Content-Length: 1000\r\nExpect: 100-continue\r\n", false),
    ] {
        let mut exchange = exchange("POST / HTTP/1.1", fields);
        let head = begin(&mut exchange, 403, Some(0), true);
        assert_eq!(exchange.persists(), persists, "{fields}");
        assert_eq!(head.contains("Connection: close"), !persists, "{fields}");
        exchange.finish(&mut Vec::new(), &Fields::new()).unwrap();
        assert_eq!(exchange.is_over(), !persists, "{fields}");
    }
}

#[test]
fn a_client_that_waits_is_told_to_go_on_once() {
    let mut waiting = exchange(
        "POST / HTTP/1.1",
        "Content-Length: 3\r\nExpect: 100-continue\r\n",
    );
    assert!(waiting.awaits_continue());
    let mut out = Vec::new();
    waiting.go_on(&mut out);
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(!waiting.awaits_continue());
    // Nobody waits without a body, nor in HTTP/1.0, nor who sends it unasked.
    for (line, length) in [("POST / HTTP/1.1", 0), ("POST / HTTP/1.0", 3)] {
        let fields = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
        assert!(!exchange(line, &fields).awaits_continue());
    }
    let mut sends = exchange(
        "POST / HTTP/1.1",
        "Content-Length: 3\r\nExpect: 100-continue\r\n",
    );
    sends.read(b"a");
    assert!(!sends.awaits_continue());
}
