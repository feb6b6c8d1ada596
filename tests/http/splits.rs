//! However requests arrive, cut anywhere, byte by byte or many at once, they get the answers that they get alone.

use serde_json::json;

use super::answer::Answer;
use super::peer::{HttpPeer, request};
use super::site::Site;
use crate::support::plugins::plugin;
use crate::support::{Config, Setup};

/// A request as bytes, with its method.
struct Asked {
    method: &'static str,
    bytes: Vec<u8>,
}

impl Asked {
    fn new(method: &'static str, target: &str, fields: &str, body: &str) -> Self {
        let bytes = request(method, target, fields) + body;
        let bytes = bytes.into_bytes();
        Self { method, bytes }
    }
}

/// Good and bad ones, with and without body. None expects 100: its answer may depend on whether the body is there.
fn requests() -> Vec<Asked> {
    let get = |target, fields| Asked::new("GET", target, fields, "");
    vec![
        get("/", ""),
        get("/a.txt", ""),
        get("/a.txt?q=1&r", "X: y\r\n"),
        get("/empty.txt", ""),
        get("/%61.txt", ""),
        get("/with%20space.txt", ""),
        get("/dir", ""),
        get("/dir/", ""),
        get("/dir/../a.txt", ""),
        get("/nothing", ""),
        get("/%zz", ""),
        get("http://test/a.txt", ""),
        get("/a.txt", "Range: bytes=3-5\r\n"),
        get("/a.txt", "Range: bytes=-4, 0-1\r\n"),
        get("/a.txt", "Range: bytes=99-\r\n"),
        get("/a.txt", "If-None-Match: *\r\n"),
        get("/a.txt", "If-Match: \"x\"\r\n"),
        get("/a.txt", "Content-Length: 4\r\n").with_body("GET "),
        get("/a.txt", "Connection: close\r\n"),
        Asked::new("HEAD", "/a.txt", "", ""),
        Asked::new("HEAD", "/nothing", "", ""),
        Asked::new("OPTIONS", "*", "", ""),
        Asked::new("OPTIONS", "/a.txt", "", ""),
        Asked::new("DELETE", "/a.txt", "", ""),
        Asked::new("POST", "/a.txt", "Content-Length: 12\r\n", "GET / HTTP/1"),
        Asked::new("POST", "/", "Content-Length: 0\r\n", ""),
        Asked::new(
            "POST",
            "/a.txt",
            "Transfer-Encoding: chunked\r\n",
            "3;x\r\nGET\r\n0\r\nA: b\r\n\r\n",
        ),
        Asked::new("PUT", "/a.txt", "Content-Length: 5\r\n", "hello"),
        Asked::new("BREW", "/pot", "", ""),
        Asked::new(
            "POST",
            "/probe/count",
            "Content-Length: 12\r\n",
            "GET / HTTP/1",
        ),
        Asked::new(
            "POST",
            "/probe/count",
            "Transfer-Encoding: chunked\r\n",
            "3;x=\"\"\r\nGET\r\n0A\r\n0123456789\r\n0\r\nX-Sum: b\r\n\r\n",
        ),
        Asked::new(
            "POST",
            "/probe/count",
            "Transfer-Encoding: chunked\r\n",
            "3\r\nGET!\r\n0\r\n\r\n",
        ),
        Asked::new("PUT", "/probe/echo", "Content-Length: 5\r\n", "hello"),
        Asked::new("GET", "/probe/stream?2", "", ""),
        Asked::new("GET", "/a.txt", "A : b\r\n", ""),
        Asked::new("GET", "*", "", ""),
        Asked::line("GET /a.txt HTTP/2.0"),
        Asked::line("GET /a.txt HTTP/1"),
        Asked::line("GET /a b.txt HTTP/1.1"),
        Asked::line("\r\nGET /a.txt HTTP/1.1"),
        Asked::new(
            "POST",
            "/",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "x",
        ),
    ]
}

impl Asked {
    /// With this request line.
    fn line(line: &str) -> Self {
        let bytes = format!("{line}\r\nHost: test\r\n\r\n").into_bytes();
        Self {
            method: "GET",
            bytes,
        }
    }

    fn with_body(mut self, body: &str) -> Self {
        self.bytes.extend_from_slice(body.as_bytes());
        self
    }
}

