//! Which offers are accepted, which are declined, and which handshakes are refused.

use serde_json::json;

use crate::support::frame::TEXT;
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::raw_peer::{RawPeer, Response};
use crate::support::{Config, DeflatePeer, Server, Setup};

fn server() -> Server {
    let options = json!({"server_context_takeover": true, "client_context_takeover": true});
    let config = Config::new().extension("permessage-deflate", options);
    let setup = Setup::new().plugin(&echo()).plugin(&permessage_deflate());
    setup.config(&config).start()
}

fn offered(server: &Server, fields: &[&str]) -> (RawPeer, Response) {
    let fields: Vec<_> = fields
        .iter()
        .map(|value| ("Sec-WebSocket-Extensions", *value))
        .collect();
    let mut peer = server.connect();
    let response = peer.handshake("/echo", &fields);
    (peer, response)
}

#[test]
fn offers_that_rfc_7692_does_not_allow_are_declined_and_the_connection_goes_on_without() {
    let server = server();
    for parameters in [
        "unknown",
        "unknown=1",
        "server_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover=true",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=08",
        "server_max_window_bits=+9",
        "server_max_window_bits=1e1",
        "server_max_window_bits=9; server_max_window_bits=9",
        "server_max_window_bits=9; server_max_window_bits=10",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=010",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits",
        "Server_No_Context_Takeover",
        "server_max_window_bits=10; unknown",
        "mode=1",
    ] {
        let (mut peer, response) =
            offered(&server, &[&format!("permessage-deflate; {parameters}")]);
        assert_eq!(response.status, 101, "{parameters}: {response:?}");
        let answer = response.field("sec-websocket-extensions");
        assert_eq!(answer, None, "{parameters}");
        let long = "as it is ".repeat(100);
        assert_eq!(peer.ask(&long), long, "{parameters}");
    }
}

#[test]
fn extensions_that_nobody_has_are_declined() {
    let server = server();
    for offer in [
        "deflate-stream",
        "x-webkit-deflate-frame",
        "permessage-bzip2; client_max_window_bits",
        "permessage-deflate2",
        "Permessage-Deflate",
        "unknown; a=1; b=\"2\"; c",
        ",",
        "",
    ] {
        let (mut peer, response) = offered(&server, &[offer]);
        assert_eq!(response.status, 101, "{offer:?}: {response:?}");
        assert_eq!(
            response.field("sec-websocket-extensions"),
            None,
            "{offer:?}"
        );
        assert_eq!(peer.ask("plain"), "plain");
    }
}

#[test]
fn fields_against_the_grammar_are_a_bad_request() {
    let server = server();
    for field in [
        "permessage-deflate;",
        ";permessage-deflate",
        "permessage-deflate server_no_context_takeover",
        "permessage-deflate; =9",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate; server_max_window_bits=\"9 \"",
        "permessage-deflate; server_max_window_bits=9=9",
        "permessage-deflate=9",
        "permessage-deflate; a; ; b",
        "permessage-deflate / 1",
        "\"permessage-deflate\"",
        "(",
        "permessage-deflate, foo bar",
        "permessage-d\u{e9}flate",
    ] {
        let (_, response) = offered(&server, &[field]);
        assert_eq!(response.status, 400, "{field}: {response:?}");
        let (_, response) = offered(&server, &["permessage-deflate", field]);
        assert_eq!(
            response.status, 400,
            "behind a good one: {field}: {response:?}"
        );
    }
    server.assert_echoes();
}

#[test]
fn seed_8_3_the_first_offer_that_can_be_accepted_is() {
    let server = server();
    let nine = "permessage-deflate; server_max_window_bits=9";
    let ten = "permessage-deflate; server_max_window_bits=10";
    let bad = "permessage-deflate; server_max_window_bits=99";
    let cases: [(&[&str], &str); 8] = [
        (&[&format!("{nine}, {ten}")], nine),
        (&[&format!("{ten}, {nine}")], ten),
        (&[&format!("{bad}, {ten}, {nine}")], ten),
        (
            &[&format!("foo; bar=1, {bad}, {nine}, permessage-deflate")],
            nine,
        ),
        (&[nine, ten], nine),
        (&[bad, ten], ten),
        (&["foo", &format!(" , {bad} ,,{ten}"), nine], ten),
        (
            &[&format!("{bad}, permessage-deflate")],
            "permessage-deflate",
        ),
    ];
    for (fields, expected) in cases {
        let (_, response) = offered(&server, fields);
        assert_eq!(response.status, 101, "{fields:?}: {response:?}");
        let answer = response.field("sec-websocket-extensions");
        assert_eq!(answer, Some(expected), "{fields:?}");
        let count = response.head.to_ascii_lowercase();
        assert_eq!(
            count.matches("sec-websocket-extensions").count(),
            1,
            "{response:?}"
        );
    }
}

