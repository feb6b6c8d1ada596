//! Requests against real files; what is the same of every source is asked of each.

#[cfg(feature = "zip")]
mod archives;
mod cache;
mod names;
mod own_source;
mod sending;
mod siblings;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{EmbeddedFiles, FileRequest, FilesMount, FilesRoot, Reach};
use crate::connection::content::{FileAnswer, Part};
use crate::limits::Limits;
use crate::wire::request_head::{HeadParsed, RequestHead};

/// What the files of a site are served from, as they are when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Disk,
    /// With the time of the file that was changed last.
    Embedded,
    #[cfg(feature = "zip")]
    Stored,
    #[cfg(feature = "zip")]
    Deflated,
}

impl Kind {
    const ALL: &[Self] = &[
        Self::Disk,
        Self::Embedded,
        #[cfg(feature = "zip")]
        Self::Stored,
        #[cfg(feature = "zip")]
        Self::Deflated,
    ];
}

/// A root with a directory beside it, and the mount `/m` of the root.
struct Site {
    directory: TempDir,
    mount: FilesMount,
    kind: Kind,
}

impl Site {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FilesMount)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        let mut mount = FilesMount::new(directory.path().join("root"));
        change(&mut mount);
        Self {
            directory,
            mount,
            kind: Kind::Disk,
        }
    }

    /// One of each kind.
    fn each(change: impl Fn(&mut FilesMount)) -> impl Iterator<Item = Self> {
        Kind::ALL.iter().map(move |kind| Self {
            kind: *kind,
            ..Self::with(&change)
        })
    }

    /// The mount, with what is there now.
    fn root(&self) -> FilesRoot {
        let from = match self.kind {
            Kind::Disk => self.mount.from.clone(),
            Kind::Embedded => FilesMount::of(self.embedded()).from,
            #[cfg(feature = "zip")]
            Kind::Stored | Kind::Deflated => {
                let archive = self.directory.path().join("archive.zip");
                let is_deflated = self.kind == Kind::Deflated;
                fs::write(&archive, archives::packed(&self.files(), is_deflated)).unwrap();
                FilesMount::zip(archive).from
            }
        };
        let mount = FilesMount {
            from,
            ..self.mount.clone()
        };
        mount.open(&Limits::default()).unwrap()
    }

    fn embedded(&self) -> EmbeddedFiles {
        let files = self.files();
        let modified = files.iter().map(|file| file.modified).max();
        let files: Vec<(&str, &'static [u8])> = files
            .iter()
            .map(|file| (&*file.name, &*file.content.clone().leak()))
            .collect();
        let embedded = EmbeddedFiles::new(&files).unwrap();
        embedded.modified(modified.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// All files of the root.
    fn files(&self) -> Vec<Packed> {
        let mut files = Vec::new();
        gather(&self.path(""), &self.path(""), &mut files);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn date(&self, name: &str, seconds: u64) {
        let file = File::options().write(true).open(self.path(name)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }

    /// Asks with the disk, and then again without, which may be *cold* but nothing else.
    fn ask(&self, method: &str, target: &str, fields: &str) -> FileAnswer {
        let answer = request(method, target, fields, |request| {
            let root = self.root();
            let answer = root.answer(request, Reach::Disk).unwrap();
            if let Ok(again) = root.answer(request, Reach::Memory) {
                assert_eq!(again.status, answer.status, "{target}");
                assert_eq!(again.content_length(), answer.content_length(), "{target}");
            }
            answer
        });
        let length: u64 = answer.parts.iter().map(Part::len).sum();
        assert_eq!(answer.content_length(), length);
        answer
    }

    fn get(&self, target: &str, fields: &str) -> (u16, String) {
        let answer = self.ask("GET", target, fields);
        (answer.status, String::from_utf8(body(&answer)).unwrap())
    }
}

/// A file as it goes into an archive or a program.
struct Packed {
    name: String,
    content: Vec<u8>,
    modified: SystemTime,
}

fn gather(root: &Path, directory: &Path, files: &mut Vec<Packed>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(root, &path, files);
            continue;
        }
        files.push(Packed {
            name: path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
            content: fs::read(&path).unwrap(),
            modified: path.metadata().unwrap().modified().unwrap(),
        });
    }
}

fn head<T>(method: &str, target: &str, fields: &str, act: impl FnOnce(&RequestHead<'_>) -> T) -> T {
    let input = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    match RequestHead::parse(input.as_bytes(), &Limits::default()) {
        HeadParsed::Done(head) => act(&head),
        other => panic!("{input:?}: {other:?}"),
    }
}

fn request<T>(method: &str, target: &str, fields: &str, act: impl FnOnce(&FileRequest) -> T) -> T {
    head(method, target, fields, |head| {
        let rest = head.path().strip_prefix("/m").unwrap();
        act(&FileRequest::of(head, rest, &Limits::default()))
    })
}

fn body(answer: &FileAnswer) -> Vec<u8> {
    let mut content = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Bytes(bytes) => content.extend_from_slice(bytes),
            Part::Shared { bytes, range } => {
                content.extend_from_slice(bytes.get(range).unwrap());
            }
            Part::File { file, range } => {
                let start = content.len();
                content.resize(start + part.len() as usize, 0);
                file.read_exact_at(&mut content[start..], range.start)
                    .unwrap();
            }
        }
    }
    content
}

fn field<'a>(answer: &'a FileAnswer, name: &str) -> &'a str {
    std::str::from_utf8(answer.fields.get(name).unwrap_or_default()).unwrap()
}
