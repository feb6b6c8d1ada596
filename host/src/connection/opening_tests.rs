//! What a client sends on the way to a WebSocket, and what it makes of answers that were written by hand.

use crate::{
    connection::opening::{
        Opened, Opening, OpeningCause, OpeningError, OpeningRequest, Stage, Step,
    },
    limits::Limits,
    wire::{
        answer_head::AnswerHeadError,
        client_fields::ClientFields,
        client_handshake::{OfferError, Unaccepted},
        proxy::Proxy,
        url::Url,
    },
};

/// The answer to the nonce of RFC 6455 section 1.3.
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: b\r\n\
     Sec-WebSocket-Extensions: x; a=1\r\nX-Own: 7\r\n\r\n";
const TUNNEL: &str = "HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n";

fn request(url: &str, proxy: Option<&str>) -> OpeningRequest {
    OpeningRequest {
        url: Url::parse(url).unwrap(),
        host: None,
        nonce: *b"the sample nonce",
        origin: Some("http://page.example".to_owned()),
        subprotocols: vec!["a".to_owned(), "b".to_owned()],
        extensions: "x, y".to_owned(),
        fields: ClientFields::new(),
        proxy: proxy.map(|proxy| Proxy::parse(proxy).unwrap()),
    }
}

fn opening(url: &str, proxy: Option<&str>) -> Opening {
    let limits = Limits {
        refusal_content_bytes: 5,
        interim_responses_count: 2,
        ..Limits::default()
    };
    Opening::new(request(url, proxy), &limits).unwrap()
}

fn sent(out: &mut Vec<u8>) -> String {
    String::from_utf8(std::mem::take(out)).unwrap()
}

/// Gives an answer in these pieces until something comes of it, and with it what is left of all of them.
fn answered(opening: &mut Opening, pieces: &[&[u8]]) -> (Step, Vec<u8>) {
    let mut out = Vec::new();
    let mut waiting = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        waiting.extend_from_slice(piece);
        let (used, step) = opening.read(&waiting, &mut out);
        waiting.drain(..used);
        if !matches!(step, Step::Read) {
            waiting.extend(pieces[index + 1..].concat());
            return (step, waiting);
        }
    }
    (Step::Read, waiting)
}

/// The same whole, cut anywhere, and byte by byte: what the begun openings make of an answer.
fn everywhere(begin: impl Fn() -> Opening, answer: &str, ends: bool) -> (Step, Vec<u8>) {
    let make = |pieces: &[&[u8]]| {
        let mut opening = begin();
        let (step, left) = answered(&mut opening, pieces);
        match step {
            Step::Read if ends => (opening.ended(), left),
            step => (step, left),
        }
    };
    let answer = answer.as_bytes();
    let expected = make(&[answer]);
    let shown = format!("{expected:?}");
    for cut in 0..=answer.len() {
        let (first, second) = answer.split_at(cut);
        assert_eq!(format!("{:?}", make(&[first, second])), shown, "{cut}");
    }
    let bytes: Vec<_> = answer.chunks(1).collect();
    assert_eq!(format!("{:?}", make(&bytes)), shown);
    expected
}

fn asking() -> Opening {
    let mut opening = opening("ws://example.org/chat", None);
    assert!(matches!(opening.connected(&mut Vec::new()), Step::Read));
    opening
}

fn tunneling() -> Opening {
    let mut opening = opening("wss://example.org", Some("u:p@proxy:1"));
    assert!(matches!(opening.connected(&mut Vec::new()), Step::Read));
    opening
}

fn failed(step: Step) -> OpeningError {
    match step {
        Step::Failed(error) => *error,
        other => panic!("{other:?}"),
    }
}

