//! A mount of files as it was written, and as it is once its source is open.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::DiskFiles;
use super::media_type::MediaTypes;
use super::source::FileSource;
#[cfg(feature = "zip")]
use super::zip::{ZipFault, ZipFiles};
use crate::limits::Limits;
use crate::wire::fields::{Fields, check};

/// Where the files of a mount come from, before it is open.
#[derive(Clone, Debug)]
pub enum FilesFrom {
    /// A directory: what is there when it is asked for.
    Directory(PathBuf),
    /// A zip archive. It is read when the mount is opened, so a new one takes a reload of the config.
    #[cfg(feature = "zip")]
    Zip(PathBuf),
    /// A source of the program.
    Source(Arc<dyn FileSource>),
}

impl PartialEq for FilesFrom {
    /// Sources are equal when they are the same.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => one == other,
            #[cfg(feature = "zip")]
            (Self::Zip(one), Self::Zip(other)) => one == other,
            (Self::Source(one), Self::Source(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for FilesFrom {}

/// Files that are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesMount {
    /// Where they come from.
    pub from: FilesFrom,
    /// Names of the file that stands for its directory, in order.
    pub index: Vec<String>,
    /// Media types by extension, without the dot and in any case of letters; before those that are known anyway.
    pub types: BTreeMap<String, String>,
    /// The Cache-Control field.
    pub cache_control: Option<String>,
    /// Whether `NAME.zst`, `NAME.br` and `NAME.gz` are sent for `NAME` to those who accept that.
    pub precompressed: bool,
    /// `false`: no symbolic link is followed. `true`: relative ones that stay beneath the directory are. For directories.
    pub follow_links: bool,
    /// Fields that every file is sent with.
    pub fields: Fields,
}

/// The number of the next root.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// A mount whose source is open.
#[derive(Debug)]
pub struct FilesRoot {
    /// No other one of this process ever has it.
    pub(super) number: u64,
    pub(crate) source: Arc<dyn FileSource>,
    pub(crate) index: Vec<String>,
    pub(crate) types: MediaTypes,
    pub(crate) precompressed: bool,
    /// For directories that only lack their slash.
    pub(crate) fields: Fields,
    /// For files: `fields`, and Cache-Control.
    pub(crate) file_fields: Fields,
}

/// Why a mount of files cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no such directory, or it may not be read.
    #[error("{}: cannot be opened as a directory of files: {source}; name a directory that the host may read, by `files` of the mount or by `--www`", .path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system call that everything rests on does not work.
    #[error("{}: files cannot be served: the system call openat2 fails here: {source}; it keeps links from leading out of \
             the directory, and nothing weaker takes its place; use Linux 5.6 or later, and allow openat2 in the seccomp \
             profile of the container", .path.display())]
    NoOpenat2 {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such archive, or it cannot be served.
    #[cfg(feature = "zip")]
    #[error("{}: cannot be served as a zip archive: {source}", .path.display())]
    Zip {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: ZipFault,
    },
    /// Not the name of a file in the directory itself.
    #[error(
        "`index`: {name:?} is not the name of a file; write a name without slashes, like \"index.html\""
    )]
    Index {
        /// What was written.
        name: String,
    },
    /// Not what a field can hold.
    #[error(
        "`types`: {value:?} for {extension:?} is not a media type; write one like \"text/markdown\""
    )]
    Type {
        /// What it is for.
        extension: String,
        /// What was written.
        value: String,
    },
    /// Not what a field can hold.
    #[error(
        "`cache_control`: {value:?} has a control character; write a value like \"max-age=3600\""
    )]
    CacheControl {
        /// What was written.
        value: String,
    },
}

impl FilesMount {
    /// A mount of this directory with everything else as it is without being written.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::from(FilesFrom::Directory(root.into()))
    }

    /// The same of a zip archive.
    #[cfg(feature = "zip")]
    #[must_use]
    pub fn zip(archive: impl Into<PathBuf>) -> Self {
        Self::from(FilesFrom::Zip(archive.into()))
    }

    /// The same of a source of the program.
    #[must_use]
    pub fn of(source: impl FileSource + 'static) -> Self {
        Self::from(FilesFrom::Source(Arc::new(source)))
    }

    fn from(from: FilesFrom) -> Self {
        Self {
            from,
            index: vec!["index.html".into()],
            types: BTreeMap::new(),
            cache_control: None,
            precompressed: true,
            follow_links: false,
            fields: Fields::new(),
        }
    }

    /// Opens where the files come from. May wait for a disk.
    ///
    /// # Errors
    ///
    /// [`FilesError`].
    pub fn open(self, limits: &Limits) -> Result<FilesRoot, FilesError> {
        self.refuse_names()?;
        let types = MediaTypes::new(self.types)?;
        let mut file_fields = self.fields.clone();
        if let Some(value) = self.cache_control {
            if check("Cache-Control", value.as_bytes()).is_err() {
                return Err(FilesError::CacheControl { value });
            }
            file_fields.set("Cache-Control", value);
        }
        Ok(FilesRoot {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            source: self.from.open(self.follow_links, limits)?,
            index: self.index,
            types,
            precompressed: self.precompressed,
            fields: self.fields,
            file_fields,
        })
    }

    fn refuse_names(&self) -> Result<(), FilesError> {
        let is_name = |name: &&String| {
            !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\0'])
        };
        match self.index.iter().find(|name| !is_name(name)) {
            Some(name) => Err(FilesError::Index { name: name.clone() }),
            None => Ok(()),
        }
    }
}

impl FilesFrom {
    #[cfg_attr(
        not(feature = "zip"),
        expect(unused_variables, reason = "archives alone have limits")
    )]
    fn open(self, follow_links: bool, limits: &Limits) -> Result<Arc<dyn FileSource>, FilesError> {
        Ok(match self {
            Self::Directory(path) => Arc::new(DiskFiles::open(path, follow_links)?),
            #[cfg(feature = "zip")]
            Self::Zip(path) => Arc::new(ZipFiles::open(path, limits)?),
            Self::Source(source) => source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_served_is_refused_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for root in [file, directory.path().join("absent")] {
            let refused = FilesMount::new(&root).open(&Limits::default()).unwrap_err();
            assert!(matches!(refused, FilesError::Root { .. }), "{refused}");
        }
        let mount = || FilesMount::new(directory.path());
        assert!(mount().open(&Limits::default()).is_ok());
        for name in ["", ".", "..", "a/b", "a\0"] {
            let mut mount = mount();
            mount.index.push(name.into());
            let refused = mount.open(&Limits::default()).unwrap_err();
            assert!(matches!(refused, FilesError::Index { .. }), "{refused}");
        }
        for value in [
            "",
            "text",
            "text/",
            "/html",
            "text/a b",
            "text/html\r\nX: y",
        ] {
            let mut mount = mount();
            mount.types.insert("md".into(), value.into());
            let refused = mount.open(&Limits::default()).unwrap_err();
            assert!(matches!(refused, FilesError::Type { .. }), "{refused}");
        }
        let mut mount = mount();
        mount.cache_control = Some("max-age=1\n".into());
        let refused = mount.open(&Limits::default()).unwrap_err();
        assert!(
            matches!(refused, FilesError::CacheControl { .. }),
            "{refused}"
        );
    }
}
