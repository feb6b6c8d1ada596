//! One test per rule.

use super::super::extension_toys::{
    Scripted, chain, marks, merges, renames, scripted, splits, vetoes,
};
use super::*;

/// What came out: opcode, RSV, the four flags as `fFmM` (a capital ends), payload.
#[derive(Default)]
struct Out(Vec<(u8, u8, String, Vec<u8>)>);

impl PieceSink for Out {
    fn put(&mut self, piece: Piece<'_>) -> Result<(), Failure> {
        let flags = [
            (piece.frame_first, 'f'),
            (piece.frame_last, 'F'),
            (piece.message_first, 'm'),
            (piece.message_last, 'M'),
        ];
        let flags = flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, letter)| letter);
        self.0.push((
            piece.opcode.bits(),
            piece.rsv,
            flags.collect(),
            piece.payload.to_vec(),
        ));
        Ok(())
    }
}

fn out(opcode: u8, rsv: u8, flags: &str, payload: &[u8]) -> (u8, u8, String, Vec<u8>) {
    (opcode, rsv, flags.to_owned(), payload.to_vec())
}

fn text(payload: &[u8]) -> Piece<'_> {
    Piece::whole(Opcode::Text, payload)
}

fn first(payload: &[u8]) -> Piece<'_> {
    Piece {
        message_last: false,
        ..text(payload)
    }
}

fn last(payload: &[u8]) -> Piece<'_> {
    Piece {
        message_first: false,
        ..text(payload)
    }
}

const LIMIT: u64 = 10;

#[test]
fn bits_and_opcodes_have_one_owner() {
    let owner = |rsv_bits, opcodes| {
        let script = |_: Piece<'_>, _: &mut dyn PieceSink| Ok(Passed::Done);
        Box::new(Scripted {
            rsv_bits,
            opcodes,
            script,
        })
    };
    let mut chain = ExtensionChain::default();
    assert!(chain.is_empty());
    chain.push(owner(4, 1 << 3)).unwrap();
    chain.push(owner(2, 1 << 12 | 1 << 7)).unwrap();
    assert_eq!(
        (chain.rsv_bits, chain.opcodes()),
        (6, 1 << 3 | 1 << 7 | 1 << 12)
    );
    let refused = chain.push(owner(6, 0)).unwrap_err();
    assert_eq!(refused, Taken::Rsv(6));
    assert_eq!(refused.to_string(), "RSV1, RSV2: another extension owns it");
    let refused = chain.push(owner(1, 1 << 12)).unwrap_err();
    assert_eq!(refused.to_string(), "opcode 12: another extension owns it");
    let refused = chain.push(owner(1, 1 << 8)).unwrap_err();
    assert_eq!(refused, Taken::NotReserved(1 << 8));
    assert_eq!(chain.rsv_bits(Opcode::Text), 6);
    assert_eq!(chain.rsv_bits(Opcode::Reserved3), 4);
    assert_eq!(chain.rsv_bits(Opcode::Reserved12), 2);
    assert_eq!(chain.rsv_bits(Opcode::Ping), 0);
}

#[test]
fn pieces_pass_in_order_out_and_in_reverse_in() {
    let mut chain = chain(vec![marks(4, 0x10), marks(2, 0x20)]);
    let mut wire = Out::default();
    assert_eq!(chain.outbound(text(b"ab"), &mut wire), Ok(Passed::Done));
    let expected = [
        out(1, 6, "fm", &[0x20]),
        out(1, 0, "", &[0x30]),
        out(1, 0, "FM", &[b'a' ^ 0x30, b'b' ^ 0x30]),
    ];
    assert_eq!(wire.0, expected);

    let mut back = Out::default();
    for (opcode, rsv, flags, payload) in &wire.0 {
        let piece = Piece {
            opcode: Opcode::from_bits(*opcode),
            rsv: *rsv,
            frame_first: flags.contains('f'),
            frame_last: flags.contains('F'),
            message_first: flags.contains('m'),
            message_last: flags.contains('M'),
            payload,
        };
        chain.inbound(piece, LIMIT, &mut back).unwrap();
    }
    let payload: Vec<_> = back.0.iter().flat_map(|piece| piece.3.clone()).collect();
    assert_eq!(payload, b"ab");
}

