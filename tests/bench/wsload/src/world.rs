//! All connections, their epoll, and what they have in common.

use std::sync::Arc;

use flate2::Decompress;
use rustls::ClientConfig;

use crate::args::{Args, Mode};
use crate::conn::{Conn, Ev, St};
use crate::hist::Hist;
use crate::net::{self, Epoll, Io, Sock};
use crate::payload::{self, Cycle, Deflate};
use crate::stat::{now, SEC};

const RECV_BUF: usize = 256 * 1024;
/// Messages that may wait on one connection when the schedule does not: beyond it the server is too slow.
const PACED_RING: usize = 256;

pub struct Shared<'a> {
    pub a: &'a Args,
    pub cyc: Cycle,
    pub request: Vec<u8>,
    pub hist: Hist,
    pub measuring: bool,
    /// Latency is kept per message (not in fan-out and idle).
    pub timed: bool,
    pub msgs: u64,
    pub wire_in: u64,
    pub sampled: u64,
    pub ext: String,
    pub subprotocol: String,
    /// Messages whose reply was compressed.
    pub compressed: u64,
    pub server_takeover: bool,
    /// The frames of a client that refers back to earlier messages, until a server agreed to it or not.
    takeover: Option<Cycle>,
    /// How many messages of a connection may be in flight.
    pub ring: usize,
}

impl Shared<'_> {
    /// What a server answered to the offer of context takeover; all answers of a server are the same.
    pub fn agree(&mut self, client_takeover: bool) {
        if let Some(cycle) = self.takeover.take().filter(|_| client_takeover) {
            self.cyc = cycle;
        }
    }

    /// How the frames of this side are compressed, in a word.
    pub fn takeover_name(&self) -> &'static str {
        match (self.cyc.lead > 0, self.server_takeover) {
            _ if !self.a.deflate => "",
            (true, true) => "both",
            (true, false) => "client",
            (false, true) => "server",
            (false, false) => "none",
        }
    }
}

pub struct World<'a> {
    pub sh: Shared<'a>,
    pub ep: Epoll,
    pub conns: Vec<Conn>,
    pub buf: Vec<u8>,
    pub plain: Vec<u8>,
    pub tls: Option<Arc<ClientConfig>>,
    pub tls_info: String,
}

