//! Hand-written bytes, one test per rule.

use super::super::stream_tests::{Heard, hear, message, pool};
use super::*;
use crate::wire::close_code::{INVALID_PAYLOAD, PROTOCOL_ERROR, TOO_BIG, TRY_AGAIN_LATER};
use crate::wire::extension_toys::{chain, marks};

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

fn heard(rules: &InboundRules, input: &[u8]) -> Vec<Heard> {
    hear(&mut Inbound::default(), rules, None, &mut pool(), &[input])
}

fn fails_with(rules: &InboundRules, pieces: &[&[u8]]) -> (u16, &'static str) {
    match hear(&mut Inbound::default(), rules, None, &mut pool(), pieces).pop() {
        Some(Heard::Failed(failure)) => (failure.code, failure.why),
        other => panic!("{other:?}"),
    }
}

fn piece(first: bool, last: bool, remaining: u64, payload: &[u8]) -> Heard {
    Heard::Piece(
        MessageKind::Binary,
        first,
        last,
        remaining,
        payload.to_vec(),
    )
}

#[test]
fn a_masked_message_is_handed_on_from_where_it_lies() {
    let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x81";
    let place = input.as_ptr();
    let rules = InboundRules {
        role: Role::Server,
        ..RULES
    };
    let mut inbound = Inbound::default();
    let (consumed, event) = inbound.next(&rules, None, &mut pool(), &mut input);
    let Event::Message {
        kind: MessageKind::Text,
        payload,
    } = event
    else {
        panic!("{event:?}");
    };
    assert_eq!((consumed, payload), (11, &b"Hello"[..]));
    assert_eq!(payload.as_ptr(), place.wrapping_add(6));
}

#[test]
fn fragments_are_joined_and_control_frames_between_them_are_told_first() {
    let input = b"\x01\x02Hi\x89\x01p\x00\x00\x8a\x00\x80\x01!\x82\x00";
    let expected = [
        Heard::Ping(b"p".to_vec()),
        Heard::Pong(Vec::new()),
        message(MessageKind::Text, b"Hi!"),
        message(MessageKind::Binary, b""),
    ];
    assert_eq!(heard(&RULES, input), expected);
}

#[test]
fn broken_rules_of_the_protocol_fail_with_1002() {
    for input in [
        &b"\x91\x00"[..],
        b"\xc9\x00",
        b"\x83\x00",
        b"\x80\x00",
        b"\x01\x01a\x81\x01b",
        b"\x81\x80\0\0\0\0",
        b"\x09\x00",
        b"\x88\x01\x03",
        b"\x88\x02\x03\xed",
        b"\x82\x7e\x00\x01a",
    ] {
        assert_eq!(fails_with(&RULES, &[input]).0, PROTOCOL_ERROR, "{input:x?}");
    }
    let server = InboundRules {
        role: Role::Server,
        ..RULES
    };
    assert_eq!(fails_with(&server, &[b"\x81\x01a"]).0, PROTOCOL_ERROR);
}

#[test]
fn what_was_good_before_a_bad_frame_is_told_first() {
    let events = heard(&RULES, b"\x81\x01a\x89\x00\x83\x00\x81\x01b");
    assert_eq!(
        events[..2],
        [message(MessageKind::Text, b"a"), Heard::Ping(Vec::new())]
    );
    assert!(
        matches!(events[2..], [Heard::Failed(_)]),
        "and nothing after it"
    );
}

#[test]
fn a_close_frame_is_told_and_nothing_after_it() {
    let expected = [Heard::Close(Some(1001), "bye".to_owned())];
    assert_eq!(heard(&RULES, b"\x88\x05\x03\xe9bye\x81\x01a"), expected);
    assert_eq!(
        heard(&RULES, b"\x88\x00"),
        [Heard::Close(None, String::new())]
    );
    assert_eq!(
        fails_with(&RULES, &[b"\x88\x03\x03\xe8\xff"]).0,
        INVALID_PAYLOAD
    );
}

#[test]
fn invalid_text_fails_at_its_octet_inside_a_frame_that_is_not_complete() {
    let bytes = b"\x81\x10\xce\xba\xe1\xbd\xb9\xf4\x90";
    assert_eq!(heard(&RULES, &bytes[..8]), []);
    assert_eq!(
        fails_with(&RULES, &[&bytes[..8], &bytes[8..]]).0,
        INVALID_PAYLOAD
    );
    // A code point may be cut by a fragment, and must be complete at the end of the message.
    let text = message(MessageKind::Text, "é".as_bytes());
    assert_eq!(heard(&RULES, b"\x01\x01\xc3\x80\x01\xa9"), [text]);
    assert_eq!(
        fails_with(&RULES, &[b"\x01\x01\xc3\x80\x00"]).0,
        INVALID_PAYLOAD
    );
    assert_eq!(
        fails_with(&PIECES, &[b"\x01\x01\xc3\x80\x00"]).0,
        INVALID_PAYLOAD
    );
}

#[test]
fn a_message_above_the_limit_fails_at_the_header_that_tells_it() {
    assert_eq!(fails_with(&RULES, &[b"\x82\x65"]).0, TOO_BIG);
    assert_eq!(fails_with(&RULES, &[b"\x02\x01a\x80\x64"]).0, TOO_BIG);
    let huge = b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(fails_with(&RULES, &[huge]).0, TOO_BIG);
    let most = [b"\x82\x64".as_slice(), &[7; 100]].concat();
    assert_eq!(
        heard(&RULES, &most),
        [message(MessageKind::Binary, &[7; 100])]
    );
}

