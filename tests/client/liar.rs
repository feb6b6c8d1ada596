//! A server whose every byte is written by the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use tungstenite::handshake::derive_accept_key;

use crate::support::{DEADLINE, Frame};

/// It listens, and does nothing by itself.
pub(crate) struct Liar(TcpListener);

impl Liar {
    pub(crate) fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("ws://{}{target}", self.address())
    }

    /// The next connection, with the head of its request.
    pub(crate) fn accept(&self) -> Asked {
        let (mut stream, _) = self.0.accept().expect("somebody connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("valid");
        let head = read_head(&mut stream);
        Asked { stream, head }
    }
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) stream: TcpStream,
    pub(crate) head: String,
}

impl Asked {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Answers with these bytes.
    pub(crate) fn say(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).expect("it listens");
    }

    /// Answers with this status line, fields and content, and closes.
    pub(crate) fn answer(mut self, status: &str, fields: &str, content: &str) {
        let length = content.len();
        self.say(&format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{content}"
        ));
    }

    /// Accepts the opening handshake, with further fields.
    pub(crate) fn open(&mut self, fields: &str) {
        let key = self.field("Sec-WebSocket-Key").expect("a key");
        let accept = derive_accept_key(key.as_bytes());
        self.say(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
        ));
    }

    /// The next request on the same connection.
    pub(crate) fn next_head(&mut self) {
        self.head = read_head(&mut self.stream);
    }

    /// So many bytes of a body.
    pub(crate) fn body(&mut self, length: usize) -> String {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a whole body");
        String::from_utf8(body).expect("UTF-8")
    }

    /// The client ends the connection, by a reset too.
    pub(crate) fn expect_end(&mut self) {
        if let Err(error) = self.stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }

    /// The next frame, which has to be masked; gives it with its payload in clear.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("a frame");
        assert_eq!(head[1] & 0x80, 0x80, "a client masks");
        let mut rest = vec![0; 4 + usize::from(head[1] & 0x7f)];
        self.stream.read_exact(&mut rest).expect("a frame");
        let (key, payload) = rest.split_at(4);
        let clear = payload.iter().zip(key.iter().cycle());
        (head[0] & 0xf, clear.map(|(byte, key)| byte ^ key).collect())
    }

    /// Sends a frame as servers do.
    pub(crate) fn send(&mut self, frame: &Frame) {
        let bytes = frame.unmasked();
        self.stream.write_all(&bytes).expect("it listens");
    }
}

/// Reads to the empty line, and not further.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("ASCII")
}
