//! Text is UTF-8, and what is not is found where it becomes invalid.

use crate::support::frame::{CONTINUATION, TEXT};
use crate::support::plugins::{echo, plugin};
use crate::support::{Frame, Server};

#[test]
fn code_points_split_between_fragments_and_reads_are_text() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    let text = "κόσμε \u{10ffff} €".as_bytes();
    let (last, others) = text.split_last().expect("not empty");
    let mut frames = vec![Frame::fragment(TEXT, "")];
    frames.extend(
        others
            .iter()
            .map(|octet| Frame::fragment(CONTINUATION, [*octet])),
    );
    frames.push(Frame::new(CONTINUATION, [*last]));
    peer.frames(&frames);
    assert_eq!(peer.frame(), Frame::new(TEXT, text));
    for octet in Frame::new(TEXT, text).masked() {
        peer.bytes(&[octet]);
    }
    assert_eq!(peer.frame(), Frame::new(TEXT, text));
}

#[test]
fn seed_5_6_text_that_is_not_utf8_fails_with_1007() {
    let server = Server::with([&echo()]);
    let invalid: [&[u8]; 7] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"good until \x80",
        b"\xf8\x88\x80\x80\x80",
    ];
    for payload in invalid {
        let mut peer = server.open("/echo");
        peer.frames(&[Frame::text("good"), Frame::new(TEXT, payload)]);
        assert_eq!(peer.frame(), Frame::text("good"));
        peer.expect_close(1007);
    }
}

#[test]
fn an_invalid_octet_is_found_before_the_rest_of_its_frame_has_come() {
    let server = Server::with([&echo()]);
    for at in [1, 11, 5000] {
        let mut payload = vec![b'x'; 10_000];
        payload[at] = 0xff;
        let bytes = Frame::new(TEXT, payload).masked();
        let mut peer = server.open("/echo");
        peer.bytes(&bytes[..8 + at + 1]);
        peer.expect_close(1007);
    }
}

#[test]
fn an_invalid_octet_is_found_before_the_message_has_ended() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[
        Frame::fragment(TEXT, b"fine \xf4"),
        Frame::fragment(CONTINUATION, b"\x90"),
    ]);
    peer.expect_close(1007);
}

#[test]
fn text_in_pieces_is_judged_as_well() {
    let server = Server::with([&plugin("pieces")]);
    let mut peer = server.open("/pieces");
    peer.frames(&[
        Frame::fragment(TEXT, "fine"),
        Frame::new(CONTINUATION, b"\xff"),
    ]);
    let frames = peer.frames_to_close();
    let last = frames.last().expect("the Close frame");
    assert_eq!(last.close_code(), Some(1007), "{frames:?}");
}

#[test]
fn seed_5_6_binary_may_hold_anything() {
    let server = Server::with([&echo()]);
    let mut peer = server.open("/echo");
    peer.frames(&[Frame::binary(b"\xff\xfe\x80")]);
    assert_eq!(peer.frame(), Frame::binary(b"\xff\xfe\x80"));
}
