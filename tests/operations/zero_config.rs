//! Without a configuration everything works, and is safe.

use std::process::Command;

use crate::support::plugins::{echo, plugin};
use crate::support::server::hotsocket;
use crate::support::{Config, DEADLINE, Server, Setup};

#[test]
fn every_protocol_found_is_served_as_soon_as_the_host_says_that_it_listens() {
    for _ in 0..5 {
        let server = Server::with([&echo(), &plugin("broadcast"), &plugin("two_protocols")]);
        for target in ["/echo", "/broadcast", "/first", "/second"] {
            assert_eq!(
                server.connect().handshake(target, &[]).status,
                101,
                "{target}"
            );
        }
    }
}

#[test]
fn standard_output_says_where_it_listens_and_nothing_else() {
    let server = Server::with([&echo()]);
    server.assert_echoes();
    let expected = format!("listening on ws://{}", server.address());
    assert_eq!(server.output().since(0), [expected]);
}

#[test]
fn each_line_of_the_log_is_a_json_object_when_nobody_watches() {
    let server = Server::with([&echo()]);
    server.await_log(0, |line| line.mentions("echo"));
    for line in server.log().since(0) {
        assert!(
            crate::support::lines::LogLine::parse(&line).is_some(),
            "{line}"
        );
    }
}

#[test]
fn a_line_about_a_plugin_names_plugin_version_and_generation() {
    let server = Server::with([&echo()]);
    let line = server.await_log(0, |line| line.text("plugin") == "echo");
    assert_eq!(line.text("version"), env!("CARGO_PKG_VERSION"), "{line:?}");
    assert_eq!(line.text("generation"), "1", "{line:?}");
}

#[test]
fn a_directory_without_plugins_gets_one_hint_that_names_the_flag() {
    let server = Setup::new().start();
    let is_hint = |line: &crate::support::lines::LogLine| line.mentions("--plugins target/release");
    server.await_log(0, is_hint);
    assert_eq!(server.logged(0, is_hint).len(), 1);
}

#[test]
fn the_page_at_the_root_lets_a_browser_talk_to_the_plugins() {
    let server = Server::with([&echo(), &plugin("broadcast"), &plugin("increment")]);
    let response = server.connect().request("GET", "/", &[]);
    assert_eq!(response.status, 200, "{response:?}");
    let kind = response.field("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "{kind}");
    for name in ["echo", "broadcast", "increment"] {
        assert!(response.body.contains(name), "{name}");
    }
    let linked = ["src=\"http", "href=\"http", "@import"];
    assert!(linked.iter().all(|link| !response.body.contains(link)));
}

#[test]
fn other_plain_requests_are_not_found() {
    let server = Server::with([&echo()]);
    for target in ["/nothing", "/index.html", "/../etc/passwd", "/favicon.ico"] {
        let status = server.connect().request("GET", target, &[]).status;
        assert!(matches!(status, 400 | 404), "{target}: {status}");
    }
}

#[test]
fn a_config_with_only_limits_still_serves_every_protocol() {
    let config = Config::new().limit("message_bytes", 1000);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    server.assert_echoes();
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_the_environment() {
    let setup = Setup::new().plugin(&echo());
    let config = Config::new()
        .key("threads", 64)
        .key("plugins", "/no/such/directory");
    // Flags name the plugin directory and two threads; the environment must not win over them.
    let server = setup
        .config(&config)
        .environment("HOTSOCKET_PLUGINS", "/no/such/directory/either")
        .environment("HOTSOCKET_THREADS", "64")
        .start();
    server.assert_echoes();
    let threads = server.process().wakes().len();
    assert!(threads < 32, "{threads} threads");
}

#[test]
fn a_host_without_any_argument_listens_on_loopback_only() {
    let mut command: Command = hotsocket();
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("plugins")).expect("a fresh directory");
    command
        .arg("serve")
        .current_dir(directory.path())
        .env("XDG_RUNTIME_DIR", directory.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the server can be started");
    let output = crate::support::lines::Lines::follow(child.stdout.take().expect("piped"));
    let log = crate::support::lines::Lines::follow(child.stderr.take().expect("piped"));
    let line = output.wait_after(0, DEADLINE, |line| Some(line.to_owned()));
    child.kill().expect("ours");
    child.wait().expect("ours");
    match line {
        Some(line) => assert_eq!(line, "listening on ws://127.0.0.1:7681"),
        // Another program has the port: then that is what is told.
        None => assert!(log.wait_end(DEADLINE).concat().contains("127.0.0.1:7681")),
    }
}
