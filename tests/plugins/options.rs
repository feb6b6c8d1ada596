//! Options of a protocol, from the configuration.

use serde_json::json;

use crate::support::plugins::{echo, plugin};
use crate::support::raw_peer::RawPeer;
use crate::support::{Config, Frame, Server, Setup};

/// Numbers of `/increment` until one is below its predecessor or `count` have come.
fn numbers(peer: &mut RawPeer, count: usize) -> Vec<u64> {
    let frames = (0..count).map(|_| peer.frame().as_text());
    frames.map(|text| text.parse().expect("a number")).collect()
}

#[test]
fn increment_counts_from_the_start_and_reset_sets_it_to_0() {
    let server = Server::with([&plugin("increment")]);
    let mut peer = server.open("/increment");
    let counted = numbers(&mut peer, 5);
    let expected: Vec<u64> = (counted[0]..counted[0] + 5).collect();
    assert_eq!(counted, expected);
    assert!(counted[0] <= 1, "{counted:?}");
    numbers(&mut peer, 5);
    peer.text("reset");
    let before = counted[4] + 5;
    while numbers(&mut peer, 1)[0] > before {}
}

#[test]
fn an_option_reaches_its_plugin() {
    let config = Config::new().options("increment", json!({"period_ms": 60_000}));
    let setup = Setup::new().plugin(&plugin("increment")).config(&config);
    let server = setup.start();
    let mut peer = server.open("/increment");
    let frame = peer.frame_within(std::time::Duration::from_millis(300));
    let first = frame.map(|frame| frame.as_text());
    assert!(first.is_none() || first == Some("0".into()), "{first:?}");
}

#[test]
fn a_plugin_whose_options_are_wrong_is_logged_and_left_out_and_the_others_are_served() {
    let config = Config::new().options("increment", json!({"period_ms": "often"}));
    let setup = Setup::new().plugin(&plugin("increment")).plugin(&echo());
    let server = setup.config(&config).start();
    let line = server.await_log(0, |line| line.is_error() && line.mentions("increment"));
    assert!(
        line.mentions("period_ms") || line.mentions("often"),
        "{line:?}"
    );
    assert_eq!(server.connect().handshake("/increment", &[]).status, 404);
    server.assert_echoes();
}

#[test]
fn a_broadcast_reaches_everybody_and_drops_or_closes_who_does_not_read() {
    for (policy, is_closed) in [("drop", false), ("close", true)] {
        let config = Config::new()
            .limit("high_mark_bytes", 256 << 10)
            .limit("low_mark_bytes", 64 << 10)
            .options("broadcast", json!({"slow": policy}));
        let setup = Setup::new().plugin(&plugin("broadcast")).config(&config);
        let server = setup.start();
        let mut slow = server.open("/broadcast");
        let mut reader = server.open("/broadcast");
        let mut sender = server.open("/broadcast");
        const MESSAGES: u32 = 400;
        for nth in 0..MESSAGES {
            let mut payload = vec![0; 64 << 10];
            payload[..4].copy_from_slice(&nth.to_be_bytes());
            let frame = Frame::binary(payload);
            sender.frames(std::slice::from_ref(&frame));
            assert!(
                reader.frame() == frame,
                "message {nth} to the one who reads"
            );
            assert!(sender.frame() == frame, "message {nth} to the sender");
        }
        let mut got = 0;
        let ended = loop {
            match slow.frame_within(std::time::Duration::from_secs(2)) {
                Some(frame) if frame.close_code().is_some() => break Some(frame),
                Some(_) => got += 1,
                None => break None,
            }
        };
        assert!(got < MESSAGES, "{policy}: the slow peer was never slow");
        match ended {
            Some(close) => assert_eq!((is_closed, close.close_code()), (true, Some(1013))),
            None => assert!(!is_closed, "{policy}"),
        }
    }
}
