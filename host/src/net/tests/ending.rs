//! Every way to end, each told exactly once; and the deadlines.

use std::io::{Read, Write};

use mio::net::TcpStream;

use super::*;
use crate::net::{
    event_loop::Turned,
    test_peer::{frame, turn, turn_for},
    transport::Transport,
};

const CLOSE_1000: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

fn told(bench: &mut Bench) -> (ClosedBy, u16, bool, String) {
    let CloseReport {
        by,
        code,
        clean,
        reason,
    } = bench.closed(1)[0].clone();
    (by, code, clean, reason)
}

fn gone(bench: &mut Bench) {
    bench.until("the end of the transport", |l| l.io.connections() == 0);
    assert_eq!(bench.event_loop.service.closed.len(), 1);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
    assert_eq!(bench.event_loop.io.timers.len(), 0);
    let connections = &bench.shared.connections;
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn the_peers_close() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    // What it sends behind its Close frame is of no interest.
    let mut all = frame(1, b"once");
    all.extend_from_slice(CLOSE_1000);
    all.extend_from_slice(&frame(1, b"never"));
    peer.send(&all);
    assert_eq!(
        told(&mut bench),
        (ClosedBy::Peer, 1000, true, String::new())
    );
    bench.until("the end", |_| {
        peer.read();
        peer.ended
    });
    assert_eq!(peer.heard, b"\x81\x04once\x88\x02\x03\xe8");
    drop(peer);
    gone(&mut bench);
    assert!(bench.event_loop.service.turns("never").is_empty());
}

#[test]
fn a_connection_whose_close_frames_went_both_ways_is_not_kept_for_the_peer_to_end_it() {
    let mut bench = Bench::new(|limits| limits.close_ms = 600_000);
    let mut peer = bench.open();
    peer.send(CLOSE_1000);
    // The peer holds its socket open, and is told of the end all the same.
    gone(&mut bench);
    bench.until("the end", |_| {
        peer.read();
        peer.ended
    });
    assert_eq!(peer.heard, b"\x88\x02\x03\xe8");
}

#[test]
fn what_is_written_last_comes_with_the_end_of_our_side_though_the_socket_stays_open() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut peer = listener.accept().unwrap().0;
    stream.set_nonblocking(true).unwrap();
    let mut transport = Transport::Tcp(TcpStream::from_std(stream));
    // Unread, so that a close resets.
    peer.write_all(b"unread").unwrap();
    assert_eq!(transport.write_last(b"last").unwrap(), 4);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"last");
}

#[test]
fn our_close() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    peer.text("close");
    bench.until("Close frame", |_| {
        peer.read();
        !peer.frames().is_empty()
    });
    assert!(bench.event_loop.service.closed.is_empty());
    peer.send(CLOSE_1000);
    let expected = (ClosedBy::Protocol, 1000, true, "enough".to_owned());
    assert_eq!(told(&mut bench), expected);
    drop(peer);
    gone(&mut bench);
}

#[test]
fn both_at_once() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let mut all = frame(1, b"close");
    all.extend_from_slice(CLOSE_1000);
    peer.send(&all);
    let expected = (ClosedBy::Protocol, 1000, true, "enough".to_owned());
    assert_eq!(told(&mut bench), expected);
    drop(peer);
    gone(&mut bench);
}

#[test]
fn a_close_from_within_a_pause_hears_the_answer() {
    let mut bench = Bench::new(|limits| limits.close_ms = 300);
    let mut peer = bench.open();
    peer.text("pause-close");
    bench.until("Close frame", |_| {
        peer.read();
        !peer.frames().is_empty()
    });
    peer.send(CLOSE_1000);
    let expected = (ClosedBy::Protocol, 1000, true, "enough".to_owned());
    assert_eq!(told(&mut bench), expected);
    drop(peer);
    gone(&mut bench);
}

#[test]
fn our_close_that_is_not_answered() {
    let mut bench = Bench::new(|limits| limits.close_ms = 50);
    let mut peer = bench.open();
    peer.text("close");
    let expected = (ClosedBy::Protocol, 1000, false, "enough".to_owned());
    assert_eq!(told(&mut bench), expected);
    gone(&mut bench);
}

#[test]
fn a_broken_rule() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let mut all = frame(1, b"good");
    all.extend_from_slice(b"\xff\x80\0\0\0\0");
    peer.send(&all);
    let (by, code, clean, _) = told(&mut bench);
    assert_eq!((by, code, clean), (ClosedBy::Host, 1002, false));
    bench.until("the end", |_| {
        peer.read();
        peer.ended
    });
    assert_eq!(peer.frames()[0], (0x81, b"good".to_vec()));
    drop(peer);
    gone(&mut bench);
}

#[test]
fn the_protocol_hangs_up() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    peer.text("hang-up");
    let (by, code, clean, _) = told(&mut bench);
    assert_eq!((by, code, clean), (ClosedBy::Protocol, 1006, false));
    gone(&mut bench);
}

#[test]
fn the_peer_leaves_without_a_close_frame() {
    let mut bench = Bench::new(|_| {});
    drop(bench.open());
    let (by, code, clean, _) = told(&mut bench);
    assert_eq!((by, code, clean), (ClosedBy::Peer, 1006, false));
    gone(&mut bench);
}

#[test]
fn a_reset() {
    let mut bench = Bench::new(|_| {});
    bench.open().reset();
    let (by, code, clean, _) = told(&mut bench);
    assert_eq!((by, code, clean), (ClosedBy::Peer, 1006, false));
    gone(&mut bench);
}

#[test]
fn a_reset_in_a_pause() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    peer.text("pause");
    bench.until("pause", |l| !l.service.turns("pause").is_empty());
    peer.reset();
    let (by, code, clean, _) = told(&mut bench);
    assert_eq!((by, code, clean), (ClosedBy::Peer, 1006, false));
    gone(&mut bench);
}

