//! A third party's plugin, copied out of the repository, is built and served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::plugins::{copy_tree, repository, target_directory};
use crate::support::process::eventually;
use crate::support::{DEADLINE, Server};

#[test]
fn the_template_copied_elsewhere_builds_to_a_plugin_that_a_running_host_picks_up() {
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    copy_tree(
        &repository().join("examples/plugin-template"),
        elsewhere.path(),
    );
    let library = build(elsewhere.path());

    let server = Server::with([]);
    server.drop_in(&library, "guestbook.so");
    eventually("it is served", DEADLINE, || {
        server.connect().handshake("/guestbook", &[]).status == 101
    });
}

/// Builds the copy with the line of the README that points it at this checkout.
fn build(package: &Path) -> PathBuf {
    let target = target_directory().join("template");
    let line = line_of_the_readme();
    // The lock file of the workspace holds the versions that are known to be at hand.
    fs::copy(repository().join("Cargo.lock"), package.join("Cargo.lock")).expect("ours");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--offline", "--quiet", "--config", &line]);
    command
        .arg("--target-dir")
        .arg(&target)
        .current_dir(package);
    let output = command.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    target.join("debug/libguestbook.so")
}

/// What the README gives to `--config`, with the place of this checkout in it.
fn line_of_the_readme() -> String {
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let (_, behind) = readme
        .split_once("cargo build --release --config '")
        .expect("the README shows the line");
    let (line, _) = behind.split_once('\'').expect("the line ends");
    let checkout = repository().display().to_string();
    let placed = line.replace("/path/to/hotsocket", &checkout);
    assert_ne!(placed, line, "the README no longer says /path/to/hotsocket");
    placed
}
