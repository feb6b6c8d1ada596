//! State machines without I/O: bytes in, events out; sends in, bytes out.
//!
//! Knows no socket and no clock (it is told `now`), no plugin and no path on disk.

pub mod answer_body;
pub mod budget;
pub mod buffers;
pub mod client_exchange;
pub mod client_redirect;
pub mod content;
pub mod deadline;
pub mod event;
pub mod exchange;
pub mod extended;
pub mod inbound;
pub mod opening;
pub mod outbound;
pub mod proxy_choice;
pub mod receiving;
pub mod request_error;
pub mod retry;
pub mod sending;
pub mod websocket;
pub mod write_queue;

#[cfg(test)]
mod client_exchange_tests;
#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod extended_tests;
#[cfg(test)]
mod opening_tests;
#[cfg(test)]
mod stream_tests;
