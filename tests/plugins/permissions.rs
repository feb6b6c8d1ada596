//! Files that others could have written are not loaded.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::plugins::{echo, plugin};
use crate::support::{Server, Setup};

fn refused(server: &Server, file: &str) {
    let line = server.await_log(0, |line| line.is_error() && line.mentions(file));
    assert_eq!(line.text("stage"), "permissions", "{line:?}");
    assert!(line.text("mend").contains("chmod"), "{line:?}");
}

#[test]
fn a_world_writable_file_is_refused_and_the_others_are_served() {
    let setup = Setup::new().plugin(&echo()).plugin(&plugin("probe"));
    let file = setup.plugin_directory().join("libprobe.so");
    fs::set_permissions(&file, Permissions::from_mode(0o777)).expect("ours");
    let server = setup.start();
    refused(&server, "libprobe.so");
    assert_eq!(server.connect().handshake("/probe", &[]).status, 404);
    server.assert_echoes();
}

#[test]
fn a_world_writable_directory_is_refused_with_all_that_is_in_it() {
    let setup = Setup::new().plugin(&echo());
    let directory = setup.plugin_directory();
    fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("ours");
    let server = setup.start();
    refused(&server, "plugins");
    assert_eq!(server.connect().handshake("/echo", &[]).status, 404);
}
