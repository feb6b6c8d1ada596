//! Servers with the plugin `marker`, whose versions can be told apart.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use crate::support::frame::BINARY;
use crate::support::plugins::{marker, marker_text};
use crate::support::raw_peer::RawPeer;
use crate::support::{DEADLINE, Frame, Server, Setup};

/// A server that will have version 0.
pub(crate) fn setup() -> Setup {
    let setup = Setup::new();
    fs::write(setup.plugin_directory().join("marker.so"), marker(0)).expect("a fresh directory");
    setup
}

/// Writes a file on the same file system, beside the plugin directory.
pub(crate) fn staged(server: &Server, name: &str, bytes: &[u8]) -> PathBuf {
    let directory = server.directory().join("versions");
    fs::create_dir_all(&directory).expect("ours");
    let file = directory.join(name);
    fs::write(&file, bytes).expect("there is room");
    file
}

/// Makes these bytes the plugin file, whole from the first moment.
pub(crate) fn put(server: &Server, bytes: &[u8]) {
    let file = staged(server, "next.so", bytes);
    fs::rename(file, server.plugin_file("marker.so")).expect("the same file system");
}

/// The version that serves this session.
pub(crate) fn version_of(peer: &mut RawPeer) -> String {
    peer.frames(&[Frame::binary("")]);
    loop {
        let frame = peer.frame();
        if frame.opcode == BINARY {
            return frame.as_text();
        }
    }
}

/// The version that a fresh session gets.
pub(crate) fn serving(server: &Server) -> String {
    version_of(&mut server.open("/marker"))
}

/// Opens sessions until one is served by this version, and says when.
pub(crate) fn await_version(server: &Server, version: u32) -> Instant {
    let wanted = marker_text(version);
    let end = Instant::now() + DEADLINE;
    loop {
        let mut peer = server.connect();
        let status = peer.handshake("/marker", &[]).status;
        let found = (status == 101).then(|| version_of(&mut peer));
        if found.as_ref() == Some(&wanted) {
            return Instant::now();
        }
        assert!(Instant::now() < end, "{found:?} serves, and not {wanted}");
    }
}
