//! What was typed, what is printed.
//!
//! Exit codes: 0 well, 1 errors were found, 2 wrong usage or not a single live host to ask. `client` has one more: 3.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

mod args;
mod check;
mod client_args;
mod commands;
mod print;
mod publish;
pub mod signals;

pub use args::{Args, Command, LogArgs, PluginCommand, PublishArgs, ServeArgs};
pub use check::{Inspect, Inspected};
pub use client_args::{ClientArgs, TrustArgs};
pub use print::{line, tell};

use crate::control::ClientError;

/// Talks to a server. It is given, since its protocol is a plugin linked into the command and not into this library.
pub type Talk = fn(&ClientArgs) -> ExitCode;

/// Does what was typed. `inspect` looks at a plugin file without running it.
#[must_use]
pub fn run(inspect: Inspect, talk: Talk) -> ExitCode {
    let done = match Args::parse().command {
        Command::Serve(args) => commands::serve(args),
        Command::Client(args) => return talk(&args),
        Command::Check { config, plugins } => check::check(config.as_deref(), plugins, inspect),
        Command::Plugin(PluginCommand::Inspect { file, json }) => {
            check::inspect(&file, json, inspect)
        }
        Command::Plugin(PluginCommand::List { json, control }) => {
            commands::plugin_list(json, control)
        }
        Command::Plugin(PluginCommand::Reload {
            name,
            force,
            control,
        }) => commands::plugin_reload(name, force, control),
        Command::Connections { json, control } => commands::connections(json, control),
        Command::Publish(args) => publish::publish(args),
        Command::Log(args) => commands::log(args),
        Command::Version { json } => {
            commands::version(json);
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(error.as_ref());
            exit_code(error.as_ref())
        }
    }
}

fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    match error.downcast_ref() {
        Some(ClientError::NoHost(_) | ClientError::SeveralHosts(_) | ClientError::Dead { .. }) => {
            ExitCode::from(2)
        }
        Some(ClientError::NoAnswer { .. }) | None => ExitCode::from(1),
    }
}

/// What a command ends with.
type Done = Result<(), Box<dyn Error>>;

#[cfg(test)]
mod tests;
