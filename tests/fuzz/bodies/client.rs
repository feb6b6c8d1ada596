//! The client: URLs, answers of servers, exchanges and openings, without sockets.

use hotsocket::{
    connection::{
        client_exchange::{AnswerEvent, ClientExchange, ClientRequest, RequestBody},
        opening::{Opening, OpeningRequest, Step},
    },
    limits::Limits,
    wire::{
        answer_head::{AnswerHead, AnswerParsed},
        answer_length::AnswerLength,
        client_fields::ClientFields,
        fields::Fields,
        proxy::Proxy,
        request_head::{HeadParsed, RequestHead},
        url::Url,
    },
};

/// A head that is read is read the same whatever follows it, and no part of it was taken for a head or refused before.
pub(crate) fn answer_head(input: &[u8]) {
    let limits = Limits::default();
    let AnswerParsed::Done(head) = AnswerHead::parse(input, &limits) else {
        return;
    };
    assert!((100..1000).contains(&head.status) && head.len <= input.len());
    let read = |input: &[u8]| match AnswerHead::parse(input, &limits) {
        AnswerParsed::Done(head) => {
            let lengths = ["GET", "HEAD", "CONNECT"].map(|method| AnswerLength::of(&head, method));
            format!("{head:?} {lengths:?} {:?}", head.held())
        }
        other => panic!("{other:?}"),
    };
    let expected = read(&input[..head.len]);
    assert_eq!(read(input), expected);
    assert_eq!(read(&[input, b"\r\n\r\nHTTP/1.1 "].concat()), expected);
    for cut in 0..head.len {
        let parsed = AnswerHead::parse(&input[..cut], &limits);
        assert!(matches!(parsed, AnswerParsed::Partial), "{cut}: {parsed:?}");
    }
    assert_eq!(head.held().fields.iter().count(), head.all_fields().count());
}

/// What was heard of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    interim: Vec<u16>,
    status: Option<u16>,
    content: Vec<u8>,
    trailer: Option<Fields>,
    has_failed: bool,
    persists: bool,
    is_over: bool,
}

impl Heard {
    /// False when more input is needed.
    fn take(&mut self, event: AnswerEvent<'_>) -> bool {
        let is_closed = self.trailer.is_some() || self.has_failed;
        match event {
            AnswerEvent::Need => return false,
            _ if is_closed => panic!("{event:?} after the end"),
            AnswerEvent::Interim(head) => self.interim.push(head.status),
            AnswerEvent::Head(head) => assert_eq!(self.status.replace(head.status), None),
            AnswerEvent::Piece(piece) => {
                assert!(!piece.is_empty() && self.status.is_some());
                self.content.extend_from_slice(piece);
            }
            AnswerEvent::End(trailer) => self.trailer = Some(trailer),
            AnswerEvent::Failed(_) => self.has_failed = true,
        }
        true
    }
}

fn small() -> Limits {
    Limits {
        response_head_bytes: 200,
        response_field_count: 6,
        interim_responses_count: 3,
        refusal_content_bytes: 8,
        ..Limits::default()
    }
}

/// What one request hears, of input in pieces of these sizes and then of the end.
fn exchange(ways: u8, input: &[u8], steps: &mut dyn Iterator<Item = usize>) -> Heard {
    let fields = ClientFields::new();
    let request = ClientRequest {
        method: ["GET", "HEAD", "POST", "DELETE"][usize::from(ways & 3)],
        target: "/",
        host: "a",
        fields: &fields,
        credentials: None,
        proxy_credentials: None,
        body: [
            RequestBody::None,
            RequestBody::Exact(2),
            RequestBody::Chunked,
        ][usize::from(ways >> 2) % 3],
        awaits_continue: ways & 64 != 0,
        keep_alive: true,
    };
    let mut out = Vec::new();
    let mut exchange = ClientExchange::begin(&mut out, &request, &small()).unwrap();
    let mut heard = Heard::default();
    let (mut at, mut given) = (0, 0);
    while given < input.len() {
        let step = steps.next().unwrap_or(input.len()).max(1);
        given = (given + step).min(input.len());
        loop {
            let (used, event) = exchange.read(&input[at..given]);
            at += used;
            assert!(at <= given);
            if !heard.take(event) {
                break;
            }
        }
    }
    if ways & 128 != 0 {
        heard.take(exchange.ended(true));
    }
    if exchange.takes_body() {
        exchange.put(&mut out, b"ab").unwrap();
        exchange.finish(&mut out, &Fields::new()).unwrap();
    } else {
        assert!(exchange.put(&mut out, b"ab").is_err());
    }
    heard.persists = exchange.persists();
    heard.is_over = exchange.is_over();
    if heard.persists && heard.is_over {
        assert!(heard.trailer.is_some() && !heard.has_failed);
    }
    heard
}

