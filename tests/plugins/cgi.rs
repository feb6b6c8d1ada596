//! The handler `cgi` in the real server, with real programs: those of its own tests.

use std::fs;
use std::path::PathBuf;
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::http::answer::Answer;
use crate::http::peer::HttpPeer;
use crate::support::plugins::{plugin, replaced, repository};
use crate::support::process::{eventually, runs};
use crate::support::{Config, DEADLINE, Server, Setup};

/// A server with the programs at `/cgi-bin`.
struct Programs {
    server: Server,
    /// Where some programs write the numbers of their processes.
    pids: PathBuf,
}

impl Programs {
    fn start() -> Self {
        Self::with(Config::new(), 30_000)
    }

    fn with(config: Config, timeout_ms: u64) -> Self {
        let setup = Setup::new().plugin(&plugin("cgi"));
        let pids = setup.config_file().with_file_name("pids");
        let options = json!({
            "directory": repository().join("plugins/cgi/tests/scripts"),
            "environment": {"PIDS": pids, "GREETING": "hello"},
            "timeout_ms": timeout_ms,
        });
        let config = config
            // A client that closes looks like one that only ends its side, for so long.
            .limit("half_closed_ms", 300)
            .mount("/cgi-bin", json!({"protocol": "cgi"}))
            .options("cgi", options);
        let server = setup
            .environment("HOTSOCKET_OWN", "nobody's business")
            .config(&config)
            .start();
        Self { server, pids }
    }

    fn peer(&self) -> HttpPeer {
        HttpPeer::connect(self.server.address())
    }

    fn ask(&self, script: &str, fields: &str) -> Answer {
        let target = format!("/cgi-bin/{script}");
        self.peer().ask("GET", &target, fields)
    }

    /// A peer that has asked for a script.
    fn asking(&self, script: &str) -> HttpPeer {
        let mut peer = self.peer();
        peer.send(format!(
            "GET /cgi-bin/{script} HTTP/1.1\r\nHost: test\r\n\r\n"
        ));
        peer
    }

    /// The processes whose numbers a program writes, once it has.
    fn processes(&self) -> Vec<u32> {
        let read = || fs::read_to_string(&self.pids).unwrap_or_default();
        eventually("a note of the processes", DEADLINE, || {
            read().ends_with('\n')
        });
        let text = read();
        fs::remove_file(&self.pids).expect("it is there");
        let numbers = text.split_whitespace();
        numbers.map(|pid| pid.parse().expect("a number")).collect()
    }
}

fn await_end(processes: &[u32]) {
    eventually("the end of all processes", DEADLINE, || {
        !processes.iter().any(|pid| runs(*pid))
    });
}

#[test]
fn seed_4_19_a_program_is_told_its_request_and_nothing_of_the_host() {
    let programs = Programs::start();
    let answer = programs.ask(
        "environment/more%20of/it?a=%20b",
        "X-Own: 1\r\nAuthorization: Basic secret\r\nProxy: http://evil.example/\r\n",
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.field("Content-Type"), Some("text/plain"));
    let lines: Vec<_> = answer.text().lines().collect();
    for line in [
        "GATEWAY_INTERFACE=CGI/1.1",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SERVER_NAME=test",
        &format!("SERVER_PORT={}", programs.server.address().port()),
        "REMOTE_ADDR=127.0.0.1",
        "REQUEST_METHOD=GET",
        "REQUEST_URI=/cgi-bin/environment/more%20of/it?a=%20b",
        "SCRIPT_NAME=/cgi-bin/environment",
        "PATH_INFO=/more of/it",
        "QUERY_STRING=a=%20b",
        "HTTP_X_OWN=1",
        "GREETING=hello",
    ] {
        assert!(lines.contains(&line), "{line} is missing in:\n{lines:#?}");
    }
    for name in ["HOTSOCKET_OWN", "HTTP_PROXY", "HTTP_AUTHORIZATION", "XDG_"] {
        let is_there = lines.iter().any(|line| line.starts_with(name));
        assert!(!is_there, "{name} is in:\n{lines:#?}");
    }
    let answer = programs.ask("descriptors", "");
    assert_eq!(
        answer.text(),
        "0\n1\n2\n3\n",
        "its own and that of a directory"
    );
}

