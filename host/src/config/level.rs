//! The words for log levels.

use tracing::level_filters::LevelFilter;

/// The level that `word` names.
///
/// # Errors
///
/// When it is none of the six words.
pub fn parse_level(word: &str) -> Result<LevelFilter, UnknownLevel> {
    match word {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(UnknownLevel(word.to_owned())),
    }
}

/// The words of [`parse_level`].
pub(super) const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// A word that is no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no log level; write off, error, warn, info, debug or trace")]
pub struct UnknownLevel(String);