/// An answer is heard the same however it is cut. The first byte says how long the pieces are, the second what was asked.
pub(crate) fn client_exchange(input: &[u8]) {
    let [seed, ways, input @ ..] = input else {
        return;
    };
    let whole = exchange(*ways, input, &mut std::iter::empty());
    assert_eq!(exchange(*ways, input, &mut std::iter::repeat(1)), whole);
    assert_eq!(exchange(*ways, input, &mut pieces(*seed)), whole);
}

fn pieces(seed: u8) -> impl Iterator<Item = usize> {
    (0..).map(move |count| (usize::from(seed) >> (count % 7)) & 15)
}

/// How an opening ends, with what it was left of the input.
fn open(ways: u8, input: &[u8], steps: &mut dyn Iterator<Item = usize>) -> String {
    let is_for_requests = ways & 4 != 0;
    let scheme = match (is_for_requests, ways & 1) {
        (false, 0) => "ws",
        (false, _) => "wss",
        (true, 0) => "http",
        (true, _) => "https",
    };
    let request = OpeningRequest {
        url: Url::parse(&format!("{scheme}://a/b")).unwrap(),
        host: None,
        nonce: *b"the sample nonce",
        origin: None,
        subprotocols: vec!["a".to_owned()],
        extensions: "x".to_owned(),
        fields: ClientFields::new(),
        proxy: (ways & 2 != 0).then(|| Proxy::parse("proxy:1").unwrap()),
    };
    let mut opening = match is_for_requests {
        true => Opening::for_requests(request, &small()),
        false => Opening::new(request, &small()).unwrap(),
    };
    let mut out = Vec::new();
    let mut step = opening.connected(&mut out);
    let (mut at, mut given) = (0, 0);
    loop {
        match step {
            Step::Secure => step = opening.secured(&mut out),
            Step::Ready => {
                assert!(is_for_requests);
                return format!("ready {:?}", &input[at..]);
            }
            Step::Open(opened) => {
                assert!(opened.extensions().iter().all(|chosen| chosen.name == "x"));
                let (chosen, fields) = (opened.subprotocol, opened.answer.fields);
                return format!("{chosen:?} {fields:?} {:?}", &input[at..]);
            }
            Step::Failed(error) => {
                let answer = error.answer;
                let content = answer.as_ref().map(|answer| answer.content.len());
                assert!(content.is_none_or(|bytes| bytes <= 8));
                return format!("{:?} {answer:?}", error.stage);
            }
            Step::Read if given == input.len() => step = opening.ended(),
            Step::Read => {
                given = (given + steps.next().unwrap_or(input.len()).max(1)).min(input.len());
                let (used, next) = opening.read(&input[at..given], &mut out);
                at += used;
                assert!(at <= given);
                step = next;
            }
        }
    }
}

/// An opening leads to the same however its answers are cut. The first byte says how long the pieces are, the second what
/// is opened: over TLS, through a proxy, for plain requests.
pub(crate) fn opening(input: &[u8]) {
    let [seed, ways, input @ ..] = input else {
        return;
    };
    // What a proxy sends too early is seen only if it comes with its answer.
    let whole = open(*ways & 1, input, &mut std::iter::empty());
    assert_eq!(open(*ways & 1, input, &mut std::iter::repeat(1)), whole);
    assert_eq!(open(*ways & 1, input, &mut pieces(*seed)), whole);
    open(*ways | 2, input, &mut std::iter::empty());
    open(*ways | 2, input, &mut pieces(*seed));
}

/// A URL is kept as it came, and what it asks for is read by our server; a reference found there leads to a URL that is
/// read again as the same. A line end stands between the two.
pub(crate) fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (text, reference) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(url) = Url::parse(text) else {
        return;
    };
    assert_eq!(url.as_str(), text);
    asks_our_server(&url);
    assert!(!url.to_string().contains('@') || url.target().contains('@'));
    if let Ok(resolved) = url.resolve(reference) {
        assert_eq!(Url::parse(resolved.as_str()).as_ref(), Ok(&resolved));
        asks_our_server(&resolved);
    }
}

fn asks_our_server(url: &Url) {
    let limits = Limits {
        request_target_bytes: u64::MAX,
        request_head_bytes: u64::MAX,
        request_field_bytes: u64::MAX,
        ..Limits::default()
    };
    let (host, target) = (url.host_field(), url.target());
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    match RequestHead::parse(request.as_bytes(), &limits) {
        HeadParsed::Done(head) => {
            assert_eq!((head.target, head.host()), (target.as_str(), host.as_str()));
        }
        other => panic!("{url}: {other:?}"),
    };
}
