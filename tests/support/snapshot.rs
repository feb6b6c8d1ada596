//! Texts that operators and authors read, kept in the repository and compared.

use std::fs;
use std::path::Path;

/// Compares `found` with the file of this name in `tests/snapshots`. `UPDATE_SNAPSHOTS=1` writes the file anew.
pub(crate) fn assert_snapshot(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/snapshots")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, found).expect("the snapshot can be written");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(found, expected, "{}", file.display());
    }
    let counts = (found.lines().count(), expected.lines().count());
    assert_eq!(counts.0, counts.1, "lines of {}:\n{found}", file.display());
}

/// `text` with each of `known` replaced by its name, and with `N` for what differs from run to run: each word that is a
/// number, decimal or hexadecimal.
pub(crate) fn normalised(text: &str, known: &[(&str, &str)]) -> String {
    let named = known.iter().fold(text.to_owned(), |text, (value, name)| {
        text.replace(value, name)
    });
    let mut out = String::with_capacity(named.len());
    let mut rest = named.as_str();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(end);
        out.push_str(if is_number(word) { "N" } else { word });
        rest = behind;
    }
    out
}

fn is_number(word: &str) -> bool {
    let is_hexadecimal = word.chars().all(|c| c.is_ascii_hexdigit());
    is_hexadecimal && (word.len() > 5 || word.contains(|c: char| c.is_ascii_digit()))
}
