//! What becomes of versions that no longer serve new sessions.

use serde_json::Value;

use crate::support::plugins::{marker, marker_text};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Server};

use super::marker_versions::{await_version, put, serving, setup, version_of};

/// The states of the generations of `marker`, by their number.
fn states(server: &Server) -> Vec<(u64, String)> {
    let output = server.command(["plugin", "list", "--json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a JSON list");
    let mut states: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            Some((
                row["generation"].as_u64()?,
                row["state"].as_str()?.to_owned(),
            ))
        })
        .collect();
    states.sort();
    states
}

#[test]
fn a_superseded_generation_drains_while_it_has_sessions_and_is_retired_when_the_last_one_ends() {
    let server = setup().start();
    let mut old = server.open("/marker");
    assert_eq!(version_of(&mut old), marker_text(0));
    put(&server, &marker(1));
    await_version(&server, 1);
    let expected = [(1, "draining".to_owned()), (2, "serving".to_owned())];
    assert_eq!(states(&server), expected);
    old.close();
    eventually("the old one is retired", DEADLINE, || {
        states(&server).contains(&(1, "retired".to_owned()))
    });
    assert_eq!(serving(&server), marker_text(1));
}

#[test]
fn the_drain_deadline_closes_sessions_of_a_superseded_generation_with_1012_and_no_others() {
    let config = Config::new().limit("drain_generation_ms", 300);
    let server = setup().config(&config).start();
    let mut old = server.open("/marker");
    assert_eq!(version_of(&mut old), marker_text(0));
    put(&server, &marker(1));
    await_version(&server, 1);
    let mut new = server.open("/marker");
    assert_eq!(version_of(&mut new), marker_text(1));
    old.expect_close(1012);
    assert_eq!(version_of(&mut new), marker_text(1));
}

#[test]
fn past_the_budget_of_mapped_versions_a_reload_is_refused_with_what_to_do_and_the_old_one_serves() {
    let config = Config::new().limit("retained_generations_count", 3);
    let mut server = setup().config(&config).start();
    let mark = server.log().mark();
    let mut serves = 0;
    let refused = loop {
        put(&server, &marker(serves + 1));
        let told = server.await_log(mark, |line| {
            let installed = !line.is_error() && line.text("generation") == (serves + 2).to_string();
            installed || line.text("stage") == "budget"
        });
        if told.is_error() {
            break told;
        }
        serves += 1;
        await_version(&server, serves);
        assert!(serves < 5, "no budget");
    };
    assert!(refused.text("mend").contains("restart"), "{refused:?}");
    assert_eq!(serving(&server), marker_text(serves));
    assert!(server.is_running());
}

#[test]
fn a_version_that_is_still_mapped_comes_back_when_the_budget_is_used_up() {
    let config = Config::new().limit("retained_generations_count", 3);
    let server = setup().config(&config).start();
    for round in 0..10 {
        let version = (round + 1) % 2;
        put(&server, &marker(version));
        await_version(&server, version);
    }
}
