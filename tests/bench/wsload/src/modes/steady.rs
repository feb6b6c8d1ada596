//! echo and http: D messages in flight on each connection for a time.

use crate::args::Mode;
use crate::meter::{Meter, Used};
use crate::stat::{now, SEC};
use crate::world::World;

/// What the measured window of a closed loop held.
pub struct Window {
    pub msgs: u64,
    bytes: u64,
    pub used: Used,
}

impl World<'_> {
    pub fn steady(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        let t_open = now();
        self.open_to(a.conns)?;
        let open_s = (now() - t_open) as f64 / 1e9;
        let w = self.closed_loop(a.warmup, a.secs)?;
        let (n, m) = (w.msgs, &w.used);
        let sh = &self.sh;
        let rate = n as f64 / m.secs;
        let body = if a.mode == Mode::Http {
            w.bytes / n.max(1)
        } else {
            a.size as u64
        };
        Ok(format!(
            "{{\"mode\":\"{}\",\"ok\":true,\"conns\":{},\"active\":{},\"size\":{},\"depth\":{},\"secs\":{:.3},\"msgs\":{},\
             \"msgs_s\":{:.1},\"mb_s\":{:.2},\"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\"max_us\":{:.1},\
             {},\"wire_bytes_per_reply\":{:.1},\"sent_total\":{},\"replies_total\":{},\"content_checked\":{},\
             \"compressed_total\":{},\"takeover\":{:?},\
             \"ext\":{:?},\"subprotocol\":{:?},\"tls\":{:?},\"open_s\":{:.3}}}",
            a.mode.name(), a.conns, a.active, body, a.depth, m.secs, n,
            rate, rate * body as f64 / 1e6,
            sh.hist.us(0.5), sh.hist.us(0.99), sh.hist.us(0.999), sh.hist.max as f64 / 1e3,
            m.json(n),
            w.bytes as f64 / n.max(1) as f64,
            self.conns.iter().map(|c| c.queued).sum::<u64>(),
            self.conns.iter().map(|c| c.done).sum::<u64>(),
            sh.sampled, sh.compressed, sh.takeover_name(),
            sh.ext, sh.subprotocol, self.tls_info, open_s,
        ))
    }

    /// Keeps D messages in flight on each active connection; the clock runs for `secs` after `warmup`. Ends when
    /// every reply is there. The active connections lie evenly among all.
    pub fn closed_loop(&mut self, warmup: f64, secs: f64) -> Result<Window, String> {
        let a = self.sh.a;
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let start = now();
        let warm = start + (warmup * 1e9) as u64;
        let mut end = warm + (secs * 1e9) as u64;
        for i in 0..a.active {
            let c = &mut self.conns[i * a.conns / a.active];
            c.queue(&self.sh, a.depth as u64, now());
            c.pump(&self.sh.cyc)?;
        }
        let mut m0 = Meter::now(a.pid);
        let mut base = (0, 0);
        let mut window = None;
        loop {
            let k = self.ep.wait(&mut evs, 100);
            for e in &evs[..k] {
                let (i, f) = (e.u64 as usize, e.events);
                let ev = self.event(i, f)?;
                if ev.closed {
                    return Err(format!("the server closed connection {i}"));
                }
                let c = &mut self.conns[i];
                if ev.msgs > 0 && window.is_none() {
                    c.queue(&self.sh, ev.msgs, now());
                }
                c.pump(&self.sh.cyc)?;
            }
            let t = now();
            if !self.sh.measuring && window.is_none() && t >= warm {
                self.sh.measuring = true;
                self.sh.hist.clear();
                base = (self.sh.msgs, self.sh.wire_in);
                m0 = Meter::now(a.pid);
                end = m0.t + (secs * 1e9) as u64;
            } else if self.sh.measuring && t >= end {
                window = Some(Window {
                    msgs: self.sh.msgs - base.0,
                    bytes: self.sh.wire_in - base.1,
                    used: Meter::now(a.pid).since(&m0),
                });
                self.sh.measuring = false;
            }
            if let Some(w) = window.take() {
                let missing = self.in_flight();
                if missing == 0 {
                    return Ok(w);
                }
                if t > end + 5 * SEC {
                    return Err(format!(
                        "{missing} replies missing 5 s after the last message"
                    ));
                }
                window = Some(w);
            }
        }
    }

    /// Messages whose reply is not there yet.
    pub fn in_flight(&self) -> u64 {
        self.conns.iter().map(|c| c.queued - c.done).sum()
    }
}
