//! What can be measured, one file each.

mod burst;
mod churn;
mod fanout;
mod handshake;
mod idle;
mod paced;
mod steady;

use crate::args::{Args, Mode};
use crate::net;
use crate::world::World;

/// Does what the command line asks for; a line of JSON.
pub fn run(a: &Args) -> Result<String, String> {
    let limit = net::raise_nofile(1_000_000);
    if a.conns as u64 + 16 > limit {
        return Err(format!(
            "{} connections, but RLIMIT_NOFILE stops at {limit}",
            a.conns
        ));
    }
    let mut w = World::new(a);
    match a.mode {
        Mode::Echo | Mode::Http => w.steady(),
        Mode::Handshake => w.handshake(),
        Mode::Idle => w.idle(),
        Mode::Fanout => w.fanout(),
        Mode::Paced => w.paced(),
        Mode::Churn => w.churn(),
        Mode::Burst => w.burst(),
    }
}
