//! An answer whose content may be a file: what the floors above hand down to be sent.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use crate::wire::fields::Fields;

/// A piece of content.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// Bytes of a file, to be read when there is room for them. If it has become shorter, the connection ends early.
    File {
        /// A regular file.
        file: Arc<File>,
        /// Which bytes of it.
        range: Range<u64>,
    },
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
            Self::File { range, .. } => range.end.saturating_sub(range.start),
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
