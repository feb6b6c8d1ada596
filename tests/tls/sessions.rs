//! Sessions over TLS, and what plugins are told of it.

use std::io::{Read, Write};

use serde_json::{Value, json};
use tungstenite::Message;

use super::{Authority, Secure, setup};
use crate::support::Config;

#[test]
fn a_host_with_a_certificate_says_wss_and_echoes() {
    let secure = Secure::start();
    let said = secure.server.output().since(0);
    assert!(
        said.iter()
            .any(|line| line.starts_with("listening on wss://")),
        "{said:?}"
    );
    let mut session = secure.authority.open(secure.server.address(), "/echo");
    for len in [0, 1, 125, 70_000, 5_000_000] {
        let message = Message::binary(vec![len as u8; len]);
        session.send(message.clone()).expect("the session is open");
        assert!(session.read().expect("an echo") == message, "{len}");
    }
    session.close(None).expect("the session is open");
    while session.read().is_ok() {}
}

#[test]
fn seed_3_7_a_session_is_told_what_was_agreed_on() {
    let authority = Authority::new();
    let config = Config::new().key(
        "tls",
        json!({"cert": authority.path("cert.pem"), "key": authority.path("key.pem"),
               "client_ca": authority.path("ca.pem"), "client_cert": "optional"}),
    );
    let server = setup(&authority).config(&config).start();
    let mut session = authority.open(server.address(), "/probe");
    session
        .send(Message::text("facts"))
        .expect("the session is open");
    let facts: Value =
        serde_json::from_str(session.read().expect("facts").to_text().unwrap()).unwrap();
    assert_eq!(facts["encrypted"], true, "{facts}");
    assert_eq!(facts["transport"], "Tcp", "{facts}");
    let tls = &facts["tls"];
    assert_eq!(tls["version"], "Tls13", "{facts}");
    assert_eq!(tls["server_name"], "localhost", "{facts}");
    assert_eq!(tls["checked"], true, "{facts}");
    assert!(
        tls["suite"].as_str().unwrap().starts_with("TLS13_"),
        "{facts}"
    );
    assert!(
        tls["peer_certificate"].as_array().unwrap().len() > 100,
        "{facts}"
    );
}

#[test]
fn an_exchange_is_told_too() {
    let secure = Secure::with(Config::new().mount("/probe", json!({"protocol": "http_probe"})));
    let mut connection = secure.authority.connect(secure.server.address());
    connection
        .write_all(b"GET /probe/facts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the server reads");
    let mut answer = String::new();
    // It ends by close_notify, or this would be an error.
    connection
        .read_to_string(&mut answer)
        .expect("an answer and its end");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let facts: Value = serde_json::from_str(body.trim()).expect("JSON");
    assert_eq!(facts["encrypted"], true, "{facts}");
    assert!(
        facts["suite"].as_str().unwrap().starts_with("TLS13_"),
        "{facts}"
    );
}

#[test]
fn without_tls_there_is_nothing_to_tell() {
    let server = crate::support::Server::with([&crate::support::plugins::plugin("probe")]);
    let facts: Value = serde_json::from_str(&server.open("/probe").ask("facts")).expect("JSON");
    assert_eq!(facts["encrypted"], false, "{facts}");
    assert_eq!(facts["tls"], Value::Null, "{facts}");
}
