//! A plugin that panics ends the session it was serving, and nothing else.

use crate::support::lines::LogLine;
use crate::support::plugins::{echo, plugin};
use crate::support::{Server, Setup};

/// The line about a panic in this hook.
fn told(server: &Server, mark: usize, hook: &str) -> LogLine {
    let text = format!("told to panic in {hook}");
    let line = server.await_log(mark, |line| line.mentions(&text));
    assert!(line.is_error(), "{line:?}");
    assert_eq!(line.text("plugin"), "fixture-panics", "{line:?}");
    assert_eq!(line.text("generation"), "1", "{line:?}");
    assert_ne!(line.text("version"), "", "{line:?}");
    assert!(
        line.mentions(&format!("\"{hook}\"")),
        "names the callback: {line:?}"
    );
    line
}

#[test]
fn a_panic_in_open_message_writable_timer_or_notify_closes_that_session_with_1011() {
    let server = Server::with([&plugin("panics"), &echo()]);
    let mut other = server.open("/panics");
    for hook in ["open", "message", "writable", "timer", "notify"] {
        let mark = server.log().mark();
        let mut peer = if hook == "open" {
            server.open("/panics?open")
        } else {
            let mut peer = server.open("/panics");
            peer.text(hook);
            peer
        };
        let frames = peer.frames_to_close();
        let last = frames.last().expect("the Close frame");
        assert_eq!(last.close_code(), Some(1011), "{hook}: {frames:?}");
        assert!(
            !last.close_reason().contains("told"),
            "a peer reads nothing of the plugin: {last:?}"
        );
        peer.end_sending();
        peer.expect_end();
        told(&server, mark, hook);
        assert_eq!(other.ask("others go on"), "others go on");
    }
    server.assert_echoes();
}

#[test]
fn a_panic_in_close_or_drop_is_logged_and_changes_nothing_else() {
    let server = Server::with([&plugin("panics"), &echo()]);
    let mut other = server.open("/panics");
    for hook in ["close", "drop"] {
        let mark = server.log().mark();
        let mut peer = server.open("/panics");
        assert_eq!(peer.ask(hook), hook);
        peer.close();
        told(&server, mark, hook);
        assert_eq!(other.ask("others go on"), "others go on");
    }
    server.assert_echoes();
}

#[test]
fn a_thousand_panics_in_a_row_change_nothing() {
    let mut server = Setup::new()
        .plugin(&plugin("panics"))
        .plugin(&echo())
        .start();
    let mut other = server.open("/panics");
    for nth in 0..1000 {
        let mut peer = server.open("/panics");
        peer.text("message");
        peer.expect_close(1011);
        if nth % 100 == 0 {
            assert_eq!(other.ask("others go on"), "others go on");
        }
    }
    server.assert_echoes();
    assert!(server.is_running());
}