fn opened(step: Step) -> Opened {
    match step {
        Step::Open(opened) => *opened,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_url_leads_to_the_handshake_at_once_and_the_frames_behind_it_are_left() {
    let mut out = Vec::new();
    opening("ws://example.org:81/chat?a", None).connected(&mut out);
    let request = sent(&mut out);
    assert!(request.starts_with("GET /chat?a HTTP/1.1\r\nHost: example.org:81\r\n"));
    assert!(request.contains("\r\nSec-WebSocket-Protocol: a, b\r\n"));
    let answer = format!("{ACCEPTED}\u{1}frames");
    let (step, left) = everywhere(asking, &answer, false);
    assert_eq!(left, b"\x01frames");
    let opened = opened(step);
    assert_eq!(opened.subprotocol.as_deref(), Some("b"));
    assert_eq!(opened.extensions()[0].name, "x");
    assert_eq!(opened.extensions()[0].parameters[0].name, "a");
    assert_eq!(opened.answer.fields.get("x-own"), Some(&b"7"[..]));
}

#[test]
fn a_tunnel_comes_before_tls_and_tls_before_the_handshake() {
    let mut out = Vec::new();
    let mut opening = opening("wss://example.org/a", Some("u:p@proxy:3128"));
    assert_eq!(opening.stage(), Stage::Proxy);
    assert!(matches!(opening.connected(&mut out), Step::Read));
    let connect = sent(&mut out);
    assert!(connect.starts_with("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"));
    assert!(connect.contains("\r\nProxy-Authorization: Basic dTpw\r\n"));
    let (used, step) = opening.read(TUNNEL.as_bytes(), &mut out);
    assert!(matches!(step, Step::Secure) && used == TUNNEL.len() && out.is_empty());
    assert_eq!(opening.stage(), Stage::Tls);
    assert!(matches!(opening.secured(&mut out), Step::Read));
    let request = sent(&mut out);
    assert!(request.starts_with("GET /a HTTP/1.1\r\nHost: example.org\r\n"));
    assert!(
        !request.contains("Proxy-Authorization"),
        "not for the server"
    );
    let (_, step) = opening.read(ACCEPTED.as_bytes(), &mut out);
    opened(step);

    let (step, _) = everywhere(tunneling, TUNNEL, false);
    assert!(matches!(step, Step::Secure));
    let mut plain = self::opening("ws://example.org/a", Some("proxy:3128"));
    plain.connected(&mut out);
    assert!(sent(&mut out).starts_with("CONNECT example.org:80 "));
    plain.read(TUNNEL.as_bytes(), &mut out);
    assert!(sent(&mut out).starts_with("GET /a "));
}

#[test]
fn what_a_proxy_has_against_a_tunnel_is_told() {
    let answer = "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nwho";
    let error = failed(everywhere(tunneling, answer, false).0);
    assert_eq!(
        (error.stage, &error.cause),
        (Stage::Proxy, &OpeningCause::ProxyCredentials)
    );
    let held = error.answer.as_ref().unwrap();
    assert_eq!((held.status, held.content.as_slice()), (407, &b"who"[..]));
    assert!(error.to_string().contains("NAME:PASSWORD@") && !error.may_pass());

    let answer = "HTTP/1.1 503 Busy\r\n\r\n";
    let error = failed(everywhere(tunneling, answer, true).0);
    assert_eq!(error.cause, OpeningCause::ProxyStatus(503));
    assert!(error.may_pass());

    let early = format!("{TUNNEL}SSH-2.0");
    let mut opening = tunneling();
    let error = failed(answered(&mut opening, &[early.as_bytes()]).0);
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Proxy, OpeningCause::EarlyBytes)
    );
    let error = failed(tunneling().ended());
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Proxy, OpeningCause::Ended)
    );
}

#[test]
fn a_refusal_is_told_with_its_stage_its_fields_and_the_start_of_its_content() {
    for (body, ends) in [
        ("Content-Length: 3\r\n\r\nabc", false),
        ("Content-Length: 9\r\n\r\nabc", true),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            false,
        ),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx", false),
        ("\r\nabc", true),
    ] {
        let answer = format!("HTTP/1.1 403 No\r\nX-Why: policy\r\n{body}");
        let error = failed(everywhere(asking, &answer, ends).0);
        assert_eq!(error.stage, Stage::Status);
        assert_eq!(
            error.cause,
            OpeningCause::Unaccepted(Unaccepted::Status(403))
        );
        let held = error.answer.unwrap();
        assert_eq!(held.fields.get("X-Why"), Some(&b"policy"[..]), "{body}");
        assert_eq!(
            (held.reason.as_str(), held.content.as_slice()),
            ("No", &b"abc"[..])
        );
    }
    let long = "HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\n0123456789";
    let mut opening = asking();
    let error = failed(answered(&mut opening, &[long.as_bytes()]).0);
    assert_eq!(error.answer.unwrap().content, b"01234");
    let mut opening = asking();
    answered(&mut opening, &[&long.as_bytes()[..long.len() - 8]]);
    let error = failed(opening.expired());
    assert_eq!(error.stage, Stage::Status);
    assert_eq!(error.answer.unwrap().content, b"01");
    let smuggled = "HTTP/1.1 403 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    let mut opening = asking();
    let error = failed(answered(&mut opening, &[smuggled.as_bytes()]).0);
    assert_eq!(error.answer.unwrap().content, b"");
}

