//! A plugin file as it was at one moment: its bytes, their hash, and who may write to it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::hash::Hash;
use super::refusal::{Refusal, Stage};

/// `F_SETSIG` of Linux, which the libc crate does not name.
const F_SETSIG: libc::c_int = 10;

/// A file that was read. Bytes and metadata come from one descriptor, so they belong together.
#[derive(Debug)]
pub struct Image {
    /// The file, as it is named in the plugin directory.
    pub file: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// The hash of the content.
    pub hash: Hash,
    /// Owner and mode of what was read, behind symbolic links.
    pub metadata: Metadata,
    /// Whether somebody has it open for writing, where that can be found out.
    pub being_written: bool,
}

impl Image {
    /// Reads `file`, behind symbolic links, if it has at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// At [`Stage::Read`].
    pub fn read(file: &Path, limit: u64) -> Result<Self, Refusal> {
        let failed = |error: io::Error| {
            Refusal::new(
                file,
                Stage::Read,
                format!("the file cannot be read: {error}"),
                "make it a regular file that the host may read",
            )
        };
        let too_large = |size: u64| {
            Refusal::new(
                file,
                Stage::Read,
                format!(
                    "the file has {size} bytes or more, limits.plugin_file_bytes allows {limit}"
                ),
                "strip the plugin, or raise limits.plugin_file_bytes",
            )
        };

        let handle = open(file).map_err(failed)?;
        let metadata = handle.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        if metadata.len() > limit {
            return Err(too_large(metadata.len()));
        }
        let mut bytes = Vec::new();
        (&handle)
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > limit {
            return Err(too_large(bytes.len() as u64));
        }
        Ok(Self {
            file: file.to_owned(),
            hash: Hash::of(&bytes),
            bytes,
            metadata,
            being_written: is_being_written(&handle),
        })
    }
}

/// A FIFO that is named like a plugin must not stop the loader, hence O_NONBLOCK.
fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)
}

/// Whether somebody has the file open for writing: then the kernel grants no read lease. It grants none either
/// to one who does not own the file, or on some file systems; the answer is *no* there, and the comparison of two
/// hashes has to do.
fn is_being_written(file: &File) -> bool {
    let lease = |command: libc::c_int, argument: libc::c_int| {
        // SAFETY: the descriptor is open for as long as `file` lives; these commands take an integer.
        unsafe { libc::fcntl(file.as_raw_fd(), command, argument) }
    };
    // A writer who comes while we hold the lease makes the kernel send a signal: SIGIO, which would end the
    // process, unless another one is named; SIGURG is ignored by default.
    if lease(F_SETSIG, libc::SIGURG) == -1 {
        return false;
    }
    if lease(libc::F_SETLEASE, libc::F_RDLCK) == -1 {
        return io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
    }
    lease(libc::F_SETLEASE, libc::F_UNLCK);
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_with_its_hash() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.so");
        fs::write(&file, "abc").unwrap();
        let image = Image::read(&file, 3).unwrap();
        assert_eq!(image.bytes, b"abc");
        assert_eq!(
            image.hash.to_string(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(image.hash.short(), "a9993e36");
    }

    #[test]
    fn a_file_that_is_open_for_writing_is_known_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.so");
        let writer = File::create(&file).unwrap();
        assert!(Image::read(&file, 100).unwrap().being_written);
        drop(writer);
        assert!(!Image::read(&file, 100).unwrap().being_written);
    }

    #[test]
    fn what_is_too_large_absent_or_no_file_is_refused_at_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.so");
        fs::write(&file, "abc").unwrap();
        let large = Image::read(&file, 2).unwrap_err();
        assert_eq!(large.stage, Stage::Read);
        assert!(large.cause.contains("plugin_file_bytes"));
        assert_eq!(
            Image::read(directory.path(), 100).unwrap_err().stage,
            Stage::Read
        );
        assert_eq!(
            Image::read(&directory.path().join("b.so"), 100)
                .unwrap_err()
                .stage,
            Stage::Read
        );
    }
}
