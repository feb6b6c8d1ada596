//! From http to https by a mount.

use std::fs;
use std::io::{Read, Write};

use rustix::process::Signal;
use serde_json::json;

use super::{Authority, setup};
use crate::support::raw_peer::{RawPeer, Response};
use crate::support::{Config, Server};

/// A listener with TLS, one without, and a mount that leads from the one to the other.
fn start(authority: &Authority) -> Server {
    let config = |mounts| {
        let plain = json!({"address": "127.0.0.1:0", "tls": false});
        Config::new()
            .key("listen", json!(["127.0.0.1:0", plain]))
            .key("security_headers", true)
            .key("mounts", mounts)
    };
    let setup = setup(authority).listens_by_config(2);
    let server = setup.config(&config(json!({}))).start();
    let redirect = format!("https://*:{}", server.address().port());
    let mounts = json!({
        "/": {"redirect": redirect},
        "/usual": {"redirect": "https://*", "status": 301},
        "/here": {"status": 200, "text": "here"},
    });
    fs::write(server.config_file(), config(mounts).text()).expect("our own file");
    server.signal(Signal::HUP);
    server.await_log(0, |line| line.mentions("the config is applied"));
    server
}

/// The answer to a request without TLS.
fn answered(server: &Server, request: &str) -> Response {
    let mut peer = RawPeer::connect(server.addresses()[1]);
    peer.bytes(request.as_bytes());
    peer.response()
}

#[test]
fn a_request_without_tls_is_led_to_the_same_place_with_it() {
    let authority = Authority::new();
    let server = start(&authority);
    let port = server.address().port();
    let answer = answered(
        &server,
        "POST /a%20b/?c=d HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(answer.status, 308, "{answer:?}");
    let place = format!("https://localhost:{port}/a%20b/?c=d");
    assert_eq!(answer.field("location"), Some(&*place));
    assert_eq!(answer.field("strict-transport-security"), None);
    // Where it leads, TLS is spoken, and other mounts are served.
    let mut connection = authority.connect(server.address());
    let request = b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request).expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("here"), "{answer}");
}

#[test]
fn the_usual_port_of_https_is_not_named() {
    let authority = Authority::new();
    let server = start(&authority);
    let answer = answered(
        &server,
        "GET /usual/x HTTP/1.1\r\nHost: Example.org:8080\r\n\r\n",
    );
    assert_eq!(answer.status, 301, "{answer:?}");
    assert_eq!(answer.field("location"), Some("https://example.org/x"));
}

#[test]
fn what_is_there_already_or_names_no_host_is_not_redirected() {
    let authority = Authority::new();
    let server = start(&authority);
    let mut connection = authority.connect(server.address());
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.write_all(request).expect("the server reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET http://user@evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = answered(&server, request);
        assert_eq!(answer.status, 400, "{request}: {answer:?}");
        assert_eq!(answer.field("location"), None, "{request}");
    }
}
