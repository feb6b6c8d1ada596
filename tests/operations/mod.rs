//! What an operator sees.

mod cli;
mod config_errors;
mod control;
mod listen;
mod peer_names;
mod signals;
mod zero_config;
