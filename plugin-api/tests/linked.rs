//! Two plugins in one program, each calling its own code. Worth running with `--release` as well: there a linker may
//! take two symbols of one name for one without a word.

use std::{
    panic::{self, catch_unwind},
    sync::atomic::{AtomicU32, Ordering},
};

use hotsocket_plugin::testing::{Outgoing, TestHost};

#[test]
fn two_linked_plugins_run_their_own_code() {
    let left = TestHost::new(linked_left::plugin());
    let right = TestHost::new(linked_right::plugin());
    let (left, right) = (left.open("left"), right.open("right"));
    left.receive("which?");
    right.receive("which?");
    assert_eq!(left.sent(), [Outgoing::text("left")]);
    assert_eq!(right.sent(), [Outgoing::text("right")]);
}

#[test]
fn a_linked_plugin_leaves_panic_hook_and_loggers_alone() {
    static HOOKED: AtomicU32 = AtomicU32::new(0);
    let before = panic::take_hook();
    panic::set_hook(Box::new(|_| {
        HOOKED.fetch_add(1, Ordering::Relaxed);
    }));
    let host = TestHost::new(linked_left::plugin());
    host.open("left").receive("which?");
    let caught = catch_unwind(|| panic!("on purpose"));
    panic::set_hook(before);
    assert!(caught.is_err());
    assert_eq!(
        HOOKED.load(Ordering::Relaxed),
        1,
        "the hook is still the program's"
    );
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    assert!(!tracing::enabled!(tracing::Level::ERROR));
}
