use super::super::answer_head::AnswerParsed;
use super::super::fields::Fields;
use super::super::handshake::{judge_request, put_switching_protocols};
use super::super::request_head::{HeadParsed, RequestHead};
use super::*;
use crate::limits::Limits;

/// The answer to the nonce of section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct Asked {
    subprotocols: Vec<String>,
    extensions: &'static str,
    origin: &'static str,
    fields: ClientFields,
}

fn asked() -> Asked {
    let mut fields = ClientFields::new();
    fields.add("X-Key", b"7").unwrap();
    Asked {
        subprotocols: vec!["chat".to_owned(), "superchat".to_owned()],
        extensions: "foo; a=1",
        origin: "http://example.com",
        fields,
    }
}

impl Asked {
    fn handshake(&self) -> ClientHandshake<'_> {
        ClientHandshake {
            host: "server.example.com",
            target: "/chat?a",
            nonce: *b"the sample nonce",
            origin: Some(self.origin),
            subprotocols: &self.subprotocols,
            extensions: self.extensions,
            fields: &self.fields,
        }
    }

    fn refused(&self, answer: &[u8]) -> Unaccepted {
        self.handshake().judge(&head(answer)).unwrap_err()
    }
}

fn head(input: &[u8]) -> AnswerHead<'_> {
    match AnswerHead::parse(input, &Limits::default()) {
        AnswerParsed::Done(head) => head,
        other => panic!("{other:?}"),
    }
}

fn answer(subprotocol: Option<&str>, extensions: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_switching_protocols(
        &mut out,
        ACCEPT.as_bytes(),
        subprotocol,
        extensions,
        &Fields::new(),
    );
    out
}

#[test]
fn client_and_server_agree() {
    let asked = asked();
    let mut sent = Vec::new();
    asked.handshake().put_request(&mut sent).unwrap();
    let HeadParsed::Done(request) = RequestHead::parse(&sent, &Limits::default()) else {
        panic!("{sent:?}");
    };
    let upgrade = judge_request(&request).unwrap();
    assert_eq!(upgrade.subprotocols, asked.subprotocols);
    assert_eq!(upgrade.origin, Some("http://example.com"));
    assert_eq!(request.field("X-Key"), Some(&b"7"[..]));
    assert_eq!(
        (request.path(), upgrade.accept.as_bytes()),
        ("/chat", ACCEPT.as_bytes())
    );
    let answered = answer(Some("chat"), "foo");
    let accepted = asked.handshake().judge(&head(&answered)).unwrap();
    assert_eq!(accepted.subprotocol, Some("chat"));
    assert_eq!(accepted.extensions[0].name, "foo");
    let plain = answer(None, "");
    let accepted = asked.handshake().judge(&head(&plain)).unwrap();
    assert_eq!((accepted.subprotocol, accepted.extensions.len()), (None, 0));
}

#[test]
fn each_fault_of_an_answer_is_told_with_what_was_found() {
    let asked = asked();
    let text = String::from_utf8(answer(Some("chat"), "foo")).unwrap();
    for (from, to, error) in [
        (" 101 ", " 403 ", Unaccepted::Status(403)),
        (" 101 ", " 200 ", Unaccepted::Status(200)),
        ("HTTP/1.1", "HTTP/1.0", Unaccepted::Version),
        (
            "Upgrade: websocket",
            "Upgrade: h2c",
            Unaccepted::Upgrade("h2c".into()),
        ),
        (
            "Upgrade: websocket",
            "Upgrade: websocket, h2c",
            Unaccepted::Upgrade("websocket, h2c".into()),
        ),
        (
            "Upgrade: websocket",
            "X: y",
            Unaccepted::Upgrade(String::new()),
        ),
        (
            "Connection: Upgrade",
            "Connection: close\r\nConnection: a",
            Unaccepted::Connection("close, a".into()),
        ),
        (
            "Connection: Upgrade",
            "X: y",
            Unaccepted::Connection(String::new()),
        ),
        (ACCEPT, "s3pP", Unaccepted::Accept("s3pP".into())),
        (
            "Sec-WebSocket-Accept",
            "X-Accept",
            Unaccepted::Accept(String::new()),
        ),
        (
            "Protocol: chat",
            "Protocol: Chat",
            Unaccepted::Subprotocol("Chat".into()),
        ),
        (
            "Protocol: chat",
            "Protocol: \t",
            Unaccepted::Subprotocol(String::new()),
        ),
        (
            "Protocol: chat",
            "Protocol: chat, superchat",
            Unaccepted::Subprotocol("chat, superchat".into()),
        ),
        (
            "Protocol: chat",
            "Protocol: chat\r\nSec-WebSocket-Protocol: chat",
            Unaccepted::SubprotocolTwice("chat".into()),
        ),
        (
            "Extensions: foo",
            "Extensions: bar; x",
            Unaccepted::Extension("bar".into()),
        ),
        (
            "Extensions: foo",
            "Extensions: foo; =",
            Unaccepted::ExtensionsMalformed("foo; =".into()),
        ),
    ] {
        let answer = text.replacen(from, to, 1);
        assert_eq!(asked.refused(answer.as_bytes()), error, "{to}");
    }
    let twice = text.replace(
        "\r\n\r\n",
        &format!("\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"),
    );
    assert!(matches!(
        asked.refused(twice.as_bytes()),
        Unaccepted::Accept(_)
    ));
    let long = text.replace(ACCEPT, &"x".repeat(1000));
    let told = asked.refused(long.as_bytes()).to_string();
    assert!(told.contains("xxx...") && told.len() < 250, "{told}");
}

#[test]
fn nothing_that_was_not_offered_is_accepted() {
    let mut asked = asked();
    asked.subprotocols.clear();
    asked.extensions = "";
    assert_eq!(
        asked.refused(&answer(Some("chat"), "")),
        Unaccepted::Subprotocol("chat".into())
    );
    assert_eq!(
        asked.refused(&answer(None, "foo")),
        Unaccepted::Extension("foo".into())
    );
    let mut sent = Vec::new();
    asked.handshake().put_request(&mut sent).unwrap();
    let sent = String::from_utf8(sent).unwrap();
    assert!(!sent.contains("Protocol") && !sent.contains("Extensions"));
}

#[test]
fn an_offer_that_no_server_could_read_is_refused() {
    let refused = |change: fn(&mut Asked)| {
        let mut asked = asked();
        change(&mut asked);
        let mut out = Vec::new();
        let error = asked.handshake().put_request(&mut out).unwrap_err();
        assert!(out.is_empty());
        error
    };
    assert_eq!(
        refused(|asked| asked.subprotocols.push("a b".into())),
        OfferError::Subprotocol("a b".into())
    );
    assert_eq!(
        refused(|asked| asked.subprotocols.push("chat".into())),
        OfferError::SubprotocolTwice("chat".into())
    );
    assert_eq!(
        refused(|asked| asked.extensions = "foo;;"),
        OfferError::Extensions("foo;;".into())
    );
    for origin in [
        "",
        "example.com",
        "http://a/",
        "http://a b",
        "http://a\r\nX: y",
    ] {
        let mut asked = asked();
        asked.origin = origin;
        let error = asked.handshake().put_request(&mut Vec::new());
        assert_eq!(error, Err(OfferError::Origin(origin.into())));
    }
}
