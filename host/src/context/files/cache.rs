//! Small files that a service thread remembers for a moment, so that those which are asked for again and again take no
//! system call.
//!
//! What is remembered is what [`FilesRoot::lead`] found, with the content and with the fields as they leave. For
//! `limits.file_cache_ms` it is believed; then the same is looked up again, by the same way and under the same rules, and
//! only the content is not read a second time, if the file is still the one that it was read from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::fstat;

use super::answer::{parts, put_whole};
use super::conditions::Conditions;
use super::content::{COPIED_BYTES, read_all};
use super::mount::FilesRoot;
use super::request::{FileRequest, Found, Led, read_content};
use super::siblings;
use super::source::{Content, Opened};
use super::{Cold, Reach};
use crate::connection::content::{ContentBytes, FileAnswer};
use crate::limits::Limits;
use crate::wire::repeated_fields::{FURTHER_BYTES, RepeatedFields};
use crate::wire::request_head::RequestHead;

/// A file that was changed less than so many seconds ago is read anew each time that it is looked up. Two changes between
/// two ticks of the kernel leave the same time, and one through a mapping leaves none until its page has been written
/// back, which takes 35 s at most as Linux is set.
const SETTLED_S: i64 = 60;

/// What an entry takes beside content, fields and names, in bytes: itself, and its places in tables.
const ENTRY_BYTES: u64 = 640;

/// The fields that a whole file is not just sent for.
const CONDITIONS: [&str; 6] = [
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
    "Range",
];

/// The files that one service thread remembers.
#[derive(Debug, Default)]
pub(crate) struct FileCache {
    /// Which entry has a key.
    places: HashMap<Arc<[u8]>, usize>,
    entries: Vec<Entry>,
    /// What they take together.
    bytes: u64,
    /// The entry that is looked at first when room is needed.
    hand: usize,
    /// What is asked for; filled anew for each request.
    key: Vec<u8>,
    /// The last Accept-Encoding field, and what it asks for: clients of one kind have the same.
    wish: (Vec<u8>, u8),
}

/// What a request for a file gets.
#[derive(Debug)]
pub(crate) enum Given<'a> {
    /// 200 with these fields and this content.
    Whole(&'a mut RepeatedFields, &'a [u8]),
    /// Whatever it is.
    Answer(FileAnswer),
    /// That takes the disk.
    Cold(Box<FileRequest>),
}

#[derive(Debug)]
struct Entry {
    key: Arc<[u8]>,
    /// Its content is in memory.
    found: Found,
    origin: Origin,
    /// Of an answer with all of it.
    whole: RepeatedFields,
    /// When it was looked up, in milliseconds of the service thread's clock.
    looked_up: u64,
    /// It was asked for since the hand came by.
    is_used: bool,
    /// What it counts.
    bytes: u64,
}

