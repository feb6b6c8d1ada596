//! What makes a service thread look for commands, from any thread.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::{Errno, read, write},
};

/// Wakes one service thread.
#[derive(Debug)]
pub enum Waker {
    /// One that waits in its own poll.
    Poll(mio::Waker),
    /// One whose descriptors a loop of the program watches.
    Event(WakeEvent),
}

impl Waker {
    /// Wakes.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn wake(&self) -> io::Result<()> {
        match self {
            Self::Poll(waker) => waker.wake(),
            Self::Event(event) => event.set(),
        }
    }
}

/// A descriptor that is readable from a wake on until it was seen.
#[derive(Clone, Debug)]
pub struct WakeEvent(Arc<OwnedFd>);

impl WakeEvent {
    /// One that is not set.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(event)))
    }

    fn set(&self) -> io::Result<()> {
        match write(&self.0, &1u64.to_ne_bytes()) {
            // It has been set very often, so it is set.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// It has been seen.
    pub(crate) fn clear(&self) {
        // Nothing to read means that nobody has set it since.
        let _ = read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for WakeEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
