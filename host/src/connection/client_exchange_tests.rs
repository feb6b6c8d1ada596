//! What an exchange of a client sends, and what it hears of answers that were written by hand.

use crate::{
    connection::client_exchange::{
        AnswerEvent, ClientExchange, ClientRequest, ExchangeError, PutError, RequestBody,
        RequestError,
    },
    limits::Limits,
    wire::{
        answer_head::AnswerHeadError, body_length::LengthError, chunked::ChunkError,
        client_fields::ClientFields, credentials::Credentials, fields::Fields,
    },
};

const NONE: &ClientFields = &ClientFields::new();

const GET: ClientRequest<'_> = ClientRequest {
    method: "GET",
    target: "/a?b",
    host: "example.org",
    fields: NONE,
    credentials: None,
    proxy_credentials: None,
    body: RequestBody::None,
    awaits_continue: false,
    keep_alive: true,
};

fn begin(request: &ClientRequest<'_>) -> (ClientExchange, String) {
    let mut out = Vec::new();
    let exchange = ClientExchange::begin(&mut out, request, &Limits::default()).unwrap();
    (exchange, String::from_utf8(out).unwrap())
}

/// All that was heard of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Heard {
    interim: Vec<u16>,
    status: u16,
    content: Vec<u8>,
    trailer: Option<Fields>,
    error: Option<ExchangeError>,
    persists: bool,
}

/// Reads an answer that comes in these pieces, and then the end of the connection if it `ends`.
fn hear(exchange: &mut ClientExchange, pieces: &[&[u8]], ends: bool) -> Heard {
    let mut heard = Heard::default();
    let mut waiting = Vec::new();
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let (used, event) = exchange.read(&waiting[at..]);
            at += used;
            if !heard.take(event) {
                break;
            }
        }
        waiting.drain(..at);
    }
    if ends {
        heard.take(exchange.ended(true));
    }
    heard.persists = exchange.persists();
    heard
}

impl Heard {
    /// False when more input is needed.
    fn take(&mut self, event: AnswerEvent<'_>) -> bool {
        match event {
            AnswerEvent::Need => return false,
            AnswerEvent::Interim(head) => self.interim.push(head.status),
            AnswerEvent::Head(head) => self.status = head.status,
            AnswerEvent::Piece(piece) => self.content.extend_from_slice(piece),
            AnswerEvent::End(trailer) => assert_eq!(self.trailer.replace(trailer), None),
            AnswerEvent::Failed(error) => assert_eq!(self.error.replace(error), None),
        }
        true
    }
}

/// Heard the same whole, cut in two anywhere, and byte by byte.
fn heard_of(request: &ClientRequest<'_>, answer: &[u8], ends: bool) -> Heard {
    let hear = |pieces: &[&[u8]]| hear(&mut begin(request).0, pieces, ends);
    let heard = hear(&[answer]);
    for cut in 0..=answer.len() {
        let (first, second) = answer.split_at(cut);
        assert_eq!(hear(&[first, second]), heard, "cut at {cut}");
    }
    assert_eq!(hear(&answer.chunks(1).collect::<Vec<_>>()), heard);
    heard
}

