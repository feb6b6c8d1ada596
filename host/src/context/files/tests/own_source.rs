//! Sources of a program: what the mount makes of what they answer.

use std::io;
use std::path::Path;

use super::{body, request};
use crate::connection::content::ContentBytes;
use crate::context::files::{
    BadFileName, Cold, Content, EmbeddedFiles, FileSource, FilesMount, FilesRoot, Opened, OpenedAs,
    Reach, ReadContent,
};
use crate::limits::Limits;

/// One file, `a`, of which it says that it has five bytes.
#[derive(Debug)]
struct Own(Content);

impl FileSource for Own {
    fn open(&self, name: &[u8], _: Reach) -> Result<OpenedAs, Cold> {
        match name {
            b"a" => Ok(OpenedAs::File(Opened {
                content: self.0.clone(),
                size: 5,
                modified: None,
                tag: "1".into(),
                gzip: None,
            })),
            b"panics" => panic!("as told"),
            _ => Ok(OpenedAs::Nothing),
        }
    }

    fn place(&self) -> &Path {
        Path::new("own")
    }
}

#[derive(Debug)]
enum Read {
    Whole,
    Fails,
    Panics,
}

impl ReadContent for Read {
    fn read(&self, reach: Reach) -> Result<io::Result<ContentBytes>, Cold> {
        if reach == Reach::Memory {
            return Err(Cold);
        }
        match self {
            Self::Whole => Ok(Ok(ContentBytes::of(b"hello"))),
            Self::Fails => Ok(Err(io::Error::other("as told"))),
            Self::Panics => panic!("as told"),
        }
    }
}

fn root(content: Content) -> FilesRoot {
    FilesMount::of(Own(content))
        .open(&Limits::default())
        .unwrap()
}

fn ask(root: &FilesRoot, target: &str, fields: &str) -> (u16, Vec<u8>) {
    request("GET", target, fields, |request| {
        let answer = root.answer(request, Reach::Disk).unwrap();
        (answer.status, body(&answer))
    })
}

#[test]
fn content_is_read_by_who_may_wait_and_only_when_it_is_sent() {
    let whole = root(Content::Read(std::sync::Arc::new(Read::Whole)));
    request("GET", "/m/a", "", |request| {
        assert!(whole.answer(request, Reach::Memory).is_err());
    });
    assert_eq!(ask(&whole, "/m/a", ""), (200, b"hello".into()));
    assert_eq!(
        ask(&whole, "/m/a", "Range: bytes=1-2\r\n"),
        (206, b"el".into())
    );
    assert_eq!(ask(&whole, "/m/a", "If-None-Match: \"1\"\r\n").0, 304);
    for broken in [Read::Fails, Read::Panics] {
        let broken = root(Content::Read(std::sync::Arc::new(broken)));
        assert_eq!(ask(&broken, "/m/a", "If-None-Match: \"1\"\r\n").0, 304);
        assert_eq!(ask(&broken, "/m/a", "").0, 500);
    }
}

#[test]
fn a_source_that_panics_or_has_less_than_it_said_costs_its_request_and_nothing_else() {
    let short = root(Content::Bytes(ContentBytes::of(b"hell")));
    assert_eq!(ask(&short, "/m/a", "").0, 503);
    assert_eq!(ask(&short, "/m/panics", "").0, 500);
    assert_eq!(
        ask(&short, "/m/a", "Range: bytes=0-1\r\n"),
        (206, b"he".into())
    );
}

#[test]
fn names_of_embedded_files_are_those_that_can_be_asked_for() {
    for name in ["", "/", "..", "a/../b", "a\0"] {
        let refused = EmbeddedFiles::new(&[(name, b"a")]).unwrap_err();
        assert_eq!(refused, BadFileName { name: name.into() });
    }
    let twice = EmbeddedFiles::new(&[("d/a", b"1"), ("./d//a", b"2")]);
    assert!(twice.is_err());
    let files = EmbeddedFiles::new(&[("/d/a", b"1")]).unwrap();
    let root = FilesMount::of(files).open(&Limits::default()).unwrap();
    assert_eq!(ask(&root, "/m/d/a", ""), (200, b"1".into()));
}
