//! Files of a form on the disk: written under a name of ours, and given the peer's only when the form is whole.

use std::{
    fmt::Display,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::form::{Failure, Rules};

/// The most bytes of the name that a file is stored under, before it is made unique.
const MOST_NAME_BYTES: usize = 200;
/// How many names are tried for one file.
const MOST_NAMES: usize = 1000;

/// A file that is being written. Dropped, it is removed.
pub(crate) struct Draft {
    file: NamedTempFile,
    directory: PathBuf,
    told: Told,
    bytes: u64,
}

/// What the peer says of a file.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) field: String,
    pub(crate) name: String,
    pub(crate) media_type: Option<String>,
}

/// A file that is kept.
#[derive(Serialize)]
pub(crate) struct Stored {
    /// The field that it came in.
    field: String,
    /// Its name, as the peer has it.
    name: String,
    /// Its name in the directory.
    stored: String,
    bytes: u64,
    /// What the peer says that it is.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Draft {
    /// A new file beside `count` others of its form.
    pub(crate) fn new(told: Told, count: usize, rules: &Rules) -> Result<Self, Failure> {
        let Some(directory) = &rules.directory else {
            return Err(Failure {
                status: 403,
                why: "no files are taken here".to_owned(),
            });
        };
        if count >= rules.most_files {
            let why = format!("a form may have {} files here", rules.most_files);
            return Err(Failure::too_much(why));
        }
        let file = tempfile::Builder::new()
            .prefix(".upload-")
            .tempfile_in(directory)
            .map_err(|error| failed("make a file in", directory, error.kind()))?;
        Ok(Self {
            file,
            directory: directory.clone(),
            told,
            bytes: 0,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8], rules: &Rules) -> Result<(), Failure> {
        self.bytes += bytes.len() as u64;
        if self.bytes > rules.most_file_bytes {
            return Err(Failure::too_much(format!(
                "the file {:?} is larger than the {} bytes that a file may have here",
                self.told.name, rules.most_file_bytes
            )));
        }
        let written = self.file.write_all(bytes);
        written.map_err(|error| failed("write", self.file.path(), error.kind()))
    }

    /// Gives the file a name of its own, near the one that the peer has for it.
    pub(crate) fn store(self) -> Result<Stored, Failure> {
        let wanted = safe_name(&self.told.name);
        let mut file = self.file;
        for number in 0..MOST_NAMES {
            let stored = numbered(&wanted, number);
            let path = self.directory.join(&stored);
            match file.persist_noclobber(&path) {
                Ok(_) => {
                    return Ok(Stored {
                        field: self.told.field,
                        name: self.told.name,
                        stored,
                        bytes: self.bytes,
                        media_type: self.told.media_type,
                        path,
                    });
                }
                Err(again) if again.error.kind() == io::ErrorKind::AlreadyExists => {
                    file = again.file;
                }
                Err(error) => return Err(failed("name", &path, error.error.kind())),
            }
        }
        let why = "too many files of that name are there";
        Err(failed("name", &self.directory.join(wanted), why))
    }
}

impl Stored {
    /// Takes it back.
    pub(crate) fn remove(&self) {
        // What is still there, the operator finds under the name that the peer gave it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// `why` is the kind of an error: its text may name the path once more, as those of `tempfile` do.
fn failed(what: &str, path: &Path, why: impl Display) -> Failure {
    Failure {
        status: 500,
        why: format!(
            "cannot {what} {}: {why}; look at the disk of the directory that option `directory` names, and at who may \
             write to it",
            path.display()
        ),
    }
}

/// The last part of a path of any system, without what a name should not have: control characters, a dot at the
/// beginning, too many bytes.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|char| !char.is_control()).collect();
    let shown = shown.trim_start_matches(|char: char| char == '.' || char.is_whitespace());
    let shown = shown.trim_end();
    if shown.is_empty() {
        return "file".to_owned();
    }
    let (stem, ending) = parts(shown);
    let room = MOST_NAME_BYTES.saturating_sub(ending.len());
    // An ending that fills the name is none.
    if room < MOST_NAME_BYTES / 2 {
        return cut(shown, MOST_NAME_BYTES).to_owned();
    }
    format!("{}{ending}", cut(stem, room))
}

/// `name.txt`, `name-1.txt`, `name-2.txt`.
fn numbered(name: &str, number: usize) -> String {
    if number == 0 {
        return name.to_owned();
    }
    let (stem, ending) = parts(name);
    format!("{stem}-{number}{ending}")
}

/// A name and its ending, which begins with a dot or is empty.
fn parts(name: &str) -> (&str, &str) {
    let dot = name.rfind('.').filter(|at| *at > 0);
    name.split_at(dot.unwrap_or(name.len()))
}

/// As many characters as have room.
fn cut(text: &str, most_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(most_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for (name, safe) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Documents\\a b.doc", "a b.doc"),
            (".profile", "profile"),
            ("...", "file"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            ("\u{0}\r\n", "file"),
            ("a\u{0}\u{1b}b\n.txt", "ab.txt"),
            (" . .a ", "a"),
            ("sch\u{f6}n \u{1f600}.png", "sch\u{f6}n \u{1f600}.png"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_whole_characters() {
        let long = safe_name(&format!("{}.jpeg", "\u{f6}".repeat(300)));
        assert!(
            long.len() <= MOST_NAME_BYTES && long.ends_with("\u{f6}.jpeg"),
            "{long}"
        );
        let ending = safe_name(&format!("a.{}", "x".repeat(300)));
        assert_eq!(ending.len(), MOST_NAME_BYTES);
    }

    #[test]
    fn a_number_stands_before_the_ending() {
        assert_eq!(numbered("a.tar.gz", 0), "a.tar.gz");
        assert_eq!(numbered("a.tar.gz", 2), "a.tar-2.gz");
        assert_eq!(numbered("a", 1), "a-1");
    }
}
