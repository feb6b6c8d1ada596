//! The capabilities that this project set out with, one row each: that a test shows each of them, and that
//! `docs/seeds.md`, which is made from the rows and their tests, says what they say.
//!
//! `rows.txt` has the rows. A test that shows one is named `seed_GROUP_ROW_what_is_true`, and one that shows several
//! `seed_4_7_seed_4_8_what_is_true`. It has to stand outside `host/src`, where nothing private is in reach.
//! `UPDATE_SNAPSHOTS=1` writes the page anew.

mod page;
mod rows;
#[path = "../support/snapshot.rs"]
#[expect(dead_code, reason = "these texts are the same in each run")]
mod snapshot;
mod sources;

use rows::{Row, State, rows};
use sources::{Shown, shown};

/// How many rows each group has.
const ROWS: [u8; 11] = [20, 15, 11, 21, 14, 15, 14, 11, 9, 7, 4];

/// The tests that count for this row.
fn tests_of<'a>(row: &Row, shown: &'a [Shown]) -> Vec<&'a Shown> {
    let tests = shown.iter();
    tests
        .filter(|test| test.is_outside && test.rows.contains(&row.number))
        .collect()
}

#[test]
fn the_rows_are_all_there_and_in_their_order() {
    let found: Vec<_> = rows().into_iter().map(|row| row.number).collect();
    let expected: Vec<_> = (1..)
        .zip(ROWS)
        .flat_map(|(group, count)| (1..=count).map(move |row| (group, row)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_row_is_shown_by_a_test_or_stands_as_replaced_or_open() {
    let shown = shown();
    let rows = rows();
    let faults: Vec<_> = rows
        .iter()
        .filter_map(|row| fault(row, &tests_of(row, &shown)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with a row that has these tests.
fn fault(row: &Row, tests: &[&Shown]) -> Option<String> {
    let (group, number) = row.number;
    let what = row.what;
    match (row.state, tests.first()) {
        (State::Shown, None) => Some(format!(
            "{group}.{number}: no test outside of host/src is named seed_{group}_{number}_...; it is: {what}"
        )),
        (State::Open, Some(test)) => Some(format!(
            "{group}.{number}: {} shows it; take `open` from it in tests/seeds/rows.txt",
            test.name
        )),
        (State::Shown | State::Replaced, _) if row.ours.is_empty() => Some(format!(
            "{group}.{number}: tests/seeds/rows.txt does not say what it is with us; it is: {what}"
        )),
        _ => None,
    }
}

#[test]
fn no_test_names_a_row_that_is_not_there() {
    let rows = rows();
    for test in shown() {
        let (name, file) = (&test.name, &test.file);
        assert!(!test.rows.is_empty(), "{name} in {file} names no row");
        assert!(test.runs, "{name} in {file} is no test, or is ignored");
        for number in &test.rows {
            assert!(
                rows.iter().any(|row| row.number == *number),
                "{name} in {file}: there is no row {}.{}",
                number.0,
                number.1
            );
        }
    }
}

#[test]
fn the_page_is_made_from_the_rows_and_their_tests() {
    let page = page::written(&rows(), &shown());
    snapshot::assert_snapshot("../../docs/seeds.md", &page);
}
