//! The limits a service thread works by, in the types it compares them with.

use crate::limits::Limits;

/// What holds for all connections of a service thread.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The limits as configured.
    pub limits: Limits,
    /// [`Limits::high_mark_bytes`].
    pub(crate) high_mark: usize,
    /// [`Limits::low_mark_bytes`].
    pub(crate) low_mark: usize,
    /// [`Limits::read_budget_bytes`].
    pub(crate) read_budget: usize,
    /// [`Limits::accept_count`].
    pub(crate) accept_count: u64,
}

impl From<&Limits> for Settings {
    fn from(limits: &Limits) -> Self {
        let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        // Without one byte or connection at a time nothing would go on, and the loop would not rest.
        Self {
            limits: limits.clone(),
            high_mark: bytes(limits.high_mark_bytes).max(1),
            low_mark: bytes(limits.low_mark_bytes),
            read_budget: bytes(limits.read_budget_bytes).max(1),
            accept_count: limits.accept_count.max(1),
        }
    }
}
