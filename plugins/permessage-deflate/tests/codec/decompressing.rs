//! What peers send: valid, broken, and meant to harm.

use std::cell::Cell;

use permessage_deflate::{Agreed, Decompressors, InflateError, Inflater, Options};

use crate::support::{Endpoint, Random, agreed, bits, seed};

fn decompressed(payload: &[u8]) -> Result<Vec<u8>, InflateError<usize>> {
    Endpoint::new(agreed(false, 15), &Options::default()).decompress(&[payload], 1000)
}

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const FINAL_HELLO: [u8; 7] = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[test]
fn a_stream_that_ends_is_followed_by_another() {
    let twice = [&FINAL_HELLO[..], &HELLO].concat();
    assert_eq!(decompressed(&twice).expect("valid"), b"HelloHello");
    let thrice = [&FINAL_HELLO[..], &FINAL_HELLO, &FINAL_HELLO, &[0x00]].concat();
    assert_eq!(decompressed(&thrice).expect("valid"), b"HelloHelloHello");
    // A peer that does not append the empty block.
    assert_eq!(decompressed(&FINAL_HELLO).expect("clear enough"), b"Hello");
    // The empty block at the end may be the last of its stream.
    let stored = [
        0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x01,
    ];
    assert_eq!(decompressed(&stored).expect("valid"), b"Hello");
}

#[test]
fn takeover_goes_on_after_a_stream_that_ended() {
    let mut endpoint = Endpoint::new(agreed(true, 15), &Options::default());
    let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let payload = [&FINAL_HELLO[..], &[0x00]].concat();
    assert_eq!(
        endpoint.decompress(&[&payload], 100).expect("valid"),
        b"Hello"
    );
    assert_eq!(
        endpoint.decompress(&[&shared], 100).expect("valid"),
        b"Hello"
    );
}

#[test]
fn no_bytes_are_an_empty_message() {
    assert_eq!(decompressed(&[]).expect("clear enough"), b"");
    let mut endpoint = Endpoint::new(agreed(true, 15), &Options::default());
    for payload in [
        &[][..],
        &HELLO,
        &[],
        &[0x00],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
    ] {
        endpoint.decompress(&[payload], 100).expect("valid");
    }
}

#[test]
fn a_fault_is_told() {
    for (payload, text) in [
        (&[0x06][..], "invalid block type"),
        (
            &[0x00, 0x05, 0x00, 0xff, 0xff],
            "invalid stored block lengths",
        ),
        (
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
            "invalid distance too far back",
        ),
        (&HELLO[..4], "the message ends inside a block"),
        (
            &[0x00, 0x06, 0x00, 0xf9, 0xff, 0x48],
            "the message ends inside a block",
        ),
        (
            &[0x00, 0x20, 0x00, 0xdf, 0xff, 0x48],
            "the message ends inside a block",
        ),
        // The peer left the tail where it was.
        (
            &[
                0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x00, 0xff, 0xff,
            ],
            "the message ends inside a block",
        ),
    ] {
        assert_eq!(
            decompressed(payload),
            Err(InflateError::Invalid(text)),
            "{payload:x?}"
        );
    }
}

#[test]
fn text_that_is_not_kept_cannot_be_referred_to() {
    let mut random = Random(11);
    let text = random.bytes(2000);
    for window_bits in 8..=10 {
        let sender = Agreed {
            our_window_bits: bits(11),
            ..agreed(true, 11)
        };
        let receiver = agreed(true, window_bits);
        let mut sender = Endpoint::new(sender, &Options::default());
        let mut receiver = Endpoint::new(receiver, &Options::default());
        let first = sender.compress(&[&text]);
        receiver
            .decompress(&[&first], 2000)
            .expect("nothing repeats");
        let start = text.len() - (1 << window_bits) - 100;
        let second = sender.compress(&[&text[start..start + 80]]);
        let error = receiver
            .decompress(&[&second], 2000)
            .expect_err("beyond the window");
        assert_eq!(
            error,
            InflateError::Invalid("invalid distance too far back")
        );
    }
}

