//! Who the client is behind a proxy that is trusted.

use std::fs;

use serde_json::{Value, json};

use super::handlers::value;
use super::peer::HttpPeer;
use super::site::Site;
use crate::support::plugins::plugin;
use crate::support::{Config, RawPeer, Setup};

/// Peers from 127.0.0.1 are trusted, those from 127.0.0.2 are not.
fn site() -> Site {
    let setup = Setup::new()
        .plugin(&plugin("http_probe"))
        .plugin(&plugin("probe"));
    let config = Config::new()
        .key("trusted_proxies", json!(["127.0.0.1/32", "10.0.0.0/8"]))
        .key(
            "access_log",
            json!({"file": "access.log", "format": "json"}),
        )
        .mount("/probe", json!({"protocol": "http_probe"}));
    Site::start(setup, config)
}

/// The IP address of the peer that a handler is told.
fn told(peer: &mut HttpPeer, fields: &str) -> String {
    let facts = value(&peer.ask("GET", "/probe/facts", fields));
    let peer = facts["peer"].as_str().expect("it has an address");
    let (address, _port) = peer.rsplit_once(':').expect("address and port");
    address.to_owned()
}

#[test]
fn a_handler_and_the_access_log_are_told_the_client_of_each_request() {
    let mut site = site();
    let mut proxy = site.peer();
    let asked = [
        ("X-Forwarded-For: 192.0.2.1, 10.0.0.7\r\n", "192.0.2.1"),
        ("", "127.0.0.1"),
        ("Forwarded: for=\"[2001:db8::1]:80\"\r\n", "[2001:db8::1]"),
        ("X-Forwarded-For: nobody, 192.0.2.1\r\n", "192.0.2.1"),
        ("X-Forwarded-For: 192.0.2.1, nobody\r\n", "127.0.0.1"),
    ];
    for (fields, client) in asked {
        assert_eq!(told(&mut proxy, fields), client, "{fields}");
    }
    proxy.send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n");
    assert_eq!(proxy.answer().status, 200);
    // No request at all: nothing of the one before holds.
    proxy.send("GET\r\n\r\n");
    assert_eq!(proxy.answer().status, 400);
    site.signal(rustix::process::Signal::TERM);
    assert!(site.wait_exit().success());
    let text = fs::read_to_string(site.directory().join("access.log")).expect("it is written");
    let lines = text.lines().map(|line| -> Value {
        let line: Value = serde_json::from_str(line).expect("each line is an object");
        line["peer"].clone()
    });
    let peers = asked.map(|(_, client)| client.trim_matches(['[', ']']));
    let peers = peers.into_iter().chain(["192.0.2.9", "127.0.0.1"]);
    assert_eq!(lines.collect::<Vec<_>>(), peers.collect::<Vec<_>>());
}

#[test]
fn of_a_peer_that_is_not_trusted_the_fields_mean_nothing() {
    let site = site();
    let mut peer = RawPeer::connect_from([127, 0, 0, 2], site.address());
    let fields = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
    ];
    let response = peer.request("GET", "/probe/facts", &fields);
    let facts: Value = serde_json::from_str(&response.body).expect("an object");
    let told = facts["peer"].as_str().expect("it has an address");
    assert!(told.starts_with("127.0.0.2:"), "{told}");
}

#[test]
fn a_session_keeps_the_client_of_its_opening_handshake() {
    let site = site();
    let fields = [("Forwarded", "for=\"192.0.2.1:4711\", for=10.0.0.1")];
    let (mut peer, _) = RawPeer::open_with(site.address(), "/probe", &fields);
    for _ in 0..2 {
        let facts: Value = serde_json::from_str(&peer.ask("facts")).expect("an object");
        assert_eq!(facts["peer"], "192.0.2.1:4711");
    }
}
