//! What we send, as a strict peer reads it.

use permessage_deflate::{Compressors, Deflater, MemoryLevel, Options, TakeoverKeeps, Within};

use crate::strict::Strict;
use crate::support::{Endpoint, Random, agreed, seed};

/// Every window size, with and without takeover, in both ways to keep it, at all levels: a peer with exactly the
/// agreed window reads every message.
#[test]
fn a_peer_with_exactly_the_agreed_window_reads_all() {
    let mut random = Random(seed());
    for window_bits in 8..=15 {
        for (takeover, takeover_keeps) in [
            (false, TakeoverKeeps::Window),
            (true, TakeoverKeeps::Window),
            (true, TakeoverKeeps::Compressor),
        ] {
            for level in 1..=9 {
                let options = Options {
                    level: Within::new(level).expect("a level"),
                    memory_level: Within::new(1 + random.below(9) as u8).expect("a level"),
                    takeover_keeps,
                    ..Options::default()
                };
                let mut endpoint = Endpoint::new(agreed(takeover, window_bits), &options);
                let mut peer = Strict::new(window_bits, takeover);
                for _ in 0..12 {
                    let message = random.message(6000);
                    let pieces = random.split(&message);
                    let payload = endpoint.compress(&pieces);
                    let read = peer.message(&payload);
                    assert!(
                        read.as_ref() == Ok(&message),
                        "{window_bits} bits: {:?}",
                        read.err()
                    );
                    let own = endpoint.decompress(&random.split(&payload), 6000);
                    assert!(own == Ok(message), "{window_bits} bits: {:?}", own.err());
                }
            }
        }
    }
}

/// The strict peer would notice: what is made for the next larger window is beyond it.
#[test]
fn a_larger_window_than_agreed_would_be_noticed() {
    let mut random = Random(7);
    let options = Options {
        takeover_window_bits: Within::MAX,
        ..Options::default()
    };
    for window_bits in 8..15 {
        // 8 bits are served with 9, so 10 is the next larger one.
        let mut endpoint = Endpoint::new(agreed(true, (window_bits + 1).max(10)), &options);
        let mut peer = Strict::new(window_bits, true);
        let messages = (0..20).map(|_| random.json(9000));
        let refused = messages
            .map(|m| peer.message(&endpoint.compress(&[&m])))
            .find_map(Result::err);
        assert!(
            refused.is_some_and(|text| text.starts_with("a reference")),
            "{window_bits}"
        );
    }
}

/// The stream for 8 bits is made with 9, and refers back by less than 256 bytes nevertheless.
#[test]
fn eight_bits_are_served_with_nine() {
    let mut random = Random(seed());
    for level in 1..=9 {
        for takeover_keeps in [TakeoverKeeps::Window, TakeoverKeeps::Compressor] {
            let options = Options {
                level: Within::new(level).expect("a level"),
                takeover_keeps,
                ..Options::default()
            };
            let mut endpoint = Endpoint::new(agreed(true, 8), &options);
            let mut peer = Strict::new(8, true);
            let mut sent = [0, 0];
            for _ in 0..8 {
                let message = random.json(20_000);
                let payload = endpoint.compress(&[&message]);
                assert!(
                    peer.message(&payload) == Ok(message.clone()),
                    "level {level}"
                );
                sent = [sent[0] + message.len(), sent[1] + payload.len()];
            }
            assert!(sent[1] * 3 < sent[0] * 2, "it is compressed: {sent:?}");
        }
    }
}

#[test]
fn pieces_may_be_flushed() {
    let mut random = Random(seed());
    for takeover_keeps in [TakeoverKeeps::Window, TakeoverKeeps::Compressor] {
        let options = Options {
            takeover_keeps,
            ..Options::default()
        };
        let mut endpoint = Endpoint::new(agreed(true, 11), &options);
        let mut peer = Strict::new(11, true);
        for _ in 0..100 {
            let message = random.message(3000);
            let mut payload = Vec::new();
            let pieces = random.split(&message);
            let (last, before) = pieces.split_last().expect("one at least");
            for piece in before {
                let part = endpoint.compress_open(piece);
                assert!(piece.is_empty() || part.ends_with(&[0x00, 0x00, 0xff, 0xff]));
                payload.extend(part);
            }
            payload.extend(endpoint.compress(&[last]));
            assert!(peer.message(&payload) == Ok(message));

            let between = endpoint
                .deflater
                .flush(&mut endpoint.compressors, |_| Err(()));
            assert_eq!(between, Ok(()), "between messages nothing is held back");
        }
    }
}

