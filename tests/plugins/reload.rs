//! A plugin file is replaced under live connections, again and again, and nothing is lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::lines::LogLine;
use crate::support::plugins::{marker, marker_text, marker_that};

use crate::support::process::eventually;
use crate::support::{DEADLINE, Server};

use super::marker_versions::{await_version, put, serving, setup, staged, version_of};
use super::reload_load::Load;
use super::reload_ways::WAYS;

/// Replacements when `HOTSOCKET_RELOADS` does not say how many.
const REPLACEMENTS: u32 = 40;
/// Above this time from the last byte of a file to the first session on it the test fails.
const SLOWEST: Duration = Duration::from_secs(10);

#[test]
fn new_sessions_get_the_new_version_and_old_ones_keep_theirs() {
    let server = setup().start();
    let mut old = server.open("/marker");
    for (version, (way, replace)) in (1..).zip(WAYS) {
        eprintln!("{way}");
        let file = staged(&server, &format!("{version}.so"), &marker(version));
        replace(&file, &server.plugin_file("marker.so"));
        await_version(&server, version);
        assert_eq!(version_of(&mut old), marker_text(0), "after {way}");
    }
}

#[test]
fn a_file_with_the_bytes_that_serve_is_no_new_version() {
    let server = setup().start();
    server.drop_in(&server.plugin_file("marker.so"), "marker.so");
    // The next version shows that the one before it has been looked at.
    put(&server, &marker(1));
    await_version(&server, 1);
    let is_second = |line: &LogLine| line.mentions("marker.so") && line.text("generation") == "2";
    server.await_log(0, is_second);
    let is_marker = |line: &LogLine| line.text("plugin") == "fixture-marker";
    let generations = server.logged(0, is_marker);
    let generations: Vec<_> = generations
        .iter()
        .map(|line| line.text("generation"))
        .collect();
    assert_eq!(generations[..2], ["1", "2"]);
    assert!(!generations.contains(&"3".to_owned()), "{generations:?}");
}

#[test]
fn a_version_that_served_before_can_come_back() {
    let server = setup().start();
    for version in [1, 0, 1] {
        put(&server, &marker(version));
        await_version(&server, version);
    }
}

#[test]
fn nothing_is_lost_while_the_plugin_is_replaced_in_every_way_between_bad_files() {
    let replacements = std::env::var("HOTSOCKET_RELOADS").map_or(REPLACEMENTS, |count| {
        count.parse().expect("HOTSOCKET_RELOADS is a number")
    });
    let mut server = setup().start();
    let load = Load::default();
    let mut times = load.run(&|| server.open("/marker"), || {
        replace_again_and_again(&server, &load, replacements)
    });

    assert!(server.is_running());
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let answered = load.answered.load(Ordering::Relaxed);
    eprintln!(
        "{replacements} replacements under load, {answered} messages answered: from the last byte to the first \
         session median {median:?}, maximum {slowest:?}"
    );
    assert!(slowest < SLOWEST, "{slowest:?}");
}

/// Replaces the file by each way in turn, with a bad file before every fifth, and gives the time each took.
fn replace_again_and_again(server: &Server, load: &Load, replacements: u32) -> Vec<Duration> {
    let file = server.plugin_file("marker.so");
    let mut bad = bad_versions().into_iter().cycle();
    let mut times = Vec::new();
    for version in 1..=replacements {
        let (_, replace) = WAYS[(version as usize - 1) % WAYS.len()];
        let new = staged(server, &format!("{version}.so"), &marker(version));
        let written = replace(&new, &file);
        times.push(await_version(server, version) - written);
        eventually(
            "the group that reconnects is served by it",
            DEADLINE,
            || load.has_met(&marker_text(version)),
        );
        if version % 5 == 0 {
            let (stage, bytes) = bad.next().expect("a cycle does not end");
            refused(server, stage, &bytes);
            assert_eq!(serving(server), marker_text(version), "after a bad file");
        }
    }
    times
}

/// Puts a bad file in place and waits for the line that says so.
fn refused(server: &Server, stage: &str, bytes: &[u8]) {
    let mark = server.log().mark();
    put(server, bytes);
    let line = server.await_log(mark, |line| line.is_error() && line.mentions("marker.so"));
    assert_eq!(line.text("stage"), stage, "{line:?}");
}

/// Bad files that are found at once, and the stage at which.
fn bad_versions() -> Vec<(&'static str, Vec<u8>)> {
    let mut foreign = marker(0);
    foreign[18] = 183;
    vec![
        ("elf", foreign),
        ("instance", marker_that("fails")),
        (
            "elf",
            b"not a library, but a text of some length\n".repeat(100),
        ),
        ("instance", marker_that("panics")),
    ]
}