#[test]
fn a_hook_that_fails_while_the_peer_leaves() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    peer.text("fail");
    drop(peer);
    let (by, code, clean, _) = told(&mut bench);
    assert_eq!((by, code, clean), (ClosedBy::Host, 1011, false));
    gone(&mut bench);
}

#[test]
fn the_protocols_deadline() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    peer.text("deadline 40");
    turn_for(&mut bench.event_loop, 20);
    peer.text("deadline 60");
    turn_for(&mut bench.event_loop, 40);
    assert!(bench.event_loop.service.closed.is_empty());
    bench.until("Close frame", |_| {
        peer.read();
        !peer.frames().is_empty()
    });
    peer.send(CLOSE_1000);
    let expected = (ClosedBy::Host, 1008, true, "too late".to_owned());
    assert_eq!(told(&mut bench), expected);
    drop(peer);
    gone(&mut bench);
}

#[test]
fn a_handshake_that_trickles() {
    let mut bench = Bench::new(|limits| limits.opening_handshake_ms = 100);
    let mut peer = Peer::connect(bench.address);
    let head = b"GET / HTTP/1.1\r\nX-Long: ";
    for octet in head.iter().copied().chain(std::iter::repeat_n(b'x', 60)) {
        peer.send(&[octet]);
        turn(&mut bench.event_loop, 5);
    }
    bench.until("408", |_| {
        peer.read();
        peer.ended
    });
    assert!(peer.heard.starts_with(b"HTTP/1.1 408 "));
    drop(peer);
    bench.until("the end", |l| l.io.connections() == 0);
}

#[test]
fn a_peer_that_answers_no_ping() {
    let mut bench = Bench::new(|limits| {
        // Far more than the turns below take, also on a busy machine.
        limits.idle_ping_ms = 600;
        limits.pong_ms = 100;
    });
    let mut peer = bench.open();
    for _ in 0..4 {
        turn_for(&mut bench.event_loop, 20);
        peer.text("alive");
    }
    peer.read();
    assert!(peer.frames().iter().all(|(octet, _)| *octet == 0x81));
    let (by, code, _, reason) = told(&mut bench);
    assert_eq!((by, code), (ClosedBy::Host, 1006));
    assert!(reason.contains("ping"));
    peer.read();
    assert_eq!(peer.frames().last().unwrap().0, 0x89);
    gone(&mut bench);
}

#[test]
fn a_peer_whose_pongs_wait_behind_a_pause_is_not_given_up() {
    let mut bench = Bench::new(|limits| {
        limits.idle_ping_ms = 30;
        limits.pong_ms = 30;
    });
    let mut peer = bench.open();
    peer.text("pause 250");
    bench.until("resume", |l| {
        peer.read();
        peer.send_frame(10, b"");
        !l.service.turns("timer").is_empty()
    });
    peer.text("still here");
    bench.until("echo", |_| {
        peer.read();
        peer.send_frame(10, b"");
        peer.texts() == ["still here"]
    });
    assert!(bench.event_loop.service.closed.is_empty());
}

#[test]
fn a_peer_that_reads_nothing() {
    let mut bench = Bench::new(|limits| limits.stalled_write_ms = 80);
    let mut peer = bench.open();
    peer.text("send 16000000");
    let (by, code, _, reason) = told(&mut bench);
    assert_eq!((by, code), (ClosedBy::Host, 1006));
    assert_eq!(reason, "the peer does not read");
    gone(&mut bench);
}

#[test]
fn a_peer_that_closes_and_reads_nothing_is_not_waited_for() {
    let mut bench = Bench::new(|limits| {
        limits.stalled_write_ms = 100;
        limits.high_mark_bytes = 64 << 20;
    });
    let mut peer = bench.open();
    let mut all = frame(1, b"send 16000000");
    all.extend_from_slice(CLOSE_1000);
    peer.send(&all);
    assert_eq!(
        told(&mut bench),
        (ClosedBy::Peer, 1000, true, String::new())
    );
    gone(&mut bench);
}

#[test]
fn a_peer_that_closes_and_finishes_still_gets_what_was_sent() {
    let mut bench = Bench::new(|limits| {
        limits.close_ms = 100;
        limits.high_mark_bytes = 64 << 20;
    });
    let mut peer = bench.open();
    let mut all = frame(1, b"send 16000000");
    all.extend_from_slice(CLOSE_1000);
    peer.send(&all);
    peer.finish();
    // Slowly, but it moves: longer than `close_ms` as a whole.
    bench.until("all of it", |_| {
        peer.read_some(200_000);
        peer.ended
    });
    assert_eq!(peer.heard.len(), 10 + 16_000_000 + 4);
    assert_eq!(&peer.heard[16_000_010..], b"\x88\x02\x03\xe8");
    gone(&mut bench);
}

#[test]
fn a_half_closed_request_is_answered_as_a_whole() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /page/16000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.finish();
    bench.until("all of it", |_| {
        peer.read_some(1 << 20);
        peer.ended
    });
    assert!(peer.take_head());
    assert_eq!(peer.heard.len(), 16_000_000);
    bench.until("the end", |l| l.io.connections() == 0);
}

#[test]
fn a_loop_that_is_stopped_tells_every_session() {
    let mut bench = Bench::new(|_| {});
    let _peers: Vec<_> = (0..3).map(|_| bench.open()).collect();
    bench.event_loop.io.stop();
    assert_eq!(turn(&mut bench.event_loop, 0), Turned::Done);
    let told = bench.closed(3);
    assert!(told.iter().all(|close| close.by == ClosedBy::Drain));
    let connections = &bench.shared.connections;
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 0);
}