#[test]
fn an_answer_that_is_no_acceptance_is_told_with_what_was_found() {
    for (from, to, cause) in [
        ("websocket", "h2c", Unaccepted::Upgrade("h2c".into())),
        (
            "s3p",
            "S3p",
            Unaccepted::Accept("S3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into()),
        ),
        (
            "Protocol: b",
            "Protocol: c",
            Unaccepted::Subprotocol("c".into()),
        ),
        (
            "Extensions: x",
            "Extensions: z",
            Unaccepted::Extension("z".into()),
        ),
    ] {
        let answer = ACCEPTED.replacen(from, to, 1);
        let error = failed(everywhere(asking, &answer, false).0);
        assert_eq!((error.stage, error.cause), (Stage::Handshake, cause.into()));
        assert_eq!(error.answer.unwrap().status, 101);
    }
}

#[test]
fn what_is_no_http_fails_at_its_first_bytes() {
    let error = failed(answered(&mut asking(), &[b"\x15"]).0);
    assert_eq!(error.cause, AnswerHeadError::Version.into());
    assert_eq!((error.stage, error.may_pass()), (Stage::Handshake, false));
}

#[test]
fn interim_answers_are_passed_over_and_bounded() {
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let answer = format!("{interim}{interim}{ACCEPTED}");
    opened(everywhere(asking, &answer, false).0);
    let many = format!("{interim}{answer}");
    let error = failed(answered(&mut asking(), &[many.as_bytes()]).0);
    assert_eq!(error.cause, OpeningCause::Interim);
    let through = format!("{interim}{TUNNEL}");
    assert!(matches!(
        everywhere(tunneling, &through, false).0,
        Step::Secure
    ));
}

#[test]
fn each_end_is_told_with_the_stage_it_came_in() {
    let error = failed(opening("ws://a", None).transport_failed("refused".into()));
    assert_eq!(error.to_string(), "connecting: refused");
    assert!(error.may_pass());
    let mut securing = opening("wss://a", None);
    assert!(matches!(securing.connected(&mut Vec::new()), Step::Secure));
    let error = failed(securing.transport_failed("unknown issuer".into()));
    assert_eq!(error.to_string(), "agreeing on TLS: unknown issuer");
    assert!(!error.may_pass());
    let error = failed(asking().expired());
    assert_eq!(
        (error.stage, &error.cause),
        (Stage::Handshake, &OpeningCause::Late)
    );
    assert!(error.may_pass());
    let error = OpeningError::before(Stage::Resolve, "no such name".into());
    assert_eq!(error.to_string(), "looking up the host: no such name");
}

#[test]
fn the_host_field_may_be_another_than_that_of_the_url_and_a_bad_offer_fails_before_anything_is_sent()
 {
    let mut asked = request("ws://127.0.0.1:9/", None);
    asked.host = Some("inner.example".to_owned());
    let mut out = Vec::new();
    Opening::new(asked.clone(), &Limits::default())
        .unwrap()
        .connected(&mut out);
    assert!(sent(&mut out).contains("\r\nHost: inner.example\r\n"));
    asked.subprotocols.push("a b".to_owned());
    let error = Opening::new(asked, &Limits::default()).unwrap_err();
    assert_eq!(error, OfferError::Subprotocol("a b".into()));
}

#[test]
fn plain_requests_begin_where_a_handshake_would_and_ask_for_a_tunnel_only_to_encrypt() {
    let way = |url, proxy| Opening::for_requests(request(url, proxy), &Limits::default());
    let mut out = Vec::new();
    for proxy in [None, Some("proxy:1")] {
        let mut opening = way("http://example.org/", proxy);
        assert!(matches!(opening.connected(&mut out), Step::Ready));
        assert_eq!(sent(&mut out), "");
    }
    let mut opening = way("https://example.org/", None);
    assert!(matches!(opening.connected(&mut out), Step::Secure));
    assert!(matches!(opening.secured(&mut out), Step::Ready));
    assert_eq!(sent(&mut out), "");
    let mut opening = way("https://example.org/", Some("proxy:1"));
    assert!(matches!(opening.connected(&mut out), Step::Read));
    assert!(sent(&mut out).starts_with("CONNECT example.org:443 HTTP/1.1\r\n"));
    let (_, step) = opening.read(b"HTTP/1.1 200 OK\r\n\r\n", &mut out);
    assert!(matches!(step, Step::Secure));
    assert!(matches!(opening.secured(&mut out), Step::Ready));
    assert_eq!(sent(&mut out), "");
}
