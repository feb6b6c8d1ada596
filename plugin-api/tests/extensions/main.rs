//! An extension, driven through its tables: what it is told, what it may do, and what becomes of one that misbehaves.

mod tested;

use std::num::NonZeroU64;

use hotsocket_plugin::{
    prelude::*,
    testing::{Handshake, RecordedPiece, Stopped, TestConnection, TestHost},
};
use tested::{Asks, Choosy, Plain, Shift, Strict};

export_plugin!(Choosy, Plain, Strict; extensions: Shift, Asks);

fn told(query: &str) -> TestConnection {
    let handshake = Handshake {
        query: Some(query.to_owned()),
        ..Handshake::at("/")
    };
    TestHost::new(plugin())
        .accept_as("shift", handshake, "")
        .expect("no failure")
        .expect("agreed on")
}

fn failed(code: u16, why: &str) -> Stopped {
    Stopped::Failed {
        code: CloseCode(code),
        why: why.to_owned(),
    }
}

fn failure(passed: Result<Vec<RecordedPiece>, Stopped>) -> (u16, String) {
    match passed {
        Err(Stopped::Failed { code, why }) => (code.0, why),
        other => panic!("not failed: {other:?}"),
    }
}

const HELLO: FramePiece<'static> = FramePiece::whole(Opcode::TEXT, b"hello");

#[test]
fn the_manifest_names_extensions_and_what_protocols_allow() {
    let manifest: serde_json::Value =
        serde_json::from_str(plugin().manifest()).expect("it is JSON");
    assert_eq!(
        manifest["extensions"],
        serde_json::json!([{"name": "shift"}, {"name": "asks"}])
    );
    let allowed = |index: usize| manifest["protocols"][index]["extensions"].clone();
    assert_eq!(
        allowed(0),
        serde_json::json!({"except": ["noise", "x-noise"]})
    );
    assert_eq!(allowed(1), serde_json::json!({"only": []}));
    assert_eq!(allowed(2), serde_json::json!({"only": ["shift"]}));
    let declaration = plugin().declaration();
    assert_eq!(
        (declaration.protocol_count, declaration.extension_count),
        (3, 2)
    );
}

#[test]
fn a_server_accepts_with_parameters_or_declines() {
    let host = TestHost::new(plugin());
    let connection = host.accept("shift", "x; by=7").expect("no failure");
    let connection = connection.expect("agreed on");
    assert_eq!(connection.response(), "by=7");
    assert_eq!(connection.rsv(), Rsv::RSV3);
    assert_eq!(connection.opcodes(), [Opcode(3), Opcode(15)]);
    assert_eq!(connection.independence(), NonZeroU64::new(7));
    for declined in ["by", "by=many"] {
        assert!(
            host.accept("shift", declined)
                .expect("no failure")
                .is_none()
        );
    }
}

