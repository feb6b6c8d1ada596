//! TLS at some listeners and not at others.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::{Value, json};
use tungstenite::Message;

use super::{Authority, setup};
use crate::support::server::{hotsocket, output_of};
use crate::support::{Config, DEADLINE, Server, process::eventually};

/// One listener that speaks TLS as the host does, one that does not, and a unix socket of each kind.
fn listen() -> Value {
    json!([
        "127.0.0.1:0",
        {"address": "127.0.0.2:0", "tls": false},
        {"unix": "secure.sock"},
        {"unix": "plain.sock", "tls": false},
    ])
}

fn start(authority: &Authority, listen: &Value) -> Server {
    let config = Config::new()
        .key("listen", listen.clone())
        .key("security_headers", true);
    let setup = setup(authority).listens_by_config(2).config(&config);
    let server = setup.start();
    // The sockets are told last.
    await_told(&server, "plain.sock");
    server
}

/// The line of standard output that tells of this place.
fn await_told(server: &Server, place: &str) -> String {
    let told = server.output().wait_after(0, DEADLINE, |line| {
        (line.contains("listening on ") && line.ends_with(place)).then(|| line.to_owned())
    });
    told.expect("the server says where it listens")
}

/// The head of the answer at the second address, without TLS.
fn plain_head(server: &Server) -> String {
    let mut transport = TcpStream::connect(server.addresses()[1]).expect("the server accepts");
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    transport.write_all(request).expect("the server reads");
    let mut answer = String::new();
    transport.read_to_string(&mut answer).expect("an answer");
    let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
    head.to_ascii_lowercase()
}

#[test]
fn seed_3_1_a_listener_speaks_tls_or_not_as_it_is_told_and_says_which() {
    let authority = Authority::new();
    let server = start(&authority, &listen());
    let [secure, plain] = server.addresses() else {
        panic!("two addresses");
    };
    for (place, scheme) in [
        (secure.to_string(), "wss://"),
        (plain.to_string(), "ws://"),
        ("secure.sock".into(), "wss+unix://"),
        ("plain.sock".into(), "ws+unix://"),
    ] {
        let told = await_told(&server, &place);
        assert!(
            told.starts_with(&format!("listening on {scheme}")),
            "{told}"
        );
    }
    let mut session = authority.open(*secure, "/echo");
    session.send(Message::text("hidden")).expect("it is open");
    assert_eq!(session.read().expect("an echo"), Message::text("hidden"));
    let (mut session, _) =
        tungstenite::connect(format!("ws://{plain}/echo")).expect("no TLS is needed");
    session.send(Message::text("seen")).expect("it is open");
    assert_eq!(session.read().expect("an echo"), Message::text("seen"));
}

#[test]
fn browsers_are_told_to_stay_with_tls_over_tls_only() {
    let authority = Authority::new();
    let server = start(&authority, &listen());
    let head = plain_head(&server);
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(!head.contains("strict-transport-security"), "{head}");
    let mut connection = authority.connect(server.address());
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request).expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("strict-transport-security"),
        "{answer}"
    );
}

#[test]
fn a_listener_begins_to_speak_tls_by_a_reload_and_its_open_connections_go_on() {
    let authority = Authority::new();
    let server = start(&authority, &listen());
    let plain = server.addresses()[1];
    let (mut session, _) =
        tungstenite::connect(format!("ws://{plain}/echo")).expect("no TLS is needed");
    let mut changed = listen();
    changed[1]["tls"] = json!(true);
    let config = Config::new().key("listen", changed);
    fs::write(server.config_file(), config.text()).expect("our own file");
    let mark = server.output().mark();
    server.signal(Signal::HUP);
    let told = server.output().wait_after(mark, DEADLINE, |line| {
        (line == format!("listening on wss://{plain}")).then_some(())
    });
    told.expect("the other scheme is told");
    // The service threads are told of it a moment later.
    eventually("TLS is spoken", DEADLINE, || {
        plain_head(&server).starts_with("http/1.1 400")
    });
    let mut other = authority.open(plain, "/echo");
    other.send(Message::text("hidden")).expect("it is open");
    assert_eq!(other.read().expect("an echo"), Message::text("hidden"));
    session
        .send(Message::text("as before"))
        .expect("it is open");
    assert_eq!(session.read().expect("an echo"), Message::text("as before"));
}

#[test]
fn a_listener_that_is_to_speak_tls_without_a_certificate_is_refused_with_the_mend() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let file = directory.path().join("c.json");
    let config = Config::new().key("listen", json!([{"address": "127.0.0.1:0", "tls": true}]));
    fs::write(&file, config.text()).expect("our own directory");
    let mut command = hotsocket();
    command.arg("serve").arg("--config").arg(file);
    let output = output_of(command);
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("`127.0.0.1:0` is to speak TLS") && said.contains("write `tls`"),
        "{said}"
    );
}
