//! A WebSocket with extensions: what its halves do with what comes out of the chain.

use super::extended::Extended;
use super::inbound::{Delivery, Event, InboundRules};
use super::outbound::{Masking, SendError};
use super::stream_tests::{Heard, message, pool};
use super::websocket::{ClosedBy, Framed, FramedAs, State, WebSocket};
use super::write_queue::WriteQueue;
use crate::wire::close_code::{
    Failure, INTERNAL_ERROR, INVALID_PAYLOAD, NORMAL, POLICY, PROTOCOL_ERROR, TOO_BIG,
};
use crate::wire::extension::{Extension, Passed, Piece, PieceSink};
use crate::wire::extension_toys::{chain, marks, merges, renames, scripted, splits, vetoes};
use crate::wire::{MessageKind, Opcode, Role};

/// A client, so that the bytes of the tests need no mask.
const RULES: InboundRules = InboundRules {
    role: Role::Client,
    message_bytes: 100,
    delivery: Delivery::Messages,
};
const PIECES: InboundRules = InboundRules {
    delivery: Delivery::Pieces { rx_chunk: 4 },
    ..RULES
};
const TEXT: MessageKind = MessageKind::Text;

fn websocket(toys: Vec<Box<dyn Extension>>) -> WebSocket {
    WebSocket::with_extensions(chain(toys))
}

/// Sends a piece of a message as a server; the answer, and the bytes.
fn send(
    websocket: &mut WebSocket,
    first: bool,
    last: bool,
    payload: &[u8],
) -> (Result<(), SendError>, Vec<u8>) {
    let mut out = Vec::new();
    let sending = websocket.sending();
    let sent = sending.message(&mut out, Masking::None, TEXT, first, last, payload);
    (sent, out)
}

/// What is heard of input that arrives so, and what is answered.
fn hear(
    websocket: &mut WebSocket,
    rules: &InboundRules,
    arrivals: &[&[u8]],
) -> (Vec<Heard>, Vec<u8>) {
    let (mut all, mut unread, mut out) = (Vec::new(), Vec::new(), Vec::new());
    let mut buffers = pool();
    for arrived in arrivals {
        unread.extend_from_slice(arrived);
        loop {
            let turn = websocket.next(rules, &mut buffers, &mut out, Masking::None, &mut unread);
            let (consumed, heard) = (turn.consumed, Heard::of(&turn.event));
            unread.drain(..consumed);
            let Some(heard) = heard else { break };
            all.push(heard);
        }
    }
    (all, out)
}

fn failure_code(heard: &[Heard]) -> Option<u16> {
    match heard.last() {
        Some(Heard::Failed(failure)) => Some(failure.code),
        _ => None,
    }
}

/// Puts these pieces for each message, when its last piece has come.
fn puts(pieces: &'static [Piece<'static>]) -> Box<dyn Extension> {
    scripted(move |piece, sink| {
        if piece.message_last {
            pieces.iter().try_for_each(|piece| sink.put(*piece))?;
        }
        Ok(Passed::Done)
    })
}

