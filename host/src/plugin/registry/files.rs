//! The part of the plugin registry that has to do with files: what a look at the directory brought, and what somebody asks
//! for by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::{Installer, LINKED, Registry};
use crate::plugin::generation::Generation;
use crate::plugin::hash::Hash;
use crate::plugin::loader::Opener;
use crate::plugin::record::FileRecord;
use crate::plugin::refusal::{Refusal, Stage};
use crate::plugin::settle::{Candidate, Step};

/// What became of a file that had settled.
enum Taken {
    Installed,
    /// It serves already, or is refused.
    Left,
    /// It was written to after all.
    Unsettled,
}

impl<O: Opener> Registry<O> {
    /// What opens the files.
    pub fn opener(&mut self) -> &mut O {
        &mut self.opener
    }

    /// Installs what a look at the plugin directory brought. Returns the files that were written to meanwhile, which
    /// have to settle again.
    pub fn apply<I: Installer>(&mut self, step: Step, installer: &mut I) -> Vec<PathBuf> {
        self.absent = step.absent.into_iter().collect();
        for file in &step.removed {
            self.lose(file);
        }
        for refusal in step.refused {
            let file = self.files.entry(refusal.file.clone()).or_default();
            file.hash = None;
            file.refuse(refusal);
        }
        let mut names_may_be_free = !step.removed.is_empty();
        let mut unsettled = Vec::new();
        for candidate in step.changed {
            match self.take(&candidate, installer) {
                Taken::Installed => names_may_be_free = true,
                Taken::Left => {}
                Taken::Unsettled => unsettled.push(candidate.file),
            }
        }
        if names_may_be_free {
            self.retry_blocked(installer);
        }
        self.withdraw(installer, |serving| serving.is_gone);
        unsettled
    }

    /// Loads a plugin again because somebody asked for it, by the name of the plugin or of its file: also a version that
    /// serves already, or one that was refused. With `force` also one that lacks a protocol.
    ///
    /// # Errors
    ///
    /// At any stage; what served before goes on.
    pub fn reload<I: Installer>(
        &mut self,
        name: &str,
        force: bool,
        installer: &mut I,
    ) -> Result<Arc<Generation>, Refusal> {
        let asked = Instant::now();
        let file = self.file_of(name)?;
        let loaded = self.load(&file, None, force, installer);
        let record = self.files.entry(file).or_default();
        match &loaded {
            Ok(generation) => {
                record.accept(generation, asked);
                self.retry_blocked(installer);
            }
            Err(refusal) => {
                record.refusal = None; // asked for, so told even if it is the same again
                record.refuse(refusal.clone());
            }
        }
        loaded
    }

    /// There is another config: tries the files once more that did not take their options, or were one too many.
    pub fn retry_configured<I: Installer>(&mut self, installer: &mut I) {
        self.retry(installer, FileRecord::awaits_config);
    }

    fn take<I: Installer>(&mut self, candidate: &Candidate, installer: &mut I) -> Taken {
        let Candidate {
            file,
            hash,
            settled,
        } = candidate;
        let is_known = self.catalog.is_serving(file, *hash);
        let record = self.files.entry(file.clone()).or_default();
        if is_known {
            record.refusal = None;
        }
        if is_known || record.is_hopeless(*hash) {
            return Taken::Left;
        }
        let loaded = self.load(file, Some(*hash), false, installer);
        let record = self.files.entry(file.clone()).or_default();
        match loaded {
            Ok(generation) => {
                record.accept(&generation, *settled);
                Taken::Installed
            }
            Err(refusal) if refusal.stage == Stage::Settle => Taken::Unsettled,
            Err(refusal) => {
                record.hash = Some(*hash);
                record.refuse(refusal);
                Taken::Left
            }
        }
    }

    /// From a file to a generation that serves.
    fn load<I: Installer>(
        &mut self,
        file: &Path,
        expected: Option<Hash>,
        force: bool,
        installer: &mut I,
    ) -> Result<Arc<Generation>, Refusal> {
        let inspected = self.opener.inspect(file, expected)?;
        let hash = inspected.hash;
        let manifest = &inspected.stamped.manifest;
        let record = self.files.entry(file.to_owned()).or_default();
        record.hash = Some(hash);
        record.plugin = Some(manifest.plugin.clone());
        let manifest = Arc::new(manifest.clone());
        let install = || {
            self.judge_names(file, &manifest, force, installer)
                .map_err(|fault| fault.of(file))?;
            let number = self.catalog.next_number(&manifest.plugin);
            let opened = self.opener.open(inspected, number)?;
            self.install(file, hash, number, &opened, installer)
        };
        install().map_err(|refusal| refusal.of_plugin(Arc::clone(&manifest)))
    }

    /// Marks what this file serves as gone.
    fn lose(&mut self, file: &Path) {
        self.files.remove(file);
        self.catalog.lose(file);
    }

    /// Tries the files once more that were refused for a name that may be free now.
    fn retry_blocked<I: Installer>(&mut self, installer: &mut I) {
        self.retry(installer, FileRecord::is_blocked);
    }

    fn retry<I: Installer>(&mut self, installer: &mut I, is_meant: impl Fn(&FileRecord) -> bool) {
        let meant = self.files.iter().filter(|(_, file)| is_meant(file));
        let meant: Vec<_> = meant.map(|(path, _)| path.clone()).collect();
        for path in meant {
            let now = Instant::now();
            let loaded = self.load(&path, None, false, installer);
            let record = self.files.entry(path).or_default();
            match loaded {
                Ok(generation) => record.accept(&generation, now),
                Err(refusal) if refusal.stage == Stage::Settle => {} // it will settle and come by itself
                Err(refusal) => record.refuse(refusal),
            }
        }
    }

    /// The file that somebody means by the name of a plugin, of a file, or of a library.
    fn file_of(&self, name: &str) -> Result<PathBuf, Refusal> {
        if let Some(serving) = self.catalog.serving(name) {
            let file = &serving.generation.file;
            if file.to_string_lossy().starts_with(LINKED) {
                return Err(Refusal::new(
                    file,
                    Stage::Names,
                    "the plugin is linked into the program, so there is no file to reload",
                    "build the program anew",
                ));
            }
            return Ok(file.clone());
        }
        let is_meant = |(path, file): &(&PathBuf, &FileRecord)| {
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            let names = [
                name.to_owned(),
                format!("{name}.so"),
                format!("lib{name}.so"),
            ];
            file.plugin.as_deref() == Some(name)
                || **path == Path::new(name)
                || names.contains(&file_name.into_owned())
        };
        let found = self.files.iter().find(is_meant);
        found.map(|(path, _)| path.clone()).ok_or_else(|| {
            Refusal::new(
                Path::new(name),
                Stage::Names,
                "there is no plugin and no plugin file of this name",
                "see `hotsocket plugin list` for those that there are",
            )
        })
    }
}
