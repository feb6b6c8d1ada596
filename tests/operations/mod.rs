//! What an operator sees.

mod cli;
mod config_errors;
mod control;
mod listen;
mod run_as;
mod signals;
mod zero_config;
