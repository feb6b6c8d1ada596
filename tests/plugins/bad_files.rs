//! A bad file changes nothing: one line says file, stage, cause and mend, and the old version serves on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::support::lines::LogLine;
use crate::support::plugins::{
    changed_abi, marker, marker_text, marker_that, plugin, replaced, stamp_offset,
};
use crate::support::process::eventually;
use crate::support::server::{hotsocket, output_of};
use crate::support::snapshot::{assert_snapshot, normalised};
use crate::support::{DEADLINE, Server};

use super::marker_versions::{await_version, put, serving, setup};

/// Places in the fixed part of the stamp.
const STAMP_ABI_MAJOR: usize = 20;
const STAMP_FLAGS: usize = 28;
const STAMP_LAYOUT_HASH: usize = 32;

/// Each bad file by a name that says what is wrong with it.
fn bad_files() -> Vec<(&'static str, Vec<u8>)> {
    let good = marker(1);
    let stamp = stamp_offset(&good);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let library = fs::read(plugin("allocation_counter")).expect("a built library");
    vec![
        ("empty", Vec::new()),
        ("cut", good[..4096].to_vec()),
        ("one octet short", good[..good.len() - 1].to_vec()),
        ("text", b"this is a text and no library\n".repeat(50)),
        ("another machine", with(18, 183)),
        ("32 bits", with(4, 1)),
        ("no plugin", library),
        (
            "undefined symbol",
            replaced(&good, b"\0memcpy\0", b"\0memcqy\0"),
        ),
        ("another ABI major", with(stamp + STAMP_ABI_MAJOR, 9)),
        (
            "another ABI build",
            with(stamp + STAMP_LAYOUT_HASH, !good[stamp + STAMP_LAYOUT_HASH]),
        ),
        ("panic abort", with(stamp + STAMP_FLAGS, 3)),
        (
            "broken manifest",
            replaced(&good, b"{\"plugin\":", b"{\"plugin\"!"),
        ),
        (
            "wrong name",
            replaced(&good, b"\"name\":\"marker\"", b"\"name\":\"mar er\""),
        ),
        (
            "changed field",
            fs::read(changed_abi()).expect("a built plugin"),
        ),
        ("init fails", marker_that("fails")),
        ("init panics", marker_that("panics")),
    ]
}

#[test]
fn each_bad_file_is_one_line_that_says_what_to_do_and_the_old_version_serves_on() {
    let server = setup().start();
    let directory = server.directory().display().to_string();
    let begin = server.log().mark();
    let is_ours = |line: &LogLine| line.is_error() && line.mentions("marker.so");
    let mut told = String::new();
    for (name, bytes) in bad_files() {
        let mark = server.log().mark();
        put(&server, &bytes);
        let line = server.await_log(mark, is_ours);
        assert_eq!(serving(&server), marker_text(0), "after {name}");
        told.push_str(&format!("{name}\n"));
        for field in ["file", "stage", "cause", "mend"] {
            let text = normalised(&line.text(field), &[(&directory, "DIR")]);
            told.push_str(&format!("    {field}: {text}\n"));
        }
    }
    put(&server, &marker(1));
    await_version(&server, 1);
    let lines = server.logged(begin, is_ours);
    assert_eq!(lines.len(), bad_files().len(), "one line each: {lines:#?}");
    assert_snapshot("bad_files.txt", &told);
}

#[test]
fn a_bad_file_is_shown_by_plugin_list_until_it_is_mended() {
    let server = Server::with([&plugin("probe")]);
    put(&server, b"text");
    let listed = |wanted: &str| {
        let output = server.command(["plugin", "list", "--json"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).contains(wanted)
    };
    eventually("the file is listed", DEADLINE, || listed("marker.so"));
    put(&server, &marker(3));
    await_version(&server, 3);
}

#[test]
fn a_file_cut_at_any_page_is_refused_without_running_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("cut.so");
    let bytes = marker(1);
    fs::write(&file, &bytes).expect("a fresh directory");
    let inspect = |file: &Path| {
        let mut command = hotsocket();
        command.args(["plugin", "inspect"]).arg(file);
        output_of(command)
    };
    assert!(inspect(&file).status.success());
    let pages = bytes.len().div_ceil(4096);
    for length in (0..pages).rev().map(|page| page * 4096) {
        let cut = File::options().write(true).open(&file).expect("ours");
        cut.set_len(length as u64).expect("ours");
        let output = inspect(&file);
        assert_eq!(output.status.code(), Some(1), "cut at {length}: {output:?}");
    }
}

#[test]
fn cut_files_in_the_directory_are_refused_and_change_nothing() {
    let setup = setup();
    let bytes = marker(9);
    let cuts: Vec<PathBuf> = (0..16)
        .map(|nth| {
            let file = setup.plugin_directory().join(format!("cut-{nth:02}.so"));
            let length = (bytes.len() * nth / 16) & !4095;
            fs::write(&file, &bytes[..length]).expect("there is room");
            file
        })
        .collect();
    let server = setup.start();
    for file in cuts {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let line = server.await_log(0, |line| line.is_error() && line.mentions(&name));
        assert_ne!(line.text("cause"), "", "{line:?}");
        assert_ne!(line.text("mend"), "", "{line:?}");
    }
    assert_eq!(serving(&server), marker_text(0));
}

#[test]
fn bytes_behind_the_end_of_a_file_are_allowed() {
    let mut bytes = marker(5);
    bytes.extend_from_slice(b"a signature, or what a tool left behind");
    let server = Server::with([]);
    put(&server, &bytes);
    await_version(&server, 5);
}

#[test]
fn a_new_version_that_lacks_a_mounted_protocol_is_refused_unless_forced() {
    let server = setup().start();
    let mark = server.log().mark();
    let renamed = replaced(&marker(1), b"\"name\":\"marker\"", b"\"name\":\"renamd\"");
    put(&server, &renamed);
    let line = server.await_log(mark, LogLine::is_error);
    assert!(line.mentions("marker"), "{line:?}");
    assert_eq!(serving(&server), marker_text(0));

    let reload = ["plugin", "reload", "fixture-marker"];
    assert!(!server.command(reload).status.success());
    let forced = server.command(["plugin", "reload", "fixture-marker", "--force"]);
    assert!(forced.status.success(), "{forced:?}");
    assert_eq!(server.connect().handshake("/marker", &[]).status, 404);
    assert_eq!(server.connect().handshake("/renamd", &[]).status, 101);
}
