//! idle: the memory of the server per idle connection.

use crate::stat::{self, now};
use crate::world::World;

impl World<'_> {
    /// Memory of the server per idle connection.
    pub fn idle(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        let pid = a.pid.ok_or("idle needs --pid")?;
        let rest = || std::thread::sleep(std::time::Duration::from_millis(400));
        // One-off costs first: open, use and close a few connections.
        self.open_to(a.conns.min(200))?;
        self.echo_once()?;
        self.conns.clear();
        rest();
        let m0 = stat::mem(pid)?;
        let t0 = now();
        self.open_to(a.conns)?;
        let open_s = (now() - t0) as f64 / 1e9;
        rest();
        let m1 = stat::mem(pid)?;
        self.echo_once()?;
        rest();
        let m2 = stat::mem(pid)?;
        let cpu0 = stat::cpu(pid).unwrap_or(0);
        let ti = now();
        std::thread::sleep(std::time::Duration::from_millis(500));
        let idle_cpu = (stat::cpu(pid).unwrap_or(0) - cpu0) as f64 / (now() - ti) as f64 * 100.0;
        self.conns.clear();
        rest();
        let m3 = stat::mem(pid)?;
        let per = |a1: u64, a0: u64| (a1 as f64 - a0 as f64) / a.conns as f64;
        Ok(format!(
            "{{\"mode\":\"idle\",\"ok\":true,\"conns\":{},\"rss_base\":{},\"pss_base\":{},\"rss_open\":{},\
             \"rss_per_conn\":{:.0},\"pss_per_conn\":{:.0},\"rss_per_conn_after_echo\":{:.0},\
             \"pss_per_conn_after_echo\":{:.0},\"rss_after_close\":{},\"idle_cpu_pct\":{:.2},\
             \"open_s\":{:.3},\"open_per_s\":{:.0}}}",
            a.conns, m0.0, m0.1, m1.0,
            per(m1.0, m0.0), per(m1.1, m0.1), per(m2.0, m0.0), per(m2.1, m0.1),
            m3.0, idle_cpu, open_s, a.conns as f64 / open_s,
        ))
    }
}
