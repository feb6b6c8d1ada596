//! Two extensions on one connection, in both orders: permessage-deflate, and `lengthens`, which puts a mark before each
//! message and turns its bits, told by RSV2.

use crate::support::deflate::{Compressor, RSV1, json, noise};
use crate::support::frame::{BINARY, PING, PONG, TEXT};
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::strict::Strict;
use crate::support::{Frame, RawPeer, Server, Setup};

const RSV2: u8 = 2;
const BOTH: &str = "permessage-deflate, lengthens";

/// What `lengthens` makes of a message.
fn lengthened(message: &[u8]) -> Vec<u8> {
    turned(&[b"LEN:", message].concat())
}

/// The message again.
fn shortened(payload: &[u8]) -> Vec<u8> {
    let turned = turned(payload);
    let message = turned.strip_prefix(b"LEN:");
    message.expect("the mark is there").to_vec()
}

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x55).collect()
}

/// A server that negotiates in this order.
fn server(order: [&str; 2]) -> Server {
    let [first, second] = order;
    let options = r#"{"options": {"threshold_bytes": 100}}"#;
    let of = |name: &str| if name == "lengthens" { "{}" } else { options };
    let config = format!(
        r#"{{"extensions": {{"{first}": {}, "{second}": {}}}}}"#,
        of(first),
        of(second)
    );
    let setup = Setup::new()
        .plugin(&echo())
        .plugin(&plugin("lengthens"))
        .plugin(&permessage_deflate());
    setup.config_text(&config).start()
}

fn open(server: &Server, offer: &str) -> (RawPeer, String) {
    let fields = [("Sec-WebSocket-Extensions", offer)];
    let (peer, response) = RawPeer::open_with(server.address(), "/echo", &fields);
    let answer = response
        .field("sec-websocket-extensions")
        .unwrap_or_default();
    (peer, answer.to_owned())
}

/// The names of an answer, in their order.
fn names(answer: &str) -> Vec<&str> {
    let extensions = answer.split(',');
    let name = |extension: &'_ str| extension.split(';').next().unwrap_or_default().trim().len();
    extensions
        .map(|extension| &extension.trim()[..name(extension.trim())])
        .collect()
}

/// Messages as a client with both extensions, `deflates_first` outbound, writes and reads them.
fn assert_each_comes_back(peer: &mut RawPeer, deflates_first: bool) {
    let mut compressor = Compressor::new(15, false);
    let mut strict = Strict::new(15, false);
    let messages = [
        Vec::new(),
        b"short".to_vec(),
        json(1, 95),
        json(1, 96),
        json(1, 99),
        json(1, 100),
        json(2, 5000),
        noise(3, 5000),
        json(4, 200_000),
    ];
    for message in messages {
        let payload = if deflates_first {
            lengthened(&compressor.message(&message))
        } else {
            compressor.message(&lengthened(&message))
        };
        // In one frame, and in several with a ping between them.
        let opcode = if message.len() == 5000 { BINARY } else { TEXT };
        let opcode = if std::str::from_utf8(&message).is_ok() {
            opcode
        } else {
            BINARY
        };
        let (head, rest) = payload.split_at(payload.len() / 3);
        let whole = Frame {
            reserved: RSV1 | RSV2,
            ..Frame::new(opcode, &payload)
        };
        let beginning = Frame {
            last: false,
            ..Frame {
                payload: head.to_vec(),
                ..whole.clone()
            }
        };
        peer.frames(&[whole]);
        peer.frames(&[beginning, Frame::new(PING, "p"), Frame::new(0, rest)]);
        for nth in 0..2 {
            let mut frame = peer.frame();
            if nth == 1 && frame.opcode == PONG {
                frame = peer.frame();
            }
            assert_eq!(frame.opcode, opcode, "{frame:?}");
            assert_eq!(frame.reserved & RSV2, RSV2, "{frame:?}");
            let (mut reserved, mut payload, mut last) = (frame.reserved, frame.payload, frame.last);
            while !last {
                let next = peer.frame();
                if next.opcode == PONG {
                    continue;
                }
                payload.extend(next.payload);
                last = next.last;
                reserved |= next.reserved;
            }
            let is_compressed = reserved & RSV1 != 0;
            // The mark comes as a piece of its own, so who compresses behind it cannot know how long the message is.
            let expected = !deflates_first || message.len() >= 100;
            assert_eq!(is_compressed, expected, "{} bytes", message.len());
            let inflated = |strict: &mut Strict, bytes: &[u8]| match is_compressed {
                true => strict.message(bytes).expect("what was agreed on"),
                false => bytes.to_vec(),
            };
            let came = if deflates_first {
                inflated(&mut strict, &shortened(&payload))
            } else {
                shortened(&inflated(&mut strict, &payload))
            };
            assert!(came == message, "altered: {} bytes", message.len());
        }
    }
}

