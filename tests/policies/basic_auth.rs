//! `plugins/basic-auth` in a running host.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{config, get, open_told, setup};
use crate::support::plugins::plugin;
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

/// As `htpasswd -nbBC 4` writes it for `ada` with `lovelace`, and for `bob` with `builder`.
const ADA: &str = "ada:$2y$04$.uKB.uKB.uKB.uKB.uKB.umN4heNw52Eli1N0RAW9Nt..Wkk8LLrS\n";
const BOB: &str = "bob:$2y$04$AOiHAOiHAOiHAOiHAOiHAORpgTkAv7omeAmxh887fsxGqUxHr43q2\n";

/// `ada:lovelace`, `ada:byron`, and `bob:builder` as a client sends them.
const RIGHT: (&str, &str) = ("Authorization", "Basic YWRhOmxvdmVsYWNl");
const WRONG: (&str, &str) = ("Authorization", "Basic YWRhOmJ5cm9u");
const BOBS: (&str, &str) = ("Authorization", "Basic Ym9iOmJ1aWxkZXI=");

fn guarded(options: Value) -> (Setup, Config) {
    let setup = setup().plugin(&plugin("basic_auth"));
    let file = setup.plugin_directory().with_file_name("htpasswd");
    fs::write(&file, ADA).expect("our own directory");
    let mut all = json!({"file": file, "realm": "the lab"});
    for (key, value) in options.as_object().expect("options") {
        all[key] = value.clone();
    }
    let config = config(json!([{"policy": "basic-auth", "options": all}]));
    (setup, config)
}

fn start() -> Server {
    let (setup, config) = guarded(json!({}));
    setup.config(&config).start()
}

#[test]
fn a_request_without_the_right_password_is_asked_for_it() {
    let server = start();
    for fields in [
        &[][..],
        &[WRONG],
        &[BOBS],
        &[("Authorization", "Bearer abc")],
    ] {
        let refused = get(&server, "/plain", fields);
        assert_eq!(refused.status, 401, "{fields:?}");
        let challenge = refused.field("www-authenticate");
        assert_eq!(
            challenge,
            Some("Basic realm=\"the lab\", charset=\"UTF-8\"")
        );
    }
    let mut peer = server.connect();
    for _ in 0..3 {
        let told = peer.request("GET", "/gates/tags", &[RIGHT]);
        assert_eq!((told.status, &*told.body), (200, "user: ada\n"));
    }
    // The word of one request is no word of the next one.
    assert_eq!(peer.request("GET", "/gates/tags", &[]).status, 401);
}

#[test]
fn a_websocket_is_opened_by_who_has_the_password_and_knows_who_that_is() {
    let server = start();
    for fields in [&[][..], &[WRONG]] {
        let refused = server.connect().handshake("/told", fields);
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(refused.field("www-authenticate").is_some());
    }
    let (mut session, told) = open_told(&server, &[RIGHT]);
    assert_eq!(told, "user: ada\n");
    session.text("hello");
    assert_eq!(session.frame().as_text(), "hello");
}

#[test]
fn a_changed_file_is_used_within_seconds_and_a_broken_one_is_told() {
    let server = start();
    let file = server.directory().join("htpasswd");
    assert_eq!(get(&server, "/plain", &[RIGHT]).status, 200);
    fs::write(&file, BOB).expect("our own file");
    eventually("the new file is used", DEADLINE, || {
        get(&server, "/plain", &[BOBS]).status == 200
    });
    assert_eq!(get(&server, "/plain", &[RIGHT]).status, 401);
    let mark = server.log().mark();
    fs::write(&file, "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").expect("our own file");
    let told = server.await_log(mark, |line| line.mentions("htpasswd -B"));
    assert!(told.is_error());
    assert_eq!(get(&server, "/plain", &[BOBS]).status, 200);
}

#[test]
fn a_file_that_cannot_be_used_closes_the_vhost_and_is_told() {
    let (setup, config) = guarded(json!({}));
    let file = setup.plugin_directory().with_file_name("htpasswd");
    fs::write(file, "ada:lovelace\n").expect("our own directory");
    let server = setup.config(&config).start();
    let told = server.await_log(0, |line| line.mentions("line 1: `ada`"));
    assert!(told.mentions("plain"));
    assert_eq!(get(&server, "/plain", &[RIGHT]).status, 503);
}

#[test]
fn a_password_is_not_asked_for_over_plain_http_from_elsewhere() {
    let (setup, config) = guarded(json!({}));
    // By this header a trusted proxy speaks for others; without trust nobody does.
    let config = config.key("trusted_proxies", json!(["127.0.0.9/32"]));
    let server = setup.config(&config).start();
    let mut proxy = RawPeer::connect_from([127, 0, 0, 9], server.address());
    let fields = [("X-Forwarded-For", "192.0.2.1"), RIGHT];
    assert_eq!(proxy.request("GET", "/plain", &fields).status, 200);
    let mut other = RawPeer::connect_from([127, 0, 0, 2], server.address());
    assert_eq!(other.request("GET", "/plain", &[RIGHT]).status, 200);
}

#[test]
fn others_are_served_while_passwords_are_compared_and_the_host_stops_meanwhile() {
    let (setup, config) = guarded(json!({"threads": 1}));
    let file = setup.plugin_directory().with_file_name("htpasswd");
    // Dearer by 2^8: the comparison takes long enough for others to come meanwhile.
    let dear = ADA.replace("$2y$04$", "$2y$12$");
    fs::write(file, [&dear, BOB].concat()).expect("our own directory");
    let mut server = setup.config(&config).threads(1).start();
    let mut session = RawPeer::open_with(server.address(), "/echo", &[BOBS]).0;
    let mut slow = server.connect();
    slow.bytes(
        format!(
            "GET /plain HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\n\r\n",
            RIGHT.1
        )
        .as_bytes(),
    );
    session.text("meanwhile");
    assert_eq!(session.frame().as_text(), "meanwhile");
    slow.expect_nothing_yet();
    server.signal(Signal::TERM);
    session.expect_close(1001);
    drop(session);
    // Its hash was changed, so the password is wrong now.
    assert_eq!(slow.response().status, 401);
    assert!(server.wait_exit().success());
}
