//! TLS behind the header of a proxy.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use tungstenite::Message;

use super::{Authority, setup};
use crate::support::{Config, DEADLINE};

#[test]
fn tls_begins_behind_the_header_of_a_proxy_wherever_the_two_are_cut() {
    let authority = Authority::new();
    let config = Config::new()
        .key("trusted_proxies", json!(["127.0.0.1/32"]))
        .key(
            "listen",
            json!([{"address": "127.0.0.1:0", "proxy_protocol": true}]),
        );
    let server = setup(&authority)
        .listens_by_config(1)
        .config(&config)
        .start();
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.80 4711 443\r\n";
    for cut in [0, 1, 20, header.len()] {
        let mut socket = TcpStream::connect(server.address()).expect("the server accepts");
        let patience = socket.set_read_timeout(Some(DEADLINE));
        patience.expect("a valid time");
        socket.write_all(&header[..cut]).expect("the server reads");
        let name = "localhost".try_into().expect("a name");
        let client = ClientConnection::new(Arc::new(authority.client()), name);
        let mut client = client.expect("a good config");
        // What is left of the header and the beginning of the handshake go together.
        let mut first = header[cut..].to_vec();
        client.write_tls(&mut first).expect("there is room");
        socket.write_all(&first).expect("the server reads");
        let opened = tungstenite::client("ws://localhost/probe", StreamOwned::new(client, socket));
        let (mut session, _) = opened.expect("the opening handshake succeeds");
        session.send(Message::text("facts")).expect("it is open");
        let facts = session.read().expect("an answer comes").into_text();
        let facts: Value = serde_json::from_str(&facts.expect("text")).expect("an object");
        assert_eq!(facts["peer"], "192.0.2.1:4711", "cut at {cut}");
    }
}
