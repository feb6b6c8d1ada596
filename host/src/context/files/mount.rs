//! A mount of files as it was written, and as it is once its directory is open.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use super::media_type::MediaTypes;
use crate::wire::fields::{Fields, check};

/// A directory whose files are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesMount {
    /// The directory.
    pub root: PathBuf,
    /// Names of the file that stands for its directory, in order.
    pub index: Vec<String>,
    /// Media types by extension, without the dot and in any case of letters; before those that are known anyway.
    pub types: BTreeMap<String, String>,
    /// The Cache-Control field.
    pub cache_control: Option<String>,
    /// Whether `NAME.zst`, `NAME.br` and `NAME.gz` are sent for `NAME` to those who accept that.
    pub precompressed: bool,
    /// `false`: no symbolic link is followed. `true`: relative ones that stay beneath the directory are.
    pub follow_links: bool,
    /// Fields that every file is sent with.
    pub fields: Fields,
}

/// A mount whose directory is open. The directory is found once: who puts another in its place, by a link or a new name,
/// has to reload the config.
#[derive(Debug)]
pub struct FilesRoot {
    pub(crate) directory: OwnedFd,
    pub(crate) resolve: ResolveFlags,
    pub(crate) path: PathBuf,
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
        /// `FilesMount::root`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system call that everything rests on does not work.
    #[error("{}: files cannot be served: the system call openat2 fails here: {source}; it keeps links from leading out of \
             the directory, and nothing weaker takes its place; use Linux 5.6 or later, and allow openat2 in the seccomp \
             profile of the container", .path.display())]
    NoOpenat2 {
        /// `FilesMount::root`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
        Self {
            root: root.into(),
            index: vec!["index.html".into()],
            types: BTreeMap::new(),
            cache_control: None,
            precompressed: true,
            follow_links: false,
            fields: Fields::new(),
        }
    }

    /// Opens the directory, and proves that names are kept beneath it here. May wait for a disk.
    ///
    /// # Errors
    ///
    /// [`FilesError`].
    pub fn open(self) -> Result<FilesRoot, FilesError> {
        self.refuse_names()?;
        let types = MediaTypes::new(self.types)?;
        let mut file_fields = self.fields.clone();
        if let Some(value) = self.cache_control {
            if check("Cache-Control", value.as_bytes()).is_err() {
                return Err(FilesError::CacheControl { value });
            }
            file_fields.set("Cache-Control", value);
        }
        let resolve = resolve(self.follow_links);
        Ok(FilesRoot {
            directory: open_root(&self.root, resolve)?,
            resolve,
            path: self.root,
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

    #[test]
    fn what_cannot_be_served_is_refused_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        for root in [file, directory.path().join("absent")] {
            let refused = FilesMount::new(&root).open().unwrap_err();
            assert!(matches!(refused, FilesError::Root { .. }), "{refused}");
        }
        let mount = || FilesMount::new(directory.path());
        assert!(mount().open().is_ok());
        for name in ["", ".", "..", "a/b", "a\0"] {
            let mut mount = mount();
            mount.index.push(name.into());
            let refused = mount.open().unwrap_err();
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
            let refused = mount.open().unwrap_err();
            assert!(matches!(refused, FilesError::Type { .. }), "{refused}");
        }
        let mut mount = mount();
        mount.cache_control = Some("max-age=1\n".into());
        let refused = mount.open().unwrap_err();
        assert!(
            matches!(refused, FilesError::CacheControl { .. }),
            "{refused}"
        );
    }
}
