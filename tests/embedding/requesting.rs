//! Plain requests that a program sends through its host, to servers whose every byte is written here.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
};

use hotsocket::{
    Host, HostConfig, HostHandle, HostThread, HttpRequest, RequestCause, RequestError,
    RequestStage, ResponseCall, ResponseHandler, WholeResponse,
    connection::client_exchange::ExchangeError,
    wire::{answer_head::HeldAnswer, fields::Fields, url::Url},
};

use crate::DEADLINE;

/// A host that listens nowhere.
fn client(change: impl FnOnce(&mut HostConfig)) -> HostThread {
    let mut config = HostConfig {
        listen: Vec::new(),
        ..HostConfig::default()
    };
    change(&mut config);
    Host::builder()
        .config(config)
        .build()
        .unwrap()
        .spawn()
        .unwrap()
}

type Whole = Receiver<Result<WholeResponse, RequestError>>;

/// Sends a request, and gives where its answer comes.
fn ask(handle: &HostHandle, request: HttpRequest) -> Whole {
    let (done, answer) = channel();
    let handler = WholeResponse::gather(1 << 20, move |response| drop(done.send(response)));
    handle.request(request.without_proxy(), handler).unwrap();
    answer
}

fn received<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(DEADLINE).expect("in time")
}

fn content(answer: &Whole) -> String {
    let response = received(answer).unwrap();
    String::from_utf8(response.content).unwrap()
}

/// A server that does nothing by itself.
struct Server(TcpListener);

impl Server {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.0.local_addr().unwrap())
    }

    fn get(&self, target: &str) -> HttpRequest {
        HttpRequest::get(&self.url(target)).unwrap()
    }

    fn accept(&self) -> Peer {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Peer(stream)
    }

    /// Whether somebody connects who has not been accepted.
    fn is_wanted(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let accepted = self.0.accept().is_ok();
        self.0.set_nonblocking(false).unwrap();
        accepted
    }
}

/// A connection to it.
struct Peer(TcpStream);

impl Peer {
    /// Reads a head.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads so many bytes of a body.
    fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a whole body");
        body
    }

    fn say(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).unwrap();
    }

    /// Answers with this content.
    fn answer(&mut self, content: &str) {
        let length = content.len();
        self.say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}"
        ));
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }
}

#[test]
fn seed_7_12_several_requests_follow_each_other_on_one_connection() {
    let (server, host) = (Server::new(), client(|_| {}));
    let first = ask(&host.handle(), server.get("/1"));
    let mut peer = server.accept();
    for number in 1..=5 {
        let answer = match number {
            1 => None,
            _ => Some(ask(&host.handle(), server.get(&format!("/{number}")))),
        };
        let head = peer.head();
        assert!(
            head.starts_with(&format!("GET /{number} HTTP/1.1\r\nHost: 127.0.0.1:")),
            "{head}"
        );
        // Each framing lets another request follow.
        match number {
            1 => peer.answer("one"),
            2 => peer
                .say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"),
            3 => peer.say("HTTP/1.1 204 No Content\r\n\r\n"),
            _ => peer.answer("more"),
        }
        let told = content(answer.as_ref().unwrap_or(&first));
        assert_eq!(told, ["one", "two", "", "more", "more"][number - 1]);
    }
    assert!(!server.is_wanted(), "one connection was enough");
    host.shutdown(DEADLINE).unwrap();
    peer.expect_end();
}
