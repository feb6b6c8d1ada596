//! Fixed loads in one thread, for counting the instructions of a message: a host with linked plugins, and its peers, which
//! send a batch of messages when the answers to the one before are there.
//!
//! `hotsocket-instructions LOAD MESSAGES COUNT`; `run` beside it counts by callgrind what happens within
//! [`counted_turn`].
//!
//! | load | |
//! | --- | --- |
//! | `echo` | one peer, batches of `COUNT` messages of 20 bytes |
//! | `deflate` | the same with messages of 88 bytes of text that are 73 with permessage-deflate |
//! | `connection` | each message has a connection of its own, from accept over both handshakes to the close |
//! | `get` | one peer, batches of `COUNT` requests for a file of 1 KiB on a connection that goes on |
//! | `broadcast` | `COUNT` peers, of whom one sends a message of 20 bytes to all; `MESSAGES` are those that arrive |

use std::{
    env,
    error::Error,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use hotsocket::{EmbeddedFiles, FilesMount, Host, HostConfig};

/// Payload of a message.
const PLAIN: &[u8] = &[b'x'; 20];
/// `{"id":4711,"to":"everybody","text":"Hello, everybody! Here is a message for everybody."}`, compressed.
const COMPRESSED: &[u8] = b"\xaaV\xcaLQ\xb21174\xd4Q*\xc9W\xb2RJ-K-\xaaL\xcaO\xa9T\x02\n\xa4V\x94\x00\x85<Rsr\xf2u\
    \x14\xe02\x8a\n\x1e\xa9E\xa9\n\x99\xc5\n\x89\n\xb9\xa9\xc5\xc5\x89\xe9\xa9\ni\xf9E\x08\x05zJ\xb5\x00\x00";
/// FIN and the opcode of text; and RSV1, which says that it is compressed.
const TEXT: u8 = 0x81;
const COMPRESSED_TEXT: u8 = 0xc1;
/// FIN and the opcode of a Close frame; and its code, 1000.
const CLOSE: u8 = 0x88;
const NORMAL: &[u8] = b"\x03\xe8";

/// A file, in bytes.
const FILE: usize = 1024;
const GET: &[u8] = b"GET /files/small.txt HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";

/// What is done again and again.
struct Load {
    path: &'static str,
    /// What is offered with the opening handshake.
    extensions: &'static str,
    /// How many there are from the first to the last; 0: another one for each batch.
    peers: usize,
    /// What the first peer sends.
    batch: Vec<u8>,
    /// How many messages each peer gets for it.
    answers: usize,
}

impl Load {
    fn new(name: &str, count: usize) -> Option<Self> {
        let echo = |first, payload: &[u8], extensions| Self {
            path: "/echo",
            extensions,
            peers: 1,
            batch: frame(first, payload).repeat(count),
            answers: count,
        };
        match name {
            "echo" => Some(echo(TEXT, PLAIN, "")),
            "deflate" => Some(echo(
                COMPRESSED_TEXT,
                COMPRESSED,
                "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            )),
            "connection" => Some(Self {
                peers: 0,
                ..echo(TEXT, PLAIN, "")
            }),
            "broadcast" => Some(Self {
                path: "/broadcast",
                extensions: "",
                peers: count,
                batch: frame(TEXT, PLAIN),
                answers: 1,
            }),
            "get" => Some(Self {
                path: "/files/small.txt",
                extensions: "",
                peers: 1,
                batch: GET.repeat(count),
                answers: count,
            }),
            _ => None,
        }
    }

    fn is_http(&self) -> bool {
        self.batch.starts_with(GET)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, messages, count] = &arguments[..] else {
        return Err(
            "say which load, how many messages, and how many in a batch or to how many".into(),
        );
    };
    let load =
        Load::new(name, count.parse()?).ok_or("no such load: the head of this file has them")?;
    // Of the program and not of a disk: valgrind knows no openat2, and what a disk has said is answered as this is.
    let files = EmbeddedFiles::new(&[("small.txt", &[b'x'; FILE])])?;
    let mut config = HostConfig::default();
    config
        .default
        .mounts
        .put_files("/files", FilesMount::of(files));
    let anywhere: SocketAddr = "127.0.0.1:0".parse()?;
    let mut host = Host::builder()
        .config(config)
        .listen(anywhere)
        .plugin(echo::plugin())
        .plugin(broadcast::plugin())
        .plugin(permessage_deflate::plugin())
        .build()?;
    if load.peers == 0 {
        for _ in 0..messages.parse::<usize>()?.div_ceil(load.answers) {
            connect(&mut host, &load)?;
        }
        return Ok(());
    }
    let mut peers = Vec::new();
    for _ in 0..load.peers {
        peers.push(open(&mut host, &load)?);
    }
    let batches = messages
        .parse::<usize>()?
        .div_ceil(load.answers * load.peers);
    for _ in 0..batches {
        peers[0].write_all(&load.batch)?;
        for peer in &mut peers {
            match load.is_http() {
                true => load_files(&mut host, peer, load.answers)?,
                false => hear(&mut host, peer, load.answers)?,
            }
        }
    }
    Ok(())
}

/// Opens a session, exchanges a batch, and closes it.
fn connect(host: &mut Host, load: &Load) -> Result<(), Box<dyn Error>> {
    let mut peer = open(host, load)?;
    peer.write_all(&load.batch)?;
    hear(host, &mut peer, load.answers)?;
    peer.write_all(&frame(CLOSE, NORMAL))?;
    hear(host, &mut peer, 1)?;
    drop(peer);
    while !host.connections().is_empty() {
        counted_turn(host)?;
    }
    Ok(())
}

/// Opens a connection, and a session unless files are asked for.
fn open(host: &mut Host, load: &Load) -> Result<TcpStream, Box<dyn Error>> {
    let address = host.local_addrs()[0];
    let mut peer = TcpStream::connect(address)?;
    peer.set_nodelay(true)?;
    if load.is_http() {
        peer.set_nonblocking(true)?;
        return Ok(peer);
    }
    let Load {
        path, extensions, ..
    } = load;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
    );
    peer.write_all(request.as_bytes())?;
    peer.set_nonblocking(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        read(host, &mut peer, &mut head)?;
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    match head.starts_with("HTTP/1.1 101 ") && head.contains(extensions.trim_end()) {
        true => Ok(peer),
        false => Err(head.into()),
    }
}

/// A short message as a peer sends it, its mask 1, 2, 3, 4.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Has the host serve until so many short messages are there, each behind two bytes of header.
fn hear(host: &mut Host, peer: &mut TcpStream, answers: usize) -> Result<(), Box<dyn Error>> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    for _ in 0..answers {
        while bytes.len() < at + 2 || bytes.len() < at + 2 + usize::from(bytes[at + 1]) {
            read(host, peer, &mut bytes)?;
        }
        at += 2 + usize::from(bytes[at + 1]);
    }
    match at == bytes.len() {
        true => Ok(()),
        false => Err("more has come than was asked for".into()),
    }
}

/// Has the host serve until the file is there so many times.
fn load_files(host: &mut Host, peer: &mut TcpStream, answers: usize) -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    let mut length = None;
    while length.is_none_or(|length| bytes.len() < answers * length) {
        read(host, peer, &mut bytes)?;
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        length = length.or_else(|| head.map(|end| end + 4 + FILE));
    }
    match bytes.starts_with(b"HTTP/1.1 200 ")
        && Some(bytes.len()) == length.map(|one| one * answers)
    {
        true => Ok(()),
        false => Err("these are not the answers that were asked for".into()),
    }
}

/// Appends what there is for a peer; has the host serve when that is nothing.
fn read(host: &mut Host, peer: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    let mut piece = [0; 4096];
    match peer.read(&mut piece) {
        Ok(0) => return Err("the host closed the connection".into()),
        Ok(count) => bytes.extend(&piece[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => counted_turn(host)?,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// One turn of the host: what is counted.
#[inline(never)]
fn counted_turn(host: &mut Host) -> Result<(), Box<dyn Error>> {
    host.turn(Some(Duration::from_secs(10)))?;
    Ok(())
}
