//! The files of a zip archive, served as they lie in it.
//!
//! What is stored is sent by the kernel out of the archive. What is deflated goes as it is to who accepts gzip, with the
//! few bytes before and behind it that make it so; for others it is inflated, once for all who are sent it at that time.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use rustix::fs::{AtFlags, StatxFlags, statx};
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ExtraField, ZipArchive};

use super::source::{Coded, Content, FileSource, Opened, OpenedAs, ReadContent};
use super::tree::{Node, Tree, plain};
use super::{Cold, FilesError, Reach};
use crate::connection::content::ContentBytes;
use crate::limits::Limits;

/// Without a name, a time and a comment; the system that it comes from is not known. RFC 1952 section 2.3.
const GZIP_HEAD: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";

/// A zip archive that is open. Its directory is read once: a new archive is put in its place under its name and takes a
/// reload of the config, until which the old one is served. One that is changed in place is not served any more.
#[derive(Debug)]
pub struct ZipFiles {
    archive: Archive,
    tree: Tree<Entry>,
    /// The archive when it was opened.
    was: State,
    path: PathBuf,
}

/// What shows that an archive was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Seconds since 1970.
    changed: i64,
    nanoseconds: i64,
    /// In bytes.
    size: u64,
}

/// Why an archive cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ZipFault {
    /// It cannot be opened or read.
    #[error("{0}; name an archive that the host may read")]
    Unreadable(#[from] io::Error),
    /// It is none, or broken.
    #[error("{0}; pack it anew")]
    Broken(#[from] ZipError),
    /// Nobody could ask for it, or it would be two files.
    #[error(
        "the name {0:?} in it leads upwards, is empty, or is there twice; pack it with paths below the mountpoint"
    )]
    Name(String),
    /// Only what is stored or deflated is served.
    #[error(
        "{0:?} in it is encrypted, or neither stored nor deflated; pack it with deflate, and without a password"
    )]
    Method(String),
    /// See `limits.zip_entries_count`.
    #[error(
        "it has {0} entries, more than limits.zip_entries_count; raise the limit, or unpack it into a directory"
    )]
    Entries(usize),
    /// See `limits.zip_inflated_bytes`.
    #[error(
        "what is deflated in it takes more than limits.zip_inflated_bytes; raise the limit, or pack large files with the method `store`"
    )]
    Inflated,
}

/// An archive for reading, with a position of its own in each clone.
type Archive = ZipArchive<Cursor>;

#[derive(Clone, Debug)]
struct Cursor {
    file: Arc<File>,
    at: u64,
}

/// A file in the archive.
#[derive(Debug)]
struct Entry {
    content: Content,
    size: u64,
    modified: i64,
    tag: String,
    gzip: Option<Coded>,
}

/// What is inflated when somebody wants it so.
struct Deflated {
    archive: Archive,
    index: usize,
    size: u64,
    /// The bytes, as long as somebody is sent them.
    inflated: Mutex<Weak<Vec<u8>>>,
}

impl ZipFiles {
    /// Opens an archive, and judges all that is in it. Waits for a disk.
    ///
    /// # Errors
    ///
    /// [`FilesError::Zip`].
    pub fn open(path: PathBuf, limits: &Limits) -> Result<Self, FilesError> {
        match Self::read(&path, limits) {
            Ok((archive, tree, was)) => Ok(Self {
                archive,
                tree,
                was,
                path,
            }),
            Err(source) => Err(FilesError::Zip { path, source }),
        }
    }

    fn read(path: &Path, limits: &Limits) -> Result<(Archive, Tree<Entry>, State), ZipFault> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file").into());
        }
        let was = State {
            changed: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
            size: metadata.len(),
        };
        let cursor = Cursor {
            file: Arc::new(file),
            at: 0,
        };
        let mut archive = ZipArchive::new(cursor)?;
        if archive.len() as u64 > limits.zip_entries_count {
            return Err(ZipFault::Entries(archive.len()));
        }
        let mut tree = Tree::new();
        let mut left = limits.zip_inflated_bytes;
        for index in 0..archive.len() {
            let clone = archive.clone();
            put(
                &mut tree,
                &archive.by_index_raw(index)?,
                (clone, index),
                was,
                &mut left,
            )?;
        }
        Ok((archive, tree, was))
    }

    /// Whether the archive has not been written since; it is asked of what is in memory, not of a server of files.
    fn is_same(&self) -> io::Result<bool> {
        let file = &self.archive.clone().into_inner().file;
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let is = statx(file, "", flags, StatxFlags::MTIME | StatxFlags::SIZE)?;
        let is = State {
            changed: is.stx_mtime.tv_sec,
            nanoseconds: is.stx_mtime.tv_nsec.into(),
            size: is.stx_size,
        };
        Ok(is == self.was)
    }
}

