//! fanout: one publisher, N subscribers.

use crate::hist::Hist;
use crate::meter::Meter;
use crate::stat::{now, SEC};
use crate::world::World;

impl World<'_> {
    /// One publisher, N subscribers; the server sends each message to all of
    /// them (the publisher too, or not: its copies are not counted).
    pub fn fanout(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        let subs = a.conns;
        self.open_to(subs + 1)?;
        // Two messages to warm up, then one at a time for the latency, then a
        // window for the rate.
        let lone = (a.msgs / 4).clamp(1, 400);
        self.publish(2, 1, 20.0, None)?;
        let mut hist = Hist::new();
        let m0 = Meter::now(a.pid);
        let n1 = self.publish(lone, 1, a.secs, Some(&mut hist))?;
        let m1 = Meter::now(a.pid).since(&m0);
        let window = if a.depth == 1 { 16 } else { a.depth as u64 };
        let m0 = Meter::now(a.pid);
        let n2 = self.publish(a.msgs, window, a.secs, None)?;
        let m2 = Meter::now(a.pid).since(&m0);
        let d1 = n1 * subs as u64;
        let d2 = n2 * subs as u64;
        Ok(format!(
            "{{\"mode\":\"fanout\",\"ok\":true,\"subs\":{},\"size\":{},\"lone_msgs\":{},\
             \"lone_deliveries_s\":{:.0},\"last_sub_p50_us\":{:.1},\"last_sub_p99_us\":{:.1},\
             \"window\":{},\"msgs\":{},\"deliveries_s\":{:.0},{},\"content_checked\":{},\
             \"lone_server_us_per_msg\":{}}}",
            subs,
            a.size,
            n1,
            d1 as f64 / m1.secs,
            hist.us(0.5),
            hist.us(0.99),
            window,
            n2,
            d2 as f64 / m2.secs,
            m2.json(d2),
            self.sh.sampled,
            m1.server
                .map_or("null".into(), |c| format!("{:.4}", c / d1 as f64 / 1e3)),
        ))
    }

    /// Publishes up to `n` messages, `window` in flight; returns how many.
    pub fn publish(
        &mut self,
        n: u64,
        window: u64,
        secs: f64,
        mut hist: Option<&mut Hist>,
    ) -> Result<u64, String> {
        let subs = self.sh.a.conns;
        let mut evs = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        let first = self.conns[subs].queued;
        // Deliveries still missing of each message in flight.
        let mut missing = vec![0u64; window as usize];
        let mut born = vec![0u64; window as usize];
        let (mut sent, mut complete) = (0u64, 0u64);
        let start = now();
        let until = start + (secs * 1e9) as u64;
        let deadline = until + 10 * SEC;
        let mut target = n;
        loop {
            let t = now();
            if t > until && sent < target {
                target = sent;
            }
            if sent < target && sent - complete < window {
                let k = (target - sent).min(window - (sent - complete));
                for j in 0..k {
                    missing[((sent + j) % window) as usize] = subs as u64;
                    born[((sent + j) % window) as usize] = t;
                }
                let p = &mut self.conns[subs];
                p.queue(&self.sh, k, t);
                p.pump(&self.sh.cyc)?;
                sent += k;
            }
            if complete == target {
                return Ok(complete);
            }
            if t > deadline {
                return Err(format!(
                    "fan-out: {} of {} messages complete",
                    complete, sent
                ));
            }
            let k = self.ep.wait(&mut evs, 100);
            for e in &evs[..k] {
                let (i, f) = (e.u64 as usize, e.events);
                let before = self.conns[i].done;
                let ev = self.event(i, f)?;
                if ev.closed {
                    return Err(format!("the server closed connection {i}"));
                }
                if i == subs {
                    self.conns[i].pump(&self.sh.cyc)?;
                    continue;
                }
                if !self.conns[i].control.is_empty() {
                    self.conns[i].pump(&self.sh.cyc)?;
                }
                for j in 0..ev.msgs {
                    let seq = before + j - first;
                    if seq >= sent {
                        return Err("more deliveries than messages".into());
                    }
                    let slot = (seq % window) as usize;
                    missing[slot] -= 1;
                    if missing[slot] == 0 {
                        complete += 1;
                        if let Some(h) = hist.as_deref_mut() {
                            h.add(now() - born[slot]);
                        }
                    }
                }
            }
        }
    }
}
