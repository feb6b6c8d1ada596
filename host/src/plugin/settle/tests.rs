//! A directory and its clock, both made up.

use super::*;
use crate::plugin::refusal::Stage;

/// A directory and its clock, both made up.
struct Scene {
    directory: Directory,
    start: Instant,
    ms: u64,
    listing: Vec<Seen>,
    content: BTreeMap<PathBuf, Look>,
}

impl Scene {
    fn new() -> Self {
        let start = Instant::now();
        let mut scene = Self {
            directory: Directory::new(start),
            start,
            ms: 0,
            listing: Vec::new(),
            content: BTreeMap::new(),
        };
        assert_eq!(scene.at(0), Step::default());
        scene
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    /// Looks at the directory at this moment.
    fn at(&mut self, ms: u64) -> Step {
        self.ms = ms;
        let content = &self.content;
        self.directory
            .observe(self.now(), &self.listing, &mut |file| content[file].clone())
    }

    fn hint(&mut self, ms: u64) {
        self.ms = ms;
        self.directory.hint(self.now());
    }

    fn next_ms(&self) -> u64 {
        (self.directory.next_look() - self.start).as_millis() as u64
    }

    /// Writes `content` to `name`; each call makes another stat.
    fn write(&mut self, name: &str, content: Look) {
        let inode = (1, self.content.len() as u64);
        let modified = self
            .listing
            .iter()
            .map(|seen| seen.stat.modified)
            .max()
            .unwrap_or_default();
        self.remove(name);
        self.content.insert(name.into(), content);
        self.listing.push(Seen {
            file: name.into(),
            stat: Stat {
                inode,
                modified: modified + 1,
                ..Stat::default()
            },
            untouched_for: Duration::ZERO,
        });
    }

    fn remove(&mut self, name: &str) {
        self.listing.retain(|seen| seen.file != Path::new(name));
    }
}

fn whole(content: &str) -> Look {
    Look::Whole(Hash::of(content.as_bytes()))
}

fn refusal(cause: &str) -> Refusal {
    Refusal::new(Path::new("a.so"), Stage::Elf, cause, "")
}

fn names(step: &Step) -> Vec<&str> {
    let candidates = step.changed.iter();
    candidates
        .map(|found| found.file.to_str().unwrap())
        .collect()
}

#[test]
fn a_look_follows_100_ms_after_the_last_hint_and_2_s_after_the_first() {
    let mut scene = Scene::new();
    assert_eq!(scene.next_ms(), 10_000);
    scene.hint(500);
    assert_eq!(scene.next_ms(), 600);
    for ms in (550..=2600).step_by(50) {
        scene.hint(ms);
    }
    assert_eq!(scene.next_ms(), 2500);
    scene.at(2500);
    assert_eq!(scene.next_ms(), 12_500);
}

#[test]
fn a_file_settles_when_it_has_the_same_content_200_ms_later() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    assert_eq!(scene.at(100), Step::default());
    assert!(scene.directory.is_settling());
    assert_eq!(scene.next_ms(), 300);
    assert_eq!(scene.at(200), Step::default());
    let step = scene.at(300);
    assert_eq!(names(&step), ["a.so"]);
    assert_eq!(step.changed[0].hash, Hash::of(b"1"));
    assert!(!scene.directory.is_settling());
    assert_eq!(scene.at(600), Step::default());
}

#[test]
fn a_file_that_was_not_touched_for_2_s_settles_at_once() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.listing[0].untouched_for = Duration::from_secs(2);
    assert_eq!(names(&scene.at(100)), ["a.so"]);
}

#[test]
fn content_that_changes_under_the_same_stat_is_not_settled() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.at(0);
    scene.content.insert("a.so".into(), whole("2"));
    assert_eq!(scene.at(200), Step::default());
    assert_eq!(names(&scene.at(400)), ["a.so"]);
}

#[test]
fn a_write_between_the_looks_begins_anew() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.at(0);
    scene.write("a.so", whole("1"));
    assert_eq!(scene.at(200), Step::default());
    assert_eq!(names(&scene.at(400)), ["a.so"]);
}

#[test]
fn an_unfinished_file_is_waited_for_quietly_and_told_once_after_5_s_without_progress() {
    let mut scene = Scene::new();
    let cut = refusal("cut");
    scene.write("a.so", Look::Unfinished(cut.clone()));
    scene.at(0);
    assert_eq!(scene.next_ms(), 500);
    assert!(!scene.directory.is_settling() && scene.directory.is_awaiting());
    scene.write("a.so", Look::Unfinished(cut.clone()));
    for ms in (500..5500).step_by(500) {
        assert_eq!(scene.at(ms), Step::default(), "at {ms} ms");
    }
    assert_eq!(scene.at(5500).refused, std::slice::from_ref(&cut));
    assert!(!scene.directory.is_awaiting());
    assert_eq!(scene.next_ms(), 15_500);
    assert_eq!(scene.at(15_500), Step::default());
    scene.write("a.so", whole("1"));
    scene.at(16_000);
    assert_eq!(names(&scene.at(16_200)), ["a.so"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_once_and_tried_again() {
    let mut scene = Scene::new();
    scene.write("a.so", Look::Unreadable(refusal("denied")));
    assert_eq!(scene.at(0).refused, [refusal("denied")]);
    assert_eq!(scene.at(10_000), Step::default());
    scene.content.insert("a.so".into(), whole("1"));
    scene.at(20_000);
    assert_eq!(names(&scene.at(20_200)), ["a.so"]);
}

#[test]
fn a_file_is_removed_after_two_seconds_of_absence() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.at(0);
    scene.at(200);
    scene.remove("a.so");
    assert_eq!(scene.at(1000).absent, [Path::new("a.so")]);
    assert_eq!(scene.next_ms(), 3000);
    assert_eq!(scene.at(2999).removed, Vec::<PathBuf>::new());
    assert_eq!(scene.at(3000).removed, [Path::new("a.so")]);
    assert_eq!(scene.at(4000), Step::default());
}

#[test]
fn a_file_that_comes_back_in_time_was_never_removed() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.at(0);
    scene.at(200);
    scene.remove("a.so");
    scene.at(1000);
    scene.write("a.so", whole("2"));
    assert_eq!(scene.at(1100), Step::default());
    assert_eq!(names(&scene.at(1300)), ["a.so"]);
    assert_eq!(scene.at(3000), Step::default());
}

#[test]
fn a_file_that_was_unsettled_is_looked_at_twice_again() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.at(0);
    scene.at(200);
    scene.directory.unsettle(Path::new("a.so"), scene.now());
    assert_eq!(scene.next_ms(), 400);
    assert_eq!(scene.at(400), Step::default());
    assert_eq!(names(&scene.at(600)), ["a.so"]);
}

#[test]
fn a_listing_that_failed_removes_nothing() {
    let mut scene = Scene::new();
    scene.write("a.so", whole("1"));
    scene.at(0);
    scene.at(200);
    scene.ms = 60_000;
    scene.directory.observe_nothing(scene.now());
    assert_eq!(scene.next_ms(), 70_000);
    assert_eq!(scene.at(70_000), Step::default());
}
