//! Answers: when they can be given, and what of them is taken.

use super::*;

#[test]
fn a_request_is_answered_its_handler_told_in_order_and_the_next_one_is_an_exchange_of_its_own() {
    let mut bench = Bench::pieces();
    bench
        .handler
        .order("open", "field X-A:1;field X-A:2;respond hello");
    let mut peer = bench.ask(&GET.repeat(2));
    bench.until("two exchanges", |h| {
        h.noted().iter().filter(|line| *line == "destroy").count() == 2
    });
    bench.hear(&mut peer, "hello");
    let answer = heard(&peer);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("X-A: 1\r\nX-A: 2\r\n"),
        "{answer}"
    );
    assert_eq!(
        bench.handler.noted(),
        [
            "thread-create",
            "open 1 GET",
            "end Done 200 5 ",
            "destroy",
            "open 2 GET",
            "end Done 200 5 ",
            "destroy"
        ]
    );
}

#[test]
fn a_streamed_answer_waits_for_a_slow_reader_and_all_of_it_arrives() {
    let mut bench = Bench::new(None, |limits| {
        limits.high_mark_bytes = 64 << 10;
        limits.low_mark_bytes = 16 << 10;
    });
    bench.handler.order("open", "start;flood");
    bench.handler.order("writable", "flood");
    let mut peer = bench.ask(GET);
    let mut largest = 0;
    until(&mut bench.event_loop, "much", |l| {
        peer.read_some(20_000);
        largest = largest.max(l.io.buffers.budget().used());
        peer.heard.len() > 6 << 20
    });
    assert!(largest < 200_000, "{largest}");
    bench
        .handler
        .order("writable", "field X-Done:yes;send end;finish");
    bench.hear(&mut peer, "0\r\nX-Done: yes\r\n\r\n");
    bench.until("the end", |h| h.has("destroy"));
}

#[test]
fn an_answer_can_be_given_in_any_hook() {
    for (hook, open) in [
        ("writable", "writable"),
        ("timer", "timer"),
        ("notify", "post n"),
        ("last", "pause;resume"),
    ] {
        let mut bench = Bench::pieces();
        bench.handler.order("open", open);
        bench.handler.order(hook, &format!("respond by {hook}"));
        let mut peer = bench.ask(GET);
        bench.hear(&mut peer, &format!("by {hook}"));
    }
}

#[test]
fn only_one_answer_is_taken_and_none_that_makes_no_sense() {
    let mut bench = Bench::pieces();
    bench.handler.order(
        "open",
        "send x;finish;status 99;status 204;field Date:x;field a b:c;file relative;start 3;field X:y;respond x;\
         file /dev/null;send 1234;send 123;finish;send x",
    );
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "\r\n\r\n123");
    assert_eq!(
        bench.handler.noted()[2..15],
        [
            "send: Refused",
            "finish: Refused",
            "status: Refused",
            "status: Refused",
            "field: Refused",
            "field: Refused",
            "file: Refused",
            "field: Closed",
            "respond: Closed",
            "file: Closed",
            "send: Refused",
            "send: Closed",
            "end Done 200 3 "
        ]
    );
}

#[test]
fn fields_of_an_answer_are_bounded() {
    let mut bench = Bench::new(None, |limits| limits.answer_fields_bytes = 20);
    bench
        .handler
        .order("open", "field A:0123456789;field B:0123;field C:;respond x");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "A: 0123456789\r\nC: \r\n");
    assert!(bench.handler.has("field: Full"));
}

#[test]
fn the_connection_ends_behind_an_answer_when_that_is_asked_for() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "close;respond last");
    let mut peer = bench.ask(&GET.repeat(2));
    let answer = bench.hear_all(&mut peer);
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("last"));
    assert!(!bench.handler.has("open 2 GET"));
}

#[test]
fn an_exchange_is_found_by_its_number_until_it_ends() {
    let mut bench = Bench::pieces();
    bench.handler.order("notify", "respond told");
    let mut peer = bench.ask(GET);
    bench.until("an exchange", |h| h.has("open 1 GET"));
    let id = bench.event_loop.io.ids()[0];
    let notify = || Operation::Notify(b"x"[..].into());
    assert_eq!(
        bench.hub.post_exchange(id, 2, notify()),
        Err(PostError::Stale)
    );
    assert_eq!(bench.hub.post(id, notify()), Err(PostError::Stale));
    let hub = Arc::clone(&bench.hub);
    std::thread::spawn(move || hub.post_exchange(id, 1, notify()))
        .join()
        .unwrap()
        .unwrap();
    bench.hear(&mut peer, "told");
    bench.until("the end", |h| h.has("destroy"));
    assert_eq!(
        bench.hub.post_exchange(id, 1, notify()),
        Err(PostError::Stale)
    );
}

#[test]
fn a_protocol_without_sessions_is_bound_by_no_opening_handshake() {
    let mut bench = Bench::pieces();
    let mut peer = bench.ask(
        "GET /test HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: test\r\n\r\n",
    );
    bench.hear(&mut peer, "HTTP/1.1 404 ");
    bench.hear(&mut peer, "known are none");
    assert!(bench.handler.noted().is_empty());
}

#[test]
fn a_handler_sees_what_lies_beneath_its_mountpoint_and_nothing_else() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "respond here");
    for (path, is_seen) in [
        ("/test", true),
        ("/test/", true),
        ("/test/a/b", true),
        ("/tester", false),
        ("/", false),
        ("/other/test", false),
    ] {
        let mut peer = bench.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ));
        let answer = bench.hear_all(&mut peer);
        assert_eq!(answer.ends_with("here"), is_seen, "{path}: {answer}");
    }
}
