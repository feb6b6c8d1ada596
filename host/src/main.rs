//! The `hotsocket` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hotsocket::cli::run(|file| Err(format!("{} cannot be inspected yet", file.display()).into()))
}
