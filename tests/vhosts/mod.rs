//! Several vhosts on one port: what leads to which, and that nothing of one shows in another.

mod listeners;

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::support::plugins::{echo, plugin};
use crate::support::raw_peer::RawPeer;
use crate::support::{Config, Server, Setup};

/// Two vhosts with names beside the default one.
fn config() -> Config {
    Config::new()
        .key("mounts", json!({"/": {"status": 200, "text": "default"}}))
        .key(
            "vhosts",
            json!({
                "one": {
                    "hosts": ["one.example", "*.one.example"],
                    "mounts": {"/": {"status": 200, "text": "one"}},
                    "protocols": {"echo": {}, "broadcast": {}, "increment": {"options": {"period_ms": 60_000}}},
                },
                "two": {
                    "hosts": ["two.example"],
                    "mounts": {"/": {"status": 200, "text": "two"}},
                    "default_protocol": "broadcast",
                    "server_header": true,
                },
                "three": {"hosts": ["three.example"]},
            }),
        )
}

fn server() -> Server {
    let files = ["broadcast", "increment"].map(plugin);
    let setup = Setup::new().plugin(&echo());
    let setup = files.iter().fold(setup, |setup, file| setup.plugin(file));
    setup.config(&config()).start()
}

fn body(server: &Server, host: &str) -> String {
    let target = format!("http://{host}/");
    server.connect().request("GET", &target, &[]).body
}

/// A WebSocket on a vhost.
fn open(server: &Server, host: &str, path: &str) -> RawPeer {
    let mut peer = server.connect();
    let answer = peer.handshake(&format!("ws://{host}{path}"), &[]);
    assert_eq!(answer.status, 101, "{host}{path}: {answer:?}");
    peer
}

#[test]
fn the_host_that_is_asked_for_leads_to_its_vhost_and_any_other_to_the_default_one() {
    let server = server();
    for (host, name) in [
        ("one.example", "one"),
        ("ONE.example:7681", "one"),
        ("x.y.one.example", "one"),
        ("two.example.", "two"),
        ("x.two.example", "default"),
        ("example", "default"),
        ("127.0.0.1", "default"),
    ] {
        assert_eq!(body(&server, host), name, "{host}");
    }
    // One connection may ask for all of them.
    let mut peer = server.connect();
    for name in ["one", "two", "one"] {
        let answer = peer.request("GET", &format!("http://{name}.example/"), &[]);
        assert_eq!(answer.body, name);
        assert_eq!(answer.field("server").is_some(), name == "two");
    }
}

#[test]
fn a_vhost_serves_the_protocols_that_it_names_and_the_default_one_serves_all() {
    let server = server();
    for (host, path, status) in [
        ("127.0.0.1", "/echo", 101),
        ("127.0.0.1", "/", 404),
        ("one.example", "/echo", 101),
        ("three.example", "/echo", 404),
        ("two.example", "/", 101),
    ] {
        let answer = server
            .connect()
            .handshake(&format!("ws://{host}{path}"), &[]);
        assert_eq!(answer.status, status, "{host}{path}: {answer:?}");
    }
}

#[test]
fn a_broadcast_stays_on_its_vhost() {
    let server = server();
    let mut default = open(&server, "127.0.0.1", "/broadcast");
    let mut one = open(&server, "one.example", "/broadcast");
    let mut another = open(&server, "a.one.example", "/broadcast");
    one.text("hello");
    for peer in [&mut one, &mut another] {
        assert_eq!(peer.frame().as_text(), "hello");
    }
    default.text("alone");
    assert_eq!(default.frame().as_text(), "alone");
    one.expect_nothing_yet();
}

#[test]
fn options_of_a_protocol_are_those_of_its_vhost() {
    let server = server();
    let mut slow = open(&server, "one.example", "/increment");
    let mut quick = open(&server, "127.0.0.1", "/increment");
    for _ in 0..5 {
        quick.frame();
    }
    // The first number comes at once or after a minute, the second one not before that.
    slow.frame_within(std::time::Duration::from_millis(1));
    slow.expect_nothing_yet();
}

#[test]
fn vhosts_come_change_and_go_while_sessions_go_on() {
    let server = server();
    let mut one = open(&server, "one.example", "/echo");
    let changed = Config::new()
        .key("mounts", json!({"/": {"status": 200, "text": "default"}}))
        .key(
            "vhosts",
            json!({
                "two": {"hosts": ["two.example"], "mounts": {"/": {"status": 200, "text": "second"}}},
                "three": {"hosts": ["three.example"], "protocols": {"echo": {}}},
            }),
        );
    fs::write(server.config_file(), changed.text()).expect("the config can be written");
    server.signal(Signal::HUP);
    server.await_log(0, |line| line.mentions("the config is applied"));
    assert_eq!(body(&server, "two.example"), "second");
    assert_eq!(body(&server, "one.example"), "default");
    one.text("still here");
    assert_eq!(one.frame().as_text(), "still here");
    let mut three = open(&server, "three.example", "/echo");
    assert_eq!(three.ask("hello"), "hello");
}
