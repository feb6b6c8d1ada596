//! Tells the crate which commit it is built from, for `hotsocket version`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // In an unpacked archive within somebody else's repository the commit would be theirs.
    let ours = git(&["ls-files", "--error-unmatch", "build.rs"]).is_some();
    let commit = ours
        .then(|| git(&["rev-parse", "--short=12", "HEAD"]))
        .flatten()
        .map(|commit| {
            if is_changed() {
                commit + "-dirty"
            } else {
                commit
            }
        });
    println!(
        "cargo::rustc-env=HOTSOCKET_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
    // The first grows with each commit and checkout; the others are compiled into the host.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    let watched = log.into_iter().chain(SOURCES.map(str::to_owned));
    for path in watched.filter(|path| ours && Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// What is compiled into the host.
const SOURCES: [&str; 3] = ["src", "../plugin-api/abi", "../Cargo.lock"];

/// Whether what is compiled differs from the commit.
fn is_changed() -> bool {
    // It would write the index, if only to remember when files were changed.
    let status = ["--no-optional-locks", "status", "--porcelain"];
    let only = ["--untracked-files=no", "--"];
    git(&[&status[..], &only, &SOURCES].concat()).is_some_and(|line| !line.is_empty())
}

/// The first line of what git says; `None` without git.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}
