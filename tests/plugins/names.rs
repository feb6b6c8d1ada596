//! A plugin is its manifest name, not its file: of two that claim one name, the one that serves stays.

use std::fs;

use crate::support::Server;
use crate::support::plugins::{echo, marker, marker_text, replaced};

use super::marker_versions::{serving, setup, staged};

#[test]
fn of_two_files_with_one_plugin_name_the_one_that_serves_stays_and_the_other_is_refused_with_both_paths()
 {
    let server = Server::with([&echo()]);
    let mark = server.log().mark();
    let mut changed = fs::read(echo()).expect("a built plugin");
    changed.extend_from_slice(b"other bytes");
    server.drop_in(&staged(&server, "second.so", &changed), "second.so");
    let line = server.await_log(mark, |line| line.is_error() && line.mentions("second.so"));
    assert!(line.mentions("libecho.so"), "{line:?}");
    assert_eq!(line.text("stage"), "names", "{line:?}");
    server.assert_echoes();
}

#[test]
fn of_two_plugins_with_one_protocol_the_one_that_serves_stays_and_the_other_is_refused_with_both_paths()
 {
    let server = setup().start();
    let mark = server.log().mark();
    let old = b"\"plugin\":\"fixture-marker\"";
    let new = b"\"plugin\":\"fixture-rival1\"";
    let rival = replaced(&marker(2), old, new);
    server.drop_in(&staged(&server, "rival.so", &rival), "rival.so");
    let line = server.await_log(mark, |line| line.is_error() && line.mentions("rival.so"));
    assert!(line.mentions("marker.so"), "{line:?}");
    assert_eq!(line.text("stage"), "names", "{line:?}");
    assert_eq!(serving(&server), marker_text(0));
}
