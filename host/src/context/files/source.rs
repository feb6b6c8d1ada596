//! Where files come from: what a source of files is asked, and what it answers.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::{Cold, Reach};
use crate::connection::content::{ContentBytes, Part};

/// Where the files of a mount come from. There are [`DiskFiles`](super::DiskFiles),
/// [`EmbeddedFiles`](super::EmbeddedFiles) and zip archives; a program may have its own, see
/// [`FilesMount::of`](super::FilesMount::of).
///
/// All that is said of requests, as methods, conditions, ranges, media types, indexes and siblings that were compressed
/// beforehand, is the business of the mount and the same for every source.
pub trait FileSource: fmt::Debug + Send + Sync {
    /// Opens a name. It is the path below the mountpoint, decoded, without dot segments, empty segments and slashes at
    /// its ends; empty for the root itself. It need not be UTF-8.
    ///
    /// Any thread, several at once. With [`Reach::Memory`] that is a service thread: it must not wait, and so neither may
    /// a source that is asked like that. Who holds all in memory need not look at `reach`. After a panic the request is
    /// answered with 500.
    ///
    /// # Errors
    ///
    /// [`Cold`], with [`Reach::Memory`] only: the same is asked again with [`Reach::Disk`] by a thread that may wait.
    fn open(&self, name: &[u8], reach: Reach) -> Result<OpenedAs, Cold>;

    /// What the source is called in the log.
    fn place(&self) -> &Path;

    /// Whether what the source has said of a file may be said again for `limits.file_cache_ms` without asking it, and
    /// whether bytes that were read once stand for all that has the same tag, size and time. Not without being said: then
    /// it is asked for each request.
    fn is_cacheable(&self) -> bool {
        false
    }
}

/// A file that is open, and what it was when it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its bytes.
    pub content: Content,
    /// How many there are.
    pub size: u64,
    /// When they were changed, in seconds since 1970; none when nobody knows, and then it has no Last-Modified.
    pub modified: Option<i64>,
    /// A name for its content, which no other content of this file ever has: without quotes, in printable ASCII. It is a
    /// strong validator (RFC 9110 section 8.8.1), so parts of two contents that share it are put together.
    pub tag: String,
    /// The same bytes in the coding gzip, if the source has them so.
    pub gzip: Option<Coded>,
}

/// The bytes of a file in a content coding.
#[derive(Clone, Debug)]
pub struct Coded {
    /// The bytes.
    pub content: Content,
    /// How many there are.
    pub size: u64,
}

/// The bytes of an open file.
#[derive(Clone, Debug)]
pub enum Content {
    /// They lie in a regular file, from a byte of it on. The kernel sends them, and they may be anywhere.
    File {
        /// Open for reading.
        file: Arc<File>,
        /// The offset of the first.
        start: u64,
    },
    /// They are in memory.
    Bytes(ContentBytes),
    /// They are read as a whole when they are to be sent, and not for HEAD or 304.
    Read(Arc<dyn ReadContent>),
    /// Several contents with their sizes, one behind the other. None of them is [`Content::Read`].
    Joined(Arc<[(u64, Self)]>),
}

/// Content that is in memory only while it is sent.
pub trait ReadContent: fmt::Debug + Send + Sync {
    /// Its bytes, as many as were told of it. Any thread; what [`FileSource::open`] says of `reach` and of panics holds
    /// here too.
    ///
    /// # Errors
    ///
    /// [`Cold`], with [`Reach::Memory`] only; and within, that they cannot be read: answered with 500.
    fn read(&self, reach: Reach) -> Result<io::Result<ContentBytes>, Cold>;
}

/// What there is under a name.
#[derive(Debug)]
pub enum OpenedAs {
    /// A file.
    File(Opened),
    /// A directory.
    Directory,
    /// Nothing, nothing that leads to a place inside, or nothing that is served: a FIFO, a device, a socket. All the
    /// same from outside, so that nobody learns what stands behind a link.
    Nothing,
    /// We may not read it.
    Denied,
    /// The source could not say.
    Broken(io::Error),
}

impl Opened {
    /// What an open regular file is.
    ///
    /// The tag is made of inode, size and the time of the last change of any kind, to the nanosecond. Unlike the time of
    /// modification that one cannot be set by a program, so it moves also when a copy in place keeps the old times. It
    /// is strong as long as a file is not written twice between two ticks of the kernel (at most 10 ms) with a request
    /// between the two, to the same size. From Linux 6.13 on the second write gets a time of its own.
    #[must_use]
    pub fn of(file: File, metadata: &Metadata) -> Self {
        let (inode, size) = (metadata.ino(), metadata.len());
        let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        Self {
            tag: format!("{inode:x}-{size:x}-{seconds:x}.{nanoseconds:x}"),
            size,
            modified: Some(metadata.mtime()),
            content: Content::File {
                file: Arc::new(file),
                start: 0,
            },
            gzip: None,
        }
    }
}

impl Content {
    /// Adds what is to be sent of a range of the bytes.
    pub(crate) fn put_parts(&self, range: Range<u64>, parts: &mut Vec<Part>) {
        match self {
            Self::File { file, start } => parts.push(Part::File {
                file: Arc::clone(file),
                range: start.saturating_add(range.start)..start.saturating_add(range.end),
            }),
            Self::Bytes(bytes) => parts.push(Part::Shared {
                bytes: bytes.clone(),
                range,
            }),
            // It was not read, so it is for HEAD: only its length is asked for.
            Self::Read(_) => parts.push(Part::Shared {
                bytes: ContentBytes::of(b""),
                range,
            }),
            Self::Joined(contents) => {
                let mut offset = 0;
                for (size, content) in contents.iter() {
                    let start = range.start.clamp(offset, offset + size) - offset;
                    let end = range.end.clamp(offset, offset + size) - offset;
                    if start < end {
                        content.put_parts(start..end, parts);
                    }
                    offset += size;
                }
            }
        }
    }
}
