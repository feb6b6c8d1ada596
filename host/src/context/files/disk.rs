//! The files of a directory, as they are there when they are looked up.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use super::open::open_beneath;
use super::source::{FileSource, OpenedAs};
use super::{Cold, FilesError, Reach};

/// A directory that is open. It is found once: who puts another in its place, by a link or a new name, has to reload the
/// config.
#[derive(Debug)]
pub struct DiskFiles {
    directory: OwnedFd,
    resolve: ResolveFlags,
    path: PathBuf,
}

impl DiskFiles {
    /// Opens the directory, and proves that names are kept beneath it here. May wait for a disk.
    ///
    /// `follow_links` is that of [`FilesMount`](super::FilesMount).
    ///
    /// # Errors
    ///
    /// [`FilesError::Root`] and [`FilesError::NoOpenat2`].
    pub fn open(path: PathBuf, follow_links: bool) -> Result<Self, FilesError> {
        let resolve = resolve(follow_links);
        Ok(Self {
            directory: open_root(&path, resolve)?,
            resolve,
            path,
        })
    }
}

impl FileSource for DiskFiles {
    fn open(&self, name: &[u8], reach: Reach) -> Result<OpenedAs, Cold> {
        open_beneath(&self.directory, name, self.resolve, reach)
    }

    fn place(&self) -> &Path {
        &self.path
    }

    fn is_cacheable(&self) -> bool {
        true
    }
}

/// How names are looked up. Other filesystems that are mounted beneath the root are entered: nobody but the system's
/// administrator can put one there, and containers are put together that way.
fn resolve(follow_links: bool) -> ResolveFlags {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if follow_links {
        beneath
    } else {
        beneath | ResolveFlags::NO_SYMLINKS
    }
}

fn open_root(path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, FilesError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(path, flags, Mode::empty()).map_err(|error| FilesError::Root {
        path: path.to_owned(),
        source: error.into(),
    })?;
    match openat2(&directory, ".", flags, Mode::empty(), resolve) {
        Ok(_) => Ok(directory),
        Err(error) => Err(unproven(path, error)),
    }
}

/// EPERM is what seccomp profiles answer, which know no openat2 and forbid what they do not know.
fn unproven(path: &Path, error: Errno) -> FilesError {
    let (path, source) = (path.to_owned(), error.into());
    match error {
        Errno::NOSYS | Errno::PERM => FilesError::NoOpenat2 { path, source },
        _ => FilesError::Root { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_openat2_there_are_no_files_and_the_error_says_what_to_do() {
        for error in [Errno::NOSYS, Errno::PERM] {
            let refused = unproven(Path::new("/srv/www"), error).to_string();
            assert!(
                refused.starts_with("/srv/www: files cannot be served: the system call openat2")
            );
            assert!(refused.ends_with("allow openat2 in the seccomp profile of the container"));
        }
        let refused = unproven(Path::new("/srv/www"), Errno::ACCESS).to_string();
        assert!(
            refused.contains("cannot be opened as a directory"),
            "{refused}"
        );
    }
}
