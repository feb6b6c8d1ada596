//! Sockets, readiness, deadlines. Knows no vhost and no plugin, and of a URL only where it leads; generic over one trait,
//! [`service::Service`].
//!
//! A service thread is an [`EventLoop`](event_loop::EventLoop) over an [`Io`](io::Io) of its own: its poll, its
//! listeners, its connections. Nothing is shared between the threads on the path of a message.

mod accepting;
pub mod addresses;
mod admitting;
pub mod adopting;
mod announced;
mod at_once;
pub mod connection_setup;
pub(crate) mod date_clock;
pub mod dial;
mod dial_steps;
mod dialling;
pub mod event_loop;
mod exchange_end;
mod file_sending;
pub mod frames;
mod http;
pub mod http_port;
mod in_place;
pub mod inherited;
pub mod interface;
pub mod io;
pub mod job_threads;
mod lateness;
mod leaving;
mod link;
pub mod listener;
pub mod listening;
pub mod mailbox;
mod masking_keys;
mod output;
pub mod peer;
mod pending;
pub mod port;
mod race;
mod reading;
mod request_steps;
pub mod requesting;
pub mod resolve;
pub mod reverse_name;
mod running;
pub mod seats;
mod serve;
pub mod service;
pub mod settings;
mod settle;
mod slots;
mod spare;
#[cfg(test)]
pub(crate) mod test_peer;
#[cfg(test)]
mod tests;
pub mod timer_wheel;
mod timers;
pub mod tls;
pub mod token;
mod transport;
pub mod unix_socket;
pub mod waker;
pub mod watcher;
mod wheel;
