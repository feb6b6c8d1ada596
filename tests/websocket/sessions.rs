//! What a plugin can do with its sessions, seen by their peers.

use serde_json::{Value, json};

use crate::support::frame::PONG;
use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::raw_peer::{KEY, RawPeer};
use crate::support::{Config, DEADLINE, Frame, Server, Setup};

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
fn seed_1_17_timers_come_in_the_order_of_their_time_with_their_ids() {
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
fn seed_5_12_seed_6_9_a_notification_reaches_each_session_of_the_protocol() {
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
fn seed_6_10_for_each_visits_each_session_once_through_its_handle() {
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
fn seed_6_8_all_sessions_can_be_asked_whether_they_are_writable() {
    let server = Server::with([&plugin("probe")]);
    let mut peers: [_; 3] = sessions(&server);
    peers[0].text("writable-all");
    for peer in &mut peers {
        let told = peer.frame().as_text();
        assert!(told.starts_with("writable"), "{told}");
    }
}

#[test]
fn seed_6_15_another_thread_can_send_through_a_handle() {
    let server = Server::with([&plugin("probe")]);
    let [mut peer] = sessions(&server);
    peer.text("from-thread elsewhere");
    assert_eq!(peer.frame(), Frame::text("elsewhere"));
}

#[test]
fn seed_2_8_seed_6_15_a_handle_of_another_session_sends_and_closes_and_is_stale_when_that_has_ended()
 {
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
fn seed_6_15_a_session_that_took_the_place_of_another_is_not_reached_by_its_handle() {
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

#[test]
fn seed_5_14_each_event_of_a_session_has_a_function_of_its_own() {
    let server = Server::with([&plugin("probe")]);
    let [mut peer] = sessions(&server);
    peer.text("timer 1 0");
    assert_eq!(peer.frame(), Frame::text("timer 1"));
    peer.text("notify-all news");
    assert_eq!(peer.frame(), Frame::text("notified news"));
    peer.frames(&[Frame::new(PONG, "here")]);
    assert_eq!(peer.frame(), Frame::text("pong here"));
    peer.text("writable-all");
    let told = peer.frame().as_text();
    assert!(told.starts_with("writable, "), "{told}");
    peer.close();
    let mut observer = server.open("/probe?observer");
    eventually("the close is told", DEADLINE, || {
        observer.ask("closes").contains("\"code\":1000")
    });
}

#[test]
fn seed_5_14_a_protocol_need_not_have_any_of_them() {
    let server = Server::with([&plugin("two_protocols")]);
    // It has one for messages only.
    let mut peer = server.open("/first");
    peer.frames(&[Frame::new(PONG, "unasked")]);
    assert_eq!(peer.ask("who?"), "first 11");
    peer.close();
    assert_eq!(server.open("/first").ask("who?"), "first 11");
}

#[test]
fn seed_6_2_a_message_leaves_as_the_kind_that_it_was_sent_as() {
    let server = Server::with([&plugin("probe")]);
    let [mut peer] = sessions(&server);
    peer.text("send 5");
    assert_eq!(peer.frame(), Frame::binary("yyyyy"));
    peer.text("note");
    assert_eq!(peer.frame(), Frame::text("Queued"));
}

#[test]
fn seed_9_3_what_a_protocol_does_to_all_its_sessions_concerns_no_other_protocol() {
    let server = Server::with([&plugin("probe"), &plugin("two_protocols"), &echo()]);
    let [mut one, mut other] = sessions(&server);
    let mut strangers = ["/first", "/second", "/echo"].map(|target| server.open(target));
    for peer in &mut strangers {
        peer.expect_quiet();
    }
    assert_eq!(one.ask("count"), "2");
    for command in ["each hello", "broadcast hello", "notify-all hello"] {
        one.text(command);
        for peer in [&mut one, &mut other] {
            let told = peer.frame().as_text();
            assert!(told.ends_with("hello"), "{told}");
        }
    }
    for peer in &mut strangers {
        peer.expect_quiet();
    }
}

#[test]
fn seed_9_6_a_session_knows_its_protocol_and_its_vhost() {
    let vhost = json!({"hosts": ["other.example"], "protocols": {"probe": {}}});
    let config = Config::new().key("vhosts", json!({"other": vhost}));
    let setup = Setup::new().plugin(&plugin("probe")).config(&config);
    let server = setup.start();
    for (host, vhost) in [("localhost", "default"), ("other.example", "other")] {
        let mut peer = server.connect();
        let head = format!(
            "GET /probe HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        peer.bytes(head.as_bytes());
        assert_eq!(peer.response().status, 101, "{host}");
        let facts: Value = serde_json::from_str(&peer.ask("facts")).expect("JSON");
        assert_eq!(facts["protocol"], "probe", "{facts}");
        assert_eq!(facts["vhost"], vhost, "{facts}");
    }
}
