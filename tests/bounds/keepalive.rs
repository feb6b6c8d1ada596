//! TCP keepalive, read from the very sockets of a running host.

use std::time::Duration;

use serde_json::json;
use socket2::SockRef;

use crate::support::plugins::echo;
use crate::support::{Config, RawPeer, Setup};

/// Whether a silent peer is asked at all, after how long, how far apart, and how often.
type Keepalive = (bool, Duration, Duration, u32);

/// What the host has set for a session that is open, with these keys beside the address.
fn keepalive(keys: serde_json::Value) -> Keepalive {
    let mut listen = keys;
    listen["address"] = "127.0.0.1:0".into();
    let server = Setup::new()
        .plugin(&echo())
        .listens_by_config(1)
        .config(&Config::new().key("listen", json!([listen])))
        .start();
    let peer = RawPeer::open(server.address(), "/echo");
    let own = peer.transport().local_addr().expect("it is connected");
    let socket = server.process().socket_to(own);
    let socket = SockRef::from(&socket);
    (
        socket.keepalive().expect("an option of sockets"),
        socket.tcp_keepalive_time().expect("an option of TCP"),
        socket.tcp_keepalive_interval().expect("an option of TCP"),
        socket.tcp_keepalive_retries().expect("an option of TCP"),
    )
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn seed_2_14_a_silent_peer_is_asked_when_how_far_apart_and_how_often_the_listener_says() {
    let all = json!({"keepalive_s": 33, "keepalive_interval_s": 7, "keepalive_probes": 3});
    assert_eq!(keepalive(all), (true, seconds(33), seconds(7), 3));
}

#[test]
fn seed_2_14_without_a_word_a_peer_is_given_up_after_as_long_again_as_it_was_silent() {
    assert_eq!(keepalive(json!({})), (true, seconds(60), seconds(15), 4));
    let fewer = json!({"keepalive_s": 30, "keepalive_probes": 2});
    assert_eq!(keepalive(fewer), (true, seconds(30), seconds(15), 2));
}

#[test]
fn seed_2_14_zero_turns_keepalive_off() {
    assert!(!keepalive(json!({"keepalive_s": 0})).0);
}

#[test]
fn keepalive_that_the_system_does_not_take_is_refused_before_the_start() {
    for (key, value) in [
        ("keepalive_interval_s", 0),
        ("keepalive_interval_s", 32_768),
        ("keepalive_probes", 0),
        ("keepalive_probes", 128),
    ] {
        let config = json!({"listen": [{"address": "127.0.0.1:0", key: value}]});
        let setup = Setup::new().listens_by_config(1);
        let output = setup.config_text(&config.to_string()).run();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains(&format!("`{key}` cannot be {value}")),
            "{told}"
        );
    }
}
