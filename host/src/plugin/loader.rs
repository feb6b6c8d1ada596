//! From a path to the tables of a plugin: read, judge, copy, open. Once opened, the same content is not opened again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hash::Hash;
use super::image::Image;
use super::permissions::Trust;
use super::refusal::{Fault, Refusal, Stage};
use super::staging::{Staging, discard};
use super::stamp::Stamped;
use super::tables::Opened;
use super::{bounded, thread_keys, watch};
use crate::limits::Limits;

/// A file whose bytes are those of a plugin we could serve. None of its code has run.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The file, as it is named in the plugin directory.
    pub file: PathBuf,
    /// The hash of its content.
    pub hash: Hash,
    /// What it says of itself.
    pub stamped: Stamped,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What the plugin registry needs to get at a plugin; made up in its tests.
pub trait Opener {
    /// Reads a file and judges what can be judged before any code of it runs.
    ///
    /// # Errors
    ///
    /// At [`Stage::Settle`] when somebody writes to it, or its content is not the `expected` one; or at any stage up
    /// to [`Stage::Names`].
    fn inspect(&mut self, file: &Path, expected: Option<Hash>) -> Result<Inspected, Refusal>;

    /// Opens it as the generation of that number, which has not been used before.
    ///
    /// # Errors
    ///
    /// At [`Stage::Budget`] up to [`Stage::Layout`].
    fn open(&mut self, inspected: Inspected, number: u64) -> Result<Opened, Refusal>;
}

/// Opens plugin files of this system.
#[derive(Debug)]
pub struct Loader {
    plugin_file_bytes: u64,
    retained_generations_count: u64,
    free_thread_keys_count: u64,
    plugin_start: Duration,
    trust: Trust,
    staging: Staging,
    /// What was opened and could be used, by content. It stays mapped, so it is never opened a second time.
    mapped: HashMap<Hash, Opened>,
    /// How many libraries were mapped, those that could not be used included.
    mapped_count: u64,
    /// The warnings that were told, so that none is told again.
    told: HashSet<String>,
}

impl Loader {
    /// A loader that copies to `staging`.
    #[must_use]
    pub fn new(limits: &Limits, trust: Trust, staging: Staging) -> Self {
        let mut loader = Self {
            plugin_file_bytes: 0,
            retained_generations_count: 0,
            free_thread_keys_count: 0,
            plugin_start: Duration::ZERO,
            trust,
            staging,
            mapped: HashMap::new(),
            mapped_count: 0,
            told: HashSet::new(),
        };
        loader.set_limits(limits);
        loader
    }

    /// Changed limits hold for the next file.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.plugin_file_bytes = limits.plugin_file_bytes;
        self.retained_generations_count = limits.retained_generations_count;
        self.free_thread_keys_count = limits.free_thread_keys_count;
        self.plugin_start = Duration::from_millis(limits.plugin_start_ms);
    }

    /// How many libraries are mapped, for ever.
    #[must_use]
    pub fn mapped_count(&self) -> u64 {
        self.mapped_count
    }

    fn judge_budget(&self) -> Result<(), Fault> {
        if self.mapped_count >= self.retained_generations_count {
            return Err(Fault::new(
                Stage::Budget,
                format!(
                    "{} versions of plugins are mapped, limits.retained_generations_count allows {}",
                    self.mapped_count, self.retained_generations_count
                ),
                "restart the host when it suits, or raise the limit",
            ));
        }
        let free = thread_keys::free_count();
        if free < self.free_thread_keys_count {
            return Err(Fault::new(
                Stage::Budget,
                format!(
                    "{free} thread-specific keys are free, limits.free_thread_keys_count asks for {}",
                    self.free_thread_keys_count
                ),
                "restart the host when it suits: plugins have taken the others",
            ));
        }
        Ok(())
    }

    fn open_copy(&mut self, inspected: &Inspected, number: u64) -> Result<Opened, Fault> {
        self.judge_budget()?;
        let plugin = &inspected.stamped.manifest.plugin;
        let copy = self
            .staging
            .copy(plugin, number, inspected.hash, &inspected.bytes)?;
        let (path, stamped) = (copy.clone(), inspected.stamped.clone());
        let opened = bounded::run(self.plugin_start, move || {
            Opened::from_copy(&path, &stamped)
        });
        let opened = opened.map_err(|late| {
            self.mapped_count += 1; // it may be, later
            Fault::new(
                Stage::Open,
                format!("opening it runs its constructors, and {late}"),
                "ask the author of the plugin what they wait for; restart the host before other plugins are opened",
            )
        })?;
        match &opened {
            Err(fault) if fault.stage == Stage::Open => discard(&copy),
            _ => self.mapped_count += 1,
        }
        opened
    }

    fn warn(&mut self, file: &Path, cause: String) {
        if !self.told.contains(&cause) {
            let mend = "take the right away with `chmod g-w`, unless all of that group may run code as this host";
            tracing::warn!(target: "hotsocket::plugin", file = %file.display(), cause, mend,
                "others may replace what is loaded");
            self.told.insert(cause);
        }
    }
}

