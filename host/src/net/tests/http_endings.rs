//! How connections that speak HTTP end, whatever they are at.

use super::Bench;
use crate::net::test_peer::Peer;

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
