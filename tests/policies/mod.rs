//! Policies: what they are told of, what they refuse, and what peers, protocols and handlers see of it.

mod basic_auth;
pub(crate) mod exactly_once;
mod hooks;
mod ip_filter;
mod missing;
mod order;
mod pending;
mod replaced;

use serde_json::{Value, json};

use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::raw_peer::Response;
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

/// A config whose default vhost asks these policies.
pub(crate) fn config(policies: Value) -> Config {
    Config::new()
        .key("policies", policies)
        .key("allowed_origins", json!(["http://ours.example"]))
        .mount("/gates", json!({"protocol": "gates"}))
        .mount("/plain", json!({"status": 200, "text": "plain"}))
}

/// A setup with what such a config names.
pub(crate) fn setup() -> Setup {
    Setup::new().plugin(&echo()).plugin(&plugin("gatekeeper"))
}

fn server(policies: Value) -> Server {
    setup().config(&config(policies)).start()
}

fn get(server: &Server, target: &str, fields: &[(&str, &str)]) -> Response {
    server.connect().request("GET", target, fields)
}

/// A session that says what it was told, and that.
fn open_told(server: &Server, fields: &[(&str, &str)]) -> (RawPeer, String) {
    let (mut peer, _) = RawPeer::open_with(server.address(), "/told", fields);
    let told = peer.frame().as_text().to_owned();
    (peer, told)
}

/// What a policy has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) created: u64,
    pub(crate) destroyed: u64,
    /// What must not be: see `tally.rs` of the fixture.
    pub(crate) strange: u64,
}

/// What a policy has counted, asked over a connection that is open meanwhile.
pub(crate) fn counts(asker: &mut RawPeer, policy: &str) -> Counts {
    of(&asker.request("GET", "/gates/counts", &[]).body, policy)
}

/// What the handler says of a policy.
pub(crate) fn of(text: &str, policy: &str) -> Counts {
    let mut lines = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        (words.next() == Some(policy)).then(|| words.map(|word| word.parse().expect("a number")))
    });
    let Some(numbers) = lines.next() else {
        return Counts::default();
    };
    let numbers: Vec<u64> = numbers.collect();
    Counts {
        created: numbers[0],
        destroyed: numbers[1],
        strange: numbers[2],
    }
}

/// Waits until all connections but the asking one are over, and gives what was counted then.
fn settled(asker: &mut RawPeer, policy: &str) -> Counts {
    eventually("all connections are destroyed", DEADLINE, || {
        let counted = counts(asker, policy);
        counted.created == counted.destroyed + 1
    });
    counts(asker, policy)
}

/// Has a request that waits go on; gives what the policy was told when it asked for that.
fn release(server: &Server, key: &str, verdict: &str) -> String {
    get(server, &format!("/gates/release?{key}={verdict}"), &[]).body
}

/// Waits until a policy was asked about a request with this key, from `mark` of the log on.
fn await_waiting(server: &Server, mark: usize, key: &str) {
    server.await_log(mark, |line| line.mentions(&format!("waits: {key}")));
}