#[test]
fn an_extension_sees_its_own_bits_and_the_others_follow_the_frames() {
    let seen = |expected: Vec<u8>, bit| {
        let mut expected = expected.into_iter();
        let script = move |piece: Piece<'_>, sink: &mut dyn PieceSink| {
            assert_eq!(Some(piece.rsv), expected.next());
            // Held back until the message ends, so the bits of its first frame have to wait.
            if piece.message_last {
                sink.put(text(b"x"))?;
            }
            Ok(Passed::Done)
        };
        Box::new(Scripted {
            rsv_bits: bit,
            opcodes: 0,
            script,
        }) as Box<dyn Extension>
    };
    let mut chain = chain(vec![seen(vec![4], 4), seen(vec![2, 0], 2)]);
    let begin = Piece {
        rsv: 6,
        ..first(b"a")
    };
    let mut end = Out::default();
    chain.inbound(begin, LIMIT, &mut end).unwrap();
    chain.inbound(last(b"b"), LIMIT, &mut end).unwrap();
    assert_eq!(end.0.len(), 1);
}

#[test]
fn what_a_link_or_the_end_gets_of_a_message_is_bounded() {
    let twice = |piece: Piece<'_>, sink: &mut dyn PieceSink| {
        let payload = &[piece.payload, piece.payload].concat();
        // A failure that is swallowed counts all the same.
        let _ = sink.put(Piece { payload, ..piece });
        Ok(Passed::Done)
    };
    let mut one = chain(vec![scripted(twice)]);
    let mut end = Out::default();
    one.inbound(first(b"abc"), LIMIT, &mut end).unwrap();
    one.inbound(last(b"de"), LIMIT, &mut end).unwrap();
    one.inbound(first(b"abc"), LIMIT, &mut end).unwrap();
    assert_eq!(one.inbound(last(b"def"), LIMIT, &mut end), Err(TOO_LARGE));
    assert_eq!(one.failed(), Some(TOO_LARGE));
    assert_eq!(one.inbound(text(b""), LIMIT, &mut end), Err(TOO_LARGE));
    assert_eq!(one.outbound(text(b""), &mut end), Err(TOO_LARGE));

    let mut two = chain(vec![splits(2, 5), scripted(twice)]);
    let begin = Piece {
        rsv: 2,
        ..text(b"abcdef")
    };
    assert_eq!(two.inbound(begin, LIMIT, &mut end), Err(TOO_LARGE));

    let mut handed_on = chain(vec![scripted(twice)]);
    handed_on.inbound(first(b"abc"), LIMIT, &mut end).unwrap();
    handed_on.forget_sizes();
    handed_on.inbound(last(b"def"), LIMIT, &mut end).unwrap();
}

#[test]
fn opcodes_pass_from_their_owner_on() {
    let mut chain = chain(vec![renames(), scripted_none()]);
    let mut wire = Out::default();
    chain.outbound(text(b"a"), &mut wire).unwrap();
    assert_eq!(
        wire.0,
        [out(3, 0, "fFmM", b"\x01a"), out(12, 0, "fFmM", &[1])]
    );
    let mut end = Out::default();
    let renamed = Piece::whole(Opcode::Reserved3, b"\x01a");
    chain.inbound(renamed, LIMIT, &mut end).unwrap();
    let counts = Piece::whole(Opcode::Reserved12, &[2]);
    assert_eq!(end.0, [out(1, 0, "fFmM", b"a")]);
    assert!(
        chain.inbound(counts, LIMIT, &mut end).is_ok(),
        "two sides, one count"
    );
}

/// Owns nothing, and is to see nothing.
fn scripted_none() -> Box<dyn Extension> {
    Box::new(Scripted {
        rsv_bits: 0,
        opcodes: 0,
        script: |_: Piece<'_>, _: &mut dyn PieceSink| panic!("not for this one"),
    })
}