impl FileSource for ZipFiles {
    fn open(&self, name: &[u8], _: Reach) -> Result<OpenedAs, Cold> {
        let entry = match self.tree.get(name) {
            Some(Node::File(entry)) => entry,
            Some(Node::Directory) => return Ok(OpenedAs::Directory),
            None => return Ok(OpenedAs::Nothing),
        };
        Ok(match self.is_same() {
            Ok(true) => OpenedAs::File(Opened {
                content: entry.content.clone(),
                size: entry.size,
                modified: Some(entry.modified),
                tag: entry.tag.clone(),
                gzip: entry.gzip.clone(),
            }),
            Ok(false) => OpenedAs::Broken(io::Error::other(
                "its archive was changed in place; put a new one there by renaming it, and reload",
            )),
            Err(error) => OpenedAs::Broken(error),
        })
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn is_cacheable(&self) -> bool {
        true
    }
}

/// Adds an entry to the tree.
fn put(
    tree: &mut Tree<Entry>,
    raw: &ZipFile<'_, Cursor>,
    (archive, index): (Archive, usize),
    was: State,
    left: &mut u64,
) -> Result<(), ZipFault> {
    let written = raw.name()?;
    let named = plain(&written);
    if raw.is_dir() {
        // The entry of the root itself has no name.
        tree.put_directory(named.unwrap_or_default().as_bytes());
        return Ok(());
    }
    // Links are not followed, so that nothing is there by two names.
    if raw.is_symlink() {
        return Ok(());
    }
    let refused = || ZipFault::Name(written.clone().into_owned());
    let name = named.ok_or_else(refused)?;
    let entry = entry(raw, archive, index, was)?;
    if raw.compression() != CompressionMethod::Stored {
        *left = left.checked_sub(raw.size()).ok_or(ZipFault::Inflated)?;
    }
    match tree.put_file(name.as_bytes(), entry) {
        true => Ok(()),
        false => Err(refused()),
    }
}

fn entry(
    raw: &ZipFile<'_, Cursor>,
    archive: Archive,
    index: usize,
    was: State,
) -> Result<Entry, ZipFault> {
    let (size, crc) = (raw.size(), raw.crc32());
    let written = raw.last_modified();
    let written = written.map_or(0, |time| {
        u32::from(time.datepart()) << 16 | u32::from(time.timepart())
    });
    let start = data_start(raw, archive.central_directory_start())?;
    let lies = Content::File {
        file: Arc::clone(&archive.clone().into_inner().file),
        start,
    };
    let (content, gzip) = match raw.compression() {
        _ if raw.encrypted() => return Err(ZipFault::Method(raw.name()?.into_owned())),
        CompressionMethod::Stored => (lies, None),
        CompressionMethod::Deflated => {
            let gzip = gzip(lies, raw.compressed_size(), crc, size);
            let deflated = Deflated {
                archive,
                index,
                size,
                inflated: Mutex::default(),
            };
            (Content::Read(Arc::new(deflated)), Some(gzip))
        }
        _ => return Err(ZipFault::Method(raw.name()?.into_owned())),
    };
    Ok(Entry {
        content,
        size,
        modified: utc(raw).unwrap_or(was.changed),
        tag: format!("{crc:x}-{size:x}-{written:x}"),
        gzip,
    })
}

/// Where the data of an entry begins. All of it lies before the directory of the archive.
fn data_start(raw: &ZipFile<'_, Cursor>, directory: u64) -> Result<u64, ZipError> {
    let packed = raw.compressed_size();
    let is_whole = raw.compression() != CompressionMethod::Stored || packed == raw.size();
    let start = raw.data_start().filter(|start| {
        let end = start.checked_add(packed);
        is_whole && end.is_some_and(|end| end <= directory)
    });
    start.ok_or_else(|| ZipError::InvalidArchive("it is cut off, or an entry in it".into()))
}

/// When a file was changed, if the archive says it in UTC. The time that each entry has is that of an unknown zone: in
/// its place stands that of the archive, which is no earlier.
fn utc(raw: &ZipFile<'_, Cursor>) -> Option<i64> {
    raw.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(time) => time.mod_time().map(i64::from),
        _ => None,
    })
}

/// Deflated bytes as gzip. RFC 1952 section 2.3.1: behind them the check sum and how many they are inflated.
fn gzip(deflated: Content, length: u64, crc: u32, size: u64) -> Coded {
    let end = [crc.to_le_bytes(), (size as u32).to_le_bytes()].concat();
    let pieces = [
        (
            GZIP_HEAD.len() as u64,
            Content::Bytes(ContentBytes::of(GZIP_HEAD)),
        ),
        (length, deflated),
        (end.len() as u64, Content::Bytes(Arc::new(end).into())),
    ];
    Coded {
        size: pieces.iter().map(|(size, _)| size).sum(),
        content: Content::Joined(Arc::new(pieces)),
    }
}

impl ReadContent for Deflated {
    fn read(&self, reach: Reach) -> Result<io::Result<ContentBytes>, Cold> {
        let mut inflated = match (self.inflated.try_lock(), reach) {
            (Ok(inflated), _) => inflated,
            (Err(TryLockError::WouldBlock), Reach::Memory) => return Err(Cold),
            // Somebody inflates it just now, or has panicked at it: then there are no bytes, or whole ones.
            _ => self.inflated.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if let Some(bytes) = inflated.upgrade() {
            return Ok(Ok(bytes.into()));
        }
        if reach == Reach::Memory {
            return Err(Cold);
        }
        Ok(self.inflate().map(|bytes| {
            let bytes = Arc::new(bytes);
            *inflated = Arc::downgrade(&bytes);
            bytes.into()
        }))
    }
}

impl Deflated {
    /// All of it, checked; never more than the archive has told.
    fn inflate(&self) -> io::Result<Vec<u8>> {
        let mut archive = self.archive.clone();
        let mut bytes = Vec::new();
        // One more, so that its end is seen, where the check sum is compared.
        archive
            .by_index(self.index)?
            .take(self.size + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.size {
            let error = "it is inflated to another size than its archive says; pack it anew";
            return Err(io::Error::other(error));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for Deflated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Deflated({} bytes inflated)", self.size)
    }
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
