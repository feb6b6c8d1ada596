//! A WebSocket client that never blocks, for the thread that drives the host.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use hotsocket::{ConnectionId, Host};

use crate::DEADLINE;

/// A text message.
const TEXT: u8 = 1;
/// A Close frame.
pub(crate) const CLOSE: u8 = 8;

/// One session, or one connection that is to become one.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    /// Opens a session at the path `target`; `turn` lets the host serve.
    pub(crate) fn open(address: SocketAddr, target: &str, turn: &mut dyn FnMut()) -> Self {
        let stream = TcpStream::connect(address).expect("it is listened there");
        (&stream).write_all(request(target).as_bytes()).unwrap();
        Self::answered(stream, turn)
    }

    /// The session that was asked for over this stream.
    pub(crate) fn answered(stream: TcpStream, turn: &mut dyn FnMut()) -> Self {
        stream.set_nonblocking(true).unwrap();
        let mut peer = Self {
            stream,
            input: Vec::new(),
        };
        let end = peer.until(turn, |input| {
            input.windows(4).position(|at| at == b"\r\n\r\n")
        });
        let head: Vec<u8> = peer.input.drain(..end + 4).collect();
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", head.escape_ascii());
        peer
    }

    /// Opens a session of a host that this thread drives.
    pub(crate) fn of(host: &mut Host, target: &str) -> Self {
        let address = host.local_addrs()[0];
        Self::open(address, target, &mut || turn(host))
    }

    /// Sends a frame, masked with zeros.
    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend(payload);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame: its opcode and payload.
    pub(crate) fn frame(&mut self, turn: &mut dyn FnMut()) -> (u8, Vec<u8>) {
        let len = self.until(turn, |input| {
            let len = usize::from(*input.get(1)?);
            (input.len() >= 2 + len).then_some(len)
        });
        let frame: Vec<u8> = self.input.drain(..2 + len).collect();
        (frame[0] & 0xf, frame[2..].to_vec())
    }

    /// The answer to a text.
    pub(crate) fn ask(&mut self, text: &str, turn: &mut dyn FnMut()) -> String {
        self.send(TEXT, text.as_bytes());
        let (opcode, answer) = self.frame(turn);
        assert_eq!(opcode, TEXT);
        String::from_utf8(answer).unwrap()
    }

    /// The same of a host that this thread drives.
    pub(crate) fn ask_of(&mut self, host: &mut Host, text: &str) -> String {
        self.ask(text, &mut || turn(host))
    }

    /// The id of its session.
    pub(crate) fn id_of(&mut self, host: &mut Host) -> ConnectionId {
        let number = self.ask_of(host, "id").parse().unwrap();
        ConnectionId::from_number(number).unwrap()
    }

    /// Reads until `found` says where something ends.
    fn until(&mut self, turn: &mut dyn FnMut(), found: impl Fn(&[u8]) -> Option<usize>) -> usize {
        let began = Instant::now();
        loop {
            if let Some(end) = found(&self.input) {
                return end;
            }
            assert!(began.elapsed() < DEADLINE, "no answer in time");
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => panic!("the connection ended: {}", self.input.escape_ascii()),
                Ok(count) => self.input.extend(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => turn(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// An opening handshake.
pub(crate) fn request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Lets a host serve what there is, or what comes soon.
pub(crate) fn turn(host: &mut Host) {
    host.turn(Some(Duration::from_millis(20))).unwrap();
}

/// Lets others work: somebody else drives the host.
pub(crate) fn elsewhere() {
    std::thread::yield_now();
}
