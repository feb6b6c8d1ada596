//! What a plugin can do with its sessions, seen by their peers.

use serde_json::Value;

use crate::support::plugins::plugin;
use crate::support::process::eventually;
use crate::support::raw_peer::RawPeer;
use crate::support::{DEADLINE, Frame, Server};

fn sessions<const N: usize>(server: &Server) -> [RawPeer; N] {
    let mut peers = std::array::from_fn(|_| server.open("/probe"));
    for peer in &mut peers {
        assert_eq!(peer.ask("note"), "");
    }
    peers
}

#[test]
fn the_facts_of_a_session_are_those_of_its_handshake() {
    let server = Server::with([&plugin("probe")]);
    let offer = [("Sec-WebSocket-Protocol", "probe")];
    let (mut peer, _) = RawPeer::open_with(server.address(), "/probe?a=1&b=%20", &offer);
    let local = peer.transport().local_addr().expect("connected");
    let facts: Value = serde_json::from_str(&peer.ask("facts")).expect("JSON");
    assert_eq!(facts["path"], "/probe", "{facts}");
    assert_eq!(facts["query"], "a=1&b=%20", "{facts}");
    assert_eq!(facts["peer"], local.to_string(), "{facts}");
    assert_eq!(facts["subprotocol"], "probe", "{facts}");
    assert_eq!(facts["protocol_id"], 7, "{facts}");
    assert_eq!(facts["role"], "Server", "{facts}");
    assert_eq!(facts["transport"], "Tcp", "{facts}");
    assert_eq!(facts["encrypted"], false, "{facts}");

    let other: Value = serde_json::from_str(&server.open("/probe").ask("facts")).expect("JSON");
    assert_eq!(other["query"], Value::Null, "{other}");
    assert_eq!(other["subprotocol"], Value::Null, "{other}");
    assert_ne!(other["id"], facts["id"]);
}

#[test]
fn timers_come_in_the_order_of_their_time_with_their_ids() {
    let server = Server::with([&plugin("probe")]);
    let [mut peer] = sessions(&server);
    for command in ["timer 3 300", "timer 1 20", "timer 2 150", "timer 4 100"] {
        peer.text(command);
    }
    assert_eq!(peer.ask("cancel 4"), "cancelled");
    for id in 1..=3 {
        assert_eq!(peer.frame(), Frame::text(&format!("timer {id}")));
    }
    peer.text("timer 5 60000");
    peer.text("timer 5 10");
    assert_eq!(peer.frame(), Frame::text("timer 5"));
}

#[test]
fn a_notification_reaches_each_session_of_the_protocol() {
    let server = Server::with([&plugin("probe")]);
    let mut peers: [_; 8] = sessions(&server);
    peers[0].text("notify-all news");
    for peer in &mut peers {
        assert_eq!(peer.frame(), Frame::text("notified news"));
    }
}

#[test]
fn a_broadcast_reaches_each_session_in_the_order_of_its_sender() {
    let server = Server::with([&plugin("probe")]);
    let mut peers: [_; 8] = sessions(&server);
    for nth in 0..100 {
        peers[0].text(&format!("broadcast {nth}"));
    }
    for peer in &mut peers {
        for nth in 0..100 {
            assert_eq!(peer.frame(), Frame::text(&nth.to_string()));
        }
    }
}

#[test]
fn for_each_visits_each_session_once_through_its_handle() {
    let server = Server::with([&plugin("probe")]);
    let mut peers: [_; 5] = sessions(&server);
    assert_eq!(peers[0].ask("count"), "5");
    peers[0].text("each hello");
    for peer in &mut peers {
        assert_eq!(peer.frame(), Frame::text("hello"));
        peer.expect_quiet();
    }
}

#[test]
fn all_sessions_can_be_asked_whether_they_are_writable() {
    let server = Server::with([&plugin("probe")]);
    let mut peers: [_; 3] = sessions(&server);
    peers[0].text("writable-all");
    for peer in &mut peers {
        let told = peer.frame().as_text();
        assert!(told.starts_with("writable"), "{told}");
    }
}

#[test]
fn another_thread_can_send_through_a_handle() {
    let server = Server::with([&plugin("probe")]);
    let [mut peer] = sessions(&server);
    peer.text("from-thread elsewhere");
    assert_eq!(peer.frame(), Frame::text("elsewhere"));
}

#[test]
fn a_handle_of_another_session_sends_and_closes_and_is_stale_when_that_has_ended() {
    let server = Server::with([&plugin("probe")]);
    let [mut one, mut other] = sessions(&server);
    assert_eq!(one.ask("remember"), "remembered");
    assert_eq!(other.ask("to-remembered hello"), "Some(Ok(()))");
    assert_eq!(one.frame(), Frame::text("hello"));
    assert_eq!(other.ask("close-remembered bye"), "Some(Ok(()))");
    assert_eq!(one.expect_close(4001), "bye");
    one.frames(&[Frame::close(4001, "")]);
    one.expect_end();
    eventually("the handle is stale", DEADLINE, || {
        other.ask("to-remembered hello") == "Some(Err(Stale))"
    });
}

#[test]
fn a_session_that_took_the_place_of_another_is_not_reached_by_its_handle() {
    let server = Server::with([&plugin("probe")]);
    let [mut one, mut observer] = sessions(&server);
    assert_eq!(one.ask("remember"), "remembered");
    one.close();
    eventually("the session has ended", DEADLINE, || {
        observer.ask("count") == "1"
    });
    let mut successors: [_; 4] = sessions(&server);
    assert_eq!(observer.ask("to-remembered hello"), "Some(Err(Stale))");
    for peer in &mut successors {
        peer.expect_quiet();
    }
}
