//! A connection that speaks HTTP, without its socket: heads, bodies, answers, one exchange after the other, in the order
//! in which `net/http.rs` does it.

use hotsocket::{
    connection::exchange::{BodyEvent, Exchange},
    limits::Limits,
    wire::{
        body_length::BodyLength,
        chunked::{Decoded, Decoder},
        fields::Fields,
        request_head::{HeadParsed, RequestHead},
        response_head::Dated,
    },
};

/// What was heard of requests, and all that was sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    requests: Vec<Request>,
    /// Nothing more is read.
    has_ended: bool,
    /// The last answer is not complete.
    is_cut_off: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    line: String,
    is_head: bool,
    may_go_on: bool,
    body: Vec<u8>,
    trailer: Option<Fields>,
    /// What it was answered with; none when it could not be read.
    answer: Option<Vec<u8>>,
}

/// How a request is answered; several of them, one bit pair each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At once, whatever comes of the body.
    AtOnce,
    /// Each piece of the body, as it comes.
    Echo,
    /// The body, when all of it is there.
    WhenRead,
    /// Three bytes as announced, at once; and the body may have no more than ten.
    Announced,
}

struct Connection {
    heard: Heard,
    exchange: Option<Exchange>,
    out: Vec<u8>,
    ways: u8,
    limits: Limits,
}

impl Connection {
    fn new(ways: u8) -> Self {
        Self {
            heard: Heard::default(),
            exchange: None,
            out: Vec::new(),
            ways,
            limits: Limits {
                request_head_bytes: 300,
                request_target_bytes: 60,
                request_field_count: 8,
                request_body_bytes: 40,
                ..Limits::default()
            },
        }
    }

    /// How the request with this index is answered.
    fn way(&self, index: usize) -> Way {
        match self.ways >> (index % 4 * 2) & 3 {
            0 => Way::AtOnce,
            1 => Way::Echo,
            2 => Way::WhenRead,
            _ => Way::Announced,
        }
    }

    /// Serves input; how much of it is done with.
    fn consume(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        while !self.heard.has_ended {
            let rest = &input[at..];
            let (used, goes_on) = match self.exchange {
                None => self.begin(rest),
                Some(_) => self.read_body(rest),
            };
            self.end_if_over();
            at += used;
            if !goes_on {
                return at;
            }
        }
        input.len()
    }

    /// How many bytes of input were used up, and whether another step follows.
    fn begin(&mut self, input: &[u8]) -> (usize, bool) {
        let head = match RequestHead::parse(input, &self.limits) {
            HeadParsed::Done(head) => head,
            HeadParsed::Partial => return (0, false),
            HeadParsed::Wrong(error) => {
                self.refuse_unread(error.status());
                return (input.len(), true);
            }
        };
        let length = match BodyLength::of(&head) {
            Ok(length) => length,
            Err(error) => {
                self.refuse_unread(error.status());
                return (input.len(), true);
            }
        };
        let mut exchange = Exchange::new(&head, length, &self.limits);
        let way = self.way(self.heard.requests.len());
        self.heard.requests.push(Request {
            line: format!("{} {}", head.method, head.target),
            is_head: head.method == "HEAD",
            may_go_on: head.field("Expect").is_some() && head.minor_version == 1,
            ..Request::default()
        });
        let request = self.heard.requests.last_mut().unwrap();
        let none = Fields::new();
        let out = &mut self.out;
        match way {
            Way::AtOnce => answer(&mut exchange, out, request, 200, b"at once"),
            Way::Echo => {
                request.answer = Some(Vec::new());
                exchange
                    .begin(out, (200, &none), None, false, &Dated::new("now"))
                    .unwrap();
            }
            Way::WhenRead => {}
            Way::Announced => {
                exchange.limit_body(10);
                request.answer = Some(b"abc".to_vec());
                exchange
                    .begin(out, (200, &none), Some(3), false, &Dated::new("now"))
                    .unwrap();
                exchange.put(out, b"ab").unwrap();
                assert!(request.is_head || exchange.put(out, b"cd").is_err());
                exchange.put(out, b"c").unwrap();
                exchange.finish(out, &none).unwrap();
            }
        }
        let is_too_long = exchange.is_too_long();
        self.exchange = Some(exchange);
        if is_too_long {
            self.give_up(413);
        }
        let exchange = self.exchange.as_mut().unwrap();
        if exchange.has_body() && !exchange.discards() {
            self.body_end(way, Fields::new());
        }
        let exchange = self.exchange.as_mut().unwrap();
        if exchange.awaits_continue() {
            exchange.go_on(&mut self.out);
        }
        (head.len, true)
    }

    fn read_body(&mut self, input: &[u8]) -> (usize, bool) {
        let way = self.way(self.heard.requests.len() - 1);
        let exchange = self.exchange.as_mut().unwrap();
        assert!(!exchange.is_over() && !exchange.has_body());
        let (used, event) = exchange.read(input);
        assert!(used <= input.len());
        match event {
            BodyEvent::Need => {
                assert_eq!(used, input.len());
                return (used, false);
            }
            BodyEvent::Wrong(error) => {
                assert!(matches!(error.status(), 400 | 413 | 431));
                self.give_up(error.status());
                return (input.len(), true);
            }
            _ if exchange.discards() => {}
            BodyEvent::Piece(piece) => {
                let request = self.heard.requests.last_mut().unwrap();
                request.body.extend_from_slice(piece);
                assert!(request.body.len() <= 40);
                if way == Way::Echo {
                    exchange.put(&mut self.out, piece).unwrap();
                    request.answer.as_mut().unwrap().extend_from_slice(piece);
                }
            }
            BodyEvent::End(trailer) => self.body_end(way, trailer),
        }
        (used, true)
    }

