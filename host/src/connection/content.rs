//! An answer whose content may be a file: what the floors above hand down to be sent.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use crate::wire::fields::Fields;

/// A piece of content.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// Bytes in memory that others may be sent too. If they are fewer than the range, the connection ends early.
    Shared {
        /// The bytes.
        bytes: ContentBytes,
        /// Which of them.
        range: Range<u64>,
    },
    /// Bytes of a file, to be read when there is room for them. If it has become shorter, the connection ends early.
    File {
        /// A regular file.
        file: Arc<File>,
        /// Which bytes of it.
        range: Range<u64>,
    },
}

/// Bytes that nobody changes, and that several answers send at once. Held until the last of them has left.
#[derive(Clone)]
pub struct ContentBytes(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl ContentBytes {
    /// Bytes of the program.
    #[must_use]
    pub fn of(bytes: &'static [u8]) -> Self {
        Self(Arc::new(bytes))
    }

    /// Those in the given range, if there are so many.
    #[must_use]
    pub fn get(&self, range: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start).ok()?;
        let end = usize::try_from(range.end).ok()?;
        (*self.0).as_ref().get(start..end)
    }
}

impl<T: AsRef<[u8]> + Send + Sync + 'static> From<Arc<T>> for ContentBytes {
    fn from(bytes: Arc<T>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ContentBytes {
    /// Not what they are: there may be many.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = (*self.0).as_ref().len();
        write!(out, "ContentBytes({count} bytes)")
    }
}

/// A whole answer, but for what only the sender knows: status line, Date, Server, Connection, and Content-Length, which
/// is [`FileAnswer::content_length`].
#[derive(Clone, Debug)]
pub struct FileAnswer {
    /// The status code.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
    /// Its content, in order. The answer to a HEAD request has the content too, for its length, and is sent without.
    pub parts: Vec<Part>,
}

impl Part {
    /// In bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Shared { range, .. } | Self::File { range, .. } => {
                range.end.saturating_sub(range.start)
            }
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FileAnswer {
    /// Bytes of all parts.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }
}
