//! The control socket: how commands talk to a running host, one JSON line each way.
//!
//! `request.rs` what may be asked and answered, `publication.rs` a message to be sent, `place.rs` where the socket lies,
//! `peer.rs` who may ask, `server.rs` the host's end, `client.rs` the command's end. Knows nothing of what a request does.

mod client;
mod peer;
mod place;
mod publication;
mod request;
mod server;

pub use client::{Client, ClientError, live_hosts};
pub use place::PlaceError;
pub use publication::{BadPublication, Publication};
pub use request::{Answer, ControlRequest, Reply};
pub use server::{ControlError, ControlServer};

#[cfg(test)]
mod tests;
