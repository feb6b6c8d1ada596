//! Where the host listens, and for whom: unix sockets, network interfaces, sockets that were passed to the process, and
//! connections that a proxy announces.

mod announced;
mod interface;
mod passed;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::support::plugins::echo;
use crate::support::{Config, DEADLINE, Server, Setup};

/// A directory for a socket, and the socket in it.
fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a temporary directory");
    let socket = directory.path().join("ws.sock");
    (directory, socket)
}

/// A host that listens at `socket` beside its usual port.
fn server_at(socket: &Path) -> Server {
    let server = setup_at(socket).start();
    await_socket(&server, socket);
    server
}

fn setup_at(socket: &Path) -> Setup {
    let place = format!("unix:{}", socket.display());
    Setup::new().plugin(&echo()).arguments(["--listen", &place])
}

/// Waits for the line that tells of the socket.
fn await_socket(server: &Server, socket: &Path) {
    let expected = format!("listening on ws+unix://{}", socket.display());
    let told = server
        .output()
        .wait_after(0, DEADLINE, |line| (line == expected).then_some(()));
    told.expect("the server says where it listens");
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("the server accepts");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a valid time");
    stream
}

fn open(socket: &Path) -> WebSocket<UnixStream> {
    let opened = tungstenite::client("ws://localhost/echo", connect(socket));
    opened.expect("the opening handshake succeeds").0
}

fn assert_echoes(session: &mut WebSocket<UnixStream>) {
    let message = Message::text("over a socket file");
    session.send(message.clone()).expect("the session is open");
    assert_eq!(session.read().expect("an answer comes"), message);
}

/// The answer to a request, to its end.
fn get(socket: &Path, target: &str) -> String {
    let mut stream = connect(socket);
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    answer
}

fn mode(path: &Path) -> u32 {
    let found = fs::symlink_metadata(path).expect("the socket has a file");
    assert!(found.file_type().is_socket());
    found.permissions().mode() & 0o7777
}

#[test]
fn one_host_speaks_websocket_and_http_over_a_unix_socket_and_tcp_at_once() {
    let (_directory, socket) = place();
    let server = server_at(&socket);
    let mut session = open(&socket);
    assert_echoes(&mut session);
    let answer = get(&socket, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.assert_echoes();
    assert_echoes(&mut session);
}

#[test]
fn the_page_to_try_is_told_for_tcp_only() {
    let (_directory, socket) = place();
    let server = server_at(&socket);
    server.signal(Signal::TERM);
    let lines = server.log().wait_end(DEADLINE);
    let pages: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("a page to try"))
        .collect();
    assert_eq!(pages.len(), 1, "{pages:?}");
}

#[test]
fn a_unix_socket_is_for_user_and_group_unless_the_config_says_otherwise() {
    let (directory, socket) = place();
    let other = directory.path().join("other.sock");
    let config = json!([
        { "unix": socket }, { "unix": other, "mode": "0602" }, { "unix": "beside.sock" }
    ]);
    let server = Setup::new()
        .plugin(&echo())
        .listens_by_config(0)
        .config(&Config::new().key("listen", config))
        .start();
    await_socket(&server, &other);
    assert_eq!(mode(&socket), 0o660);
    assert_eq!(mode(&other), 0o602);
    // A path in a config is relative to the file.
    let beside = server.directory().join("beside.sock");
    await_socket(&server, &beside);
    assert_echoes(&mut open(&beside));
}

#[test]
fn the_socket_of_a_host_that_was_killed_is_replaced() {
    let (_directory, socket) = place();
    let mut killed = server_at(&socket);
    killed.signal(Signal::KILL);
    killed.wait_exit();
    assert!(socket.exists());
    let _server = server_at(&socket);
    assert_echoes(&mut open(&socket));
}

#[test]
fn the_socket_of_a_live_host_is_in_use() {
    let (_directory, socket) = place();
    let _server = server_at(&socket);
    let mut session = open(&socket);
    let second = setup_at(&socket).run();
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr);
    let expected = format!(
        "cannot listen on unix:{}; another host is live there",
        socket.display()
    );
    assert!(said.contains(&expected), "{said}");
    assert_echoes(&mut session);
    assert_echoes(&mut open(&socket));
}

#[test]
fn the_socket_is_removed_when_the_host_ends() {
    let (_directory, socket) = place();
    let mut server = server_at(&socket);
    let _session = open(&socket);
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    assert!(!socket.exists());
}

#[test]
fn a_host_that_cannot_listen_everywhere_listens_nowhere() {
    let (directory, socket) = place();
    let missing = format!("unix:{}/missing/ws.sock", directory.path().display());
    let output = setup_at(&socket).arguments(["--listen", &missing]).run();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is its directory missing?"), "{said}");
    assert!(!socket.exists());
}

#[test]
fn a_peer_without_an_address_is_a_dash_in_the_access_log() {
    let (directory, socket) = place();
    let log = directory.path().join("access.log");
    let config = Config::new()
        .key("listen", json!([{ "unix": socket }]))
        .key("access_log", json!({ "file": log }));
    let mut server = Setup::new()
        .plugin(&echo())
        .listens_by_config(0)
        .config(&config)
        .start();
    await_socket(&server, &socket);
    get(&socket, "/");
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let lines = fs::read_to_string(log).expect("the log is written");
    assert!(lines.starts_with("- "), "{lines}");
    assert!(lines.contains("\"GET / HTTP/1.1\" 200"), "{lines}");
}
