//! Each hook of a policy: allowed, refused, and when it fails.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{config, counts, get, open_told, server, settled, setup};
use crate::support::{Frame, RawPeer, Server};

/// A connection that the policy takes for another one, by the last byte of its own address.
fn from(server: &Server, last: u8) -> RawPeer {
    RawPeer::connect_from([127, 0, 0, last], server.address())
}

#[test]
fn seed_2_4_a_policy_refuses_a_connection_by_its_address_before_a_byte_is_sent() {
    let server = server(json!(["gatekeeper"]));
    for last in [11, 12] {
        from(&server, last).expect_end();
    }
    let told = server.await_log(0, |line| line.mentions("told to panic in accept"));
    assert!(told.is_error());
    let mut other = from(&server, 2);
    assert_eq!(other.request("GET", "/plain", &[]).body, "plain");
    let counted = settled(&mut other, "gatekeeper");
    assert_eq!((counted.created, counted.strange), (3, 0));
}

#[test]
fn seed_2_5_a_policy_sets_tags_options_and_limits_of_a_new_connection() {
    let server = server(json!(["gatekeeper"]));
    // Refused there, or failed.
    for last in [13, 14] {
        from(&server, last).expect_end();
    }
    // A tag, read by a handler and by a session.
    let told = get(&server, "/gates/tags", &[]);
    assert_eq!(told.body, "via: gatekeeper\nasked: gatekeeper\n");
    let (_session, told) = open_told(&server, &[]);
    assert_eq!(told, "via: gatekeeper\nasked: gatekeeper\n");
    // Messages of ten bytes.
    let mut small = from(&server, 20);
    assert_eq!(small.handshake("/echo", &[]).status, 101);
    small.text("0123456789");
    assert_eq!(small.frame(), Frame::text("0123456789"));
    small.text("0123456789a");
    small.expect_close(1009);
    // No time for the first request.
    let took = from(&server, 21);
    assert_ends_within(took, Duration::from_secs(3));
    // Options of the socket.
    let mut set = from(&server, 22);
    assert_eq!(set.request("GET", "/plain", &[]).status, 200);
    let within = keepalive_due(&server, &set).expect("a timer of keepalive");
    assert!((61..=77).contains(&within), "{within} s");
    let mut usual = from(&server, 2);
    assert_eq!(usual.request("GET", "/plain", &[]).status, 200);
    let usual = keepalive_due(&server, &usual);
    assert!(usual.is_none_or(|within| within <= 60), "{usual:?}");
}

fn assert_ends_within(mut peer: RawPeer, within: Duration) {
    let began = std::time::Instant::now();
    peer.expect_end_somehow();
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
}

/// In how many seconds the server's kernel asks whether the peer is there; none when it does not.
fn keepalive_due(server: &Server, peer: &RawPeer) -> Option<u64> {
    let ports = [
        server.address().port(),
        peer.transport().local_addr().expect("bound").port(),
    ];
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect());
    let line: Vec<&str> = lines.find(|words: &Vec<&str>| {
        let port = |at: usize| u16::from_str_radix(words.get(at)?.rsplit(':').next()?, 16).ok();
        [port(1), port(2)] == ports.map(Some)
    })?;
    // The kind of the timer, and in how many hundredths of a second it is due.
    let (kind, due) = line.get(5)?.split_once(':')?;
    let due = u64::from_str_radix(due, 16).ok()?;
    (kind == "02").then_some(due.div_ceil(100))
}

#[test]
fn seed_2_6_a_policy_is_told_of_a_connection_before_anything_else_of_it() {
    let server = server(json!(["gatekeeper"]));
    // One that fails there is refused, and its end is told all the same.
    from(&server, 10).expect_end();
    let mut asker = server.connect();
    let counted = settled(&mut asker, "gatekeeper");
    assert_eq!((counted.created, counted.strange), (2, 0));
}

#[test]
fn seed_2_7_the_end_of_a_connection_is_told_last_even_when_that_fails() {
    let server = server(json!(["gatekeeper"]));
    let mut failing = from(&server, 16);
    assert_eq!(failing.request("GET", "/plain", &[]).status, 200);
    drop(failing);
    let told = server.await_log(0, |line| line.mentions("told to panic in destroy"));
    assert!(told.is_error());
    let (session, _) = open_told(&server, &[]);
    session.close();
    let mut asker = server.connect();
    let counted = settled(&mut asker, "gatekeeper");
    assert_eq!((counted.created, counted.strange), (3, 0));
}

