//! paced: messages leave by a schedule that does not wait for replies, and latency counts from when they were due. So
//! a server that stalls for a while is charged for every message that was due meanwhile, and not for one per
//! connection as in a closed loop.

use std::time::Duration;

use crate::hist::Hist;
use crate::meter::{Meter, Used};
use crate::net;
use crate::stat::{now, SEC};
use crate::world::World;

/// The least rest, in nanoseconds. Without it each reply and each message that is due wakes this program by itself, which
/// takes all of its core; and who takes all of a core is held off it now and then, with whole milliseconds of delay.
const TICK: u64 = 20_000;

impl World<'_> {
    pub fn paced(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        net::exact_sleeps();
        self.open_to(a.conns)?;
        let (saturated, rate) = if a.rate > 0.0 {
            (None, a.rate)
        } else {
            let w = self.closed_loop(a.warmup, a.secs / 2.0)?;
            let most = w.msgs as f64 / w.used.secs;
            (Some(most), most / 2.0)
        };
        if rate < 1.0 {
            return Err("less than one message in a second: nothing to pace".into());
        }
        self.sh.hist.clear();
        let mut late = Hist::new();
        let (n, m) = self.by_schedule(rate, &mut late)?;
        let h = &self.sh.hist;
        Ok(format!(
            "{{\"mode\":\"paced\",\"ok\":true,\"conns\":{},\"size\":{},\"secs\":{:.3},\"msgs\":{},\
             \"saturated_msgs_s\":{},\"rate\":{:.1},\"msgs_s\":{:.1},\
             \"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\"max_us\":{:.1},\
             \"sent_late_p50_us\":{:.1},\"sent_late_p99_us\":{:.1},\"sent_late_p999_us\":{:.1},\"sent_late_max_us\":{:.1},\
             {},\"content_checked\":{}}}",
            a.conns, a.size, m.secs, n,
            saturated.map_or("null".into(), |r| format!("{r:.1}")), rate, n as f64 / m.secs,
            h.us(0.5), h.us(0.99), h.us(0.999), h.max as f64 / 1e3,
            late.us(0.5), late.us(0.99), late.us(0.999), late.max as f64 / 1e3,
            m.json(n), self.sh.sampled,
        ))
    }

    /// `rate` messages in a second, each on the next connection. `late` gets how long after it was due each was
    /// handed to the socket: what of the latency is this program's. The messages and the time of the window, which
    /// begins after the warm-up.
    fn by_schedule(&mut self, rate: f64, late: &mut Hist) -> Result<(u64, Used), String> {
        let a = self.sh.a;
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let gap = 1e9 / rate;
        let start = now();
        let first = (a.warmup * rate) as u64;
        let last = first + (a.secs * rate).max(1.0) as u64;
        let due = |n: u64| start + (n as f64 * gap) as u64;
        let (mut sent, mut m0) = (0u64, Meter::now(a.pid));
        loop {
            let mut t = now();
            // A few at a time, so that replies are not left lying when this program is behind.
            for _ in 0..64 {
                if sent == last || due(sent) > t {
                    break;
                }
                if sent == first {
                    self.sh.measuring = true;
                    late.clear();
                    m0 = Meter::now(a.pid);
                }
                let c = &mut self.conns[sent as usize % a.conns];
                if c.queued - c.done >= self.sh.ring as u64 {
                    return Err(format!(
                        "the server is too slow for {rate:.0} messages a second: {} wait on one connection",
                        self.sh.ring
                    ));
                }
                c.queue(&self.sh, 1, due(sent));
                c.pump(&self.sh.cyc)?;
                t = now();
                late.add(t.saturating_sub(due(sent)));
                sent += 1;
            }
            if sent == last && self.in_flight() == 0 {
                self.sh.measuring = false;
                return Ok((last - first, Meter::now(a.pid).since(&m0)));
            }
            if t > due(last) + 5 * SEC {
                return Err(format!(
                    "{} messages not sent and {} replies missing 5 s after the last was due",
                    last - sent,
                    self.in_flight()
                ));
            }
            let rest = if sent == last {
                SEC / 100
            } else {
                due(sent).saturating_sub(t)
            };
            let k = if rest < TICK {
                std::thread::sleep(Duration::from_nanos(TICK));
                self.ep.wait(&mut evs, 0)
            } else {
                self.ep.wait_ns(&mut evs, rest.min(SEC / 10))
            };
            for e in &evs[..k] {
                let (i, f) = (e.u64 as usize, e.events);
                let ev = self.event(i, f)?;
                if ev.closed {
                    return Err(format!("the server closed connection {i}"));
                }
                self.conns[i].pump(&self.sh.cyc)?;
            }
        }
    }
}
