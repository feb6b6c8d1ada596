//! A plugin with policies that is replaced while it judges.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use super::{config, get, setup};
use crate::support::plugins::{plugin, replaced};
use crate::support::process::eventually;
use crate::support::{DEADLINE, RawPeer};

#[test]
fn a_policy_is_replaced_under_load_and_every_connection_comes_and_goes_once() {
    let setup = setup();
    let journal = setup.plugin_directory().with_file_name("journal");
    let policy = json!([{"policy": "gatekeeper", "options": {"journal": journal}}]);
    let mut server = setup.config(&config(policy)).start();
    let address = server.address();
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let bytes = fs::read(plugin("gatekeeper")).expect("a built plugin");
    let mut session = server.open("/echo");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let mut peer = RawPeer::connect(address);
                    for order in [
                        "gatekeeper=allow",
                        "gatekeeper=refuse",
                        "gatekeeper=at-once",
                    ] {
                        let answer = peer.request("GET", "/plain", &[("X-Gate", order)]);
                        let refuses = order.ends_with("refuse");
                        assert_eq!(answer.status, if refuses { 418 } else { 200 }, "{answer:?}");
                        let asked = answer.field("x-asked").unwrap_or_default();
                        assert!(asked.starts_with("gatekeeper "), "{answer:?}");
                        answered.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        for version in 1..=6_u32 {
            let text = format!("gatekeeper-version-{version:08}");
            let next = replaced(&bytes, b"gatekeeper-version-00000000", text.as_bytes());
            let file = server.directory().join("next.so");
            fs::write(&file, next).expect("our own directory");
            server.drop_in(&file, "libgatekeeper.so");
            let before = answered.load(Relaxed);
            eventually("the new version answers", DEADLINE, || {
                get(&server, "/gates/version", &[]).body == format!("{version:08}")
            });
            eventually("the load goes on", DEADLINE, || {
                answered.load(Relaxed) > before
            });
        }
        is_over.store(true, Relaxed);
    });
    // A session of the time before all of them is still judged by the first one at its end.
    session.text("still here");
    assert_eq!(session.frame().as_text(), "still here");
    drop(session);
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    assert_once(&fs::read_to_string(journal).expect("it was written"));
}

/// Each connection was created once, and destroyed once after that.
fn assert_once(journal: &str) {
    let mut seen: HashMap<&str, Vec<&str>> = HashMap::new();
    for line in journal.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        seen.entry(words[2]).or_default().push(words[1]);
    }
    assert!(seen.len() > 10, "{journal}");
    for (id, told) in seen {
        assert_eq!(told, ["created", "destroyed"], "connection {id}");
    }
}

#[test]
fn connections_that_are_open_when_the_host_stops_are_destroyed_too() {
    let setup = setup();
    let journal = setup.plugin_directory().with_file_name("journal");
    let policy = json!([{"policy": "gatekeeper", "options": {"journal": journal}}]);
    // Nobody answers the Close frames, so the host stops at the end of its time. A second signal would end the process.
    let config = config(policy).limit("drain_host_ms", 200);
    let mut server = setup.config(&config).start();
    let mut kept: Vec<RawPeer> = (0..6).map(|_| server.open("/echo")).collect();
    kept.extend((0..6).map(|_| {
        let mut idle = server.connect();
        assert_eq!(idle.request("GET", "/plain", &[]).status, 200);
        idle
    }));
    let mut half = server.connect();
    half.bytes(b"GET /plain HTTP/1.1\r\nHo");
    kept.push(half);
    // The kernel has accepted it, and the host too once it has answered another one that came later.
    assert_eq!(get(&server, "/plain", &[]).status, 200);
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    assert_once(&fs::read_to_string(journal).expect("it was written"));
}
