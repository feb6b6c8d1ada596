//! The plugins of a host by name: which generation serves, and which have served before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::generation::{Generation, State};
use super::hash::Hash;
use super::manifest::Manifest;
use super::names::Hold;
use super::refusal::Refusal;
use super::status::PluginRow;

/// All plugins that were ever tried.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    plugins: BTreeMap<String, Plugin>,
}

#[derive(Debug, Default)]
struct Plugin {
    last_number: u64,
    serving: Option<Serving>,
    /// Superseded or withdrawn, oldest first.
    former: Vec<Arc<Generation>>,
}

#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) generation: Arc<Generation>,
    pub(crate) manifest: Arc<Manifest>,
    /// The file was removed: it serves until the end of the step, unless another file takes over.
    pub(crate) is_gone: bool,
}

impl Catalog {
    /// The number of the next generation of a plugin; never used again.
    pub(crate) fn next_number(&mut self, plugin: &str) -> u64 {
        let plugin = self.plugins.entry(plugin.to_owned()).or_default();
        plugin.last_number += 1;
        plugin.last_number
    }

    /// What serves under the name of a plugin.
    pub(crate) fn serving(&self, plugin: &str) -> Option<&Serving> {
        self.plugins.get(plugin)?.serving.as_ref()
    }

    /// Everything that serves.
    pub(crate) fn all_serving(&self) -> impl Iterator<Item = &Serving> {
        let plugins = self.plugins.values();
        plugins.filter_map(|plugin| plugin.serving.as_ref())
    }

    /// Whether something serves that came from this file.
    pub(crate) fn serves(&self, file: &Path) -> bool {
        self.all_serving()
            .any(|serving| serving.generation.file == file)
    }

    /// Whether this content of the file serves.
    pub(crate) fn is_serving(&self, file: &Path, hash: Hash) -> bool {
        self.all_serving().any(|serving| {
            let generation = &serving.generation;
            generation.file == file && generation.hash == hash && !serving.is_gone
        })
    }

    /// Lets a generation serve; the one before drains.
    pub(crate) fn supersede(&mut self, serving: Serving) {
        let Generation {
            plugin: name, hash, ..
        } = &*serving.generation;
        let (name, hash) = (name.clone(), *hash);
        let plugin = self.plugins.entry(name).or_default();
        if let Some(before) = plugin.serving.replace(serving) {
            plugin.retire(before.generation);
        }
        // Their mapping is in use again, so they no longer stand for one of their own.
        plugin
            .former
            .retain(|former| former.state() != State::Retired || former.hash != hash);
    }

    /// Marks what this file serves as gone.
    pub(crate) fn lose(&mut self, file: &Path) {
        let plugins = self.plugins.values_mut();
        for serving in plugins.filter_map(|plugin| plugin.serving.as_mut()) {
            serving.is_gone |= serving.generation.file == file;
        }
    }

    /// Lets those drain that are meant, with nothing in their place.
    pub(crate) fn withdraw(&mut self, is_meant: impl Fn(&Serving) -> bool) -> Vec<Arc<Generation>> {
        let mut withdrawn = Vec::new();
        for plugin in self.plugins.values_mut() {
            if let Some(serving) = plugin.serving.take_if(|serving| is_meant(serving)) {
                plugin.retire(Arc::clone(&serving.generation));
                withdrawn.push(serving.generation);
            }
        }
        withdrawn
    }

    /// One row per generation, the newest first; `refusal` tells why the present content of a file does not serve.
    pub(crate) fn rows<'r>(
        &self,
        refusal: impl Fn(&Path) -> Option<&'r Refusal>,
    ) -> Vec<PluginRow> {
        let mut rows = Vec::new();
        for plugin in self.plugins.values() {
            if let Some(Serving { generation, .. }) = &plugin.serving {
                let refusal = refusal(&generation.file);
                rows.push(PluginRow::of_generation(generation, refusal));
            }
            let former = plugin.former.iter().rev();
            rows.extend(former.map(|generation| PluginRow::of_generation(generation, None)));
        }
        rows
    }
}

impl Plugin {
    fn retire(&mut self, generation: Arc<Generation>) {
        generation.drain();
        self.former.push(generation);
    }
}

impl Serving {
    /// How firmly it holds its names while these files are not there.
    pub(crate) fn hold(&self, absent: &BTreeSet<PathBuf>) -> Hold {
        if self.is_gone {
            Hold::Gone
        } else if absent.contains(&self.generation.file) {
            Hold::Absent
        } else {
            Hold::Firm
        }
    }
}
