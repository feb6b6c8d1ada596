//! What is a matter of zip archives alone.

use std::io::{Cursor, Write};
use std::time::SystemTime;

use zip::write::{FullFileOptions, SimpleFileOptions};
use zip::{CompressionMethod, ZipWriter};
use zlib_rs::{InflateConfig, ReturnCode, decompress_slice};

use super::{Kind, Packed, Site, body, field, request};
use crate::context::files::{FilesError, FilesMount, FilesRoot, Reach, ZipFault};
use crate::limits::Limits;

/// An archive of these files, with their times in UTC.
pub(super) fn packed(files: &[Packed], is_deflated: bool) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let since = file.modified.duration_since(SystemTime::UNIX_EPOCH);
        let mut time = vec![1];
        time.extend((since.unwrap().as_secs() as u32).to_le_bytes());
        let mut options = FullFileOptions::default().compression_method(method(is_deflated));
        options.add_extra_field(0x5455, time, false).unwrap();
        writer.start_file(&*file.name, options).unwrap();
        writer.write_all(&file.content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn method(is_deflated: bool) -> CompressionMethod {
    match is_deflated {
        true => CompressionMethod::Deflated,
        false => CompressionMethod::Stored,
    }
}

/// An archive of one deflated file.
fn one(name: &str, content: &[u8]) -> Vec<u8> {
    let file = Packed {
        name: name.into(),
        content: content.into(),
        modified: SystemTime::UNIX_EPOCH,
    };
    packed(&[file], true)
}

fn open(bytes: &[u8], limits: &Limits) -> Result<(tempfile::NamedTempFile, FilesRoot), ZipFault> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    match FilesMount::zip(file.path()).open(limits) {
        Ok(root) => Ok((file, root)),
        Err(FilesError::Zip { path, source }) => {
            assert_eq!(path, file.path());
            Err(source)
        }
        Err(other) => panic!("{other}"),
    }
}

fn status(root: &FilesRoot, target: &str) -> u16 {
    request("GET", target, "", |request| {
        root.answer(request, Reach::Disk).unwrap().status
    })
}