#[test]
fn seed_4_14_a_policy_allows_a_request_denies_it_or_sends_it_elsewhere() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    let mut ask = |order: &str| {
        let order = format!("gatekeeper={order}");
        peer.request("GET", "/plain", &[("X-Gate", &order)])
    };
    let allowed = ask("allow");
    assert_eq!((allowed.status, &*allowed.body), (200, "plain"));
    assert_eq!(allowed.field("x-asked"), Some("gatekeeper 00000000"));
    let bare = ask("bare");
    assert_eq!(bare.status, 403);
    assert!(bare.body.contains("not allowed here"), "{bare:?}");
    let refused = ask("refuse");
    assert_eq!(
        (refused.status, &*refused.body),
        (418, "a teapot at the gate")
    );
    assert_eq!(refused.field("x-tea"), Some("green"));
    let elsewhere = ask("redirect");
    assert_eq!(elsewhere.status, 302);
    assert_eq!(elsewhere.field("location"), Some("/elsewhere"));
    let tags = ask("tags");
    let more = tags.field("x-more").unwrap_or_default();
    assert!(more.contains("limits.tags_bytes"), "{tags:?}");
    // One connection for all of that: a refusal keeps it.
    assert_eq!(ask("allow").status, 200);
}

#[test]
fn a_request_whose_policy_fails_is_answered_500_and_the_words_are_in_the_log() {
    let server = server(json!(["gatekeeper"]));
    for (order, words) in [
        ("fail", "told to fail"),
        ("panic", "told to panic in request"),
        ("nonsense", "cannot be refused with status 200"),
    ] {
        let mark = server.log().mark();
        let order = format!("gatekeeper={order}");
        let failed = get(&server, "/plain", &[("X-Gate", &order)]);
        assert_eq!(failed.status, 500, "{order}");
        assert!(!failed.body.contains("told to"), "{failed:?}");
        let told = server.await_log(mark, |line| line.mentions(words));
        assert!(told.is_error(), "{order}");
    }
    assert_eq!(get(&server, "/plain", &[]).status, 200);
}

#[test]
fn seed_5_3_a_policy_judges_opening_handshakes_of_its_vhost_before_their_protocol() {
    let setup = setup().plugin(&crate::support::plugins::plugin("doorkeeper"));
    let server = setup.config(&config(json!(["gatekeeper"]))).start();
    let ask = |target: &str, order: &str, offered: &str| {
        let mut fields = vec![("X-Gate-Handshake", order)];
        if !offered.is_empty() {
            fields.push(("Sec-WebSocket-Protocol", offered));
        }
        server.connect().handshake(target, &fields)
    };
    let refused = ask("/told", "gatekeeper=refuse", "");
    assert_eq!((refused.status, &*refused.body), (401, "who goes there?"));
    assert_eq!(refused.field("x-judged"), Some("gatekeeper"));
    assert_eq!(ask("/told", "gatekeeper=bare", "").status, 403);
    for (order, words) in [
        ("gatekeeper=fail", "told to fail"),
        ("gatekeeper=panic", "told to panic in handshake"),
    ] {
        let mark = server.log().mark();
        assert_eq!(ask("/told", order, "").status, 500);
        server.await_log(mark, |line| line.is_error() && line.mentions(words));
    }
    let chosen = ask("/told", "gatekeeper=second", "first, second");
    assert_eq!(chosen.status, 101);
    assert_eq!(chosen.field("sec-websocket-protocol"), Some("second"));
    assert_eq!(chosen.field("x-judged"), Some("gatekeeper"));
    // What it said of the request stands in the answer too.
    assert_eq!(chosen.field("x-asked"), Some("gatekeeper 00000000"));
    // The policy first, and then the protocol, which has a say of its own.
    let refused = ask("/doorkeeper?refuse=418", "gatekeeper=first", "first");
    assert!(refused.status >= 400, "{refused:?}");
    assert_eq!(refused.field("x-judged"), Some("gatekeeper"));
    // Neither is asked about what the host refuses.
    let foreign = [
        ("Origin", "http://theirs.example"),
        ("X-Gate-Handshake", "gatekeeper=refuse"),
    ];
    let foreign = server.connect().handshake("/told", &foreign);
    assert_eq!(foreign.status, 403);
    assert_eq!(foreign.field("x-judged"), None);
}

#[test]
fn a_policy_is_told_nothing_strange_when_one_connection_asks_many_times() {
    let server = server(json!(["gatekeeper"]));
    let mut peer = server.connect();
    for _ in 0..50 {
        assert_eq!(peer.request("GET", "/plain", &[]).status, 200);
    }
    let counted = counts(&mut peer, "gatekeeper");
    assert_eq!(
        (counted.created, counted.destroyed, counted.strange),
        (1, 0, 0)
    );
}
