//! Opening handshakes: which are accepted, and how the others are refused.

use crate::support::client;
use crate::support::plugins::{echo, plugin};
use crate::support::raw_peer::{ACCEPT, KEY, RawPeer};
use crate::support::{Config, Server, Setup};

#[test]
fn a_path_that_names_a_protocol_opens_a_session_of_it() {
    let server = Server::with([&echo()]);
    let (mut peer, response) = RawPeer::open_with(server.address(), "/echo?who=me", &[]);
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert_eq!(response.field("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(response.field("sec-websocket-protocol"), None);
    assert_eq!(response.field("sec-websocket-extensions"), None);
    assert_eq!(peer.ask("hello"), "hello");
    peer.close();
}

#[test]
fn an_independent_client_is_served() {
    let server = Server::with([&echo()]);
    let mut session = client::open(server.address(), "/echo");
    let binary = tungstenite::Message::binary(vec![7; 100_000]);
    assert_eq!(client::ask(&mut session, binary.clone()), binary);
    let text = tungstenite::Message::text("grüße");
    assert_eq!(client::ask(&mut session, text.clone()), text);
    session.close(None).expect("the session is open");
    while session.read().is_ok() {}
}

#[test]
fn a_path_that_names_no_protocol_is_not_found() {
    let server = Server::with([&echo()]);
    for target in ["/", "/nothing", "/echo/deeper", "/Echo", "/echo%2f"] {
        let response = server.connect().handshake(target, &[]);
        assert_eq!(response.status, 404, "{target}: {response:?}");
    }
    server.assert_echoes();
}

#[test]
fn a_path_that_names_a_protocol_wins_and_selects_its_name_only_when_it_was_offered() {
    let server = Server::with([&echo(), &plugin("two_protocols")]);
    let selected = |target: &str, offer: &str| {
        let fields = [("Sec-WebSocket-Protocol", offer)];
        let (mut peer, response) = RawPeer::open_with(server.address(), target, &fields);
        let name = response.field("sec-websocket-protocol").map(str::to_owned);
        (name, peer.ask("who?"))
    };
    assert_eq!(selected("/first", "second"), (None, "first 11".into()));
    let both = selected("/first", "second, first");
    assert_eq!(both, (Some("first".into()), "first 11".into()));
}

#[test]
fn seed_9_2_at_other_paths_the_first_offered_name_that_is_known_is_selected() {
    let server = Server::with([&echo(), &plugin("two_protocols")]);
    let open = |fields: &[(&str, &str)]| RawPeer::open_with(server.address(), "/elsewhere", fields);
    for fields in [
        &[("Sec-WebSocket-Protocol", "unknown, second, first")][..],
        &[
            ("Sec-WebSocket-Protocol", "unknown"),
            ("Sec-WebSocket-Protocol", "second"),
            ("Sec-WebSocket-Protocol", "first"),
        ],
    ] {
        let (mut peer, response) = open(fields);
        assert_eq!(response.field("sec-websocket-protocol"), Some("second"));
        assert_eq!(peer.ask("who?"), "second 22");
    }
    let mut peer = server.connect();
    let refused = peer.handshake("/elsewhere", &[("Sec-WebSocket-Protocol", "unknown")]);
    assert_eq!(refused.status, 404, "{refused:?}");
}

#[test]
fn the_default_protocol_serves_what_names_no_other() {
    let config = Config::new().key("default_protocol", "echo");
    let setup = Setup::new()
        .plugin(&echo())
        .plugin(&plugin("two_protocols"));
    let server = setup.config(&config).start();
    assert_eq!(server.open("/anywhere").ask("hello"), "hello");
    let fields = [("Sec-WebSocket-Protocol", "second")];
    let (mut peer, _) = RawPeer::open_with(server.address(), "/anywhere", &fields);
    assert_eq!(peer.ask("who?"), "second 22");
}

#[test]
fn seed_5_2_a_version_other_than_13_is_told_to_upgrade_to_13() {
    let server = Server::with([&echo()]);
    for version in ["8", "0", "12", "14", "x", ""] {
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", version),
        ];
        let response = server.connect().request("GET", "/echo", &fields);
        assert_eq!(response.status, 426, "{version:?}: {response:?}");
        assert_eq!(response.field("sec-websocket-version"), Some("13"));
    }
}

#[test]
fn seed_5_1_a_handshake_of_the_hixie_drafts_is_told_to_upgrade_to_13() {
    let server = Server::with([&echo()]);
    let fields = [
        ("Upgrade", "WebSocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5"),
        ("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00"),
    ];
    let response = server.connect().request("GET", "/echo", &fields);
    assert_eq!(response.status, 426, "{response:?}");
    assert_eq!(response.field("sec-websocket-version"), Some("13"));
}

#[test]
fn a_key_that_is_missing_doubled_or_no_16_octets_is_a_bad_request() {
    let server = Server::with([&echo()]);
    let refused: [&[(&str, &str)]; 4] = [
        &[],
        &[("Sec-WebSocket-Key", "c2hvcnQ=")],
        &[("Sec-WebSocket-Key", "not base64 at all!!!!!!!")],
        &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
    ];
    for keys in refused {
        let mut fields = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
        ];
        fields.extend_from_slice(keys);
        let response = server.connect().request("GET", "/echo", &fields);
        assert_eq!(response.status, 400, "{keys:?}: {response:?}");
    }
}

