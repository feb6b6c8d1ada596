//! Private copies of plugin files: what is opened is never the file that was dropped.
//!
//! The loader of the C library knows an open library by its path, and a library whose file changes under it is
//! undone; so each opening has a file of its own, in a directory of our own, under a name that is never used again.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock, statvfs};
use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};

use super::hash::Hash;
use super::refusal::{Fault, Refusal, Stage};

const PREFIX: &str = "hotsocket-";

/// The directory of the copies. It is removed when the host ends; what is mapped from it stays mapped.
#[derive(Debug)]
pub struct Staging {
    base: PathBuf,
    directory: PathBuf,
    /// Locked while we live: the sign for other hosts, and for cleaners of temporary directories, to leave it.
    _lock: File,
}

impl Staging {
    /// Makes the directory under `$XDG_RUNTIME_DIR` or the temporary directory, whichever lets code be mapped, and
    /// removes what hosts that are gone have left there.
    ///
    /// # Errors
    ///
    /// At [`Stage::Copy`], naming the last directory that was tried.
    pub fn create() -> Result<Self, Refusal> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let mut tried = None;
        for base in runtime.into_iter().chain([std::env::temp_dir()]) {
            match Self::create_in(&base) {
                Ok(staging) => return Ok(staging),
                Err(error) => tried = Some((base, error)),
            }
        }
        let (base, error) = tried.unwrap_or_else(|| {
            (
                PathBuf::from("/tmp"),
                io::Error::from(io::ErrorKind::NotFound),
            )
        });
        Err(Refusal::new(
            &base,
            Stage::Copy,
            format!("no private directory for copies of plugins can be made: {error}"),
            "set TMPDIR to a directory that we may write to and that is not mounted noexec",
        ))
    }

    /// The same under `base`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, or nothing in it could be mapped as code.
    pub fn create_in(base: &Path) -> io::Result<Self> {
        if statvfs(base)?.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Err(io::Error::other("it is mounted noexec"));
        }
        remove_leftovers(base);
        let name = format!(
            "{PREFIX}{}-{:016x}",
            std::process::id(),
            RandomState::new().hash_one(0)
        );
        let directory = fs::canonicalize(base)?.join(name);
        DirBuilder::new().mode(0o700).create(&directory)?;
        let lock = File::open(&directory)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            base: base.to_owned(),
            directory,
            _lock: lock,
        })
    }

    /// Where the copies lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a copy whose name says which plugin and generation it is, for debuggers and profilers.
    ///
    /// # Errors
    ///
    /// At [`Stage::Copy`]; nothing is left behind.
    pub fn copy(
        &mut self,
        plugin: &str,
        generation: u64,
        hash: Hash,
        bytes: &[u8],
    ) -> Result<PathBuf, Fault> {
        if !self.directory.exists() {
            // Somebody cleaned up. What is mapped lives on; the next copies need a new place.
            *self = Self::create_in(&self.base).map_err(|error| self.fault(&error))?;
        }
        let name = format!("{plugin}-{generation}-{}.so", hash.short());
        let path = self.directory.join(name);
        write_new(&path, bytes).map_err(|error| {
            if error.kind() != io::ErrorKind::AlreadyExists {
                discard(&path);
            }
            self.fault(&error)
        })?;
        Ok(path)
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let directory = self.directory.display();
        let mend = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                format!("free some space there ({directory}), or set TMPDIR to a larger place")
            }
            _ => format!("let the host write to {directory}, or set TMPDIR"),
        };
        Fault::new(
            Stage::Copy,
            format!("the private copy in {directory} cannot be written: {error}"),
            mend,
        )
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Removes a copy that was not opened, or could not be.
pub(crate) fn discard(copy: &Path) {
    let _ = fs::remove_file(copy);
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o500)
        .open(path)?
        .write_all(bytes)
}

/// Removes the directories of hosts that ended without doing so. Two signs must agree, since a process of another
/// namespace has a number that says nothing here, and a lock comes a moment after its directory.
fn remove_leftovers(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry
            .metadata()
            .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(owner_of) else {
            continue;
        };
        if is_ours && is_gone(pid) && is_unlocked(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn owner_of(name: &str) -> Option<Pid> {
    let (pid, random) = name.strip_prefix(PREFIX)?.split_once('-')?;
    if random.len() != 16 || !random.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Pid::from_raw(pid.parse().ok().filter(|&pid| pid > 0)?)
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid) == Err(Errno::SRCH)
}

fn is_unlocked(directory: &Path) -> bool {
    File::open(directory)
        .is_ok_and(|file| flock(file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_private_and_its_name_is_never_used_again() {
        let base = tempfile::tempdir().unwrap();
        let mut staging = Staging::create_in(base.path()).unwrap();
        let hash = Hash::of(b"code");
        let copy = staging.copy("echo", 3, hash, b"code").unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"code");
        assert!(copy.ends_with(format!("echo-3-{}.so", hash.short())));
        assert_eq!(
            fs::metadata(staging.directory()).unwrap().mode() & 0o777,
            0o700
        );

        let fault = staging.copy("echo", 3, hash, b"other").unwrap_err();
        assert_eq!(fault.stage, Stage::Copy);
        assert_eq!(fs::read(&copy).unwrap(), b"code");
    }

    #[test]
    fn the_directory_goes_with_its_host_and_comes_back_when_it_was_cleaned_away() {
        let base = tempfile::tempdir().unwrap();
        let mut staging = Staging::create_in(base.path()).unwrap();
        fs::remove_dir_all(staging.directory()).unwrap();
        let copy = staging.copy("echo", 1, Hash::of(b""), b"").unwrap();
        assert!(copy.exists());
        drop(staging);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn leftovers_of_dead_hosts_are_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join("hotsocket-2147483647-0123456789abcdef");
        let locked = base.path().join("hotsocket-2147483646-0123456789abcdef");
        let other = base.path().join("hotsocket-2147483647-notes");
        for directory in [&dead, &locked, &other] {
            fs::create_dir(directory).unwrap();
        }
        let lock = File::open(&locked).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        let living = Staging::create_in(base.path()).unwrap();
        let second = Staging::create_in(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(locked.exists() && other.exists());
        assert!(living.directory().exists() && second.directory().exists());
    }
}
