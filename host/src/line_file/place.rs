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

/// Why a log cannot be written. `key` is the one of the config that names its file.
#[derive(Debug, thiserror::Error)]
pub enum LineFileError {
    /// The file cannot be opened or made.
    #[error(
        "{key}: {} cannot be opened for writing: {cause}; name a file in a directory that the host may write to, or `-` \
         for standard error",
        file.display()
    )]
    Unopened {
        /// The key.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A directory, a FIFO, a device.
    #[error(
        "{key}: {} is no regular file; name one, or `-` for standard error",
        file.display()
    )]
    NoFile {
        /// The key.
        key: &'static str,
        /// What is there.
        file: PathBuf,
    },
    /// The system gives no thread.
    #[error("{key}: no thread to write on: {cause}; raise the limit of threads of this user")]
    Thread {
        /// The key.
        key: &'static str,
        /// What the system says.
        cause: io::Error,
    },
}

/// Whether a log could be opened there. Makes no file.
///
/// # Errors
///
/// As [`Place::open`].
pub(crate) fn check(key: &'static str, file: Option<&Path>) -> Result<(), LineFileError> {
    let Some(path) = file else { return Ok(()) };
    match open(key, path, false) {
        Err(LineFileError::Unopened { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            let directory = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
                LineFileError::Unopened {
                    key,
                    file: path.to_owned(),
                    cause: error.into(),
                }
            })
        }
        opened => opened.map(drop),
    }
}

/// Where lines go.
pub(crate) enum Place {
    /// Standard error.
    StandardError,
    /// A file.
    File {
        /// The key of the config that names it.
        key: &'static str,
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
    /// # Errors
    ///
    /// When the file cannot be opened for writing, or is none.
    pub(crate) fn open(key: &'static str, file: Option<&Path>) -> Result<Self, LineFileError> {
        let Some(path) = file else {
            return Ok(Self::StandardError);
        };
        let (file, metadata) = open(key, path, true)?;
        Ok(Self::File {
            key,
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
    pub(super) fn reopen(&mut self) -> Result<(), LineFileError> {
        if let Self::File { key, path, .. } = self {
            *self = Self::open(key, Some(&path.clone()))?;
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

fn open(key: &'static str, path: &Path, create: bool) -> Result<(File, Metadata), LineFileError> {
    let unopened = |cause| LineFileError::Unopened {
        key,
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
        return Err(LineFileError::NoFile {
            key,
            file: path.to_owned(),
        });
    }
    Ok((file, metadata))
}
