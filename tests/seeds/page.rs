//! The page.

use std::fmt::Write;

use crate::rows::{Row, State};
use crate::sources::Shown;
use crate::tests_of;

/// What stands above the tables.
const HEAD: &str = "\
# The seeds

Hotsocket began with a list: what a server for WebSocket and HTTP can do whose users write protocols, taken from several
generations of the libwebsockets API. This page has each row of it, what it is with us, and the tests that show it. It is
made from `tests/seeds/rows.txt` and from the names of the tests; `cargo test -p hotsocket --test seeds` compares it, and
with `UPDATE_SNAPSHOTS=1` writes it anew.

The tests of a row are named after it: `cargo test --workspace seed_6_13` runs those of 6.13. Each drives a running host, or
what else is public, and fails when what it shows is taken away.
";

/// The page, from all rows and all tests.
pub(crate) fn written(rows: &[Row], shown: &[Shown]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&counted(rows));
    let mut heading = "";
    for row in rows {
        if row.heading != heading {
            heading = row.heading;
            let columns = "| row | what it is | with us | shown by |\n| --- | --- | --- | --- |";
            line(&mut page, format_args!("\n## {heading}\n\n{columns}"));
        }
        let (group, number) = row.number;
        let (ours, tests) = match row.state {
            State::Shown => (row.ours.to_owned(), linked(&tests_of(row, shown))),
            State::Open => (String::new(), "not yet".to_owned()),
            State::Replaced => (format!("replaced: {}", row.ours), String::new()),
        };
        let what = row.what;
        line(
            &mut page,
            format_args!("| {group}.{number} | {what} | {ours} | {tests} |"),
        );
    }
    page
}

/// How many rows there are of each state.
fn counted(rows: &[Row]) -> String {
    let count = |state| rows.iter().filter(|row| row.state == state).count();
    let (shown, open) = (count(State::Shown), count(State::Open));
    let replaced = count(State::Replaced);
    format!(
        "\nOf {} rows {shown} are shown by tests, {replaced} are replaced by something else, and {open} are open.\n",
        rows.len()
    )
}

/// What the tests say, each with its file.
fn linked(tests: &[&Shown]) -> String {
    let links = tests
        .iter()
        .map(|test| format!("[{}](../{})", test.what, test.file));
    links.collect::<Vec<_>>().join("<br>")
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a string can be written to");
}
