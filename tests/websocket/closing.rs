//! The closing handshake and the other ends of a session.

use std::time::Duration;

use crate::support::frame::CLOSE;
use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::{DEADLINE, Frame, RawPeer, Server};

/// What the plugin was told of how the session at `/probe?NAME` ended.
fn closes(server: &Server, name: &str) -> Vec<serde_json::Value> {
    let all = server.open("/probe?observer").ask("closes");
    let all: Vec<serde_json::Value> = serde_json::from_str(&all).expect("JSON");
    all.into_iter()
        .filter(|close| close["query"] == name)
        .collect()
}

/// The one close that the plugin was told.
fn the_close(server: &Server, name: &str) -> serde_json::Value {
    eventually("the close is told", DEADLINE, || {
        !closes(server, name).is_empty()
    });
    let mut closes = closes(server, name);
    assert_eq!(closes.len(), 1, "{closes:?}");
    closes.remove(0)
}

fn session(server: &Server, name: &str) -> RawPeer {
    server.open(&format!("/probe?{name}"))
}

#[test]
fn a_close_is_answered_with_its_code_and_the_server_ends_the_connection_within_a_second() {
    let server = Server::with([&echo()]);
    for code in [1000, 1001, 1003, 1007, 1011, 3000, 4999] {
        let mut peer = server.open("/echo");
        peer.frames(&[Frame::close(code, "why")]);
        peer.expect_close(code);
        let took = peer.expect_end();
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[Frame::new(CLOSE, "")]);
    assert_eq!(peer.frame(), Frame::new(CLOSE, ""));
    peer.expect_end();
}

#[test]
fn close_frames_against_the_protocol_are_answered_with_1002() {
    let server = Server::with([&echo()]);
    let codes = [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ];
    let mut frames: Vec<Frame> = codes.map(|code| Frame::close(code, "")).into();
    frames.push(Frame::new(CLOSE, [3]));
    frames.push(Frame::new(CLOSE, vec![3; 126]));
    for frame in frames {
        let mut peer = server.open("/echo");
        peer.frames(std::slice::from_ref(&frame));
        let answer = peer.frame();
        assert_eq!(answer.close_code(), Some(1002), "{frame:?}");
    }
}

#[test]
fn a_close_reason_that_is_not_utf8_fails_with_1007() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[Frame::new(CLOSE, b"\x03\xe8\xff")]);
    peer.expect_close(1007);
}

#[test]
fn messages_before_a_close_are_answered_and_those_behind_it_are_not() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[
        Frame::text("before"),
        Frame::close(1000, ""),
        Frame::text("behind"),
    ]);
    assert_eq!(peer.frame(), Frame::text("before"));
    peer.expect_close(1000);
    peer.expect_end();
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_left_within_the_close_deadline() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "mute");
    peer.text("close 4000 enough");
    assert_eq!(peer.expect_close(4000), "enough");
    let took = peer.expect_end();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let close = the_close(&server, "mute");
    assert_eq!(close["by"], "Protocol", "{close}");
    assert_eq!(close["clean"], false, "{close}");
}

#[test]
fn seed_5_9_a_close_by_the_peer_is_told_exactly_once_with_code_and_reason() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "good");
    peer.frames(&[Frame::close(4321, "all said"), Frame::close(1000, "again")]);
    peer.expect_close(4321);
    peer.expect_end_somehow();
    let close = the_close(&server, "good");
    assert_eq!(close["by"], "Peer", "{close}");
    assert_eq!(close["code"], 4321, "{close}");
    assert_eq!(close["reason"], "all said", "{close}");
    assert_eq!(close["clean"], true, "{close}");
}

#[test]
fn seed_5_9_seed_5_10_a_close_by_the_plugin_is_told_exactly_once_and_clean_when_it_was_answered() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "answered");
    peer.text("close 4000 enough");
    assert_eq!(peer.expect_close(4000), "enough");
    peer.frames(&[Frame::close(4000, "")]);
    peer.expect_end();
    let close = the_close(&server, "answered");
    assert_eq!(close["by"], "Protocol", "{close}");
    assert_eq!(close["code"], 4000, "{close}");
    assert_eq!(close["clean"], true, "{close}");
    assert_eq!(session(&server, "observer").ask("note"), "Closed");
}

#[test]
fn seed_5_9_a_peer_that_goes_away_is_told_as_1006() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "gone");
    assert_eq!(peer.ask("count"), "1");
    drop(peer);
    let close = the_close(&server, "gone");
    assert_eq!(close["code"], 1006, "{close}");
    assert_eq!(close["by"], "Peer", "{close}");
    assert_eq!(close["clean"], false, "{close}");
}

#[test]
fn seed_5_9_a_failed_connection_is_told_as_closed_by_the_host() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "wrong");
    peer.frames(&[Frame::new(3, "")]);
    peer.expect_close(1002);
    drop(peer);
    let close = the_close(&server, "wrong");
    assert_eq!(close["by"], "Host", "{close}");
    assert_eq!(close["code"], 1002, "{close}");
}

#[test]
fn seed_2_8_hanging_up_ends_the_transport_without_a_close_frame() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "hung");
    peer.text("hang-up");
    assert!(peer.expect_end_somehow().is_empty());
    let close = the_close(&server, "hung");
    assert_eq!(close["by"], "Protocol", "{close}");
}

#[test]
fn seed_1_19_a_deadline_closes_with_its_reason_and_tells_it() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "late");
    peer.text("deadline 100 nobody logged in");
    assert_eq!(peer.expect_close(1008), "nobody logged in");
    drop(peer);
    let close = the_close(&server, "late");
    assert_eq!(close["code"], 1008, "{close}");
    assert_eq!(close["reason"], "nobody logged in", "{close}");
    assert_eq!(close["by"], "Host", "{close}");
}

#[test]
fn seed_1_19_a_deadline_that_was_taken_back_or_set_anew_does_not_close() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = session(&server, "in_time");
    peer.text("deadline 50 gone");
    peer.text("no-deadline");
    peer.text("timer 1 300");
    assert_eq!(peer.frame(), Frame::text("timer 1"));
    peer.text("deadline 50 gone");
    peer.text("deadline 60000 gone");
    peer.text("timer 2 300");
    assert_eq!(peer.frame(), Frame::text("timer 2"));
}

#[test]
fn seed_5_10_a_session_that_the_plugin_refuses_to_open_is_closed_and_the_others_stay() {
    let server = Server::with([&plugin("probe")]);
    let mut other = session(&server, "other");
    let mut refused = session(&server, "refuse");
    refused.expect_close(1011);
    assert_eq!(other.ask("count"), "1");
}
