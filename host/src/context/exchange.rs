//! One HTTP exchange as the context knows it.

/// What is kept of an exchange while it goes on.
#[derive(Debug)]
pub struct Exchange {
    pub(super) doing: Doing,
}

/// Who answers.
#[derive(Debug)]
pub(super) enum Doing {
    /// The host itself, and it has.
    Answered,
}

impl Exchange {
    /// The host has answered by itself.
    pub(super) fn answered() -> Self {
        Self {
            doing: Doing::Answered,
        }
    }
}