const fn text(payload: &'static [u8]) -> Piece<'static> {
    Piece::whole(Opcode::Text, payload)
}

#[test]
fn what_comes_out_becomes_frames_with_continuations_and_one_fin() {
    let mut split = websocket(vec![splits(1, 2)]);
    let (_, out) = send(&mut split, true, true, b"abcde");
    assert_eq!(out, b"\x11\x02ab\x10\x02cd\x90\x01e");
    let (_, out) = send(&mut split, true, false, b"a");
    assert_eq!(out, b"", "held until the message is whole");
    let (_, out) = send(&mut split, false, true, b"b");
    assert_eq!(out, b"\x91\x02ab");

    let long = [7; 0x1_0000];
    let (_, out) = send(&mut websocket(vec![splits(1, 1 << 20)]), true, true, &long);
    assert_eq!(out[..10], *b"\x91\x7f\0\0\0\0\0\x01\0\0");
    assert_eq!(out[10..], long);
}

#[test]
fn a_client_masks_each_frame_with_a_fresh_key() {
    let mut websocket = websocket(vec![splits(1, 1)]);
    let mut count = 0;
    let mut keys = || {
        count += 1;
        [count, 0, 0, 0]
    };
    let mut out = Vec::new();
    let mask = Masking::Keys(&mut keys);
    let sending = websocket.sending();
    sending
        .message(&mut out, mask, TEXT, true, true, b"ab")
        .unwrap();
    assert_eq!(out, b"\x11\x81\x01\0\0\0\x60\x90\x81\x02\0\0\0\x60");
}

#[test]
fn a_frame_that_is_not_complete_waits_while_others_use_the_output() {
    let halves = scripted(|piece, sink| {
        let half = Piece {
            frame_first: piece.message_first,
            frame_last: piece.message_last,
            ..piece
        };
        sink.put(half)?;
        Ok(Passed::Done)
    });
    let mut websocket = websocket(vec![halves]);
    assert_eq!(send(&mut websocket, true, false, b"ab").1, b"");
    assert!(websocket.sending().is_holding());
    let mut out = Vec::new();
    websocket
        .sending()
        .ping(&mut out, Masking::None, b"p")
        .unwrap();
    assert_eq!(out, b"\x89\x01p");
    assert_eq!(send(&mut websocket, false, false, b"cd").1, b"");
    assert_eq!(send(&mut websocket, false, true, b"e").1, b"\x81\x05abcde");
}

#[test]
fn what_is_held_back_is_sent_by_a_flush_and_before_the_close_frame() {
    let mut websocket = websocket(vec![merges(4)]);
    let merged = b"\xc2\x06\x01\0\0\0\x01a";
    assert_eq!(send(&mut websocket, true, true, b"a").1, b"");
    let (mut out, sending) = (Vec::new(), websocket.sending());
    assert!(sending.is_holding());
    sending.flush(&mut out, Masking::None);
    assert!(!sending.is_holding());
    assert_eq!(out, merged);

    send(&mut websocket, true, true, b"a").0.unwrap();
    let (mut out, sending) = (Vec::new(), websocket.sending());
    sending
        .close(
            &mut out,
            Masking::None,
            ClosedBy::Protocol,
            Some(NORMAL),
            "",
        )
        .unwrap();
    assert_eq!(out, [merged.as_slice(), b"\x88\x02\x03\xe8"].concat());
    assert!(!sending.is_holding());
}

#[test]
fn the_peers_close_and_a_failure_are_answered_behind_what_was_held_back() {
    for (input, close) in [(&b"\x88\x00"[..], 0), (b"\x83\x00", PROTOCOL_ERROR)] {
        let mut websocket = websocket(vec![merges(4)]);
        send(&mut websocket, true, true, b"a").0.unwrap();
        let (_, out) = hear(&mut websocket, &RULES, &[input]);
        assert_eq!(out[..8], *b"\xc2\x06\x01\0\0\0\x01a");
        assert_eq!(out[8], 0x88);
        if close != 0 {
            assert_eq!(out[10..12], close.to_be_bytes());
        }
    }
}

#[test]
fn a_close_that_is_refused_flushes_nothing() {
    let mut websocket = websocket(vec![merges(4)]);
    send(&mut websocket, true, true, b"a").0.unwrap();
    let (mut out, sending) = (Vec::new(), websocket.sending());
    let refused = sending.close(&mut out, Masking::None, ClosedBy::Protocol, Some(1005), "");
    assert_eq!((refused, out), (Err(SendError::BadCode), Vec::new()));
    assert!(sending.is_holding());
}

#[test]
fn a_failure_on_the_way_out_leaves_the_close_frame_alone() {
    const FAILURE: Failure = Failure {
        code: POLICY,
        why: "no",
    };
    let half = |piece: Piece<'_>, sink: &mut dyn PieceSink| {
        let begun = Piece {
            message_last: false,
            ..piece
        };
        sink.put(begun)?;
        let begun = Piece {
            message_first: false,
            frame_last: false,
            ..begun
        };
        sink.put(begun)?;
        Err(FAILURE)
    };
    let mut websocket = websocket(vec![scripted(half)]);
    let (sent, out) = send(&mut websocket, true, true, b"a");
    assert_eq!(sent, Err(SendError::Extension(FAILURE)));
    assert_eq!(out, b"\x88\x04\x03\xf0no");
    assert_eq!(websocket.sending().state(), State::Failed);
    let report = websocket.sending().take_report().unwrap();
    assert_eq!((report.by, report.code), (ClosedBy::Host, POLICY));
    assert_eq!(
        send(&mut websocket, true, true, b"a").0,
        Err(SendError::Closed)
    );
}

