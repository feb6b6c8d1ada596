//! A plugin file is replaced under live connections, again and again, and nothing is lost.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::lines::LogLine;
use crate::support::plugins::{marker, marker_text, marker_that};
use crate::support::server::copy_plugin;
use crate::support::{DEADLINE, Frame, Server, Setup};

use super::reload_load::Load;
use super::reload_ways::WAYS;

/// Replacements when `HOTSOCKET_RELOADS` does not say how many.
const REPLACEMENTS: u32 = 40;
/// Above this time from the last byte of a file to the first session on it the test fails.
const SLOWEST: Duration = Duration::from_secs(10);

/// A server with version 0 of the plugin `marker`, and a place for others on the same file system.
fn server_with_marker() -> Server {
    let setup = Setup::new();
    let file = setup.plugin_directory().join("marker.so");
    fs::write(&file, marker(0)).expect("a fresh directory");
    copy_plugin(&file.clone(), &file.with_extension("copy"));
    fs::rename(file.with_extension("copy"), file).expect("the same directory");
    let server = setup.start();
    fs::create_dir(server.directory().join("versions")).expect("a fresh directory");
    server
}

/// Writes a file beside the plugin directory.
fn staged(server: &Server, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let file = server.directory().join("versions").join(name);
    fs::write(&file, bytes).expect("there is room");
    file
}

/// The version that a fresh session gets.
fn serving(server: &Server) -> String {
    let mut peer = server.open("/marker");
    peer.frames(&[Frame::binary("")]);
    loop {
        let frame = peer.frame();
        if frame.opcode == crate::support::frame::BINARY {
            return frame.as_text();
        }
    }
}

/// Opens sessions until one is served by this version, and says when.
fn await_version(server: &Server, version: u32) -> Instant {
    let wanted = marker_text(version);
    let end = Instant::now() + DEADLINE;
    loop {
        let found = serving(server);
        if found == wanted {
            return Instant::now();
        }
        assert!(Instant::now() < end, "{found} serves, and not {wanted}");
    }
}

#[test]
fn new_sessions_get_the_new_version_and_old_ones_keep_theirs() {
    let server = server_with_marker();
    let mut old = server.open("/marker");
    for (version, (way, replace)) in (1..).zip(WAYS) {
        println!("{way}");
        let file = staged(&server, &format!("{version}.so"), &marker(version));
        replace(&file, &server.plugin_file("marker.so"));
        await_version(&server, version);
        old.frames(&[Frame::binary("")]);
        assert_eq!(old.frame().as_text(), marker_text(0), "after {way}");
    }
}

#[test]
fn a_file_with_the_bytes_that_serve_is_no_new_version() {
    let server = server_with_marker();
    let mark = server.log().mark();
    let installed = |line: &LogLine| line.mentions("generation") && line.mentions("marker");
    server.drop_in(&server.plugin_file("marker.so"), "marker.so");
    // The next version shows that the one before it has been looked at.
    let file = staged(&server, "1.so", &marker(1));
    fs::rename(file, server.plugin_file("marker.so")).expect("the same file system");
    await_version(&server, 1);
    let first = server.await_log(mark, installed);
    assert!(!first.is_error(), "{first:?}");
    assert_eq!(first.text("generation"), "2", "{first:?}");
}

#[test]
fn a_version_that_served_before_can_come_back() {
    let server = server_with_marker();
    for (nth, version) in [1, 0, 1].into_iter().enumerate() {
        let file = staged(&server, &format!("{nth}.so"), &marker(version));
        fs::rename(file, server.plugin_file("marker.so")).expect("the same file system");
        await_version(&server, version);
    }
}

#[test]
fn nothing_is_lost_while_the_plugin_is_replaced_in_every_way_between_bad_files() {
    let replacements = std::env::var("HOTSOCKET_RELOADS").map_or(REPLACEMENTS, |count| {
        count.parse().expect("HOTSOCKET_RELOADS is a number")
    });
    let mut server = server_with_marker();
    let load = Load::default();
    let mut times = load.run(server.address(), || {
        replace_again_and_again(&server, replacements)
    });

    let versions = load.versions.lock().expect("no holder panics");
    for version in 0..=replacements {
        let served = versions.contains(&marker_text(version));
        assert!(
            served,
            "version {version} never served the group that reconnects"
        );
    }
    assert!(server.is_running());
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let answered = load.answered.load(Ordering::Relaxed);
    println!(
        "{replacements} replacements under load, {answered} messages answered: from the last byte to the first \
         session median {median:?}, maximum {slowest:?}"
    );
    assert!(slowest < SLOWEST, "{slowest:?}");
}

/// Replaces the file by each way in turn, with a bad file before every fifth, and gives the time each took.
fn replace_again_and_again(server: &Server, replacements: u32) -> Vec<Duration> {
    let file = server.plugin_file("marker.so");
    let mut bad = bad_versions().into_iter().cycle();
    let mut times = Vec::new();
    for version in 1..=replacements {
        let (_, replace) = WAYS[(version as usize - 1) % WAYS.len()];
        let new = staged(server, &format!("{version}.so"), &marker(version));
        let written = replace(&new, &file);
        times.push(await_version(server, version) - written);
        await_reconnecting_group(server);
        if version % 5 == 0 {
            let (stage, bytes) = bad.next().expect("a cycle does not end");
            refused(server, &file, stage, &bytes);
            assert_eq!(serving(server), marker_text(version), "after a bad file");
        }
    }
    times
}

/// Waits until sessions that began now have been served; the group that reconnects has then seen the version too.
fn await_reconnecting_group(server: &Server) {
    for _ in 0..20 {
        serving(server);
    }
}

/// Puts a bad file in place and waits for the line that says so.
fn refused(server: &Server, file: &Path, stage: &str, bytes: &[u8]) {
    let mark = server.log().mark();
    let bad = staged(server, "bad.so", bytes);
    fs::rename(bad, file).expect("the same file system");
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
