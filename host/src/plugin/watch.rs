//! The plugin directory on disk: hints from the kernel, listings, and the content of files, for [`settle`](super::settle).
//!
//! Hints come on a thread of the notify crate, which only sets a flag and wakes. Everything else is done by whoever
//! calls [`Watch::poll`].

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::image::Image;
use super::refusal::{Refusal, Stage, Unfit};
use super::settle::{Directory, Look, POLL, Seen, Stat, Step};
use super::stamp::Stamped;

/// Between two looks when the kernel sends no hints: the directory is not there, or cannot be watched.
const POLL_WITHOUT_HINTS: Duration = Duration::from_secs(1);

/// Watches one plugin directory.
pub struct Watch {
    directory: PathBuf,
    plugin_file_bytes: u64,
    state: Directory,
    hints: Arc<Hints>,
    watcher: Option<RecommendedWatcher>,
    /// What the watcher looks at: the directory behind symbolic links, and its device and inode.
    watched: Option<(PathBuf, (u64, u64))>,
    /// The last trouble with the directory itself, so that it is told once.
    told: Option<String>,
}

#[derive(Default)]
struct Hints {
    /// Something in the directory may have changed.
    changed: AtomicBool,
    /// The directory itself was removed or moved: what is watched is gone, even if one of that name comes again.
    lost: AtomicBool,
}

impl Watch {
    /// Begins to watch `directory`, which need not exist yet. `wake` is called from another thread when there is a hint:
    /// [`Watch::next_look`] has to be asked anew then.
    pub fn new(
        directory: PathBuf,
        plugin_file_bytes: u64,
        wake: impl Fn() + Send + 'static,
    ) -> Self {
        let hints = Arc::new(Hints::default());
        let mut watch = Self {
            watcher: watcher(&directory, Arc::clone(&hints), wake),
            directory,
            plugin_file_bytes,
            state: Directory::new(Instant::now()),
            hints,
            watched: None,
            told: None,
        };
        watch.watch_again();
        watch
    }

    /// The directory that is watched.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A changed `limits.plugin_file_bytes` holds for the next file.
    pub fn set_plugin_file_bytes(&mut self, limit: u64) {
        self.plugin_file_bytes = limit;
    }

    /// When [`Watch::poll`] has something to do, unless a hint comes before.
    pub fn next_look(&mut self, now: Instant) -> Instant {
        self.take_hints(now);
        self.state.next_look()
    }

    /// Whether some file needs only its second look. Until it has had it the first scan is not over.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.state.is_settling()
    }

    /// Whether somebody seems to be writing a file just now, which may be whole in a moment.
    #[must_use]
    pub fn is_awaiting(&self) -> bool {
        self.state.is_awaiting()
    }

    /// A file was another one when it was loaded than when it settled.
    pub fn unsettle(&mut self, file: &Path, now: Instant) {
        self.state.unsettle(file, now);
    }

    /// Looks at the directory if it is time to.
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        if self.next_look(now) > now {
            return None;
        }
        self.watch_again();
        let hears = self.watched.is_some();
        self.state
            .poll_every(if hears { POLL } else { POLL_WITHOUT_HINTS });
        match list(&self.directory) {
            Ok(listing) => {
                let limit = self.plugin_file_bytes;
                let look = &mut |file: &Path| look(file, limit);
                Some(self.state.observe(now, &listing, look))
            }
            Err(error) => {
                self.tell(format!("the directory cannot be listed: {error}"));
                self.state.observe_nothing(now);
                None
            }
        }
    }

    fn take_hints(&mut self, now: Instant) {
        if self.hints.changed.swap(false, Ordering::AcqRel) {
            self.state.hint(now);
        }
    }

    /// Watches the directory if it is another one than before, or there again.
    fn watch_again(&mut self) {
        if self.hints.lost.swap(false, Ordering::AcqRel) {
            self.unwatch();
        }
        let Some(found) = resolve(&self.directory) else {
            self.unwatch();
            return;
        };
        if self.watched.as_ref() == Some(&found) {
            return;
        }
        self.unwatch();
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        match watcher.watch(&found.0, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched = Some(found);
                self.told = None;
            }
            Err(error) => self.tell(format!(
                "the directory cannot be watched, so changes are seen a second later: {error}"
            )),
        }
    }

    fn unwatch(&mut self) {
        if let (Some((path, _)), Some(watcher)) = (self.watched.take(), &mut self.watcher) {
            // It fails when the directory is gone, and then there is nothing to undo.
            let _ = watcher.unwatch(&path);
        }
    }

    fn tell(&mut self, cause: String) {
        if self.told.as_ref() == Some(&cause) {
            return;
        }
        tracing::warn!(
            target: "hotsocket::plugin",
            file = %self.directory.display(),
            cause,
            "trouble with the plugin directory"
        );
        self.told = Some(cause);
    }
}

