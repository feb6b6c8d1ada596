//! The plugin `bridge`: two hosts, one behind the other.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::{liar::Liar, upstream, url};
use crate::support::plugins::plugin;
use crate::support::{Config, Frame, RawPeer, Server, Setup};

fn bridge(to: &str) -> Server {
    let config = Config::new().options("bridge", json!({"url": to}));
    Setup::new()
        .plugin(&plugin("bridge"))
        .config(&config)
        .start()
}

#[test]
fn messages_go_both_ways_with_their_kind_and_in_their_order() {
    let upstream = upstream();
    let bridge = bridge(&url(&upstream, "/echo"));
    let mut peer = bridge.open("/bridge");
    let frames: Vec<_> = (0..200_u32)
        .map(|nth| match nth % 2 {
            0 => Frame::text(&nth.to_string()),
            _ => Frame::binary(nth.to_be_bytes()),
        })
        .collect();
    peer.frames(&frames);
    for frame in &frames {
        assert_eq!(peer.frame(), *frame);
    }
    let large = Frame::binary(vec![7; 3 << 20]);
    peer.frames(std::slice::from_ref(&large));
    assert_eq!(peer.frame(), large);
    peer.close();
}

#[test]
fn close_codes_and_the_subprotocol_are_passed_on() {
    let liar = Liar::new();
    let bridge = bridge(&liar.url("/"));
    let open = || {
        let fields = [("Sec-WebSocket-Protocol", "chat, other")];
        let (peer, answer) = RawPeer::open_with(bridge.address(), "/bridge", &fields);
        assert_eq!(answer.field("sec-websocket-protocol"), Some("chat"));
        let mut asked = liar.accept();
        assert_eq!(asked.field("Sec-WebSocket-Protocol"), Some("chat"));
        asked.open("Sec-WebSocket-Protocol: chat\r\n");
        (peer, asked)
    };
    let (mut peer, mut server) = open();
    server.send(&Frame::close(4002, "that was it"));
    assert_eq!(peer.expect_close(4002), "that was it");
    drop(server);

    let (mut peer, mut server) = open();
    peer.frames(&[Frame::close(4003, "enough")]);
    assert_eq!(server.frame(), (8, b"\x0f\xa3enough".to_vec()));
    drop(server);

    let (mut peer, server) = open();
    drop(server);
    peer.expect_close(1014);
}

#[test]
fn a_server_that_is_not_there_refuses_or_is_busy_is_told_by_the_close_code() {
    let liar = Liar::new();
    let bridge = bridge(&liar.url("/"));
    for (status, code) in [("403 Forbidden", 1014), ("503 Service Unavailable", 1013)] {
        let mut peer = bridge.open("/bridge");
        liar.accept().answer(status, "", "");
        peer.expect_close(code);
    }
    drop(liar);
    bridge.open("/bridge").expect_close(1014);
}

#[test]
fn who_does_not_read_holds_back_the_server_behind_the_bridge() {
    let liar = Liar::new();
    let bridge = bridge(&liar.url("/"));
    let mut peer = bridge.open("/bridge");
    let mut server = liar.accept();
    server.open("");
    let frame = Frame::binary(vec![1; 64 << 10]).unmasked();
    let patience = Some(Duration::from_secs(1));
    server.stream.set_write_timeout(patience).expect("valid");
    // Far more than all buffers on the way take.
    let (mut sent, most) = (0, 256 << 20);
    while sent < most {
        match server.stream.write(&frame[sent % frame.len()..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    assert!(sent < most, "nothing held it back");
    let whole = sent / frame.len();
    for _ in 0..whole {
        assert_eq!(peer.frame().payload.len(), 64 << 10);
    }
}
