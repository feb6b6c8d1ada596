//! Which plugin serves: from names to generations. Knows neither contexts nor libraries; both are told to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::{Catalog, Serving};
use super::generation::Generation;
use super::hash::Hash;
use super::manifest::{Manifest, Provided};
use super::names::{self, Holder};
use super::record::FileRecord;
use super::refusal::{Fault, Refusal, Stage};
use super::status::PluginRow;
use super::tables::Opened;

/// Stands for the path of a plugin that is linked into the program.
const LINKED: &str = "(linked) ";

/// Where generations are put to work: the server.
pub trait Installer {
    /// Instances that are made and not yet visible. Dropped unused when they are not installed.
    type Prepared;

    /// Starts the plugin, and makes its instances on each vhost that uses it; nothing is visible yet.
    ///
    /// # Errors
    ///
    /// At [`Stage::Start`] or [`Stage::Instance`].
    fn prepare(
        &mut self,
        generation: &Arc<Generation>,
        opened: &Opened,
    ) -> Result<Self::Prepared, Refusal>;

    /// New sessions bind it from now on; the one before drains.
    fn install(&mut self, prepared: Self::Prepared);

    /// New sessions no longer find the protocols of this generation. Its sessions go on.
    fn withdraw(&mut self, generation: &Arc<Generation>);

    /// Whether some vhost uses this, so that a new version must not lack it.
    fn is_used(&self, what: Provided<'_>) -> bool;
}

/// All plugins of a host, by name, and all files of the plugin directory.
#[derive(Debug)]
pub struct Registry<O> {
    #[cfg_attr(not(feature = "plugin-files"), allow(dead_code))]
    opener: O,
    catalog: Catalog,
    files: BTreeMap<PathBuf, FileRecord>,
    /// Files that were not there at the last look, which may be for a moment only.
    absent: BTreeSet<PathBuf>,
}

impl<O> Registry<O> {
    /// No plugins yet.
    pub fn new(opener: O) -> Self {
        Self {
            opener,
            catalog: Catalog::default(),
            files: BTreeMap::new(),
            absent: BTreeSet::new(),
        }
    }

    /// Installs a plugin that is linked into the program. It has no file, and stays.
    ///
    /// # Errors
    ///
    /// At [`Stage::Names`], [`Stage::Start`] or [`Stage::Instance`].
    pub fn link<I: Installer>(
        &mut self,
        opened: &Opened,
        installer: &mut I,
    ) -> Result<Arc<Generation>, Refusal> {
        let file = PathBuf::from(format!("{LINKED}{}", opened.manifest.plugin));
        if self.catalog.serving(&opened.manifest.plugin).is_some() {
            return Err(Refusal::new(
                &file,
                Stage::Names,
                "a plugin of this name is there already",
                "link each plugin once",
            ));
        }
        self.judge_names(&file, &opened.manifest, false, installer)
            .map_err(|fault| fault.of(&file))?;
        let number = self.catalog.next_number(&opened.manifest.plugin);
        self.install(&file, Hash::of(b""), number, opened, installer)
    }

    /// One row per generation and one per file that serves nothing.
    #[must_use]
    pub fn list(&self) -> Vec<PluginRow> {
        let refusal = |file: &Path| self.files.get(file)?.refusal.as_ref();
        let mut rows = self.catalog.rows(refusal);
        for (path, file) in &self.files {
            if let Some(refusal) = &file.refusal
                && !self.catalog.serves(path)
            {
                rows.push(PluginRow::of_refusal(file.plugin.as_deref(), refusal));
            }
        }
        rows
    }

    fn install<I: Installer>(
        &mut self,
        file: &Path,
        hash: Hash,
        number: u64,
        opened: &Opened,
        installer: &mut I,
    ) -> Result<Arc<Generation>, Refusal> {
        let manifest = &opened.manifest;
        let generation = Generation::new(
            manifest.plugin.clone(),
            manifest.version.clone(),
            number,
            file.to_owned(),
            hash,
            manifest.answering_http(),
        );
        let generation = Arc::new(generation.linked(opened.linked));
        let prepared = installer.prepare(&generation, opened)?;
        self.withdraw(installer, |rival| {
            let is_other = rival.generation.plugin != manifest.plugin;
            let is_in_the_way = || names::shared(manifest, &rival.manifest).is_some();
            is_other && (rival.generation.file == file || rival.is_gone && is_in_the_way())
        });
        installer.install(prepared);
        self.catalog.supersede(Serving {
            generation: Arc::clone(&generation),
            manifest: Arc::clone(manifest),
            is_gone: false,
        });
        Ok(generation)
    }

    fn judge_names<I: Installer>(
        &self,
        file: &Path,
        manifest: &Manifest,
        force: bool,
        installer: &I,
    ) -> Result<(), Fault> {
        let is_used = |what: Provided<'_>| !force && installer.is_used(what);
        self.catalog.all_serving().try_for_each(|serving| {
            let holder = Holder {
                generation: &serving.generation,
                manifest: &serving.manifest,
                hold: serving.hold(&self.absent),
            };
            names::judge(file, manifest, holder, &is_used)
        })
    }

    /// Ends the service of the plugins that are meant. Their file was removed, or holds another plugin now.
    fn withdraw<I: Installer>(&mut self, installer: &mut I, is_meant: impl Fn(&Serving) -> bool) {
        for generation in self.catalog.withdraw(is_meant) {
            installer.withdraw(&generation);
            log_withdrawn(&generation);
        }
    }
}

fn log_withdrawn(generation: &Generation) {
    tracing::info!(
        target: "hotsocket::plugin",
        plugin = generation.plugin,
        version = generation.version,
        generation = generation.number,
        file = %generation.file.display(),
        "plugin withdrawn: its file is gone"
    );
}

#[cfg(feature = "plugin-files")]
mod files;
#[cfg(all(test, feature = "plugin-files"))]
mod tests;
