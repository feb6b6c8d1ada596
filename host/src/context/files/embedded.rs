//! Files that are part of the program.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use sha1::{Digest, Sha1};

use super::source::{Content, FileSource, Opened, OpenedAs};
use super::tree::{Node, Tree, plain};
use super::{Cold, Reach};
use crate::connection::content::ContentBytes;

/// Files whose bytes are in the program, as `include_bytes!` puts them there. No thread ever waits for them.
///
/// ```
/// use hotsocket::{EmbeddedFiles, FilesMount, HostConfig};
///
/// let files = EmbeddedFiles::new(&[
///     ("index.html", b"<h1>hello</h1>"),
///     ("style/page.css", b"h1 { color: teal }"), // as a rule include_bytes!("page.css")
/// ])?;
/// let mut config = HostConfig::default();
/// config.default.mounts.put_files("/", FilesMount::of(files));
/// # Ok::<(), hotsocket::BadFileName>(())
/// ```
#[derive(Debug)]
pub struct EmbeddedFiles {
    tree: Tree<Embedded>,
    modified: Option<i64>,
}

#[derive(Debug)]
struct Embedded {
    bytes: ContentBytes,
    size: u64,
    tag: String,
}

/// The name of an embedded file that nobody could ever ask for, or that is there twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "embedded files: {name:?} is empty, leads upwards, or is there already; write each path below the mountpoint once, as \"style/page.css\""
)]
pub struct BadFileName {
    /// What was written.
    pub name: String,
}

impl EmbeddedFiles {
    /// Takes paths below the mountpoint with their bytes. The tag of each is a hash of them, so two programs that have
    /// the same files are told apart by no cache.
    ///
    /// # Errors
    ///
    /// [`BadFileName`].
    pub fn new(files: &[(&str, &'static [u8])]) -> Result<Self, BadFileName> {
        let mut tree = Tree::new();
        for (name, bytes) in files {
            let file = Embedded {
                bytes: ContentBytes::of(bytes),
                size: bytes.len() as u64,
                tag: tag(bytes),
            };
            let is_new = plain(name).is_some_and(|name| tree.put_file(name.as_bytes(), file));
            if !is_new {
                return Err(BadFileName {
                    name: (*name).to_owned(),
                });
            }
        }
        Ok(Self {
            tree,
            modified: None,
        })
    }

    /// With a time when they were changed, for Last-Modified; without it they have none. Sensible is the time of the last
    /// commit, and not that of the build.
    #[must_use]
    pub fn modified(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).ok();
        self.modified = since.and_then(|since| i64::try_from(since.as_secs()).ok());
        self
    }
}

impl FileSource for EmbeddedFiles {
    fn open(&self, name: &[u8], _: Reach) -> Result<OpenedAs, Cold> {
        Ok(match self.tree.get(name) {
            Some(Node::File(file)) => OpenedAs::File(Opened {
                content: Content::Bytes(file.bytes.clone()),
                size: file.size,
                modified: self.modified,
                tag: file.tag.clone(),
                gzip: None,
            }),
            Some(Node::Directory) => OpenedAs::Directory,
            None => OpenedAs::Nothing,
        })
    }

    fn place(&self) -> &Path {
        Path::new("embedded files")
    }

    fn is_cacheable(&self) -> bool {
        true
    }
}

/// Nobody but who builds the program chooses the bytes, so that they do not collide is all that is asked of the hash.
fn tag(bytes: &[u8]) -> String {
    let hash = Sha1::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
