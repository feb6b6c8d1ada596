//! The plugin as a host sees it: frames in, frames out.

use hotsocket_plugin::testing::{RecordedPiece, Stopped, TestConnection, TestHost};
use hotsocket_plugin::{CloseCode, Extension, FramePiece, Opcode, Rsv};
use permessage_deflate::{NAME, PermessageDeflate, plugin};

use crate::strict::Strict;
use crate::support::{Random, seed};

fn host(options: &str) -> TestHost {
    let host = TestHost::new(plugin());
    host.configure_extension(NAME, options)
        .expect("options are right");
    host
}

fn accept(host: &TestHost, offer: &str) -> TestConnection {
    host.accept(NAME, offer)
        .expect("no failure")
        .expect("accepted")
}

/// Both ends of a connection, each with these options.
fn pair(options: &str) -> (TestConnection, TestConnection) {
    let (client, server) = (host(options), host(options));
    let offer = client.offer(NAME, 0).expect("no failure").expect("one");
    assert_eq!(client.offer(NAME, 1), Ok(None));
    let server = accept(&server, &offer);
    let client = client.confirm(NAME, server.response()).expect("an answer");
    (client, server)
}

const BINARY: Opcode = Opcode::BINARY;

/// A message in fragments, each of them in pieces.
fn fragments<'a>(random: &mut Random, message: &'a [u8]) -> Vec<FramePiece<'a>> {
    let mut pieces = Vec::new();
    for fragment in random.split(message) {
        let from = pieces.len();
        for payload in random.split(fragment) {
            pieces.push(FramePiece {
                frame_first: pieces.len() == from,
                frame_last: false,
                message_first: pieces.is_empty(),
                message_last: false,
                ..FramePiece::whole(BINARY, payload)
            });
        }
        pieces.last_mut().expect("there is one").frame_last = true;
    }
    pieces.last_mut().expect("there is one").message_last = true;
    pieces
}

fn payload(pieces: &[RecordedPiece]) -> Vec<u8> {
    pieces.iter().flat_map(|p| p.payload.clone()).collect()
}

fn compressed(connection: &mut TestConnection, message: &[u8]) -> Vec<RecordedPiece> {
    connection
        .outbound(FramePiece::whole(BINARY, message))
        .expect("it goes through")
}

fn marked(payload: &[u8]) -> FramePiece<'_> {
    FramePiece {
        rsv: Rsv::RSV1,
        ..FramePiece::whole(BINARY, payload)
    }
}

