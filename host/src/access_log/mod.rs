//! The access log: one line for each HTTP exchange.
//!
//! `line.rs` makes the line, on the thread that served; a `LineFile` writes it, on a thread of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

mod date;
mod line;

pub use crate::line_file::LineFileError;
pub use line::Entry;

use crate::{
    limits::Limits,
    line_file::{self, LineFile, LineSender, Owner, Place, Trouble},
};

/// Where the access log goes, and how its lines look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file; `None` is standard error.
    pub file: Option<PathBuf>,
    /// How a line is written.
    pub format: Format,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As Apache and nginx do.
    #[default]
    Combined,
    /// One JSON object per line.
    Json,
}

/// An access log that is open. Ends with [`AccessLog::finish`].
#[derive(Debug)]
#[must_use = "the log ends when it is dropped"]
pub struct AccessLog {
    lines: LineFile,
    shape: Shape,
}

/// Takes entries, on any thread.
#[derive(Clone, Debug)]
pub struct AccessLogger {
    lines: LineSender,
    shape: Shape,
}

/// How an entry becomes a line.
#[derive(Clone, Copy, Debug)]
struct Shape {
    format: Format,
    /// How long one text of a client may become, in bytes.
    text_bytes: usize,
}

const OWNER: Owner = Owner {
    key: "access_log.file",
    thread: "access-log",
};

/// Whether an access log could be opened there. Makes no file.
///
/// # Errors
///
/// As [`AccessLog::start`].
pub fn check(file: Option<&Path>) -> Result<(), LineFileError> {
    line_file::check(OWNER.key, file)
}

impl AccessLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or the system refuses the thread.
    pub fn start(settings: &Settings, limits: &Limits) -> Result<Self, LineFileError> {
        let place = Place::open(OWNER.key, settings.file.as_deref())?;
        Self::start_at(place, settings, limits)
    }

    fn start_at(place: Place, settings: &Settings, limits: &Limits) -> Result<Self, LineFileError> {
        let lines = limits.access_log_lines_count;
        Ok(Self {
            lines: LineFile::start_at(place, OWNER, lines, Box::new(tell_trouble))?,
            shape: Shape {
                format: settings.format,
                text_bytes: usize::try_from(limits.access_log_text_bytes).unwrap_or(usize::MAX),
            },
        })
    }

    /// A way to write to it.
    #[must_use]
    pub fn logger(&self) -> AccessLogger {
        AccessLogger {
            lines: self.lines.sender(),
            shape: self.shape,
        }
    }

    /// Has the file opened anew if it was moved away, so that the moved one is let go of. The next line would notice
    /// that too.
    pub fn reopen(&self) {
        self.lines.reopen();
    }

    /// Writes what is left, waiting for a disk as long as `patience`. What is told afterwards is lost. Whether all was
    /// written in time.
    #[must_use = "false says that lines are lost"]
    pub fn finish(self, patience: Duration) -> bool {
        self.lines.finish(patience)
    }
}

impl AccessLogger {
    /// Writes one line, or counts it as lost when the queue is full. Never waits.
    pub fn tell(&self, entry: &Entry<'_>) {
        let Shape { format, text_bytes } = self.shape;
        self.lines.send(line::of(entry, format, text_bytes));
    }
}

/// Tells what is missing in the log of the host.
fn tell_trouble(trouble: Trouble) {
    let lost = trouble.lost;
    match trouble.error {
        Some(error) => {
            tracing::error!(target: "hotsocket::access_log", error, lost_lines = lost,
                "the access log cannot be written as it should; look at its disk, and at who may write to its directory");
        }
        None => {
            tracing::warn!(target: "hotsocket::access_log", lost_lines = lost,
                "lines of the access log are lost: they come faster than they can be written; \
                 see limits.access_log_lines_count");
        }
    }
}

#[cfg(test)]
mod tests;
