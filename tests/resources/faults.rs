//! Faults from outside: others are served meanwhile, and each fault ends by its deadline.

use std::time::Duration;

use crate::support::plugins::echo;
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Frame, RawPeer, Server, Setup};

#[test]
fn peers_that_read_nothing_hold_only_their_bounds_and_others_are_served() {
    const PEERS: usize = 8;
    let server = Server::with([&echo()]);
    server.assert_echoes();
    let before = server.process().resident_bytes();
    let message = Frame::binary(vec![3; 256 << 10]).masked();
    let stuck: Vec<RawPeer> = (0..PEERS)
        .map(|_| {
            let mut peer = server.open("/echo");
            let pause = Duration::from_millis(300);
            while peer.bytes_until_refused(&message, pause) == message.len() {}
            server.assert_echoes();
            peer
        })
        .collect();
    let grown = server.process().resident_bytes().saturating_sub(before);
    let bound = (PEERS as u64 + 2) * (4 << 20);
    assert!(grown < bound, "{grown} bytes for {PEERS} peers");
    drop(stuck);
    server.assert_echoes();
}

#[test]
fn handshakes_that_never_end_are_ended_by_their_deadline_and_others_are_served() {
    let config = Config::new().limit("opening_handshake_ms", 500);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let mut peers: Vec<RawPeer> = (0..50).map(|_| server.connect()).collect();
    for (nth, peer) in peers.iter_mut().enumerate() {
        let begun = b"GET /echo HTTP/1.1\r\nHost: x\r\n";
        peer.bytes(&begun[..nth % begun.len()]);
    }
    server.assert_echoes();
    for peer in &mut peers {
        let said = String::from_utf8_lossy(&peer.expect_end_somehow()).into_owned();
        assert!(said.is_empty() || said.contains(" 408 "), "{said}");
    }
    server.assert_echoes();
}

#[test]
fn a_handshake_that_drips_does_not_outlive_the_deadline() {
    let config = Config::new().limit("opening_handshake_ms", 500);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let mut peer = server.connect();
    peer.bytes(b"GET /echo HTTP/1.1\r\nX: ");
    // Far longer than the deadline in all, and never silent.
    let told = (0..600).any(|_| {
        let sent = peer.bytes_until_refused(b"x", Duration::from_millis(100));
        sent == 0 || peer.receives_within(Duration::from_millis(20))
    });
    assert!(told, "the deadline moves with each octet");
}

#[test]
fn half_open_connections_end_by_ping_and_pong_and_others_are_served() {
    let config = Config::new()
        .limit("idle_ping_ms", 200)
        .limit("pong_ms", 200);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let before = server.process().open_sockets();
    let silent: Vec<RawPeer> = (0..20).map(|_| server.open("/echo")).collect();
    server.assert_echoes();
    eventually("they are let go", DEADLINE, || {
        server.process().open_sockets() <= before
    });
    drop(silent);
    server.assert_echoes();
}

#[test]
fn with_no_file_left_open_sessions_are_served_the_host_does_not_spin_and_recovers() {
    const FILES: u32 = 64;
    let config = Config::new().limit("max_connections", 1_000_000);
    let setup = Setup::new().plugin(&echo()).config(&config);
    let server = setup.open_files(FILES).start();
    let mut open = Vec::new();
    // The kernel completes connections until its queue is full, whether or not the host accepts them.
    let waiting: Vec<RawPeer> = (0..FILES + 20)
        .filter_map(|_| {
            let mut peer = server.connect();
            let request = "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
                           Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            peer.bytes_until_refused(request.as_bytes(), Duration::from_secs(1));
            match peer.receives_within(Duration::from_millis(200)) {
                true => {
                    assert_eq!(peer.response().status, 101);
                    open.push(peer);
                    None
                }
                false => Some(peer),
            }
        })
        .collect();
    assert!(open.len() > 10, "only {} were accepted", open.len());
    assert!(!waiting.is_empty(), "the limit was never reached");
    for peer in &mut open {
        assert_eq!(peer.ask("served"), "served");
    }
    let used = server.process().processor_ns();
    open[0].frame_within(Duration::from_secs(1));
    let used = server.process().processor_ns() - used;
    assert!(used < 200_000_000, "it spins: {used} ns in a second");
    drop(open);
    drop(waiting);
    eventually("it accepts again", DEADLINE, || {
        let mut peer = server.connect();
        let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        peer.bytes_until_refused(request.as_bytes(), Duration::from_secs(1));
        peer.receives_within(Duration::from_secs(2))
    });
    server.assert_echoes();
}

#[test]
fn connections_that_say_nothing_sensible_change_nothing() {
    let server = Server::with([&echo()]);
    let mut noise: u32 = 0x9e37_79b9;
    for round in 0..200 {
        let mut peer = if round % 2 == 0 {
            server.connect()
        } else {
            server.open("/echo")
        };
        let bytes: Vec<u8> = (0..512)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                noise as u8
            })
            .collect();
        peer.bytes_until_refused(&bytes, Duration::from_secs(1));
    }
    server.assert_echoes();
}
