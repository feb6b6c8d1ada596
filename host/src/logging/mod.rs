//! The log: one line per event on standard error, with levels that can change while the host runs.
//!
//! `levels.rs` decides what is written, `line.rs` how. What a plugin logs is an event of the target
//! [`PLUGIN_TARGET`] with the fields `plugin`, `version`, `generation`, `target` and `text`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_core::callsite::rebuild_interest_cache;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::{LogConfig, UnknownLevel, parse_level};

mod levels;
mod line;

#[cfg(feature = "cli")]
pub(crate) use line::escaped;

/// The target of the events that stand for lines of plugins.
pub const PLUGIN_TARGET: &str = "plugin";

/// Makes this log the one of the process.
///
/// # Errors
///
/// When the process has one already.
pub fn init(config: &LogConfig) -> Result<LogControl, SetGlobalDefaultError> {
    let control = LogControl::new(config);
    let terminal = io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A log that cannot be written leaves nowhere to say so.
    let write = Box::new(|line: &str| drop(io::stderr().lock().write_all(line.as_bytes())));
    tracing::subscriber::set_global_default(control.subscriber(terminal, colour, write))?;
    Ok(control)
}

/// Changes the log while it runs, from any thread.
#[derive(Clone, Debug)]
pub struct LogControl {
    config: Arc<RwLock<LogConfig>>,
}

/// Whose level is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogScope {
    /// Everything that has no level of its own.
    Rest,
    /// A target and what lies below it.
    Target(String),
    /// The lines of one plugin.
    Plugin(String),
}

impl LogControl {
    fn new(config: &LogConfig) -> Self {
        Self {
            config: Arc::new(RwLock::new(config.clone())),
        }
    }

    /// The levels and the format that hold now.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.read(LogConfig::clone)
    }

    /// Replaces all levels and the format.
    pub fn apply(&self, config: &LogConfig) {
        self.change(|running| running.clone_from(config));
    }

    /// Sets one level; `None` takes it back, so that what is around it decides again.
    pub fn set(&self, scope: LogScope, level: Option<LevelFilter>) {
        self.change(|config| {
            let (levels, name) = match scope {
                LogScope::Rest => {
                    config.level = level.unwrap_or(LevelFilter::INFO);
                    return;
                }
                LogScope::Target(name) => (&mut config.targets, name),
                LogScope::Plugin(name) => (&mut config.plugins, name),
            };
            match level {
                Some(level) => levels.insert(name, level),
                None => levels.remove(&name),
            };
        });
    }

    /// [`set`](Self::set) by words, as they come over the control socket: `level` is a level word or `default`.
    ///
    /// # Errors
    ///
    /// When the word is no level.
    pub fn set_words(
        &self,
        level: &str,
        target: Option<String>,
        plugin: Option<String>,
    ) -> Result<(), UnknownLevel> {
        let level = if level == "default" {
            None
        } else {
            Some(parse_level(level)?)
        };
        let scope = match (target, plugin) {
            (_, Some(plugin)) => LogScope::Plugin(plugin),
            (Some(target), None) => LogScope::Target(target),
            (None, None) => LogScope::Rest,
        };
        self.set(scope, level);
        Ok(())
    }

    /// The levels as JSON: `{"level":"info","targets":{...},"plugins":{...}}`.
    #[must_use]
    pub fn levels(&self) -> serde_json::Value {
        let words = |levels: &BTreeMap<String, LevelFilter>| -> serde_json::Value {
            levels
                .iter()
                .map(|(name, level)| (name.clone(), level.to_string().into()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        self.read(|config| {
            serde_json::json!({
                "level": config.level.to_string(),
                "targets": words(&config.targets),
                "plugins": words(&config.plugins),
            })
        })
    }

    /// Up to which level the lines of this plugin are written.
    #[must_use]
    pub fn plugin_level(&self, plugin: &str) -> LevelFilter {
        self.read(|config| levels::of_plugin(config, plugin))
    }

    fn read<T>(&self, look: impl FnOnce(&LogConfig) -> T) -> T {
        look(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut LogConfig)) {
        change(&mut self.config.write().unwrap_or_else(PoisonError::into_inner));
        // Places that log remember whether they are on, which makes a disabled one nearly free.
        rebuild_interest_cache();
    }

    fn subscriber(
        &self,
        terminal: bool,
        colour: bool,
        write: Sink,
    ) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(line::Lines {
            control: self.clone(),
            terminal,
            colour,
            write,
        })
    }
}

/// Takes whole lines.
type Sink = Box<dyn Fn(&str) + Send + Sync>;

#[cfg(test)]
mod tests;