#[test]
fn a_vetoed_message_is_refused_and_over() {
    let mut websocket = websocket(vec![splits(1, 9), vetoes(b'x')]);
    assert_eq!(
        send(&mut websocket, true, true, b"xy").0,
        Err(SendError::Vetoed)
    );
    let mut websocket = self::websocket(vec![vetoes(b'x'), splits(1, 9)]);
    let (sent, out) = send(&mut websocket, true, false, b"x");
    assert_eq!((sent, out), (Err(SendError::Vetoed), Vec::new()));
    let more = send(&mut websocket, false, true, b"y").0;
    assert_eq!(more, Err(SendError::WrongOrder), "there is no such message");
    assert_eq!(send(&mut websocket, true, true, b"z").1, b"\x91\x01z");
}

#[test]
fn a_message_is_made_once_for_all_of_a_key() {
    let mut plain = WebSocket::default();
    let mut members = [1, 1, 2].map(|xor| websocket(vec![marks(4, xor)]));
    let [one, other, stranger] = &mut members;
    let key = one.sending().framed_as();
    assert!(matches!(key, FramedAs::Key(_)));
    let (_, frames) = send(one, true, true, b"a");
    assert_eq!(other.sending().framed_as(), key);
    assert_eq!(other.sending().takes(key), Framed::Now);
    assert_eq!(frames, send(other, true, true, b"a").1);
    assert_eq!(stranger.sending().takes(key), Framed::Extended);
    assert_eq!(plain.sending().takes(key), Framed::Extended);
    assert_eq!(plain.sending().framed_as(), FramedAs::Plain);
    assert_eq!(plain.sending().takes(FramedAs::Plain), Framed::Now);
    assert_eq!(one.sending().takes(FramedAs::Plain), Framed::Extended);

    send(other, true, false, b"a").0.unwrap();
    assert_eq!(other.sending().takes(key), Framed::AfterMessage);
    other.sending().abandon(ClosedBy::Peer, "");
    assert_eq!(other.sending().takes(key), Framed::Closed);
    let mut own = websocket(vec![merges(4)]);
    assert_eq!(own.sending().framed_as(), FramedAs::Own);
    assert_eq!(own.sending().takes(FramedAs::Own), Framed::Extended);
}

#[test]
fn several_messages_for_one_are_told_one_by_one() {
    let input: &[u8] = b"\xc2\x0d\x01\0\0\0\x01a\x02\0\0\0\x02bc\x89\x00";
    let expected = [
        message(TEXT, b"a"),
        message(MessageKind::Binary, b"bc"),
        Heard::Ping(Vec::new()),
    ];
    for cut in 0..input.len() {
        let (left, right) = input.split_at(cut);
        let (heard, _) = hear(&mut websocket(vec![merges(4)]), &RULES, &[left, right]);
        assert_eq!(heard, expected, "cut at {cut}");
    }
}