#[test]
fn a_client_offers_alternatives_and_confirms() {
    let host = TestHost::new(plugin());
    host.configure_extension("shift", r#"{"by": 3}"#)
        .expect("it is right");
    let offers = [0, 1, 2].map(|number| host.offer("shift", number));
    assert_eq!(
        offers,
        [
            Ok(Some("by=3".to_owned())),
            Ok(Some(String::new())),
            Ok(None)
        ]
    );
    let mut client = host.confirm("shift", "by=3").expect("it is an answer");
    let mut server = host.accept("shift", "by=3").expect("no failure");
    let server = server.as_mut().expect("agreed on");
    for piece in client.outbound(HELLO).expect("it goes through") {
        assert_eq!(piece.payload, b"khoor");
        let back = server.inbound(piece.as_piece()).expect("it goes through");
        assert_eq!(back, [RecordedPiece::new(HELLO)]);
    }
    let refused = host.confirm("shift", "by=x").expect_err("no answer");
    assert_eq!(refused, "invalid digit found in string");
}

#[test]
fn options_are_typed_and_refused_in_words() {
    let host = TestHost::new(plugin());
    let refused = |options| {
        host.configure_extension("shift", options)
            .expect_err("wrong")
    };
    assert_eq!(
        refused(r#"{"by": "x"}"#),
        r#"option `by`: invalid type: string "x", expected u8"#
    );
    assert_eq!(refused(r#"{"by": 0}"#), "`by` is 0, which shifts nothing");
}

#[test]
fn connections_share_the_state_of_their_thread() {
    let host = TestHost::new(plugin());
    for _ in 0..2 {
        let mut connection = host.accept("shift", "").expect("no failure");
        let piece = FramePiece {
            rsv: Rsv::RSV3,
            ..HELLO
        };
        let connection = connection.as_mut().expect("agreed on");
        assert!(connection.inbound(piece).is_ok());
    }
    assert_eq!((host.counter("pieces"), host.counter("ended")), (2, 2));
}

#[test]
fn a_failed_accept_is_told_and_leaves_nothing() {
    let host = TestHost::new(plugin());
    let accept = |query: &str| {
        let handshake = Handshake {
            query: Some(query.to_owned()),
            ..Handshake::at("/")
        };
        host.accept_as("shift", handshake, "").expect_err(query)
    };
    assert_eq!(accept("accept fails"), "no thanks");
    assert_eq!(accept("accept panics"), "panicked: in accept");
    assert_eq!(host.counter("ended"), 0);
}

#[test]
fn a_connection_fails_with_the_code_that_is_given() {
    assert_eq!(
        told("inbound fails").inbound(HELLO),
        Err(failed(3000, "not today"))
    );
    assert_eq!(
        told("").inbound(HELLO),
        Err(failed(1002, "RSV3 is missing"))
    );
    assert_eq!(
        told("inbound panics").inbound(HELLO),
        Err(failed(1011, "panicked: in inbound"))
    );
    let (code, why) = failure(told("inbound errs").inbound(HELLO.with_payload(b"\xff")));
    assert_eq!(code, 1011);
    assert!(why.starts_with("invalid utf-8"), "{why}");
}

#[test]
fn a_veto_drops_a_message_and_the_connection_goes_on() {
    let mut connection = told("inbound vetoes");
    let first = FramePiece {
        message_last: false,
        ..HELLO
    };
    let last = FramePiece {
        message_first: false,
        ..HELLO
    };
    assert_eq!(connection.inbound(first), Err(Stopped::Vetoed));
    assert_eq!(connection.inbound(last), Ok(Vec::new()));
    assert_eq!(connection.inbound(HELLO), Err(Stopped::Vetoed));
    assert_eq!(failure(told("vetoes late").inbound(HELLO)).0, 1011);
    assert_eq!(
        told("flush vetoes").flush(),
        Err(failed(1011, "there is nothing to veto in flush"))
    );
}

#[test]
fn what_is_held_back_comes_with_a_flush() {
    let mut connection = told("holds");
    assert_eq!(connection.outbound(HELLO), Ok(Vec::new()));
    let flushed = connection.flush().expect("it goes through");
    assert_eq!(flushed.len(), 1);
    assert_eq!(flushed[0].payload, b"ifmmp");
    assert_eq!(connection.flush(), Ok(Vec::new()));
}

#[test]
fn a_sink_that_is_full_ends_the_connection() {
    let mut connection = told("");
    connection.set_limit(4);
    assert_eq!(connection.outbound(HELLO), Err(Stopped::TooLarge));
}

#[test]
fn what_cannot_stand_there_fails_the_connection_even_if_the_author_ignores_it() {
    let why = "a piece was put that cannot stand there";
    assert_eq!(told("swallows").outbound(HELLO), Err(failed(1011, why)));
    assert_eq!(told("foreign bit").outbound(HELLO), Err(failed(1011, why)));
}

#[test]
fn bits_of_other_extensions_stay() {
    let piece = FramePiece {
        rsv: Rsv::RSV1,
        ..HELLO
    };
    let put = told("").outbound(piece).expect("it goes through");
    assert_eq!(put[0].rsv, Rsv::RSV1 | Rsv::RSV3);
}

#[test]
fn the_end_is_told_once_and_not_after_a_panic() {
    let host = TestHost::new(plugin());
    let agree = |query: &str| {
        let handshake = Handshake {
            query: Some(query.to_owned()),
            ..Handshake::at("/")
        };
        let agreed = host.accept_as("shift", handshake, "").expect("no failure");
        agreed.expect("agreed on")
    };
    assert_eq!(agree("").end(), [""; 0]);
    assert_eq!(host.counter("ended"), 1);
    assert_eq!(agree("end panics").end(), ["panicked: in on_end"]);
    assert_eq!(agree("drop panics").end(), ["panicked: in drop"]);
    assert_eq!(host.counter("ended"), 3);
    let mut panicked = agree("inbound panics");
    assert!(panicked.inbound(HELLO).is_err());
    assert_eq!(panicked.end(), [""; 0]);
    assert_eq!(host.counter("ended"), 3);
}

#[test]
fn a_protocol_says_which_extensions_may_be_used() {
    let host = TestHost::new(plugin());
    let encrypted = Handshake {
        encrypted: true,
        ..Handshake::at("/")
    };
    let allows = |protocol, handshake: &Handshake, name, parameters| {
        host.allows_extension(protocol, handshake.clone(), name, parameters)
    };
    let plain = Handshake::at("/");
    assert_eq!(allows("plain", &plain, "shift", ""), Ok(false));
    assert_eq!(allows("strict", &plain, "shift", ""), Ok(true));
    assert_eq!(allows("strict", &plain, "noise", ""), Ok(false));
    assert_eq!(allows("choosy", &encrypted, "noise", ""), Ok(false));
    assert_eq!(allows("choosy", &encrypted, "shift", "by=1"), Ok(true));
    assert_eq!(allows("choosy", &plain, "shift", "by=1"), Ok(false));
    assert_eq!(allows("choosy", &plain, "shift", ""), Ok(true));
    assert_eq!(
        allows("choosy", &plain, "panics", ""),
        Err("panicked: at /".to_owned())
    );
}

#[test]
fn the_request_is_known() {
    let host = TestHost::new(plugin());
    let handshake = Handshake {
        subprotocol: Some("chat".to_owned()),
        ..Handshake::at("/x")
    };
    assert!(
        host.accept_as("asks", handshake, "")
            .expect("no failure")
            .is_none()
    );
    // An extension that says nothing of the client's role has none.
    assert_eq!(host.offer("asks", 0), Ok(None));
    assert_eq!(
        host.confirm("asks", "").map(|_| ()),
        Err("nothing was offered".to_owned())
    );
}
