//! Policies that are named and cannot judge: nothing passes.

use std::fs;

use serde_json::json;

use super::{config, get, setup};
use crate::support::Setup;
use crate::support::plugins::{echo, plugin, replaced};
use crate::support::server::{hotsocket, output_of};

#[test]
fn a_policy_that_no_plugin_provides_lets_nothing_pass_until_it_is_there() {
    let config = config(json!(["gatekeeper"]));
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let refused = get(&server, "/plain", &[]);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("x-asked"), None);
    assert_eq!(server.connect().handshake("/echo", &[]).status, 503);
    let told = server.await_log(0, |line| line.mentions("no plugin provides this policy"));
    assert!(told.is_error() && told.mentions("gatekeeper"));
    server.drop_in(&plugin("gatekeeper"), "libgatekeeper.so");
    server.await_log(0, |line| {
        line.mentions("plugin installed") && line.mentions("fixture-gatekeeper")
    });
    let allowed = get(&server, "/plain", &[]);
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.field("x-asked"), Some("gatekeeper 00000000"));
    // And when it is taken away.
    fs::remove_file(server.plugin_file("libgatekeeper.so")).expect("our own file");
    crate::support::process::eventually("it is gone", crate::support::DEADLINE, || {
        get(&server, "/plain", &[]).status == 503
    });
}

#[test]
fn only_the_vhost_that_names_a_missing_policy_is_closed() {
    let config = config(json!([])).key(
        "vhosts",
        json!({"one": {
            "hosts": ["one.example"],
            "policies": ["nobody"],
            "mounts": {"/plain": {"status": 200, "text": "one"}},
        }}),
    );
    let server = setup().config(&config).start();
    assert_eq!(get(&server, "http://one.example/plain", &[]).status, 503);
    assert_eq!(get(&server, "http://other.example/plain", &[]).status, 200);
}

#[test]
fn check_tells_of_a_policy_that_no_plugin_provides() {
    let setup = setup().config(&config(json!(["gatekeepr"])));
    let mut command = hotsocket();
    command
        .arg("check")
        .arg("--config")
        .arg(setup.config_file());
    command.arg("--plugins").arg(setup.plugin_directory());
    let output = output_of(command);
    let said = String::from_utf8_lossy(&output.stderr);
    let is_told = ["policies", "no plugin provides `gatekeepr`", "`gatekeeper`"];
    assert!(is_told.iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn a_policy_that_refuses_its_options_is_not_there_and_why_is_in_the_log() {
    for (what, words) in [
        ("refuse", "no gate on this day"),
        ("panic", "told to panic in new"),
    ] {
        let policy = json!([{"policy": "gatekeeper", "options": {"new": what}}]);
        let server = setup().config(&config(policy)).start();
        let told = server.await_log(0, |line| line.mentions(words));
        assert!(told.is_error() || told.mentions("warn"), "{what}");
        assert_eq!(get(&server, "/plain", &[]).status, 503, "{what}");
    }
}

#[test]
fn a_new_version_without_a_policy_that_is_asked_is_refused_and_the_old_one_judges_on() {
    let server = setup()
        .config(&config(json!(["second-gatekeeper"])))
        .start();
    let bytes = fs::read(plugin("gatekeeper")).expect("a built plugin");
    let next = replaced(&bytes, b"second-gatekeeper", b"third--gatekeeper");
    let next = replaced(
        &next,
        b"gatekeeper-version-00000000",
        b"gatekeeper-version-00000001",
    );
    let file = server.directory().join("next.so");
    fs::write(&file, next).expect("our own directory");
    let mark = server.log().mark();
    server.drop_in(&file, "libgatekeeper.so");
    let told = server.await_log(mark, |line| line.mentions("second-gatekeeper"));
    assert!(told.is_error());
    let judged = get(&server, "/plain", &[]);
    assert_eq!(
        judged.field("x-asked"),
        Some("second-gatekeeper 00000000"),
        "{judged:?}"
    );
}
