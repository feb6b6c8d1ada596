//! Sockets that were opened before the host began, and passed to it as systemd does.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{await_socket, get, place};
use crate::support::plugins::{echo, plugin};
use crate::support::{Config, DEADLINE, RawPeer, Server, Setup};

/// A socket as systemd would have it, and where it listens.
fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("it has an address");
    (socket, address)
}

fn setup(socket: TcpListener, names: &str) -> Setup {
    Setup::new()
        .plugin(&echo())
        .plugin(&plugin("probe"))
        .passes(socket, names)
}

/// A host to which this socket was passed as `web`, which has this list of listeners, of which so many are addresses.
fn started(socket: TcpListener, listen: Value, count: usize) -> Server {
    setup(socket, "web")
        .config(&config(listen))
        .listens_by_config(count)
        .start()
}

fn config(listen: Value) -> Config {
    Config::new().key("listen", listen)
}

fn assert_echoes(address: SocketAddr) {
    assert_eq!(RawPeer::open(address, "/echo").ask("hello"), "hello");
}

/// The flags of descriptor 3 of the host, as open(2) has them.
fn flags(server: &Server) -> u32 {
    let file = server.process().directory().join("fdinfo/3");
    let text = fs::read_to_string(file).expect("the host has it");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    u32::from_str_radix(flags.expect("a line of flags").trim(), 8).expect("octal digits")
}

#[test]
fn a_socket_that_systemd_passes_is_listened_on_and_who_waited_there_is_served() {
    let (socket, address) = socket();
    // The host is started for this one.
    let mut early = TcpStream::connect(address).expect("it listens");
    early
        .write_all(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        .expect("there is room");
    let server = setup(socket, "web")
        .listens_by_config(1)
        .arguments(["--listen", "systemd"])
        .start();
    assert_eq!(server.address(), address);
    let mut answer = String::new();
    early.read_to_string(&mut answer).expect("an answer comes");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Every service thread accepts from it.
    for _ in 0..16 {
        assert_echoes(address);
    }
}

#[test]
fn no_program_that_the_host_starts_inherits_the_socket_or_hears_of_it() {
    let (socket, _) = socket();
    let server = started(socket, json!(["systemd"]), 1);
    let close_on_exec = 0o2_000_000;
    assert_eq!(flags(&server) & close_on_exec, close_on_exec);
    let mut probe = server.open("/probe");
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        assert_eq!(probe.ask(&format!("environment {name}")), "None");
    }
    assert_ne!(probe.ask("environment PATH"), "None");
}

#[test]
fn a_socket_is_taken_by_its_name() {
    let (socket, address) = socket();
    let server = started(socket, json!([{"systemd": "web", "keepalive_s": 7}]), 1);
    assert_eq!(server.address(), address);
    assert_echoes(address);
}

#[test]
fn a_socket_is_taken_by_the_address_that_is_written() {
    let (socket, address) = socket();
    let server = started(socket, json!([address.to_string()]), 1);
    assert_echoes(server.address());
    assert_eq!(
        server
            .logged(0, |line| line.mentions("nobody is accepted"))
            .len(),
        0
    );
}

#[test]
fn a_reload_keeps_the_socket_gives_it_up_and_takes_it_again() {
    let (socket, address) = socket();
    let server = started(socket, json!(["systemd"]), 1);
    let mut session = server.open("/echo");
    let reload = |listen: Value| {
        let mark = server.log().mark();
        fs::write(server.config_file(), config(listen).text()).expect("ours");
        server.signal(Signal::HUP);
        server.await_log(mark, |line| line.mentions("the config is applied"));
        mark
    };
    reload(json!(["systemd", "127.0.0.2:0"]));
    assert_echoes(address);
    let mark = reload(json!(["127.0.0.2:0"]));
    server.await_log(mark, |line| {
        line.mentions(&format!("nobody is accepted at {address}"))
    });
    // Whoever connects meanwhile waits, as before the host began.
    let waiting = TcpStream::connect(address).expect("it is still open");
    reload(json!(["systemd", "127.0.0.2:0"]));
    assert_echoes(address);
    assert_eq!(session.ask("still here"), "still here");
    drop(waiting);
}

#[test]
fn a_unix_socket_is_passed_too_and_its_file_stays_that_of_systemd() {
    let (_directory, path) = place();
    let socket = UnixListener::bind(&path).expect("a fresh place");
    let mut server = Setup::new()
        .plugin(&echo())
        .passes(socket, "local")
        .listens_by_config(0)
        .arguments(["--listen", "systemd:local"])
        .start();
    await_socket(&server, &path);
    assert!(get(&path, "/").starts_with("HTTP/1.1 200 "));
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    assert!(
        path.exists(),
        "systemd starts the host again when somebody connects"
    );
}

#[test]
fn a_socket_that_no_listener_takes_is_told() {
    let (socket, address) = socket();
    let server = started(socket, json!(["127.0.0.2:0"]), 1);
    let line = server.await_log(0, |line| line.mentions("nobody is accepted"));
    assert!(line.mentions(&address.to_string()), "{line:?}");
    assert!(line.mentions("--listen systemd"), "{line:?}");
}

fn said(setup: Setup) -> String {
    let output = setup.listens_by_config(0).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_host_that_was_passed_nothing_says_how_it_would_be() {
    let said = said(Setup::new().arguments(["--listen", "systemd"]));
    let expected = "cannot listen on systemd; no socket was passed to this process";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn variables_that_are_meant_for_another_process_mean_nothing() {
    let others = Setup::new()
        .environment("LISTEN_PID", "1")
        .environment("LISTEN_FDS", "1")
        .arguments(["--listen", "systemd"]);
    let said = said(others);
    assert!(
        said.contains("no socket was passed to this process"),
        "{said}"
    );
}

#[test]
fn a_name_that_no_socket_has_is_told_with_those_that_there_are() {
    let (socket, _) = socket();
    let said = said(setup(socket, "web").arguments(["--listen", "systemd:api"]));
    let expected = "cannot listen on systemd:api; the sockets that were passed are called `web`";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn what_is_no_listening_socket_is_refused() {
    let (socket, address) = socket();
    let connected = TcpStream::connect(address).expect("it listens");
    drop(socket);
    let setup = Setup::new().passes(connected, "web");
    let said = said(setup.arguments(["--listen", "systemd"]));
    let expected = "descriptor 3, `web`, was passed and is no listening";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn two_sockets_are_taken_each_by_the_listener_that_names_it() {
    let ((one, first), (other, second)) = (socket(), socket());
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    // The second comes as standard error, since a shell passes on only what it knows by number.
    let words = "exec 3<&0 4<&2 2>&1 </dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=one:other \
                 exec \"$0\" serve --listen systemd:other --listen systemd --plugins . --control c.sock";
    let mut child = std::process::Command::new("sh")
        .args(["-c", words, env!("CARGO_BIN_EXE_hotsocket")])
        .current_dir(directory.path())
        .stdin(std::os::fd::OwnedFd::from(one))
        .stderr(std::os::fd::OwnedFd::from(other))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a shell runs");
    let lines = crate::support::lines::Lines::follow(child.stdout.take().expect("piped"));
    let told = [second, first].map(|address| {
        let expected = format!("listening on ws://{address}");
        let told = lines.wait_after(0, DEADLINE, |line| (line == expected).then_some(()));
        told.is_some()
    });
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    assert_eq!(told, [true, true], "{:?}", lines.since(0));
}
