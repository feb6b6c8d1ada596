//! A fixed load in one thread, for counting the instructions of a message or of a connection: a host with the linked
//! plugin `echo`, and one peer that sends `messages` messages of 20 bytes in batches of `depth`, each when the answers to
//! the one before are there. With a depth of 0 each message has a connection of its own, from accept to close.
//!
//! `hotsocket-instructions MESSAGES DEPTH`; `run` beside it counts by callgrind what happens within [`counted_turn`].

use std::{
    env,
    error::Error,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use hotsocket::Host;

/// Payload of a message.
const PAYLOAD: [u8; 20] = [b'x'; 20];
/// An answer: two bytes of header, not masked.
const ANSWER: usize = 2 + PAYLOAD.len();

/// A Close frame as a peer sends it: 1000, its mask 0.
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
/// The answer to it.
const CLOSE_ANSWER: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args()
        .skip(1)
        .map(|argument| argument.parse::<usize>());
    let (Some(messages), Some(depth)) = (arguments.next(), arguments.next()) else {
        return Err("say how many messages, and how many in a batch".into());
    };
    let (messages, depth) = (messages?, depth?);
    let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
    let mut host = Host::builder()
        .listen(anywhere)
        .plugin(echo::plugin())
        .build()?;
    if depth == 0 {
        return (0..messages).try_for_each(|_| connection(&mut host));
    }
    let mut peer = open(&mut host)?;
    let batch = frame().repeat(depth);
    let mut answers = vec![0; ANSWER * depth];
    for _ in 0..messages.div_ceil(depth) {
        peer.write_all(&batch)?;
        exchange(&mut host, &mut peer, &mut answers)?;
    }
    Ok(())
}

/// Opens a session, exchanges one message, and closes it.
fn connection(host: &mut Host) -> Result<(), Box<dyn Error>> {
    let mut peer = open(host)?;
    peer.write_all(&frame())?;
    exchange(host, &mut peer, &mut [0; ANSWER])?;
    peer.write_all(&CLOSE)?;
    exchange(host, &mut peer, &mut [0; CLOSE_ANSWER])?;
    drop(peer);
    while !host.connections().is_empty() {
        counted_turn(host)?;
    }
    Ok(())
}

/// Opens a session.
fn open(host: &mut Host) -> Result<TcpStream, Box<dyn Error>> {
    let address = host.local_addrs()[0];
    let mut peer = TcpStream::connect(address)?;
    peer.set_nodelay(true)?;
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    peer.write_all(request.as_bytes())?;
    peer.set_nonblocking(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        counted_turn(host)?;
        let mut piece = [0; 1024];
        match peer.read(&mut piece) {
            Ok(0) => return Err("the host closed the connection".into()),
            Ok(count) => head.extend(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(peer),
        false => Err(String::from_utf8_lossy(&head).into_owned().into()),
    }
}

/// A text message as a peer sends it, its mask 1, 2, 3, 4.
fn frame() -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | PAYLOAD.len() as u8];
    frame.extend(mask);
    frame.extend(
        PAYLOAD
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Has the host serve until all answers are there.
fn exchange(
    host: &mut Host,
    peer: &mut TcpStream,
    answers: &mut [u8],
) -> Result<(), Box<dyn Error>> {
    let mut at = 0;
    while at < answers.len() {
        counted_turn(host)?;
        match peer.read(&mut answers[at..]) {
            Ok(0) => return Err("the host closed the session".into()),
            Ok(count) => at += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One turn of the host: what is counted.
#[inline(never)]
fn counted_turn(host: &mut Host) -> Result<(), Box<dyn Error>> {
    host.turn(Some(Duration::from_secs(10)))?;
    Ok(())
}