#[test]
fn seed_8_8_in_both_orders_a_client_that_undoes_both_reads_what_it_wrote() {
    for order in [
        ["permessage-deflate", "lengthens"],
        ["lengthens", "permessage-deflate"],
    ] {
        let server = server(order);
        // The order is that of the server, whatever the client offers first.
        for offer in [BOTH, "lengthens, permessage-deflate"] {
            let (mut peer, answer) = open(&server, offer);
            assert_eq!(names(&answer), order, "{answer}");
            assert_each_comes_back(&mut peer, order[0] == "permessage-deflate");
            peer.frames(&[Frame::close(1000, "")]);
            peer.frames_to_close();
        }
    }
}

#[test]
fn each_of_them_is_agreed_on_alone_too() {
    let server = server(["permessage-deflate", "lengthens"]);
    let (mut peer, answer) = open(&server, "lengthens");
    assert_eq!(answer, "lengthens");
    peer.frames(&[Frame {
        reserved: RSV2,
        ..Frame::new(TEXT, lengthened(b"hello"))
    }]);
    let frame = peer.frame();
    assert_eq!(
        (frame.reserved, shortened(&frame.payload)),
        (RSV2, b"hello".to_vec())
    );
    // The bit of the other one is nobody's here.
    peer.frames(&[Frame {
        reserved: RSV1,
        ..Frame::text("a")
    }]);
    peer.expect_close(1002);
    let (_, answer) = open(&server, "permessage-deflate; unknown, lengthens");
    assert_eq!(answer, "lengthens");
}

#[test]
fn a_message_may_come_with_the_bit_of_either_or_of_none() {
    for order in [
        ["permessage-deflate", "lengthens"],
        ["lengthens", "permessage-deflate"],
    ] {
        let server = server(order);
        let (mut peer, _) = open(&server, BOTH);
        let deflated = Compressor::new(15, false).message(b"hello");
        for (reserved, payload) in [
            (0, b"hello".to_vec()),
            (RSV1, deflated),
            (RSV2, lengthened(b"hello")),
        ] {
            peer.frames(&[Frame {
                reserved,
                ..Frame::new(TEXT, payload)
            }]);
            // The mark comes as a piece of its own, so who compresses behind it cannot know how long the message is.
            let frame = peer.frame();
            if order[0] == "lengthens" {
                assert_eq!(frame.reserved, RSV1 | RSV2, "{frame:?}");
                let inflated = Strict::new(15, false).message(&frame.payload);
                assert_eq!(shortened(&inflated.expect("what was agreed on")), b"hello");
            } else {
                assert_eq!(frame.reserved, RSV2, "{frame:?}");
                assert_eq!(shortened(&frame.payload), b"hello");
            }
        }
    }
}

#[test]
fn the_text_is_judged_when_both_are_undone() {
    let server = server(["permessage-deflate", "lengthens"]);
    for (message, code) in [(&b"\xff"[..], 1007), ("ü".as_bytes(), 1000)] {
        let (mut peer, _) = open(&server, BOTH);
        let payload = lengthened(&Compressor::new(15, false).message(message));
        peer.frames(&[
            Frame {
                reserved: RSV1 | RSV2,
                ..Frame::new(TEXT, payload)
            },
            Frame::close(1000, ""),
        ]);
        let frames = peer.frames_to_close();
        assert_eq!(
            frames.last().and_then(Frame::close_code),
            Some(code),
            "{frames:?}"
        );
    }
}