#[test]
fn requests_are_written_with_what_frames_them() {
    let head = |request: ClientRequest<'_>| begin(&request).1;
    assert_eq!(head(GET), "GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n");
    let post = ClientRequest {
        method: "POST",
        ..GET
    };
    assert!(head(post).contains("\r\nContent-Length: 0\r\n"));
    let exact = ClientRequest {
        body: RequestBody::Exact(5),
        awaits_continue: true,
        ..post
    };
    assert!(head(exact).ends_with("\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
    let streamed = ClientRequest {
        body: RequestBody::Chunked,
        keep_alive: false,
        ..post
    };
    assert!(
        head(streamed).ends_with("\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    );
    let credentials = Credentials::decode("a:b").unwrap();
    let known = ClientRequest {
        credentials: Some(&credentials),
        proxy_credentials: Some(&credentials),
        target: "http://example.org/",
        ..GET
    };
    let sent = head(known);
    assert!(sent.contains("\r\nAuthorization: Basic YTpi\r\nProxy-Authorization: Basic YTpi\r\n"));
    let mut fields = ClientFields::new();
    fields.add("authorization", b"Bearer x").unwrap();
    let own = ClientRequest {
        fields: &fields,
        ..known
    };
    assert!(!head(own).contains("\r\nAuthorization: Basic"));
}

#[test]
fn what_would_be_another_request_is_refused() {
    let refused = |request: &ClientRequest<'_>| {
        let mut out = Vec::new();
        let error = ClientExchange::begin(&mut out, request, &Limits::default()).unwrap_err();
        assert!(out.is_empty());
        error
    };
    for method in ["", "GET /", "CONNECT", "G\r\nET"] {
        let error = refused(&ClientRequest { method, ..GET });
        assert_eq!(error, RequestError::Method(method.into()));
    }
    for target in [
        "",
        "a",
        "*",
        "/a b",
        "/\r\nX: y",
        "/#a",
        "/\u{e9}",
        "ftp://a",
    ] {
        let error = refused(&ClientRequest { target, ..GET });
        assert_eq!(error, RequestError::Target(target.into()));
    }
    for host in ["", "a b", "a\r\nX: y"] {
        let error = refused(&ClientRequest { host, ..GET });
        assert_eq!(error, RequestError::Host(host.into()));
    }
}

#[test]
fn a_body_goes_out_as_it_was_announced() {
    let mut out = Vec::new();
    let exact = ClientRequest {
        method: "PUT",
        body: RequestBody::Exact(3),
        ..GET
    };
    let (mut exchange, _) = begin(&exact);
    assert!(exchange.takes_body());
    exchange.put(&mut out, b"ab").unwrap();
    assert_eq!(exchange.put(&mut out, b"cd"), Err(PutError::Length));
    exchange.put(&mut out, b"c").unwrap();
    exchange.finish(&mut out, &Fields::new()).unwrap();
    assert_eq!(exchange.put(&mut out, b""), Err(PutError::Late));
    assert_eq!(out, b"abc");

    out.clear();
    let (mut exchange, _) = begin(&ClientRequest {
        body: RequestBody::Chunked,
        ..exact
    });
    exchange.put(&mut out, b"ab").unwrap();
    exchange.put(&mut out, b"").unwrap();
    let mut trailer = Fields::new();
    trailer.set("X-Sum", 7);
    exchange.finish(&mut out, &trailer).unwrap();
    assert_eq!(out, b"2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n");

    let (mut exchange, _) = begin(&exact);
    let short = exchange.finish(&mut Vec::new(), &Fields::new());
    assert_eq!((short, exchange.persists()), (Err(PutError::Length), false));
}

#[test]
fn a_body_waits_for_the_word_of_the_server_and_only_for_that() {
    let request = ClientRequest {
        method: "POST",
        body: RequestBody::Exact(3),
        awaits_continue: true,
        ..GET
    };
    let mut out = Vec::new();
    let (mut exchange, _) = begin(&request);
    assert!(exchange.awaits_continue() && !exchange.takes_body());
    assert_eq!(exchange.put(&mut out, b"abc"), Err(PutError::Unwanted));
    hear(&mut exchange, &[b"HTTP/1.1 103 Hints\r\n\r\n"], false);
    assert!(exchange.awaits_continue());
    let heard = hear(&mut exchange, &[b"HTTP/1.1 100 Continue\r\n\r\n"], false);
    assert_eq!(heard.interim, [100]);
    exchange.put(&mut out, b"abc").unwrap();
    exchange.finish(&mut out, &Fields::new()).unwrap();
    hear(&mut exchange, &[b"HTTP/1.1 204 No\r\n\r\n"], false);
    assert!(exchange.is_over() && exchange.persists());

    let (mut exchange, _) = begin(&request);
    exchange.go_on();
    assert!(exchange.takes_body());

    // Without the word the server may still wait for the body: no other request can follow.
    for status in ["200", "417"] {
        let (mut exchange, _) = begin(&request);
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
        hear(&mut exchange, &[answer.as_bytes()], false);
        assert_eq!(exchange.put(&mut out, b"a"), Err(PutError::Unwanted));
        assert!(exchange.is_over() && !exchange.persists(), "{status}");
    }
}

#[test]
fn a_refusal_ends_the_body_and_a_success_does_not() {
    let request = ClientRequest {
        method: "POST",
        body: RequestBody::Chunked,
        ..GET
    };
    let mut out = Vec::new();
    let (mut exchange, _) = begin(&request);
    let answer = b"HTTP/1.1 413 Large\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(hear(&mut exchange, &[answer], false).status, 413);
    assert_eq!(exchange.put(&mut out, b"a"), Err(PutError::Unwanted));
    assert!(exchange.is_over() && !exchange.persists());

    let (mut exchange, _) = begin(&request);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    assert!(hear(&mut exchange, &[answer], false).persists);
    assert!(exchange.takes_body() && !exchange.is_over());
    exchange.finish(&mut out, &Fields::new()).unwrap();
    assert!(exchange.is_over() && exchange.persists());
}

#[test]
fn answers_are_read_to_their_end_however_they_are_cut_and_the_connection_goes_on() {
    let mut trailer = Fields::new();
    trailer.set("X-Sum", 7);
    for (answer, content, trailer, persists) in [
        (
            "1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "abc",
            Fields::new(),
            true,
        ),
        (
            "1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "",
            Fields::new(),
            true,
        ),
        (
            "1.1 204 No\r\nContent-Length: 3\r\n\r\n",
            "",
            Fields::new(),
            true,
        ),
        (
            "1.1 304 No\r\nContent-Length: 3\r\n\r\n",
            "",
            Fields::new(),
            true,
        ),
        (
            "1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\nX-Sum: 7\r\n\r\n",
            "abc",
            trailer,
            true,
        ),
        (
            "1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\na",
            "a",
            Fields::new(),
            false,
        ),
        (
            "1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
            "a",
            Fields::new(),
            false,
        ),
        (
            "1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
            "a",
            Fields::new(),
            true,
        ),
    ] {
        let heard = heard_of(&GET, format!("HTTP/{answer}").as_bytes(), false);
        assert_eq!(heard.content, content.as_bytes(), "{answer}");
        assert_eq!((heard.trailer, heard.error), (Some(trailer), None));
        assert_eq!(heard.persists, persists, "{answer}");
    }
    let close = ClientRequest {
        keep_alive: false,
        ..GET
    };
    assert!(!heard_of(&close, b"HTTP/1.1 204 No\r\n\r\n", false).persists);
}

#[test]
fn the_end_of_the_connection_is_the_end_of_a_body_without_length_and_of_no_other() {
    let answer = b"HTTP/1.1 200 OK\r\n\r\nabc";
    let heard = heard_of(&GET, answer, true);
    assert_eq!((heard.content.as_slice(), heard.error), (&b"abc"[..], None));
    assert!(heard.trailer.is_some() && !heard.persists);
    // Cut off, as TLS tells it.
    let (mut exchange, _) = begin(&GET);
    hear(&mut exchange, &[answer], false);
    assert!(matches!(
        exchange.ended(false),
        AnswerEvent::Failed(ExchangeError::Truncated)
    ));
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nConte",
        "H",
    ] {
        let heard = heard_of(&GET, answer.as_bytes(), true);
        assert_eq!(heard.error, Some(ExchangeError::Truncated), "{answer}");
    }
    assert_eq!(
        heard_of(&GET, b"", true).error,
        Some(ExchangeError::NoAnswer)
    );
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(heard_of(&GET, whole, true).error, None);
}

#[test]
fn an_answer_to_head_has_no_body_whatever_it_announces() {
    let head = ClientRequest {
        method: "HEAD",
        ..GET
    };
    for fields in [
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let heard = heard_of(&head, answer.as_bytes(), false);
        assert!(heard.trailer.is_some() && heard.persists, "{fields}");
    }
}

#[test]
fn answers_before_the_final_one_are_told_and_bounded() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let heard = heard_of(&GET, format!("{interim}{interim}{last}").as_bytes(), false);
    assert_eq!((heard.interim, heard.status), (vec![103, 103], 200));
    assert!(heard.persists && heard.error.is_none());
    let many = interim.repeat(17) + last;
    let heard = heard_of(&GET, many.as_bytes(), false);
    assert_eq!(heard.interim.len(), 16);
    assert_eq!(
        (heard.status, heard.error),
        (0, Some(ExchangeError::Interim))
    );
    let switched = heard_of(&GET, b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n", false);
    assert_eq!(switched.error, Some(ExchangeError::Switched));
}

#[test]
fn what_nobody_asked_for_ends_the_connection() {
    let answer = b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let heard = heard_of(&GET, answer, false);
    assert_eq!((heard.status, heard.error), (204, None));
    assert!(!heard.persists);
}

#[test]
fn an_answer_that_cannot_be_read_fails_with_its_cause() {
    let both = "Content-Length: 1\r\nTransfer-Encoding: chunked";
    let chunked = |body: &str| format!("1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let trailer = format!("0\r\nA: {}\r\n\r\n", "b".repeat(70_000));
    for (answer, error) in [
        ("2 200 OK\r\n\r\n".into(), AnswerHeadError::Version.into()),
        (
            format!("1.1 200 OK\r\n{both}\r\n\r\n"),
            LengthError::Both.into(),
        ),
        (chunked("x"), ExchangeError::Chunk(ChunkError::Size)),
        (chunked("1\r\nab"), ExchangeError::Chunk(ChunkError::End)),
    ] {
        let heard = heard_of(&GET, format!("HTTP/{answer}").as_bytes(), true);
        assert_eq!(heard.error, Some(error), "{answer}");
        assert!(!heard.persists);
    }
    let long = format!("HTTP/{}", chunked(&trailer));
    let heard = hear(&mut begin(&GET).0, &[long.as_bytes()], false);
    assert_eq!(heard.error, Some(ExchangeError::Trailer));
}
