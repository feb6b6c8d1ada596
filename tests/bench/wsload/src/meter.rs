//! Time and CPU between two moments, of this process and of the server's.

use std::collections::BTreeMap;

use crate::stat::{self, now};

/// A moment.
pub struct Meter {
    pub t: u64,
    own: u64,
    threads: Option<BTreeMap<u32, u64>>,
    switches: Option<(u64, u64)>,
}

/// What was used between two of them.
pub struct Used {
    pub secs: f64,
    own: f64,
    /// CPU nanoseconds of the server, and how many of its threads had a share of them worth the name.
    pub server: Option<f64>,
    busy: usize,
    switches: Option<(u64, u64)>,
}

impl Meter {
    pub fn now(pid: Option<u32>) -> Meter {
        Meter {
            t: now(),
            own: stat::self_cpu(),
            threads: pid.and_then(stat::threads),
            switches: pid.and_then(stat::switches),
        }
    }

    pub fn since(&self, o: &Meter) -> Used {
        let threads: Option<Vec<u64>> =
            self.threads
                .as_ref()
                .zip(o.threads.as_ref())
                .map(|(new, old)| {
                    new.iter()
                        .map(|(id, ns)| ns.saturating_sub(*old.get(id).unwrap_or(&0)))
                        .collect()
                });
        let server = threads.as_ref().map(|all| all.iter().sum::<u64>());
        Used {
            secs: (self.t - o.t) as f64 / 1e9,
            own: (self.own - o.own) as f64,
            server: server.map(|ns| ns as f64),
            busy: threads.map_or(0, |all| {
                all.iter()
                    .filter(|ns| **ns * 10 >= server.unwrap_or(0).max(1))
                    .count()
            }),
            switches: self
                .switches
                .zip(o.switches)
                .map(|(a, b)| (a.0.saturating_sub(b.0), a.1.saturating_sub(b.1))),
        }
    }
}

impl Used {
    /// Members of a JSON object; `n` is what the CPU time is divided by.
    pub fn json(&self, n: u64) -> String {
        let n = n.max(1) as f64;
        let mut s = format!(
            "\"client_cpu_pct\":{:.1},\"client_us_per_msg\":{:.4}",
            self.own / self.secs / 1e7,
            self.own / n / 1e3
        );
        if let Some(c) = self.server {
            s += &format!(
                ",\"server_cpu_pct\":{:.1},\"server_us_per_msg\":{:.4},\"server_threads_busy\":{}",
                c / self.secs / 1e7,
                c / n / 1e3,
                self.busy
            );
        }
        if let Some((v, i)) = self.switches {
            s += &format!(",\"server_switches_vol\":{v},\"server_switches_invol\":{i}");
        }
        s
    }
}