#[test]
fn what_is_held_back_is_flushed_through_those_behind() {
    let mut chain = chain(vec![merges(4), marks(2, 0)]);
    let mut wire = Out::default();
    chain.outbound(text(b"a"), &mut wire).unwrap();
    assert!(chain.is_holding());
    chain.flush(false, &mut wire).unwrap();
    assert!(!chain.is_holding());
    let expected = [out(2, 6, "fm", &[0]), out(2, 0, "FM", b"\x01\0\0\0\x01a")];
    assert_eq!(wire.0, expected);
    chain.flush(true, &mut wire).unwrap();
    assert_eq!(wire.0.len(), 2);
}

#[test]
fn a_vetoed_message_goes_no_further_and_the_next_one_does() {
    let mut wire = Out::default();
    let mut first_link = chain(vec![vetoes(b'x')]);
    assert_eq!(
        first_link.outbound(first(b"x"), &mut wire),
        Ok(Passed::Vetoed)
    );
    assert_eq!(first_link.outbound(text(b"z"), &mut wire), Ok(Passed::Done));
    assert_eq!(wire.0, [out(1, 0, "fFmM", b"z")]);

    // Those before it have seen the message begin, and see its end.
    let mut wire = Out::default();
    let mut second_link = chain(vec![marks(4, 0), vetoes(0)]);
    assert_eq!(
        second_link.outbound(first(b"x"), &mut wire),
        Ok(Passed::Vetoed)
    );
    assert_eq!(
        second_link.outbound(text(b"z"), &mut wire),
        Ok(Passed::Vetoed)
    );
    assert!(wire.0.is_empty() && !second_link.is_holding());

    // One that keeps it until it is whole.
    let mut keeps = chain(vec![splits(1, 100), vetoes(b'x')]);
    let begun = [first(b"xx"), last(b"yy")].map(|piece| keeps.outbound(piece, &mut wire));
    assert_eq!(begun, [Ok(Passed::Done), Ok(Passed::Vetoed)]);
    assert!(wire.0.is_empty());

    let mut chain = chain(vec![vetoes(b'x'), splits(1, 100)]);
    let mut end = Out::default();
    for piece in [first(b"x"), last(b"y"), text(b"z")] {
        chain
            .inbound(Piece { rsv: 1, ..piece }, LIMIT, &mut end)
            .unwrap();
    }
    assert_eq!(end.0, [out(1, 0, "fFmM", b"z")]);
}

/// What becomes of a chain whose only member does this with the first piece.
fn fails(
    way: Way,
    script: impl FnMut(Piece<'_>, &mut dyn PieceSink) -> Result<Passed, Failure> + Send + 'static,
) -> Failure {
    let mut chain = chain(vec![scripted(script)]);
    let mut end = Out::default();
    match way {
        Way::In => chain.inbound(text(b"a"), LIMIT, &mut end).unwrap_err(),
        Way::Out => chain.outbound(text(b"a"), &mut end).unwrap_err(),
    }
}

#[test]
fn a_sequence_that_is_not_valid_fails_with_1011() {
    let half = Piece {
        frame_last: false,
        message_last: false,
        ..text(b"a")
    };
    let wrong: Vec<Vec<Piece<'static>>> = vec![
        vec![last(b"a")],
        vec![first(b"a"), first(b"b")],
        vec![
            first(b"a"),
            Piece {
                opcode: Opcode::Binary,
                ..last(b"b")
            },
        ],
        vec![half, last(b"b")],
        vec![
            first(b"a"),
            Piece {
                frame_first: false,
                ..last(b"b")
            },
        ],
        vec![Piece {
            frame_last: false,
            ..text(b"a")
        }],
        vec![Piece {
            frame_first: false,
            ..text(b"a")
        }],
        vec![
            half,
            Piece {
                rsv: 4,
                frame_first: false,
                ..last(b"b")
            },
        ],
        vec![Piece::whole(Opcode::Continuation, b"a")],
        vec![Piece::whole(Opcode::Ping, b"a")],
        vec![Piece::whole(Opcode::Close, b"a")],
    ];
    for pieces in wrong {
        for way in [Way::In, Way::Out] {
            // Bits on what is not the beginning of a frame mean nothing inbound.
            if way == Way::In && pieces.iter().any(|piece| piece.rsv != 0) {
                continue;
            }
            let pieces = pieces.clone();
            let shown = format!("{pieces:?}");
            let failure = fails(way, move |_, sink| {
                pieces.iter().try_for_each(|piece| sink.put(*piece))?;
                Ok(Passed::Done)
            });
            assert_eq!(failure.code, INTERNAL_ERROR, "{shown}");
        }
    }
}

