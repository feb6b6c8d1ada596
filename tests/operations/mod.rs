//! What an operator sees.

mod cli;
mod config_errors;
mod control;
mod signals;
mod zero_config;
