//! What a hook may say of the answer, and what a session keeps.

use std::net::SocketAddr;

use super::*;
use crate::{
    connection::inbound::Delivery,
    context::handler::{AllowedExtensions, ProtocolFacts},
    limits::Limits,
    net::token::ConnectionId,
    wire::{Role, request_head::HeadParsed},
};

const REQUEST: &[u8] = b"GET /chat?a HTTP/1.1\r\nHost: h\r\ncookie: a\r\nX: 1\r\nCookie: b\r\n\r\n";

fn with_head<R>(look: impl FnOnce(&RequestHead<'_>) -> R) -> R {
    match RequestHead::parse(REQUEST, &Limits::default()) {
        HeadParsed::Done(head) => look(&head),
        other => panic!("{other:?}"),
    }
}

fn with_call(look: impl FnOnce(&mut HandshakeCall<'_>)) {
    let protocol = ProtocolFacts {
        vhost: "default".into(),
        name: "chat".into(),
        id: 0,
        delivery: Delivery::Messages,
        pongs: false,
        extensions: AllowedExtensions::All,
        keep_headers: Vec::new(),
        websocket: true,
        http: None,
    };
    with_head(|head| {
        let facts = RequestFacts {
            connection: ConnectionId::new(0, 1, 1),
            vhost: "default",
            target: "/chat?a",
            peer: SocketAddr::from(([127, 0, 0, 1], 1)).into(),
            peer_name: None,
            tls: None,
            protocol: &protocol,
            subprotocol: Some("chat"),
            role: Role::Server,
        };
        look(&mut HandshakeCall::new(
            head,
            &["v2", "chat"],
            facts,
            &Granted::default(),
            20,
        ));
    });
}

#[test]
fn what_is_not_offered_cannot_be_chosen_and_changes_nothing() {
    with_call(|call| {
        assert_eq!(call.choose("v3"), Err(Unsaid::Bad));
        assert_eq!(call.facts().subprotocol, Some("chat"));
        assert_eq!(call.choose("v2"), Ok(()));
        assert_eq!(call.facts().subprotocol, Some("v2"));
        assert_eq!(call.choose(""), Ok(()));
        assert_eq!(call.facts().subprotocol, None);
    });
}

#[test]
fn a_field_is_added_only_where_it_can_stand_and_up_to_the_bound() {
    with_call(|call| {
        for name in [
            "Sec-WebSocket-Accept",
            "sec-websocket-x",
            "Upgrade",
            "a b",
            "a\r\n",
        ] {
            assert_eq!(call.add_field(name, b""), Err(Unsaid::Bad), "{name:?}");
        }
        assert_eq!(call.add_field("X", b"\r\n"), Err(Unsaid::Bad));
        assert_eq!(call.add_field("Sec", b"1234567890123"), Ok(()));
        assert_eq!(call.fields.as_bytes().len(), 20);
        assert_eq!(call.add_field("Y", b""), Err(Unsaid::TooMuch));
    });
}

#[test]
fn a_refusal_has_a_status_from_300_to_599() {
    with_call(|call| {
        for (status, content) in [
            (0, ""),
            (200, ""),
            (299, ""),
            (304, "x"),
            (600, ""),
            (65_936, ""),
        ] {
            assert_eq!(call.refuse(status, content.as_bytes()), Err(Unsaid::Bad));
        }
        assert!(call.refusal.is_none());
        assert_eq!(call.refuse(599, b"no"), Ok(()));
        assert_eq!(call.refusal, Some((599, b"no".to_vec())));
    });
}

#[test]
fn a_session_keeps_the_fields_that_are_named_and_nothing_when_there_are_none() {
    with_head(|head| {
        let names =
            |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        assert!(Kept::of(head, &[], None, None, &Granted::default()).is_none());
        assert!(Kept::of(head, &names(&["absent"]), None, None, &Granted::default()).is_none());
        let names = names(&["Absent", "COOKIE"]);
        let kept = Kept::of(head, &names, None, None, &Granted::default()).unwrap();
        let of = |name, index| kept.field(&names, name, index);
        assert_eq!(
            (of("cookie", 0), of("Cookie", 1)),
            (Some(&b"a"[..]), Some(&b"b"[..]))
        );
        assert_eq!(
            (of("cookie", 2), of("absent", 0), of("x", 0)),
            (None, None, None)
        );
    });
}
