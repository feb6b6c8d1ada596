//! Opening files: never out of the place, never one that could block, never waiting for a disk unasked.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::source::{Opened, OpenedAs};
use super::{Cold, Reach};

/// A lookup whose directories are moved meanwhile is begun again so often.
const ATTEMPTS: usize = 8;

/// `O_NONBLOCK`: a FIFO without a writer would hold up its opener for ever. `O_NOCTTY`: a terminal would become ours.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// Opens a name beneath a directory.
pub(crate) fn open_beneath(
    root: &OwnedFd,
    name: &[u8],
    resolve: ResolveFlags,
    reach: Reach,
) -> Result<OpenedAs, Cold> {
    let name = if name.is_empty() { b"." } else { name };
    look_up(root, name, resolve, reach)
}

/// Opens a path that somebody we trust has named: links and all, but nothing below `/proc/PID/fd`.
pub(crate) fn open_path(path: &Path, reach: Reach) -> Result<OpenedAs, Cold> {
    use std::os::unix::ffi::OsStrExt as _;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    look_up(CWD, path.as_os_str().as_bytes(), resolve, reach)
}

fn look_up(
    root: impl AsFd,
    name: &[u8],
    resolve: ResolveFlags,
    reach: Reach,
) -> Result<OpenedAs, Cold> {
    let is_here = reach == Reach::Memory;
    let resolve = if is_here {
        resolve | ResolveFlags::CACHED
    } else {
        resolve
    };
    let mut attempts = if is_here { 1 } else { ATTEMPTS };
    loop {
        attempts -= 1;
        match openat2(&root, name, FLAGS, Mode::empty(), resolve) {
            Ok(file) => return Ok(judge(file)),
            // A kernel before 5.12 knows no CACHED (EINVAL); with it we can only tell by trying.
            Err(Errno::AGAIN | Errno::INVAL) if is_here => return Err(Cold),
            Err(Errno::AGAIN | Errno::INTR) if attempts > 0 => {}
            Err(error) => return Ok(missing(error)),
        }
    }
}

fn judge(file: OwnedFd) -> OpenedAs {
    let file = File::from(file);
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => OpenedAs::File(Opened::of(file, &metadata)),
        Ok(metadata) if metadata.is_dir() => OpenedAs::Directory,
        Ok(_) => OpenedAs::Nothing,
        Err(error) => OpenedAs::Broken(error),
    }
}

fn missing(error: Errno) -> OpenedAs {
    match error {
        Errno::ACCESS | Errno::PERM => OpenedAs::Denied,
        // No such name; a name that the filesystem cannot have; a link (LOOP) or one that leads out (XDEV); a socket
        // (NXIO) or a device of nobody (NODEV).
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::ILSEQ
        | Errno::LOOP
        | Errno::XDEV
        | Errno::NXIO
        | Errno::NODEV => OpenedAs::Nothing,
        error => OpenedAs::Broken(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told_apart_only_as_far_as_a_peer_may_know() {
        for error in [
            Errno::NOENT,
            Errno::LOOP,
            Errno::XDEV,
            Errno::NXIO,
            Errno::NAMETOOLONG,
        ] {
            assert!(matches!(missing(error), OpenedAs::Nothing), "{error}");
        }
        assert!(matches!(missing(Errno::ACCESS), OpenedAs::Denied));
        for error in [Errno::IO, Errno::MFILE, Errno::AGAIN] {
            assert!(
                matches!(missing(error), OpenedAs::Broken(same) if Errno::from_io_error(&same) == Some(error))
            );
        }
    }
}
