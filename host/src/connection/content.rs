//! What an answer consists of, behind its head.

use std::{fs::File, ops::Range, sync::Arc};

use crate::wire::fields::Fields;

/// A stretch of content whose length is known.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A stretch of a file.
    File {
        /// The file; open for reading.
        file: Arc<File>,
        /// Which bytes of it.
        range: Range<u64>,
    },
}

impl Part {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An answer out of files.
#[derive(Clone, Debug)]
pub struct FileAnswer {
    /// The status code.
    pub status: u16,
    /// All fields but those that frame the message.
    pub fields: Fields,
    /// The content, in order.
    pub parts: Vec<Part>,
}
