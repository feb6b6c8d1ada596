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

/// `text` with each of `known` replaced by its name, and each number by `N`.
pub(crate) fn normalised(text: &str, known: &[(&str, &str)]) -> String {
    let named = known.iter().fold(text.to_owned(), |text, (value, name)| {
        text.replace(value, name)
    });
    let mut out = String::with_capacity(named.len());
    let mut in_number = false;
    for character in named.chars() {
        let digit = character.is_ascii_digit();
        match (digit, in_number) {
            (true, false) => out.push('N'),
            (true, true) => {}
            (false, _) => out.push(character),
        }
        in_number = digit;
    }
    out
}
