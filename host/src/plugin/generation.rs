//! One loaded version of a plugin, and the count that keeps it in service.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;

use super::hash::Hash;
use crate::context::handler::Label;

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// New sessions bind it.
    Serving,
    /// It has sessions, but gets no new ones.
    Draining,
    /// It has none left. Its library stays mapped.
    Retired,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Retired => "retired",
        })
    }
}

/// One loaded version of a plugin. Shared by the plugin registry, the sessions and the status; any thread may read it.
#[derive(Debug)]
pub struct Generation {
    /// The name of the plugin.
    pub plugin: String,
    /// The version that the plugin says it has.
    pub version: String,
    /// Counts up with each version of the plugin that was tried; never used again.
    pub number: u64,
    /// The file it came from, as it is named in the plugin directory.
    pub file: PathBuf,
    /// The hash of that file.
    pub hash: Hash,
    /// The names of its protocols that answer HTTP.
    pub http: Vec<String>,
    /// Whether it is linked into the program, and came from no file.
    pub is_linked: bool,
    /// When it was made.
    pub loaded_at: SystemTime,
    superseded: AtomicBool,
    sessions: AtomicU64,
}

impl Generation {
    /// A generation that serves and has no session yet.
    pub(crate) fn new(
        plugin: String,
        version: String,
        number: u64,
        file: PathBuf,
        hash: Hash,
        http: Vec<String>,
    ) -> Self {
        Self {
            plugin,
            version,
            number,
            file,
            hash,
            http,
            is_linked: false,
            loaded_at: SystemTime::now(),
            superseded: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
        }
    }

    /// The same, of a plugin that is linked into the program, or not.
    pub(crate) fn linked(mut self, is_linked: bool) -> Self {
        self.is_linked = is_linked;
        self
    }

    /// Where it is in its life. A session that was being opened when the generation was superseded may bring it from
    /// retired back to draining for as long as it lasts.
    #[must_use]
    pub fn state(&self) -> State {
        if !self.superseded.load(Ordering::Acquire) {
            State::Serving
        } else if self.sessions() > 0 {
            State::Draining
        } else {
            State::Retired
        }
    }

    /// How many sessions and exchanges hold a lease.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Acquire)
    }

    /// A session or an exchange begins: it holds a lease on this generation.
    pub(crate) fn enter(&self) {
        self.sessions.fetch_add(1, Ordering::AcqRel);
    }

    /// One has ended.
    pub(crate) fn leave(&self) {
        self.sessions.fetch_sub(1, Ordering::AcqRel);
    }

    /// Who it is, for logs.
    #[must_use]
    pub fn label(&self) -> Label {
        Label {
            plugin: self.plugin.clone(),
            version: self.version.clone(),
            generation: self.number,
        }
    }

    /// From now on it gets no new sessions.
    pub(crate) fn drain(&self) {
        self.superseded.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_drains_until_its_last_session_has_left() {
        let generation = Generation::new(
            "echo".into(),
            "1.0.0".into(),
            1,
            "echo.so".into(),
            Hash::of(b""),
            Vec::new(),
        );
        assert_eq!(generation.state(), State::Serving);
        generation.enter();
        generation.enter();
        generation.drain();
        assert_eq!(generation.state(), State::Draining);
        generation.leave();
        assert_eq!(
            (generation.state(), generation.sessions()),
            (State::Draining, 1)
        );
        generation.leave();
        assert_eq!(generation.state(), State::Retired);
    }
}
