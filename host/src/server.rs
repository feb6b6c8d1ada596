//! Assembles the floors.

use std::error::Error;

use crate::config::{Config, ConfigError};
use crate::logging::LogControl;

/// Runs a host until it has drained.
///
/// # Errors
///
/// When it cannot start.
pub fn serve(
    _config: Config,
    _log: &LogControl,
    _reload: impl FnMut() -> Result<Config, ConfigError>,
) -> Result<(), Box<dyn Error>> {
    Ok(())
}
