//! Pings and pongs.

use crate::support::frame::{PING, PONG};
use crate::support::plugins::{echo, plugin};
use crate::support::{Config, Frame, Server, Setup};

#[test]
fn every_ping_is_answered_in_its_order_among_the_messages() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let sent: Vec<Frame> = (0..200)
        .flat_map(|nth| {
            let text = Frame::text(&format!("message {nth}"));
            [Frame::new(PING, format!("ping {nth}")), text]
        })
        .collect();
    peer.frames(&sent);
    for frame in sent {
        let answer = peer.frame();
        assert_eq!(answer.payload, frame.payload);
        let pong = frame.opcode == PING;
        assert_eq!(answer.opcode == PONG, pong, "{answer:?}");
    }
}

#[test]
fn pings_of_all_sizes_come_back_as_pongs() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    for length in [0, 1, 124, 125] {
        peer.frames(&[Frame::new(PING, vec![0xfe; length])]);
        assert_eq!(peer.frame(), Frame::new(PONG, vec![0xfe; length]));
    }
}

#[test]
fn a_pong_that_nobody_asked_for_is_taken_without_an_answer() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[Frame::new(PONG, "unasked")]);
    assert_eq!(peer.ask("next"), "next");
}

#[test]
fn seed_5_11_a_plugin_can_ping_and_hears_the_pong() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    peer.text("ping mark");
    assert_eq!(peer.frame(), Frame::new(PING, "mark"));
    peer.frames(&[Frame::new(PONG, "mark")]);
    assert_eq!(peer.frame(), Frame::text("pong mark"));
}

#[test]
fn seed_5_11_a_silent_peer_is_pinged_and_let_go_when_it_does_not_answer() {
    let config = Config::new()
        .limit("idle_ping_ms", 100)
        .limit("pong_ms", 200);
    let setup = Setup::new().plugin(&plugin("probe")).config(&config);
    let server = setup.start();
    let mut silent = server.open("/probe?silent");
    assert_eq!(silent.frame().opcode, PING);
    silent.expect_end_somehow();

    let mut other = server.open("/probe");
    let told = loop {
        let frame = other.frame();
        if frame.opcode == PING {
            other.frames(&[Frame::new(PONG, &frame.payload), Frame::text("closes")]);
        } else if frame.as_text().starts_with("[{") {
            break frame.as_text();
        }
    };
    assert!(told.contains("1006") && told.contains("silent"), "{told}");
}

#[test]
fn a_peer_that_answers_pings_stays() {
    let config = Config::new()
        .limit("idle_ping_ms", 50)
        .limit("pong_ms", 2_000);
    let setup = Setup::new().plugin(&echo()).config(&config);
    let server = setup.start();
    let mut peer = server.open("/echo");
    for _ in 0..5 {
        let frame = peer.frame();
        assert_eq!(frame.opcode, PING);
        peer.frames(&[Frame::new(PONG, &frame.payload)]);
    }
    peer.text("here");
    while peer.frame() != Frame::text("here") {}
}
