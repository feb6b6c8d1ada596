//! The control socket and the commands that use it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::support::frame::TEXT;
use crate::support::lines::LogLine;
use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::server::{hotsocket, output_of};
use crate::support::{DEADLINE, DeflatePeer, Server, Setup};

fn list(server: &Server) -> Vec<Value> {
    let output = server.command(["plugin", "list", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a JSON list")
}

#[test]
fn plugin_list_tells_name_version_generation_state_sessions_and_file() {
    let server = Server::with([&echo(), &plugin("two_protocols")]);
    let mut peers: Vec<_> = (0..3).map(|_| server.open("/echo")).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask("hello"), "hello");
    }
    let rows = list(&server);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let row = rows
        .iter()
        .find(|row| row["name"] == "echo")
        .expect("it is listed");
    assert_eq!(row["version"], env!("CARGO_PKG_VERSION"), "{row}");
    assert_eq!(row["generation"], 1, "{row}");
    assert_eq!(row["state"], "serving", "{row}");
    assert_eq!(row["sessions"], 3, "{row}");
    let file = row["file"].as_str().expect("a path");
    assert!(file.ends_with("libecho.so"), "{row}");

    let table = server.command(["plugin", "list"]);
    let told = String::from_utf8_lossy(&table.stdout);
    for part in ["echo", "serving", "fixture-two-protocols"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn plugin_list_tells_what_plugins_count_over_all_their_generations() {
    let server = Server::with([&echo(), &plugin("permessage_deflate")]);
    let counted = |made: u64| {
        let mut peer = DeflatePeer::open(server.address(), "/echo", "permessage-deflate");
        peer.echo(TEXT, &b"counted ".repeat(1000));
        let rows = list(&server);
        let of = |name: &str| {
            let own = rows.iter().filter(|row| row["name"] == name);
            own.map(|row| row["counters"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of("echo"), [json!({})]);
        for counters in of("permessage-deflate") {
            assert_eq!(counters["compressors_made"], made, "{rows:?}");
        }
        peer
    };
    let _first = counted(1);
    let reloaded = server.command(["plugin", "reload", "permessage-deflate"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    let _second = counted(2);
    let table = server.command(["plugin", "list"]);
    let told = String::from_utf8_lossy(&table.stdout);
    let line = told
        .lines()
        .find(|line| line.contains(" compressors_made "));
    let words: Vec<_> = line.expect("it is shown").split_whitespace().collect();
    assert_eq!(words, ["permessage-deflate", "compressors_made", "2"]);
}

#[test]
fn plugin_reload_makes_a_new_generation_and_the_old_one_drains() {
    let server = Server::with([&echo()]);
    let mut old = server.open("/echo");
    assert_eq!(old.ask("hello"), "hello");
    let output = server.command(["plugin", "reload", "echo"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(old.ask("still here"), "still here");
    let rows = list(&server);
    let state = |generation: u32| {
        let row = rows.iter().find(|row| row["generation"] == generation);
        row.map(|row| row["state"].clone())
    };
    assert_eq!(state(2), Some("serving".into()), "{rows:?}");
    assert_eq!(state(1), Some("draining".into()), "{rows:?}");
    server.assert_echoes();
}

#[test]
fn reloading_a_plugin_that_is_not_there_is_an_error_that_names_it() {
    let server = Server::with([&echo()]);
    let output = server.command(["plugin", "reload", "ecko"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("ecko"), "{told}");
}

#[test]
fn levels_change_while_the_host_runs() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    let mut speaks_for_debugging = || {
        let mark = server.log().mark();
        peer.text("level");
        peer.text("level");
        // The error is logged at every level, and the line for debugging would stand between the two.
        let errors = || {
            server
                .logged(mark, |line| line.mentions("probe logs an error"))
                .len()
        };
        eventually("both errors are logged", DEADLINE, || errors() == 2);
        let debugging = |line: &LogLine| line.mentions("probe logs for debugging");
        !server.logged(mark, debugging).is_empty()
    };
    assert!(!speaks_for_debugging());
    let output = server.command(["log", "debug", "--plugin", "fixture-probe"]);
    assert!(output.status.success(), "{output:?}");
    assert!(speaks_for_debugging());
    server.command(["log", "error", "--plugin", "fixture-probe"]);
    assert!(!speaks_for_debugging());
}

#[test]
fn the_control_socket_belongs_to_its_user_alone() {
    let server = Server::with([&echo()]);
    let socket = server.directory().join("control.sock");
    let mode = fs::metadata(&socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_is_no_request_is_answered_with_an_error_and_the_next_client_is_served() {
    let server = Server::with([&echo()]);
    for line in [
        "nonsense\n",
        "{}\n",
        "[1,2]\n",
        "{\"request\":\"destroy\"}\n",
        "\n",
    ] {
        let mut client =
            UnixStream::connect(server.directory().join("control.sock")).expect("the host answers");
        client.write_all(line.as_bytes()).expect("it reads");
        let mut answer = String::new();
        BufReader::new(client)
            .read_line(&mut answer)
            .expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("a JSON line");
        assert_eq!(answer["ok"], false, "{line:?}: {answer}");
        assert!(answer["error"].is_string(), "{line:?}: {answer}");
    }
    assert_eq!(list(&server).len(), 1);
}

#[test]
fn a_client_that_says_nothing_keeps_nobody_waiting_for_ever() {
    let config = crate::support::Config::new().limit("control_request_ms", 300);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let _silent = UnixStream::connect(server.directory().join("control.sock"));
    assert_eq!(list(&server).len(), 1);
}

#[test]
fn a_command_without_control_takes_the_only_live_host_and_with_several_lists_them() {
    let run = tempfile::tempdir().expect("a temporary directory");
    let host = || {
        let setup = Setup::new().plugin(&echo());
        setup
            .own_control_socket()
            .environment("XDG_RUNTIME_DIR", run.path())
            .start()
    };
    let list = || {
        let mut command = hotsocket();
        command
            .args(["plugin", "list"])
            .env("XDG_RUNTIME_DIR", run.path());
        command.env("TMPDIR", run.path());
        output_of(command)
    };
    let none = list();
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    let _first = host();
    let one = list();
    assert!(one.status.success(), "{one:?}");
    assert!(
        String::from_utf8_lossy(&one.stdout).contains("echo"),
        "{one:?}"
    );
    let _second = host();
    let several = list();
    assert_eq!(several.status.code(), Some(2), "{several:?}");
    let told = String::from_utf8_lossy(&several.stderr);
    assert_eq!(told.matches(".sock").count(), 2, "{told}");
}

#[test]
fn the_socket_of_a_host_that_died_is_taken_over_and_that_of_a_live_one_is_not() {
    let server = Server::with([&echo()]);
    let socket = server
        .directory()
        .join("control.sock")
        .display()
        .to_string();
    let second = Setup::new()
        .arguments(["--control", &socket])
        .own_control_socket()
        .run();
    assert_ne!(second.status.code(), Some(0), "{second:?}");
    assert!(
        String::from_utf8_lossy(&second.stderr).contains(&socket),
        "{second:?}"
    );

    let died = tempfile::tempdir().expect("a temporary directory");
    let socket = died.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a fresh name"));
    let socket = socket.display().to_string();
    let setup = Setup::new().own_control_socket().plugin(&echo());
    setup
        .arguments(["--control", &socket])
        .start()
        .assert_echoes();
}
