//! Pages of the operator for the answers that the host itself makes with an error status.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// The content of error pages, in memory: an answer that tells of trouble should not depend on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorPages {
    pages: BTreeMap<u16, Vec<u8>>,
}

/// A page that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("error_pages.{status}: {} {trouble}; name a readable HTML file, relative to the config", file.display())]
pub struct ErrorPageError {
    /// Whose page it is.
    pub status: u16,
    /// Where it was looked for.
    pub file: PathBuf,
    /// What is wrong with it.
    pub trouble: PageTrouble,
}

/// What is wrong with the file of a page.
#[derive(Debug, thiserror::Error)]
pub enum PageTrouble {
    /// It is not there, or we may not read it.
    #[error("cannot be read: {0}")]
    Unread(#[from] io::Error),
    /// A directory, a FIFO, a device.
    #[error("is no regular file")]
    NoFile,
    /// It is above `limits.error_page_bytes`, which is this.
    #[error("has more than {0} bytes, see limits.error_page_bytes")]
    TooLarge(u64),
}

impl ErrorPages {
    /// The Content-Type of every page.
    pub const CONTENT_TYPE: &'static str = "text/html; charset=utf-8";

    /// Reads the files of pages, each of at most `most_bytes`.
    ///
    /// # Errors
    ///
    /// The first that cannot be used.
    pub fn read(files: &BTreeMap<u16, PathBuf>, most_bytes: u64) -> Result<Self, ErrorPageError> {
        let page = |(status, file): (&u16, &PathBuf)| match read_page(file, most_bytes) {
            Ok(content) => Ok((*status, content)),
            Err(trouble) => Err(ErrorPageError {
                status: *status,
                file: file.clone(),
                trouble,
            }),
        };
        Ok(Self {
            pages: files.iter().map(page).collect::<Result<_, _>>()?,
        })
    }

    /// The page for answers with this status: HTML.
    #[must_use]
    pub fn content(&self, status: u16) -> Option<&[u8]> {
        self.pages.get(&status).map(Vec::as_slice)
    }
}

fn read_page(path: &Path, most_bytes: u64) -> Result<Vec<u8>, PageTrouble> {
    // A FIFO without a writer would hold up its opener for ever.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(PageTrouble::NoFile);
    }
    let mut content = Vec::new();
    // It may grow while it is read.
    file.take(most_bytes.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > most_bytes {
        return Err(PageTrouble::TooLarge(most_bytes));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::ErrorPages;

    fn read(file: &Path, most_bytes: u64) -> Result<ErrorPages, String> {
        let files = BTreeMap::from([(404, file.to_owned())]);
        ErrorPages::read(&files, most_bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn a_page_is_found_by_its_status() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("404.html");
        fs::write(&file, "<p>nothing</p>").unwrap();
        let pages = read(&file, 14).unwrap();
        assert_eq!(pages.content(404), Some(&b"<p>nothing</p>"[..]));
        assert_eq!(pages.content(403), None);
    }

    #[test]
    fn a_page_that_cannot_be_used_is_told_with_status_file_and_mend() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        fs::write(path("large"), "12345").unwrap();
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        for (name, cause) in [
            ("missing", "cannot be read: No such file"),
            ("", "is no regular file"),
            ("fifo", "is no regular file"),
            (
                "large",
                "has more than 4 bytes, see limits.error_page_bytes",
            ),
        ] {
            let told = read(&path(name), 4).unwrap_err();
            let begin = format!("error_pages.404: {} {cause}", path(name).display());
            assert!(told.starts_with(&begin), "{told}");
            assert!(told.ends_with("name a readable HTML file, relative to the config"));
        }
    }
}
