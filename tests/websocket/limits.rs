//! What is too much, and how it is answered.

use std::time::Duration;

use crate::support::frame::{BINARY, CONTINUATION};
use crate::support::plugins::{echo, plugin};
use crate::support::raw_peer::RawPeer;
use crate::support::{Config, Frame, Server, Setup};

fn with_limit(name: &str, value: u64) -> Server {
    let config = Config::new().limit(name, value);
    Setup::new().plugin(&echo()).config(&config).start()
}

#[test]
fn seed_5_8_a_message_above_the_limit_fails_with_1009_and_one_at_the_limit_does_not() {
    let server = with_limit("message_bytes", 1000);
    let mut peer = server.open("/echo");
    peer.frames(&[Frame::binary(vec![1; 1000])]);
    assert_eq!(peer.frame(), Frame::binary(vec![1; 1000]));
    peer.frames(&[Frame::binary(vec![1; 1001])]);
    peer.expect_close(1009);
}

#[test]
fn fragments_that_grow_above_the_limit_fail_with_1009() {
    let server = with_limit("message_bytes", 1000);
    let mut peer = server.open("/echo");
    peer.frames(&[
        Frame::fragment(BINARY, vec![1; 600]),
        Frame::fragment(CONTINUATION, vec![1; 401]),
    ]);
    peer.expect_close(1009);
}

#[test]
fn a_frame_that_only_says_it_is_too_large_fails_at_once() {
    let server = Server::with([&echo()]);
    for length in [(16 << 20) + 1, u64::MAX >> 1] {
        let mut peer = server.open("/echo");
        let mut header = vec![0x82, 0xff];
        header.extend_from_slice(&u64::to_be_bytes(length));
        header.extend_from_slice(&[0; 4]);
        peer.bytes(&header);
        peer.expect_close(1009);
    }
}

#[test]
fn a_message_of_the_default_limit_comes_back() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let payload = vec![0x5a; 16 << 20];
    peer.frames(&[Frame::binary(&payload)]);
    assert!(peer.frame().payload == payload, "the message was altered");
}

#[test]
fn a_head_that_is_too_long_is_answered_431() {
    let server = Server::with([&echo()]);
    let long = "x".repeat(17 << 10);
    let response = server.connect().handshake("/echo", &[("Cookie", &long)]);
    assert_eq!(response.status, 431, "{response:?}");
    let many = vec![("X-Field", "x"); 101];
    let response = server.connect().handshake("/echo", &many);
    assert_eq!(response.status, 431, "{response:?}");
}

#[test]
fn a_target_that_is_too_long_is_answered_414() {
    let server = Server::with([&echo()]);
    let target = format!("/echo?{}", "x".repeat(9 << 10));
    let response = server.connect().handshake(&target, &[]);
    assert_eq!(response.status, 414, "{response:?}");
}

#[test]
fn a_handshake_that_never_ends_is_answered_408() {
    let server = with_limit("opening_handshake_ms", 200);
    let mut peer = server.connect();
    peer.bytes(b"GET /echo HTTP/1.1\r\n");
    assert_eq!(peer.response().status, 408);
    peer.expect_end();
}

#[test]
fn a_connection_above_the_limit_is_closed_at_once_and_the_others_stay() {
    let server = with_limit("max_connections", 3);
    let mut peers: Vec<RawPeer> = (0..3).map(|_| server.open("/echo")).collect();
    let mut refused = server.connect();
    refused.expect_end_somehow();
    for peer in &mut peers {
        assert_eq!(peer.ask("here"), "here");
    }
    drop(peers);
    crate::support::process::eventually("there is room again", Duration::from_secs(10), || {
        let mut peer = server.connect();
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        peer.bytes_until_refused(request.as_bytes(), Duration::from_secs(1));
        peer.receives_anything()
    });
}

#[test]
fn an_address_above_its_limit_is_closed_at_once_and_others_connect() {
    let server = with_limit("max_connections_per_address", 2);
    let mut peers: Vec<RawPeer> = (0..2).map(|_| server.open("/echo")).collect();
    server.connect().expect_end_somehow();
    let mut other = RawPeer::connect_from([127, 0, 0, 2], server.address());
    assert_eq!(other.handshake("/echo", &[]).status, 101);
    for peer in peers.iter_mut().chain([&mut other]) {
        assert_eq!(peer.ask("here"), "here");
    }
    let mut left = peers.remove(0);
    left.frames(&[Frame::close(1000, "")]);
    left.expect_close(1000);
    left.expect_end();
    crate::support::process::eventually("there is room again", Duration::from_secs(10), || {
        let mut next = server.connect();
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        next.bytes_until_refused(request.as_bytes(), Duration::from_secs(1));
        next.receives_anything()
    });
}

#[test]
fn a_session_can_have_only_so_many_timers() {
    let config = Config::new().limit("session_timers_count", 3);
    let setup = Setup::new().plugin(&plugin("probe")).config(&config);
    let server = setup.start();
    let mut peer = server.open("/probe");
    for id in 1..=3 {
        peer.text(&format!("timer {id} 60000"));
    }
    assert_eq!(peer.ask("timer 4 60000"), "full");
    assert_eq!(peer.ask("cancel 2"), "cancelled");
    assert_eq!(peer.ask("cancel 2"), "not set");
    peer.text("timer 4 1");
    assert_eq!(peer.frame(), Frame::text("timer 4"));
}