/// Where the output ends just as a chunk is full.
#[test]
fn the_tail_is_left_out_wherever_a_chunk_ends() {
    let mut random = Random(seed());
    for level in [1, 6] {
        let options = Options {
            level: Within::new(level).expect("a level"),
            ..Options::default()
        };
        let mut endpoint = Endpoint::new(agreed(false, 15), &options);
        for length in 16 * 1024 - 40..16 * 1024 + 10 {
            let message = random.bytes(length);
            let payload = endpoint.compress(&[&message]);
            assert!(Strict::new(15, false).message(&payload) == Ok(message));
        }
    }
}

#[test]
fn connections_can_move_between_threads() {
    fn can_move<T: Send>() {}
    can_move::<(Deflater, permessage_deflate::Inflater)>();
    can_move::<(Compressors, permessage_deflate::Decompressors)>();
}

#[test]
fn takeover_finds_the_message_before_whatever_is_kept() {
    let message = Random(3).json(1500);
    for takeover_keeps in [TakeoverKeeps::Window, TakeoverKeeps::Compressor] {
        let options = Options {
            takeover_keeps,
            ..Options::default()
        };
        let mut endpoint = Endpoint::new(agreed(true, 12), &options);
        let first = endpoint.compress(&[&message]).len();
        let second = endpoint.compress(&[&message]).len();
        assert!(second * 10 < first, "{first}, {second}");
    }
}

/// A thousand connections that come and go, talk in turns, and disturb each other in mid-message.
#[test]
fn connections_share_compressors() {
    let options = Options::default();
    let mut random = Random(seed());
    let mut compressors = Compressors::default();
    for takeover in [false, true] {
        for _ in 0..500 {
            let mut pair: Vec<_> = (0..2)
                .map(|_| {
                    (
                        Deflater::new(&agreed(takeover, 12), &options),
                        Strict::new(12, takeover),
                    )
                })
                .collect();
            for _ in 0..3 {
                let messages = [random.message(500), random.message(500)];
                let mut payloads = [Vec::new(), Vec::new()];
                for last in [false, true] {
                    for (index, (deflater, _)) in pair.iter_mut().enumerate() {
                        let (head, rest) = messages[index].split_at(messages[index].len() / 2);
                        let sink = |bytes: &[u8]| {
                            payloads[index].extend_from_slice(bytes);
                            Ok::<_, std::convert::Infallible>(())
                        };
                        let piece = if last { rest } else { head };
                        let Ok(()) = deflater.piece(&mut compressors, piece, last, sink);
                    }
                }
                for (index, (_, peer)) in pair.iter_mut().enumerate() {
                    assert!(peer.message(&payloads[index]).as_ref() == Ok(&messages[index]));
                }
            }
        }
    }
    assert_eq!(
        compressors.constructions(),
        2,
        "as many as were in mid-message at once"
    );
}

#[test]
fn a_closed_connection_gives_its_compressor_back() {
    let mut compressors = Compressors::default();
    for _ in 0..10 {
        let mut deflater = Deflater::new(&agreed(true, 15), &Options::default());
        deflater
            .piece(&mut compressors, b"half", false, |_| Ok::<_, ()>(()))
            .expect("it takes all");
        deflater.close(&mut compressors);
    }
    assert_eq!(compressors.constructions(), 1);
}

#[test]
fn a_sink_that_refuses_is_heard_at_once() {
    let mut compressors = Compressors::default();
    let noise = Random(5).bytes(1 << 20);
    let mut deflater = Deflater::new(&agreed(false, 15), &Options::default());
    let mut calls = 0;
    let refused = deflater.piece(&mut compressors, &noise, true, |_| {
        calls += 1;
        Err("full")
    });
    assert_eq!((refused, calls), (Err("full"), 1));
}

#[test]
fn long_messages_of_all_kinds_pass() {
    let mut random = Random(seed());
    let options = Options {
        memory_level: MemoryLevel::MAX,
        ..Options::default()
    };
    for message in [
        random.bytes(300_000),
        vec![0; 300_000],
        random.json(300_000),
    ] {
        // Lengths around those at which a chunk is full.
        for cut in 0..12 {
            let mut endpoint = Endpoint::new(agreed(false, 15), &options);
            let message = &message[cut * 7..];
            let payload = endpoint.compress(&[message]);
            let text = endpoint
                .decompress(&[&payload], message.len())
                .expect("our own");
            assert!(text == message);
        }
    }
}
