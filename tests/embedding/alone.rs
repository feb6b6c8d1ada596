//! Tests that count what a whole process has: threads and descriptors of tests beside them would be counted too.

use std::{env, fs, process::Command};

use crate::eventually;

const ALONE: &str = "HOTSOCKET_TEST_ALONE";

/// Runs `body` in a process where nothing else runs. `name` is the path of the test that calls this.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let mut again = Command::new(env::current_exe().unwrap());
    let again = again.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let output = again.env(ALONE, "yes").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let is_well = output.status.success() && told.contains("1 passed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(is_well, "{told}\n{errors}");
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Threads that end by themselves have ended, and so many are left.
pub(crate) fn expect_threads(count: usize) {
    eventually("threads that are not needed have ended", || {
        threads() == count
    });
}
