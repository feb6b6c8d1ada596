//! The access log: one line for each HTTP exchange.
//!
//! `line.rs` makes the line, on the thread that served; `writer.rs` writes it, on a thread of its own. Between the two is
//! a queue with a bound: when it is full lines are left out and counted, and nobody who serves ever waits for a disk.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

mod date;
mod line;
mod place;
mod writer;

pub use line::Entry;
pub use place::{AccessLogError, check};

use crate::limits::Limits;
use place::Place;
use writer::Writer;

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
pub struct AccessLog {
    shared: Arc<Shared>,
    /// Told when the writer has written all. Locked so that whoever conducts may hold it on any thread.
    written: Mutex<Receiver<()>>,
}

/// Takes entries, on any thread.
#[derive(Clone, Debug)]
pub struct AccessLogger(Arc<Shared>);

/// What loggers and writer have in common.
#[derive(Debug)]
struct Shared {
    queue: SyncSender<Order>,
    format: Format,
    /// How long one text of a client may become, in bytes.
    text_bytes: usize,
    /// Lines that the log does not have, and that were not told of yet.
    lost: AtomicU64,
    /// The file is to be opened anew.
    reopen: AtomicBool,
    /// Nothing comes any more.
    ending: AtomicBool,
}

/// What the writer is given.
#[derive(Debug)]
enum Order {
    Line(Vec<u8>),
    /// Look at the flags.
    Look,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or the system refuses the thread.
    pub fn start(settings: &Settings, limits: &Limits) -> Result<Self, AccessLogError> {
        Self::start_at(Place::open(settings.file.as_deref())?, settings, limits)
    }

    fn start_at(
        place: Place,
        settings: &Settings,
        limits: &Limits,
    ) -> Result<Self, AccessLogError> {
        let count = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        // A queue without room would take a line only while the writer waits for it.
        let room = count(limits.access_log_lines_count).clamp(1, MOST_LINES);
        let (queue, orders) = sync_channel(room);
        let shared = Arc::new(Shared {
            queue,
            format: settings.format,
            text_bytes: count(limits.access_log_text_bytes),
            lost: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        });
        let (done, written) = sync_channel(1);
        let writer = Writer::new(place, orders, Arc::clone(&shared));
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer.run();
                // Who has stopped waiting does not want to know.
                let _ = done.try_send(());
            })
            .map_err(AccessLogError::Thread)?;
        Ok(Self {
            shared,
            written: written.into(),
        })
    }

    /// A way to write to it.
    #[must_use]
    pub fn logger(&self) -> AccessLogger {
        AccessLogger(Arc::clone(&self.shared))
    }

    /// Has the file opened anew if it was moved away, so that the moved one is let go of. The next line would notice
    /// that too.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Writes what is left, waiting for a disk as long as `patience`. What is told afterwards is lost. Whether all was
    /// written in time.
    pub fn finish(self, patience: Duration) -> bool {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.wake();
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.recv_timeout(patience).is_ok()
    }
}

impl Drop for AccessLog {
    /// Lets the writer end, without waiting for it.
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.wake();
    }
}

impl AccessLogger {
    /// Writes one line, or counts it as lost when the queue is full. Never waits.
    pub fn tell(&self, entry: &Entry<'_>) {
        let line = line::of(entry, self.0.format, self.0.text_bytes);
        let is_late = self.0.ending.load(Ordering::Relaxed);
        if is_late || self.0.queue.try_send(Order::Line(line)).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// Has the writer look at the flags. When there is no room it is awake, and looks before it sleeps.
    fn wake(&self) {
        let _ = self.queue.try_send(Order::Look);
    }
}

/// The queue takes its memory at once, so it never has room for more lines than this.
const MOST_LINES: usize = 1 << 20;

#[cfg(test)]
mod tests;
