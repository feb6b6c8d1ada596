//! Vhosts by the listener that a request comes by.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::plugins::echo;
use crate::support::raw_peer::RawPeer;
use crate::support::{Config, DEADLINE, Server, Setup, process::eventually};

fn vhost(name: &str) -> Value {
    json!({"hosts": [format!("{name}.example")], "mounts": {"/": {"status": 200, "text": name}}})
}

/// Four listeners: for all vhosts, for two of them, for one that no name leads to, and for the default one.
fn config(lists: [Value; 4]) -> Config {
    let mut inside = vhost("inside");
    inside["hosts"] = json!([]);
    let mut wide = vhost("wide");
    wide["hosts"] = json!(["*.example"]);
    let listen: Vec<_> = lists
        .into_iter()
        .map(|vhosts| match vhosts {
            Value::Null => json!({"address": "127.0.0.1:0"}),
            vhosts => json!({"address": "127.0.0.1:0", "vhosts": vhosts}),
        })
        .collect();
    Config::new()
        .key("listen", listen)
        .key("mounts", json!({"/": {"status": 200, "text": "default"}}))
        .key(
            "vhosts",
            json!({"one": vhost("one"), "wide": wide, "inside": inside}),
        )
}

fn lists() -> [Value; 4] {
    [
        Value::Null,
        json!(["wide", "default"]),
        json!(["inside"]),
        json!(["default"]),
    ]
}

fn start(lists: [Value; 4]) -> Server {
    let setup = Setup::new().plugin(&echo()).listens_by_config(4);
    setup.config(&config(lists)).start()
}

fn body(address: SocketAddr, host: &str) -> String {
    ask(&mut RawPeer::connect(address), host)
}

fn ask(peer: &mut RawPeer, host: &str) -> String {
    peer.request("GET", &format!("http://{host}/"), &[]).body
}

#[test]
fn a_listener_leads_to_the_vhosts_that_it_names_and_the_first_is_for_all_other_hosts() {
    let server = start(lists());
    let [all, two, one, default] = server.addresses() else {
        panic!("four addresses");
    };
    for (address, host, name) in [
        (all, "one.example", "one"),
        (all, "two.example", "wide"),
        (all, "127.0.0.1", "default"),
        // A name of a vhost that is not here leads to whoever would have it without that vhost.
        (two, "one.example", "wide"),
        (two, "127.0.0.1", "wide"),
        (one, "one.example", "inside"),
        (one, "127.0.0.1", "inside"),
        (default, "one.example", "default"),
        (default, "two.example", "default"),
    ] {
        assert_eq!(body(*address, host), name, "{address} {host}");
    }
}

#[test]
fn what_cannot_be_read_is_answered_by_the_vhost_of_the_listener() {
    let mut configured = config(lists());
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), "the page of inside").expect("our own file");
    let mut vhosts = json!({"one": vhost("one"), "wide": vhost("wide"), "inside": vhost("inside")});
    vhosts["inside"]["error_pages"] = json!({"400": file.path()});
    configured = configured.key("vhosts", vhosts);
    let setup = Setup::new().listens_by_config(4).config(&configured);
    let server = setup.start();
    for (at, is_inside) in [(0, false), (2, true)] {
        let mut peer = RawPeer::connect(server.addresses()[at]);
        peer.bytes(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        let answer = peer.response();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body == "the page of inside", is_inside, "{answer:?}");
    }
}

#[test]
fn a_listener_that_stays_leads_elsewhere_by_a_reload_from_the_next_request_on() {
    let server = start(lists());
    let address = server.addresses()[1];
    let mut peer = RawPeer::connect(address);
    assert_eq!(ask(&mut peer, "two.example"), "wide");
    let changed = config([
        Value::Null,
        json!(["one", "wide"]),
        json!(["inside"]),
        json!(["default"]),
    ]);
    fs::write(server.config_file(), changed.text()).expect("our own file");
    server.signal(Signal::HUP);
    eventually("the listener leads elsewhere", DEADLINE, || {
        body(address, "127.0.0.1") == "one"
    });
    eventually("and so does the open connection", DEADLINE, || {
        ask(&mut peer, "127.0.0.1") == "one"
    });
}

#[test]
fn connections_of_a_listener_that_is_gone_find_no_other_vhosts_than_before() {
    let server = start(lists());
    let mut peer = RawPeer::connect(server.addresses()[2]);
    assert_eq!(ask(&mut peer, "127.0.0.1"), "inside");
    let gone = config(lists()).key("listen", json!(["127.0.0.1:0"]));
    let mut only = vhost("inside");
    only["hosts"] = json!(["inside.example"]);
    let gone = gone.key("vhosts", json!({"inside": only}));
    fs::write(server.config_file(), gone.text()).expect("our own file");
    let mark = server.log().mark();
    server.signal(Signal::HUP);
    server.await_log(mark, |line| line.mentions("the config is applied"));
    assert_eq!(ask(&mut peer, "127.0.0.1"), "inside");
    // Without that vhost it finds none, and surely not the default one.
    let none = gone.key("vhosts", json!({}));
    fs::write(server.config_file(), none.text()).expect("our own file");
    server.signal(Signal::HUP);
    let mut answer = String::new();
    eventually("the vhost is gone", DEADLINE, || {
        answer = ask(&mut peer, "127.0.0.1");
        answer != "inside"
    });
    assert!(answer.contains("nothing is served"), "{answer}");
}
