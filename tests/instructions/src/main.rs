//! A fixed load in one thread, for counting the instructions of a message or a request: a host with the linked plugin
//! `echo` and one file of 1 KiB, and one peer that sends messages of 20 bytes, or requests for the file, in batches of
//! DEPTH, each when the answers to the one before are there.
//!
//! `hotsocket-instructions echo|get COUNT DEPTH`; `run` beside it counts by callgrind what happens within
//! [`counted_turn`].

use std::{
    env,
    error::Error,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use hotsocket::{EmbeddedFiles, FilesMount, Host, HostConfig};

/// Payload of a message.
const PAYLOAD: [u8; 20] = [b'x'; 20];
/// An answer: two bytes of header, not masked.
const ANSWER: usize = 2 + PAYLOAD.len();

/// A file, in bytes.
const FILE: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let what = arguments.next();
    let mut number = || arguments.next()?.parse::<usize>().ok();
    let (Some(count), Some(depth)) = (number(), number()) else {
        return Err("say what, how many, and how many in a batch".into());
    };
    // Of the program and not of a disk: valgrind knows no openat2, and what a disk has said is answered as this is.
    let files = EmbeddedFiles::new(&[("small.txt", &[b'x'; FILE])])?;
    let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
    let mut config = HostConfig::default();
    let mount = FilesMount::of(files);
    config.default.mounts.put_files("/files", mount);
    let mut host = Host::builder()
        .config(config)
        .listen(anywhere)
        .plugin(echo::plugin())
        .build()?;
    match what.as_deref() {
        Some("echo") => {
            let mut peer = open(&mut host)?;
            load(&mut host, &mut peer, &frame(), ANSWER, count, depth)
        }
        Some("get") => {
            let (mut peer, request, answer) = ask(&mut host)?;
            load(&mut host, &mut peer, &request, answer, count, depth)
        }
        _ => Err("say `echo` or `get`".into()),
    }
}

/// Sends `one` so many times, `depth` at once, and awaits as many answers of `answer` bytes.
fn load(
    host: &mut Host,
    peer: &mut TcpStream,
    one: &[u8],
    answer: usize,
    count: usize,
    depth: usize,
) -> Result<(), Box<dyn Error>> {
    let batch = one.repeat(depth);
    let mut answers = vec![0; answer * depth];
    for _ in 0..count.div_ceil(depth) {
        peer.write_all(&batch)?;
        exchange(host, peer, &mut answers)?;
    }
    Ok(())
}

/// Connects, and asks for the file once: the connection, the request, and how many bytes its answer has.
fn ask(host: &mut Host) -> Result<(TcpStream, Vec<u8>, usize), Box<dyn Error>> {
    let address = host.local_addrs()[0];
    let request =
        format!("GET /files/small.txt HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\r\n");
    let mut peer = TcpStream::connect(address)?;
    peer.set_nodelay(true)?;
    peer.write_all(request.as_bytes())?;
    peer.set_nonblocking(true)?;
    let mut answer = head(host, &mut peer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let length = end.map_or(0, |end| end + 4) + FILE;
    let seen = answer.len();
    answer.resize(length, 0);
    exchange(host, &mut peer, &mut answer[seen..])?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok((peer, request.into(), length)),
        false => Err(String::from_utf8_lossy(&answer).into_owned().into()),
    }
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
    let head = head(host, &mut peer)?;
    match head.starts_with(b"HTTP/1.1 101 ") {
        true => Ok(peer),
        false => Err(String::from_utf8_lossy(&head).into_owned().into()),
    }
}

/// Has the host serve until the head of an answer is there; gives what has come.
fn head(host: &mut Host, peer: &mut TcpStream) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut come = Vec::new();
    while !come.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        counted_turn(host)?;
        let mut piece = [0; 1024];
        match peer.read(&mut piece) {
            Ok(0) => return Err("the host closed the connection".into()),
            Ok(count) => come.extend(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(come)
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