#[test]
fn seed_4_10_seed_4_19_a_mebibyte_goes_both_ways_at_once() {
    let programs = Programs::start();
    let body: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_be_bytes).collect();
    let mut peer = programs.peer();
    peer.send(format!(
        "POST /cgi-bin/echo HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    // The first half comes back before the second one is sent.
    let (first, second) = body.split_at(body.len() / 2);
    let mut sent = Vec::new();
    for (nth, half) in [first, second].into_iter().enumerate() {
        let writer = peer.transport().try_clone().expect("a socket");
        let mut writer = HttpPeer::over(writer);
        thread::scope(|scope| {
            scope.spawn(|| writer.send(half));
            if nth == 0 {
                assert_eq!(peer.head().status, 200);
            }
            sent.extend(peer.chunks(half.len()));
        });
    }
    assert!(sent == body, "{} bytes", sent.len());
    assert!(peer.chunk().is_empty());
    // The connection goes on.
    assert_eq!(peer.ask("GET", "/cgi-bin/away", "").status, 302);
}

#[test]
fn seed_4_19_the_time_of_a_program_is_up_for_its_whole_process_group() {
    let programs = Programs::with(Config::new(), 2000);
    let mut peer = programs.asking("family");
    let processes = programs.processes();
    assert_eq!(processes.len(), 2);
    assert_eq!(peer.answer().status, 504);
    await_end(&processes);
    // An answer that has begun is cut off, and so is one who ignores SIGTERM.
    let mut peer = programs.asking("stubborn");
    assert_eq!(peer.head().status, 200);
    let processes = programs.processes();
    assert_eq!(peer.rest(), b"5\r\nbegun\r\n", "without the last chunk");
    await_end(&processes);
    programs
        .server
        .await_log(0, |line| line.mentions("has not ended within `timeout_ms`"));
}

#[test]
fn seed_4_19_a_client_that_leaves_ends_its_program_and_all_that_it_started() {
    let programs = Programs::start();
    let waiting = programs.asking("family");
    let mut reading = programs.processes();
    assert!(reading.iter().all(|pid| runs(*pid)));
    drop(waiting);
    await_end(&reading);
    // In the middle of an answer.
    let mut peer = programs.asking("endless");
    reading = programs.processes();
    assert_eq!(peer.head().status, 200);
    peer.chunk();
    drop(peer);
    await_end(&reading);
    // In the middle of its own body.
    let mut peer = programs.peer();
    peer.send("POST /cgi-bin/family HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf");
    reading = programs.processes();
    drop(peer);
    await_end(&reading);
}

#[test]
fn seed_4_19_neither_a_zombie_nor_a_descriptor_is_left_in_the_host() {
    let programs = Programs::with(Config::new(), 3000);
    let process = programs.server.process();
    // What is made for the first one stays.
    let sockets = process.open_sockets();
    assert_eq!(programs.ask("away", "").status, 302);
    let is_idle = || process.children() == 0 && process.open_sockets() == sockets;
    eventually("the end of the first", DEADLINE, is_idle);
    let before = process.open_files().len();
    for (script, status) in [
        ("not-found", 404),
        ("nonsense", 502),
        ("missing", 404),
        ("no-interpreter", 500),
        ("no-program", 403),
        ("large-head", 502),
        ("background", 200),
    ] {
        for _ in 0..3 {
            assert_eq!(programs.ask(script, "").status, status, "{script}");
        }
    }
    drop(programs.asking("endless"));
    drop(programs.asking("family"));
    assert_eq!(programs.ask("family", "").status, 504);
    eventually("no child and no connection is left", DEADLINE, is_idle);
    assert_eq!(process.open_files().len(), before);
}

#[test]
fn seed_4_19_a_program_goes_on_when_its_plugin_is_replaced() {
    let programs = Programs::start();
    let mut old = programs.peer();
    old.send("POST /cgi-bin/talk HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(old.head().status, 200);
    assert_eq!(old.chunk(), b"one\n");
    assert_eq!(
        programs.ask("none", "").text(),
        "there is no such program\n"
    );

    let bytes = fs::read(plugin("cgi")).expect("a built plugin");
    let bytes = replaced(
        &bytes,
        b"there is no such program",
        b"THERE IS NO SUCH PROGRAM",
    );
    let newer = programs.server.directory().join("newer.so");
    fs::write(&newer, bytes).expect("a fresh file");
    programs.server.drop_in(&newer, "libcgi.so");
    eventually("the new version answers", DEADLINE, || {
        programs.ask("none", "").text() == "THERE IS NO SUCH PROGRAM\n"
    });

    // Input still reaches the program, and its answer the peer.
    old.send("6\r\nhello\n\r\n0\r\n\r\n");
    assert_eq!(old.chunks(11), b"two: hello\n");
    assert!(old.chunk().is_empty());
    // The next request of the same connection is one for the new version.
    let answer = old.ask("GET", "/cgi-bin/none", "");
    assert_eq!(answer.text(), "THERE IS NO SUCH PROGRAM\n");
    eventually("the old version is retired", DEADLINE, || {
        let output = programs.server.command(["plugin", "list"]);
        String::from_utf8_lossy(&output.stdout).contains("retired")
    });
    assert_eq!(programs.server.process().children(), 0);
}

#[test]
fn seed_4_19_programs_end_with_the_host() {
    let mut programs = Programs::with(Config::new().limit("drain_host_ms", 300), 30_000);
    let _peer = programs.asking("family");
    let processes = programs.processes();
    programs.server.signal(Signal::TERM);
    assert!(programs.server.wait_exit().success());
    await_end(&processes);
}
