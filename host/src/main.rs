//! The `hotsocket` command.

use std::{error::Error, path::Path, process::ExitCode};

use hotsocket::{
    cli::{self, Inspected},
    limits::Limits,
    plugin::loader,
};

mod allocator;
mod talk;

fn main() -> ExitCode {
    allocator::give_back_what_is_large();
    cli::run(inspect, talk::run)
}

/// What a plugin file says of itself, by its bytes.
fn inspect(file: &Path) -> Result<Inspected, Box<dyn Error>> {
    let stamped = loader::stamped(file, &Limits::default())?;
    let (major, minor) = stamped.abi;
    let http = stamped.manifest.answering_http();
    let session_bytes = stamped.manifest.session_bytes();
    let protocols = stamped.manifest.protocols.into_iter();
    let extensions = stamped.manifest.extensions.into_iter();
    let policies = stamped.manifest.policies.into_iter();
    Ok(Inspected {
        plugin: stamped.manifest.plugin,
        version: stamped.manifest.version,
        abi: format!("{major}.{minor}"),
        toolchain: stamped.toolchain,
        protocols: protocols.map(|protocol| protocol.name).collect(),
        session_bytes,
        http,
        extensions: extensions.map(|extension| extension.name).collect(),
        policies: policies.map(|policy| policy.name).collect(),
    })
}
