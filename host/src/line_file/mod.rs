//! A file of lines that a thread of its own writes, so that nobody else waits for a disk.
//!
//! Between the two is a queue with a bound: when it is full lines are left out and counted. `place.rs` opens the file, and
//! opens it anew when it was moved away; `writer.rs` writes.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

mod place;
mod writer;

pub use place::LineFileError;
pub(crate) use place::{Place, check};
pub(crate) use writer::Writer;

/// A file that is open. Ends with [`LineFile::finish`].
#[derive(Debug)]
pub(crate) struct LineFile {
    shared: Arc<Shared>,
    /// Told when the writer has written all. Locked, so that whoever ends it may hold it on any thread.
    written: Mutex<Receiver<()>>,
}

/// Takes lines, on any thread.
#[derive(Clone, Debug)]
pub(crate) struct LineSender(Arc<Shared>);

/// Whose lines they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    /// The key of the config that names the file.
    pub(crate) key: &'static str,
    /// The name of the thread.
    pub(crate) thread: &'static str,
}

/// What is missing in the file.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Why the file could not be written or opened anew; none when lines came faster than they could be written.
    pub(crate) error: Option<String>,
    /// How many lines it does not have that were not told of before.
    pub(crate) lost: u64,
}

/// Tells of trouble, on the thread that writes.
pub(crate) type TellTrouble = Box<dyn Fn(Trouble) + Send>;

/// What senders and writer have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: SyncSender<Order>,
    /// Lines that the file does not have, and that were not told of yet.
    pub(crate) lost: AtomicU64,
    /// The file is to be opened anew.
    pub(crate) reopen: AtomicBool,
    /// Nothing comes any more.
    pub(crate) ending: AtomicBool,
}

/// What the writer is given.
#[derive(Debug)]
pub(crate) enum Order {
    Line(Vec<u8>),
    /// Look at the flags.
    Look,
}

impl LineFile {
    /// Opens the file and starts its writer. So many lines may wait.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or the system refuses the thread.
    pub(crate) fn start(
        owner: Owner,
        file: &Path,
        lines: u64,
        tell: TellTrouble,
    ) -> Result<Self, LineFileError> {
        Self::start_at(Place::open(owner.key, Some(file))?, owner, lines, tell)
    }

    /// The same with a place that is open.
    ///
    /// # Errors
    ///
    /// When the system refuses the thread.
    pub(crate) fn start_at(
        place: Place,
        owner: Owner,
        lines: u64,
        tell: TellTrouble,
    ) -> Result<Self, LineFileError> {
        // A queue without room would take a line only while the writer waits for it.
        let room = usize::try_from(lines)
            .unwrap_or(usize::MAX)
            .clamp(1, MOST_LINES);
        let (queue, orders) = sync_channel(room);
        let shared = Arc::new(Shared {
            queue,
            lost: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        });
        let (done, written) = sync_channel(1);
        let writer = Writer::new(place, orders, Arc::clone(&shared), tell);
        thread::Builder::new()
            .name(owner.thread.to_owned())
            .spawn(move || {
                writer.run();
                // Who has stopped waiting does not want to know.
                let _ = done.try_send(());
            })
            .map_err(|cause| LineFileError::Thread {
                key: owner.key,
                cause,
            })?;
        Ok(Self {
            shared,
            written: written.into(),
        })
    }

    /// A way to write to it.
    pub(crate) fn sender(&self) -> LineSender {
        LineSender(Arc::clone(&self.shared))
    }

    /// Has the file opened anew if it was moved away, so that the moved one is let go of. The next line would notice
    /// that too.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Writes what is left, waiting for a disk as long as `patience`. What is sent afterwards is lost. Whether all was
    /// written in time.
    pub(crate) fn finish(self, patience: Duration) -> bool {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.wake();
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.recv_timeout(patience).is_ok()
    }
}

impl Drop for LineFile {
    /// Lets the writer end, without waiting for it.
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.wake();
    }
}

impl LineSender {
    /// Has one line written, or counts it as lost when the queue is full. Never waits.
    pub(crate) fn send(&self, line: Vec<u8>) {
        let is_late = self.0.ending.load(Ordering::Relaxed);
        if is_late || self.0.queue.try_send(Order::Line(line)).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were lost and not told of yet.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
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
