//! A policy that takes its time with a request: what waits meanwhile, and what may happen.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::{await_waiting, config, get, release, server, settled, setup};
use crate::support::plugins::{plugin, replaced};
use crate::support::process::eventually;
use crate::support::{DEADLINE, RawPeer, Server};

/// The head of a request that its policy takes its time with.
fn head(method: &str, key: &str, more: &str) -> String {
    format!(
        "{method} /gates/tags HTTP/1.1\r\nHost: h\r\nX-Gate: gatekeeper=later\r\nX-Key: {key}\r\n{more}\r\n"
    )
}

/// A request that waits.
fn waiting(server: &Server, key: &str) -> RawPeer {
    let mark = server.log().mark();
    let mut peer = server.connect();
    peer.bytes(head("GET", key, "").as_bytes());
    await_waiting(server, mark, key);
    peer
}

#[test]
fn a_policy_says_later_what_it_thinks_of_a_request() {
    let server = server(json!(["gatekeeper"]));
    for (verdict, status) in [("allow", 200), ("refuse", 418), ("panic", 500)] {
        let mut peer = waiting(&server, verdict);
        peer.expect_nothing_yet();
        assert_eq!(release(&server, verdict, verdict), "Ok(())");
        assert_eq!(peer.response().status, status, "{verdict}");
    }
    // It may still not know.
    let mut peer = waiting(&server, "k");
    let mark = server.log().mark();
    release(&server, "k", "later");
    await_waiting(&server, mark, "k");
    release(&server, "k", "allow");
    let answer = peer.response();
    assert_eq!((answer.status, answer.field("x-late")), (200, Some("k")));
    // The fields that it has added with its last answer count, and not those that it has added with the ones before.
    let asked = answer
        .head
        .lines()
        .filter(|line| line.to_lowercase().starts_with("x-asked:"));
    assert_eq!(asked.count(), 1, "{answer:?}");
    // The connection is as good as before.
    assert_eq!(peer.request("GET", "/plain", &[]).status, 200);
}

#[test]
fn an_opening_handshake_may_wait_too() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    let key = crate::support::raw_peer::KEY;
    let fields = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    );
    let head = head("GET", "ws", &fields).replace("/gates/tags", "/told");
    peer.bytes(head.as_bytes());
    await_waiting(&server, 0, "ws");
    release(&server, "ws", "allow");
    assert_eq!(peer.response().status, 101);
    let told = peer.frame();
    assert!(told.as_text().contains("asked: gatekeeper"), "{told:?}");
}

#[test]
fn another_thread_may_know_before_the_policy_has_said_that_it_does_not() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    for _ in 0..20 {
        let fields = [("X-Gate", "gatekeeper=at-once")];
        assert_eq!(peer.request("GET", "/plain", &fields).status, 200);
    }
}

#[test]
fn requests_behind_one_that_waits_wait_too_and_are_answered_in_their_order() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    let behind = "GET /plain HTTP/1.1\r\nHost: h\r\n\r\n";
    let second = head("GET", "second", "");
    let first = head("GET", "first", "");
    peer.bytes([&first, behind, &second, behind].concat().as_bytes());
    await_waiting(&server, 0, "first");
    peer.expect_nothing_yet();
    release(&server, "first", "allow");
    assert!(peer.response().body.contains("asked"));
    assert_eq!(peer.response().body, "plain");
    await_waiting(&server, 0, "second");
    release(&server, "second", "refuse");
    assert_eq!(peer.response().status, 418);
    assert_eq!(peer.response().body, "plain");
    // None of them was asked about before its turn, nor twice.
    assert_eq!(
        server
            .logged(0, |line| line.mentions("waits: second"))
            .len(),
        1
    );
}

#[test]
fn the_body_of_a_request_that_waits_is_not_read() {
    const BODY: usize = 12 << 20;
    let server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    let head = head("POST", "body", &format!("Content-Length: {BODY}\r\n"));
    peer.bytes(head.replace("/gates/tags", "/gates/body").as_bytes());
    await_waiting(&server, 0, "body");
    let body = vec![b'x'; BODY];
    let sent = peer.bytes_until_refused(&body, Duration::from_millis(300));
    assert!(sent < BODY, "all {sent} bytes were taken");
    peer.expect_nothing_yet();
    release(&server, "body", "allow");
    peer.transport()
        .set_write_timeout(Some(DEADLINE))
        .expect("a valid time");
    peer.bytes(&body[sent..]);
    assert_eq!(peer.response().body, "the body was read");
}

#[test]
fn a_request_without_a_verdict_in_time_is_answered_503_and_the_connection_ends() {
    let config = config(json!(["gatekeeper"])).limit("verdict_ms", 100);
    let server = setup().config(&config).start();
    let mut peer = waiting(&server, "late");
    let answer = peer.response();
    assert_eq!(answer.status, 503, "{answer:?}");
    peer.expect_end();
    let told = "Err(Stale)";
    eventually("the request is gone", DEADLINE, || {
        release(&server, "late", "allow") == told
    });
    let mut asker = server.connect();
    assert_eq!(settled(&mut asker, "gatekeeper").strange, 0);
}

