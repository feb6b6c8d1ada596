//! Policies and TLS: a say before it, and on the certificate that a client shows.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use super::{Authority, setup};
use crate::policies::exactly_once::Dice;
use crate::policies::{Counts, config, of};
use crate::support::plugins::plugin;
use crate::support::process::eventually;
use crate::support::{DEADLINE, RawPeer, Server};

fn start(authority: &Authority, policies: Value, client_cert: &str) -> Server {
    let config = config(policies).key(
        "tls",
        json!({"cert": authority.path("cert.pem"), "key": authority.path("key.pem"),
               "client_ca": authority.path("ca.pem"), "client_cert": client_cert}),
    );
    let setup = setup(authority).plugin(&plugin("gatekeeper"));
    setup.config(&config).start()
}

/// What a client reads that shows a certificate of `of` and asks for that; an error when the connection ends before.
fn ask(authority: &Authority, address: SocketAddr, target: &str) -> std::io::Result<String> {
    let mut connection = authority.connect(address);
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

#[test]
fn seed_2_4_a_connection_is_refused_before_a_byte_of_tls() {
    let authority = Authority::new();
    let server = start(&authority, json!(["gatekeeper"]), "optional");
    let mut refused = RawPeer::connect_from([127, 0, 0, 11], server.address());
    refused.expect_end();
    ask(&authority, server.address(), "/plain").expect("others are served");
}

#[test]
fn seed_3_10_a_policy_judges_a_certificate_after_the_host_and_is_never_weaker() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let server = start(&authority, json!(["gatekeeper"]), "required");
    let mark = server.log().mark();
    let mut unknown = authority.connect_as(&stranger, server.address());
    let refused = unknown
        .write_all(b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .and_then(|()| unknown.read(&mut [0; 100]));
    assert!(!matches!(refused, Ok(1..)), "{refused:?}");
    let told = ask(&authority, server.address(), "/gates/tags").expect("it is good");
    let line = told.lines().find(|line| line.starts_with("certificate: "));
    let line = line.expect("the policy has said something of it");
    assert!(line.ends_with(" true") && !line.contains(": 0 "), "{line}");
    server.await_log(mark, |line| line.mentions("a certificate is judged"));
    let asked = server.logged(mark, |line| line.mentions("a certificate is judged"));
    assert_eq!(asked.len(), 1, "nobody was asked about the first one");
}

#[test]
fn seed_3_10_a_certificate_that_a_policy_refuses_or_fails_on_ends_the_connection() {
    let authority = Authority::new();
    for (what, words) in [("refuse", ""), ("panic", "told to panic in certificate")] {
        let policy = json!([{"policy": "gatekeeper", "options": {"certificate": what}}]);
        let server = start(&authority, policy, "optional");
        let refused = ask(&authority, server.address(), "/plain");
        assert!(refused.is_err(), "{what}: {refused:?}");
        if !words.is_empty() {
            server.await_log(0, |line| line.is_error() && line.mentions(words));
        }
    }
}

#[test]
fn seed_3_10_without_a_hook_for_certificates_the_verdict_of_the_host_stands() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let policy = json!([{"policy": "ip-filter", "options": {"allow": ["127.0.0.1"]}}]);
    let config = config(policy).key(
        "tls",
        json!({"cert": authority.path("cert.pem"), "key": authority.path("key.pem"),
               "client_ca": authority.path("ca.pem"), "client_cert": "required"}),
    );
    let setup = setup(&authority)
        .plugin(&plugin("gatekeeper"))
        .plugin(&plugin("ip_filter"));
    let server = setup.config(&config).start();
    let mut unknown = authority.connect_as(&stranger, server.address());
    let refused = unknown
        .write_all(b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .and_then(|()| unknown.read(&mut [0; 100]));
    assert!(!matches!(refused, Ok(1..)), "{refused:?}");
    ask(&authority, server.address(), "/plain").expect("it is good");
}

#[test]
fn seed_2_7_connections_that_end_within_tls_are_destroyed_exactly_once() {
    const CONNECTIONS: u64 = 120;
    let authority = Authority::new();
    let server = start(&authority, json!(["gatekeeper"]), "optional");
    let mut dice = Dice::new();
    let hello = client_hello(&authority, server.address());
    for _ in 0..CONNECTIONS - 1 {
        let stage = dice.roll(5);
        if stage == 4 {
            ask(&authority, server.address(), "/plain").expect("it is good");
            continue;
        }
        let mut peer = server.connect();
        match stage {
            0 => {}
            1 => peer.bytes(&hello[..dice.roll(hello.len() as u64) as usize]),
            2 => {
                peer.bytes(&hello);
                assert!(peer.receives_anything());
            }
            _ => peer.bytes(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        }
        if dice.roll(2) == 0 {
            let socket = SockRef::from(peer.transport());
            let reset = socket.set_linger(Some(Duration::ZERO));
            reset.expect("an option of TCP");
        }
    }
    let mut asked = 0;
    let mut counted = Counts::default();
    eventually("all connections are destroyed", DEADLINE, || {
        let told = ask(&authority, server.address(), "/gates/counts").expect("it is good");
        asked += 1;
        counted = of(&told, "gatekeeper");
        counted.created == counted.destroyed + 1
    });
    // Those for the first bytes and for the counts among them.
    assert_eq!(counted.created, CONNECTIONS + asked);
    assert_eq!(counted.strange, 0);
}

/// The first bytes of a client.
fn client_hello(authority: &Authority, address: SocketAddr) -> Vec<u8> {
    let mut connection = authority.connect(address);
    let mut hello = Vec::new();
    let written = connection.conn.write_tls(&mut hello);
    written.expect("a vector takes it");
    hello
}
