//! What a connection that speaks HTTP may cost the thread: turns, time, memory.

use super::{
    Bench,
    http::{answers, file_of, heard, told},
};
use crate::net::test_peer::{Peer, turn, turn_for};

/// Turns until the service was told so many lines.
fn told_so_many(bench: &mut Bench, count: usize) {
    bench.until("exchanges", |event_loop| {
        event_loop.service.log.len() >= count
    });
}

#[test]
fn a_connection_that_ends_with_input_behind_it_is_not_served_for_ever() {
    for behind in [
        "GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        for fields in ["Host: a\r\n", "Host: a\r\nConnection: close\r\n"] {
            let mut bench = Bench::new(|limits| limits.close_ms = 60_000);
            let mut peer = Peer::connect(bench.address);
            let first = format!("GET /later/20 HTTP/1.1\r\n{fields}\r\n{behind}");
            peer.send(first.as_bytes());
            peer.send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
            heard(&mut bench, &mut peer);
            // What it sends from now on is thrown away.
            peer.send(&[b'x'; 1000]);
            for _ in 0..10 {
                turn(&mut bench.event_loop, 1);
            }
            let is_listed = !bench.event_loop.io.listed.is_empty();
            assert!(!is_listed, "{first}");
            assert_eq!(bench.link().spare.carry_capacity(), 0, "{first}");
        }
    }
}

#[test]
fn requests_of_one_connection_do_not_hold_up_a_turn() {
    let mut bench = Bench::new(|limits| limits.turn_requests_count = 10);
    let mut peer = Peer::connect(bench.address);
    peer.send(&b"GET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000));
    told_so_many(&mut bench, 2000);
    let turns = bench.event_loop.service.turns("GET /whole/0");
    assert_eq!(turns.len(), 1000);
    let most = turns.chunk_by(|a, b| a == b).map(<[usize]>::len).max();
    assert_eq!(most, Some(10));
}

#[test]
fn a_file_that_has_left_is_not_waited_for() {
    let mut bench = Bench::new(|limits| {
        limits.file_turn_bytes = 1000;
        limits.stalled_write_ms = 50;
    });
    bench.event_loop.service.file = Some(file_of(&[b'x'; 10_000]));
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /file/ HTTP/1.1\r\nHost: a\r\n\r\n");
    told_so_many(&mut bench, 2);
    turn_for(&mut bench.event_loop, 150);
    peer.send(b"GET /page/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    let all = heard(&mut bench, &mut peer);
    assert!(
        all.ends_with("Connection: close\r\n\r\nppp"),
        "{}",
        all.len()
    );
}

#[test]
fn content_that_finds_no_room_ends_the_connection() {
    let mut bench = Bench::new(|limits| limits.buffered_total_bytes = 1 << 20);
    bench.event_loop.service.file = Some(file_of(b"x"));
    let mut peer = Peer::connect(bench.address);
    peer.send(
        b"GET /bytes/30000000 HTTP/1.1\r\nHost: a\r\n\r\nGET /page/3 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    told_so_many(&mut bench, 2);
    assert!(
        told(&bench)[1].starts_with("ended Host 200"),
        "{}",
        told(&bench)[1]
    );
    let all = heard(&mut bench, &mut peer);
    assert_eq!(all.matches("HTTP/1.1").count(), 1);
}

#[test]
fn a_body_that_nobody_wants_does_not_wait_for_the_end_of_a_pause() {
    let mut bench = Bench::new(|_| {});
    let request = b"POST /paused/3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /page/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let all = answers(&mut bench, &[request]);
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2, "{all}");
}

#[test]
fn an_answer_that_a_timer_began_is_not_late() {
    let mut bench = Bench::new(|limits| limits.answer_ms = 50);
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /events/10 HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.until("head", |_| {
        peer.read();
        peer.take_head()
    });
    turn_for(&mut bench.event_loop, 150);
    assert_eq!(told(&bench), ["GET /events/10"]);
}

#[test]
fn a_client_that_waits_is_told_to_go_on_when_a_timer_resumes() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(
        b"POST /resumed/10 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    bench.until("100", |_| {
        peer.read();
        peer.heard == b"HTTP/1.1 100 Continue\r\n\r\n"
    });
}

#[test]
fn a_client_that_reads_slowly_is_given_all_that_it_has_asked_for() {
    let mut bench = Bench::new(|limits| limits.http_keep_alive_ms = 50);
    let mut peer = Peer::connect(bench.address);
    peer.send(&b"GET /whole/8000000 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    told_so_many(&mut bench, 2);
    turn_for(&mut bench.event_loop, 150);
    let all = heard(&mut bench, &mut peer);
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3);
}

#[test]
fn a_timer_gives_an_answer_no_more_time() {
    let mut bench = Bench::new(|limits| limits.answer_ms = 50);
    let all = answers(&mut bench, &[b"GET /polls/5 HTTP/1.1\r\nHost: a\r\n\r\n"]);
    assert!(all.starts_with("HTTP/1.1 504 "), "{all}");
}
