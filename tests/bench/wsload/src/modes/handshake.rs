//! handshake: connect, upgrade, one echo, closing handshake, again and again.

use crate::conn::{Conn, St};
use crate::meter::Meter;
use crate::net::Sock;
use crate::payload;
use crate::stat::now;
use crate::world::World;

impl World<'_> {
    /// connect, upgrade, one echo, closing handshake, again and again.
    pub fn handshake(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let mut close = Vec::new();
        payload::frame(&mut close, 8, false, &[0x03, 0xe8], Some([1, 2, 3, 4]));
        for i in 0..a.conns {
            self.dial(i)?;
        }
        let mut serial = a.conns;
        let warm = now() + (a.warmup * 1e9) as u64;
        let mut end = warm + (a.secs * 1e9) as u64;
        let mut m0 = Meter::now(a.pid);
        let (mut n, mut unclean, mut resumed) = (0u64, 0u64, 0u64);
        loop {
            let k = self.ep.wait(&mut evs, 100);
            for e in &evs[..k] {
                let (i, f) = (e.u64 as usize, e.events);
                let ev = self.event(i, f)?;
                let c = &mut self.conns[i];
                if ev.opened {
                    c.queue(&self.sh, 1, 0);
                    c.pump(&self.sh.cyc)?;
                }
                if ev.msgs > 0 {
                    if self.sh.measuring {
                        let t = now() - c.t0;
                        self.sh.hist.add(t);
                    }
                    c.st = St::Closing;
                    c.control.extend_from_slice(&close);
                    c.pump(&self.sh.cyc)?;
                }
                if c.close_seen || ev.closed {
                    if c.st != St::Closing {
                        return Err("the server closed before the echo".into());
                    }
                    unclean += !c.close_seen as u64;
                    resumed += c.s.is_resumed() as u64;
                    c.s.abort();
                    n += 1;
                    serial += 1;
                    // A new source address from time to time.
                    let s = Sock::connect(
                        a.host,
                        a.port,
                        a.spread.then_some(serial),
                        self.tls.as_ref(),
                    )?;
                    self.ep.add(s.fd, i as u64)?;
                    let mut c = Conn::new(&self.sh, s);
                    c.t0 = now();
                    self.conns[i] = c;
                }
            }
            let t = now();
            if !self.sh.measuring && t >= warm {
                self.sh.measuring = true;
                self.sh.hist.clear();
                n = 0;
                unclean = 0;
                resumed = 0;
                m0 = Meter::now(a.pid);
                end = m0.t + (a.secs * 1e9) as u64;
            } else if self.sh.measuring && t >= end {
                break;
            }
        }
        let m = Meter::now(a.pid).since(&m0);
        // A few find no ticket, since a ticket serves once.
        if a.resume && resumed * 10 < n * 9 {
            return Err(format!("only {resumed} of {n} handshakes were resumed"));
        }
        let h = &self.sh.hist;
        Ok(format!(
            "{{\"mode\":\"handshake\",\"ok\":true,\"conns\":{},\"secs\":{:.3},\"handshakes\":{},\
             \"handshakes_s\":{:.1},\"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\
             {},\"closed_without_close_frame\":{},\"resumed\":{},\"tls\":{:?}}}",
            a.conns,
            m.secs,
            n,
            n as f64 / m.secs,
            h.us(0.5),
            h.us(0.99),
            h.us(0.999),
            m.json(n),
            unclean,
            resumed,
            self.tls_info,
        ))
    }
}