/// zlib-rs does not tell how far back a message refers within itself.
#[test]
fn text_of_the_same_message_can_be_referred_to() {
    let text = Random(13).bytes(2000).repeat(2);
    let payload = Endpoint::new(agreed(true, 15), &Options::default()).compress(&[&text]);
    let bytes: Vec<&[u8]> = payload.chunks(1).collect();
    for pieces in [&[&payload[..]], &bytes[..]] {
        let mut receiver = Endpoint::new(agreed(true, 8), &Options::default());
        assert!(receiver.decompress(pieces, text.len()).as_deref() == Ok(&text));
    }
}

#[test]
fn any_split_gives_the_same() {
    let mut random = Random(seed());
    for round in 0..300 {
        let mut payload = if round % 2 == 0 {
            random.bytes(40)
        } else {
            let message = random.message(2000);
            Endpoint::new(agreed(false, 15), &Options::default()).compress(&[&message])
        };
        if round % 4 == 3 && !payload.is_empty() {
            let place = random.below(payload.len());
            payload[place] ^= 1 << random.below(8);
        }
        let whole = decompressed(&payload);
        let pieces = random.split(&payload);
        let bytes: Vec<&[u8]> = payload.chunks(1).chain([&[][..]]).collect();
        for pieces in [pieces, bytes] {
            let mut endpoint = Endpoint::new(agreed(false, 15), &Options::default());
            let split = endpoint.decompress(&pieces, 1000);
            // Which fault is named first may differ.
            let same = match (&split, &whole) {
                (Err(InflateError::Invalid(_)), Err(InflateError::Invalid(_))) => true,
                (split, whole) => split == whole,
            };
            assert!(same, "{payload:x?}: {split:?} and {whole:?}");
        }
    }
}

/// Noise, and valid payloads with flipped bits: an answer of some kind, and the next connection is not disturbed.
#[test]
fn noise_never_panics() {
    let mut random = Random(seed());
    let mut decompressors = Decompressors::default();
    let message = random.json(3000);
    let valid = Endpoint::new(agreed(false, 15), &Options::default()).compress(&[&message]);
    for round in 0..3000 {
        let payload = match round % 3 {
            0 => {
                let length = random.below(200);
                random.bytes(length)
            }
            _ => {
                let mut payload = valid.clone();
                for _ in 0..1 + random.below(4) {
                    let place = random.below(payload.len());
                    payload[place] ^= 1 << random.below(8);
                }
                payload.truncate(random.below(payload.len()) + 1);
                payload
            }
        };
        let mut inflater = Inflater::new(&agreed(round % 2 == 0, 9));
        for _ in 0..2 {
            let room = Cell::new(100_000_usize);
            let sink = |bytes: &[u8]| {
                room.set(room.get().checked_sub(bytes.len()).ok_or("full")?);
                Ok(())
            };
            let _: Result<_, InflateError<&str>> =
                inflater.piece(&mut decompressors, &payload, true, sink);
        }
        inflater.close(&mut decompressors);
    }
    let mut endpoint = Endpoint::new(agreed(false, 15), &Options::default());
    endpoint.decompressors = decompressors;
    assert!(endpoint.decompress(&[&valid], 3000) == Ok(message));
}

#[test]
fn connections_share_decompressors() {
    let mut decompressors = Decompressors::default();
    for takeover in [false, true] {
        for _ in 0..500 {
            let mut inflater = Inflater::new(&agreed(takeover, 15));
            for _ in 0..3 {
                inflater
                    .piece(&mut decompressors, &HELLO, true, |_| Ok::<_, ()>(()))
                    .expect("valid");
            }
            inflater
                .piece(&mut decompressors, &HELLO[..3], false, |_| Ok::<_, ()>(()))
                .expect("valid so far");
            inflater.close(&mut decompressors);
        }
    }
    assert_eq!(decompressors.constructions(), 1);
}

/// A connection must not read what another one left in a shared decompressor.
#[test]
fn text_of_another_connection_is_out_of_reach() {
    let mut decompressors = Decompressors::default();
    let shared = [0xf2, 0x00, 0x11, 0x00, 0x00];
    for takeover in [false, true] {
        let mut first = Inflater::new(&agreed(true, 15));
        first
            .piece(&mut decompressors, &HELLO, true, |_| Ok::<_, ()>(()))
            .expect("valid");
        let mut second = Inflater::new(&agreed(takeover, 15));
        let error = second.piece(&mut decompressors, &shared, true, |_| Ok::<_, ()>(()));
        assert_eq!(
            error,
            Err(InflateError::Invalid("invalid distance too far back"))
        );
    }
}
