//! churn: connections that end after a few echoes, and others in their place; they end by a closing handshake, by FIN
//! and by RST in turn.

use crate::args::Args;
use crate::conn::St;
use crate::meter::Meter;
use crate::payload;
use crate::stat::{self, now};
use crate::world::World;

/// How the client ends its connection number `n`.
enum End {
    /// A Close frame, and then whatever the server does.
    Handshake,
    /// FIN without a Close frame.
    Finish,
    /// RST.
    Reset,
}

impl End {
    fn of(n: u64) -> End {
        match n % 3 {
            0 => End::Handshake,
            1 => End::Finish,
            _ => End::Reset,
        }
    }
}

impl World<'_> {
    pub fn churn(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let mut close = Vec::new();
        payload::frame(&mut close, 8, false, &[0x03, 0xe8], Some([1, 2, 3, 4]));
        self.open_to(a.conns)?;
        // They do not all end at once: the first ones live for a part of the time.
        for i in 0..a.conns {
            let c = &mut self.conns[i];
            c.life = 1 + i as u64 % a.msgs;
            c.queue(&self.sh, 1, 0);
            c.pump(&self.sh.cyc)?;
        }
        let warm = now() + (a.warmup * 1e9) as u64;
        let mut end = warm + (a.secs * 1e9) as u64;
        let (mut m0, mut before) = (Meter::now(a.pid), None);
        let (mut ended, mut lives, mut msgs) = (0u64, 0u64, 0u64);
        loop {
            let k = self.ep.wait(&mut evs, 100);
            for e in &evs[..k] {
                let i = e.u64 as usize;
                let ev = self.event(i, e.events)?;
                let c = &mut self.conns[i];
                if c.st == St::Closing && (c.close_seen || ev.closed) {
                    lives += 1;
                    self.redial(i, a)?;
                    continue;
                }
                if ev.closed {
                    return Err(format!(
                        "the server closed connection {i} after {} echoes",
                        c.done
                    ));
                }
                msgs += ev.msgs;
                if self.sh.measuring && ev.msgs > 0 && c.done == 1 && c.t0 > m0.t {
                    self.sh.hist.add(now() - c.t0);
                }
                if c.st == St::Open && c.done == c.life {
                    c.st = St::Closing;
                    match End::of(ended) {
                        End::Handshake => c.control.extend_from_slice(&close),
                        End::Finish => c.s.finish(),
                        End::Reset => {
                            lives += 1;
                            self.redial(i, a)?;
                        }
                    }
                    ended += 1;
                } else if ev.opened || ev.msgs > 0 {
                    c.queue(&self.sh, 1, 0);
                }
                self.conns[i].pump(&self.sh.cyc)?;
            }
            let t = now();
            if !self.sh.measuring && t >= warm {
                self.sh.measuring = true;
                self.sh.hist.clear();
                (lives, msgs) = (0, 0);
                before = a.pid.map(stat::mem).transpose()?;
                m0 = Meter::now(a.pid);
                end = m0.t + (a.secs * 1e9) as u64;
            } else if self.sh.measuring && t >= end {
                break;
            }
        }
        let m = Meter::now(a.pid).since(&m0);
        let after = a.pid.map(stat::mem).transpose()?;
        let rss = |m: Option<(u64, u64)>| m.map_or("null".into(), |(rss, _)| rss.to_string());
        let h = &self.sh.hist;
        Ok(format!(
            "{{\"mode\":\"churn\",\"ok\":true,\"conns\":{},\"size\":{},\"echoes_each\":{},\"secs\":{:.3},\"lives\":{},\
             \"lives_s\":{:.1},\"msgs\":{},\"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\
             {},\"rss_before\":{},\"rss_after\":{},\"content_checked\":{}}}",
            a.conns, a.size, a.msgs, m.secs, lives, lives as f64 / m.secs, msgs,
            h.us(0.5), h.us(0.99), h.us(0.999), m.json(lives), rss(before), rss(after), self.sh.sampled,
        ))
    }

    /// Another connection in the place of one that ended.
    fn redial(&mut self, i: usize, a: &Args) -> Result<(), String> {
        self.conns[i].s.abort();
        self.dial(i)?;
        self.conns[i].life = a.msgs;
        Ok(())
    }
}
