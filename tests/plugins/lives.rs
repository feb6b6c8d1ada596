//! What is made is freed: instances, their states per service thread, sessions. And what a plugin does that does not
//! come back from its hooks.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Frame, Server, Setup};

/// What `protocol` told from `mark` on, in order: the hook and the thread it was called on.
fn told(server: &Server, mark: usize, protocol: &str) -> Vec<(String, String)> {
    let lines = server.logged(mark, |line| {
        line.text("message").starts_with(&format!("{protocol} "))
    });
    let told = lines.iter().map(|line| {
        let text = line.text("message");
        let text = text
            .strip_prefix(&format!("{protocol} "))
            .expect("filtered");
        let (hook, thread) = text.split_once(" on ").expect("the fixture says where");
        (hook.to_owned(), thread.to_owned())
    });
    told.collect()
}

fn hooks(server: &Server, mark: usize, protocol: &str) -> Vec<String> {
    let told = told(server, mark, protocol);
    told.into_iter().map(|(hook, _)| hook).collect()
}

fn trouble(protocol: &str, what: &str) -> Config {
    Config::new().options(protocol, json!({"trouble": what}))
}

fn setup(config: &Config) -> Setup {
    Setup::new()
        .plugin(&plugin("lives"))
        .plugin(&echo())
        .config(config)
}

#[test]
fn seed_5_13_seed_9_7_seed_9_8_an_instance_outlives_its_sessions_and_thread_states_and_each_is_freed_once_where_it_belongs()
 {
    let server = setup(&Config::new()).start();
    let mut peer = server.open("/life");
    assert_eq!(peer.ask("one"), "one");
    let text = trouble("life", "none").text();
    fs::write(server.config_file(), text).expect("our own file");
    server.signal(Signal::HUP);
    eventually("the old instance is retired", DEADLINE, || {
        hooks(&server, 0, "life").contains(&"retire".into())
    });
    assert_eq!(peer.ask("two"), "two");
    peer.close();
    eventually("the old instance is gone", DEADLINE, || {
        hooks(&server, 0, "life").contains(&"drop instance".into())
    });
    assert_eq!(
        hooks(&server, 0, "life"),
        [
            "new",
            "thread",
            "open",
            "message",
            "new",
            "retire",
            "message",
            "close",
            "drop",
            "drop thread",
            "drop instance"
        ]
    );
    let told = told(&server, 0, "life");
    let service = &told[1].1;
    for (at, (hook, thread)) in told.iter().enumerate() {
        let is_service = !["new", "retire", "drop instance"].contains(&&**hook);
        assert_eq!(thread == service, is_service, "{at}: {hook}");
    }
    assert_eq!(hooks(&server, 0, "afterlife"), ["new"]);
}

#[test]
fn seed_5_4_a_session_begins_once_its_handshake_is_done_and_not_before() {
    let server = setup(&Config::new()).start();
    let mut peer = server.connect();
    let plain = peer.request("GET", "/life", &[]);
    assert_eq!(plain.status, 426, "{plain:?}");
    assert_eq!(hooks(&server, 0, "life"), ["new"]);
    assert_eq!(peer.handshake("/life", &[]).status, 101);
    eventually("the session begins", DEADLINE, || {
        hooks(&server, 0, "life") == ["new", "thread", "open"]
    });
    assert_eq!(peer.ask("hello"), "hello");
    let expected = ["new", "thread", "open", "message"];
    eventually("the message is told", DEADLINE, || {
        hooks(&server, 0, "life") == expected
    });
}

#[test]
fn what_a_version_has_made_before_it_is_refused_is_freed() {
    let server = setup(&trouble("afterlife", "fail in new")).start();
    server.await_log(0, |line| line.mentions("told to fail in new"));
    eventually("the first instance is gone", DEADLINE, || {
        hooks(&server, 0, "life").len() == 2
    });
    assert_eq!(hooks(&server, 0, "life"), ["new", "drop instance"]);
    assert_eq!(server.connect().handshake("/life", &[]).status, 404);
    server.assert_echoes();
}

#[test]
fn a_plugin_that_did_not_take_its_options_is_served_once_the_config_is_mended() {
    let server = setup(&trouble("afterlife", "fail in new")).start();
    fs::write(server.config_file(), "{}").expect("our own file");
    server.signal(Signal::HUP);
    server.await_log(0, |line| {
        line.text("plugin") == "fixture-lives" && line.mentions("installed")
    });
    assert_eq!(server.open("/afterlife").ask("hello"), "hello");
}

