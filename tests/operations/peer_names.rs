//! Names of peers, which the hosts file of this machine has for 127.0.0.1.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::plugins::plugin;
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

const NAME: &str = "localhost";

/// A host that logs exchanges as JSON, with these keys.
fn server(config: Config) -> Server {
    let log = json!({"file": "access.log", "format": "json"});
    let config = config
        .key("access_log", log)
        .mount("/http", json!({"protocol": "http_probe"}));
    Setup::new()
        .plugin(&plugin("probe"))
        .plugin(&plugin("http_probe"))
        .config(&config)
        .start()
}

fn named() -> Config {
    Config::new().key("reverse_names", true)
}

fn read(text: &str) -> Value {
    let facts: Value = serde_json::from_str(text).expect("facts are an object");
    facts["peer_name"].clone()
}

/// What a session is told of its peer.
fn told(session: &mut RawPeer) -> Value {
    read(&session.ask("facts"))
}

/// What an exchange is told.
fn told_http(peer: &mut RawPeer) -> Value {
    read(&peer.request("GET", "/http/facts", &[]).body)
}

/// The names of its threads.
fn threads(server: &Server) -> Vec<String> {
    let tasks = fs::read_dir(server.process().directory().join("task")).expect("it runs");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

/// The names of peers in the access log of a host that has ended.
fn logged(mut server: Server) -> Vec<(String, Value)> {
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let text = fs::read_to_string(server.directory().join("access.log")).expect("it is written");
    let lines = text.lines().map(|line| -> (String, Value) {
        let line: Value = serde_json::from_str(line).expect("each line is an object");
        let target = line["target"].as_str().unwrap_or_default().to_owned();
        (target, line["peer_name"].clone())
    });
    lines.collect()
}

#[test]
fn seed_2_9_an_open_session_is_told_the_name_of_its_peer_once_it_is_known() {
    let server = server(named());
    let mut session = server.open("/probe");
    eventually("the name is known", DEADLINE, || told(&mut session) == NAME);
    // From now on it is known from the start.
    let mut next = server.open("/probe?next");
    assert_eq!(told(&mut next), NAME);
    let mut peer = server.connect();
    for _ in 0..2 {
        assert_eq!(told_http(&mut peer), NAME);
    }
    assert!(threads(&server).contains(&"names-0".to_owned()));
    drop((session, next, peer));
    let lines = logged(server);
    let of = |target: &str| {
        let mut found = lines.iter().filter(|(asked, _)| asked == target);
        found.next().map(|(_, name)| name.clone())
    };
    assert_eq!(of("/probe?next"), Some(NAME.into()), "{lines:?}");
    assert_eq!(of("/http/facts"), Some(NAME.into()), "{lines:?}");
}

#[test]
fn seed_2_9_the_name_is_that_of_the_client_whom_a_trusted_proxy_names() {
    let server = server(named().key("trusted_proxies", json!(["127.0.0.2/32"])));
    let mut proxy = RawPeer::connect_from([127, 0, 0, 2], server.address());
    let client = [("X-Forwarded-For", "127.0.0.1")];
    assert_eq!(proxy.handshake("/probe", &client).status, 101);
    eventually("the name is known", DEADLINE, || told(&mut proxy) == NAME);
}

#[test]
fn seed_2_9_without_a_word_in_the_config_no_name_is_looked_up() {
    let server = server(Config::new());
    let mut session = server.open("/probe");
    let mut peer = server.connect();
    for _ in 0..3 {
        assert_eq!(told(&mut session), Value::Null);
        assert_eq!(told_http(&mut peer), Value::Null);
    }
    let threads = threads(&server);
    let looks_up = |name: &String| name.starts_with("names-");
    assert!(!threads.iter().any(looks_up), "{threads:?}");
    drop((session, peer));
    let lines = logged(server);
    assert!(lines.iter().all(|(_, name)| name.is_null()), "{lines:?}");
}

#[test]
fn names_come_and_go_with_a_reload_and_sessions_keep_what_they_know() {
    let server = server(named());
    let mut session = server.open("/probe");
    eventually("the name is known", DEADLINE, || told(&mut session) == NAME);
    let mark = server.log().mark();
    fs::write(server.config_file(), "{}").expect("the config can be written");
    server.signal(Signal::HUP);
    server.await_log(mark, |line| line.mentions("the config is applied"));
    assert_eq!(told(&mut server.open("/probe")), Value::Null);
    assert_eq!(told(&mut session), NAME);
    eventually("the threads end", DEADLINE, || {
        !threads(&server)
            .iter()
            .any(|name| name.starts_with("names-"))
    });
}
