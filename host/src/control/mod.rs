//! The control socket: how commands talk to a running host, one JSON line each way.
//!
//! `request.rs` what may be asked and answered, `place.rs` where the socket lies, `server.rs` the host's end,
//! `client.rs` the command's end. Knows nothing of what a request does.

mod client;
mod place;
mod request;
mod server;

pub use client::{Client, ClientError, live_hosts};
pub use place::PlaceError;
pub use request::{Answer, ControlRequest, Reply};
pub use server::{ControlError, ControlServer};

#[cfg(test)]
mod tests;
