//! A client of HTTP whose every byte is written by the test.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::answer::Answer;
use crate::support::DEADLINE;

/// One TCP connection to the server.
pub(crate) struct HttpPeer {
    transport: TcpStream,
    received: Vec<u8>,
    ended: bool,
}

impl HttpPeer {
    /// Connects and sends nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server accepts"))
    }

    /// Over a transport that is connected.
    pub(crate) fn over(transport: TcpStream) -> Self {
        transport.set_nodelay(true).expect("an option of TCP");
        transport
            .set_write_timeout(Some(DEADLINE))
            .expect("a valid time");
        Self {
            transport,
            received: Vec::new(),
            ended: false,
        }
    }

    /// Sends these bytes, all of which the server takes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.transport
            .write_all(bytes.as_ref())
            .expect("the server reads");
    }

    /// Sends as many of these bytes as the server takes before it ends the connection.
    pub(crate) fn send_while_open(&mut self, bytes: impl AsRef<[u8]>) {
        self.transport.write_all(bytes.as_ref()).ok();
    }

    /// Sends a request without a body and gives the answer.
    pub(crate) fn ask(&mut self, method: &str, target: &str, fields: &str) -> Answer {
        self.send(request(method, target, fields));
        self.answer_to(method)
    }

    /// The answer to a GET, or to what has an answer like it.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The answer to a request of this method.
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some((answer, used)) = Answer::read(&self.received, method, self.ended) {
                self.received.drain(..used);
                return answer;
            }
            let was_ended = self.ended;
            if was_ended || !(self.receive(end) || self.ended) {
                let shown = self.received.len().min(400);
                let shown = self.received[..shown].escape_ascii();
                panic!("no answer, ended {was_ended}: \"{shown}\"");
            }
        }
    }

    /// The head of the answer; its content is left where it is.
    pub(crate) fn head(&mut self) -> Answer {
        let end = Instant::now() + DEADLINE;
        loop {
            // As if to HEAD, which has no content.
            if let Some((answer, used)) = Answer::read(&self.received, "HEAD", self.ended) {
                self.received.drain(..used);
                return answer;
            }
            assert!(self.receive(end), "no head: {:?}", self.received);
        }
    }

    /// The next chunk of an answer that is read as it comes; empty at the end.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.take(1));
        }
        let line = String::from_utf8_lossy(&line);
        let length = usize::from_str_radix(line.trim_end(), 16).expect("a length");
        let mut chunk = self.take(length + 2);
        assert!(chunk.ends_with(b"\r\n") && chunk.len() == length + 2);
        chunk.truncate(length);
        chunk
    }

    /// Chunks, until so many bytes have come in them.
    pub(crate) fn chunks(&mut self, count: usize) -> Vec<u8> {
        let mut content = Vec::new();
        while content.len() < count {
            let chunk = self.chunk();
            assert!(!chunk.is_empty(), "only {} bytes", content.len());
            content.extend(chunk);
        }
        content
    }

    /// All that still comes until the server ends the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let end = Instant::now() + DEADLINE;
        while self.receive(end) {}
        assert!(self.ended, "the server keeps the connection");
        std::mem::take(&mut self.received)
    }

    /// Expects that the server ends the connection with nothing more before it, and says how long it took.
    pub(crate) fn expect_end(&mut self) -> Duration {
        let began = Instant::now();
        let rest = self.rest();
        assert!(rest.is_empty(), "more: \"{}\"", rest.escape_ascii());
        began.elapsed()
    }

    /// Whether the server keeps the connection: another request is answered on it, and nothing comes before.
    pub(crate) fn expect_open(&mut self) {
        let answer = self.ask("GET", "/a.txt", "");
        assert_eq!((answer.status, answer.text()), (200, super::site::A_TXT));
        assert!(self.received.is_empty(), "{:?}", self.received);
    }

    /// Expects that nothing has come by now. Weak, since it may come later: only beside stronger words.
    pub(crate) fn expect_nothing_yet(&mut self) {
        self.receive(Instant::now());
        let received = self.received.escape_ascii();
        assert!(self.received.is_empty(), "too early: \"{received}\"");
    }

    /// Reads so many bytes, or what comes before the end of the connection if it is less.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let end = Instant::now() + DEADLINE;
        while self.received.len() < count && self.receive(end) {}
        let enough = self.received.len() >= count;
        assert!(enough || self.ended, "only {} bytes", self.received.len());
        let rest = self.received.split_off(count.min(self.received.len()));
        std::mem::replace(&mut self.received, rest)
    }

    /// Sends no more, but reads on.
    pub(crate) fn end_sending(&self) {
        self.transport.shutdown(Shutdown::Write).expect("connected");
    }

    /// The transport, for options.
    pub(crate) fn transport(&self) -> &TcpStream {
        &self.transport
    }

    /// Reads once. False when the connection has ended or time ran out.
    fn receive(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.transport
            .set_read_timeout(Some(left))
            .expect("a valid time");
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.transport.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Reset: ended as well, and what came before has been read.
                Err(_) => self.ended = true,
            }
            return false;
        }
    }
}

/// A request of HTTP/1.1 without a body; `fields` are whole lines.
pub(crate) fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}
