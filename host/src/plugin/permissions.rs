//! Who may write to a plugin file may run code as us: so that must be nobody but root and ourselves.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::refusal::{Fault, Stage};

const WORLD_WRITABLE: u32 = 0o002;
const GROUP_WRITABLE: u32 = 0o020;

/// Whose files are trusted.
#[derive(Clone, Copy, Debug)]
pub struct Trust {
    /// Our user.
    pub user: u32,
    /// Whether a group that may write is refused, and not only told: as root, or with `run_as`.
    pub strict: bool,
}

impl Trust {
    /// As this process runs.
    #[must_use]
    pub fn of_this_process() -> Self {
        let user = rustix::process::geteuid();
        Self {
            user: user.as_raw(),
            strict: user.is_root(),
        }
    }

    /// Judges a plugin file by what was read of it, and the directories that lead to it: the one it is named in, and
    /// behind symbolic links the one it lies in. Returns what is worth a warning.
    ///
    /// # Errors
    ///
    /// At [`Stage::Permissions`], or at [`Stage::Read`] when a directory cannot be seen.
    pub fn judge(&self, file: &Path, metadata: &Metadata) -> Result<Vec<String>, Fault> {
        let mut warnings = Vec::new();
        warnings.extend(self.judge_one("the file", file, metadata)?);
        let target = fs::canonicalize(file).map_err(|error| unseen(file, &error))?;
        let named_in = directory_of(file);
        let lies_in = directory_of(&target);
        warnings.extend(self.judge_directory(named_in)?);
        if fs::canonicalize(named_in).ok().as_deref() != Some(lies_in) {
            warnings.extend(self.judge_directory(lies_in)?);
        }
        Ok(warnings)
    }

    fn judge_directory(&self, directory: &Path) -> Result<Option<String>, Fault> {
        let metadata = fs::metadata(directory).map_err(|error| unseen(directory, &error))?;
        self.judge_one("the directory", directory, &metadata)
    }

    fn judge_one(
        &self,
        what: &str,
        path: &Path,
        metadata: &Metadata,
    ) -> Result<Option<String>, Fault> {
        let (owner, mode) = (metadata.uid(), metadata.mode());
        let path = path.display();
        if owner != 0 && owner != self.user {
            return Err(Fault::new(
                Stage::Permissions,
                format!(
                    "{what} {path} belongs to user {owner}, who is neither root nor user {}",
                    self.user
                ),
                format!("chown {} {path}", self.user),
            ));
        }
        if mode & WORLD_WRITABLE != 0 {
            return Err(Fault::new(
                Stage::Permissions,
                format!(
                    "everybody may write to {what} {path} (mode {:04o})",
                    mode & 0o7777
                ),
                format!("chmod go-w {path}"),
            ));
        }
        if mode & GROUP_WRITABLE == 0 {
            return Ok(None);
        }
        let cause = format!(
            "group {} may write to {what} {path} (mode {:04o})",
            metadata.gid(),
            mode & 0o7777
        );
        if self.strict {
            return Err(Fault::new(
                Stage::Permissions,
                format!("{cause}, which is refused for a host that runs as root, or with `run_as`"),
                format!("chmod g-w {path}"),
            ));
        }
        Ok(Some(cause))
    }
}

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn unseen(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(
        Stage::Read,
        format!("{} cannot be seen: {error}", path.display()),
        "let the host read the directories that lead to the plugin",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Place {
        directory: tempfile::TempDir,
        file: PathBuf,
    }

    impl Place {
        fn new(file_mode: u32, directory_mode: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("echo.so");
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
            fs::set_permissions(directory.path(), Permissions::from_mode(directory_mode)).unwrap();
            Self { directory, file }
        }

        fn judge(&self, strict: bool) -> Result<Vec<String>, Fault> {
            let user = rustix::process::geteuid().as_raw();
            Trust { user, strict }.judge(&self.file, &fs::metadata(&self.file).unwrap())
        }
    }

    #[test]
    fn a_file_that_only_we_may_write_is_fine() {
        assert_eq!(Place::new(0o644, 0o755).judge(true), Ok(vec![]));
    }

    #[test]
    fn a_file_or_directory_that_everybody_may_write_is_refused() {
        for place in [Place::new(0o646, 0o755), Place::new(0o644, 0o757)] {
            let fault = place.judge(false).unwrap_err();
            assert_eq!(fault.stage, Stage::Permissions);
            assert!(fault.cause.starts_with("everybody may write to the "));
            assert!(fault.mend.starts_with("chmod go-w "));
        }
    }

    #[test]
    fn a_group_that_may_write_is_told_and_refused_where_it_matters() {
        for place in [Place::new(0o664, 0o755), Place::new(0o644, 0o775)] {
            assert_eq!(place.judge(false).unwrap().len(), 1);
            assert_eq!(place.judge(true).unwrap_err().stage, Stage::Permissions);
        }
    }

    #[test]
    fn the_directory_behind_a_symbolic_link_counts() {
        let target = Place::new(0o644, 0o757);
        let mut place = Place::new(0o644, 0o755);
        place.file = place.directory.path().join("link.so");
        symlink(&target.file, &place.file).unwrap();
        let fault = place.judge(false).unwrap_err();
        assert!(
            fault
                .cause
                .contains(&*target.directory.path().to_string_lossy())
        );
    }

    #[test]
    fn a_stranger_is_refused() {
        let place = Place::new(0o644, 0o755);
        let metadata = fs::metadata(&place.file).unwrap();
        if metadata.uid() == 0 {
            return; // what belongs to root is trusted by everybody
        }
        let trust = Trust {
            user: metadata.uid() + 1,
            strict: false,
        };
        let fault = trust.judge(&place.file, &metadata).unwrap_err();
        assert!(fault.cause.contains("neither root nor user"));
    }
}
