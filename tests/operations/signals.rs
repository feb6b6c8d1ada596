//! Signals.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Frame, Server, Setup};

#[test]
fn term_and_int_close_each_session_with_1001_and_the_host_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::with([&echo()]);
        let mut peers: Vec<_> = (0..5).map(|_| server.open("/echo")).collect();
        for peer in &mut peers {
            assert_eq!(peer.ask("hello"), "hello");
        }
        server.signal(signal);
        for peer in &mut peers {
            peer.expect_close(1001);
            peer.frames(&[Frame::close(1001, "")]);
            peer.expect_end();
        }
        assert_eq!(server.wait_exit().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn what_was_sent_before_the_signal_is_answered() {
    let mut server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let payload = vec![1; 4 << 20];
    peer.frames(&[Frame::binary(&payload)]);
    // Until the answer begins the message may still be on its way, and could come behind the close.
    let begun = peer.receives_anything();
    assert!(begun);
    server.signal(Signal::TERM);
    assert!(peer.frame().payload == payload, "the answer was cut");
    peer.expect_close(1001);
    drop(peer);
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn a_draining_host_refuses_new_connections() {
    let config = Config::new()
        .limit("close_ms", 10_000)
        .limit("drain_host_ms", 10_000);
    let mut server = Setup::new().plugin(&echo()).config(&config).start();
    let mut peer = server.open("/echo");
    assert_eq!(peer.ask("hello"), "hello");
    server.signal(Signal::TERM);
    peer.expect_close(1001);
    let refused = || std::net::TcpStream::connect(server.address()).is_err();
    eventually("connections are refused", Duration::from_secs(5), refused);
    drop(peer);
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn sessions_that_do_not_answer_are_left_behind_by_the_deadline() {
    let config = Config::new()
        .limit("close_ms", 60_000)
        .limit("drain_host_ms", 500);
    let mut server = Setup::new().plugin(&echo()).config(&config).start();
    let mut peer = server.open("/echo");
    assert_eq!(peer.ask("hello"), "hello");
    server.signal(Signal::TERM);
    peer.expect_close(1001);
    server.wait_exit();
}

#[test]
fn a_second_signal_ends_at_once() {
    let config = Config::new()
        .limit("close_ms", 600_000)
        .limit("drain_host_ms", 600_000);
    let mut server = Setup::new().plugin(&echo()).config(&config).start();
    let mut peer = server.open("/echo");
    assert_eq!(peer.ask("hello"), "hello");
    server.signal(Signal::TERM);
    peer.expect_close(1001);
    assert!(server.is_running(), "it waits for the session");
    server.signal(Signal::TERM);
    assert_ne!(server.wait_exit().code(), Some(0));
}

#[test]
fn hup_applies_changed_options_to_new_sessions_and_old_ones_keep_theirs() {
    let slow = Config::new().options("increment", json!({"period_ms": 600_000}));
    let setup = Setup::new().plugin(&plugin("increment")).config(&slow);
    let server = setup.start();
    let mut old = server.open("/increment");
    let quick = Config::new().options("increment", json!({"period_ms": 1}));
    fs::write(server.config_file(), quick.text()).expect("ours");
    server.signal(Signal::HUP);
    eventually("new sessions count quickly", DEADLINE, || {
        let mut peer = server.open("/increment");
        let frames = (0..3).map(|_| peer.frame_within(Duration::from_millis(500)));
        frames.flatten().count() == 3
    });
    let frames = (0..2).map(|_| old.frame_within(Duration::from_millis(200)));
    assert!(
        frames.flatten().count() <= 1,
        "the old session changed its pace"
    );
}

#[test]
fn hup_with_a_bad_config_changes_nothing_and_says_so() {
    let setup = Setup::new().plugin(&echo()).config(&Config::new());
    let server = setup.start();
    let mut old = server.open("/echo");
    let mark = server.log().mark();
    fs::write(
        server.config_file(),
        "{ \"limits\": { \"message_bytes\": 10, \"nonsense\": 1 } }",
    )
    .expect("ours");
    server.signal(Signal::HUP);
    let line = server.await_log(mark, |line| line.is_error());
    assert!(line.mentions("nonsense"), "{line:?}");
    assert_eq!(old.ask("longer than ten octets"), "longer than ten octets");
    assert_eq!(
        server.open("/echo").ask("longer than ten octets"),
        "longer than ten octets"
    );
}

#[test]
fn hup_applies_changed_limits_to_what_begins_afterwards() {
    let setup = Setup::new().plugin(&echo()).config(&Config::new());
    let server = setup.start();
    let tight = Config::new().limit("message_bytes", 10);
    fs::write(server.config_file(), tight.text()).expect("ours");
    server.signal(Signal::HUP);
    eventually("new sessions are bound by it", DEADLINE, || {
        let mut peer = server.open("/echo");
        peer.text("longer than ten octets");
        peer.frame().close_code() == Some(1009)
    });
}
