//! Bodies of requests: in pieces, whole, too long, paused.

use super::*;

#[test]
fn a_body_comes_in_pieces_of_which_the_last_says_so() {
    let mut bench = Bench::pieces();
    bench.handler.order("last", "respond done");
    let mut peer = bench
        .ask("POST /test HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    bench.until("a piece", |h| h.has("body true false 3 one"));
    peer.send(b"3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n");
    bench.hear(&mut peer, "done");
    assert_eq!(
        bench.handler.noted()[2..6],
        [
            "body true false 3 one",
            "body false false 3 two",
            "body false true 0 ",
            "trailer X-Sum=6"
        ]
    );
}

#[test]
fn a_request_without_a_body_has_one_piece_that_is_empty() {
    let mut bench = Bench::pieces();
    bench.handler.order("last", "respond done");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "done");
    assert!(bench.handler.has("body true true 0 "));
}

#[test]
fn a_body_that_is_wanted_whole_is_gathered_within_the_budget_and_given_once() {
    let mut bench = Bench::new(Some(100_000), |_| {});
    bench.handler.order("last", "respond done");
    let body = "w".repeat(90_000);
    let request = post(&body);
    let mut peer = bench.ask(&request[..request.len() - 1]);
    until(&mut bench.event_loop, "most of it", |l| {
        l.io.buffers.budget().used() >= 89_999
    });
    assert_eq!(bench.handler.noted(), ["thread-create", "open 1 POST"]);
    peer.send(b"w");
    bench.hear(&mut peer, "done");
    assert!(
        bench
            .handler
            .has("body true true 90000 wwwwwwwwwwwwwwwwwwww")
    );
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_peer_that_leaves_within_its_body_gives_the_memory_back() {
    let mut bench = Bench::new(Some(100_000), |_| {});
    let request = post(&"w".repeat(90_000));
    let peer = bench.ask(&request[..60_000]);
    until(&mut bench.event_loop, "a part", |l| {
        l.io.buffers.budget().used() > 50_000
    });
    peer.reset();
    bench.until("the end", |h| h.has("destroy"));
    assert!(
        bench
            .handler
            .noted()
            .iter()
            .any(|line| line.starts_with("end Peer 0 0 "))
    );
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_body_above_what_is_taken_whole_is_413_and_the_handler_is_told_that_it_was_the_host() {
    for request in [
        post(&"x".repeat(11)),
        "POST /test HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n"
            .into(),
    ] {
        let mut bench = Bench::new(Some(10), |_| {});
        let mut peer = bench.ask(&request);
        let answer = bench.hear_all(&mut peer);
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.contains("10 bytes are taken here"),
            "{answer}"
        );
        bench.until("the end", |h| h.has("destroy"));
        let noted = bench.handler.noted();
        assert!(
            noted.iter().any(|line| line.starts_with("end Host 413 ")),
            "{noted:?}"
        );
        assert!(!noted.iter().any(|line| line.starts_with("body")));
    }
}

#[test]
fn memory_for_bodies_that_is_not_there_is_503() {
    let mut bench = Bench::new(Some(1 << 20), |limits| limits.buffered_total_bytes = 40_000);
    let mut peer = bench.ask(&post(&"x".repeat(500_000)));
    bench.hear(&mut peer, "HTTP/1.1 503 ");
    bench.hear(&mut peer, "limits.buffered_total_bytes");
    drop(peer);
    bench.until("the end", |h| h.has("destroy"));
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_paused_body_waits_and_its_end_is_told_after_it() {
    for (request, expected) in [
        (post("12345"), "body true false 5 12345"),
        (GET.into(), "open 1 GET"),
    ] {
        let mut bench = Bench::pieces();
        let hook = if request == GET { "open" } else { "body" };
        bench.handler.order(hook, "pause");
        bench.handler.order("last", "respond done");
        bench.handler.order("notify", "resume");
        let mut peer = bench.ask(&request);
        bench.until("the pause", |h| h.has(expected));
        turn_for(&mut bench.event_loop, 30);
        let told = |h: &Obedient| h.noted().iter().any(|line| line.contains(" true 0 "));
        assert!(!told(&bench.handler));
        let id = bench.event_loop.io.ids()[0];
        let operation = Operation::Notify(b""[..].into());
        bench.hub.post_exchange(id, 1, operation).unwrap();
        bench.hear(&mut peer, "done");
        assert!(told(&bench.handler));
    }
}

#[test]
fn a_pause_does_not_keep_the_next_request_from_being_read() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "pause;respond early;pause");
    let mut peer = bench.ask(&(post("12345") + GET));
    bench.until("both", |h| h.has("open 2 GET"));
    bench.hear(&mut peer, "early");
    assert!(
        !bench
            .handler
            .noted()
            .iter()
            .any(|line| line.starts_with("body"))
    );
}
