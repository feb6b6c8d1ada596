//! The rules of names, with files, libraries and a server that are made up.

use std::collections::HashMap;
use std::time::Instant;

use super::*;
use crate::plugin::loader::{Inspected, Opener};
use crate::plugin::settle::{Candidate, Step};
use crate::plugin::stamp::Stamped;
use crate::plugin::status::RowState;
use crate::plugin::tables::tests::opened;

/// Files that exist only here. The hash of a file is that of its manifest.
#[derive(Default)]
struct Shelf {
    files: HashMap<PathBuf, Manifest>,
    broken: HashMap<PathBuf, Stage>,
    inspected: usize,
    opened: Vec<String>,
}

fn hash_of(manifest: &Manifest) -> Hash {
    Hash::of(format!("{manifest:?}").as_bytes())
}

impl Opener for Shelf {
    fn inspect(&mut self, file: &Path, expected: Option<Hash>) -> Result<Inspected, Refusal> {
        self.inspected += 1;
        if let Some(&stage) = self.broken.get(file) {
            return Err(Refusal::new(file, stage, "made to fail", ""));
        }
        let manifest = &self.files[file];
        if expected.is_some_and(|hash| hash != hash_of(manifest)) {
            return Err(Refusal::new(file, Stage::Settle, "another content", ""));
        }
        Ok(Inspected {
            file: file.to_owned(),
            hash: hash_of(manifest),
            stamped: Stamped {
                abi: (0, 1),
                rust: true,
                toolchain: String::new(),
                declaration: String::new(),
                manifest: manifest.clone(),
            },
            bytes: Vec::new(),
        })
    }

    fn open(&mut self, inspected: Inspected, number: u64) -> Result<Opened, Refusal> {
        let manifest = inspected.stamped.manifest;
        self.opened.push(format!("{}-{number}", manifest.plugin));
        Ok(opened(manifest))
    }
}

/// A server that writes down what it is told.
#[derive(Default)]
struct Server {
    told: Vec<String>,
    fails: bool,
}

fn name_of(generation: &Generation) -> String {
    format!(
        "{} {} ({})",
        generation.plugin, generation.number, generation.version
    )
}

impl Installer for Server {
    type Prepared = String;

    fn prepare(&mut self, generation: &Arc<Generation>, _: &Opened) -> Result<String, Refusal> {
        if self.fails {
            return Err(Refusal::new(
                &generation.file,
                Stage::Instance,
                "bad options",
                "",
            ));
        }
        Ok(name_of(generation))
    }

    fn install(&mut self, prepared: String) {
        self.told.push(format!("install {prepared}"));
    }

    fn withdraw(&mut self, generation: &Arc<Generation>) {
        self.told.push(format!("withdraw {}", name_of(generation)));
    }

    fn is_used(&self, what: Provided<'_>) -> bool {
        what != Provided::Protocol("unused")
    }
}

struct Scene {
    registry: Registry<Shelf>,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        Self {
            registry: Registry::new(Shelf::default()),
            server: Server::default(),
        }
    }

    /// Puts a plugin into a file without telling.
    fn put(&mut self, file: &str, plugin: &str, version: &str, protocols: &[&str]) {
        let protocols: Vec<_> = protocols
            .iter()
            .map(|name| format!(r#"{{"name":"{name}"}}"#))
            .collect();
        let text = format!(
            r#"{{"plugin":"{plugin}","version":"{version}","protocols":[{}]}}"#,
            protocols.join(",")
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        self.registry.opener.files.insert(file.into(), manifest);
    }

    /// A step in which `file` has settled.
    fn changed(&self, file: &str) -> Step {
        Step {
            changed: vec![Candidate {
                file: file.into(),
                hash: self
                    .registry
                    .opener
                    .files
                    .get(Path::new(file))
                    .map_or_else(|| Hash::of(file.as_bytes()), hash_of),
                settled: Instant::now(),
            }],
            ..Step::default()
        }
    }

    fn apply(&mut self, step: Step) -> Vec<PathBuf> {
        self.registry.apply(step, &mut self.server)
    }

    fn drop_in(&mut self, file: &str, plugin: &str, version: &str, protocols: &[&str]) {
        self.put(file, plugin, version, protocols);
        let step = self.changed(file);
        assert_eq!(self.apply(step), Vec::<PathBuf>::new());
    }

    fn remove(&mut self, file: &str) {
        self.apply(Step {
            removed: vec![file.into()],
            ..Step::default()
        });
    }

    fn reload(&mut self, name: &str, force: bool) -> Result<u64, Refusal> {
        self.registry
            .reload(name, force, &mut self.server)
            .map(|generation| generation.number)
    }

    /// What the server was told since this was asked last.
    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.server.told)
    }

    fn cause_of(&self, file: &str) -> Option<String> {
        let rows = self.registry.list();
        let mut rows = rows.iter().filter(|row| row.file == Path::new(file));
        rows.find_map(|row| Some(row.last_error.as_ref()?.cause.clone()))
    }

    fn states(&self) -> Vec<(Option<u64>, RowState)> {
        let rows = self.registry.list();
        rows.iter().map(|row| (row.generation, row.state)).collect()
    }
}

