//! What connections cost that say nothing.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, RawPeer, Setup};

/// Opens so many sessions, each with a path and query of its own.
fn open_many(address: SocketAddr, protocol: &str, count: usize) -> Vec<RawPeer> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    (0..count)
        .map(|nth| RawPeer::open(address, &format!("/{protocol}?number={nth}")))
        .collect()
}

#[test]
fn with_a_thousand_idle_connections_no_service_thread_wakes_in_ten_seconds() {
    let config = Config::new().limit("idle_ping_ms", 0);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let mut peers = open_many(server.address(), "echo", 1000);
    // All are served, so nothing is left to do.
    for peer in &mut peers {
        assert_eq!(peer.ask("settled"), "settled");
    }
    // A thread counts as woken when it goes to sleep: the one that answered last may not have done so yet.
    thread::sleep(Duration::from_millis(200));
    const WATCHED: Duration = Duration::from_secs(10);
    eventually("the threads have gone to sleep", DEADLINE, || {
        let before = server.process().wakes();
        thread::sleep(Duration::from_millis(200));
        before == server.process().wakes()
    });
    let before = server.process().wakes();
    let used = server.process().processor_ns();
    thread::sleep(WATCHED);
    let after = server.process().wakes();
    let used = server.process().processor_ns() - used;

    let woke: Vec<_> = after
        .into_iter()
        .map(|(name, count)| {
            let known = before.iter().find(|(known, _)| *known == name);
            let (_, earlier) = known.unwrap_or_else(|| panic!("{name} is new"));
            (count - earlier, name)
        })
        .collect();
    let service: Vec<_> = woke
        .iter()
        .filter(|(_, name)| name.starts_with("service-"))
        .collect();
    assert_eq!(service.len(), 2, "{woke:?}");
    assert!(service.iter().all(|(count, _)| *count == 0), "{woke:?}");
    assert!(used < 50_000_000, "{used} ns of processor time");
}

#[test]
fn ten_thousand_idle_connections_cost_at_most_320_bytes_each_and_their_facts_stay_readable() {
    const CONNECTIONS: usize = 10_000;
    // With debug assertions it is 8 more than otherwise; the rest is for tables that have just grown.
    const EACH_BYTES: u64 = 320;
    let config = Config::new().limit("idle_ping_ms", 0);
    let setup = Setup::new()
        .plugin(&echo())
        .plugin(&plugin("probe"))
        .config(&config);
    let server = setup.start();
    // Once through everything: what is made once is no cost of a connection.
    let mut first = open_many(server.address(), "echo", 200);
    for peer in &mut first {
        assert_eq!(peer.ask("warm"), "warm");
    }
    let before = server.process().resident_bytes();
    let mut peers = open_many(server.address(), "echo", CONNECTIONS);
    for peer in &mut peers {
        peer.expect_quiet();
    }
    let grown = server.process().resident_bytes().saturating_sub(before);
    let each = grown / CONNECTIONS as u64;
    eprintln!("{each} bytes of resident memory for each of {CONNECTIONS} idle connections");
    assert!(each <= EACH_BYTES, "{each} bytes each");

    drop(first);
    let mut probe = server.open("/probe?number=17");
    let facts = probe.ask("facts");
    assert!(facts.contains("number=17"), "{facts}");
    assert_eq!(peers[CONNECTIONS / 2].ask("awake"), "awake");
    let end = server.process().open_sockets();
    drop(peers);
    eventually("the sockets are closed", DEADLINE, || {
        server.process().open_sockets() + CONNECTIONS <= end
    });
}
