//! One connection: what it sends, and the parser of what comes back.

use flate2::Decompress;

use crate::args::Mode;
use crate::net::Sock;
use crate::payload::{self, Cycle};
use crate::stat::now;
use crate::world::Shared;

const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum St {
    Connecting,
    Upgrading,
    Open,
    Closing,
}

pub struct Conn {
    pub s: Sock,
    pub st: St,
    pub head: Vec<u8>,
    /// Outgoing: position in the cycle, bytes of it still to send, frames queued so far.
    pub out_at: usize,
    pub out_left: usize,
    pub queued: u64,
    pub control: Vec<u8>,
    /// Incoming frame.
    pub hdr: [u8; 14],
    pub hdr_n: usize,
    pub in_frame: bool,
    pub left: usize,
    pub b0: u8,
    pub masked: bool,
    /// Incoming message.
    pub in_msg: bool,
    pub rsv1: bool,
    pub sample: bool,
    pub msg_len: usize,
    pub body: Vec<u8>,
    pub done: u64,
    /// When each message in flight was queued.
    pub ts: Vec<u64>,
    pub t0: u64,
    pub inflater: Option<Box<Decompress>>,
    pub close_seen: bool,
    /// Echoes after which the client ends the connection, where it does.
    pub life: u64,
}

/// What the bytes of one readiness meant.
#[derive(Default)]
pub struct Ev {
    pub opened: bool,
    pub msgs: u64,
    pub closed: bool,
}

impl Conn {
    pub fn new(sh: &Shared, s: Sock) -> Conn {
        Conn {
            s,
            st: St::Connecting,
            head: Vec::new(),
            out_at: 0,
            out_left: 0,
            queued: 0,
            control: Vec::new(),
            hdr: [0; 14],
            hdr_n: 0,
            in_frame: false,
            left: 0,
            b0: 0,
            masked: false,
            in_msg: false,
            rsv1: false,
            sample: false,
            msg_len: 0,
            body: Vec::new(),
            done: 0,
            ts: if sh.timed {
                vec![0; sh.ring]
            } else {
                Vec::new()
            },
            t0: 0,
            inflater: None,
            close_seen: false,
            life: 0,
        }
    }

    /// Queues `k` more messages.
    #[inline]
    pub fn queue(&mut self, sh: &Shared, k: u64, t: u64) {
        for _ in 0..k {
            self.out_left += sh.cyc.len(self.queued);
            if sh.timed {
                let d = self.ts.len();
                self.ts[self.queued as usize % d] = t;
            }
            self.queued += 1;
        }
    }

    #[inline]
    pub fn pump(&mut self, cyc: &Cycle) -> Result<(), String> {
        while self.out_left > 0 {
            let n = self.out_left.min(cyc.wire.len() - self.out_at);
            let sent = self.s.send(&cyc.wire[self.out_at..self.out_at + n])?;
            if sent == 0 {
                return Ok(());
            }
            self.out_at += sent;
            if self.out_at >= cyc.lead + cyc.period {
                self.out_at -= cyc.period;
            }
            self.out_left -= sent;
            if sent < n && self.s.tls.is_none() {
                return Ok(());
            }
        }
        if !self.control.is_empty() {
            let n = self.s.send(&self.control)?;
            self.control.drain(..n);
        }
        Ok(())
    }

    /// Takes received bytes; the number of whole messages in them.
    pub fn feed(&mut self, sh: &mut Shared, mut d: &[u8], ev: &mut Ev) -> Result<(), String> {
        if self.st == St::Upgrading {
            self.head.extend_from_slice(d);
            let Some(p) = self.head.windows(4).position(|x| x == b"\r\n\r\n") else {
                if self.head.len() > 16384 {
                    return Err("the response head is too long".into());
                }
                return Ok(());
            };
            let rest = self.head.split_off(p + 4);
            self.upgraded(sh)?;
            ev.opened = true;
            self.head = Vec::new();
            if !rest.is_empty() {
                return self.feed(sh, &rest, ev);
            }
            return Ok(());
        }
        if sh.a.mode == Mode::Http {
            return self.feed_http(sh, d, ev);
        }
        let t = now();
        while !d.is_empty() {
            if !self.in_frame {
                let take = self.header(d)?;
                d = &d[take..];
                if !self.in_frame {
                    return Ok(());
                }
                self.begin(sh)?;
            }
            let n = self.left.min(d.len());
            self.chunk(sh, &d[..n])?;
            self.left -= n;
            d = &d[n..];
            if self.left == 0 {
                self.in_frame = false;
                self.end(sh, t, ev)?;
            }
        }
        Ok(())
    }

    /// Reads frame header bytes; sets in_frame once the header is whole.
    #[inline]
    pub fn header(&mut self, d: &[u8]) -> Result<usize, String> {
        let mut took = 0;
        loop {
            let have = self.hdr_n;
            let want = if have < 2 {
                2
            } else {
                2 + match self.hdr[1] & 127 {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                } + if self.hdr[1] & 128 != 0 { 4 } else { 0 }
            };
            if have >= want {
                let l = (self.hdr[1] & 127) as usize;
                self.left = match l {
                    126 => u16::from_be_bytes([self.hdr[2], self.hdr[3]]) as usize,
                    127 => u64::from_be_bytes(self.hdr[2..10].try_into().unwrap()) as usize,
                    _ => l,
                };
                self.masked = self.hdr[1] & 128 != 0;
                self.b0 = self.hdr[0];
                self.hdr_n = 0;
                self.in_frame = true;
                return Ok(took);
            }
            let n = (want - have).min(d.len() - took);
            if n == 0 {
                return Ok(took);
            }
            self.hdr[have..have + n].copy_from_slice(&d[took..took + n]);
            self.hdr_n += n;
            took += n;
        }
    }

