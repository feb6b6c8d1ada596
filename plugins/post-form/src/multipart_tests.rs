use std::{fs, path::Path};

use super::*;
use crate::form::Receipt;

fn rules(directory: &Path) -> Arc<Rules> {
    Arc::new(Rules {
        directory: Some(directory.to_owned()),
        most_file_bytes: 100,
        most_files: 2,
        most_field_bytes: 20,
        most_fields: 3,
    })
}

fn read(directory: &Path, pieces: &[&[u8]]) -> Result<Receipt, Failure> {
    let mut form = Multipart::new("xx", rules(directory));
    for piece in pieces {
        form.take(piece)?;
    }
    form.end()?.store()
}

fn json(receipt: &Receipt) -> serde_json::Value {
    serde_json::to_value(receipt).expect("it has JSON")
}

/// What is in a directory, as name and content.
fn listed(directory: &Path) -> Vec<(String, String)> {
    let mut listed: Vec<_> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            (name, fs::read_to_string(entry.path()).expect("text"))
        })
        .collect();
    listed.sort();
    listed
}

const FORM: &str = "before\r\n--xx\r\n\
    Content-Disposition: form-data; name=\"a\"\r\n\r\n\
    caf\u{e9}\r\n--x\r\n-\r\n--xx \t\r\n\
    content-disposition: form-data; name=\"f\"; filename=\"../\u{fc}.txt\"\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\r\n\
    \r\n--x\r--xx\r\n--x\r\n\r\n--xx\r\n\
    Content-Disposition: form-data; name=\"g\"; filename=\"\u{fc}.txt\"\r\n\r\n\
    \r\n--xx\r\n\
    Content-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\
    Content-Type: application/octet-stream\r\n\r\n\
    \r\n--xx--\r\nbehind";

#[test]
fn a_form_is_the_same_wherever_it_is_split() {
    let whole = serde_json::json!({
        "fields": [{"name": "a", "value": "caf\u{e9}\r\n--x\r\n-"}],
        "files": [
            {"field": "f", "name": "../\u{fc}.txt", "stored": "\u{fc}.txt", "bytes": 17,
             "type": "text/plain; charset=utf-8"},
            {"field": "g", "name": "\u{fc}.txt", "stored": "\u{fc}-1.txt", "bytes": 0},
        ],
    });
    let kept = [
        ("\u{fc}-1.txt", ""),
        ("\u{fc}.txt", "\r\n--x\r--xx\r\n--x\r\n"),
    ];
    let form = FORM.as_bytes();
    let splits = (0..=form.len()).map(|at| vec![&form[..at], &form[at..]]);
    for pieces in splits.chain([form.chunks(1).collect()]) {
        let directory = tempfile::tempdir().expect("a directory");
        let receipt = read(directory.path(), &pieces).expect("right");
        let at = pieces[0].len();
        assert_eq!(json(&receipt), whole, "split at {at}");
        assert_eq!(
            listed(directory.path()),
            kept.map(|(name, text)| (name.to_owned(), text.to_owned())),
            "split at {at}"
        );
    }
}

#[test]
fn a_form_that_ends_too_early_anywhere_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let end = FORM.len() - "\r\nbehind".len();
    for at in 0..end {
        let Err(failure) = read(directory.path(), &[&FORM.as_bytes()[..at]]) else {
            panic!("{at} of {end} bytes were taken for the whole");
        };
        assert_eq!(failure.status, 400, "{at}: {}", failure.why);
        assert_eq!(listed(directory.path()), [], "{at}");
    }
}

fn status(form: &str) -> u16 {
    let directory = tempfile::tempdir().expect("a directory");
    let status = match read(directory.path(), &[form.as_bytes()]) {
        Ok(_) => 200,
        Err(failure) => failure.status,
    };
    assert!(
        status == 200 || listed(directory.path()).is_empty(),
        "{form:?}"
    );
    status
}

fn part(told: &str, content: &str) -> String {
    format!("--xx\r\nContent-Disposition: form-data; {told}\r\n\r\n{content}\r\n")
}

#[test]
fn a_form_has_its_limits() {
    let file = |bytes: usize| part("name=f; filename=f", &"x".repeat(bytes));
    let field = |bytes: usize| part("name=a", &"x".repeat(bytes));
    let form = |parts: &[String]| status(&format!("{}--xx--", parts.concat()));
    assert_eq!(
        form(&[file(100), file(100), field(20), field(20), field(20)]),
        200
    );
    assert_eq!(form(&[file(1), file(101)]), 413);
    assert_eq!(form(&[file(1), file(1), file(1)]), 413);
    assert_eq!(form(&[file(1), field(21)]), 413);
    assert_eq!(
        form(&[file(1), field(1), field(1), field(1), field(1)]),
        413
    );
    let name = "x".repeat(1025);
    assert_eq!(form(&[part(&format!("name={name}"), "")]), 413);
}

#[test]
fn what_is_no_form_is_refused() {
    let first = part("name=f; filename=f", "content");
    for form in [
        "".to_owned(),
        "--yy--".to_owned(),
        format!("{first}--xxx\r\n"),
        format!("{first}--xx\r\nno field\r\n\r\n\r\n--xx--"),
        format!("{first}{}--xx--", part("filename=f", "")),
        format!("{first}{}--xx--", part("name=f; filename*=UTF-8''f", "")),
        format!("{first}--xx\r\nContent-Type: text/plain\r\n\r\n\r\n--xx--"),
    ] {
        assert_eq!(status(&form), 400, "{form:?}");
    }
}

#[test]
fn neither_a_preamble_nor_the_fields_of_a_part_go_on_for_ever() {
    for begin in ["", "--xx\r\n", "--xx\r\nX: "] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut form = Multipart::new("xx", rules(directory.path()));
        let mut refused = form.take(begin.as_bytes());
        let mut bytes = 0;
        while refused.is_ok() {
            assert!(bytes <= MOST_SILENT_BYTES, "{begin:?}");
            bytes += 1000;
            refused = form.take(&[b'x'; 1000]);
        }
        assert_eq!(refused.expect_err("too much").status, 400);
    }
}

#[test]
fn without_a_directory_no_file_is_taken() {
    let rules = Rules {
        directory: None,
        ..Arc::into_inner(rules(Path::new("/"))).expect("the only one")
    };
    let mut form = Multipart::new("xx", Arc::new(rules));
    let refused = form.take(FORM.as_bytes()).expect_err("no place");
    assert_eq!(refused.status, 403);
}
