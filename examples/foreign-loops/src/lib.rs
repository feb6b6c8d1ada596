//! What the three programs have in common: a host for a directory of plugins, and what is typed to them.
//!
//! Each takes the directory, prints where it listens, answers a line that is typed with how many connections there are,
//! and ends in order when its input ends. `serve-in-poll` watches every descriptor of the host by itself; `serve-in-tokio`
//! and `serve-in-calloop` watch the one that stands for all of them.

use std::{
    env,
    error::Error,
    io::{self, Read, Write},
    net::SocketAddr,
    time::Duration,
};

use hotsocket::{Host, HostBuilder};

/// How long peers have to answer a Close frame when the program ends.
const DRAIN: Duration = Duration::from_secs(5);

/// A host for the plugins in the directory that was named, on a free port of this machine.
pub fn builder() -> Result<HostBuilder, Box<dyn Error>> {
    let plugins = env::args_os().nth(1).ok_or("which directory of plugins?")?;
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(Host::builder().listen(anywhere).plugins(plugins))
}

/// Says where the host is.
pub fn announce(host: &Host) -> io::Result<()> {
    for address in host.local_addrs() {
        say(&format!("listening on ws://{address}"))?;
    }
    Ok(())
}

/// Reads what was typed, which is there: answers a line, and drains the host when no more will come. False then.
pub fn typed(host: &Host) -> io::Result<bool> {
    let mut piece = [0; 256];
    let count = io::stdin().read(&mut piece)?;
    if count == 0 {
        host.drain(DRAIN);
        return Ok(false);
    }
    say(&format!("connections: {}", host.connections().len()))?;
    Ok(true)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
