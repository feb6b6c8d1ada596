//! Who may use the control socket: the user of the host and root for all, the `control_group` to look and to publish.
//!
//! Only root can ask as somebody else. Without root these tests assert what holds then for one user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{getegid, geteuid};
use tempfile::TempDir;

use crate::support::plugins::plugin;
use crate::support::server::{hotsocket, output_of};
use crate::support::{Config, Frame, Server, Setup};

/// A user and a group that no machine gives to anybody.
const STRANGER: u32 = 2_000_000_011;
/// See [`STRANGER`].
const GROUP: u32 = 2_000_000_012;
/// See [`STRANGER`].
const OTHER_GROUP: u32 = 2_000_000_013;

/// The binary where everybody can run it.
struct Program(TempDir);

impl Program {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        open(place.path().into(), 0o755);
        fs::copy(hotsocket().get_program(), place.path().join("hotsocket")).expect("there is room");
        Self(place)
    }

    /// Runs a command against the host as somebody else, with this primary group and these others.
    fn run(&self, server: &Server, group: u32, groups: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={STRANGER}"));
        command.arg(format!("--regid={group}"));
        match groups {
            "" => command.arg("--clear-groups"),
            _ => command.arg(format!("--groups={groups}")),
        };
        command.arg(self.0.path().join("hotsocket")).args(arguments);
        command.arg("--control").arg(socket_of(server));
        output_of(command)
    }
}

fn open(path: PathBuf, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn socket_of(server: &Server) -> PathBuf {
    server.directory().join("control.sock")
}

/// A host with this config whose directory everybody can enter.
fn server(config: &Config) -> Server {
    let setup = Setup::new().plugin(&plugin("broadcast"));
    let server = setup.config(config).start();
    open(server.directory().into(), 0o755);
    server
}

const PUBLISH: &[&str] = &["publish", "--protocol", "broadcast"];

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// Asserts that a command was refused, with this in what it says.
fn assert_refused(output: &Output, expected: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains(expected), "{said}");
}

#[test]
fn seed_6_12_who_is_neither_the_user_of_the_host_nor_root_is_refused_whatever_the_mode_says() {
    let server = server(&Config::new());
    let mut member = server.open("/broadcast");
    assert_done(&server.command(["publish", "--protocol", "broadcast"]));
    assert_eq!(member.frame(), Frame::text(""));
    if !geteuid().is_root() {
        let mode = fs::metadata(socket_of(&server))
            .expect("it is there")
            .mode();
        return assert_eq!(mode & 0o777, 0o600);
    }
    let program = Program::new();
    for arguments in [PUBLISH, &["plugin", "list"], &["log"]] {
        let output = program.run(&server, OTHER_GROUP, "", arguments);
        assert_refused(&output, "ermission denied");
    }
    // Somebody has opened the file to all: the host looks who it is.
    open(socket_of(&server), 0o666);
    for arguments in [PUBLISH, &["plugin", "list"], &["log"]] {
        let output = program.run(&server, OTHER_GROUP, "", arguments);
        assert_refused(
            &output,
            &format!("user {STRANGER} may not ask this host for anything"),
        );
        assert_refused(&output, "`control_group`");
    }
    assert_done(&server.command(["publish", "--protocol", "broadcast", "--binary"]));
    assert_eq!(member.frame(), Frame::binary(""));
}

#[test]
fn seed_6_12_members_of_the_control_group_publish_and_look_and_change_nothing() {
    let is_root = geteuid().is_root();
    let group = if is_root { GROUP } else { getegid().as_raw() };
    let server = server(&Config::new().key("control_group", group.to_string()));
    let found = fs::metadata(socket_of(&server)).expect("it is there");
    assert_eq!((found.mode() & 0o777, found.gid()), (0o660, group));
    let mut member = server.open("/broadcast");
    assert_done(&server.command(["publish", "--protocol", "broadcast"]));
    assert_eq!(member.frame(), Frame::text(""));
    if !is_root {
        return;
    }
    let program = Program::new();
    let ids = format!("{OTHER_GROUP},{GROUP}");
    for (primary, groups) in [(GROUP, ""), (OTHER_GROUP, ids.as_str())] {
        for arguments in [PUBLISH, &["plugin", "list"], &["connections"], &["log"]] {
            assert_done(&program.run(&server, primary, groups, arguments));
        }
        assert_eq!(member.frame(), Frame::text(""));
        for arguments in [
            &["plugin", "reload", "broadcast"][..],
            &["log", "debug"],
            &["publish", "--protocol", "broadcast", "--notify"],
        ] {
            let output = program.run(&server, primary, groups, arguments);
            assert_refused(&output, "may publish and look, and change nothing");
        }
    }
    open(socket_of(&server), 0o666);
    let output = program.run(&server, OTHER_GROUP, "", PUBLISH);
    assert_refused(&output, "may not ask this host for anything");
}

#[test]
fn seed_6_12_a_host_that_may_not_give_its_socket_to_the_group_does_not_start_and_leaves_none() {
    if !geteuid().is_root() {
        let config = Config::new().key("control_group", GROUP.to_string());
        let output = Setup::new().config(&config).run();
        return assert_refused(&output, "cannot be given to group");
    }
    let config = Config::new().key("control_group", GROUP.to_string()).key(
        "run_as",
        serde_json::json!({"user": STRANGER.to_string(), "group": OTHER_GROUP.to_string()}),
    );
    let setup = Setup::new();
    let place = tempfile::tempdir().expect("a temporary directory");
    open(place.path().into(), 0o755);
    let plugins = setup.plugin_directory();
    open(plugins.parent().expect("it is in one").into(), 0o755);
    chown(place.path(), Some(STRANGER), Some(OTHER_GROUP)).expect("root may");
    let socket = place.path().join("control.sock");
    let path = socket.display().to_string();
    let setup = setup.own_control_socket().arguments(["--control", &path]);
    let output = setup
        .environment("TMPDIR", place.path())
        .config(&config)
        .run();
    assert_refused(
        &output,
        &format!("cannot be given to group {GROUP} (`control_group`)"),
    );
    assert!(!socket.exists());
}
