//! A peer over a loopback socket, for tests that turn an event loop by hand.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    net::{
        event_loop::{EventLoop, Turned},
        service::Service,
    },
    wire::frame_header::{Decoded, FrameHeader},
};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// The client's end of a connection. Nothing blocks.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// What was written and the socket has not taken.
    pub(crate) unsent: Vec<u8>,
    /// What was read.
    pub(crate) heard: Vec<u8>,
    /// The other side has ended the transport.
    pub(crate) ended: bool,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unsent: Vec::new(),
            heard: Vec::new(),
            ended: false,
        }
    }

    /// Sends what the socket takes; the rest leaves with the next call.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => break,
            }
        }
        self.unsent.drain(..sent);
    }

    pub(crate) fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.send(&frame(opcode, payload));
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.send_frame(1, text.as_bytes());
    }

    /// Sends no more; still reads.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the transport with a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Reads at most `most` bytes of what there is.
    pub(crate) fn read_some(&mut self, most: usize) {
        let mut buffer = vec![0; 64 << 10];
        let mut left = most;
        while left > 0 && !self.ended {
            let room = buffer.len().min(left);
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.heard.extend_from_slice(&buffer[..count]);
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.ended = true,
            }
        }
    }

    pub(crate) fn read(&mut self) {
        self.read_some(usize::MAX);
    }

    /// The whole frames heard so far: first octet and payload.
    pub(crate) fn frames(&self) -> Vec<(u8, Vec<u8>)> {
        let mut rest = &self.heard[..];
        let mut all = Vec::new();
        while let Decoded::Done { header, len } = FrameHeader::decode(rest) {
            let end = len + header.payload_len as usize;
            let Some(payload) = rest.get(len..end) else {
                break;
            };
            all.push((rest[0], payload.to_vec()));
            rest = &rest[end..];
        }
        all
    }

    /// The texts heard so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        let frames = self.frames().into_iter();
        frames
            .filter(|(octet, _)| *octet == 0x81)
            .map(|(_, payload)| String::from_utf8(payload).unwrap())
            .collect()
    }

    /// Takes the answer to the opening handshake away from what was heard; false when it is not complete.
    pub(crate) fn take_head(&mut self) -> bool {
        match self.heard.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => {
                self.heard.drain(..at + 4);
                true
            }
            None => false,
        }
    }
}

/// A whole message or control frame of a client; its masking key is 0.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        len @ ..126 => bytes.push(0x80 | len as u8),
        len @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Turns until `done`, and fails when that takes too long.
pub(crate) fn until<S: Service>(
    event_loop: &mut EventLoop<S>,
    what: &str,
    mut done: impl FnMut(&mut EventLoop<S>) -> bool,
) {
    let began = Instant::now();
    while !done(event_loop) {
        assert!(began.elapsed() < PATIENCE, "it took too long: {what}");
        turn(event_loop, 5);
    }
}

/// Turns for so many milliseconds, whatever happens.
pub(crate) fn turn_for<S: Service>(event_loop: &mut EventLoop<S>, milliseconds: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(milliseconds) {
        turn(event_loop, 5);
    }
}

/// One turn that waits at most so many milliseconds.
pub(crate) fn turn<S: Service>(event_loop: &mut EventLoop<S>, milliseconds: u64) -> Turned {
    let wait = Duration::from_millis(milliseconds);
    event_loop.turn(Some(wait)).unwrap()
}