    fn body_end(&mut self, way: Way, trailer: Fields) {
        let exchange = self.exchange.as_mut().unwrap();
        let request = self.heard.requests.last_mut().unwrap();
        match way {
            Way::Echo => exchange.finish(&mut self.out, &trailer).unwrap(),
            _ if !exchange.is_answered() => {
                let body = request.body.clone();
                answer(exchange, &mut self.out, request, 200, &body);
            }
            _ => {}
        }
        request.trailer = Some(trailer);
    }

    fn refuse_unread(&mut self, status: u16) {
        let mut exchange = Exchange::unread();
        let mut request = Request::default();
        answer(&mut exchange, &mut self.out, &mut request, status, b"no");
        self.heard.requests.push(request);
        self.exchange = Some(exchange);
    }

    fn give_up(&mut self, status: u16) {
        let exchange = self.exchange.as_mut().unwrap();
        exchange.give_up_body();
        exchange.close_after();
        if exchange.discards() {
            return;
        }
        let request = self.heard.requests.last_mut().unwrap();
        // What came before it went wrong depends on the cut.
        request.body.clear();
        if exchange.is_answered() {
            request.answer = None;
            self.heard.is_cut_off = true;
            self.heard.has_ended = true;
        } else {
            answer(exchange, &mut self.out, request, status, b"no");
        }
    }

    fn end_if_over(&mut self) {
        let Some(exchange) = &self.exchange else {
            return;
        };
        if exchange.is_over() {
            self.heard.has_ended |= !exchange.persists();
            self.exchange = None;
        }
    }
}

fn answer(
    exchange: &mut Exchange,
    out: &mut Vec<u8>,
    request: &mut Request,
    status: u16,
    content: &[u8],
) {
    let fields = Fields::new();
    let length = Some(content.len() as u64);
    exchange
        .begin(out, (status, &fields), length, true, &Dated::new("now"))
        .unwrap();
    exchange.put(out, content).unwrap();
    exchange.finish(out, &fields).unwrap();
    request.answer = Some(content.to_vec());
}

/// All that was heard and sent, for input that comes in pieces.
fn run(input: &[u8], ways: u8, steps: &mut dyn Iterator<Item = usize>) -> (Heard, Vec<u8>) {
    let mut connection = Connection::new(ways);
    let (mut at, mut given) = (0, 0);
    loop {
        at += connection.consume(&input[at..given]);
        if given == input.len() || connection.heard.has_ended {
            break;
        }
        let step = steps.next().unwrap_or(input.len()).max(1);
        given = (given + step).min(input.len());
    }
    (connection.heard, connection.out)
}

/// Splits what was sent into answers, as a client that knows its requests does: each is there once, with its content.
fn read_answers(heard: &Heard, mut sent: &[u8]) {
    for (at, request) in heard.requests.iter().enumerate() {
        let is_last = at + 1 == heard.requests.len();
        let mut head = take_head(&mut sent);
        if request.may_go_on
            && let Some(interim) = &head
            && interim.starts_with("HTTP/1.1 100 ")
        {
            head = take_head(&mut sent);
        }
        let Some(head) = head else {
            assert!(is_last && sent.is_empty() && request.answer.is_none());
            return;
        };
        assert!(head.starts_with("HTTP/1.1 ") && !head.starts_with("HTTP/1.1 1"));
        let Some(expected) = &request.answer else {
            // Begun, and not to be ended.
            return assert!(is_last);
        };
        let has = |line: &str| head.split("\r\n").any(|other| other == line);
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map(|digits| digits.parse::<usize>().unwrap());
        let is_chunked = has("Transfer-Encoding: chunked");
        assert!(!(is_chunked && length.is_some()));
        if has("Connection: close") {
            assert!(is_last);
        }
        if request.is_head {
            continue;
        }
        if let Some(length) = length {
            assert_eq!(&sent[..length], expected);
            sent = &sent[length..];
        } else if is_chunked {
            if request.trailer.is_none() {
                // Its request has not come whole.
                return assert!(is_last);
            }
            assert_eq!(&take_chunks(&mut sent), expected);
        } else {
            assert!(has("Connection: close"));
            assert_eq!(sent, expected);
            return assert!(is_last);
        }
    }
    assert!(sent.is_empty(), "{:?}", String::from_utf8_lossy(sent));
}

fn take_head(sent: &mut &[u8]) -> Option<String> {
    let len = sent.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (head, rest) = sent.split_at(len);
    *sent = rest;
    Some(String::from_utf8(head.to_vec()).unwrap())
}

fn take_chunks(sent: &mut &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(1000);
    let mut content = Vec::new();
    loop {
        let (used, decoded) = decoder.next(sent).unwrap();
        *sent = &sent[used..];
        match decoded {
            Decoded::Data(data) => content.extend_from_slice(data),
            Decoded::End(_) => return content,
            Decoded::Need => panic!("cut off"),
        }
    }
}

/// Requests are heard and answered the same however they are cut, each has its answer and nothing else is sent. The first
/// byte says how long the pieces are, the second how requests are answered.
pub(crate) fn http_connection(input: &[u8]) {
    let [seed, ways, input @ ..] = input else {
        return;
    };
    let (whole, sent) = run(input, *ways, &mut std::iter::empty());
    read_answers(&whole, &sent);
    let mut ones = std::iter::repeat(1);
    let (heard, sent) = run(input, *ways, &mut ones);
    assert_eq!(heard, whole);
    read_answers(&heard, &sent);
    let mut pieces = (0..).map(|count| (usize::from(*seed) >> (count % 7)) & 15);
    let (heard, sent) = run(input, *ways, &mut pieces);
    assert_eq!(heard, whole);
    read_answers(&heard, &sent);
}
