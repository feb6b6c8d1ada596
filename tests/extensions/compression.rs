//! Which messages are compressed, and the forms that compressed messages may have.

use serde_json::{Value, json};

use crate::support::deflate::{compressed, fragmented, json as text, noise};
use crate::support::frame::{BINARY, PING, PONG, TEXT};
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::{Config, DeflatePeer, Frame, Server, Setup};

/// RFC 7692 section 7.2.3.1.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn server(options: Value) -> Server {
    let config = Config::new().extension("permessage-deflate", options);
    let setup = Setup::new().plugin(&echo()).plugin(&permessage_deflate());
    setup.config(&config).start()
}

fn open(server: &Server) -> DeflatePeer {
    DeflatePeer::open(server.address(), "/echo", "permessage-deflate")
}

#[test]
fn seed_8_7_what_is_sent_is_smaller_than_what_is_said() {
    let server = server(json!({}));
    let mut peer = open(&server);
    for (size, at_most) in [(1000, 500), (10_000, 4000), (200_000, 80_000)] {
        let received = peer.echo(TEXT, &text(5, size));
        assert!(received.is_compressed);
        assert!(received.wire_bytes < at_most, "{size}: {received:?}");
    }
    let zeros = peer.echo(BINARY, &vec![0; 1 << 20]);
    assert!(zeros.wire_bytes < 1 << 14, "{}", zeros.wire_bytes);
}

#[test]
fn messages_under_the_threshold_are_sent_as_they_are() {
    for (options, threshold) in [
        (json!({}), 256),
        (json!({"threshold_bytes": 0}), 0),
        (json!({"threshold_bytes": 1}), 1),
        (json!({"threshold_bytes": 5000}), 5000),
    ] {
        let server = server(options);
        let mut peer = open(&server);
        for length in [0, 1, 2, 255, 256, 4999, 5000] {
            let received = peer.echo(TEXT, &text(3, length));
            assert_eq!(received.is_compressed, length >= threshold, "{received:?}");
        }
    }
}

#[test]
fn a_higher_level_and_takeover_make_messages_smaller() {
    let bytes = |options: Value| {
        let server = server(options);
        let mut peer = open(&server);
        (0..20)
            .map(|nth| peer.echo(TEXT, &text(nth, 2000)).wire_bytes)
            .sum::<usize>()
    };
    let fast = bytes(json!({"level": 1}));
    let small = bytes(json!({"level": 9}));
    let takeover = bytes(json!({"level": 9, "server_context_takeover": true}));
    assert!(small < fast, "{small} and {fast}");
    assert!(takeover < small, "{takeover} and {small}");
}

#[test]
fn a_message_that_comes_uncompressed_is_taken() {
    let server = server(json!({"client_context_takeover": true}));
    let mut peer = open(&server);
    let message = text(1, 3000);
    // It is no part of the context, on neither side.
    for _ in 0..3 {
        peer.peer.frames(&[Frame::new(TEXT, &message)]);
        assert_eq!(peer.message().text, message);
        peer.echo(TEXT, &message);
    }
}

#[test]
fn seed_8_6_the_examples_of_the_rfc_are_read() {
    let server = server(json!({"client_context_takeover": true}));
    let examples: [(&str, &[&[u8]]); 8] = [
        ("one block", &[&HELLO]),
        ("in two frames", &[&HELLO[..3], &HELLO[3..]]),
        (
            "no compression",
            &[&[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ]],
        ),
        (
            "BFINAL",
            &[&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]],
        ),
        (
            "two blocks",
            &[&[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ]],
        ),
        (
            "two blocks in two frames",
            &[
                &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff],
                &[0xca, 0xc9, 0xc9, 0x07, 0x00],
            ],
        ),
        (
            "with empty frames",
            &[&[], &HELLO[..1], &[], &HELLO[1..], &[]],
        ),
        (
            "octet by octet",
            &[
                &[0xf2],
                &[0x48],
                &[0xcd],
                &[0xc9],
                &[0xc9],
                &[0x07],
                &[0x00],
            ],
        ),
    ];
    for (name, payloads) in examples {
        let mut peer = open(&server);
        peer.peer.frames(&fragmented(TEXT, payloads));
        let received = peer.message();
        assert_eq!(
            (received.opcode, &received.text[..]),
            (TEXT, &b"Hello"[..]),
            "{name}"
        );
    }
}

#[test]
fn messages_that_share_the_window_are_read() {
    let server = server(json!({"client_context_takeover": true}));
    let mut peer = open(&server);
    peer.send_raw(&HELLO);
    assert_eq!(peer.message().text, b"Hello");
    for _ in 0..3 {
        peer.send_raw(&[0xf2, 0x00, 0x11, 0x00, 0x00]);
        assert_eq!(peer.message().text, b"Hello");
    }
}