#[test]
fn a_panic_in_any_hook_of_an_instance_changes_nothing_else() {
    for hook in ["retire", "drop instance", "thread", "drop thread"] {
        let server = setup(&trouble("life", &format!("panic in {hook}"))).start();
        match hook {
            "thread" => assert_eq!(server.connect().handshake("/life", &[]).status, 500),
            _ => server.open("/life").close(),
        }
        fs::write(server.config_file(), "{}").expect("our own file");
        server.signal(Signal::HUP);
        let line = server.await_log(0, |line| {
            line.is_error() && line.mentions(&format!("told to panic in {hook}"))
        });
        assert_eq!(line.text("plugin"), "fixture-lives", "{line:?}");
        assert_eq!(line.text("protocol"), "life", "{line:?}");
        assert!(line.mentions("lives/src/lib.rs:"), "its place: {line:?}");
        assert_ne!(line.text("hook"), "", "{line:?}");
        eventually("the next instance serves", DEADLINE, || {
            server.connect().handshake("/life", &[]).status == 101
        });
        server.assert_echoes();
    }
}

#[test]
fn of_two_panics_in_one_hook_both_are_told() {
    let server = setup(&trouble("life", "panic in drop")).start();
    let mut peer = server.open("/life?twice");
    peer.expect_close(1011);
    let line = server.await_log(0, |line| line.mentions("told to panic in on_open"));
    assert!(line.mentions("told to panic in drop"), "{line:?}");
    assert_eq!(line.text("hook"), "open", "{line:?}");
}

#[test]
fn a_plugin_that_does_not_come_back_from_new_is_refused_and_the_host_serves() {
    let config = trouble("afterlife", "hang in new").limit("plugin_start_ms", 300);
    let server = setup(&config).start();
    let line = server.await_log(0, |line| line.text("stage") == "instance");
    assert!(line.text("cause").contains("plugin_start_ms"), "{line:?}");
    server.assert_echoes();
    assert_eq!(server.connect().handshake("/life", &[]).status, 404);
    // One that is asked for again hangs again, and no longer.
    let output = server.command(["plugin", "reload", "fixture-lives"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    server.assert_echoes();
}

#[test]
fn an_instance_that_does_not_come_back_from_its_end_holds_up_nothing() {
    for hook in ["retire", "drop instance"] {
        let config = trouble("life", &format!("hang in {hook}")).limit("plugin_start_ms", 300);
        let mut server = setup(&config).start();
        server.open("/life").close();
        let calm = Config::new().limit("plugin_start_ms", 300).text();
        fs::write(server.config_file(), calm).expect("our own file");
        server.signal(Signal::HUP);
        server.await_log(0, |line| {
            line.is_error() && line.mentions("plugin_start_ms")
        });
        assert_eq!(server.open("/life").ask("hello"), "hello");
        server.signal(Signal::TERM);
        assert_eq!(server.wait_exit().code(), Some(0), "{hook}");
    }
}

#[test]
fn a_signal_during_the_first_scan_ends_the_host_before_it_listens() {
    let config = trouble("life", "hang in new").limit("plugin_start_ms", 1000);
    let mut server = setup(&config).begin();
    eventually("the plugin hangs", DEADLINE, || {
        hooks(&server, 0, "life") == ["new"]
    });
    server.signal(Signal::TERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    assert_eq!(server.output().wait_end(DEADLINE), Vec::<String>::new());
}

#[test]
fn a_hook_that_does_not_come_back_keeps_no_host_from_ending() {
    let config = trouble("life", "hang in message").limit("drain_host_ms", 300);
    let mut server = setup(&config).start();
    let mut peer = server.open("/life");
    peer.frames(&[Frame::text("hang")]);
    eventually("the hook hangs", DEADLINE, || {
        hooks(&server, 0, "life").contains(&"message".into())
    });
    let asked = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait_exit().code(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(8));
    server.await_log(0, |line| line.is_error() && line.mentions("does not end"));
}

#[test]
fn sessions_that_are_open_when_the_host_stops_are_told_and_freed_before_their_instance() {
    let config = Config::new()
        .limit("close_ms", 60_000)
        .limit("drain_host_ms", 300);
    let mut server = setup(&config).start();
    let mut peer = server.open("/life");
    assert_eq!(peer.ask("hello"), "hello");
    server.signal(Signal::TERM);
    assert_eq!(server.wait_exit().code(), Some(0));
    server.log().wait_end(DEADLINE);
    assert_eq!(
        hooks(&server, 0, "life"),
        [
            "new",
            "thread",
            "open",
            "message",
            "close",
            "drop",
            "drop thread",
            "drop instance"
        ]
    );
}
