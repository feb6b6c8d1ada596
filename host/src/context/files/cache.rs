//! Small files that a service thread remembers for a moment, so that those which are asked for again and again take no
//! system call.
//!
//! What is remembered is what [`FilesRoot::lead`] found, with the content and with the fields as they leave. For
//! `limits.file_cache_ms` it is believed; then the same is looked up again, by the same way and under the same rules, and
//! only the content is not read a second time, if the file is still the one that it was read from.

use std::collections::HashMap;
use std::sync::Arc;

use super::answer::put_whole;
use super::conditions::Conditions;
use super::content::COPIED_BYTES;
use super::mount::FilesRoot;
use super::origin::Origin;
use super::request::{FileRequest, Found, Led};
use super::siblings;
use super::source::{Content, Opened};
use super::{Cold, Reach};
use crate::connection::content::FileAnswer;
use crate::limits::Limits;
use crate::wire::repeated_fields::{FURTHER_BYTES, RepeatedFields};
use crate::wire::request_head::RequestHead;

/// What an entry takes beside content, fields and names, in bytes: itself, its places in tables, and the end of its head.
const ENTRY_BYTES: u64 = 704;

/// Which entry a key had last is noted in so many places.
const HINTS: usize = 256;

/// What stands before the path in a key: the mount, what counts of Accept-Encoding, whether a directory is meant.
type KeyPrefix = [u8; 10];

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
    /// Where a key may be that has this hint. Who chooses paths can make hints meet, and then the table is asked.
    hints: Vec<u32>,
    /// What they take together.
    bytes: u64,
    /// The entry that is looked at first when room is needed.
    hand: usize,
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

/// What a request asks for.
#[derive(Clone, Copy)]
struct Key<'a> {
    prefix: KeyPrefix,
    /// Behind the mountpoint, as it came.
    path: &'a [u8],
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
        let key = self.key(root, head, rest);
        let place = self.place(key);
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
            Ok(Led::File(found)) => match self.keep((key, place), found, limits, now) {
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

    fn key<'a>(&mut self, root: &FilesRoot, head: &RequestHead<'_>, rest: &'a str) -> Key<'a> {
        let wish = match root.precompressed {
            true => self.wish_of(head),
            false => 0,
        };
        // As `FileRequest::of` has it.
        let is_directory = rest.is_empty() && head.path().ends_with('/');
        let [a, b, c, d, e, f, g, h] = root.number.to_ne_bytes();
        Key {
            prefix: [a, b, c, d, e, f, g, h, wish, u8::from(is_directory)],
            path: rest.as_bytes(),
        }
    }

    /// Which entry has a key.
    fn place(&mut self, key: Key<'_>) -> Option<usize> {
        let hint = key.hint();
        if let Some(at) = self.hints.get(hint).map(|at| *at as usize)
            && self.entries.get(at).is_some_and(|entry| key.is(&entry.key))
        {
            return Some(at);
        }
        let place = self.places.get(&*key.bytes()).copied()?;
        self.hints.resize(HINTS, 0);
        self.hints[hint] = u32::try_from(place).unwrap_or(u32::MAX);
        Some(place)
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
        (key, place): (Key<'_>, Option<usize>),
        found: Found,
        limits: &Limits,
        now: u64,
    ) -> Result<usize, Box<Found>> {
        let opened = &found.opened;
        let fields = found.fields.as_bytes().len();
        let names = key.len() + found.name.len() + opened.tag.len();
        let bytes = ENTRY_BYTES + opened.size + (3 * fields + names + FURTHER_BYTES) as u64;
        if opened.size > limits.file_cache_entry_bytes || bytes > limits.file_cache_bytes {
            return Err(found.into());
        }
        let before = place.map(|at| &self.entries[at]);
        let known = before.map(|entry| (&entry.found.opened, &entry.origin));
        let Some(origin) = Origin::of(opened, known) else {
            return Err(found.into());
        };
        let mut whole = found.fields.clone();
        put_whole(&mut whole);
        let size = opened.size;
        let opened = Opened {
            content: Content::Bytes(origin.content.clone()),
            gzip: None,
            ..found.opened
        };
        let entry = Entry {
            key: before.map_or_else(|| key.bytes().into(), |entry| Arc::clone(&entry.key)),
            found: Found { opened, ..found },
            origin,
            whole: RepeatedFields::new(whole, size),
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

impl Key<'_> {
    /// As it stands in the table.
    fn bytes(&self) -> Vec<u8> {
        [&self.prefix, self.path].concat()
    }

    fn len(&self) -> usize {
        self.prefix.len() + self.path.len()
    }

    fn is(&self, key: &[u8]) -> bool {
        let parts = key.split_first_chunk();
        parts.is_some_and(|(prefix, path)| *prefix == self.prefix && path == self.path)
    }

    /// Below [`HINTS`], the same for the same key: of its length and the end of its path, where paths differ most.
    fn hint(&self) -> usize {
        let end = self
            .path
            .last_chunk()
            .copied()
            .map_or(0, u64::from_le_bytes);
        let mixed = (end ^ self.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as usize
    }
}

/// Whether a request asks for something else than all of a file, whatever state that is in.
fn has_conditions(head: &RequestHead<'_>) -> bool {
    CONDITIONS.iter().any(|name| head.has(name))
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
