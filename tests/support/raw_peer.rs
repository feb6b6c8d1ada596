//! A peer whose every byte is written by the test.

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::DEADLINE;
use super::frame::{CLOSE, Frame, PING};

/// The key of RFC 6455 section 1.3, and the answer to it that stands there.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// See [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The value of a field, whatever the case of its name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// What bytes are read from and written to.
pub(crate) trait Stream: Read + Write + Send + Debug {}

impl<T: Read + Write + Send + Debug> Stream for T {}

/// One TCP connection to the server.
#[derive(Debug)]
pub(crate) struct RawPeer {
    transport: TcpStream,
    /// The same connection with what is written there encrypted.
    secured: Option<Box<dyn Stream>>,
    received: Vec<u8>,
    address: SocketAddr,
}

impl RawPeer {
    /// Connects and sends nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(
            TcpStream::connect(address).expect("the server accepts"),
            address,
        )
    }

    /// A peer whose bytes go through `secured`, which writes to this connection with the server and reads from it.
    #[cfg(feature = "tls")]
    pub(crate) fn through(secured: Box<dyn Stream>, transport: TcpStream) -> Self {
        let address = transport.peer_addr().expect("connected");
        let mut peer = Self::of(transport, address);
        peer.secured = Some(secured);
        peer
    }

    /// Connects from another address of this machine and sends nothing.
    pub(crate) fn connect_from(own: [u8; 4], address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let own = SocketAddr::from((own, 0));
        socket.bind(&own.into()).expect("all of 127/8 is loopback");
        socket.connect(&address.into()).expect("the server accepts");
        Self::of(socket.into(), address)
    }

    fn of(transport: TcpStream, address: SocketAddr) -> Self {
        transport.set_nodelay(true).expect("an option of TCP");
        transport
            .set_write_timeout(Some(DEADLINE))
            .expect("a valid time");
        Self {
            transport,
            secured: None,
            received: Vec::new(),
            address,
        }
    }

    /// Connects and opens a session at this request target.
    pub(crate) fn open(address: SocketAddr, target: &str) -> Self {
        Self::open_with(address, target, &[]).0
    }

    /// The same with further fields; also gives the answer.
    pub(crate) fn open_with(
        address: SocketAddr,
        target: &str,
        fields: &[(&str, &str)],
    ) -> (Self, Response) {
        let mut peer = Self::connect(address);
        let response = peer.upgrade(target, fields);
        (peer, response)
    }

    /// Opens a session at this request target, and gives the answer.
    pub(crate) fn upgrade(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        let response = self.handshake(target, fields);
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(response.field("sec-websocket-accept"), Some(ACCEPT));
        response
    }

    /// Sends a good opening handshake with further fields and gives the answer.
    pub(crate) fn handshake(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut all = vec![
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
        ];
        all.extend_from_slice(fields);
        self.request("GET", target, &all)
    }

    /// Sends a request with a right Host and exactly these fields, and gives the answer.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Response {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.bytes(head.as_bytes());
        self.response()
    }

    /// Sends these bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).expect("the server reads");
    }

    /// Sends as many of these bytes as the server takes before `within` has passed without progress.
    pub(crate) fn bytes_until_refused(&mut self, bytes: &[u8], within: Duration) -> usize {
        self.transport
            .set_write_timeout(Some(within))
            .expect("a valid time");
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream().write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        sent
    }

    /// Sends frames, masked, in one write.
    pub(crate) fn frames(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::masked).collect();
        self.bytes(&bytes);
    }

    /// Sends a text message.
    pub(crate) fn text(&mut self, text: &str) {
        self.frames(&[Frame::text(text)]);
    }

    /// Sends a text message and gives the text of the next frame.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.text(text);
        self.frame().as_text()
    }

    /// The answer to a request.
    pub(crate) fn response(&mut self) -> Response {
        let end = self.await_bytes(|bytes| {
            let found = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            found.map(|at| at + 4)
        });
        let head = String::from_utf8_lossy(&self.take(end)).into_owned();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut response = Response {
            status: status.unwrap_or_else(|| panic!("no status line: {head:?}")),
            head,
            body: String::new(),
        };
        let length = response.field("content-length");
        if let Some(length) = length.map(|text| text.parse().expect("a length")) {
            self.await_bytes(|bytes| (bytes.len() >= length).then_some(()));
            response.body = String::from_utf8_lossy(&self.take(length)).into_owned();
        }
        response
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Frame {
        let (frame, length) = self.await_bytes(Frame::decode);
        self.take(length);
        frame
    }

    /// The next frame, if one comes in time.
    pub(crate) fn frame_within(&mut self, within: Duration) -> Option<Frame> {
        let end = Instant::now() + within;
        loop {
            if let Some((frame, length)) = Frame::decode(&self.received) {
                self.take(length);
                return Some(frame);
            }
            if !self.receive(end) {
                return None;
            }
        }
    }

    /// The frames up to and with the Close frame.
    pub(crate) fn frames_to_close(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            frames.push(self.frame());
            if frames.last().is_some_and(|frame| frame.opcode == CLOSE) {
                return frames;
            }
        }
    }

    /// Expects a Close frame with this code, and gives its reason.
    pub(crate) fn expect_close(&mut self, code: u16) -> String {
        let frame = self.frame();
        assert_eq!(frame.close_code(), Some(code), "{frame:?}");
        frame.close_reason()
    }

    /// Expects that the server ends the TCP connection, with nothing more before it, and says how long it took.
    pub(crate) fn expect_end(&mut self) -> Duration {
        let began = Instant::now();
        let end = began + DEADLINE;
        while self.receive(end) {}
        assert!(Instant::now() < end, "the server keeps the connection");
        assert!(self.received.is_empty(), "more bytes: {:?}", self.received);
        began.elapsed()
    }

    /// Expects that the server ends the TCP connection, whatever it says before.
    pub(crate) fn expect_end_somehow(&mut self) -> Vec<u8> {
        let end = Instant::now() + DEADLINE;
        while self.receive(end) {}
        assert!(Instant::now() < end, "the server keeps the connection");
        std::mem::take(&mut self.received)
    }

    /// Expects that no byte has come by now. Weak, since it may come later: only beside stronger words.
    pub(crate) fn expect_nothing_yet(&mut self) {
        self.receive(Instant::now());
        assert!(self.received.is_empty(), "too early: {:?}", self.received);
    }

    /// Whether the server says anything before it ends the connection.
    pub(crate) fn receives_anything(&mut self) -> bool {
        self.receives_within(DEADLINE)
    }

    /// Whether the server says anything in time.
    pub(crate) fn receives_within(&mut self, within: Duration) -> bool {
        self.receive(Instant::now() + within)
    }

    /// Whether everything that was sent has been dealt with: a ping is answered, and nothing comes before the pong.
    pub(crate) fn expect_quiet(&mut self) {
        self.frames(&[Frame::new(PING, "quiet?")]);
        let frame = self.frame();
        assert_eq!(frame.as_text(), "quiet?", "{frame:?}");
    }

    /// Closes as a good peer does: both Close frames, then the server ends the connection.
    pub(crate) fn close(mut self) {
        self.frames(&[Frame::close(1000, "")]);
        let frames = self.frames_to_close();
        let last = frames.last().expect("at least the Close frame");
        assert_eq!(last.close_code(), Some(1000), "{frames:?}");
        self.expect_end();
    }

    /// Sends no more, but reads on.
    pub(crate) fn end_sending(&self) {
        self.transport.shutdown(Shutdown::Write).expect("connected");
    }

    /// The transport, for options.
    pub(crate) fn transport(&self) -> &TcpStream {
        &self.transport
    }

    fn stream(&mut self) -> &mut dyn Stream {
        match &mut self.secured {
            Some(secured) => secured,
            None => &mut self.transport,
        }
    }

    fn await_bytes<T>(&mut self, pick: impl Fn(&[u8]) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = pick(&self.received) {
                return found;
            }
            let received = self.received.len();
            if !self.receive(end) {
                let shown = &self.received[..received.min(200)];
                panic!("the server sent only {:?}", String::from_utf8_lossy(shown));
            }
        }
    }

    /// Reads once. False when the connection has ended or time ran out.
    fn receive(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.transport
            .set_read_timeout(Some(left))
            .expect("a valid time");
        let mut buffer = [0; 64 << 10];
        loop {
            return match self.stream().read(&mut buffer) {
                Ok(0) => false,
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    true
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => false,
            };
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }
}