/// A request, what it gets alone, and whether another may follow it.
struct Known {
    asked: Asked,
    answers: Vec<Answer>,
}

impl Known {
    fn closes(&self) -> bool {
        self.answers.last().is_some_and(Answer::closes)
    }

    fn ask_alone(site: &Site, asked: Asked) -> Self {
        let mut peer = site.peer();
        peer.send_while_open(&asked.bytes);
        let answers = answers(&mut peer, asked.method);
        Self { asked, answers }
    }
}

/// The final answer and the interim ones before it.
fn answers(peer: &mut HttpPeer, method: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    loop {
        let answer = peer.answer_to(method).timeless();
        let is_final = answer.status >= 200;
        answers.push(answer);
        if is_final {
            return answers;
        }
    }
}

/// One service thread, which answers in the order in which things come: when it has answered `beside`, it has read what
/// was sent to it before.
fn site_and_known() -> (Site, Vec<Known>) {
    let setup = Setup::new().threads(1).plugin(&plugin("http_probe"));
    let config = Config::new().mount("/probe", json!({"protocol": "http_probe"}));
    let site = Site::start(setup, config);
    let known = requests().into_iter();
    let known = known.map(|asked| Known::ask_alone(&site, asked)).collect();
    (site, known)
}

fn check(peer: &mut HttpPeer, known: &Known, how: &str) {
    let got = answers(peer, known.asked.method);
    let shown = known.asked.bytes.escape_ascii();
    assert_eq!(got, known.answers, "\"{shown}\" {how}");
    if known.closes() {
        peer.expect_end();
    }
}

#[test]
fn the_set_has_both_kinds() {
    let (_site, known) = site_and_known();
    assert!(known.len() >= 30);
    let closing = known.iter().filter(|known| known.closes()).count();
    assert!(closing >= 3 && known.len() - closing >= 20, "{closing}");
    let statuses = |wanted| {
        let mut all = known.iter().flat_map(|known| &known.answers);
        all.any(|answer| answer.status == wanted)
    };
    for status in [200, 206, 301, 304, 400, 404, 405, 412, 416, 501, 505] {
        assert!(statuses(status), "{status} is not among them");
    }
}

#[test]
fn a_request_cut_in_two_anywhere_gets_the_same_answer() {
    let (site, known) = site_and_known();
    let mut beside = site.peer();
    for known in &known {
        for cut in 1..known.asked.bytes.len() {
            let (first, second) = known.asked.bytes.split_at(cut);
            let mut peer = site.peer();
            peer.send(first);
            beside.expect_open();
            peer.send_while_open(second);
            check(&mut peer, known, &format!("cut at {cut}"));
        }
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_gets_the_same_answer() {
    let (site, known) = site_and_known();
    let mut beside = site.peer();
    for known in &known {
        let mut peer = site.peer();
        for byte in &known.asked.bytes {
            peer.send_while_open([*byte]);
            beside.expect_open();
        }
        check(&mut peer, known, "byte by byte");
    }
}

#[test]
fn requests_pipelined_and_cut_at_random_get_the_same_answers() {
    let (site, known) = site_and_known();
    let mut beside = site.peer();
    let (closing, going): (Vec<_>, Vec<_>) = known.iter().partition(|known| known.closes());
    for seed in 1..=60 {
        let mut random = Random(seed);
        let mut chosen: Vec<&Known> = (0..1 + random.below(20))
            .map(|_| going[random.below(going.len())])
            .collect();
        if random.below(2) == 0 {
            chosen.push(closing[random.below(closing.len())]);
        }
        let bytes = chosen.iter().flat_map(|known| &known.asked.bytes);
        let bytes: Vec<u8> = bytes.copied().collect();
        let mut peer = site.peer();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(1 + random.below(rest.len().min(300)));
            peer.send_while_open(piece);
            beside.expect_open();
            rest = later;
        }
        for (nth, known) in chosen.iter().enumerate() {
            check(&mut peer, known, &format!("as number {nth} of seed {seed}"));
        }
        if !chosen.last().is_some_and(|last| last.closes()) {
            peer.expect_open();
        }
    }
}

/// Xorshift: the same numbers for the same seed, which must not be 0.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