#[test]
fn without_memory_for_an_incomplete_message_it_fails_with_1013() {
    let mut buffers = BufferPool::new(std::sync::Arc::default(), 10);
    let mut inbound = Inbound::default();
    let whole: &[u8] = b"\x82\x02ab";
    let events = hear(
        &mut inbound,
        &RULES,
        None,
        &mut buffers,
        &[whole, b"\x82\x02a"],
    );
    assert_eq!(events[0], message(MessageKind::Binary, b"ab"), "needs none");
    assert!(matches!(
        events[1],
        Heard::Failed(Failure {
            code: TRY_AGAIN_LATER,
            ..
        })
    ));
}

#[test]
fn memory_goes_back_after_a_message_a_failure_a_close_and_at_the_end() {
    let cases: [&[u8]; 4] = [b"b", b"b\x83\x00", b"b\x88\x00", b""];
    for rest in cases {
        let (mut buffers, mut inbound) = (pool(), Inbound::default());
        hear(
            &mut inbound,
            &RULES,
            None,
            &mut buffers,
            &[b"\x02\x01a\x80\x01"],
        );
        assert!(buffers.budget().used() > 0);
        if rest.is_empty() {
            inbound.release(&mut buffers);
        } else {
            hear(&mut inbound, &RULES, None, &mut buffers, &[rest]);
        }
        assert_eq!(buffers.budget().used(), 0, "{rest:x?}");
    }
}

#[test]
fn a_small_frame_is_one_piece_however_it_arrives() {
    let mut inbound = Inbound::default();
    let input: [&[u8]; 3] = [b"\x02\x04ab", b"c", b"d\x80\x02ef"];
    let events = hear(&mut inbound, &PIECES, None, &mut pool(), &input);
    assert_eq!(
        events,
        [piece(true, false, 0, b"abcd"), piece(false, true, 0, b"ef")]
    );
}

#[test]
fn a_large_frame_spills_as_it_arrives() {
    let mut inbound = Inbound::default();
    let input: [&[u8]; 3] = [b"\x82\x0aab", b"cdefghi", b"j"];
    let expected = [
        piece(true, false, 8, b"ab"),
        piece(false, false, 4, b"cdef"),
        piece(false, false, 1, b"ghi"),
        piece(false, true, 0, b"j"),
    ];
    assert_eq!(
        hear(&mut inbound, &PIECES, None, &mut pool(), &input),
        expected
    );
}

#[test]
fn an_empty_last_frame_is_an_empty_last_piece() {
    let expected = [piece(true, false, 0, b"a"), piece(false, true, 0, b"")];
    assert_eq!(
        heard(&PIECES, b"\x02\x00\x00\x01a\x00\x00\x80\x00"),
        expected
    );
    assert_eq!(heard(&PIECES, b"\x82\x00"), [piece(true, true, 0, b"")]);
}

#[test]
fn after_our_close_messages_are_skipped_and_control_frames_are_told() {
    let (mut buffers, mut inbound) = (pool(), Inbound::default());
    hear(&mut inbound, &RULES, None, &mut buffers, &[b"\x02\x03a"]);
    inbound.discard_data();
    let input: [&[u8]; 2] = [b"b", b"c\x89\x00\x80\x01d\x82\x7f\0\0\0\0\0\x01\0\0"];
    let events = hear(&mut inbound, &RULES, None, &mut buffers, &input);
    assert_eq!(events, [Heard::Ping(Vec::new())]);
    assert_eq!(buffers.budget().used(), 0);
}

#[test]
fn extensions_undo_payloads_in_whole_messages_and_in_pieces() {
    // FIN, RSV2, binary: the mark, and "abcdef" XOR 1, cut in the middle.
    let input: [&[u8]; 2] = [b"\xa2\x07\x01`cb", b"edg\x82\x00"];
    let mut extended = Extended::new(chain(vec![marks(2, 1)]));
    let events = hear(
        &mut Inbound::default(),
        &RULES,
        Some(&mut extended),
        &mut pool(),
        &input,
    );
    assert_eq!(events[0], message(MessageKind::Binary, b"abcdef"));
    assert!(
        matches!(events[1], Heard::Failed(_)),
        "the toy wants its bit"
    );

    let mut extended = Extended::new(chain(vec![marks(2, 1)]));
    let events = hear(
        &mut Inbound::default(),
        &PIECES,
        Some(&mut extended),
        &mut pool(),
        &input,
    );
    let pieces = [piece(true, false, 3, b"abc"), piece(false, true, 0, b"def")];
    assert_eq!(events[..2], pieces);
}

#[test]
fn what_extensions_make_is_bounded_and_handed_on_in_pieces() {
    let hear_extended = |rules: &InboundRules, length: u8| {
        let zeros = vec![1; length.into()];
        let input = [b"\xa2".as_slice(), &[length], &zeros].concat();
        let mut extended = Extended::new(chain(vec![marks(2, 1)]));
        hear(
            &mut Inbound::default(),
            rules,
            Some(&mut extended),
            &mut pool(),
            &[&input],
        )
    };
    assert_eq!(
        hear_extended(&RULES, 101),
        [message(MessageKind::Binary, &[0; 100])]
    );
    assert!(matches!(
        hear_extended(&RULES, 102)[..],
        [Heard::Failed(Failure { code: TOO_BIG, .. })]
    ));
    let expected = [
        piece(true, false, 2, &[0; 4]),
        piece(false, true, 0, &[0; 2]),
    ];
    assert_eq!(hear_extended(&PIECES, 7), expected);
}

#[test]
fn an_idle_half_stays_small() {
    assert!(size_of::<Inbound>() <= 64, "{}", size_of::<Inbound>());
}
