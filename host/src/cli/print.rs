//! Standard output for scripts, standard error for people.

use std::error::Error;
use std::io::{self, Write};

use serde_json::Value;

use crate::config::ConfigError;
use crate::logging::escaped;

/// One line on standard output.
pub fn line(text: &str) {
    // Who closed our output does not want to know more; that is no error of ours.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// One line for people on standard error, without control characters.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escaped(text));
}

/// An error and all that caused it, on standard error.
pub(super) fn error(error: &(dyn Error + 'static)) {
    // Begins with file and line, where editors look for them.
    let mut text = if error.is::<ConfigError>() {
        error.to_string()
    } else {
        format!("error: {error}")
    };
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  because: {cause}"));
        source = cause.source();
    }
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What deserves a look, on standard error.
pub(super) fn warning(text: &str) {
    let _ = writeln!(io::stderr().lock(), "warning: {text}");
}

/// Rows under their headings, the columns in line.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            cells(column)
                .map(|cell| cell.chars().count())
                .chain([heading.len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let headings = headings
        .iter()
        .map(|heading| (*heading).to_owned())
        .collect();
    let lines = std::iter::once(&headings).chain(rows).map(|row| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A value of an answer as a cell: nothing for null, text without control characters.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::String(text) => escaped(text),
        Value::Object(refusal) => {
            let word = |key| refusal.get(key).and_then(Value::as_str).unwrap_or_default();
            escaped(&format!("{}: {}", word("stage"), word("cause")))
        }
        other => other.to_string(),
    }
}
