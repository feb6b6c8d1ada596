//! The promises of the host, checked from outside: each test starts the real server on a port of its own and
//! speaks to it over loopback.
//!
//! `support` holds the tools; `websocket` what a peer sees; `plugins` what happens to plugin files; `operations`
//! what an operator sees; `resources` what it costs and what it survives.

mod operations;
mod plugins;
mod resources;
mod support;
mod websocket;
