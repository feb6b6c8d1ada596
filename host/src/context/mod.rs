//! Vhosts, protocols, sessions. Knows no plugin file and no socket.
//!
//! A service thread has a [`Context`](serving::Context): it answers requests, binds sessions to protocols, and calls
//! their hooks. All threads share one [`Hub`](hub::Hub), the way to a session from outside its own hooks.

mod broadcast;
mod commands;
pub mod exchange;
pub mod files;
pub mod handler;
pub mod handshake;
pub mod hub;
pub(crate) mod instances;
pub(crate) mod negotiation;
mod opening;
pub mod origin;
pub mod page;
mod request;
pub mod roster;
pub mod routes;
pub mod serving;
pub mod session;
#[cfg(test)]
mod tests;
