//! Real files and hints of the kernel.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{self, Receiver};

use super::*;
use crate::plugin::hash::Hash;
use crate::plugin::stamp::plugin_file;

/// A watched directory. Waits for hints as the loader thread does; the clock is the real one.
struct Scene {
    home: tempfile::TempDir,
    watch: Watch,
    woken: Receiver<()>,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("plugins")).unwrap();
        let (wake, woken) = mpsc::channel();
        let watch = Watch::new(home.path().join("plugins"), 1 << 20, move || {
            let _ = wake.send(());
        });
        let mut scene = Self { home, watch, woken };
        assert_eq!(scene.watch.poll(Instant::now()), Some(Step::default()));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The next step that says something.
    fn step(&mut self) -> Step {
        loop {
            let now = Instant::now();
            if let Some(step) = self.watch.poll(now)
                && step != Step::default()
            {
                return step;
            }
            let wait = self.watch.next_look(now).saturating_duration_since(now);
            let _ = self.woken.recv_timeout(wait);
        }
    }

    /// The hash of the next file that settles, which must be `name`.
    fn settled(&mut self, name: &str) -> Hash {
        loop {
            let step = self.step();
            if let [candidate] = &*step.changed {
                assert_eq!(candidate.file, self.path("plugins").join(name));
                return candidate.hash;
            }
            assert_eq!(
                (step.changed, step.removed, step.refused),
                Default::default()
            );
        }
    }
}

fn version(number: u32) -> Vec<u8> {
    let manifest =
        format!(r#"{{"plugin":"echo","version":"{number}","protocols":[{{"name":"echo"}}]}}"#);
    plugin_file(&manifest, |_| {})
}

#[test]
fn each_way_of_replacing_a_file_is_seen_and_settles_with_the_last_content() {
    let mut scene = Scene::new();
    let (file, aside) = (scene.path("plugins/echo.so"), scene.path("aside"));

    fs::write(&file, version(1)).unwrap();
    assert_eq!(scene.settled("echo.so"), Hash::of(&version(1)));

    fs::write(&aside, version(2)).unwrap();
    fs::rename(&aside, &file).unwrap();
    assert_eq!(scene.settled("echo.so"), Hash::of(&version(2)));

    let mut in_place = File::options().write(true).open(&file).unwrap();
    in_place.write_all(&version(3)).unwrap();
    drop(in_place);
    assert_eq!(scene.settled("echo.so"), Hash::of(&version(3)));

    fs::write(&aside, version(4)).unwrap();
    fs::remove_file(&file).unwrap();
    fs::hard_link(&aside, &file).unwrap();
    assert_eq!(scene.settled("echo.so"), Hash::of(&version(4)));

    fs::write(scene.path("target"), version(5)).unwrap();
    symlink(scene.path("target"), scene.path("link")).unwrap();
    fs::rename(scene.path("link"), &file).unwrap();
    assert_eq!(scene.settled("echo.so"), Hash::of(&version(5)));
}

#[test]
fn a_slow_copy_settles_once_it_is_whole_and_closed() {
    let mut scene = Scene::new();
    let bytes = version(1);
    let mut copy = File::create(scene.path("plugins/echo.so")).unwrap();
    for piece in bytes.chunks(100) {
        copy.write_all(piece).unwrap();
        assert_eq!(
            scene.watch.poll(Instant::now()).unwrap_or_default(),
            Step::default()
        );
        scene.woken.recv().unwrap();
        scene.watch.next_look(Instant::now());
    }
    drop(copy);
    assert_eq!(scene.settled("echo.so"), Hash::of(&bytes));
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_watched_again() {
    let mut scene = Scene::new();
    let directory = scene.path("plugins");
    fs::write(directory.join("echo.so"), version(1)).unwrap();
    scene.settled("echo.so");
    fs::remove_dir_all(&directory).unwrap();
    while scene.step().removed.is_empty() {}
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("echo.so"), version(2)).unwrap();
    assert_eq!(scene.settled("echo.so"), Hash::of(&version(2)));
    assert!(scene.watch.watched.is_some());
}

#[test]
fn other_names_and_what_is_no_file_are_left_alone() {
    let scene = Scene::new();
    let directory = scene.path("plugins");
    fs::write(directory.join(".echo.so"), "").unwrap();
    fs::write(directory.join("echo.d"), "").unwrap();
    fs::create_dir(directory.join("directory.so")).unwrap();
    symlink("nowhere", directory.join("dangling.so")).unwrap();
    assert!(list(&directory).unwrap().is_empty());
    assert!(list(&directory.join("none")).unwrap().is_empty());
    assert!(list(&directory.join("echo.d")).is_err());
}