/// Content in memory, and where it is from.
#[derive(Clone, Debug)]
struct Origin {
    content: ContentBytes,
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

impl FileCache {
    /// Answers a request for a file beneath `root` without waiting for a disk. `rest` is its path behind the mountpoint,
    /// as it came; `now` is the service thread's clock in milliseconds.
    pub(crate) fn answer(
        &mut self,
        root: &FilesRoot,
        (head, rest): (&RequestHead<'_>, &str),
        limits: &Limits,
        now: u64,
    ) -> Given<'_> {
        let is_kept = limits.file_cache_ms > 0 && root.source.is_cacheable();
        if !is_kept || !matches!(head.method, "GET" | "HEAD") {
            return direct(root, FileRequest::of(head, rest, limits));
        }
        self.note_key(root, head, rest);
        let place = self.places.get(&*self.key).copied();
        let age = |at: usize| now.saturating_sub(self.entries[at].looked_up);
        let fresh = place.filter(|at| age(*at) < limits.file_cache_ms);
        if let Some(at) = fresh {
            self.entries[at].is_used = true;
            return self.of_entry(at, root, (head, rest), limits);
        }
        let request = FileRequest::of(head, rest, limits);
        match root.lead(&request, Reach::Memory) {
            Err(Cold) => Given::Cold(Box::new(request)),
            Ok(Led::Elsewhere(answer)) => {
                self.forget(place);
                Given::Answer(answer)
            }
            Ok(Led::File(found)) => match self.keep(place, found, limits, now) {
                Ok(at) => self.of_entry(at, root, (head, rest), limits),
                Err(found) => {
                    self.forget(place);
                    let answer = root.answer_found(&request.conditions, *found, Reach::Memory);
                    given(answer, || request)
                }
            },
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes down what a request asks for: the mount, what counts of Accept-Encoding, whether a directory is meant, and
    /// the path.
    fn note_key(&mut self, root: &FilesRoot, head: &RequestHead<'_>, rest: &str) {
        let wish = if root.precompressed {
            self.wish_of(head)
        } else {
            0
        };
        // As `FileRequest::of` has it.
        let is_directory = rest.is_empty() && head.path().ends_with('/');
        self.key.clear();
        self.key.extend_from_slice(&root.number.to_ne_bytes());
        self.key.extend([wish, u8::from(is_directory)]);
        self.key.extend_from_slice(rest.as_bytes());
    }

    fn wish_of(&mut self, head: &RequestHead<'_>) -> u8 {
        let mut lines = head.fields("Accept-Encoding");
        match (lines.next(), lines.next()) {
            (None, _) => siblings::NO_WISH,
            (Some(line), None) => {
                if self.wish.0 != line {
                    self.wish = (line.to_vec(), siblings::wish(Some(line)));
                }
                self.wish.1
            }
            // Lines of a list are one list, as `Conditions::of` has it.
            (Some(_), Some(_)) => {
                let lines: Vec<&[u8]> = head.fields("Accept-Encoding").collect();
                siblings::wish(Some(&lines.join(&b", "[..])))
            }
        }
    }

    /// Answers out of an entry.
    fn of_entry(
        &mut self,
        at: usize,
        root: &FilesRoot,
        (head, rest): (&RequestHead<'_>, &str),
        limits: &Limits,
    ) -> Given<'_> {
        let entry = &mut self.entries[at];
        let size = entry.found.opened.size;
        if head.method == "GET"
            && size <= COPIED_BYTES
            && !has_conditions(head)
            && let Some(content) = entry.origin.content.get(&(0..size))
        {
            return Given::Whole(&mut entry.whole, content);
        }
        let conditions = Conditions::of(head, limits);
        let answer = root.answer_found(&conditions, entry.found.clone(), Reach::Memory);
        given(answer, || FileRequest::of(head, rest, limits))
    }

    /// Remembers a file, in place of what is at `place`. Gives it back when it is too large, or cannot be read at once,
    /// or is being written.
    fn keep(
        &mut self,
        place: Option<usize>,
        found: Found,
        limits: &Limits,
        now: u64,
    ) -> Result<usize, Box<Found>> {
        let opened = &found.opened;
        let fields = found.fields.as_bytes().len();
        let names = self.key.len() + found.name.len() + opened.tag.len();
        let bytes = ENTRY_BYTES + opened.size + (3 * fields + names + FURTHER_BYTES) as u64;
        if opened.size > limits.file_cache_entry_bytes || bytes > limits.file_cache_bytes {
            return Err(found.into());
        }
        let before = place.map(|at| &self.entries[at]);
        let Some(origin) = Origin::of(opened, before) else {
            return Err(found.into());
        };
        let mut whole = found.fields.clone();
        put_whole(&mut whole);
        let opened = Opened {
            content: Content::Bytes(origin.content.clone()),
            gzip: None,
            ..found.opened
        };
        let entry = Entry {
            key: before.map_or_else(|| Arc::from(&*self.key), |entry| Arc::clone(&entry.key)),
            found: Found { opened, ..found },
            origin,
            whole: RepeatedFields::new(whole),
            looked_up: now,
            is_used: place.is_some(),
            bytes,
        };
        let at = self.put(place, entry);
        Ok(self.make_room(at, limits.file_cache_bytes))
    }

    /// Puts an entry in place of another one, or adds it.
    fn put(&mut self, place: Option<usize>, entry: Entry) -> usize {
        self.bytes += entry.bytes;
        if let Some(at) = place {
            let before = std::mem::replace(&mut self.entries[at], entry);
            self.bytes -= before.bytes;
            return at;
        }
        let at = self.entries.len();
        self.places.insert(Arc::clone(&entry.key), at);
        self.entries.push(entry);
        at
    }

    /// Forgets entries until what is left takes no more than `most`, and gives the place that the one at `spared` has
    /// then; that one takes no more by itself. The hand goes round: who was asked for since it came by last is passed
    /// once more.
    fn make_room(&mut self, mut spared: usize, most: u64) -> usize {
        while self.bytes > most && self.entries.len() > 1 {
            let at = self.hand % self.entries.len();
            let entry = &mut self.entries[at];
            if at == spared || std::mem::take(&mut entry.is_used) {
                self.hand = at + 1;
                continue;
            }
            self.forget(Some(at));
            if spared == self.entries.len() {
                // The last one has taken the place of the one that is gone.
                spared = at;
            }
        }
        spared
    }

    /// Forgets an entry.
    fn forget(&mut self, place: Option<usize>) {
        let Some(at) = place else {
            return;
        };
        let gone = self.entries.swap_remove(at);
        self.bytes -= gone.bytes;
        self.places.remove(&gone.key);
        if let Some(moved) = self.entries.get(at) {
            self.places.insert(Arc::clone(&moved.key), at);
        }
    }
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
    /// The content of a file that was looked up: that of the entry before, if the file is the same. None when it cannot be
    /// had at once, or changes while it is read.
    fn of(opened: &Opened, before: Option<&Entry>) -> Option<Self> {
        let state = State::of(&opened.content);
        if state.is_none() && matches!(opened.content, Content::File { .. }) {
            return None;
        }
        if let Some(before) = before.filter(|before| before.has(opened, state)) {
            return Some(before.origin.clone());
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
}

impl Entry {
    /// Whether its content is that of what was looked up.
    fn has(&self, opened: &Opened, state: Option<State>) -> bool {
        let was = &self.found.opened;
        (&was.tag, was.size, was.modified) == (&opened.tag, opened.size, opened.modified)
            && self.origin.state == state
            && self.origin.is_settled
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

/// Whether a request asks for something else than all of a file, whatever state that is in.
fn has_conditions(head: &RequestHead<'_>) -> bool {
    head.names().any(|name| {
        // They are names of few letters with which few fields begin.
        matches!(name.as_bytes().first(), Some(b'I' | b'i' | b'R' | b'r'))
            && CONDITIONS.iter().any(|own| name.eq_ignore_ascii_case(own))
    })
}

/// Answers without remembering anything.
fn direct<'a>(root: &FilesRoot, request: FileRequest) -> Given<'a> {
    given(root.answer(&request, Reach::Memory), || request)
}

fn given<'a>(answer: Result<FileAnswer, Cold>, request: impl FnOnce() -> FileRequest) -> Given<'a> {
    match answer {
        Ok(answer) => Given::Answer(answer),
        Err(Cold) => Given::Cold(Box::new(request())),
    }
}
