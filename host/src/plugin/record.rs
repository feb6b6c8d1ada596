//! What happened last to each file of the plugin directory.

use std::time::Instant;

use super::generation::Generation;
use super::hash::Hash;
use super::refusal::{Refusal, Stage};

/// What happened to a file last.
#[derive(Debug, Default)]
pub(crate) struct FileRecord {
    /// The content that was tried last.
    pub(crate) hash: Option<Hash>,
    /// The plugin it says it is.
    pub(crate) plugin: Option<String>,
    /// Why that content is not served.
    pub(crate) refusal: Option<Refusal>,
}

impl FileRecord {
    /// Whether the same content would be refused again, whatever else has changed.
    pub(crate) fn is_hopeless(&self, hash: Hash) -> bool {
        self.hash == Some(hash) && self.is_refused_at(Stage::is_of_the_bytes)
    }

    /// Whether it waits for a name that another file has.
    pub(crate) fn is_blocked(&self) -> bool {
        self.plugin.is_some() && self.is_refused_at(|stage| stage == Stage::Names)
    }

    /// Whether another config may help it.
    pub(crate) fn awaits_config(&self) -> bool {
        self.plugin.is_some()
            && self.is_refused_at(|stage| matches!(stage, Stage::Instance | Stage::Budget))
    }

    fn is_refused_at(&self, is_meant: impl Fn(Stage) -> bool) -> bool {
        self.refusal
            .as_ref()
            .is_some_and(|refusal| is_meant(refusal.stage))
    }

    /// Logs a refusal, unless it is the one that was logged before.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        if self.refusal.as_ref() != Some(&refusal) {
            refusal.log();
            self.refusal = Some(refusal);
        }
    }

    /// Logs that the file serves, and how long after it settled.
    pub(crate) fn accept(&mut self, generation: &Generation, settled: Instant) {
        self.refusal = None;
        tracing::info!(
            target: "hotsocket::plugin",
            plugin = generation.plugin,
            version = generation.version,
            generation = generation.number,
            file = %generation.file.display(),
            milliseconds = settled.elapsed().as_millis() as u64,
            "plugin installed"
        );
    }
}
