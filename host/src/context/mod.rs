//! Vhosts, protocols, sessions. Knows no plugin file and no socket.
//!
//! A service thread has a [`Context`](serving::Context): it answers requests, binds sessions to protocols, and calls
//! their hooks; or has a protocol answer them, each as an exchange of its own. All threads share one [`Hub`](hub::Hub), the way to a session from outside its own hooks.

mod admission;
pub mod asking;
mod broadcast;
mod client;
pub mod client_request;
pub(crate) mod client_share;
mod commands;
mod connecting;
pub mod error_pages;
pub mod exchange;
pub mod files;
pub mod handler;
mod handling;
pub mod handshake;
pub mod held_head;
mod hooks;
pub mod http_handler;
pub mod http_request;
pub mod hub;
pub(crate) mod instances;
mod judging;
mod kept;
pub mod mounts;
pub(crate) mod negotiation;
pub mod offload;
mod opening;
pub mod origin;
pub mod outgoing;
pub mod own_fields;
pub mod page;
pub mod peer_names;
mod plain;
pub mod policy;
mod reconnecting;
pub mod redirect;
mod request;
mod requests;
pub mod response_handler;
pub mod roster;
pub mod routes;
pub mod serving;
pub mod session;
pub mod site;
pub mod tags;
mod target;
#[cfg(test)]
mod tests;
mod told;
pub mod vhosts;
pub mod whole_response;
