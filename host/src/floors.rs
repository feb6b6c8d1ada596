//! The house guards itself: a floor uses its own and those below, and what is foreign has one room.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; `limits` is plain data for everyone. What stands together knows each other.
const FLOORS: &[&[&str]] = &[
    &["limits"],
    &["wire"],
    &["connection"],
    &["line_file"],
    &["net", "access_log"],
    &["context"],
    &["plugin"],
    &["config", "control", "logging"],
    &["server", "cli"],
];

/// Crates that one floor alone knows.
const ROOMS: &[(&str, &str)] = &[
    ("mio", "net"),
    ("rustls", "net"),
    ("dns_lookup", "net"),
    ("httparse", "wire"),
    ("httpdate", "wire"),
    ("mime_guess", "context"),
    ("zip", "context"),
    ("libloading", "plugin"),
    ("abi_stable", "plugin"),
    ("notify", "plugin"),
    ("clap", "cli"),
    ("jsonc_parser", "config"),
];

/// The roof puts the floors together, and may name what they are made of.
const ROOF: usize = 8;

fn height(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The modules at the top of the crate that a text names: `crate::net`, `use crate::{net::io, wire}`.
fn named(text: &str) -> Vec<String> {
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut names = Vec::new();
    for (at, start) in text.match_indices("crate::") {
        let rest = &text[at + start.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in list.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => names.push(word(std::mem::take(&mut item).trim())),
                c => {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    item.push(c);
                }
            }
        }
        names.push(word(item.trim()));
    }
    names
}

#[test]
fn a_floor_uses_only_those_below() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 50, "{} files", files.len());
    for file in files {
        let shown = file.strip_prefix(&source).unwrap();
        let floor = shown.iter().next().unwrap().to_str().unwrap();
        let Some(own) = height(floor.trim_end_matches(".rs")) else {
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for name in named(&text) {
            let is_fine = height(&name).is_none_or(|other| other <= own);
            assert!(
                is_fine,
                "{} uses {name}, which is above it",
                shown.display()
            );
        }
        // A test may put together what its floor is given.
        let served = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let is_test = shown
            .components()
            .any(|part| part.as_os_str().to_string_lossy().starts_with("test"));
        for (foreign, room) in ROOMS {
            let is_fine = floor == *room
                || own == ROOF
                || is_test
                || !served.contains(&format!("{foreign}::"));
            assert!(
                is_fine,
                "{} uses {foreign}: that is for {room} alone",
                shown.display()
            );
        }
    }
}

#[test]
fn what_a_text_names_is_found() {
    let text = "use crate::{a::{b, c}, d}; use crate::e::f; let x = crate::g;";
    assert_eq!(named(text), ["a", "d", "e", "g"]);
}
