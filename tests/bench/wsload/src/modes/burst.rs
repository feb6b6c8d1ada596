//! burst: what a server keeps of the memory that a burst took. The connections stay open, so that what is kept for
//! each of them counts as well as what is kept for all.

use std::time::Duration;

use crate::stat::{self, now};
use crate::world::World;

impl World<'_> {
    pub fn burst(&mut self) -> Result<String, String> {
        let a = self.sh.a;
        let pid = a.pid.ok_or("burst needs --pid")?;
        // One-off costs first: open, use and close a few connections.
        self.open_to(a.conns.min(8))?;
        self.echo_once()?;
        self.conns.clear();
        std::thread::sleep(Duration::from_millis(400));
        self.open_to(a.conns)?;
        std::thread::sleep(Duration::from_millis(400));
        let before = stat::mem(pid)?;
        let t0 = now();
        for i in 0..a.conns {
            let c = &mut self.conns[i];
            c.queue(&self.sh, a.depth as u64, 0);
            c.pump(&self.sh.cyc)?;
        }
        // Nothing is read for a moment, so that the server has to keep what the sockets do not take.
        std::thread::sleep(Duration::from_millis(300));
        let during = stat::mem(pid)?;
        self.settle(a.depth as u64, 60)?;
        let burst_s = (now() - t0) as f64 / 1e9;
        let peak = stat::peak(pid).unwrap_or(0).max(during.0);
        std::thread::sleep(Duration::from_secs_f64(a.rest));
        let after = stat::mem(pid)?;
        Ok(format!(
            "{{\"mode\":\"burst\",\"ok\":true,\"conns\":{},\"size\":{},\"depth\":{},\"burst_s\":{:.3},\"rest_s\":{:.1},\
             \"rss_before\":{},\"rss_during\":{},\"rss_peak\":{},\"rss_after\":{},\"pss_before\":{},\"pss_after\":{},\
             \"content_checked\":{}}}",
            a.conns, a.size, a.depth, burst_s, a.rest,
            before.0, during.0, peak, after.0, before.1, after.1, self.sh.sampled,
        ))
    }
}
