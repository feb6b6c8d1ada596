//! What the host tells: where its lines go, what they say, and which build it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use crate::support::lines::LogLine;
use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::server::{hotsocket, output_of};
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

/// A host with the plugin `probe`, whose log goes to `host.log` beside the config.
fn logging_to_a_file(format: &str) -> Server {
    let config = Config::new().key("log", json!({"file": "host.log", "format": format}));
    Setup::new()
        .plugin(&plugin("probe"))
        .config(&config)
        .start()
}

fn log_file(server: &Server) -> PathBuf {
    server.directory().join("host.log")
}

/// The lines of a file that are JSON objects.
fn lines_of(file: &Path) -> Vec<LogLine> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(LogLine::parse).collect()
}

fn eventually_in(file: &Path, needle: &str) {
    eventually(needle, DEADLINE, || {
        lines_of(file).iter().any(|line| line.mentions(needle))
    });
}

/// Has the plugin log an error and a line of information, and waits until it has.
fn have_logged(peer: &mut RawPeer) {
    peer.text("level");
    assert_eq!(peer.ask("queued"), "0");
}

#[test]
fn seed_11_1_the_log_goes_to_a_file_and_hup_lets_go_of_one_that_was_moved_away() {
    let server = logging_to_a_file("auto");
    let file = log_file(&server);
    eventually_in(&file, "hotsocket starts");
    assert_eq!(server.log().since(0), [""; 0]);
    let moved = server.directory().join("host.log.1");
    fs::rename(&file, &moved).expect("ours");
    server.signal(Signal::HUP);
    eventually_in(&file, "the config is applied");
    let is_open = |file: &PathBuf| server.process().open_files().contains(file);
    eventually("the moved file is let go of", DEADLINE, || !is_open(&moved));
    have_logged(&mut server.open("/probe"));
    eventually_in(&file, "probe logs an error");
    assert!(
        !fs::read_to_string(moved)
            .expect("ours")
            .contains("probe logs")
    );
}

