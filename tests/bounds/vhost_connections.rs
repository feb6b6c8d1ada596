//! How many connections a vhost may have, and what one more is answered.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::plugins::echo;
use crate::support::process::eventually;
use crate::support::raw_peer::{RawPeer, Response};
use crate::support::{Config, DEADLINE, Server, Setup};

/// Two vhosts with names, each with a bound of its own.
fn vhosts(one: u64, two: u64) -> Value {
    json!({
        "one": {"hosts": ["one.example"], "max_connections": one, "protocols": {"echo": {}}},
        "two": {"hosts": ["two.example"], "max_connections": two, "protocols": {"echo": {}}},
    })
}

fn server(config: &Config) -> Server {
    Setup::new().plugin(&echo()).config(config).start()
}

/// A session on a vhost, or what it was answered instead.
fn open(server: &Server, host: &str) -> Result<RawPeer, Response> {
    let mut peer = server.connect();
    let answer = peer.handshake(&format!("ws://{host}/echo"), &[]);
    match answer.status {
        101 => Ok(peer),
        _ => {
            peer.expect_end();
            Err(answer)
        }
    }
}

fn get(peer: &mut RawPeer, host: &str) -> u16 {
    let target = format!("http://{host}/echo");
    peer.request("GET", &target, &[]).status
}

/// Waits until somebody finds room on a vhost, and stays there.
fn await_room(server: &Server, host: &str) -> RawPeer {
    let mut found = None;
    eventually("there is room again", DEADLINE, || {
        found = open(server, host).ok();
        found.is_some()
    });
    found.expect("it was found")
}

#[test]
fn seed_1_20_a_vhost_that_is_full_answers_503_says_so_and_leaves_others_alone() {
    let server = server(&Config::new().key("vhosts", vhosts(2, 1)));
    let mut ones: Vec<_> = (0..2)
        .map(|_| open(&server, "one.example").expect("there is room"))
        .collect();
    let mark = server.log().mark();
    for _ in 0..3 {
        let answer = open(&server, "one.example").expect_err("it is full");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.field("retry-after"), Some("5"));
        assert_eq!(answer.field("connection"), Some("close"));
    }
    let line = server.await_log(mark, |line| line.mentions("a vhost is full"));
    assert_eq!(
        (line.text("vhost"), line.text("most")),
        ("one".into(), "2".into())
    );
    // One line, however many come: who is refused could fill the disk otherwise.
    let told = server.logged(mark, |line| line.mentions("a vhost is full"));
    assert_eq!(told.len(), 1, "{told:?}");
    let two = open(&server, "two.example").expect("it has seats of its own");
    assert!(open(&server, "two.example").is_err());
    // The default vhost has no bound.
    let _default: Vec<_> = (0..5).map(|_| server.open("/echo")).collect();
    for peer in &mut ones {
        assert_eq!(peer.ask("here"), "here");
    }
    two.close();
    let _two = await_room(&server, "two.example");
    ones.remove(0).close();
    let _one = await_room(&server, "one.example");
    assert!(open(&server, "one.example").is_err());
}

#[test]
fn seed_1_20_seats_come_back_however_a_connection_ends_and_exactly_once() {
    let server = server(&Config::new().key("vhosts", vhosts(3, 1)));
    for round in 0..10 {
        let mut held: Vec<_> = (0..3).map(|_| await_room(&server, "one.example")).collect();
        assert!(open(&server, "one.example").is_err(), "round {round}");
        held.remove(0).close();
        // Without a word, and with a message that is not complete.
        drop(held.remove(0));
        held[0].bytes(&[0x81, 0xff, 0, 0]);
    }
    let mut idle = server.connect();
    eventually("there is room again", DEADLINE, || {
        idle = server.connect();
        get(&mut idle, "one.example") != 503
    });
}

#[test]
fn seed_1_20_an_idle_http_connection_holds_its_seat_until_it_is_let_go() {
    let config = Config::new()
        .key("vhosts", vhosts(1, 1))
        .limit("http_keep_alive_ms", 300);
    let server = server(&config);
    let mut idle = server.connect();
    assert_eq!(get(&mut idle, "one.example"), 426);
    assert_eq!(
        open(&server, "one.example").expect_err("it is full").status,
        503
    );
    idle.expect_end();
    await_room(&server, "one.example");
}

