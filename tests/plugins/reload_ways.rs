//! The ways in which people and tools replace a file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Puts the file `new` in the place of `old`, and says when the last byte was there.
type Replace = fn(new: &Path, old: &Path) -> Instant;

/// All of them. A symlink swap is followed by one that removes the link, so that none writes through it.
pub(crate) const WAYS: [(&str, Replace); 8] = [
    ("install", install),
    ("cp over the file", copy_over),
    ("rewriting in place", rewrite_in_place),
    ("mv", rename),
    ("rm and ln -s", remove_and_link),
    ("a hard link as cargo makes it", hard_link),
    ("a slow copy in pieces", slow_copy),
    ("a symlink swap", swap_symlink),
];

fn install(new: &Path, old: &Path) -> Instant {
    run("install", &["-m", "755"], new, old)
}

fn copy_over(new: &Path, old: &Path) -> Instant {
    run("cp", &[], new, old)
}

fn rename(new: &Path, old: &Path) -> Instant {
    let staged = new.with_extension("staged");
    fs::copy(new, &staged).expect("the same file system");
    run("mv", &[], &staged, old)
}

fn remove_and_link(new: &Path, old: &Path) -> Instant {
    fs::remove_file(old).expect("the file is there");
    run("ln", &["-s"], new, old)
}

fn hard_link(new: &Path, old: &Path) -> Instant {
    fs::remove_file(old).expect("the file is there");
    fs::hard_link(new, old).expect("the same file system");
    Instant::now()
}

fn rewrite_in_place(new: &Path, old: &Path) -> Instant {
    let bytes = fs::read(new).expect("the file is there");
    let mut file = OpenOptions::new().write(true).open(old).expect("ours");
    file.write_all(&bytes).expect("there is room");
    file.set_len(bytes.len() as u64).expect("ours");
    Instant::now()
}

fn slow_copy(new: &Path, old: &Path) -> Instant {
    const PIECES: usize = 8;
    let bytes = fs::read(new).expect("the file is there");
    fs::remove_file(old).expect("the file is there");
    let mut file = File::create(old).expect("ours");
    for piece in bytes.chunks(bytes.len().div_ceil(PIECES)) {
        // The slowness is what is tried: longer than the host waits for quiet.
        thread::sleep(Duration::from_millis(150));
        file.write_all(piece).expect("there is room");
        file.flush().expect("there is room");
    }
    Instant::now()
}

fn swap_symlink(new: &Path, old: &Path) -> Instant {
    let link = new.with_extension("link");
    symlink(new, &link).expect("a fresh name");
    fs::rename(&link, old).expect("the same file system");
    Instant::now()
}

fn run(program: &str, options: &[&str], new: &Path, old: &Path) -> Instant {
    let mut command = Command::new(program);
    let status = command.args(options).arg(new).arg(old).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
    Instant::now()
}
