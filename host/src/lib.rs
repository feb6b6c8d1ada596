//! Hotsocket: a WebSocket and HTTP server whose protocols are plugins.
//!
//! The floors, each using only those below:
//!
//! ```text
//! main, cli/, server.rs    choose, assemble, report
//! config/                  what was written -> what is meant
//! control/, logging/       how a running host is asked, and what it tells
//! plugin/                  load, check, generations, adapters
//! context/                 vhosts, protocols, sessions; host-side traits only
//! net/                     mio, deadlines; generic over one trait, Service
//! access_log/              one line per HTTP exchange
//! line_file/               a file of lines, written by a thread of its own
//! connection/              state machines without I/O, told what time it is
//! wire/                    frames, masks, UTF-8, close codes, opening handshake
//! ```

pub mod access_log;
pub mod cli;
pub mod config;
pub mod connection;
pub mod context;
pub mod control;
pub mod limits;
mod line_file;
pub mod logging;
pub mod net;
pub mod plugin;
pub mod server;
mod version;
pub mod wire;

pub use version::{Version, version};

#[cfg(test)]
mod floors;
#[cfg(doctest)]
mod must_use;
