//! Several policies: in which order they are asked, and where they act.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{config, get, open_told, server, settled, setup};
use crate::support::process::eventually;
use crate::support::{DEADLINE, RawPeer, Server};

const BOTH: [&str; 2] = ["gatekeeper", "second-gatekeeper"];

#[test]
fn policies_are_asked_in_the_order_of_the_config() {
    for order in [BOTH, [BOTH[1], BOTH[0]]] {
        let server = server(json!(order));
        let told = get(&server, "/gates/tags", &[]);
        let in_order = order.join(" ");
        assert_eq!(told.body, format!("via: {in_order}\nasked: {in_order}\n"));
        let (_session, told) = open_told(&server, &[]);
        assert_eq!(told, format!("via: {in_order}\nasked: {in_order}\n"));
    }
}

#[test]
fn the_first_policy_that_refuses_ends_it_and_those_behind_are_not_asked() {
    let server = server(json!(BOTH));
    let ask = |orders: &[&str]| {
        let fields: Vec<_> = orders.iter().map(|order| ("X-Gate", *order)).collect();
        get(&server, "/plain", &fields)
    };
    let first = ask(&["gatekeeper=refuse", "second-gatekeeper=redirect"]);
    assert_eq!(first.status, 418);
    assert_eq!(first.field("x-asked"), Some("gatekeeper 00000000"));
    assert_eq!(ask(&["second-gatekeeper=redirect"]).status, 302);
    // Of a connection that the first one refuses, both are told that it came and that it is over.
    RawPeer::connect_from([127, 0, 0, 11], server.address()).expect_end();
    let mut asker = server.connect();
    for policy in BOTH {
        let counted = settled(&mut asker, policy);
        assert_eq!((counted.created, counted.strange), (4, 0), "{policy}");
    }
}

#[test]
fn a_policy_that_takes_its_time_is_asked_again_alone_and_those_before_it_are_not() {
    let server = server(json!(BOTH));
    let fields = [("X-Gate", "second-gatekeeper=later"), ("X-Key", "a")];
    let mut peer = server.connect();
    let request = "GET /gates/tags HTTP/1.1\r\nHost: h\r\n";
    let lines: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    peer.bytes(format!("{request}{lines}\r\n").as_bytes());
    super::await_waiting(&server, 0, "a");
    assert_eq!(super::release(&server, "a", "allow"), "Ok(())");
    // Tags of the policy itself are as it has left them.
    let told = peer.response().body;
    let asked = "asked: gatekeeper second-gatekeeper second-gatekeeper\n";
    assert!(told.ends_with(asked), "{told}");
}

fn status(server: &Server, host: &str) -> u16 {
    let target = format!("http://{host}/plain");
    get(server, &target, &[("X-Gate", "gatekeeper=refuse")]).status
}

fn vhosts(default: Value, one: Value) -> crate::support::Config {
    config(default).key(
        "vhosts",
        json!({"one": {
            "hosts": ["one.example"],
            "policies": one,
            "protocols": {"told": {}},
            "mounts": {"/plain": {"status": 200, "text": "one"}},
        }}),
    )
}

#[test]
fn a_policy_acts_on_the_vhosts_that_name_it_and_on_no_others() {
    for (default, one, expected) in [
        (json!(["gatekeeper"]), json!([]), [418, 200]),
        (json!([]), json!(["gatekeeper"]), [200, 418]),
        (
            json!(["gatekeeper"]),
            json!(["second-gatekeeper"]),
            [418, 200],
        ),
    ] {
        let server = setup().config(&vhosts(default, one)).start();
        let found = ["other.example", "one.example"].map(|host| status(&server, host));
        assert_eq!(found, expected);
    }
}

#[test]
fn a_change_of_the_config_changes_which_policies_judge_open_connections() {
    let server = setup().config(&vhosts(json!([]), json!([]))).start();
    let mut peer = server.connect();
    let mut ask = || {
        let fields = [("X-Gate", "gatekeeper=refuse")];
        peer.request("GET", "/plain", &fields).status
    };
    assert_eq!(ask(), 200);
    for (policies, expected) in [(json!(["gatekeeper"]), 418), (json!([]), 200)] {
        let text = vhosts(policies, json!([])).text();
        std::fs::write(server.config_file(), text).expect("our own file");
        let mark = server.log().mark();
        server.signal(Signal::HUP);
        server.await_log(mark, |line| line.mentions("the config is applied"));
        // Each service thread takes it over in a turn of its own.
        eventually("it is judged anew", DEADLINE, || ask() == expected);
    }
}