#[test]
fn what_is_deflated_goes_as_it_is_to_who_accepts_gzip() {
    let mut site = Site::new();
    let content: Vec<u8> = (0..200_000_u32)
        .flat_map(|number| format!("{number} ").into_bytes())
        .collect();
    site.put("a.txt", &content);
    site.kind = Kind::Deflated;
    let answer = site.ask("GET", "/m/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!(field(&answer, "Content-Encoding"), "gzip");
    assert!(field(&answer, "ETag").ends_with("-gzip\""));
    let coded = body(&answer);
    let mut inflated = vec![0; content.len()];
    // 16 more bits: that it has to be gzip, and that its check sum is compared.
    let config = InflateConfig { window_bits: 31 };
    let (inflated, code) = decompress_slice(&mut inflated, &coded, config);
    assert_eq!(code, ReturnCode::Ok);
    assert!(inflated == content);
    let half = coded.len() / 2;
    for (range, expected) in [
        ("0-11".to_owned(), &coded[..12]),
        ("8-12".to_owned(), &coded[8..13]),
        (format!("{half}-"), &coded[half..]),
        ("-9".to_owned(), &coded[coded.len() - 9..]),
    ] {
        let fields = format!("Accept-Encoding: gzip\r\nRange: bytes={range}\r\n");
        let answer = site.ask("GET", "/m/a.txt", &fields);
        assert_eq!(answer.status, 206, "{range}");
        assert!(body(&answer) == expected, "{range}");
    }
    let plain = site.ask("GET", "/m/a.txt", "");
    assert!(body(&plain) == content && !plain.fields.has("Content-Encoding"));
}

#[test]
fn an_inflated_file_is_in_memory_once_and_as_long_as_it_is_sent() {
    let bytes = one("a.bin", &vec![b'a'; 1 << 20]);
    let (_file, root) = open(&bytes, &Limits::default()).unwrap();
    request("GET", "/m/a.bin", "", |request| {
        assert!(root.answer(request, Reach::Memory).is_err());
        let first = root.answer(request, Reach::Disk).unwrap();
        let second = root.answer(request, Reach::Memory).unwrap();
        assert_eq!(body(&second).len(), 1 << 20);
        drop((first, second));
        assert!(root.answer(request, Reach::Memory).is_err());
    });
    for fields in ["If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", ""] {
        let method = if fields.is_empty() { "HEAD" } else { "GET" };
        request(method, "/m/a.bin", fields, |request| {
            let answer = root.answer(request, Reach::Memory);
            assert!(answer.is_ok(), "nothing of it is to be sent: {method}");
        });
    }
}

#[test]
fn an_archive_above_a_limit_is_refused_and_the_limit_is_named() {
    let bytes = one("d/bomb", &vec![0; 100_000]);
    assert!(bytes.len() < 1000);
    let with = |zip_inflated_bytes, zip_entries_count| Limits {
        zip_inflated_bytes,
        zip_entries_count,
        ..Limits::default()
    };
    assert!(open(&bytes, &with(100_000, 1)).is_ok());
    let refused = open(&bytes, &with(99_999, 1)).unwrap_err().to_string();
    assert!(refused.contains("limits.zip_inflated_bytes"), "{refused}");
    let refused = open(&bytes, &with(100_000, 0)).unwrap_err().to_string();
    assert!(refused.contains("limits.zip_entries_count"), "{refused}");
    let stored = Packed {
        name: "large".into(),
        content: vec![0; 100_000],
        modified: SystemTime::UNIX_EPOCH,
    };
    assert!(open(&packed(&[stored], false), &with(0, 1)).is_ok());
}

#[test]
fn a_file_that_is_inflated_to_more_than_it_says_is_not_sent() {
    let mut bytes = one("a", &[b'a'; 5000]);
    let at = |bytes: &[u8], mark: &[u8]| {
        let found = bytes.windows(4).position(|four| four == mark);
        found.unwrap()
    };
    // How long it is inflated stands in the directory of the archive and before its data.
    let (directory, local) = (
        at(&bytes, b"PK\x01\x02") + 24,
        at(&bytes, b"PK\x03\x04") + 22,
    );
    for place in [directory, local] {
        bytes[place..place + 4].copy_from_slice(&100_u32.to_le_bytes());
    }
    let (_file, root) = open(&bytes, &Limits::default()).unwrap();
    assert_eq!(status(&root, "/m/a"), 500);
}

#[test]
fn what_cannot_be_served_of_an_archive_is_refused_with_its_name() {
    let limits = Limits::default();
    for name in ["../a", "d/../a"] {
        let refused = open(&one(name, b"a"), &limits).unwrap_err();
        assert!(
            matches!(&refused, ZipFault::Name(bad) if bad == name),
            "{refused}"
        );
    }
    let twice = ["d/a", "d//a"].map(|name| Packed {
        name: name.into(),
        content: Vec::new(),
        modified: SystemTime::UNIX_EPOCH,
    });
    let refused = open(&packed(&twice, true), &limits).unwrap_err();
    assert!(matches!(refused, ZipFault::Name(_)), "{refused}");
    let refused = open(b"no archive", &limits).unwrap_err();
    assert!(matches!(refused, ZipFault::Broken(_)), "{refused}");
    let mut encrypted = one("a", b"a");
    for mark in [b"PK\x01\x02", b"PK\x03\x04"] {
        let at = encrypted.windows(4).position(|four| four == mark).unwrap();
        encrypted[at + if mark[2] == 1 { 8 } else { 6 }] |= 1;
    }
    let refused = open(&encrypted, &limits).unwrap_err();
    assert!(matches!(refused, ZipFault::Method(_)), "{refused}");
    let absent = FilesMount::zip("/nowhere/a.zip").open(&limits).unwrap_err();
    let absent = absent.to_string();
    assert!(
        absent.starts_with("/nowhere/a.zip: cannot be served as a zip archive"),
        "{absent}"
    );
}

#[test]
fn an_entry_that_says_that_it_is_longer_than_it_is_stored_is_refused() {
    let file = Packed {
        name: "a".into(),
        content: b"hello".into(),
        modified: SystemTime::UNIX_EPOCH,
    };
    let mut bytes = packed(&[file], false);
    // Something ahead of it, as in archives that unpack themselves, does not count.
    let shifted = [b"#!/bin/sh\n", &bytes[..]].concat();
    let (_file, root) = open(&shifted, &Limits::default()).unwrap();
    assert_eq!(status(&root, "/m/a"), 200);
    let directory = bytes.windows(4).position(|four| four == b"PK\x01\x02");
    // How long it is stored, and then how long it is.
    let place = directory.unwrap() + 20;
    for place in [place, place + 4] {
        bytes[place..place + 4].copy_from_slice(&60_u32.to_le_bytes());
        let refused = open(&bytes, &Limits::default()).unwrap_err();
        assert!(matches!(refused, ZipFault::Broken(_)), "{refused}");
    }
}

#[test]
fn links_in_an_archive_are_not_there_and_directories_are() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.add_directory("empty", options).unwrap();
    writer.add_symlink("link", "/etc/passwd", options).unwrap();
    writer.start_file("./d/a", options).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let (_file, root) = open(&bytes, &Limits::default()).unwrap();
    for (target, expected) in [
        ("/m/link", 404),
        ("/m/empty", 301),
        ("/m/empty/", 403),
        ("/m/d/a", 200),
    ] {
        assert_eq!(status(&root, target), expected, "{target}");
    }
}

#[test]
fn an_archive_that_is_changed_in_place_is_not_served_until_it_is_opened_anew() {
    let (file, root) = open(&one("a", b"before"), &Limits::default()).unwrap();
    assert_eq!(status(&root, "/m/a"), 200);
    std::fs::write(file.path(), one("a", b"behind, and longer")).unwrap();
    assert_eq!(status(&root, "/m/a"), 500);
    let again = FilesMount::zip(file.path()).open(&Limits::default());
    assert_eq!(status(&again.unwrap(), "/m/a"), 200);
}

#[test]
fn an_archive_with_any_byte_changed_is_refused_or_served_and_nothing_panics() {
    let whole = one("d/a.txt", b"hello hello hello");
    let mut refused = 0;
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            match open(&bytes, &Limits::default()) {
                Ok((_file, root)) => {
                    let status = status(&root, "/m/d/a.txt");
                    assert!(matches!(status, 200 | 404 | 500 | 503), "{at}: {status}");
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 0);
}