#[test]
fn what_was_good_before_a_failure_is_told_first() {
    const THEN_WRONG: &[Piece<'static>] = &[text(b"a"), text(b"b"), text(b"\xff"), text(b"c")];
    let mut websocket = websocket(vec![puts(THEN_WRONG)]);
    let (heard, out) = hear(&mut websocket, &RULES, &[b"\x81\x00"]);
    assert_eq!(heard[..2], [message(TEXT, b"a"), message(TEXT, b"b")]);
    assert_eq!(failure_code(&heard), Some(INVALID_PAYLOAD));
    assert_eq!((heard.len(), out[0]), (3, 0x88));
}

#[test]
fn text_is_judged_as_it_comes_out_of_the_chain_at_the_octet() {
    // 0xf4 0x90 is no text, whatever comes behind it; XOR 1 on the wire.
    let input: &[u8] = b"\xa1\x10\x01\xf5\x91";
    for rules in [RULES, PIECES] {
        let mut websocket = websocket(vec![marks(2, 1)]);
        assert_eq!(
            hear(&mut websocket, &rules, &[&input[..4]]).0.len(),
            usize::from(rules.delivery != RULES.delivery)
        );
        let (heard, _) = hear(&mut websocket, &rules, &[&input[4..]]);
        assert_eq!(failure_code(&heard), Some(INVALID_PAYLOAD));
    }
    // A code point cut by the end of the message.
    let (heard, _) = hear(
        &mut websocket(vec![marks(2, 1)]),
        &RULES,
        &[b"\xa1\x02\x01\xc2"],
    );
    assert_eq!(failure_code(&heard), Some(INVALID_PAYLOAD));
}

#[test]
fn a_bomb_stops_while_it_grows() {
    let bomb = || {
        scripted(|piece: Piece<'_>, sink: &mut dyn PieceSink| {
            let mut piece = Piece {
                frame_last: false,
                message_last: false,
                payload: &[0; 10],
                ..piece
            };
            loop {
                sink.put(piece)?;
                piece.frame_first = false;
                piece.message_first = false;
            }
        })
    };
    for rules in [RULES, PIECES] {
        let one: (_, &[u8]) = (vec![bomb()], b"\x82\x01\0");
        let before_another: (_, &[u8]) = (vec![marks(2, 0), bomb()], b"\xa2\x01\0");
        for (toys, input) in [one, before_another] {
            let (heard, out) = hear(&mut websocket(toys), &rules, &[input]);
            assert_eq!(failure_code(&heard), Some(TOO_BIG));
            assert_eq!(out[0], 0x88);
        }
    }
    // Many messages count together.
    let many = scripted(|_, sink| {
        loop {
            sink.put(text(b""))?;
        }
    });
    let (heard, _) = hear(&mut websocket(vec![many]), &RULES, &[b"\x82\x00"]);
    assert_eq!(failure_code(&heard), Some(TOO_BIG));
}

#[test]
fn only_owned_bits_and_opcodes_may_come() {
    let cases: [(&[u8], Option<u16>); 8] = [
        (b"\x91\x00", Some(PROTOCOL_ERROR)),
        (b"\xa1\x01\x01", None),
        (b"\xa9\x00", Some(PROTOCOL_ERROR)),
        (b"\x83\x02\x02a", None),
        (b"\xa3\x02\x02a", Some(PROTOCOL_ERROR)),
        (b"\x84\x00", Some(PROTOCOL_ERROR)),
        (b"\x0c\x01\x01", Some(PROTOCOL_ERROR)),
        (b"\x8c\x7e\x00\x7e", Some(PROTOCOL_ERROR)),
    ];
    for (input, expected) in cases {
        let mut websocket = websocket(vec![marks(2, 1), renames()]);
        let (heard, _) = hear(&mut websocket, &RULES, &[input]);
        // The toys want all messages to pass both of them.
        let code = failure_code(&heard);
        let is_toys =
            matches!(heard.last(), Some(Heard::Failed(failure)) if failure.why.contains("toy"));
        assert_eq!(code.filter(|_| !is_toys), expected, "{input:x?}");
    }
    let owner_judges = b"\x22\x01\x01\xa0\x00";
    let (heard, _) = hear(&mut websocket(vec![marks(2, 1)]), &RULES, &[owner_judges]);
    assert!(matches!(&heard[..], [Heard::Failed(failure)] if failure.why.contains("toy")));
}

