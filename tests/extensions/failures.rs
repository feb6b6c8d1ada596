//! What is against the protocol fails as it does without compression, with the same codes.

use crate::support::deflate::{Compressor, compressed, fragmented, json as text};
use crate::support::frame::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::{DeflatePeer, Frame, RawPeer, Server};

fn server() -> Server {
    Server::with([&echo(), &permessage_deflate()])
}

fn open(server: &Server) -> DeflatePeer {
    DeflatePeer::open(server.address(), "/echo", "permessage-deflate")
}

/// The payload of a message of its own.
fn deflated(text: &[u8]) -> Vec<u8> {
    Compressor::new(15, false).message(text)
}

/// The same frame with these reserved bits.
fn reserved(bits: u8, frame: Frame) -> Frame {
    Frame {
        reserved: bits,
        ..frame
    }
}

/// Each of these closes the connection with `code`, right behind a message that is still answered; others go on.
fn assert_each_fails(code: u16, cases: &[(&str, Vec<Frame>)]) {
    let server = server();
    let mut other = open(&server);
    for (name, frames) in cases {
        let mut peer = open(&server);
        let mut all = vec![compressed(TEXT, deflated(b"before"))];
        all.extend_from_slice(frames);
        peer.peer.frames(&all);
        assert_eq!(peer.message().text, b"before", "{name}");
        let mut answers = peer.peer.frames_to_close();
        let last = answers.pop().expect("the Close frame");
        assert_eq!(last.close_code(), Some(code), "{name}: {last:?}");
        assert!(
            answers.iter().all(|frame| frame.opcode == PONG),
            "{name}: {answers:?}"
        );
        peer.peer.end_sending();
        peer.peer.expect_end();
        other.echo(TEXT, &text(1, 1000));
    }
}

#[test]
fn text_that_is_not_utf8_fails_with_1007() {
    let half = "€".as_bytes();
    let in_two = |first: &[u8], second: &[u8]| {
        let payloads = Compressor::new(15, false).fragments(&[first, second]);
        fragmented(TEXT, &payloads)
    };
    assert_each_fails(
        1007,
        &[
            (
                "an octet",
                vec![compressed(TEXT, deflated(b"good until \xff"))],
            ),
            (
                "a surrogate",
                vec![compressed(TEXT, deflated(b"\xed\xa0\x80"))],
            ),
            ("cut", vec![compressed(TEXT, deflated(&half[..2]))]),
            ("cut between fragments", in_two(&half[..1], b"x")),
            (
                "in a message that is not compressed",
                vec![Frame::new(TEXT, b"\xff")],
            ),
            (
                "in a long one",
                vec![compressed(
                    TEXT,
                    deflated(&[&text(1, 100_000)[..], b"\x80"].concat()),
                )],
            ),
        ],
    );
}

#[test]
fn invalid_text_is_found_before_its_message_has_ended() {
    let server = server();
    let mut peer = open(&server);
    let payloads = Compressor::new(15, false).fragments(&[b"good, then \xff", b""]);
    let frames = fragmented(TEXT, &payloads);
    peer.peer.frames(&frames[..1]);
    peer.peer.expect_close(1007);
}

#[test]
fn text_whose_code_points_are_split_between_compressed_fragments_is_text() {
    let server = server();
    let mut peer = open(&server);
    let text = "κόσμε 🙂 €".as_bytes();
    let pieces: Vec<&[u8]> = text.chunks(1).collect();
    let payloads = Compressor::new(15, false).fragments(&pieces);
    peer.peer.frames(&fragmented(TEXT, &payloads));
    assert_eq!(peer.message().text, text);
}

#[test]
fn what_is_not_text_need_not_be_utf8() {
    let server = server();
    let mut peer = open(&server);
    peer.echo(BINARY, b"\xff\xfe\xed\xa0\x80");
}

