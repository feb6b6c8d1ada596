//! Where the socket lies when nobody says where.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// Why there is no safe place for the socket.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The system refused to make or look at the directory.
    #[error(
        "cannot use the directory {path} for the control socket; name another place with --control"
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could take the socket's place.
    #[error(
        "{path} is not a directory that belongs to this user alone (mode 0700); remove it, or use --control"
    )]
    Shared {
        /// The directory.
        path: PathBuf,
    },
}

/// The socket of the process `pid` in the first of [`directories`] that is open to us, which is made if it is missing.
pub(super) fn usual_socket(pid: u32) -> Result<PathBuf, PlaceError> {
    let directory = match runtime() {
        Some(directory) => match make_private(&directory) {
            // With `run_as` it can be that of the user who started us.
            Err(PlaceError::Unusable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                temporary()
            }
            done => done.map(|()| directory)?,
        },
        None => temporary(),
    };
    make_private(&directory)?;
    Ok(directory.join(format!("{pid}.sock")))
}

/// Where sockets of this user's hosts lie; the first is where a new one goes.
pub(super) fn directories() -> Vec<PathBuf> {
    runtime().into_iter().chain([temporary()]).collect()
}

fn runtime() -> Option<PathBuf> {
    let directory = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
    directory.is_absolute().then(|| directory.join("hotsocket"))
}

fn temporary() -> PathBuf {
    env::temp_dir().join(format!("hotsocket-{}", geteuid().as_raw()))
}

/// Makes the directory, or finds it to be ours and closed to others.
pub(super) fn make_private(path: &Path) -> Result<(), PlaceError> {
    let unusable = |source| PlaceError::Unusable {
        path: path.to_owned(),
        source,
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
        _ => {}
    }
    match is_private(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(PlaceError::Shared {
            path: path.to_owned(),
        }),
        Err(source) => Err(unusable(source)),
    }
}

/// Whether this is a directory of ours that others can neither read nor change.
pub(super) fn is_private(path: &Path) -> io::Result<bool> {
    // Not followed: a link would lead to a place of somebody else's choice.
    let found = fs::symlink_metadata(path)?;
    Ok(found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0)
}