#[test]
fn a_control_frame_of_an_extension_is_short_whole_and_between_frames() {
    let owner = |pieces: &'static [Piece<'static>]| {
        let script = move |_: Piece<'_>, sink: &mut dyn PieceSink| {
            pieces.iter().try_for_each(|piece| sink.put(*piece))?;
            Ok(Passed::Done)
        };
        let mut chain = chain(vec![Box::new(Scripted {
            rsv_bits: 0,
            opcodes: 1 << 11,
            script,
        })]);
        chain.outbound(text(b"a"), &mut Out::default()).err()
    };
    const GOOD: Piece<'static> = Piece::whole(Opcode::Reserved11, &[0; 125]);
    const FIRST: Piece<'static> = Piece {
        message_last: false,
        ..Piece::whole(Opcode::Text, b"a")
    };
    const HALF: Piece<'static> = Piece {
        frame_last: false,
        ..FIRST
    };
    const LONG: Piece<'static> = Piece::whole(Opcode::Reserved11, &[0; 126]);
    const BEGUN: Piece<'static> = Piece {
        message_last: false,
        ..GOOD
    };
    assert_eq!(owner(&[FIRST, GOOD]), None);
    for wrong in [&[LONG] as &[_], &[BEGUN], &[HALF, GOOD]] {
        assert_eq!(owner(wrong), Some(OUT_OF_SEQUENCE), "{wrong:?}");
    }
}

#[test]
fn bits_and_opcodes_of_others_are_not_used() {
    for wrong in [
        Piece {
            rsv: 2,
            ..text(b"")
        },
        Piece::whole(Opcode::Reserved4, b""),
        Piece {
            rsv: 3,
            ..Piece::whole(Opcode::Reserved3, b"")
        },
    ] {
        let failure = fails(Way::Out, move |_, sink| {
            sink.put(wrong)?;
            Ok(Passed::Done)
        });
        assert_eq!(failure, NOT_OWNED, "{wrong:?}");
    }
}

#[test]
fn a_veto_comes_first_or_not_at_all() {
    let late = |piece: Piece<'_>, sink: &mut dyn PieceSink| {
        sink.put(piece)?;
        Ok(Passed::Vetoed)
    };
    assert_eq!(fails(Way::Out, late), LATE_VETO);
    let mut chain = chain(vec![scripted(|piece, _| {
        Ok(if piece.message_first {
            Passed::Done
        } else {
            Passed::Vetoed
        })
    })]);
    let mut end = Out::default();
    chain.inbound(first(b"a"), LIMIT, &mut end).unwrap();
    assert_eq!(chain.inbound(last(b"b"), LIMIT, &mut end), Err(LATE_VETO));
}

#[test]
fn a_code_that_must_not_be_sent_becomes_1011() {
    for (code, expected) in [
        (0, 1011),
        (1005, 1011),
        (1006, 1011),
        (1008, 1008),
        (4000, 4000),
    ] {
        let failure = fails(Way::In, move |_, _| Err(Failure { code, why: "no" }));
        assert_eq!((failure.code, failure.why), (expected, "no"));
    }
}

#[test]
fn independent_extensions_have_a_key_together() {
    let key = |toys: Vec<Box<dyn Extension>>| chain(toys).key();
    assert!(key(vec![marks(4, 1)]).is_some());
    assert_eq!(
        key(vec![marks(4, 1), marks(2, 7)]),
        key(vec![marks(4, 1), marks(2, 7)])
    );
    assert_ne!(
        key(vec![marks(4, 1), marks(2, 7)]),
        key(vec![marks(2, 7), marks(4, 1)])
    );
    assert_ne!(key(vec![marks(4, 1)]), key(vec![marks(4, 2)]));
    assert_eq!(key(vec![marks(4, 1), merges(2)]), None);
}
