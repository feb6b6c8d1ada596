//! Plain requests that a program sends through its host, to servers whose every byte is written here.

mod bodies;
mod failing;
mod keeping;
mod redirecting;
mod ways;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
};

use hotsocket::{
    Host, HostConfig, HostHandle, HostThread, HttpRequest, RequestError, ResponseCall,
    ResponseHandler, WholeResponse,
    wire::{answer_head::HeldAnswer, fields::Fields},
};

use crate::DEADLINE;

/// A host that listens nowhere.
fn client(change: impl FnOnce(&mut HostConfig)) -> HostThread {
    let mut config = HostConfig {
        listen: Vec::new(),
        ..HostConfig::default()
    };
    // No connection is closed because the machine is slow.
    config.limits.client_idle_ms = 60_000;
    change(&mut config);
    Host::builder()
        .config(config)
        .build()
        .unwrap()
        .spawn()
        .unwrap()
}

/// What a handler was told.
#[derive(Debug, PartialEq)]
enum Told {
    Head(u16),
    Content(Vec<u8>),
    Writable,
    End,
    Failed(RequestError),
}

/// Tells the test what it is told, and does with the request what the test says.
struct Teller<F> {
    told: Sender<Told>,
    on: F,
}

impl<F> ResponseHandler for Teller<F>
where
    F: FnMut(&mut ResponseCall<'_, '_>, &Told) + Send,
{
    fn head(&mut self, call: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        self.tell(call, Told::Head(head.status));
    }

    fn content(&mut self, call: &mut ResponseCall<'_, '_>, piece: &[u8]) {
        self.tell(call, Told::Content(piece.to_vec()));
    }

    fn writable(&mut self, call: &mut ResponseCall<'_, '_>) {
        self.tell(call, Told::Writable);
    }

    fn ended(&mut self, end: Result<Fields, RequestError>) {
        let told = end.map_or_else(Told::Failed, |_| Told::End);
        self.told.send(told).unwrap();
    }
}

impl<F> Teller<F>
where
    F: FnMut(&mut ResponseCall<'_, '_>, &Told),
{
    fn tell(&mut self, call: &mut ResponseCall<'_, '_>, told: Told) {
        (self.on)(call, &told);
        self.told.send(told).unwrap();
    }
}

/// A handler that does this when it is told something, and where all of that is told to the test.
fn teller<F>(on: F) -> (Teller<F>, Receiver<Told>)
where
    F: FnMut(&mut ResponseCall<'_, '_>, &Told) + Send,
{
    let (told, events) = channel();
    (Teller { told, on }, events)
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

    fn end_sending(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// It ends, by a reset too.
    fn expect_end_somehow(&mut self) {
        let _ = self.0.read_to_end(&mut Vec::new());
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }
}