    pub fn begin(&mut self, sh: &mut Shared) -> Result<(), String> {
        let op = self.b0 & 15;
        if op >= 8 {
            if self.left > 125 {
                return Err("control frame over 125 bytes".into());
            }
            self.body.clear();
        } else if op == 0 {
            if !self.in_msg {
                return Err("continuation without a message".into());
            }
        } else {
            if self.in_msg {
                return Err("a new message inside a message".into());
            }
            if op != sh.cyc.reply_opcode {
                return Err(format!("opcode {op}, not {}", sh.cyc.reply_opcode));
            }
            self.in_msg = true;
            self.rsv1 = self.b0 & 0x40 != 0;
            if self.rsv1 && !sh.a.deflate {
                return Err("RSV1 without permessage-deflate".into());
            }
            self.msg_len = 0;
            self.sample = if self.inflater.is_some() {
                true
            } else if self.rsv1 {
                !sh.server_takeover && self.done & 63 == 0
            } else {
                sh.cyc.reply(self.done).len() <= 256 || self.done & 7 == 0
            };
            self.body.clear();
        }
        Ok(())
    }

    #[inline]
    pub fn chunk(&mut self, sh: &mut Shared, d: &[u8]) -> Result<(), String> {
        if self.b0 & 8 != 0 || (self.rsv1 && self.sample) {
            self.body.extend_from_slice(d);
        } else if self.sample {
            let good = if self.masked {
                // A server that echoes the bytes as they came.
                let at = sh.cyc.payload_at(self.done) + self.msg_len;
                sh.cyc.wire.get(at..at + d.len()) == Some(d)
            } else {
                sh.cyc
                    .reply(self.done)
                    .get(self.msg_len..self.msg_len + d.len())
                    == Some(d)
            };
            if !good {
                return Err(format!("reply {} differs from what was sent", self.done));
            }
        }
        if self.b0 & 8 == 0 {
            self.msg_len += d.len();
        }
        Ok(())
    }

    pub fn end(&mut self, sh: &mut Shared, t: u64, ev: &mut Ev) -> Result<(), String> {
        match self.b0 & 15 {
            8 => {
                self.close_seen = true;
                if self.st != St::Closing {
                    return Err(format!("the server closed: {:?}", self.body));
                }
                return Ok(());
            }
            9 => {
                payload::frame(&mut self.control, 10, false, &self.body, Some([1, 2, 3, 4]));
                return Ok(());
            }
            10 => return Ok(()),
            _ => {}
        }
        if self.b0 & 0x80 == 0 {
            return Ok(());
        }
        self.in_msg = false;
        let want = sh.cyc.reply(self.done);
        if self.rsv1 {
            sh.compressed += 1;
            if self.sample {
                let got = match self.inflater.as_mut() {
                    Some(d) => payload::inflate(d, &self.body, want.len())?,
                    None => payload::inflate(&mut Decompress::new(false), &self.body, want.len())?,
                };
                if got != want {
                    return Err(format!("reply {} inflates to something else", self.done));
                }
            }
        } else if self.msg_len != want.len() {
            return Err(format!(
                "a reply of {} bytes, not {}",
                self.msg_len,
                want.len()
            ));
        }
        sh.sampled += self.sample as u64;
        if sh.timed {
            if self.done >= self.queued {
                return Err("more replies than messages".into());
            }
            if sh.measuring {
                let d = self.ts.len();
                sh.hist
                    .add(t.saturating_sub(self.ts[self.done as usize % d]));
            }
        }
        self.done += 1;
        sh.wire_in += self.msg_len as u64;
        ev.msgs += 1;
        Ok(())
    }

    pub fn upgraded(&mut self, sh: &mut Shared) -> Result<(), String> {
        let h = String::from_utf8_lossy(&self.head).into_owned();
        let first = h.lines().next().unwrap_or("");
        if !first.starts_with("HTTP/1.1 101") {
            return Err(format!("no upgrade: {first}"));
        }
        if !h.contains(ACCEPT) {
            return Err("wrong Sec-WebSocket-Accept".into());
        }
        let get = |name: &str| {
            h.lines()
                .filter_map(|l| l.split_once(':'))
                .find(|(k, _)| k.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.trim().to_string())
        };
        let ext = get("sec-websocket-extensions").unwrap_or_default();
        if sh.a.deflate {
            if !ext.contains("permessage-deflate") {
                return Err("the server did not accept permessage-deflate".into());
            }
            sh.server_takeover = !ext.contains("server_no_context_takeover");
            sh.agree(!ext.contains("client_no_context_takeover"));
        } else if !ext.is_empty() {
            return Err(format!("an extension that was not offered: {ext}"));
        }
        sh.ext = ext;
        sh.subprotocol = get("sec-websocket-protocol").unwrap_or_default();
        self.st = St::Open;
        Ok(())
    }
}
