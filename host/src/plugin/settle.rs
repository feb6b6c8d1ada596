//! When is a file in the plugin directory ready to be read? Without I/O: it is told the time and what the
//! directory looks like, and asks for the content of a file when it needs it.
//!
//! ```text
//!  changed ──look──► looked at once ──same hash 200 ms later──► settled: a candidate
//!     ▲                    │
//!     └──── other stat ────┴── cut short, or open for writing: again in 500 ms, told after 5 s
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::hash::Hash;
use super::refusal::Refusal;

/// After the last hint the directory has to be quiet for so long before it is looked at.
const QUIET: Duration = Duration::from_millis(100);
/// After the first hint it is looked at all the same.
const LONGEST_QUIET: Duration = Duration::from_secs(2);
/// Between the two looks that must find the same content.
const SECOND_LOOK: Duration = Duration::from_millis(200);
/// A file that has not been touched for so long needs no second look.
const UNTOUCHED: Duration = Duration::from_secs(2);
/// Between two looks at a file that is still being written.
const RETRY: Duration = Duration::from_millis(500);
/// A file that is not finished is told about when it has not changed for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A file is removed when it has been absent for so long: `install` and `cargo` remove before they create.
const ABSENCE: Duration = Duration::from_secs(2);
/// Between two looks at a directory of which no hints come.
pub(crate) const POLL: Duration = Duration::from_secs(10);

/// What tells without reading a file that it is another one, or was written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Device and inode.
    pub inode: (u64, u64),
    /// Size in bytes.
    pub size: u64,
    /// When the content changed, in nanoseconds.
    pub modified: i128,
    /// When the inode changed, in nanoseconds: also by a new owner or mode, and not to be set back.
    pub changed: i128,
    /// Owner and mode of the directory: whether a file is trusted depends on it.
    pub directory: (u32, u32),
}

/// A file as the listing of the directory shows it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The file, as it is named in the directory.
    pub file: PathBuf,
    /// What is behind symbolic links.
    pub stat: Stat,
    /// How long ago it changed.
    pub untouched_for: Duration,
}

/// A file as one look at its content shows it.
#[derive(Clone, Debug)]
pub enum Look {
    /// It has an end, whatever it is.
    Whole(Hash),
    /// It is cut short, or somebody has it open for writing.
    Unfinished(Refusal),
    /// It cannot be read.
    Unreadable(Refusal),
}

/// A file that nobody writes to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The file, as it is named in the directory.
    pub file: PathBuf,
    /// The hash of its content.
    pub hash: Hash,
    /// When it was found to have settled.
    pub settled: Instant,
}

/// What one look at the directory brought, each list in the order of the file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Files that settled.
    pub changed: Vec<Candidate>,
    /// Files that are gone.
    pub removed: Vec<PathBuf>,
    /// Files that are not there, which may be for a moment only.
    pub absent: Vec<PathBuf>,
    /// Files that do not get finished, or cannot be read.
    pub refused: Vec<Refusal>,
}

/// What is known of the plugin directory.
#[derive(Debug)]
pub struct Directory {
    files: BTreeMap<PathBuf, File>,
    poll: Duration,
    poll_at: Instant,
    first_hint: Option<Instant>,
    quiet_at: Option<Instant>,
}

#[derive(Debug)]
struct File {
    stat: Stat,
    /// When `stat` was last found to be another one.
    progress: Instant,
    /// The refusal that was told, so that it is not told again.
    told: Option<Refusal>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// To be looked at.
    Changed { look_at: Instant },
    /// Looked at once.
    Once { hash: Hash, look_at: Instant },
    /// Nothing to do until it changes.
    Settled,
    /// Not in the directory.
    Absent { since: Instant },
}