fn watcher(
    directory: &Path,
    hints: Arc<Hints>,
    wake: impl Fn() + Send + 'static,
) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<Event>| {
        if event.as_ref().is_ok_and(is_a_read) {
            return;
        }
        if event.is_ok_and(|event| may_be_the_directory(&event)) {
            hints.lost.store(true, Ordering::Release);
        }
        if !hints.changed.swap(true, Ordering::AcqRel) {
            wake();
        }
    };
    notify::recommended_watcher(on_event)
        .inspect_err(|error| {
            tracing::warn!(
                target: "hotsocket::plugin",
                file = %directory.display(),
                cause = %error,
                "plugin directory cannot be watched, so changes are seen a second later"
            );
        })
        .ok()
}

/// Our own looks open files too.
fn is_a_read(event: &Event) -> bool {
    let closed_by_writer = EventKind::Access(AccessKind::Close(AccessMode::Write));
    event.kind.is_access() && event.kind != closed_by_writer && !event.need_rescan()
}

/// Whether something was removed or moved that is no plugin file, and so perhaps the directory itself.
fn may_be_the_directory(event: &Event) -> bool {
    let is_gone = matches!(
        event.kind,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
    );
    is_gone && event.paths.iter().any(|path| !is_plugin_name(path))
}

/// The directory behind symbolic links, and its device and inode.
fn resolve(directory: &Path) -> Option<(PathBuf, (u64, u64))> {
    let path = fs::canonicalize(directory).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    metadata
        .is_dir()
        .then(|| (path, (metadata.dev(), metadata.ino())))
}

/// The plugin files of a directory. One that does not exist has none.
fn list(directory: &Path) -> io::Result<Vec<Seen>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    let parent = fs::metadata(directory)?;
    let mut listing = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if !is_plugin_name(&file) {
            continue;
        }
        // A symbolic link that leads nowhere is as good as no file.
        if let Some(metadata) = fs::metadata(&file).ok().filter(Metadata::is_file) {
            listing.push(seen(file, &metadata, &parent, now));
        }
    }
    listing.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(listing)
}

fn is_plugin_name(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().as_bytes();
    name.ends_with(b".so") && !name.starts_with(b".")
}

fn seen(file: PathBuf, metadata: &Metadata, parent: &Metadata, now: SystemTime) -> Seen {
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let changed = UNIX_EPOCH
        + Duration::new(
            metadata.ctime().try_into().unwrap_or(0),
            metadata.ctime_nsec().try_into().unwrap_or(0),
        );
    Seen {
        file,
        stat: Stat {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            directory: (parent.uid(), parent.mode()),
        },
        untouched_for: now.duration_since(changed).unwrap_or_default(),
    }
}

fn look(file: &Path, plugin_file_bytes: u64) -> Look {
    let image = match Image::read(file, plugin_file_bytes) {
        Ok(image) => image,
        Err(refusal) => return Look::Unreadable(refusal),
    };
    if image.being_written {
        return Look::Unfinished(being_written(file));
    }
    match Stamped::parse(&image.bytes) {
        Err(Unfit::Incomplete(fault)) => Look::Unfinished(fault.of(file)),
        Ok(_) | Err(Unfit::Wrong(_)) => Look::Whole(image.hash),
    }
}

/// The refusal of a file that somebody has open for writing.
pub(crate) fn being_written(file: &Path) -> Refusal {
    Refusal::new(
        file,
        Stage::Settle,
        "another program has the file open for writing",
        "let it finish; the file is taken as soon as it is closed",
    )
}

#[cfg(test)]
mod tests;
