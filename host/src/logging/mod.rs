//! The log: one line per event, with levels that can change while the host runs.
//!
//! `levels.rs` decides what is written, `line.rs` how, `place.rs` where: to the file that `log.file` names, else to
//! standard error, or to the sink of a program that has the host in it. What a plugin logs is an event of the target
//! [`PLUGIN_TARGET`] with the fields `plugin`, `version`, `generation`, `connection`, `target` and `text`; `connection` is
//! missing, or 0, where the line came from no hook of a connection.
//!
//! All that the host logs are events of [`tracing`]. A program that has a subscriber of its own keeps it: it calls neither
//! [`init`] nor [`init_with_sink`], and gives the host a [`LogControl::without_output`].
//!
//! # A sink
//!
//! ```
//! use std::sync::mpsc;
//!
//! use hotsocket::{
//!     config::{LogConfig, LogFormat},
//!     limits::Limits,
//!     logging,
//! };
//!
//! let (lines, received) = mpsc::channel();
//! let config = LogConfig {
//!     format: LogFormat::Human,
//!     ..LogConfig::default()
//! };
//! let log = logging::init_with_sink(&config, &Limits::default(), move |line| {
//!     // Lines may be dropped here, but never waited for: the thread that calls may be one that serves.
//!     let _ = lines.send(format!("{} {}", line.level, line.text));
//! })?;
//! tracing::warn!(target: "my_program", answer = 42, "careful");
//! let line = received.try_recv()?;
//! assert!(line.starts_with("WARN 20") && line.ends_with("Z  WARN my_program: careful answer=42"), "{line}");
//!
//! log.set_words("error", None, None)?;
//! tracing::warn!("not told");
//! assert!(received.try_recv().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tracing::{Level, Subscriber, level_filters::LevelFilter, subscriber::SetGlobalDefaultError};
use tracing_core::callsite::rebuild_interest_cache;
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::{
    config::{LogConfig, UnknownLevel, parse_level},
    limits::Limits,
    line_file::LineFile,
};

mod levels;
mod line;
mod place;

pub use crate::line_file::LineFileError;
pub(crate) use line::escaped;
pub use place::{PreparedLog, check};

use place::{Place, Printer};

/// The target of the events that stand for lines of plugins.
pub const PLUGIN_TARGET: &str = "plugin";

/// A line, as a sink is given it.
#[derive(Clone, Copy, Debug)]
pub struct LogLine<'a> {
    /// Its level.
    pub level: Level,
    /// The part of the program that it comes from; of a plugin's line the target within the plugin.
    pub target: &'a str,
    /// The plugin whose line it is.
    pub plugin: Option<&'a str>,
    /// The whole line, with its time, in the format of the config; without the end of the line.
    pub text: &'a str,
}

/// Why a log does not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The process has a subscriber of `tracing` already.
    #[error("this process has a log already; give the host a `LogControl::without_output`")]
    Taken(#[from] SetGlobalDefaultError),
    /// Its file cannot be written.
    #[error(transparent)]
    File(#[from] LineFileError),
}

/// Makes this log the one of the process, on standard error or in the file of the config.
///
/// # Errors
///
/// When the process has one already, or the file cannot be written.
pub fn init(config: &LogConfig, limits: &Limits) -> Result<LogControl, LogError> {
    let terminal = io::stderr().is_terminal();
    let printer = Printer {
        terminal,
        colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        sink: Box::new(|line| {
            // A log that cannot be written leaves nowhere to say so. One write, so that lines do not mix.
            let _ = io::stderr()
                .lock()
                .write_all(format!("{}\n", line.text).as_bytes());
        }),
    };
    LogControl::installed(config, limits, printer)
}

/// Makes this log the one of the process, with `sink` in the place of standard error.
///
/// The sink is called by whichever thread logs, also by those that serve, so it must not wait. What is logged within it
/// is dropped, and when it panics that line is lost. It is not called for lines that go to the file of the config.
///
/// # Errors
///
/// When the process has one already, or the file cannot be written.
pub fn init_with_sink(
    config: &LogConfig,
    limits: &Limits,
    sink: impl Fn(&LogLine<'_>) + Send + Sync + 'static,
) -> Result<LogControl, LogError> {
    let printer = Printer {
        terminal: false,
        colour: false,
        sink: Box::new(sink),
    };
    LogControl::installed(config, limits, printer)
}

/// Changes the log while it runs, from any thread.
#[derive(Clone, Debug)]
pub struct LogControl(Arc<Shared>);

/// What controls and subscriber have in common.
#[derive(Debug)]
struct Shared {
    config: RwLock<LogConfig>,
    /// None when somebody else prints.
    place: Option<Place>,
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
    /// One that prints nothing: for a program whose own subscriber of `tracing` takes the events. It decides of the levels
    /// of plugins only.
    #[must_use]
    pub fn without_output(config: &LogConfig) -> Self {
        Self::new(config, None)
    }

    fn new(config: &LogConfig, place: Option<Place>) -> Self {
        Self(Arc::new(Shared {
            config: RwLock::new(config.clone()),
            place,
        }))
    }

    fn installed(config: &LogConfig, limits: &Limits, printer: Printer) -> Result<Self, LogError> {
        let control = Self::new(config, Some(Place::new(printer)));
        let prepared = control.prepare(config, limits)?;
        tracing::subscriber::set_global_default(control.subscriber())?;
        control.install(prepared);
        Ok(control)
    }

    /// The levels and the format that hold now.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.read(LogConfig::clone)
    }

    /// Opens what a new config needs. Nothing changes yet.
    ///
    /// # Errors
    ///
    /// When its file cannot be written.
    pub fn prepare(
        &self,
        config: &LogConfig,
        limits: &Limits,
    ) -> Result<PreparedLog, LineFileError> {
        let file = match &self.0.place {
            Some(place) => place.prepare(config, limits, &self.0)?,
            None => place::Change::default(),
        };
        Ok(PreparedLog {
            config: config.clone(),
            file,
        })
    }

    /// Replaces all levels, the format and the file. A file that stays is opened anew if it was moved away.
    pub fn install(&self, prepared: PreparedLog) {
        let PreparedLog { config, file } = prepared;
        if let Some(place) = &self.0.place {
            place.install(file);
        }
        self.change(|running| *running = config);
    }

    /// Writes what is left for the file, waiting for its disk as long as `patience`. What is logged afterwards goes where
    /// it would without a file. Whether all was written in time.
    #[must_use = "false says that lines are lost"]
    pub fn finish(&self, patience: Duration) -> bool {
        let file: Option<LineFile> = self.0.place.as_ref().and_then(Place::close);
        file.is_none_or(|file| file.finish(patience))
    }

    /// How many lines the file does not have: they came faster than its disk took them, or could not be written. A line
    /// counts once its loss was told.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.0.place.as_ref().map_or(0, Place::lost)
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
        self.0.read(look)
    }

    fn change(&self, change: impl FnOnce(&mut LogConfig)) {
        change(
            &mut self
                .0
                .config
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
        // Places that log remember whether they are on, which makes a disabled one nearly free.
        rebuild_interest_cache();
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(line::Lines(Arc::clone(&self.0)))
    }
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&LogConfig) -> T) -> T {
        look(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