#[test]
fn reserved_bits_and_opcodes_fail_with_1002() {
    let hello = deflated(b"Hello");
    let beginning = Frame {
        last: false,
        ..compressed(TEXT, &hello[..3])
    };
    assert_each_fails(
        1002,
        &[
            ("RSV2", vec![reserved(2, Frame::text("a"))]),
            ("RSV3", vec![reserved(1, Frame::text("a"))]),
            ("RSV1 and RSV2", vec![reserved(6, Frame::new(TEXT, &hello))]),
            ("all", vec![reserved(7, Frame::new(TEXT, &hello))]),
            ("RSV1 on a ping", vec![reserved(4, Frame::new(PING, ""))]),
            ("RSV1 on a pong", vec![reserved(4, Frame::new(PONG, ""))]),
            ("RSV1 on a close", vec![reserved(4, Frame::close(1000, ""))]),
            (
                "RSV1 on a continuation",
                vec![
                    beginning.clone(),
                    reserved(4, Frame::new(CONTINUATION, &hello[3..])),
                ],
            ),
            (
                "RSV1 on a continuation of a plain message",
                vec![
                    Frame::fragment(TEXT, "a"),
                    reserved(4, Frame::new(CONTINUATION, "b")),
                ],
            ),
            (
                "RSV1 on a continuation of nothing",
                vec![reserved(4, Frame::new(CONTINUATION, "b"))],
            ),
            ("opcode 3", vec![Frame::new(3, "a")]),
            ("opcode 3 with RSV1", vec![compressed(3, &hello)]),
            ("opcode 11", vec![Frame::new(11, "")]),
            (
                "opcode 15 in a message",
                vec![beginning, Frame::new(15, "")],
            ),
        ],
    );
}

#[test]
fn fragments_out_of_order_fail_with_1002() {
    let hello = deflated(b"Hello");
    let beginning = || Frame {
        last: false,
        ..compressed(TEXT, &hello[..3])
    };
    assert_each_fails(
        1002,
        &[
            (
                "a message in a message",
                vec![beginning(), compressed(TEXT, &hello)],
            ),
            (
                "a plain message in a message",
                vec![beginning(), Frame::text("a")],
            ),
            ("the end of nothing", vec![Frame::new(CONTINUATION, &hello)]),
            (
                "more behind the end",
                vec![compressed(TEXT, &hello), Frame::new(CONTINUATION, "")][1..].to_vec(),
            ),
        ],
    );
}

#[test]
fn control_frames_in_fragments_or_too_long_fail_with_1002() {
    let beginning = || Frame {
        last: false,
        ..compressed(TEXT, &deflated(b"Hello")[..3])
    };
    assert_each_fails(
        1002,
        &[
            ("a ping in fragments", vec![Frame::fragment(PING, "a")]),
            (
                "one in a message",
                vec![beginning(), Frame::fragment(PING, "a")],
            ),
            ("a close in fragments", vec![Frame::fragment(CLOSE, "")]),
            ("126 octets", vec![Frame::new(PING, [0; 126])]),
            (
                "126 octets in a message",
                vec![beginning(), Frame::new(PING, [0; 126])],
            ),
        ],
    );
}

#[test]
fn bad_close_frames_fail_as_they_do_without_compression() {
    let beginning = || Frame {
        last: false,
        ..compressed(TEXT, &deflated(b"Hello")[..3])
    };
    assert_each_fails(
        1002,
        &[
            ("one octet", vec![Frame::new(CLOSE, [3])]),
            ("code 1005", vec![Frame::close(1005, "")]),
            ("code 999", vec![Frame::close(999, "")]),
            (
                "code 5000 in a message",
                vec![beginning(), Frame::close(5000, "")],
            ),
        ],
    );
    assert_each_fails(
        1007,
        &[(
            "a reason that is not text",
            vec![Frame::new(CLOSE, b"\x03\xe8\xff")],
        )],
    );
    // Control frames are never compressed, so this is a code and no reason.
    assert_each_fails(
        1000,
        &[(
            "a good one in a message",
            vec![beginning(), Frame::close(1000, "")],
        )],
    );
}

#[test]
fn frames_without_a_mask_fail_with_1002() {
    let server = server();
    let mut peer = open(&server);
    peer.peer
        .bytes(&compressed(TEXT, deflated(b"Hello")).unmasked());
    peer.peer.expect_close(1002);
}