#[test]
fn a_new_version_takes_over_and_the_one_before_drains() {
    let mut scene = Scene::new();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    let first = Arc::clone(&scene.registry.catalog.serving("echo").unwrap().generation);
    first.enter();
    scene.drop_in("echo.so", "echo", "2", &["echo"]);
    assert_eq!(scene.told(), ["install echo 1 (1)", "install echo 2 (2)"]);
    assert_eq!(
        scene.states(),
        [(Some(2), RowState::Serving), (Some(1), RowState::Draining)]
    );
    first.leave();
    assert_eq!(scene.states()[1], (Some(1), RowState::Retired));
}

#[test]
fn the_content_that_serves_is_not_loaded_again_unless_asked_for() {
    let mut scene = Scene::new();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    assert_eq!(scene.told(), ["install echo 1 (1)"]);
    assert_eq!(scene.reload("echo", false), Ok(2));
    assert_eq!(scene.reload("echo.so", false), Ok(3));
    assert_eq!(scene.told().len(), 2);
    assert_eq!(scene.states().len(), 1, "the mapping is counted once");
}

#[test]
fn a_bad_file_changes_nothing_and_is_not_tried_again_until_it_changes() {
    let mut scene = Scene::new();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    scene
        .registry
        .opener
        .broken
        .insert("echo.so".into(), Stage::Stamp);
    scene.put("echo.so", "echo", "2", &["echo"]);
    let step = scene.changed("echo.so");
    scene.apply(step.clone());
    let inspected = scene.registry.opener.inspected;
    scene.apply(step);
    assert_eq!(scene.registry.opener.inspected, inspected);
    assert_eq!(scene.cause_of("echo.so").unwrap(), "made to fail");
    assert_eq!(scene.states(), [(Some(1), RowState::Serving)]);

    assert_eq!(scene.reload("echo", false).unwrap_err().stage, Stage::Stamp);
    scene.registry.opener.broken.clear();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    assert_eq!(scene.cause_of("echo.so"), None);
    assert_eq!(scene.told(), ["install echo 1 (1)"]);
}

#[test]
fn what_the_owner_or_mode_refused_is_tried_again() {
    let mut scene = Scene::new();
    scene
        .registry
        .opener
        .broken
        .insert("echo.so".into(), Stage::Permissions);
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    assert_eq!(scene.states(), [(None, RowState::Refused)]);
    scene.registry.opener.broken.clear();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    assert_eq!(scene.states(), [(Some(1), RowState::Serving)]);
}

#[test]
fn a_version_whose_instance_cannot_be_made_is_refused() {
    let mut scene = Scene::new();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    scene.server.fails = true;
    scene.drop_in("echo.so", "echo", "2", &["echo"]);
    assert_eq!(scene.told(), ["install echo 1 (1)"]);
    assert_eq!(scene.cause_of("echo.so").unwrap(), "bad options");
    scene.server.fails = false;
    assert_eq!(scene.reload("echo", false), Ok(3));
}

#[test]
fn a_version_that_did_not_take_its_options_is_tried_again_with_other_ones() {
    let mut scene = Scene::new();
    scene.server.fails = true;
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    scene.registry.retry_configured(&mut scene.server);
    assert_eq!(scene.cause_of("echo.so").unwrap(), "bad options");
    scene.server.fails = false;
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    assert!(scene.told().is_empty(), "the same content, not asked for");
    scene.registry.retry_configured(&mut scene.server);
    assert_eq!(scene.told(), ["install echo 3 (1)"]);
    assert_eq!(scene.cause_of("echo.so"), None);
    scene.registry.retry_configured(&mut scene.server);
    assert!(scene.told().is_empty());
}

#[test]
fn a_file_that_changes_while_it_is_loaded_has_to_settle_again() {
    let mut scene = Scene::new();
    scene.put("echo.so", "echo", "1", &["echo"]);
    let step = scene.changed("echo.so");
    scene.put("echo.so", "echo", "2", &["echo"]);
    assert_eq!(scene.apply(step), [Path::new("echo.so")]);
    assert!(scene.registry.list().is_empty());
}