#[test]
fn an_owned_control_frame_comes_whole_between_fragments_and_in_any_cuts() {
    let input: &[u8] = b"\x03\x03\x02ab\x8c\x01\x01\x89\x00\x80\x02\x02c\x8c\x01\x02";
    let expected = [
        Heard::Ping(Vec::new()),
        message(MessageKind::Binary, b"abc"),
    ];
    for cut in 0..input.len() {
        let (left, right) = input.split_at(cut);
        let (heard, _) = hear(&mut websocket(vec![renames()]), &RULES, &[left, right]);
        assert_eq!(heard, expected, "cut at {cut}");
    }
}

#[test]
fn an_opcode_that_comes_out_of_the_chain_fails_with_1011() {
    const OWN: &[Piece<'static>] = &[Piece::whole(Opcode::Reserved3, b"")];
    let (heard, _) = hear(&mut websocket(vec![puts(OWN)]), &RULES, &[b"\x82\x00"]);
    assert_eq!(failure_code(&heard), Some(INTERNAL_ERROR));
}

#[test]
fn a_vetoed_message_of_the_peer_is_not_heard() {
    let mut websocket = websocket(vec![vetoes(b'x')]);
    let input = b"\x01\x01x\x89\x00\x80\x01y\x81\x01z";
    let (heard, _) = hear(&mut websocket, &RULES, &[input]);
    assert_eq!(heard, [Heard::Ping(Vec::new()), message(TEXT, b"z")]);
}

#[test]
fn after_our_close_nothing_passes_the_extensions() {
    let never = scripted(|_, _| panic!("nobody listens"));
    let mut websocket = websocket(vec![never]);
    let mut out = Vec::new();
    let sending = websocket.sending();
    sending
        .close(&mut out, Masking::None, ClosedBy::Protocol, None, "")
        .unwrap();
    let (heard, _) = hear(&mut websocket, &RULES, &[b"\xc1\x01a\x83\x00\x89\x00"]);
    assert_eq!(heard, [Heard::Ping(Vec::new())]);
}

#[test]
fn a_message_may_be_answered_with_a_close_while_others_wait() {
    let mut websocket = websocket(vec![merges(4)]);
    let (mut buffers, mut out) = (pool(), Vec::new());
    let mut input = *b"\xc2\x0c\x01\0\0\0\x01a\x01\0\0\0\x01b\x89\x00";
    let turn = websocket.next(&RULES, &mut buffers, &mut out, Masking::None, &mut input);
    assert!(matches!(turn.event, Event::Message { payload: b"a", .. }));
    let consumed = turn.consumed;
    turn.sending
        .close(&mut out, Masking::None, ClosedBy::Protocol, None, "")
        .unwrap();
    let rest = &mut input[consumed..];
    let turn = websocket.next(&RULES, &mut buffers, &mut out, Masking::None, rest);
    assert_eq!(turn.event, Event::Ping(b""));
    assert_eq!(buffers.budget().used(), 0);
}

#[test]
fn a_warm_connection_takes_no_memory_anew_and_an_idle_one_keeps_none() {
    let mut websocket = websocket(vec![marks(4, 0)]);
    let (mut buffers, mut out) = (pool(), Vec::with_capacity(1 << 10));
    let mut places = Vec::new();
    for _ in 0..3 {
        let mut input = *b"\xc2\x04\0abc";
        let mut at = 0;
        loop {
            let turn = websocket.next(
                &RULES,
                &mut buffers,
                &mut out,
                Masking::None,
                &mut input[at..],
            );
            at += turn.consumed;
            let Event::Message { payload, .. } = turn.event else {
                break;
            };
            places.push(payload.as_ptr());
        }
        assert_eq!(buffers.budget().used(), 0);
    }
    assert_eq!(places, [places[0]; 3]);
}

#[test]
fn an_idle_connection_with_extensions_stays_small() {
    assert!(size_of::<Extended>() <= 224, "{}", size_of::<Extended>());
    assert!(size_of::<WebSocket>() <= 88, "{}", size_of::<WebSocket>());
    assert!(
        WebSocket::with_extensions(chain(vec![]))
            .sending()
            .framed_as()
            == FramedAs::Plain
    );
}

#[test]
fn a_connection_may_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<WebSocket>();
    is_send::<WriteQueue>();
}