#[test]
fn values_may_be_quoted_and_blanks_stand_anywhere() {
    let server = server();
    for offer in [
        "permessage-deflate;server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=\"10\"",
        "permessage-deflate; server_max_window_bits=\"1\\0\"",
        "permessage-deflate\t;  server_max_window_bits = 10 ",
        " ,permessage-deflate; server_max_window_bits=10,",
    ] {
        let mut peer = DeflatePeer::open(server.address(), "/echo", offer);
        assert_eq!(
            peer.answer, "permessage-deflate; server_max_window_bits=10",
            "{offer}"
        );
        peer.echo(TEXT, &[b'x'; 1000]);
    }
}

#[test]
fn seed_8_2_who_offers_nothing_gets_nothing() {
    let server = server();
    let (mut peer, response) = offered(&server, &[]);
    assert_eq!(response.field("sec-websocket-extensions"), None);
    let long = "as it is ".repeat(100);
    assert_eq!(peer.ask(&long), long);
}

#[test]
fn a_handshake_that_is_refused_says_nothing_of_extensions() {
    let server = server();
    let fields = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let response = server.connect().handshake("/nothing", &fields);
    assert_eq!(response.status, 404);
    assert_eq!(response.field("sec-websocket-extensions"), None);
}

#[test]
fn hundreds_of_offers_are_judged_in_time() {
    let server = server();
    let bad = vec!["permessage-deflate; unknown"; 200].join(", ");
    let (_, response) = offered(&server, &[&format!("{bad}, permessage-deflate")]);
    assert_eq!(
        response.field("sec-websocket-extensions"),
        Some("permessage-deflate")
    );
}

#[test]
fn seed_8_9_a_protocol_refuses_extensions_by_its_manifest() {
    let setup = Setup::new()
        .plugin(&plugin("two_protocols"))
        .plugin(&plugin("lengthens"))
        .plugin(&permessage_deflate());
    let server = setup.start();
    let answer = |target: &str| {
        let fields = [("Sec-WebSocket-Extensions", "permessage-deflate, lengthens")];
        let (_, response) = RawPeer::open_with(server.address(), target, &fields);
        response
            .field("sec-websocket-extensions")
            .map(str::to_owned)
    };
    assert!(answer("/first").is_some_and(|answer| answer.contains("permessage-deflate")));
    assert_eq!(answer("/second").as_deref(), Some("lengthens"));
}

#[test]
fn seed_8_9_a_protocol_refuses_extensions_by_its_hook_which_sees_name_parameters_and_request() {
    let server = Server::with([&plugin("probe"), &permessage_deflate()]);
    let answer = |target: &str, offer: &str| {
        let fields = [("Sec-WebSocket-Extensions", offer)];
        let (mut peer, response) = RawPeer::open_with(server.address(), target, &fields);
        assert!(!peer.ask("facts").is_empty());
        response
            .field("sec-websocket-extensions")
            .map(str::to_owned)
    };
    assert!(answer("/probe", "permessage-deflate").is_some());
    assert_eq!(answer("/probe?plain", "permessage-deflate"), None);
    let thirteen = "permessage-deflate; server_max_window_bits=13";
    assert_eq!(answer("/probe", thirteen), None);
    let second = answer(
        "/probe",
        &format!("{thirteen}, permessage-deflate; server_max_window_bits=12"),
    );
    assert!(second.is_some_and(|answer| answer.contains("server_max_window_bits=12")));
    let mark = server.log().mark();
    assert_eq!(answer("/probe?panic", "permessage-deflate"), None);
    server.await_log(mark, |line| {
        line.is_error() && line.mentions("told to panic in the hook")
    });
}
