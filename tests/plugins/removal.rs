//! A plugin file is removed, or comes later.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::{DEADLINE, Server, Setup};

fn is_served(server: &Server, target: &str) -> bool {
    match server.connect().handshake(target, &[]).status {
        101 => true,
        404 => false,
        other => panic!("{target} is answered {other}"),
    }
}

#[test]
fn removal_stops_new_sessions_and_ends_none() {
    let server = Server::with([&echo(), &plugin("two_protocols")]);
    let mut old = server.open("/echo");
    fs::remove_file(server.plugin_file("libecho.so")).expect("it is there");
    eventually("new sessions are refused", DEADLINE, || {
        !is_served(&server, "/echo")
    });
    assert_eq!(old.ask("still here"), "still here");
    assert!(is_served(&server, "/first"));
}

#[test]
fn a_plugin_that_was_removed_can_come_back() {
    let server = Server::with([&echo()]);
    fs::remove_file(server.plugin_file("libecho.so")).expect("it is there");
    eventually("new sessions are refused", DEADLINE, || {
        !is_served(&server, "/echo")
    });
    server.drop_in(&echo(), "another_name.so");
    eventually("new sessions are served", DEADLINE, || {
        is_served(&server, "/echo")
    });
    server.assert_echoes();
}

#[test]
fn a_short_absence_is_no_removal() {
    // Half of what counts as removal: a machine that is too busy for that has shown nothing, and is asked again.
    const SHORT: Duration = Duration::from_secs(1);
    const WATCHED: Duration = Duration::from_secs(4);
    let server = Server::with([&echo()]);
    let (file, away) = (
        server.plugin_file("libecho.so"),
        server.directory().join("away"),
    );
    for _ in 0..10 {
        let gone = Instant::now();
        fs::rename(&file, &away).expect("it is there");
        let was_served = (0..20).all(|_| is_served(&server, "/echo"));
        fs::rename(&away, &file).expect("it is there");
        if gone.elapsed() < SHORT {
            assert!(was_served);
            while gone.elapsed() < WATCHED {
                assert!(
                    is_served(&server, "/echo"),
                    "withdrawn after {:?}",
                    gone.elapsed()
                );
            }
            return;
        }
        eventually("it is served again", DEADLINE, || {
            is_served(&server, "/echo")
        });
    }
    panic!("the machine is too busy to take a file away for less than {SHORT:?}");
}

#[test]
fn a_plugin_dropped_into_a_running_host_is_served() {
    let server = Server::with([]);
    assert!(!is_served(&server, "/echo"));
    server.drop_in(&echo(), "libecho.so");
    eventually("it is served", DEADLINE, || is_served(&server, "/echo"));
    server.assert_echoes();
}

#[test]
fn a_directory_that_was_removed_and_made_again_is_watched_again() {
    let server = Server::with([&echo()]);
    let directory = server.plugin_file("");
    fs::remove_dir_all(&directory).expect("ours");
    eventually("new sessions are refused", DEADLINE, || {
        !is_served(&server, "/echo")
    });
    fs::create_dir(&directory).expect("ours");
    server.drop_in(&echo(), "libecho.so");
    eventually("it is served", DEADLINE, || is_served(&server, "/echo"));
}

#[test]
fn files_that_are_hidden_or_no_libraries_are_not_looked_at() {
    let setup = Setup::new().plugin(&echo());
    for name in [".hidden.so", "README.md", "libecho.so.bak", "libecho.d"] {
        fs::write(setup.plugin_directory().join(name), "text").expect("a fresh directory");
    }
    let server = setup.start();
    server.assert_echoes();
    for name in ["hidden", "README", "bak", "libecho.d"] {
        let lines = server.logged(0, |line| line.mentions(name));
        assert!(lines.is_empty(), "{lines:?}");
    }
}