#[test]
fn what_is_no_deflate_fails_with_1007() {
    let hello = deflated(b"Hello");
    let long = deflated(&text(1, 5000));
    let cut = &long[..long.len() / 2];
    assert_each_fails(
        1007,
        &[
            ("noise", vec![compressed(BINARY, [0xff; 40])]),
            ("the reserved block type", vec![compressed(BINARY, [0x07])]),
            ("cut in a block", vec![compressed(BINARY, cut)]),
            (
                "cut in the first block",
                vec![compressed(BINARY, &hello[..2])],
            ),
            (
                "a stored block with a wrong length",
                vec![compressed(BINARY, [0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48])],
            ),
            (
                "a stored block that is cut",
                vec![compressed(BINARY, [0x00, 0x05, 0x00, 0xfa, 0xff])],
            ),
            (
                "a zlib header",
                vec![compressed(
                    BINARY,
                    [0x78, 0x9c, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
                )],
            ),
            (
                "a reference before the beginning",
                vec![compressed(BINARY, [0xf2, 0x00, 0x11, 0x00, 0x00])],
            ),
        ],
    );
}

#[test]
fn a_connection_without_the_extension_fails_on_its_bit() {
    let server = server();
    let mut peer = server.open("/echo");
    peer.frames(&[compressed(TEXT, deflated(b"Hello"))]);
    peer.expect_close(1002);
}

#[test]
fn good_closes_end_the_connection_with_their_code_in_any_state() {
    let server = server();
    let beginning = Frame {
        last: false,
        ..compressed(TEXT, &deflated(b"Hello")[..3])
    };
    for frames in [
        vec![],
        vec![beginning],
        vec![compressed(TEXT, deflated(b"Hello"))],
    ] {
        let mut peer = open(&server);
        peer.peer.frames(&frames);
        peer.peer.frames(&[Frame::close(4321, "all said")]);
        let answers = peer.peer.frames_to_close();
        let last = answers.last().expect("the Close frame");
        assert_eq!(last.close_code(), Some(4321), "{answers:?}");
        peer.peer.expect_end();
    }
}

#[test]
fn a_message_that_stops_half_way_is_no_burden_for_others() {
    let server = server();
    let long = deflated(&text(1, 50_000));
    let half: Vec<DeflatePeer> = (0..50)
        .map(|_| {
            let mut peer = open(&server);
            let beginning = compressed(BINARY, &long[..5000]);
            peer.peer.frames(&[Frame {
                last: false,
                ..beginning
            }]);
            peer
        })
        .collect();
    let mut peer = open(&server);
    peer.echo(TEXT, &text(2, 50_000));
    drop(half);
    peer.echo(TEXT, &text(2, 50_000));
    server.assert_echoes();
}

#[test]
fn a_handshake_and_compressed_frames_octet_by_octet_are_read() {
    let server = server();
    let mut peer = RawPeer::connect(server.address());
    let message = text(4, 700);
    let mut bytes = format!(
        "GET /echo HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        server.address(),
        crate::support::raw_peer::KEY,
    )
    .into_bytes();
    bytes.extend(compressed(TEXT, deflated(&message)).masked());
    for octet in bytes {
        peer.bytes(&[octet]);
    }
    assert_eq!(peer.response().status, 101);
    let frame = peer.frame();
    let mut strict = crate::support::strict::Strict::new(15, false);
    assert_eq!(strict.message(&frame.payload), Ok(message), "{frame:?}");
}

#[test]
fn closes_and_pings_of_the_server_are_never_compressed() {
    let server = Server::with([&plugin("probe"), &permessage_deflate()]);
    let mut peer = DeflatePeer::open(server.address(), "/probe", "permessage-deflate");
    peer.peer.text("ping here");
    loop {
        let frame = peer.peer.frame();
        if frame.opcode == PING {
            assert_eq!(frame, Frame::new(PING, "here"));
            break;
        }
    }
    peer.peer.text("close 4000 enough");
    let frames = peer.peer.frames_to_close();
    assert_eq!(frames.last(), Some(&Frame::close(4000, "enough")));
}