#[test]
fn what_the_server_sends_are_the_examples_of_the_rfc() {
    let server = server(json!({"level": 9, "threshold_bytes": 0, "server_context_takeover": true}));
    let mut peer = open(&server);
    for expected in [&HELLO[..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        peer.peer.text("Hello");
        assert_eq!(peer.peer.frame(), compressed(TEXT, expected));
    }
    peer.peer.text("");
    assert_eq!(peer.peer.frame(), compressed(TEXT, [0x00]), "empty");
}

#[test]
fn an_empty_message_may_be_compressed() {
    let server = server(json!({"client_context_takeover": true, "threshold_bytes": 0}));
    let mut peer = open(&server);
    // One empty block without its length; and the way of section 7.2.3.6 in other words.
    for payload in [&[0x00][..], &[0x02, 0x00], &[]] {
        for opcode in [TEXT, BINARY] {
            peer.peer.frames(&[compressed(opcode, payload)]);
            let received = peer.message();
            assert_eq!(
                (received.opcode, received.text.len()),
                (opcode, 0),
                "{payload:?}"
            );
            peer.echo(TEXT, b"and on");
        }
    }
    peer.peer
        .frames(&fragmented(TEXT, &[&[][..], &[], &[0x00]]));
    assert_eq!(peer.message().text, b"");
}

#[test]
fn blocks_with_bfinal_set_may_end_a_message_or_be_followed_by_others() {
    let server = server(json!({"client_context_takeover": true}));
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut peer = open(&server);
    // Without the empty block behind it, with it, twice, and before a block that is not the last.
    for (payload, expected) in [
        (last.to_vec(), "Hello"),
        ([&last[..], &[0x00]].concat(), "Hello"),
        ([last, last].concat(), "HelloHello"),
        ([last, HELLO].concat(), "HelloHello"),
        (
            [
                HELLO[..6].to_vec(),
                vec![0, 0, 0, 0xff, 0xff],
                last.to_vec(),
            ]
            .concat(),
            "HelloHello",
        ),
    ] {
        for _ in 0..2 {
            peer.send_raw(&payload);
            let received = peer.message();
            assert_eq!(
                String::from_utf8_lossy(&received.text),
                expected,
                "{payload:x?}"
            );
        }
    }
    peer.send_raw(&HELLO);
    assert_eq!(peer.message().text, b"Hello");
}

#[test]
fn fragments_may_end_anywhere_and_control_frames_come_between_them() {
    let server = server(json!({"client_context_takeover": true}));
    let mut peer = open(&server);
    let message = [text(2, 3000), noise(2, 500), text(2, 3000)].concat();
    for step in [1, 2, 7, 1000, 4000] {
        let payload = peer.compressor.message(&message);
        let pieces: Vec<&[u8]> = payload.chunks(step).collect();
        let frames = fragmented(BINARY, &pieces);
        let (first, rest) = frames.split_at(frames.len() / 2);
        peer.peer.frames(first);
        // Answered before the message is whole.
        peer.peer.frames(&[Frame::new(PING, "now")]);
        assert_eq!(peer.peer.frame(), Frame::new(PONG, "now"));
        peer.peer.frames(rest);
        assert!(peer.message().text == message, "in steps of {step}");
    }
}

#[test]
fn each_fragment_may_end_with_a_flush() {
    let server = server(json!({"client_context_takeover": true}));
    let mut peer = open(&server);
    let pieces = [text(1, 2000), Vec::new(), text(1, 10), noise(3, 9000)];
    for _ in 0..3 {
        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let payloads = peer.compressor.fragments(&slices);
        peer.peer.frames(&fragmented(BINARY, &payloads));
        assert!(peer.message().text == pieces.concat());
    }
}

#[test]
fn what_a_protocol_sends_in_fragments_is_compressed_fragment_by_fragment() {
    let server = Server::with([&plugin("probe"), &permessage_deflate()]);
    let mut peer = DeflatePeer::open(server.address(), "/probe", "permessage-deflate");
    for _ in 0..2 {
        peer.peer.text("fragments one two three");
        let first = peer.peer.frame();
        assert_eq!(
            (first.opcode, first.reserved, first.last),
            (TEXT, 4, false),
            "{first:?}"
        );
        assert_eq!(peer.message_from(first).text, b"onetwothree");
    }
}

#[test]
fn a_protocol_that_takes_pieces_gets_them_decompressed() {
    let server = Server::with([&plugin("pieces"), &permessage_deflate()]);
    let mut peer = DeflatePeer::open(server.address(), "/pieces", "permessage-deflate");
    peer.send(BINARY, &text(9, 100_000));
    let mut total = 0;
    loop {
        let facts = String::from_utf8(peer.message().text).expect("text");
        let (_, length) = facts.rsplit_once("length=").expect("a length");
        total += length.parse::<usize>().expect("a number");
        if facts.contains("last=true") {
            break;
        }
    }
    assert_eq!(total, 100_000);
}