#[test]
fn of_two_files_with_one_plugin_name_the_one_that_serves_stays() {
    let mut scene = Scene::new();
    scene.drop_in("a.so", "echo", "1", &["echo"]);
    scene.drop_in("b.so", "echo", "2", &["echo"]);
    assert_eq!(
        scene.cause_of("b.so").unwrap(),
        "the plugin name echo of b.so is already served from a.so"
    );
    assert_eq!(scene.told(), ["install echo 1 (1)"]);
    scene.remove("a.so");
    assert_eq!(scene.told(), ["install echo 2 (2)"]);
    assert_eq!(scene.cause_of("b.so"), None);
}

#[test]
fn of_two_plugins_with_one_protocol_the_one_that_serves_stays() {
    let mut scene = Scene::new();
    scene.drop_in("a.so", "one", "1", &["chat", "echo"]);
    scene.drop_in("b.so", "two", "1", &["echo"]);
    assert_eq!(
        scene.cause_of("b.so").unwrap(),
        "the protocol echo of b.so is already served from a.so"
    );
    scene.told();
    scene.remove("a.so");
    assert_eq!(scene.told(), ["withdraw one 1 (1)", "install two 1 (1)"]);
}

#[test]
fn a_new_version_under_another_file_name_takes_over_when_the_old_file_is_not_there() {
    let mut scene = Scene::new();
    scene.drop_in("echo-1.so", "echo", "1", &["echo"]);
    scene.put("echo-2.so", "echo", "2", &["echo"]);
    let mut step = scene.changed("echo-2.so");
    step.absent = vec!["echo-1.so".into()];
    scene.apply(step);
    scene.remove("echo-1.so");
    assert_eq!(scene.told(), ["install echo 1 (1)", "install echo 2 (2)"]);
}

#[test]
fn another_plugin_in_the_same_file_takes_its_place_if_it_has_its_protocols() {
    let mut scene = Scene::new();
    scene.drop_in("a.so", "one", "1", &["echo"]);
    scene.drop_in("a.so", "two", "1", &["chat"]);
    assert!(
        scene
            .cause_of("a.so")
            .unwrap()
            .contains("lacks the protocol echo")
    );
    scene.told();
    scene.drop_in("a.so", "three", "1", &["chat", "echo"]);
    assert_eq!(scene.told(), ["withdraw one 1 (1)", "install three 1 (1)"]);
}

#[test]
fn a_version_that_lacks_a_mounted_protocol_is_refused_unless_forced() {
    let mut scene = Scene::new();
    scene.drop_in("a.so", "chat", "1", &["chat", "raw", "unused"]);
    scene.drop_in("a.so", "chat", "2", &["chat", "raw"]);
    scene.drop_in("a.so", "chat", "3", &["chat"]);
    assert_eq!(
        scene.cause_of("a.so").unwrap(),
        "version 3 lacks the protocol raw, which generation 2 (version 2) serves"
    );
    assert_eq!(scene.reload("chat", false).unwrap_err().stage, Stage::Names);
    scene.told();
    assert!(scene.reload("chat", true).is_ok());
    assert_eq!(scene.told().len(), 1);
}

#[test]
fn removal_withdraws_and_the_same_content_may_come_back() {
    let mut scene = Scene::new();
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    scene.remove("echo.so");
    assert_eq!(scene.states(), [(Some(1), RowState::Retired)]);
    scene.drop_in("echo.so", "echo", "1", &["echo"]);
    assert_eq!(
        scene.told(),
        [
            "install echo 1 (1)",
            "withdraw echo 1 (1)",
            "install echo 2 (1)"
        ]
    );
    assert_eq!(scene.states(), [(Some(2), RowState::Serving)]);
    assert_eq!(scene.registry.opener.opened, ["echo-1", "echo-2"]);
}

#[test]
fn a_linked_plugin_serves_and_keeps_its_name() {
    let mut scene = Scene::new();
    scene.put("x", "echo", "1", &["echo"]);
    let linked = opened(scene.registry.opener.files[Path::new("x")].clone());
    let registry = &mut scene.registry;
    assert_eq!(registry.link(&linked, &mut scene.server).unwrap().number, 1);
    assert_eq!(
        registry.link(&linked, &mut scene.server).unwrap_err().stage,
        Stage::Names
    );
    scene.drop_in("echo.so", "echo", "2", &["echo"]);
    assert_eq!(scene.told(), ["install echo 1 (1)"]);
    assert!(
        scene
            .reload("echo", false)
            .unwrap_err()
            .cause
            .contains("linked")
    );
}

#[test]
fn a_name_that_nobody_has_cannot_be_reloaded() {
    let refusal = Scene::new().reload("nobody", false).unwrap_err();
    assert_eq!(refusal.stage, Stage::Names);
    assert!(refusal.mend.contains("plugin list"));
}