impl Directory {
    /// Knows nothing yet; wants to look at once.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            files: BTreeMap::new(),
            poll: POLL,
            poll_at: now,
            first_hint: None,
            quiet_at: None,
        }
    }

    /// Something may have changed. While hints keep coming the look is put off.
    pub fn hint(&mut self, now: Instant) {
        let first = *self.first_hint.get_or_insert(now);
        self.quiet_at = Some((now + QUIET).min(first + LONGEST_QUIET));
    }

    /// How often to look when no hints come.
    pub fn poll_every(&mut self, poll: Duration) {
        self.poll = poll;
    }

    /// When the directory is to be looked at next.
    #[must_use]
    pub fn next_look(&self) -> Instant {
        let files = self.files.values().filter_map(File::look_at);
        files
            .chain(self.quiet_at)
            .fold(self.poll_at, |first, at| first.min(at))
    }

    /// Whether a file needs only its second look to settle, so that waiting for it is no waste.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        self.files
            .values()
            .any(|file| matches!(file.phase, Phase::Once { .. }))
    }

    /// Whether somebody seems to be writing a file just now, and nobody was told of it: it may be whole in a moment.
    #[must_use]
    pub fn is_awaiting(&self) -> bool {
        self.files
            .values()
            .any(|file| file.told.is_none() && matches!(file.phase, Phase::Changed { .. }))
    }

    /// The content turned out to be another one when the file was loaded: it has not settled after all.
    pub fn unsettle(&mut self, file: &Path, now: Instant) {
        if let Some(file) = self.files.get_mut(file) {
            let look_at = now + SECOND_LOOK;
            file.phase = Phase::Changed { look_at };
        }
    }

    /// The directory could not be listed: nothing is known to have changed.
    pub fn observe_nothing(&mut self, now: Instant) {
        self.poll_at = now + self.poll;
        self.first_hint = None;
        self.quiet_at = None;
    }

    /// Takes a listing of the directory, and `look`s into the files that need it.
    pub fn observe(
        &mut self,
        now: Instant,
        listing: &[Seen],
        look: &mut dyn FnMut(&Path) -> Look,
    ) -> Step {
        self.poll_at = now + self.poll;
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.first_hint = None;
            self.quiet_at = None;
        }
        let mut step = Step::default();
        for seen in listing {
            let file = self
                .files
                .entry(seen.file.clone())
                .or_insert_with(|| File::new(seen.stat, now));
            file.compare(seen.stat, now);
            if file.look_at().is_some_and(|at| at <= now) {
                file.look(seen, now, look(&seen.file), &mut step);
            }
        }
        self.miss(now, listing, &mut step);
        step
    }

    fn miss(&mut self, now: Instant, listing: &[Seen], step: &mut Step) {
        self.files.retain(|path, file| {
            if listing.iter().any(|seen| seen.file == *path) {
                return true;
            }
            let since = match file.phase {
                Phase::Absent { since } => since,
                _ => now,
            };
            file.phase = Phase::Absent { since };
            let stays = now < since + ABSENCE;
            if stays {
                step.absent.push(path.clone());
            } else {
                step.removed.push(path.clone());
            }
            stays
        });
    }
}

impl File {
    fn new(stat: Stat, now: Instant) -> Self {
        Self {
            stat,
            progress: now,
            told: None,
            phase: Phase::Changed { look_at: now },
        }
    }

    /// When it is to be looked at, or when its absence becomes a removal.
    fn look_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Changed { look_at } | Phase::Once { look_at, .. } => Some(look_at),
            Phase::Absent { since } => Some(since + ABSENCE),
            Phase::Settled => None,
        }
    }

    fn compare(&mut self, stat: Stat, now: Instant) {
        if self.stat != stat || matches!(self.phase, Phase::Absent { .. }) {
            *self = Self {
                told: self.told.take(),
                ..Self::new(stat, now)
            };
        }
    }

    fn look(&mut self, seen: &Seen, now: Instant, look: Look, step: &mut Step) {
        match look {
            Look::Whole(hash) => {
                let is_same =
                    matches!(self.phase, Phase::Once { hash: first, .. } if first == hash);
                if is_same || seen.untouched_for >= UNTOUCHED {
                    self.phase = Phase::Settled;
                    self.told = None;
                    step.changed.push(Candidate {
                        file: seen.file.clone(),
                        hash,
                        settled: now,
                    });
                } else {
                    let look_at = now + SECOND_LOOK;
                    self.phase = Phase::Once { hash, look_at };
                }
            }
            Look::Unfinished(refusal) => {
                let tell_at = self.progress + PATIENCE;
                let look_at = if now < tell_at {
                    (now + RETRY).min(tell_at)
                } else {
                    self.tell(refusal, step);
                    now + POLL
                };
                self.phase = Phase::Changed { look_at };
            }
            Look::Unreadable(refusal) => {
                self.tell(refusal, step);
                let look_at = now + POLL;
                self.phase = Phase::Changed { look_at };
            }
        }
    }

    fn tell(&mut self, refusal: Refusal, step: &mut Step) {
        if self.told.as_ref() != Some(&refusal) {
            self.told = Some(refusal.clone());
            step.refused.push(refusal);
        }
    }
}

#[cfg(test)]
mod tests;
