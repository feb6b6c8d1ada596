//! Where lines go: a file that may be moved away at any time, or standard error.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, OFlags, access};

/// Nobody but us and the group of our user, who may be the one that reads logs: they tell who was where.
const MODE: u32 = 0o640;

/// Why an access log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AccessLogError {
    /// The file cannot be opened or made.
    #[error(
        "access_log.file: {} cannot be opened for writing: {cause}; name a file in a directory that the host may \
         write to, or `-` for standard error",
        file.display()
    )]
    Unopened {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A directory, a FIFO, a device.
    #[error(
        "access_log.file: {} is no regular file; name one, or `-` for standard error",
        .0.display()
    )]
    NoFile(PathBuf),
    /// The system gives no thread.
    #[error(
        "the access log has no thread to write on: {0}; raise the limit of threads of this user"
    )]
    Thread(io::Error),
}

/// Whether an access log could be opened there. Makes no file.
///
/// # Errors
///
/// As [`AccessLog::start`](super::AccessLog::start).
pub fn check(file: Option<&Path>) -> Result<(), AccessLogError> {
    let Some(path) = file else { return Ok(()) };
    match open(path, false) {
        Err(AccessLogError::Unopened { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            let directory = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
                AccessLogError::Unopened {
                    file: path.to_owned(),
                    cause: error.into(),
                }
            })
        }
        opened => opened.map(drop),
    }
}

/// Where lines go.
pub(super) enum Place {
    /// Standard error.
    StandardError,
    /// A file.
    File {
        /// Where it was, and is again when it is opened anew.
        path: PathBuf,
        /// Which file that is.
        identity: (u64, u64),
        file: File,
    },
    /// Whatever takes bytes.
    #[cfg(test)]
    Any(Box<dyn Write + Send>),
}

impl Place {
    pub(super) fn open(file: Option<&Path>) -> Result<Self, AccessLogError> {
        let Some(path) = file else {
            return Ok(Self::StandardError);
        };
        let (file, metadata) = open(path, true)?;
        Ok(Self::File {
            path: path.to_owned(),
            identity: identity(&metadata),
            file,
        })
    }

    /// Whether the file is no longer where it was.
    pub(super) fn is_moved(&self) -> bool {
        match self {
            Self::File {
                path,
                identity: known,
                ..
            } => std::fs::metadata(path).map_or(true, |found| identity(&found) != *known),
            _ => false,
        }
    }

    /// Opens the file at the same path anew.
    ///
    /// # Errors
    ///
    /// When that fails; the old file stays.
    pub(super) fn reopen(&mut self) -> Result<(), AccessLogError> {
        if let Self::File { path, .. } = self {
            *self = Self::open(Some(&path.clone()))?;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::StandardError => io::stderr().lock().write(bytes),
            Self::File { file, .. } => file.write(bytes),
            #[cfg(test)]
            Self::Any(place) => place.write(bytes),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn open(path: &Path, create: bool) -> Result<(File, Metadata), AccessLogError> {
    let unopened = |cause| AccessLogError::Unopened {
        file: path.to_owned(),
        cause,
    };
    // A FIFO without a reader would hold up its opener for ever.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .append(true)
        .create(create)
        .mode(MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(unopened)?;
    let metadata = file.metadata().map_err(unopened)?;
    if !metadata.is_file() {
        return Err(AccessLogError::NoFile(path.to_owned()));
    }
    Ok((file, metadata))
}
