//! Files of a mount: from a request to an answer, without a socket.
//!
//! ```text
//! FilesMount  what was written    open    FilesRoot   its FileSource: a directory, an archive, bytes of the program
//! RequestHead                      of     FileRequest what of the request counts; outlives the head
//! FilesRoot + FileRequest        answer   FileAnswer  status, fields, parts; or Cold
//! ```
//!
//! A service thread asks its `FileCache` first, which remembers small files for a moment. For others it asks with [`Reach::Memory`], which never waits for a disk. When the answer is [`Cold`], a thread that
//! may wait asks the same again with [`Reach::Disk`].

mod answer;
mod cache;
mod conditions;
mod content;
mod disk;
mod embedded;
mod media_type;
mod mount;
mod open;
mod origin;
mod request;
mod siblings;
mod source;
mod tree;
#[cfg(feature = "zip")]
mod zip;

pub use answer::{answer_file, answer_path};
pub(crate) use cache::{FileCache, Given};
pub use conditions::{Conditions, Method};
pub use disk::DiskFiles;
pub use embedded::{BadFileName, EmbeddedFiles};
pub use mount::{FilesError, FilesFrom, FilesMount, FilesRoot};
pub use request::FileRequest;
pub use source::{Coded, Content, FileSource, Opened, OpenedAs, ReadContent};
#[cfg(feature = "zip")]
pub use zip::{ZipFault, ZipFiles};

/// How far an answer may go for what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What the kernel has at hand. For service threads.
    Memory,
    /// Wherever it is; may wait for a disk. For threads that serve nobody meanwhile.
    Disk,
}

/// The answer takes the disk: ask with [`Reach::Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cold;

#[cfg(test)]
mod tests;
