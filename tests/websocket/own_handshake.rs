//! What a protocol says of its own opening handshakes, and what its sessions know of them.

use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::process::eventually;
use crate::support::raw_peer::{KEY, Response};
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

fn server() -> Server {
    Server::with([&plugin("doorkeeper"), &echo()])
}

/// The answer to a handshake with these orders.
fn answer(server: &Server, orders: &str, fields: &[(&str, &str)]) -> Response {
    let mut peer = server.connect();
    peer.handshake(&format!("/doorkeeper?{orders}"), fields)
}

/// A session that these orders let in.
fn open(server: &Server, orders: &str) -> RawPeer {
    server.open(&format!("/doorkeeper?{orders}"))
}

/// How many tickets live, asked of the plugin.
fn tickets(server: &Server) -> String {
    open(server, "").ask("tickets")
}

#[test]
fn seed_5_3_a_protocol_refuses_its_own_handshake_with_status_fields_and_content() {
    let server = server();
    let refused = answer(&server, "field=1&refuse=503", &[]);
    assert_eq!((refused.status, &*refused.body), (503, "not today"));
    assert_eq!(refused.field("retry-after"), Some("7"));
    assert_eq!(refused.field("x-door"), Some("1"));
    let media_type = "text/plain; charset=utf-8";
    assert_eq!(refused.field("content-type"), Some(media_type));
    assert_eq!(refused.field("sec-websocket-accept"), None);
    let elsewhere = answer(&server, "go=https://other.example/door", &[]);
    let location = Some("https://other.example/door");
    assert_eq!(
        (elsewhere.status, elsewhere.field("location")),
        (302, location)
    );
    for status in [300, 304, 401, 599] {
        let bare = answer(&server, &format!("bare={status}"), &[]);
        assert_eq!((bare.status, &*bare.body), (status, ""), "{bare:?}");
    }
    assert_eq!(answer(&server, "", &[]).status, 101);
}

#[test]
fn who_was_refused_may_ask_again_on_the_same_connection() {
    let server = server();
    let mut peer = server.connect();
    for orders in ["refuse=401", "bare=304", "fail", "refuse=403"] {
        let refused = peer.handshake(&format!("/doorkeeper?keep=a&{orders}"), &[]);
        assert!(refused.status != 101, "{refused:?}");
    }
    assert_eq!(peer.handshake("/doorkeeper?keep=b", &[]).status, 101);
    assert_eq!(peer.ask("ticket"), "Some(\"b\")");
    assert_eq!(peer.ask("tickets"), "1");
}

