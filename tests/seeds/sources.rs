//! The tests that name rows, found in the sources of this repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rows::Number;

/// Where sources are.
const DIRECTORIES: [&str; 5] = ["host", "plugin-api", "plugins", "examples", "tests"];

/// A test that names rows.
pub(crate) struct Shown {
    /// Its file, from the top of the repository.
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) rows: Vec<Number>,
    /// What is true when it passes: its name without the rows.
    pub(crate) what: String,
    /// Whether it is a test that is not ignored, or one for the compiler in the documentation.
    pub(crate) runs: bool,
    /// Whether it sees nothing but what is public.
    pub(crate) is_outside: bool,
}

/// All of them, sorted by file and in the order of their file.
pub(crate) fn shown() -> Vec<Shown> {
    let mut shown = Vec::new();
    for directory in DIRECTORIES {
        for file in sources(&repository().join(directory)) {
            read(&file, &mut shown);
        }
    }
    assert!(!shown.is_empty(), "no test names a row");
    shown
}

fn repository() -> &'static Path {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("the host is in the repository")
}

/// The Rust files below a directory, without what cargo built.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of ours");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a directory of ours").path())
        .collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Adds those of one file.
fn read(path: &Path, shown: &mut Vec<Shown>) {
    let text = fs::read_to_string(path).expect("a source of ours");
    let file = path.strip_prefix(repository()).expect("below it");
    let file = file.display().to_string();
    let mut above = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") || line.starts_with("///") {
            above.push(line);
            continue;
        }
        if let Some(name) = name_of(line) {
            shown.push(test(name, &file, &above));
        }
        above.clear();
    }
}

/// The name of the function that begins on this line, when it begins as those that name rows do.
fn name_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ").filter(|(before, _)| {
        let words = before.split_whitespace();
        words
            .clone()
            .all(|word| word.chars().all(char::is_alphabetic))
    })?;
    let end = rest.find(['(', '<'])?;
    let name = &rest[..end];
    name.starts_with("seed_").then_some(name)
}

fn test(name: &str, file: &str, above: &[&str]) -> Shown {
    let for_the_compiler = above.contains(&"/// ```compile_fail");
    let is_test = above.contains(&"#[test]");
    let is_ignored = above.iter().any(|line| line.starts_with("#[ignore"));
    let (rows, what) = rows_of(name);
    Shown {
        file: file.to_owned(),
        name: name.to_owned(),
        rows,
        what: what.replace('_', " "),
        runs: (is_test && !is_ignored) || for_the_compiler,
        is_outside: for_the_compiler || !file.starts_with("host/src/"),
    }
}

/// The rows that a name begins with, and what follows them.
fn rows_of(name: &str) -> (Vec<Number>, &str) {
    let mut rows = Vec::new();
    let mut rest = name;
    while let Some((row, behind)) = first_row(rest) {
        rows.push(row);
        rest = behind;
    }
    (rows, rest)
}

fn first_row(name: &str) -> Option<(Number, &str)> {
    let rest = name.strip_prefix("seed_")?;
    let (group, rest) = rest.split_once('_')?;
    let (row, rest) = rest.split_once('_')?;
    Some(((group.parse().ok()?, row.parse().ok()?), rest))
}

#[test]
fn a_name_begins_with_its_rows() {
    let one = rows_of("seed_6_13_pause_reaches_the_peer");
    assert_eq!(one, (vec![(6, 13)], "pause_reaches_the_peer"));
    let two = rows_of("seed_4_7_seed_4_8_404_is_told");
    assert_eq!(two, (vec![(4, 7), (4, 8)], "404_is_told"));
    assert_eq!(rows_of("seed_of_nothing").0, []);
}

#[test]
fn only_what_runs_is_a_test() {
    assert_eq!(name_of("fn seed_1_1_a() {"), Some("seed_1_1_a"));
    assert_eq!(name_of("pub fn seed_1_1_a<T>() {"), Some("seed_1_1_a"));
    assert_eq!(name_of("let text = \"fn seed_1_1_a()\";"), None);
    assert_eq!(name_of("// fn seed_1_1_a()"), None);
    assert!(test("seed_1_1_a", "tests/a.rs", &["#[test]"]).runs);
    assert!(!test("seed_1_1_a", "tests/a.rs", &["#[test]", "#[ignore]"]).runs);
    assert!(!test("seed_1_1_a", "tests/a.rs", &["/// A test."]).runs);
    assert!(!test("seed_1_1_a", "host/src/a.rs", &["#[test]"]).is_outside);
}