#[test]
fn seed_11_1_a_file_may_be_for_eyes_and_has_all_lines_when_the_host_has_ended() {
    let mut server = logging_to_a_file("human");
    have_logged(&mut server.open("/probe"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    let text = fs::read_to_string(log_file(&server)).expect("ours");
    let ends = |end: &str| text.lines().any(|line| line.ends_with(end));
    assert!(text.contains("Z ERROR fixture-probe "), "{text}");
    assert!(
        text.contains("probe logs information connection="),
        "{text}"
    );
    assert!(
        ends("draining: nothing new is accepted, sessions are closed with 1001"),
        "{text}"
    );
}

#[test]
fn seed_11_1_a_full_disk_ends_nothing_and_standard_error_tells_what_is_lost() {
    let server = logging_to_a_file("json");
    let file = log_file(&server);
    let mut peer = server.open("/probe");
    have_logged(&mut peer);
    eventually_in(&file, "probe logs information");
    // Within the next line.
    bound_files(&server, Some(fs::metadata(&file).expect("ours").len() + 10));
    for _ in 0..10 {
        have_logged(&mut peer);
    }
    let told = |line: &LogLine| line.text("target") == "hotsocket::logging";
    let first = server.await_log(0, told);
    assert!(first.is_error() && first.mentions("log.file"), "{first:?}");
    let lost = || -> u64 {
        let lines = server.logged(0, told);
        lines
            .iter()
            .map(|line| line.text("lost_lines").parse::<u64>().expect("a count"))
            .sum()
    };
    eventually("all twenty are counted", DEADLINE, || lost() == 20);
    bound_files(&server, None);
    let before = lines_of(&file).len();
    have_logged(&mut peer);
    eventually("lines are written again", DEADLINE, || {
        lines_of(&file).len() == before + 2
    });
    assert_eq!(lost(), 20);
}

/// Lets the host write no file beyond so many bytes: what a disk without room looks like to it.
fn bound_files(server: &Server, bytes: Option<u64>) {
    let process = server.process().directory();
    let number = process
        .file_name()
        .and_then(|name| name.to_str()?.parse().ok());
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(number.and_then(Pid::from_raw), Resource::Fsize, limit).expect("our own child");
}

#[test]
fn seed_11_1_hup_takes_another_file_and_refuses_one_that_cannot_be_opened() {
    let server = logging_to_a_file("auto");
    let to = |file: &str| {
        let config = Config::new().key("log", json!({"file": file}));
        fs::write(server.config_file(), config.text()).expect("ours");
        server.signal(Signal::HUP);
    };
    to("missing/host.log");
    eventually_in(&log_file(&server), "log.file: ");
    to("other.log");
    eventually_in(
        &server.directory().join("other.log"),
        "the config is applied",
    );
    let mark = server.log().mark();
    to("-");
    server.await_log(mark, |line| line.mentions("the config is applied"));
}

#[test]
fn seed_11_1_check_tells_of_a_file_that_cannot_be_written_and_makes_none() {
    let setup = Setup::new().plugin(&echo());
    let check = |file: &str| {
        let config = Config::new().key("log", json!({"file": file}));
        fs::write(setup.config_file(), config.text()).expect("ours");
        let mut command = hotsocket();
        command
            .arg("check")
            .arg("--config")
            .arg(setup.config_file());
        command.arg("--plugins").arg(setup.plugin_directory());
        output_of(command)
    };
    let refused = check("missing/host.log");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(
        told.contains("log.file: ") && told.contains("missing/host.log"),
        "{told}"
    );
    assert!(check("host.log").status.success());
    assert!(!setup.config_file().with_file_name("host.log").exists());
}

#[test]
fn seed_11_1_errors_warnings_and_information_go_to_standard_error_until_a_level_changes() {
    // An empty plugin directory is worth a warning.
    let quiet = Setup::new().start();
    quiet.await_log(0, |line| line.text("level") == "warn");
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    have_logged(&mut peer);
    server.await_log(0, |line| line.mentions("probe logs information"));
    // Behind the lines in question stand two at the usual levels: once they are there, nothing else comes.
    let mut assert_levels = |set: &[&str], back: &[&str], expected: &[&str]| {
        let mark = server.log().mark();
        for change in [set, back] {
            let mut command = hotsocket();
            command.arg("log").args(change).arg("--control");
            command.arg(server.directory().join("control.sock"));
            assert!(output_of(command).status.success(), "{change:?}");
            have_logged(&mut peer);
        }
        let expected = [expected, &["error", "info"]].concat();
        eventually(&format!("{set:?}: {expected:?}"), DEADLINE, || {
            let lines = server.logged(mark, |line| line.mentions("probe logs"));
            let levels: Vec<String> = lines.iter().map(|line| line.text("level")).collect();
            levels == expected
        });
    };
    assert_levels(&["info"], &["default"], &["error", "info"]);
    let of_plugin = ["--plugin", "fixture-probe"];
    assert_levels(
        &[&["debug"], &of_plugin[..]].concat(),
        &[&["default"], &of_plugin[..]].concat(),
        &["error", "info", "debug"],
    );
    let of_target = ["--target", "plugin"];
    assert_levels(
        &[&["error"], &of_target[..]].concat(),
        &[&["default"], &of_target[..]].concat(),
        &["error"],
    );
    assert_levels(&["off"], &["default"], &[]);
}

#[test]
fn seed_11_1_a_line_of_a_plugin_names_plugin_version_generation_and_connection() {
    let config = Config::new().mount("/answers", json!({"protocol": "answers"}));
    let plugins = ["probe", "doorkeeper", "answers"].map(plugin);
    let setup = plugins
        .iter()
        .fold(Setup::new(), |setup, file| setup.plugin(file));
    let server = setup.config(&config).start();
    let mut connections = Vec::new();
    for mut peer in [server.open("/probe"), server.open("/probe")] {
        let mark = server.log().mark();
        let facts: Value = serde_json::from_str(&peer.ask("facts")).expect("JSON");
        have_logged(&mut peer);
        let line = server.await_log(mark, |line| line.mentions("probe logs an error"));
        assert_eq!(line.text("plugin"), "fixture-probe");
        assert_eq!(line.text("generation"), "1");
        assert!(!line.text("version").is_empty(), "{line:?}");
        assert_eq!(line.text("connection"), facts["id"].to_string());
        connections.push(line.text("connection"));
    }
    assert_ne!(connections[0], connections[1]);
    let mut client = server.connect();
    client.bytes(b"GET /answers/x HTTP/1.1\r\nHost: x\r\n\r\n");
    let line = server.await_log(0, |line| line.mentions("for /answers/x"));
    assert!(line.text("connection").parse::<u64>().is_ok(), "{line:?}");
    assert!(!connections.contains(&line.text("connection")));
    drop(server.open("/doorkeeper"));
    let line = server.await_log(0, |line| line.mentions("a desk is set up"));
    assert_eq!(
        line.text("connection"),
        "",
        "no connection's hook: {line:?}"
    );
}

#[test]
fn seed_11_2_the_time_of_a_line_is_rfc_3339_in_utc_wherever_the_host_is() {
    for format in ["json", "human"] {
        let before = microseconds_now();
        let config = Config::new().key("log", json!({"format": format}));
        let setup = Setup::new().environment("TZ", "Asia/Kolkata");
        let server = setup.plugin(&echo()).config(&config).start();
        let line = server
            .log()
            .wait_after(0, DEADLINE, |line| Some(line.to_owned()));
        let line = line.expect("the host tells that it starts");
        let time = match LogLine::parse(&line) {
            Some(line) => line.text("time"),
            None => line.split(' ').next().expect("a word").to_owned(),
        };
        assert_eq!(time.len(), "2026-03-01T12:00:00.000042Z".len(), "{time}");
        assert!(time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
        let told = microseconds(&time);
        assert!((before..=microseconds_now()).contains(&told), "{time}");
    }
}

fn microseconds_now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("it is later").as_micros()
}

/// What another program reads in a time.
fn microseconds(time: &str) -> u128 {
    let output = Command::new("date").args(["-d", time, "+%s%6N"]).output();
    let said = output.expect("coreutils are there").stdout;
    let said = String::from_utf8(said).expect("digits");
    said.trim().parse().expect("a time that `date` can read")
}

#[test]
fn seed_11_3_library_commands_and_log_name_the_same_build() {
    let version = hotsocket::version();
    assert_eq!(version.number, env!("CARGO_PKG_VERSION"));
    let commit = version.commit.trim_end_matches("-dirty");
    let is_hash = commit.len() == 12 && commit.chars().all(|c| c.is_ascii_hexdigit());
    assert!(is_hash || version.commit == "unknown", "{version}");
    let (major, minor) = version.abi;
    let abi = format!("{major}.{minor}");

    let run = |arguments: &[&str]| {
        let mut command = hotsocket();
        command.args(arguments);
        String::from_utf8(output_of(command).stdout).expect("UTF-8")
    };
    assert_eq!(run(&["--version"]), format!("hotsocket {version}\n"));
    let object: Value = serde_json::from_str(&run(&["version", "--json"])).expect("JSON");
    let named = json!({"version": version.number, "git": version.commit, "abi": abi});
    assert_eq!(object, named);
    for part in [version.number, version.commit, &abi] {
        assert!(run(&["version"]).contains(part), "{part}");
    }
    let file = echo().display().to_string();
    let seen: Value =
        serde_json::from_str(&run(&["plugin", "inspect", "--json", &file])).expect("JSON");
    assert_eq!(seen["abi"], abi);

    let server = Server::with([&echo()]);
    let line = server.await_log(0, |line| line.mentions("hotsocket starts"));
    for (name, said) in [
        ("version", version.number),
        ("git", version.commit),
        ("abi", &abi),
    ] {
        assert_eq!(line.text(name), said, "{line:?}");
    }
}
