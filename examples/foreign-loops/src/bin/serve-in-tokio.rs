//! A loop of tokio that watches the one descriptor of the host, beside others of its own. The host stays on its thread.

use std::{error::Error, future::pending, io, time::Duration};

use hotsocket::Turned;
use hotsocket_foreign_loops::{announce, builder, typed};
use tokio::{
    io::{Interest, unix::AsyncFd},
    select,
    time::sleep,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = builder()?.build()?;
    announce(&host)?;
    // SAFETY: the descriptor of a host is its own, and is the same from when it is built until it is dropped.
    let mut host = unsafe { AsyncFd::register_with_interest(host, Interest::READABLE)? };
    // SAFETY: nobody closes the standard input of this program.
    let own = unsafe { AsyncFd::register_with_interest(io::stdin(), Interest::READABLE)? };
    let mut is_open = true;
    while host.get_mut().turn(Some(Duration::ZERO))? == Turned::Running {
        let timeout = host.get_mut().timeout();
        select! {
            // Before the turn, so that what comes meanwhile is told.
            ready = host.readable() => ready?.clear_ready(),
            () = until(timeout) => {}
            ready = own.readable(), if is_open => {
                is_open = typed(host.get_ref())?;
                ready?.clear_ready();
            }
        }
    }
    Ok(())
}

async fn until(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => sleep(timeout).await,
        None => pending().await,
    }
}