#[test]
fn a_request_without_a_verdict_in_time_is_one_of_its_own_vhost_and_client() {
    let policies = json!([{"policy": "gatekeeper"}]);
    let log = |name: &str| json!({"file": name, "format": "json"});
    let config = config(json!([]))
        .limit("verdict_ms", 300)
        .key("trusted_proxies", json!(["127.0.0.0/8"]))
        .key("access_log", log("default.log"))
        .key(
            "vhosts",
            json!({"one": {"hosts": ["one.example"], "policies": policies, "access_log": log("one.log"),
                "security_headers": true, "mounts": {"/": {"status": 200, "text": "one"}}}}),
        );
    let mut server = setup().config(&config).start();
    let mut peer = server.connect();
    let fields = [
        ("X-Gate", "gatekeeper=later"),
        ("X-Key", "slow"),
        ("X-Forwarded-For", "192.0.2.1"),
    ];
    let answer = peer.request("GET", "http://one.example/slow", &fields);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let lines = |name| fs::read_to_string(server.directory().join(name)).expect("it is written");
    assert_eq!(lines("default.log"), "");
    let line: serde_json::Value = serde_json::from_str(&lines("one.log")).expect("one line");
    assert_eq!(line["peer"], "192.0.2.1", "{line}");
    assert_eq!(line["target"], "http://one.example/slow", "{line}");
    assert_eq!(
        line["rule"], "policy gatekeeper: no verdict within limits.verdict_ms",
        "{line}"
    );
    let duration = line["duration_ms"].as_f64().expect("a number");
    // From when it was first looked at; the clock of deadlines is that of the turn.
    assert!(duration >= 250.0, "{line}");
}

#[test]
fn a_peer_that_leaves_meanwhile_takes_its_request_with_it() {
    let server = server(json!(["gatekeeper"]));
    let half_closed = waiting(&server, "half");
    half_closed.end_sending();
    let mut half_closed = half_closed;
    release(&server, "half", "allow");
    assert_eq!(half_closed.response().status, 200, "it still reads");
    for is_reset in [true, false] {
        let key = if is_reset { "reset" } else { "gone" };
        let peer = waiting(&server, key);
        if is_reset {
            let socket = socket2::SockRef::from(peer.transport());
            socket
                .set_linger(Some(Duration::ZERO))
                .expect("an option of TCP");
        }
        drop(peer);
        if is_reset {
            eventually("the request is gone", DEADLINE, || {
                release(&server, key, "later") == "Err(Stale)"
            });
        } else {
            release(&server, key, "allow");
        }
    }
    let mut asker = server.connect();
    assert_eq!(settled(&mut asker, "gatekeeper").strange, 0);
}

#[test]
fn a_host_that_drains_answers_the_request_that_waits() {
    let mut server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    let fields = "X-Gate: gatekeeper=soon\r\n";
    peer.bytes(format!("GET /plain HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    await_waiting(&server, 0, "soon");
    server.signal(Signal::TERM);
    let answer = peer.response();
    assert_eq!((answer.status, &*answer.body), (200, "plain"));
    assert_eq!(answer.field("connection"), Some("close"));
    peer.expect_end();
    assert!(server.wait_exit().success());
}

#[test]
fn a_request_that_waits_is_judged_by_the_plugin_that_took_the_place_of_its_policy() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = waiting(&server, "kept");
    let mark = server.log().mark();
    let bytes = fs::read(plugin("gatekeeper")).expect("a built plugin");
    let next = replaced(
        &bytes,
        b"gatekeeper-version-00000000",
        b"gatekeeper-version-00000002",
    );
    let file = server.directory().join("next.so");
    fs::write(&file, next).expect("our own directory");
    server.drop_in(&file, "libgatekeeper.so");
    // It is asked without a word of the old one.
    await_waiting(&server, mark, "kept");
    eventually("the new one answers", DEADLINE, || {
        get(&server, "/gates/version", &[]).body == "00000002"
    });
    assert_eq!(release(&server, "kept", "allow"), "Ok(())");
    let answer = peer.response();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("x-asked"), Some("gatekeeper 00000002"));
}

#[test]
fn a_request_that_waits_is_over_when_nothing_is_served_by_its_connection_any_more() {
    let inside = json!({"inside": {"policies": ["gatekeeper"]}});
    let leads = json!({"address": "127.0.0.1:0", "vhosts": ["inside"]});
    let before = config(json!([]))
        .key("listen", json!(["127.0.0.1:0", leads]))
        .key("vhosts", inside);
    let after = config(json!([])).key("listen", json!(["127.0.0.1:0"]));
    let server = setup().listens_by_config(2).config(&before).start();
    let mut peer = RawPeer::connect(server.addresses()[1]);
    peer.bytes(head("GET", "left", "").as_bytes());
    await_waiting(&server, 0, "left");
    fs::write(server.config_file(), after.text()).expect("our own file");
    server.signal(Signal::HUP);
    assert_eq!(peer.response().status, 421);
    // The connection stays, and keeps nothing of it.
    assert_eq!(release(&server, "left", "allow"), "Err(Stale)");
    assert_eq!(peer.request("GET", "/", &[]).status, 421);
}

#[test]
fn a_request_that_waits_is_answered_when_its_policy_is_asked_no_longer() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = waiting(&server, "freed");
    fs::write(server.config_file(), config(json!([])).text()).expect("our own file");
    server.signal(Signal::HUP);
    assert_eq!(peer.response().status, 200);
}
