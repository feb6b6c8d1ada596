//! The rows, as `rows.txt` has them: number and state, what it is, and what it is with us.

/// Group and row.
pub(crate) type Number = (u8, u8);

/// One capability.
pub(crate) struct Row {
    pub(crate) number: Number,
    pub(crate) state: State,
    /// What it is.
    pub(crate) what: &'static str,
    /// What of ours it is, or what replaces it. Empty while that is not decided.
    pub(crate) ours: &'static str,
    /// The heading above it.
    pub(crate) heading: &'static str,
}

/// How far a row has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// A test has to show it.
    Shown,
    /// Nothing shows it yet.
    Open,
    /// Something else is there in its place.
    Replaced,
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut heading = "";
    let mut rows = Vec::new();
    for line in include_str!("rows.txt").lines() {
        match line.strip_prefix("# ") {
            Some(text) => heading = text,
            None if line.is_empty() => {}
            None => rows.push(row(line, heading)),
        }
    }
    rows
}

fn row(line: &'static str, heading: &'static str) -> Row {
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    let [first, what, ours] = cells[..] else {
        panic!("three cells: {line}");
    };
    let (number, state) = first.split_once(' ').unwrap_or((first, ""));
    let number = number.split_once('.').and_then(|(group, row)| {
        let numbers = (group.parse().ok()?, row.parse().ok()?);
        Some(numbers)
    });
    Row {
        number: number.unwrap_or_else(|| panic!("GROUP.ROW first: {line}")),
        state: match state {
            "" => State::Shown,
            "open" => State::Open,
            "replaced" => State::Replaced,
            other => panic!("`{other}` is no state of a row: {line}"),
        },
        what,
        ours,
        heading,
    }
}