#[test]
fn what_is_no_http_is_a_bad_request() {
    let server = Server::with([&echo()]);
    let requests: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /echo\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost: a\r\nBroken\r\n\r\n",
        b"GET /echo HTTP/1.1\r\nHost : a\r\n\r\n",
    ];
    for request in requests {
        let mut peer = server.connect();
        peer.bytes(request);
        let response = peer.response();
        assert_eq!(response.status, 400, "{}", request.escape_ascii());
        peer.expect_end();
    }
    server.assert_echoes();
}

#[test]
fn a_request_without_one_host_is_a_bad_request() {
    let server = Server::with([&echo()]);
    for hosts in ["", "Host: a\r\nHost: a\r\n"] {
        let mut peer = server.connect();
        let head = format!(
            "GET /echo HTTP/1.1\r\n{hosts}Upgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        peer.bytes(head.as_bytes());
        assert_eq!(peer.response().status, 400, "{hosts:?}");
    }
}

#[test]
fn only_get_opens_a_session() {
    let server = Server::with([&echo()]);
    let fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ];
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let response = server.connect().request(method, "/echo", &fields);
        assert_eq!(response.status, 405, "{method}: {response:?}");
        assert!(
            response
                .field("allow")
                .is_some_and(|allow| allow.contains("GET"))
        );
    }
}

#[test]
fn a_plain_request_for_a_protocol_is_told_to_upgrade() {
    let server = Server::with([&echo()]);
    let response = server.connect().request("GET", "/echo", &[]);
    assert_eq!(response.status, 426, "{response:?}");
    assert_eq!(response.field("upgrade"), Some("websocket"));
}

#[test]
fn names_and_tokens_of_the_handshake_are_read_whatever_their_case() {
    let server = Server::with([&echo()]);
    let fields = [
        ("uPGRADE", "WebSocket"),
        ("CONNECTION", "keep-alive, UPGRADE"),
        ("sec-websocket-KEY", KEY),
        ("sec-websocket-version", "13"),
    ];
    let response = server.connect().request("GET", "/echo", &fields);
    assert_eq!(response.status, 101, "{response:?}");
}

#[test]
fn a_handshake_that_comes_octet_by_octet_is_accepted_with_the_frames_right_behind_it() {
    let server = Server::with([&echo()]);
    let mut peer = server.connect();
    let mut request = format!(
        "GET /echo HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        server.address()
    )
    .into_bytes();
    let (last, rest) = request.split_last().expect("not empty");
    for octet in rest {
        peer.bytes(&[*octet]);
    }
    let mut end = vec![*last];
    end.extend(crate::support::Frame::text("at once").masked());
    request.clear();
    peer.bytes(&end);
    assert_eq!(peer.response().status, 101);
    assert_eq!(peer.frame().as_text(), "at once");
}

#[test]
fn another_origin_is_forbidden_and_told_the_key_that_allows_it() {
    let server = Server::with([&echo()]);
    let host = server.address().to_string();
    let other_port = format!("http://127.0.0.1:{}", server.address().port() ^ 1);
    for origin in ["https://evil.example", "null", "file://", &other_port] {
        let response = server.connect().handshake("/echo", &[("Origin", origin)]);
        assert_eq!(response.status, 403, "{origin}: {response:?}");
        let told = response.body.contains("allowed_origins");
        assert!(told, "the answer names the key: {response:?}");
    }
    let same = format!("http://{host}");
    RawPeer::open_with(server.address(), "/echo", &[("Origin", &same)]);
}

#[test]
fn an_origin_that_the_config_allows_is_accepted() {
    let allowed = vec!["https://friend.example"];
    let config = Config::new().key("allowed_origins", allowed);
    let server = Setup::new().plugin(&echo()).config(&config).start();
    let friend = [("Origin", "https://friend.example")];
    RawPeer::open_with(server.address(), "/echo", &friend);
    for origin in ["https://friend.example.evil", "http://friend.example"] {
        let response = server.connect().handshake("/echo", &[("Origin", origin)]);
        assert_eq!(response.status, 403, "{origin}: {response:?}");
    }
}
