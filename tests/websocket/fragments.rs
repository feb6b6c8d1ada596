//! Messages in fragments, both ways, and frames that must not be.

use crate::support::frame::{BINARY, CONTINUATION, PING, PONG, TEXT};
use crate::support::plugins::{echo, plugin};
use crate::support::{Frame, RawPeer, Server};

/// Sends the frames behind a good message, and expects that this is answered and the frames fail the connection.
fn fails_with(server: &Server, code: u16, bytes: &[u8]) {
    let mut peer = server.open("/echo");
    let mut all = Frame::text("good").masked();
    all.extend_from_slice(bytes);
    peer.bytes(&all);
    assert_eq!(peer.frame(), Frame::text("good"));
    peer.expect_close(code);
    peer.end_sending();
    peer.expect_end_somehow();
}

fn masked(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::masked).collect()
}

#[test]
fn seed_5_5_a_message_in_fragments_is_one_message() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[
        Frame::fragment(TEXT, "one "),
        Frame::fragment(CONTINUATION, ""),
        Frame::fragment(CONTINUATION, "message "),
        Frame::new(CONTINUATION, "in fragments"),
    ]);
    assert_eq!(peer.frame(), Frame::text("one message in fragments"));
}

#[test]
fn control_frames_between_fragments_are_answered_at_once() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[
        Frame::fragment(BINARY, "a"),
        Frame::new(PING, "between"),
        Frame::new(CONTINUATION, "b"),
    ]);
    assert_eq!(peer.frame(), Frame::new(PONG, "between"));
    assert_eq!(peer.frame(), Frame::binary("ab"));
}

#[test]
fn seed_6_1_every_length_encoding_comes_back_as_it_went() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20] {
        let payload: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        peer.frames(&[Frame::binary(&payload)]);
        assert_eq!(peer.frame(), Frame::binary(&payload));
    }
}

#[test]
fn frames_split_at_any_octet_are_the_same_frames() {
    let server = Server::with([&echo()]);
    let frames = [Frame::text("first"), Frame::binary(vec![9; 300])];
    let bytes = masked(&frames);
    let mut peer = server.open("/echo");
    for at in (0..20).chain([bytes.len() - 1]) {
        peer.bytes(&bytes[..at]);
        peer.bytes(&bytes[at..]);
        assert_eq!([peer.frame(), peer.frame()], frames, "split at {at}");
    }
}

#[test]
fn frames_against_the_protocol_fail_with_1002_and_what_was_good_before_is_answered() {
    let server = Server::with([&echo()]);
    let reserved = |bits| Frame {
        reserved: bits,
        ..Frame::text("reserved")
    };
    let cases = [
        ("RSV1", masked(&[reserved(4)])),
        ("RSV2", masked(&[reserved(2)])),
        ("RSV3", masked(&[reserved(1)])),
        ("opcode 3", masked(&[Frame::new(3, "x")])),
        ("opcode 11", masked(&[Frame::new(11, "x")])),
        ("no mask", Frame::text("x").unmasked()),
        (
            "continuation of nothing",
            masked(&[Frame::new(CONTINUATION, "x")]),
        ),
        (
            "message inside a message",
            masked(&[Frame::fragment(TEXT, "a"), Frame::new(TEXT, "b")]),
        ),
        ("ping in fragments", masked(&[Frame::fragment(PING, "x")])),
        ("long ping", masked(&[Frame::new(PING, vec![0; 126])])),
        (
            "length not minimal",
            vec![0x81, 0xfe, 0, 1, 0, 0, 0, 0, b'x'],
        ),
        (
            "length with the highest bit",
            vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        ),
    ];
    for (name, bytes) in cases {
        eprintln!("{name}");
        fails_with(&server, 1002, &bytes);
    }
    server.assert_echoes();
}

#[test]
fn seed_6_1_a_plugin_can_send_a_message_in_fragments() {
    let server = Server::with([&plugin("probe")]);
    let mut peer = server.open("/probe");
    peer.text("fragments one two three");
    assert_eq!(peer.frame(), Frame::fragment(TEXT, "one"));
    assert_eq!(peer.frame(), Frame::fragment(CONTINUATION, "two"));
    assert_eq!(peer.frame(), Frame::new(CONTINUATION, "three"));
}

/// The pieces of one message as the plugin tells them: kind, first, last, remaining, length.
fn pieces(peer: &mut RawPeer) -> Vec<(bool, bool, u64, u64)> {
    let mut pieces = Vec::new();
    loop {
        let told = peer.frame().as_text();
        let value = |name: &str| {
            let (_, rest) = told.split_once(name).expect("the fact is told");
            rest.split(' ').next().expect("a value").to_owned()
        };
        let number = |name| value(name).parse().expect("a number");
        let piece = (
            value("first=") == "true",
            value("last=") == "true",
            number("remaining="),
            number("length="),
        );
        pieces.push(piece);
        if piece.1 {
            return pieces;
        }
    }
}

#[test]
fn seed_5_8_a_frame_up_to_rx_chunk_comes_in_one_piece() {
    let server = Server::with([&plugin("pieces")]);
    let mut peer = server.open("/pieces");
    for length in [0, 1, 1023, 1024] {
        let bytes = Frame::binary(vec![1; length]).masked();
        let (head, rest) = bytes.split_at(bytes.len() / 2);
        peer.bytes(head);
        peer.expect_nothing_yet();
        peer.bytes(rest);
        let expected = [(true, true, 0, length as u64)];
        assert_eq!(pieces(&mut peer), expected);
    }
}

#[test]
fn seed_5_7_seed_5_8_a_larger_frame_spills_into_pieces_that_say_how_much_is_to_come() {
    let server = Server::with([&plugin("pieces")]);
    let mut peer = server.open("/pieces");
    peer.frames(&[Frame::binary(vec![1; 100_000])]);
    let pieces = pieces(&mut peer);
    let mut to_come = 100_000;
    for (at, (first, last, remaining, length)) in pieces.iter().enumerate() {
        to_come -= length;
        assert_eq!(*remaining, to_come);
        assert_eq!(*first, at == 0);
        assert_eq!(*last, at + 1 == pieces.len());
    }
    assert_eq!(to_come, 0);
    assert!(pieces.len() > 1, "{pieces:?}");
}

#[test]
fn the_first_and_the_last_piece_are_those_of_the_message_and_not_of_its_frames() {
    let server = Server::with([&plugin("pieces")]);
    let mut peer = server.open("/pieces");
    peer.frames(&[
        Frame::fragment(TEXT, "ab"),
        Frame::fragment(CONTINUATION, "cde"),
        Frame::new(CONTINUATION, "f"),
    ]);
    let expected = [
        (true, false, 0, 2),
        (false, false, 0, 3),
        (false, true, 0, 1),
    ];
    assert_eq!(pieces(&mut peer), expected);
}

#[test]
fn seed_5_6_a_protocol_is_told_whether_text_or_binary_has_come() {
    let server = Server::with([&plugin("pieces")]);
    let mut peer = server.open("/pieces");
    for (opcode, kind) in [(TEXT, "Text"), (BINARY, "Binary"), (TEXT, "Text")] {
        peer.frames(&[
            Frame::fragment(opcode, "first"),
            Frame::new(CONTINUATION, "last"),
        ]);
        for _ in 0..2 {
            let told = peer.frame().as_text();
            assert!(told.starts_with(&format!("{kind} ")), "{told}");
        }
    }
}
