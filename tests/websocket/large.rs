//! Large messages: they come back whole and in order, whatever arrives at once and however slowly they are read.

use std::time::Duration;

use crate::support::frame::{BINARY, CONTINUATION, PING, PONG, TEXT};
use crate::support::plugins::{echo, plugin};
use crate::support::{Config, Frame, Server, Setup};

/// Bytes that tell each place from the others.
fn payload(length: usize) -> Vec<u8> {
    let numbers = (0u32..).flat_map(|number| (number % 9_973).to_le_bytes());
    numbers.take(length).collect()
}

fn masked(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::masked).collect()
}

#[test]
fn large_messages_that_arrive_at_once_come_back_in_order_with_small_ones_between_them() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let sizes = [4_095, 4_096, 16 << 10, 65_535, 65_536, 100_000];
    let mut frames = vec![Frame::text("first")];
    for size in sizes {
        frames.push(Frame::binary(payload(size)));
        frames.push(Frame::binary(payload(size)));
        frames.push(Frame::text("small"));
    }
    peer.bytes(&masked(&frames));
    for frame in &frames {
        assert!(peer.frame() == *frame, "{} bytes", frame.payload.len());
    }
}

#[test]
fn messages_above_the_read_buffer_come_back_whole_in_one_frame_or_in_many() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    for length in [256 << 10, (256 << 10) + 1, 700_000, 3 << 20] {
        let whole = payload(length);
        peer.frames(&[Frame::binary(&whole)]);
        assert!(peer.frame() == Frame::binary(&whole), "{length} bytes");

        let (first, second) = whole.split_at(length / 3);
        peer.frames(&[
            Frame::fragment(BINARY, first),
            Frame::new(PING, "between"),
            Frame::new(CONTINUATION, second),
        ]);
        assert_eq!(peer.frame(), Frame::new(PONG, "between"));
        assert!(peer.frame() == Frame::binary(&whole), "{length} bytes");
    }
}

#[test]
fn a_peer_that_reads_late_gets_every_byte_of_large_messages() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let frames = [1 << 20, 5_000, 300_000, 2 << 20].map(|size| Frame::binary(payload(size)));
    let bytes = masked(&frames).repeat(4);
    let (mut sent, mut heard) = (0, 0);
    while heard < 16 {
        sent += peer.bytes_until_refused(&bytes[sent..], Duration::from_millis(50));
        assert!(peer.frame() == frames[heard % 4], "message {heard}");
        heard += 1;
    }
    assert_eq!(sent, bytes.len());
}

#[test]
fn a_close_right_behind_a_large_message_is_answered_behind_it() {
    let server = Server::with([&echo()]);
    for size in [10_000, 1 << 20] {
        let mut peer = server.open("/echo");
        let message = Frame::binary(payload(size));
        peer.bytes(&masked(&[message.clone(), Frame::close(1000, "")]));
        assert!(peer.frame() == message, "{size} bytes");
        peer.expect_close(1000);
    }
}

#[test]
fn a_long_text_that_is_wrong_far_behind_its_beginning_fails_with_1007() {
    let server = Server::with([&echo()]);
    let text = "κόσμε € 𝄞 plain ".repeat(40_000);
    let mut peer = server.open("/echo");
    peer.text(&text);
    assert!(peer.frame() == Frame::text(&text));

    let mut broken = text.into_bytes();
    let at = broken.len() - 10;
    broken[at] = 0xff;
    peer.bytes(&Frame::new(TEXT, broken).masked());
    peer.expect_close(1007);
}

#[test]
fn a_large_message_that_is_announced_and_does_not_come_takes_no_memory() {
    let config = Config::new()
        .limit("message_bytes", 1 << 30)
        .limit("buffered_total_bytes", 1 << 30);
    let setup = Setup::new().plugin(&plugin("probe")).config(&config);
    let server = setup.start();
    let announced = [
        &[0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4],
        &[0; 100_000][..],
    ]
    .concat();
    let before = server.process().resident_bytes();
    let mut peers: Vec<_> = (0..20).map(|_| server.open("/probe")).collect();
    for peer in &mut peers {
        peer.bytes(&announced);
    }
    assert_eq!(server.open("/probe").ask("count"), "21");
    let grown = server.process().resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 20 beginnings");
}
