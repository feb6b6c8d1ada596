//! Files of a directory: from a request to an answer, without a socket.
//!
//! ```text
//! FilesMount  what was written    open    FilesRoot   the directory, open, and proof that nothing leads out of it
//! RequestHead                      of     FileRequest what of the request counts; outlives the head
//! FilesRoot + FileRequest        answer   FileAnswer  status, fields, parts; or Cold
//! ```
//!
//! A service thread asks with [`Reach::Memory`], which never waits for a disk. When the answer is [`Cold`], a thread that
//! may wait asks the same again with [`Reach::Disk`].

mod answer;
mod conditions;
mod content;
mod media_type;
mod mount;
mod open;
mod request;
mod siblings;

pub use answer::{answer_file, answer_path};
pub use conditions::{Conditions, Method};
pub use mount::{FilesError, FilesMount, FilesRoot};
pub use open::{Opened, OpenedAs};
pub use request::FileRequest;

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
