//! How connections that speak HTTP end, whatever they are at.

use super::{
    Bench,
    http::{heard, told},
};
use crate::net::test_peer::{Peer, turn_for};

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    /// It stays and does nothing.
    Not,
    EndsItsSide,
    Closes,
    Resets,
}

#[test]
fn a_websocket_of_a_client_that_has_ended_its_side_before_is_told_so() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /later/50 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.finish();
    bench.closed(1);
}

#[test]
fn a_drain_lets_an_answer_leave_that_was_given_before() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /whole/20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.until("answer", |event_loop| event_loop.service.log.len() == 2);
    assert!(bench.queued() > 0);
    bench.event_loop.io.drain();
    for id in bench.event_loop.io.ids() {
        bench.event_loop.io.drain_http(id);
    }
    let all = heard(&mut bench, &mut peer);
    assert!(all.len() > 20_000_000, "{}", all.len());
}

#[test]
fn an_answer_that_was_given_is_not_cut_off_for_a_body_that_nobody_wants() {
    for (length, leaves) in [(5, false), (3, false), (3, true)] {
        let mut bench = Bench::new(|limits| {
            limits.request_body_bytes = 4;
            limits.request_body_idle_ms = 50;
        });
        let mut peer = Peer::connect(bench.address);
        let request =
            format!("POST /whole/20000000 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        peer.send(request.as_bytes());
        if leaves {
            peer.finish();
        }
        bench.until("end", |event_loop| event_loop.service.log.len() == 2);
        assert_eq!(told(&bench)[1], "ended Done 200 20000000");
        let all = heard(&mut bench, &mut peer);
        assert!(all.len() > 20_000_000, "{}", all.len());
    }
}

#[test]
fn a_client_that_has_ended_its_side_is_answered_as_long_as_it_takes_something() {
    let mut bench = Bench::new(|limits| limits.half_closed_ms = 50);
    let mut peer = Peer::connect(bench.address);
    let file = super::http::file_of(&[b'x'; 20_000_000]);
    bench.event_loop.service.file = Some(file);
    peer.send(b"GET /file/ HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.finish();
    bench.until("head", |_| {
        peer.read_some(1);
        !peer.heard.is_empty()
    });
    turn_for(&mut bench.event_loop, 150);
    let all = heard(&mut bench, &mut peer);
    assert!(all.len() > 20_000_000, "{}", all.len());
}

#[test]
fn a_client_that_leaves_with_bytes_behind_its_request_is_not_waited_for() {
    let mut bench = Bench::new(|limits| limits.half_closed_ms = 50);
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /events/10 HTTP/1.1\r\nHost: a\r\n\r\n\r\n");
    bench.until("head", |_| {
        peer.read();
        peer.take_head()
    });
    peer.finish();
    bench.until("end", |event_loop| event_loop.service.log.len() == 2);
    assert_eq!(told(&bench)[1], "ended Peer 200 0");
}

#[test]
fn wherever_a_client_stops_its_connection_ends_and_each_exchange_is_told_once() {
    let requests: &[&[u8]] = &[
        b"POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /later/5 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nA: b\r\n\r\nGET",
        b"POST /paused/3 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello\r\n",
        b"POST /silent/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\n\r\n",
        b"GET /file/ HTTP/1.1\r\nHost: a\r\n\r\nGET /file/ HTTP/1.0\r\n\r\n",
        b"GET /later/5 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\x81\x80\0\0\0\0",
    ];
    for leaves in [
        Leaves::Not,
        Leaves::EndsItsSide,
        Leaves::Closes,
        Leaves::Resets,
    ] {
        let mut bench = Bench::new(|limits| {
            for limit in [
                &mut limits.opening_handshake_ms,
                &mut limits.request_body_idle_ms,
                &mut limits.answer_ms,
                &mut limits.http_keep_alive_ms,
                &mut limits.half_closed_ms,
                &mut limits.stalled_write_ms,
                &mut limits.close_ms,
                &mut limits.idle_ping_ms,
                &mut limits.pong_ms,
            ] {
                *limit = 40;
            }
            limits.accept_count = 1000;
        });
        bench.event_loop.service.file = Some(super::http::file_of(&[b'x'; 400_000]));
        let mut peers = Vec::new();
        for request in requests {
            for cut in 0..=request.len() {
                let mut peer = Peer::connect(bench.address);
                peer.send(&request[..cut]);
                match leaves {
                    Leaves::Not => {}
                    Leaves::EndsItsSide => peer.finish(),
                    Leaves::Closes => continue,
                    Leaves::Resets => {
                        peer.reset();
                        continue;
                    }
                }
                peers.push(peer);
            }
        }
        bench.until("all begun", |event_loop| event_loop.io.connections() > 0);
        bench.until("all gone", |event_loop| event_loop.io.connections() == 0);
        let log = &bench.event_loop.service.log;
        let count = |what: &str| log.iter().filter(|line| line.contains(what)).count();
        let (begun, ended) = (count(" /"), count("ended "));
        let upgrades = count("GET /@");
        assert_eq!(count("opened"), upgrades);
        assert_eq!(count("closed"), upgrades, "{leaves:?}");
        // A request that could not be read, or did not come, is an exchange too.
        assert!(ended + upgrades >= begun, "{leaves:?}: {begun} {ended}");
        let unread = count("ended Done 408") + count("ended Done 400");
        assert!(ended + upgrades <= begun + unread, "{leaves:?}: {ended}");
        assert_eq!(bench.event_loop.io.timers.next_deadline(), None);
        drop(bench.event_loop);
        let kept = bench
            .shared
            .buffered
            .load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(kept, 0, "{leaves:?}");
    }
}
