//! The library from inside a program: hosts that are built, driven and ended by it, with plugins that are linked into it.
//!
//! `probe` is such a plugin, `peer` a client on the thread that drives the host, and `alone` runs a test in a process of
//! its own, where what a host takes of it can be counted.

mod adopting;
mod alone;
mod building;
mod connecting;
mod driving;
mod ending;
mod files;
mod foreign;
mod hanging_up;
mod peer;
mod probe;
mod requesting;
mod schedules;
#[cfg(feature = "tls")]
mod secured;
mod sink;
mod threads;
mod watched;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hotsocket::{Host, HostBuilder};

use probe::Seen;

/// Nothing in these tests takes so long.
const DEADLINE: Duration = Duration::from_secs(20);

/// A free port of loopback.
fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A host with the probe, which tells `seen`.
fn builder(seen: &Arc<Seen>) -> HostBuilder {
    Host::builder()
        .listen(anywhere())
        .plugin(probe::plugin())
        .data(Arc::clone(seen))
}

/// Looks until it is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}