impl<'a> World<'a> {
    pub fn new(a: &'a Args) -> World<'a> {
        let host = format!(
            "{}.{}.{}.{}:{}",
            a.host[0], a.host[1], a.host[2], a.host[3], a.port
        );
        let deflate = if a.deflate {
            Deflate::Alone
        } else {
            Deflate::No
        };
        let mut cyc = payload::build(a.size, a.content, a.reply, deflate);
        let takeover = a
            .takeover
            .then(|| payload::build(a.size, a.content, a.reply, Deflate::Takeover));
        let mut r = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", a.path);
        if a.mode == Mode::Http {
            r.push_str("Accept: */*\r\n\r\n");
            // The request takes the place of the frame.
            let one = r.clone().into_bytes();
            cyc.period = one.len() * 64;
            cyc.wire = one.repeat(128);
            cyc.lens = vec![one.len(); 64];
        } else {
            r.push_str(
                "Upgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
            );
            if let Some(p) = &a.protocol {
                r.push_str(&format!("Sec-WebSocket-Protocol: {p}\r\n"));
            }
            if a.deflate {
                r.push_str("Sec-WebSocket-Extensions: permessage-deflate");
                if !a.takeover {
                    r.push_str("; client_no_context_takeover; server_no_context_takeover");
                }
                r.push_str("\r\n");
            }
            r.push_str("\r\n");
        }
        World {
            sh: Shared {
                a,
                cyc,
                request: r.into_bytes(),
                hist: Hist::new(),
                measuring: false,
                timed: matches!(a.mode, Mode::Echo | Mode::Http | Mode::Paced),
                msgs: 0,
                wire_in: 0,
                sampled: 0,
                compressed: 0,
                ext: String::new(),
                subprotocol: String::new(),
                server_takeover: false,
                takeover,
                ring: if a.mode == Mode::Paced {
                    a.depth.max(PACED_RING)
                } else {
                    a.depth
                },
            },
            ep: Epoll::new(),
            conns: Vec::new(),
            buf: vec![0; RECV_BUF],
            plain: Vec::with_capacity(RECV_BUF),
            tls: a.tls.then(|| net::tls_config(a.resume)),
            tls_info: String::new(),
        }
    }

    pub fn dial(&mut self, i: usize) -> Result<(), String> {
        let a = self.sh.a;
        let s = Sock::connect(a.host, a.port, a.spread.then_some(i), self.tls.as_ref())?;
        let fd = s.fd;
        let mut c = Conn::new(&self.sh, s);
        c.t0 = now();
        if i < self.conns.len() {
            self.conns[i] = c;
        } else {
            self.conns.push(c);
        }
        self.ep.add(fd, i as u64)
    }

    /// Everything that a readiness event means for connection `i`.
    #[inline]
    pub fn event(&mut self, i: usize, flags: u32) -> Result<Ev, String> {
        let mut ev = Ev::default();
        let c = &mut self.conns[i];
        if c.s.fd < 0 {
            return Ok(ev);
        }
        if c.st == St::Connecting {
            let e = c.s.error();
            if e != 0 {
                return Err(format!("connect: {}", std::io::Error::from_raw_os_error(e)));
            }
            if flags & libc::EPOLLOUT as u32 == 0 {
                return Ok(ev);
            }
            if self.sh.a.mode == Mode::Http {
                c.st = St::Open;
                ev.opened = true;
            } else {
                c.st = St::Upgrading;
                let n = c.s.send(&self.sh.request)?;
                if n != self.sh.request.len() {
                    return Err("the request did not fit the socket".into());
                }
            }
        }
        let hup = flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0;
        if flags & libc::EPOLLIN as u32 != 0 || hup {
            loop {
                match c.s.recv(&mut self.buf)? {
                    Io::Data(n) => {
                        if c.s.tls.is_some() {
                            self.plain.clear();
                            c.s.decrypt(&self.buf[..n], &mut self.plain)?;
                            c.s.flush()?;
                            if !self.plain.is_empty() {
                                c.feed(&mut self.sh, &self.plain, &mut ev)?;
                            }
                        } else {
                            c.feed(&mut self.sh, &self.buf[..n], &mut ev)?;
                        }
                        if n < self.buf.len() && !hup {
                            break;
                        }
                    }
                    Io::Again => break,
                    Io::Closed => {
                        ev.closed = true;
                        break;
                    }
                }
            }
        } else {
            c.s.flush()?;
        }
        if ev.opened && self.tls_info.is_empty() {
            if let Some(t) = &c.s.tls {
                self.tls_info = format!(
                    "{:?}/{:?}",
                    t.c.protocol_version(),
                    t.c.negotiated_cipher_suite().map(|s| s.suite())
                );
            }
        }
        self.sh.msgs += ev.msgs;
        Ok(ev)
    }

    /// Opens connections up to `n`, a few at a time.
    pub fn open_to(&mut self, n: usize) -> Result<(), String> {
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let from = self.conns.len();
        let mut open = from;
        let deadline = now() + 60 * SEC;
        while open < n {
            while self.conns.len() < n && self.conns.len() - open < 128 {
                self.dial(self.conns.len())?;
            }
            let k = self.ep.wait(&mut evs, 1000);
            for e in &evs[..k] {
                let (i, f) = (e.u64 as usize, e.events);
                let ev = self.event(i, f)?;
                open += ev.opened as usize;
                if ev.closed {
                    return Err(format!(
                        "the server closed connection {i} of {n} while opening"
                    ));
                }
            }
            if now() > deadline {
                return Err(format!("only {open} of {n} connections opened in 60 s"));
            }
        }
        if self.sh.a.takeover && self.sh.server_takeover && from == 0 && n > 0 {
            self.conns[0].inflater = Some(Box::new(Decompress::new(false)));
        }
        Ok(())
    }

    /// Waits until every connection has `want` messages.
    pub fn settle(&mut self, want: u64, secs: u64) -> Result<(), String> {
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let deadline = now() + secs * SEC;
        let mut missing = self.conns.iter().filter(|c| c.done < want).count();
        while missing > 0 {
            let k = self.ep.wait(&mut evs, 100);
            for e in &evs[..k] {
                let (i, f) = (e.u64 as usize, e.events);
                let ev = self.event(i, f)?;
                if ev.closed {
                    return Err(format!("the server closed connection {i}"));
                }
                let c = &mut self.conns[i];
                c.pump(&self.sh.cyc)?;
                if ev.msgs > 0 && c.done == want {
                    missing -= 1;
                }
            }
            if now() > deadline {
                return Err(format!("{missing} replies missing after {secs} s"));
            }
        }
        Ok(())
    }

    pub fn echo_once(&mut self) -> Result<(), String> {
        for i in 0..self.conns.len() {
            let c = &mut self.conns[i];
            c.queue(&self.sh, 1, 0);
            c.pump(&self.sh.cyc)?;
        }
        let want = self.conns.iter().map(|c| c.queued).max().unwrap_or(0);
        self.settle(want, 30)
    }
}
