//! A plugin is its manifest name, not its file: of two that claim one name, the one that serves stays.

use std::fs;

use crate::support::plugins::{echo, marker, replaced};
use crate::support::{Frame, Server, Setup};

#[test]
fn of_two_files_with_one_plugin_name_the_one_that_serves_stays_and_the_other_is_refused_with_both_paths()
 {
    let server = Server::with([&echo()]);
    let mark = server.log().mark();
    let mut changed = fs::read(echo()).expect("a built plugin");
    changed.extend_from_slice(b"other bytes");
    fs::write(server.directory().join("second"), changed).expect("a fresh directory");
    server.drop_in(&server.directory().join("second"), "second.so");
    let line = server.await_log(mark, |line| line.is_error() && line.mentions("second.so"));
    assert!(line.mentions("libecho.so"), "{line:?}");
    assert_eq!(line.text("stage"), "names", "{line:?}");
    server.assert_echoes();
}

#[test]
fn of_two_plugins_with_one_protocol_the_one_that_serves_stays_and_the_other_is_refused_with_both_paths()
 {
    let setup = Setup::new();
    fs::write(setup.plugin_directory().join("marker.so"), marker(1)).expect("a fresh directory");
    let server = setup.start();
    let mark = server.log().mark();
    let old = b"\"plugin\":\"fixture-marker\"";
    let new = b"\"plugin\":\"fixture-rival1\"";
    let rival = replaced(&marker(2), old, new);
    fs::write(server.directory().join("rival"), rival).expect("a fresh directory");
    server.drop_in(&server.directory().join("rival"), "rival.so");
    let line = server.await_log(mark, |line| line.is_error() && line.mentions("rival.so"));
    assert!(line.mentions("marker.so"), "{line:?}");
    assert_eq!(line.text("stage"), "names", "{line:?}");
    let mut peer = server.open("/marker");
    peer.frames(&[Frame::binary("")]);
    assert!(peer.frame().as_text().ends_with("0000001"));
}
