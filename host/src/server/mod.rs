//! Assembles the floors: [`Host`] for programs, and the thread that decides while it runs.
//!
//! `builder.rs` makes a host, `host.rs`, `worker.rs` and `handle.rs` are what a program has of it. `conductor.rs` does what
//! is to be done beside serving, `reloading.rs` a changed config, `answering.rs` what comes over the control socket: with
//! `plugins.rs` (`linked_plugins.rs` in a host without files), `deployment.rs`, `installing.rs`, `routing.rs`, `instances.rs`
//! and `listeners.rs` it changes what is served, `publish.rs` speaks to sessions from outside, and
//! `threads.rs` are those that serve. `privileges.rs` gives up what only root may do, and `start_error.rs` says why a host
//! does not start.

mod answering;
mod asking;
mod builder;
mod conductor;
mod deployment;
mod handle;
mod host;
mod host_thread;
mod installing;
mod instances;
mod listeners;
mod open_site;
mod places;
#[cfg(feature = "plugin-files")]
mod plugins;
#[cfg(not(feature = "plugin-files"))]
#[path = "linked_plugins.rs"]
mod plugins;
mod policies;
pub(crate) mod privileges;
mod publish;
mod reloading;
mod routing;
mod start_error;
mod threads;
mod worker;

pub use asking::{Busy, RequestHandle};
pub use builder::HostBuilder;
pub use handle::{CloseError, ConnectError, HostHandle, Waker};
pub use host::Host;
pub use host_thread::HostThread;
#[cfg(feature = "cli")]
pub(crate) use listeners::tell;
pub use open_site::SiteError;
pub use privileges::PrivilegeError;
pub use start_error::StartError;
pub use worker::{HostError, ServiceThread, Worker};

use crate::config::Config;

/// Builds a host and runs it until it has drained.
///
/// # Errors
///
/// When it cannot start, or a service thread fails.
pub fn serve(config: Config) -> Result<(), HostError> {
    Host::from_config(config)?.run()
}
