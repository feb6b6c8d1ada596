//! One loaded version of a plugin, and the count that keeps it in service.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;

use super::image::Hash;

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
    ) -> Self {
        Self {
            plugin,
            version,
            number,
            file,
            hash,
            loaded_at: SystemTime::now(),
            superseded: AtomicBool::new(false),
            sessions: AtomicU64::new(0),
        }
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

    /// How many sessions hold a lease.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Acquire)
    }

    /// What a session holds for as long as it lives.
    #[must_use]
    pub fn lease(self: &Arc<Self>) -> Lease {
        self.sessions.fetch_add(1, Ordering::AcqRel);
        Lease(Arc::clone(self))
    }

    /// From now on it gets no new sessions.
    pub(crate) fn drain(&self) {
        self.superseded.store(true, Ordering::Release);
    }
}

/// What a session holds so that its generation lives on.
#[derive(Debug)]
pub struct Lease(Arc<Generation>);

impl Lease {
    /// The generation that is held.
    #[must_use]
    pub fn generation(&self) -> &Arc<Generation> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_drains_until_its_last_lease_is_dropped() {
        let generation = Arc::new(Generation::new(
            "echo".into(),
            "1.0.0".into(),
            1,
            "echo.so".into(),
            Hash::of(b""),
        ));
        assert_eq!(generation.state(), State::Serving);
        let first = generation.lease();
        let second = generation.lease();
        generation.drain();
        assert_eq!(generation.state(), State::Draining);
        drop(first);
        assert_eq!(
            (generation.state(), generation.sessions()),
            (State::Draining, 1)
        );
        drop(second);
        assert_eq!(generation.state(), State::Retired);
    }
}
