//! Who may send when: pause and resume, high and low mark, writable.

use std::time::Duration;

use crate::support::plugins::{echo, plugin};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Frame, Server, Setup};

#[test]
fn seed_6_13_a_paused_session_gets_no_message_and_what_was_read_comes_first_on_resume() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    peer.frames(&[
        Frame::text("pause 300"),
        Frame::text("each first"),
        Frame::text("each second"),
    ]);
    assert_eq!(peer.frame(), Frame::text("timer 999"));
    peer.text("each third");
    for expected in ["first", "second", "third"] {
        assert_eq!(peer.frame(), Frame::text(expected));
    }
}

#[test]
fn seed_6_13_seed_6_14_a_paused_session_pushes_back_on_its_peer_until_another_one_resumes_it() {
    let server = Server::with([&plugin("probe")]);
    let mut paused = server.open("/probe");
    assert_eq!(paused.ask("count"), "1");
    paused.text("pause-until-told");
    let filler = Frame::binary(vec![0; 1 << 20]).masked();
    let mut sent = 0;
    let rest = loop {
        let taken = paused.bytes_until_refused(&filler, Duration::from_secs(1));
        if taken < filler.len() {
            break &filler[taken..];
        }
        sent += taken;
        assert!(sent < 256 << 20, "nothing pushes back");
    };
    let resident = server.process().resident_bytes();
    assert!(resident < 64 << 20, "the host holds {resident} bytes");

    let mut other = server.open("/probe");
    other.text("resume-all");
    paused.bytes(rest);
    assert_eq!(paused.ask("count"), "2");
}

#[test]
fn seed_6_4_seed_6_5_seed_6_7_a_peer_that_does_not_read_makes_send_answer_full_and_writable_comes_when_it_reads()
 {
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    peer.text("flood 100000");
    let mut messages = 0;
    let told = loop {
        let frame = peer.frame();
        if frame.payload.len() != 64 << 10 {
            break frame.as_text();
        }
        messages += 1;
    };
    let (_, sent) = told.split_once("sent ").expect("the count is told");
    assert_eq!(sent.parse(), Ok(messages), "never partly: {told}");
    assert!(messages < 100_000, "{told}");
    let (_, queued) = told.split_once("queued ").expect("the bytes are told");
    let (queued, _) = queued.split_once(',').expect("a number");
    let queued: u64 = queued.parse().expect("a number");
    assert!(queued <= 256 << 10, "called below the low mark: {told}");
}

#[test]
fn seed_6_6_seed_6_7_writable_is_called_in_the_next_turn_when_there_is_room_already_and_never_nested()
 {
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    peer.text("writable");
    assert_eq!(peer.frame(), Frame::text("asked"));
    let told = peer.frame().as_text();
    assert!(told.starts_with("writable, queued "), "{told}");
    peer.expect_quiet();
}

#[test]
fn an_echo_whose_peer_does_not_read_holds_no_more_than_its_marks() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let before = server.process().resident_bytes();
    let message = Frame::binary(vec![7; 256 << 10]).masked();
    let mut sent = 0;
    while peer.bytes_until_refused(&message, Duration::from_secs(1)) == message.len() {
        sent += message.len();
        assert!(sent < 512 << 20, "nothing pushes back");
    }
    let grown = server.process().resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "the host holds {grown} bytes more");
    server.assert_echoes();
}

#[test]
fn output_that_does_not_move_ends_the_transport() {
    let config = Config::new().limit("stalled_write_ms", 300);
    let setup = Setup::new().plugin(&plugin("probe")).config(&config);
    let server = setup.start();
    let mut stuck = server.open("/probe?stuck");
    // More in all than the kernel takes for both ends.
    stuck.frames(&vec![Frame::text("flood 100000"); 100]);
    let mut other = server.open("/probe");
    eventually("the stuck session is ended", DEADLINE, || {
        other.ask("closes").contains("stuck")
    });
}
