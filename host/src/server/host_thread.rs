//! A host on a thread of its own.

use std::{thread::JoinHandle, time::Duration};

use crate::server::{handle::HostHandle, worker::HostError};

/// A host that runs on a thread of its own. Dropped, it ends as a dropped [`Host`](super::Host) does, and is waited for.
#[derive(Debug)]
pub struct HostThread {
    pub(super) handle: HostHandle,
    pub(super) thread: Option<JoinHandle<Result<(), HostError>>>,
}

impl HostThread {
    /// The way to the host from any thread.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        self.handle.clone()
    }

    /// Waits until the host has ended.
    ///
    /// # Errors
    ///
    /// Why it has failed.
    pub fn join(mut self) -> Result<(), HostError> {
        self.wait()
    }

    /// Ends the host in order, see [`Host::shutdown`](super::Host::shutdown).
    ///
    /// # Errors
    ///
    /// Why it has failed.
    pub fn shutdown(mut self, within: Duration) -> Result<(), HostError> {
        self.handle.drain(Some(within));
        self.wait()
    }

    fn wait(&mut self) -> Result<(), HostError> {
        let panicked = || HostError::Failed("the thread of the host panicked".into());
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|_| Err(panicked())),
            None => Ok(()),
        }
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.handle.drain(Some(Duration::ZERO));
            if let Err(error) = self.wait() {
                tracing::error!(target: "hotsocket", %error, "the host ended in failure");
            }
        }
    }
}
