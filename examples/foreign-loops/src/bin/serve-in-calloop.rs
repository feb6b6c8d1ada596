//! A loop of calloop that watches the one descriptor of the host, beside others of its own.

use std::{error::Error, io, os::fd::AsFd, time::Duration};

use calloop::{EventLoop, Interest, Mode, PostAction, generic::Generic};
use hotsocket::{Host, Turned};
use hotsocket_foreign_loops::{announce, builder, typed};

fn main() -> Result<(), Box<dyn Error>> {
    let mut host = builder()?.build()?;
    announce(&host)?;
    let mut event_loop: EventLoop<'_, Host> = EventLoop::try_new()?;
    // That it was readable is all there is to say: the turn below does the rest.
    let descriptor = host.as_fd().try_clone_to_owned()?;
    let readable = Generic::new(descriptor, Interest::READ, Mode::Level);
    event_loop
        .handle()
        .insert_source(readable, |_, _, _| Ok(PostAction::Continue))?;
    let own = Generic::new(io::stdin(), Interest::READ, Mode::Level);
    event_loop
        .handle()
        .insert_source(own, |_, _, host| match typed(host)? {
            true => Ok(PostAction::Continue),
            false => Ok(PostAction::Remove),
        })?;
    while host.turn(Some(Duration::ZERO))? == Turned::Running {
        let timeout = host.timeout();
        event_loop.dispatch(timeout, &mut host)?;
    }
    Ok(())
}
