//! What an operator sees.

mod cli;
mod client;
mod config_errors;
mod control;
mod listen;
mod peer_names;
mod publish;
mod publish_rights;
mod run_as;
mod signals;
mod zero_config;