#[test]
fn seed_1_20_connections_in_all_are_bounded_and_idle_http_makes_room_for_others() {
    let config = Config::new()
        .limit("max_connections", 2)
        .limit("http_keep_alive_ms", 300);
    let server = server(&config);
    let mut idle: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for peer in &mut idle {
        assert_eq!(peer.request("GET", "/", &[]).status, 200);
    }
    server.connect().expect_end_somehow();
    for peer in &mut idle {
        assert!(peer.expect_end() < Duration::from_secs(10));
    }
    eventually("there is room again", DEADLINE, || {
        let mut peer = server.connect();
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
        peer.bytes_until_refused(request.as_bytes(), Duration::from_secs(1));
        peer.receives_anything()
    });
}

#[test]
fn a_connection_that_asks_for_another_vhost_takes_its_seat_along() {
    let server = server(&Config::new().key("vhosts", vhosts(1, 1)));
    let mut wanderer = server.connect();
    for host in ["one.example", "two.example", "one.example", "two.example"] {
        assert_eq!(get(&mut wanderer, host), 426, "{host}");
    }
    let one = open(&server, "one.example").expect("its seat was given back");
    assert!(open(&server, "two.example").is_err());
    // No room where it asks now: it is told, and what it had is free.
    assert_eq!(get(&mut wanderer, "one.example"), 503);
    wanderer.expect_end();
    let _two = await_room(&server, "two.example");
    one.close();
}

#[test]
fn a_bound_at_the_top_is_that_of_the_default_vhost() {
    let config = Config::new()
        .key("max_connections", 1)
        .key("vhosts", vhosts(0, 0));
    let server = server(&config);
    let _session = server.open("/echo");
    assert_eq!(server.connect().handshake("/echo", &[]).status, 503);
    let _ones: Vec<_> = (0..3)
        .map(|_| open(&server, "one.example").expect("it has no bound"))
        .collect();
}

#[test]
fn a_bound_that_comes_with_a_reload_counts_sessions_that_are_there_also_of_a_vhost_that_was_gone() {
    let reload = |server: &Server, config: Config| {
        let mark = server.log().mark();
        fs::write(server.config_file(), config.text()).expect("the config can be written");
        server.signal(Signal::HUP);
        server.await_log(mark, |line| line.mentions("the config is applied"));
    };
    let server = server(&Config::new().key("vhosts", vhosts(0, 0)));
    let mut held: Vec<_> = (0..2)
        .map(|_| open(&server, "one.example").expect("it has no bound"))
        .collect();
    reload(&server, Config::new());
    reload(&server, Config::new().key("vhosts", vhosts(2, 0)));
    assert!(open(&server, "one.example").is_err());
    assert_eq!(held[0].ask("still here"), "still here");
    drop(held);
    let _one = await_room(&server, "one.example");
}

/// What `hotsocket connections` tells: open and most of each vhost, and of all.
fn told(server: &Server) -> Value {
    let output = server.command(["connections", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a JSON object")
}

#[test]
fn seed_1_20_how_many_slots_are_in_use_is_told_by_vhost_and_in_all() {
    let config = Config::new()
        .limit("max_connections", 100)
        .key("vhosts", vhosts(3, 0));
    let server = server(&config);
    let one = open(&server, "one.example").expect("there is room");
    let mut idle = server.connect();
    assert_eq!(get(&mut idle, "one.example"), 426);
    let _default = server.open("/echo");
    let slots = |default: u64, one: u64, all: u64| {
        json!({
            "open": all,
            "most": 100,
            "vhosts": [
                {"vhost": "default", "open": default, "most": null},
                {"vhost": "one", "open": one, "most": 3},
                {"vhost": "two", "open": 0, "most": null},
            ],
        })
    };
    assert_eq!(told(&server), slots(1, 2, 3));
    one.close();
    eventually("the slot is free", DEADLINE, || {
        told(&server) == slots(1, 1, 2)
    });
    let table = server.command(["connections"]);
    let table = String::from_utf8_lossy(&table.stdout);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["VHOST", "OPEN", "MOST"]);
    assert!(rows.contains(&vec!["one", "1", "3"]), "{table}");
    assert_eq!(rows[4], ["(all)", "2", "100"]);
}

#[test]
fn seed_1_20_an_address_has_as_many_slots_as_it_may_and_others_have_theirs() {
    let server = server(&Config::new().limit("max_connections_per_address", 1));
    let mut held = server.open("/echo");
    server.connect().expect_end_somehow();
    let mut other = RawPeer::connect_from([127, 0, 0, 2], server.address());
    assert_eq!(other.handshake("/echo", &[]).status, 101);
    assert_eq!(held.ask("here"), "here");
}
