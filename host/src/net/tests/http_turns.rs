//! What a connection that speaks HTTP may cost the thread: turns, time, memory.

use super::{Bench, http::heard};
use crate::net::test_peer::{Peer, turn};

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
            assert_eq!(bench.link().carry.capacity(), 0, "{first}");
        }
    }
}
