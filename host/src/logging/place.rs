//! Where lines go: to a file by a thread of its own, or into a sink on the thread that logs.

use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;
use tracing::Level;

use super::{LogLine, Shared, line::Line};
use crate::{
    config::{LogConfig, LogFormat},
    limits::Limits,
    line_file::{self, LineFile, LineFileError, LineSender, Owner, Trouble},
};

const OWNER: Owner = Owner {
    key: "log.file",
    thread: "log",
};

/// Whether a log could be written there. Makes no file.
///
/// # Errors
///
/// When the file, or the directory it would be made in, cannot be written.
pub fn check(file: Option<&Path>) -> Result<(), LineFileError> {
    line_file::check(OWNER.key, file)
}

/// A config for a log, with its file opened.
#[derive(Debug)]
#[must_use = "nothing changes before it is installed"]
pub struct PreparedLog {
    pub(super) config: LogConfig,
    pub(super) file: Change,
}

/// What becomes of the file.
#[derive(Debug, Default)]
pub(super) enum Change {
    /// There is none.
    #[default]
    None,
    /// It goes on.
    Same,
    /// There is another.
    Open(OpenFile),
}

/// A file that is written, and what it was opened by.
#[derive(Debug)]
pub(super) struct OpenFile {
    lines: LineFile,
    path: PathBuf,
    room: u64,
}

/// Prints lines that do not go to a file.
pub(super) struct Printer {
    /// Whether eyes read what is written.
    pub(super) terminal: bool,
    pub(super) colour: bool,
    pub(super) sink: Box<dyn Fn(&LogLine<'_>) + Send + Sync>,
}

/// Where lines go.
#[derive(Debug)]
pub(super) struct Place {
    printer: Printer,
    /// The way to the file, if there is one.
    sender: RwLock<Option<LineSender>>,
    file: Mutex<Option<OpenFile>>,
    /// Lines that the file does not have, as far as they were told.
    lost: AtomicU64,
}

impl Place {
    pub(super) fn new(printer: Printer) -> Self {
        Self {
            printer,
            sender: RwLock::default(),
            file: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// Opens the file of a config, unless it is open.
    pub(super) fn prepare(
        &self,
        config: &LogConfig,
        limits: &Limits,
        whole: &Arc<Shared>,
    ) -> Result<Change, LineFileError> {
        let Some(path) = &config.file else {
            return Ok(Change::None);
        };
        let room = limits.log_lines_count;
        let open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open
            .as_ref()
            .is_some_and(|open| open.path == *path && open.room == room)
        {
            return Ok(Change::Same);
        }
        // The writer must not keep alive what would end it.
        let whole = Arc::downgrade(whole);
        let tell = Box::new(move |trouble| tell_trouble(&whole, trouble));
        Ok(Change::Open(OpenFile {
            lines: LineFile::start(OWNER, path, room, tell)?,
            path: path.clone(),
            room,
        }))
    }

    pub(super) fn install(&self, change: Change) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Same => {
                if let Some(open) = file.as_ref() {
                    open.lines.reopen();
                }
            }
            Change::None => {
                self.send_to(None);
                *file = None;
            }
            Change::Open(open) => {
                self.send_to(Some(open.lines.sender()));
                *file = Some(open);
            }
        }
    }

    /// Takes the file away; lines are printed from now on.
    pub(super) fn close(&self) -> Option<LineFile> {
        self.send_to(None);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.take().map(|open| open.lines)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, line: Line, format: LogFormat) {
        // Held while the line is sent, which never waits: who takes the file away knows that nothing comes behind.
        let sender = self.sender.read().unwrap_or_else(PoisonError::into_inner);
        match &*sender {
            Some(file) => {
                let mut text = match format {
                    LogFormat::Human => line.human(false),
                    LogFormat::Auto | LogFormat::Json => line.json(),
                };
                text.push('\n');
                file.send(text.into_bytes());
            }
            None => {
                drop(sender);
                self.printer.print(&line, format);
            }
        }
    }

    fn send_to(&self, sender: Option<LineSender>) {
        *self.sender.write().unwrap_or_else(PoisonError::into_inner) = sender;
    }
}

thread_local! {
    /// This thread is in the sink.
    static IS_PRINTING: Cell<bool> = const { Cell::new(false) };
}

impl Printer {
    fn print(&self, line: &Line, format: LogFormat) {
        let is_for_eyes = match format {
            LogFormat::Auto => self.terminal,
            LogFormat::Human => true,
            LogFormat::Json => false,
        };
        let text = if is_for_eyes {
            line.human(self.colour)
        } else {
            line.json()
        };
        let line = LogLine {
            level: line.level,
            target: &line.target,
            plugin: line.plugin.as_deref(),
            text: &text,
        };
        // A sink that logs would come back here for ever.
        if !IS_PRINTING.replace(true) {
            // The sink is the program's own, and its fault must not end a thread that serves.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.sink)(&line)));
            IS_PRINTING.set(false);
        }
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// Prints what the file does not have: it is no place to say so.
fn tell_trouble(whole: &Weak<Shared>, trouble: Trouble) {
    let Some(whole) = whole.upgrade() else { return };
    let Some(place) = &whole.place else { return };
    place.lost.fetch_add(trouble.lost, Ordering::Relaxed);
    let mut fields = Vec::from([("lost_lines", Value::from(trouble.lost))]);
    let (level, message) = match trouble.error {
        Some(error) => {
            fields.push(("error", error.into()));
            let message = "the log cannot be written as it should; look at the disk of `log.file`, and at who may write \
                           to its directory";
            (Level::ERROR, message)
        }
        None => {
            let message = "lines of the log are lost: they come faster than they can be written; see \
                           limits.log_lines_count";
            (Level::WARN, message)
        }
    };
    let line = Line::new(level, "hotsocket::logging", message, fields);
    let format = whole.read(|config| config.format);
    place.printer.print(&line, format);
}