#[test]
fn seed_5_3_what_was_found_out_is_there_for_the_session() {
    let server = server();
    let mut peer = open(&server, "keep=first&keep=guest%201");
    assert_eq!(peer.ask("ticket"), r#"Some("guest%201")"#);
    assert_eq!(peer.ask("late"), "false", "it is given once");
    let mut other = open(&server, "");
    assert_eq!(other.ask("ticket"), "None");
}

#[test]
fn seed_4_18_a_session_reads_the_fields_that_the_manifest_names_for_its_life_and_no_others() {
    let server = server();
    let fields = [
        ("cookie", "a=1"),
        ("X-Team", "web"),
        ("User-Agent", "test"),
        ("Cookie", "b=2; c=\u{e9}"),
    ];
    let target = "/doorkeeper";
    let (mut peer, _) = RawPeer::open_with(server.address(), target, &fields);
    for _ in 0..2 {
        assert_eq!(peer.ask("COOKIE"), r#"["a=1", "b=2; c=é"]"#);
        assert_eq!(peer.ask("x-team"), r#"["web"]"#);
        assert_eq!(peer.ask("User-Agent"), "[]");
        assert_eq!(peer.ask("Sec-WebSocket-Key"), "[]");
    }
    peer.close();
    assert_eq!(open(&server, "").ask("Cookie"), "[]");
}

#[test]
fn seed_4_5_an_established_session_knows_path_and_query_of_its_request() {
    let config = Config::new().key("default_protocol", "doorkeeper");
    let setup = Setup::new().plugin(&plugin("doorkeeper"));
    let server = setup.config(&config).start();
    for (target, wanted) in [
        ("/doorkeeper", "/doorkeeper None"),
        ("/doorkeeper?", "/doorkeeper Some(\"\")"),
        ("/a%20b/c?d=%2F&e?f", "/a%20b/c Some(\"d=%2F&e?f\")"),
        ("ws://else.where:1/x?y", "/x Some(\"y\")"),
    ] {
        let mut peer = server.open(target);
        assert_eq!(peer.ask("target"), wanted);
        assert_eq!(peer.ask("target"), wanted, "and goes on to");
    }
}

#[test]
fn a_protocol_chooses_among_the_subprotocols_on_offer_and_the_session_knows_which() {
    let server = Server::with([&plugin("doorkeeper"), &permessage_deflate()]);
    let offers = [
        ("Sec-WebSocket-Protocol", "v2, doorkeeper"),
        ("Sec-WebSocket-Protocol", "v1, plain"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    for (orders, agreed) in [
        ("", Some("doorkeeper")),
        ("choose=v1", Some("v1")),
        ("choose=v1&choose=doorkeeper", Some("doorkeeper")),
        ("choose=v1&none", None),
        ("choose=plain", Some("plain")),
    ] {
        let target = format!("/doorkeeper?{orders}");
        let (mut peer, answer) = RawPeer::open_with(server.address(), &target, &offers);
        assert_eq!(answer.field("sec-websocket-protocol"), agreed, "{orders}");
        assert_eq!(peer.ask("subprotocol"), format!("{agreed:?}"), "{orders}");
        // Extensions are agreed on behind that, and their hook sees what was chosen.
        let compressed = answer.field("sec-websocket-extensions").is_some();
        assert_eq!(compressed, agreed != Some("plain"), "{orders}");
    }
    let refused = answer(&server, "choose=v3", &offers);
    assert_eq!((refused.status, &*refused.body), (400, "v3 is not offered"));
}

#[test]
fn fields_are_added_to_the_answer_of_an_accepted_handshake_and_cannot_forge_others() {
    let server = server();
    let accepted = answer(&server, "forge&field=1&field=2", &[]);
    assert_eq!(accepted.status, 101);
    let added = accepted.head.matches("X-Door: ").count();
    assert_eq!((added, accepted.field("x-door")), (2, Some("1")));
    assert!(
        !accepted.head.to_lowercase().contains("set-cookie"),
        "{accepted:?}"
    );
    assert_eq!(accepted.field("sec-websocket-protocol"), None);
}

#[test]
fn more_fields_than_the_limit_allows_are_not_added() {
    let config = Config::new().limit("answer_fields_bytes", 40);
    let setup = Setup::new().plugin(&plugin("doorkeeper"));
    let server = setup.config(&config).start();
    // A line of 40 bytes, then one of 41.
    let most = "x".repeat(30);
    assert_eq!(answer(&server, &format!("field={most}"), &[]).status, 101);
    let mark = server.log().mark();
    assert_eq!(answer(&server, &format!("field={most}x"), &[]).status, 500);
    server.await_log(mark, |line| {
        line.is_error() && line.mentions("limits.answer_fields_bytes")
    });
}

#[test]
fn a_handshake_tells_its_protocol_all_that_was_asked() {
    let server = server();
    let fields = [
        ("Sec-WebSocket-Protocol", "v2,doorkeeper"),
        ("X-Team", "a"),
        ("x-team", "bcd"),
    ];
    let told = answer(&server, "facts", &fields);
    let host = server.address();
    let wanted = format!(
        "default doorkeeper /doorkeeper?facts /doorkeeper Some(\"facts\") {host} Some(127.0.0.1) false \
         [\"v2\", \"doorkeeper\"] Some(\"doorkeeper\") [\"Host\", \"Upgrade\", \"Connection\", \
         \"Sec-WebSocket-Key\", \"Sec-WebSocket-Version\", \"Sec-WebSocket-Protocol\", \"X-Team\", \"x-team\"] \
         [1, 3] Some(\"{host}\")"
    );
    assert_eq!((told.status, told.body), (418, wanted));
}

#[test]
fn a_protocol_that_fails_or_panics_at_the_door_answers_500_and_is_logged() {
    let server = server();
    for (orders, wanted) in [
        ("panic", "told to panic at the door"),
        ("fail", "the list of guests is lost"),
        ("bare=200", "use 300 to 599"),
        ("bare=101", "use 300 to 599"),
        ("refuse=304", "no content with 304"),
    ] {
        let mark = server.log().mark();
        let failed = answer(&server, orders, &[]);
        assert_eq!(
            (failed.status, failed.field("x-door")),
            (500, None),
            "{orders}"
        );
        assert!(
            !failed.body.contains(wanted),
            "that is for the log: {failed:?}"
        );
        let line = server.await_log(mark, |line| line.is_error() && line.mentions(wanted));
        assert_eq!(line.text("plugin"), "fixture-doorkeeper");
        assert_eq!(line.text("hook"), "handshake");
    }
    assert_eq!(tickets(&server), "0");
    server.assert_echoes();
}

#[test]
fn what_was_learnt_is_freed_once_whatever_becomes_of_the_handshake() {
    let server = server();
    let mut holder = open(&server, "keep=a");
    assert_eq!(tickets(&server), "1", "held by the session");
    let mut late = open(&server, "keep=b&late");
    assert_eq!(late.ask("late"), "false", "too late to take it");
    assert_eq!(tickets(&server), "1");
    let mut shut = open(&server, "keep=c&shut");
    shut.expect_close(1011);
    assert_eq!(tickets(&server), "1");
    for orders in ["keep=d&refuse=403", "keep=e&fail", "keep=f&panic"] {
        assert_ne!(answer(&server, orders, &[]).status, 101, "{orders}");
        assert_eq!(tickets(&server), "1", "{orders}");
    }
    // Of those who leave before they are answered.
    for orders in ["keep=g", "keep=h&late"] {
        let mut hasty = server.connect();
        let request = format!(
            "GET /doorkeeper?{orders} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        hasty.bytes(request.as_bytes());
        drop(hasty);
    }
    holder.ask("ticket");
    holder.close();
    eventually("all are freed", DEADLINE, || tickets(&server) == "0");
}

#[test]
fn a_drop_of_what_was_learnt_that_panics_is_logged_and_ends_nobody() {
    let server = server();
    let mark = server.log().mark();
    let mut peer = open(&server, "keep=bomb&late");
    assert_eq!(peer.ask("ticket"), "None");
    let line = server.await_log(mark, |line| {
        line.is_error() && line.mentions("a ticket was dropped")
    });
    assert_eq!(line.text("hook"), "forget");
    assert_eq!(answer(&server, "keep=bomb&refuse=403", &[]).status, 500);
    assert_eq!(tickets(&server), "0");
}

#[test]
fn a_page_of_another_origin_is_refused_before_the_protocol_is_asked() {
    let server = server();
    let fields = [("Origin", "https://evil.example")];
    let refused = answer(&server, "refuse=503", &fields);
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("allowed_origins"), "{refused:?}");
}

#[test]
fn handshakes_that_were_refused_hold_no_version_back() {
    let server = server();
    let begin = server.log().mark();
    for _ in 0..8 {
        for orders in ["refuse=403", "panic"] {
            assert_ne!(answer(&server, orders, &[]).status, 101);
        }
    }
    let count = |text: &str| server.logged(begin, |line| line.mentions(text)).len();
    server.await_log(begin, |line| line.mentions("a desk is set up"));
    assert_eq!(count("a desk is cleared"), 0);
    let reloaded = server.command(["plugin", "reload", "fixture-doorkeeper"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    eventually("no desk of the old version is left", DEADLINE, || {
        count("a desk is cleared") == count("a desk is set up")
    });
    let desks = count("a desk is set up");
    assert!(desks <= 2, "one per service thread: {desks}");
    assert_eq!(open(&server, "").ask("ticket"), "None");
}
