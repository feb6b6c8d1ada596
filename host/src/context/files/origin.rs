//! Content in memory, and how it is known that the file which it was read from is still the same.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::fstat;

use super::Reach;
use super::answer::parts;
use super::content::read_all;
use super::request::read_content;
use super::source::{Content, Opened};
use crate::connection::content::ContentBytes;

/// A file that was changed less than so many seconds ago is read anew each time that it is looked up. Two changes between
/// two ticks of the kernel leave the same time, and one through a mapping leaves none until its page has been written
/// back, which takes 35 s at most as Linux is set.
const SETTLED_S: i64 = 60;

/// Content in memory, and where it is from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) content: ContentBytes,
    /// The file that it was read from; none when its source has it by other ways.
    state: Option<State>,
    /// Whoever changed the file after it was read has changed its state too.
    is_settled: bool,
}

/// What shows that a file is still the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds since 1970, and nanoseconds, as the next.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    /// Of an open file; none when the system does not say.
    fn of(content: &Content) -> Option<Self> {
        let Content::File { file, .. } = content else {
            return None;
        };
        let stat = fstat(file).ok()?;
        Some(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).ok()?,
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).ok()?),
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).ok()?),
        })
    }

    /// Whether any change from now on will change it.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        now.saturating_sub(self.changed.0) >= SETTLED_S
    }
}

impl Origin {
    /// The content of a file that was looked up: that of the one before, if the file is the same. None when it cannot be
    /// had at once, or changes while it is read.
    pub(super) fn of(opened: &Opened, before: Option<(&Opened, &Self)>) -> Option<Self> {
        let state = State::of(&opened.content);
        if state.is_none() && matches!(opened.content, Content::File { .. }) {
            return None;
        }
        if let Some((was, origin)) = before
            && origin.is_still(was, opened, state)
        {
            return Some(origin.clone());
        }
        let is_settled = state.is_none_or(|state| state.is_settled());
        let content = read(opened)?;
        let is_still = State::of(&opened.content) == state;
        is_still.then_some(Self {
            content,
            state,
            is_settled,
        })
    }

    /// Whether this is the content of what was looked up again; it was that of `was`.
    fn is_still(&self, was: &Opened, opened: &Opened, state: Option<State>) -> bool {
        (&was.tag, was.size, was.modified) == (&opened.tag, opened.size, opened.modified)
            && self.state == state
            && self.is_settled
    }
}

fn read(opened: &Opened) -> Option<ContentBytes> {
    match &opened.content {
        Content::Bytes(bytes) => Some(bytes.clone()),
        content @ Content::Read(_) => match read_content(content, Reach::Memory) {
            Ok(Some(Ok(bytes))) => Some(bytes),
            _ => None,
        },
        Content::File { .. } | Content::Joined(_) => {
            let length = usize::try_from(opened.size).ok()?;
            let parts = parts(opened, 0..opened.size);
            let bytes = read_all(&parts, length, Reach::Memory).ok()?;
            Some(ContentBytes::from(Arc::new(bytes)))
        }
    }
}