/// What a file says of itself, by its bytes: none of its code runs.
///
/// # Errors
///
/// At [`Stage::Read`] up to [`Stage::Names`].
pub fn stamped(file: &Path, limits: &Limits) -> Result<Stamped, Refusal> {
    let image = Image::read(file, limits.plugin_file_bytes)?;
    Stamped::parse(&image.bytes).map_err(|unfit| unfit.into_fault().of(file))
}

impl Opener for Loader {
    fn inspect(&mut self, file: &Path, expected: Option<Hash>) -> Result<Inspected, Refusal> {
        let image = Image::read(file, self.plugin_file_bytes)?;
        if image.being_written {
            return Err(watch::being_written(file));
        }
        if expected.is_some_and(|hash| hash != image.hash) {
            return Err(Refusal::new(
                file,
                Stage::Settle,
                "the file changed while it was being loaded",
                "let the copy finish; the file is taken as soon as it is quiet",
            ));
        }
        let warnings = self
            .trust
            .judge(file, &image.metadata)
            .map_err(|fault| fault.of(file))?;
        for warning in warnings {
            self.warn(file, warning);
        }
        let stamped = Stamped::parse(&image.bytes).map_err(|unfit| unfit.into_fault().of(file))?;
        Ok(Inspected {
            file: image.file,
            hash: image.hash,
            stamped,
            bytes: image.bytes,
        })
    }

    fn open(&mut self, inspected: Inspected, number: u64) -> Result<Opened, Refusal> {
        if let Some(opened) = self.mapped.get(&inspected.hash) {
            return Ok(opened.clone());
        }
        let opened = self
            .open_copy(&inspected, number)
            .map_err(|fault| fault.of(&inspected.file))?;
        self.mapped.insert(inspected.hash, opened.clone());
        Ok(opened)
    }
}

/// A host that was named no directory has no files, so nothing asks for one.
impl<O: Opener> Opener for Option<O> {
    fn inspect(&mut self, file: &Path, expected: Option<Hash>) -> Result<Inspected, Refusal> {
        match self {
            Some(opener) => opener.inspect(file, expected),
            None => Err(no_directory(file)),
        }
    }

    fn open(&mut self, inspected: Inspected, number: u64) -> Result<Opened, Refusal> {
        match self {
            Some(opener) => opener.open(inspected, number),
            None => Err(no_directory(&inspected.file)),
        }
    }
}

fn no_directory(file: &Path) -> Refusal {
    let cause = "the host serves linked plugins only";
    Refusal::new(file, Stage::Read, cause, "name a plugin directory")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::plugin::stamp::plugin_file;

    const ECHO: &str = r#"{"plugin":"echo","version":"1.0.0","protocols":[{"name":"echo"}]}"#;

    struct Scene {
        home: tempfile::TempDir,
        file: PathBuf,
        loader: Loader,
    }

    impl Scene {
        fn new(limits: &Limits) -> Self {
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join("echo.so");
            fs::write(&file, plugin_file(ECHO, |_| {})).unwrap();
            let staging = Staging::create_in(home.path()).unwrap();
            let mut trust = Trust::of_this_process();
            trust.strict = false;
            let loader = Loader::new(limits, trust, staging);
            Self { home, file, loader }
        }

        fn stage_of_open(&mut self) -> Stage {
            let inspected = self.loader.inspect(&self.file, None).unwrap();
            self.loader.open(inspected, 1).unwrap_err().stage
        }
    }

    #[test]
    fn a_plugin_file_is_inspected_without_opening_it() {
        let mut scene = Scene::new(&Limits::default());
        let hash = Hash::of(&fs::read(&scene.file).unwrap());
        let inspected = scene.loader.inspect(&scene.file, Some(hash)).unwrap();
        assert_eq!(inspected.stamped.manifest.plugin, "echo");
        assert_eq!(scene.loader.mapped_count(), 0);
    }

    #[test]
    fn a_file_with_another_content_than_it_settled_with_has_not_settled() {
        let mut scene = Scene::new(&Limits::default());
        let refusal = scene
            .loader
            .inspect(&scene.file, Some(Hash::of(b"other")))
            .unwrap_err();
        assert_eq!(refusal.stage, Stage::Settle);
    }

    #[test]
    fn a_file_that_cannot_be_opened_leaves_no_copy() {
        let mut scene = Scene::new(&Limits::default());
        assert_eq!(scene.stage_of_open(), Stage::Open);
        let copies = fs::read_dir(scene.loader.staging.directory()).unwrap();
        assert_eq!(copies.count(), 0);
        assert_eq!(scene.loader.mapped_count(), 0);
        drop(scene.home);
    }

    #[test]
    fn beyond_a_budget_nothing_is_opened() {
        let mut scene = Scene::new(&Limits {
            retained_generations_count: 0,
            ..Limits::default()
        });
        assert_eq!(scene.stage_of_open(), Stage::Budget);
        let mut scene = Scene::new(&Limits {
            free_thread_keys_count: 1025,
            ..Limits::default()
        });
        assert_eq!(scene.stage_of_open(), Stage::Budget);
    }
}
