//! Requests against real files.

mod names;
mod sending;
mod siblings;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::{FileRequest, FilesMount, FilesRoot, Reach};
use crate::connection::content::{FileAnswer, Part};
use crate::limits::Limits;
use crate::wire::request_head::{HeadParsed, RequestHead};

/// A root with a directory beside it, and the mount `/m` of the root.
struct Site {
    directory: TempDir,
    root: FilesRoot,
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
            root: mount.open().unwrap(),
        }
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
            let answer = self.root.answer(request, Reach::Disk).unwrap();
            if let Ok(again) = self.root.answer(request, Reach::Memory) {
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
