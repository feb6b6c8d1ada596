//! The promises of the host, checked from outside: each test starts the real server on a port of its own and
//! speaks to it over loopback.
//!
//! `support` holds the tools; `websocket` what a peer sees; `bounds` what is bounded beside messages; `client` what it
//! does as a client; `extensions` what one
//! with extensions sees; `http` what a client of HTTP sees; `listeners` what is seen at other places than a TCP port;
//! `logging` what the host tells;
//! `vhosts` that several hosts share a port; `policies` what has a say before anything else; `plugins` what happens to
//! plugin files; `operations`
//! what an operator sees; `resources` what it costs and what it survives; `tls` what is seen of all that through TLS.
//!
//! `HOTSOCKET_RELOADS=200` makes the test of reloads under load a long one, which prints its times with
//! `--nocapture`; `UPDATE_SNAPSHOTS=1` writes the files of `tests/snapshots` anew. Needed beside a Rust toolchain:
//! `strip`, `setpriv` where they run as root, and a hard limit of at least 12,000 open files (`ulimit -Hn`).

mod bounds;
mod client;
mod extensions;
mod http;
mod listeners;
mod logging;
mod operations;
mod plugins;
mod policies;
mod resources;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod vhosts;
mod websocket;