fn failure(stopped: Result<Vec<RecordedPiece>, Stopped>) -> (u16, String) {
    match stopped {
        Err(Stopped::Failed { code, why }) => (code.0, why),
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn an_offer_is_answered_with_what_is_then_done() {
    let connection = accept(&host("{}"), "client_max_window_bits");
    assert_eq!(
        connection.response(),
        "server_no_context_takeover; client_no_context_takeover"
    );
    assert_eq!(connection.rsv(), Rsv::RSV1);
    assert_eq!(connection.opcodes(), []);
    for declined in [
        "server_max_window_bits=7",
        "x",
        "server_no_context_takeover; server_no_context_takeover",
    ] {
        let answer = host("{}").accept(NAME, declined).expect("no failure");
        assert!(answer.is_none(), "{declined}");
    }
    let refused = host("{}")
        .confirm(NAME, "server_max_window_bits=9")
        .expect_err("no takeover was demanded");
    assert_eq!(
        refused,
        "server_no_context_takeover was demanded but is missing"
    );
}

#[test]
fn connections_without_takeover_of_one_window_have_one_key() {
    let host = host(r#"{"server_context_takeover": true}"#);
    let key = |offer| accept(&host, offer).independence();
    let none = "server_no_context_takeover";
    assert_eq!(key(""), None);
    assert!(key(none).is_some());
    assert_eq!(
        key(none),
        key("server_no_context_takeover; client_max_window_bits")
    );
    assert_ne!(
        key(none),
        key("server_no_context_takeover; server_max_window_bits=10")
    );
}

#[test]
fn a_compressed_message_is_marked_in_its_first_frame_only() {
    let mut connection = accept(&host("{}"), "");
    let message = [b'x'; 1000];
    let put = compressed(&mut connection, &message);
    assert_eq!(put.len(), 1);
    assert!(put[0].payload.len() < 50);
    assert_eq!(put[0].as_piece(), marked(&put[0].payload));

    let first = FramePiece {
        message_last: false,
        ..FramePiece::whole(BINARY, &message)
    };
    let last = FramePiece {
        message_first: false,
        message_last: true,
        ..first
    };
    let mut put = connection.outbound(first).expect("it goes through");
    assert!(put[0].frame_last && !put[0].message_last);
    let mut strict = Strict::new(15, false);
    put.extend(connection.outbound(last).expect("it goes through"));
    assert_eq!(
        put.iter().map(|p| p.rsv).collect::<Vec<_>>(),
        [Rsv::RSV1, Rsv::NONE]
    );
    assert_eq!(strict.message(&payload(&put)), Ok(message.repeat(2)));
}

#[test]
fn bits_of_other_extensions_are_left_as_they_are() {
    let mut connection = accept(&host("{}"), "");
    for (message, rsv) in [
        (&[b'x'; 1000][..], Rsv::RSV1 | Rsv::RSV3),
        (b"short", Rsv::RSV3),
    ] {
        let piece = FramePiece {
            rsv: Rsv::RSV3,
            ..FramePiece::whole(BINARY, message)
        };
        let put = connection.outbound(piece).expect("it goes through");
        assert_eq!(put[0].rsv, rsv);
    }
}

#[test]
fn a_message_under_the_threshold_passes_as_it_is() {
    let mut connection = accept(&host(r#"{"threshold_bytes": 10}"#), "");
    for (message, is_compressed) in [(&b"123456789"[..], false), (b"1234567890", true)] {
        let put = compressed(&mut connection, message);
        assert_eq!(put[0].rsv.contains(Rsv::RSV1), is_compressed);
        if !is_compressed {
            assert_eq!(
                put,
                [RecordedPiece::new(FramePiece::whole(BINARY, message))]
            );
        }
    }
}

#[test]
fn a_message_that_is_not_marked_comes_as_it_is() {
    let mut connection = accept(&host("{}"), "");
    let plain = FramePiece::whole(Opcode::TEXT, b"as it is");
    assert_eq!(
        connection.inbound(plain),
        Ok(vec![RecordedPiece::new(plain)])
    );
}

#[test]
fn rsv1_on_a_continuation_is_a_protocol_error() {
    for first_rsv in [Rsv::NONE, Rsv::RSV1] {
        let mut connection = accept(&host("{}"), "");
        let first = FramePiece {
            rsv: first_rsv,
            message_last: false,
            ..FramePiece::whole(BINARY, b"")
        };
        connection.inbound(first).expect("it goes through");
        let second = FramePiece {
            rsv: Rsv::RSV1,
            message_first: false,
            ..FramePiece::whole(BINARY, b"")
        };
        let (code, why) = failure(connection.inbound(second));
        assert_eq!(CloseCode(code), CloseCode::PROTOCOL_ERROR);
        assert_eq!(why, "RSV1 is set on a frame that continues a message");
    }
}

#[test]
fn what_is_no_deflate_is_invalid_payload() {
    let (code, why) = failure(accept(&host("{}"), "").inbound(marked(&[0xff; 20])));
    assert_eq!(CloseCode(code), CloseCode::INVALID_PAYLOAD);
    assert!(why.starts_with("invalid compressed data: "), "{why}");
}

#[test]
fn an_empty_message_goes_both_ways() {
    let (mut client, mut server) = pair(r#"{"threshold_bytes": 0}"#);
    let put = compressed(&mut client, b"");
    assert_eq!(put[0].payload, [0]);
    let back = server.inbound(put[0].as_piece());
    assert_eq!(
        back,
        Ok(vec![RecordedPiece::new(FramePiece::whole(BINARY, b""))])
    );
}

/// Whatever was agreed on: what one end sends, a strict inflater with that window and the other end read alike, over many
/// messages, in fragments and pieces of any size.
#[test]
fn what_one_end_sends_the_other_receives() {
    let mut random = Random(seed());
    for round in 0..80 {
        let (bits, takeover) = (8 + round % 8, round % 3 > 0);
        let keeps = ["window", "compressor"][random.below(2)];
        let threshold = [0, 100][random.below(2)];
        let options = format!(
            r#"{{"server_max_window_bits": {bits}, "client_max_window_bits": {bits}, "server_context_takeover": {takeover},
            "client_context_takeover": {takeover}, "takeover_keeps": "{keeps}", "threshold_bytes": {threshold}}}"#
        );
        let (mut client, mut server) = pair(&options);
        let mut strict = [(); 2].map(|()| Strict::new(bits, takeover));
        for _ in 0..10 {
            for (index, strict) in strict.iter_mut().enumerate() {
                let (from, to) = match index {
                    0 => (&mut client, &mut server),
                    _ => (&mut server, &mut client),
                };
                let message = random.message(40_000);
                let mut sent = Vec::new();
                for piece in fragments(&mut random, &message) {
                    let put = from.outbound(piece).expect("it goes through");
                    if piece.frame_last {
                        assert!(put.last().is_some_and(|last| last.frame_last));
                    }
                    sent.extend(put);
                }
                let is_marked = sent[0].rsv.contains(Rsv::RSV1);
                assert!(sent[1..].iter().all(|piece| piece.rsv.is_empty()));
                if is_marked {
                    assert!(strict.message(&payload(&sent)).as_ref() == Ok(&message));
                }
                let mut received = Vec::new();
                for piece in &sent {
                    received.extend(to.inbound(piece.as_piece()).expect("it goes through"));
                }
                assert!(payload(&received) == message);
                assert!(received.last().is_some_and(|last| last.message_last));
            }
        }
    }
}

#[test]
fn a_bomb_is_stopped_by_the_limit_however_it_is_split() {
    let zeros = vec![0; 16 << 20];
    let bomb = payload(&compressed(&mut accept(&host("{}"), ""), &zeros));
    assert!(bomb.len() < zeros.len() / 100);
    let mut broken = bomb.clone();
    broken.truncate(bomb.len() / 2);
    broken.extend_from_slice(&[0xff; 20]);
    for bomb in [&bomb, &broken] {
        for split in [1, 7, 1000, bomb.len()] {
            let mut connection = accept(&host("{}"), "");
            connection.set_limit(1 << 20);
            let (head, rest) = bomb.split_at(split);
            let mut piece = FramePiece {
                frame_last: false,
                message_last: false,
                ..marked(head)
            };
            let mut taken = connection.inbound(piece);
            if taken.is_ok() {
                piece = FramePiece {
                    rsv: Rsv::NONE,
                    frame_first: false,
                    message_first: false,
                    frame_last: true,
                    message_last: true,
                    payload: rest,
                    ..piece
                };
                taken = connection.inbound(piece);
            }
            assert_eq!(taken, Err(Stopped::TooLarge), "split at {split}");
        }
    }
}

#[test]
fn compressors_are_made_per_thread_and_not_per_connection() {
    let host = host("{}");
    let mut random = Random(seed());
    for _ in 0..200 {
        let mut connection = accept(&host, "");
        for _ in 0..3 {
            let message = random.json(1000);
            let put = compressed(&mut connection, &message);
            let back = connection.inbound(put[0].as_piece()).expect("valid");
            assert!(payload(&back) == message);
        }
        // A message that does not end: what it borrowed goes back.
        let open = FramePiece {
            message_last: false,
            ..FramePiece::whole(BINARY, b"and so on")
        };
        let put = connection.outbound(open).expect("it goes through");
        connection.inbound(put[0].as_piece()).expect("valid");
        assert_eq!(connection.end(), [""; 0]);
    }
    assert_eq!(host.counter("compressors_made"), 1);
    assert_eq!(host.counter("decompressors_made"), 1);
}

#[test]
fn options_are_refused_by_name() {
    let refused = TestHost::new(plugin())
        .configure_extension(NAME, r#"{"level": 10}"#)
        .expect_err("wrong");
    assert_eq!(refused, "option `level`: 10 is not between 1 and 9");
}

#[test]
fn a_connection_takes_no_more_than_the_documentation_says() {
    let inline = size_of::<<PermessageDeflate as Extension>::Codec>();
    assert!(inline <= 400, "{inline} bytes");
}
