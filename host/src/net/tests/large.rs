//! Large messages: what leaves from where it lies, and what is read to where it is gathered.

use super::*;
use crate::connection::deadline::DeadlineName;
use crate::net::{
    at_once::AT_ONCE_BYTES, in_place::IN_PLACE_BYTES, io::READ_BYTES, link::Stage, test_peer::turn,
};
use crate::wire::frame_header::FrameHeader;
use crate::wire::{mask::apply_mask, opcode::Opcode};

const KEY: [u8; 4] = [0x12, 0xef, 0x00, 0x81];

/// A payload of so many bytes that begins with an order and tells each of its places from the others.
fn payload(order: &str, len: usize) -> Vec<u8> {
    let head = format!("{order} ").into_bytes();
    let numbers = (0u32..).flat_map(|number| (number % 9_973).to_le_bytes());
    head.into_iter().chain(numbers).take(len).collect()
}

/// One frame, of a client if there is a key.
fn frame(fin: bool, opcode: Opcode, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let (header, len) = FrameHeader {
        fin,
        rsv: 0,
        opcode,
        key,
        payload_len: payload.len() as u64,
    }
    .encode();
    let mut bytes = header[..len].to_vec();
    bytes.extend_from_slice(payload);
    if let Some(key) = key {
        apply_mask(&mut bytes[len..], key);
    }
    bytes
}

fn sent(payload: &[u8]) -> Vec<u8> {
    frame(true, Opcode::Binary, Some(KEY), payload)
}

fn heard(payload: &[u8]) -> Vec<u8> {
    frame(true, Opcode::Binary, None, payload)
}

/// Sends all at once, and reads at most so many bytes of the answer in a turn, until it is there.
fn converse(bench: &mut Bench, bytes: &[u8], expected: &[u8], most: usize) {
    let mut peer = bench.open();
    peer.unsent.extend_from_slice(bytes);
    bench.until("the answer", |_| {
        peer.send(b"");
        peer.read_some(most);
        peer.heard.len() >= expected.len()
    });
    assert!(peer.heard == expected, "other bytes came");
    assert!(bench.event_loop.io.in_place.is_empty());
}

/// The same, and nothing is kept.
fn exchange(bytes: &[u8], expected: &[u8], most: usize) {
    let mut bench = Bench::new(|_| {});
    converse(&mut bench, bytes, expected, most);
    turn(&mut bench.event_loop, 0);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
    assert_eq!(bench.event_loop.service.unsent, 0);
}

#[test]
fn messages_of_every_size_come_back_in_order_with_small_ones_between_them() {
    let around = |size: usize| [size - 1, size, size + 1];
    let sizes = [IN_PLACE_BYTES, 65_535, READ_BYTES - 14, READ_BYTES, 1 << 20];
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for size in sizes.into_iter().flat_map(around) {
        for payload in [payload("echo", size), b"small".to_vec()] {
            bytes.extend_from_slice(&sent(&payload));
            expected.extend_from_slice(&heard(&payload));
        }
    }
    exchange(&bytes, &expected, usize::MAX);
    exchange(&bytes, &expected, 40_000);
}

#[test]
fn more_payloads_than_leave_at_once_keep_their_order() {
    let messages: Vec<_> = (0..50)
        .map(|number| payload(&number.to_string(), 5_000))
        .collect();
    let bytes: Vec<_> = messages.iter().flat_map(|message| sent(message)).collect();
    let expected: Vec<_> = messages.iter().flat_map(|message| heard(message)).collect();
    exchange(&bytes, &expected, usize::MAX);
}

#[test]
fn a_payload_may_be_sent_twice_in_part_in_fragments_and_between_others() {
    for size in [5_000, 100_000, 700_000] {
        let (twice, part) = (payload("twice", size), payload("part", size));
        let (between, fragments) = (payload("between", size), payload("fragments", size));
        let bytes = [&twice, &part, &between, &fragments].map(|payload| sent(payload));
        let (first, second) = fragments.split_at(size / 2);
        let expected = [
            heard(&twice),
            heard(&twice),
            heard(&part[5..size - 1]),
            frame(true, Opcode::Text, None, b"before"),
            heard(&between),
            frame(true, Opcode::Text, None, b"behind"),
            frame(false, Opcode::Binary, None, first),
            frame(true, Opcode::Continuation, None, second),
        ];
        exchange(&bytes.concat(), &expected.concat(), 100_000);
    }
}

#[test]
fn a_close_behind_a_large_message_leaves_behind_it() {
    for size in [10_000, 1 << 20] {
        let last = payload("echo-close", size);
        let bytes = [sent(&last), sent(b"nobody listens")].concat();
        let close = frame(true, Opcode::Close, None, b"\x03\xe8enough");
        exchange(&bytes, &[heard(&last), close].concat(), 50_000);
    }
}

#[test]
fn pings_within_a_long_message_are_answered_before_it() {
    let long = payload("echo", 1 << 20);
    let (first, second) = long.split_at(400_000);
    let bytes = [
        frame(false, Opcode::Binary, Some(KEY), first),
        frame(true, Opcode::Ping, Some(KEY), b"between"),
        frame(true, Opcode::Continuation, Some(KEY), second),
    ];
    let pong = frame(true, Opcode::Pong, None, b"between");
    exchange(&bytes.concat(), &[pong, heard(&long)].concat(), usize::MAX);
}

#[test]
fn a_long_text_is_judged_where_it_is_gathered() {
    let text = "κόσμε € 𝄞 plain ".repeat(40_000).into_bytes();
    let bytes = frame(true, Opcode::Text, Some(KEY), &text);
    exchange(&bytes, &frame(true, Opcode::Text, None, &text), usize::MAX);

    let mut broken = text.clone();
    let at = broken.len() - 100;
    broken[at] = 0xff;
    let mut cut = text;
    cut.extend_from_slice("€".as_bytes());
    cut.pop();
    for wrong in [broken, cut] {
        let mut bench = Bench::new(|_| {});
        let mut peer = bench.open();
        peer.unsent = frame(true, Opcode::Text, Some(KEY), &wrong);
        bench.until("the end", |event_loop| {
            peer.send(b"");
            peer.read();
            !event_loop.service.closed.is_empty()
        });
        assert_eq!(bench.closed(1)[0].code, 1007);
        assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
    }
}

#[test]
fn what_is_announced_and_not_sent_takes_no_memory() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let all = sent(&payload("echo", 16 << 20));
    for (arrived, most) in [(1_000, 8 << 10), (300_000, 1_000_000), (1_000_000, 3 << 20)] {
        let before = peer.heard.len();
        peer.unsent.extend_from_slice(&all[before..arrived]);
        peer.heard.resize(arrived, 0);
        bench.until("all of it", |event_loop| {
            peer.send(b"");
            let used = event_loop.io.buffers.budget().used();
            assert!(used <= most, "{used} bytes for {arrived}");
            peer.unsent.is_empty() && used >= arrived as u64 / 2
        });
    }
}

#[test]
fn a_long_message_that_all_together_have_no_room_for_fails_with_1013() {
    let mut bench = Bench::new(|limits| limits.buffered_total_bytes = 600_000);
    let mut peer = bench.open();
    peer.unsent = sent(&payload("echo", 1 << 20));
    bench.until("the end", |event_loop| {
        peer.send(b"");
        peer.read();
        !event_loop.service.closed.is_empty()
    });
    assert_eq!(bench.closed(1)[0].code, 1013);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

/// How much has arrived of a message that the only connection gathers.
fn gathered(event_loop: &mut EventLoop<Probe>) -> usize {
    let id = event_loop.io.ids()[0];
    let link = event_loop.io.slots.get_mut(id);
    let Some(Stage::Open(open)) = link.map(|link| &mut link.stage) else {
        return 0;
    };
    let held = open.websocket.take_held();
    let len = held.len();
    open.websocket.put_held(held);
    len
}

#[test]
fn a_long_message_is_read_to_where_it_is_gathered() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let message = payload("echo", 1 << 20);
    let bytes = [sent(&message), sent(b"next")].concat();
    // What the thread's buffer holds is not touched by what is read elsewhere.
    peer.send(&bytes[..200_000]);
    bench.until("its beginning", |event_loop| {
        peer.send(b"");
        gathered(event_loop) == 200_000 - 14
    });
    bench.event_loop.io.input.fill(0xaa);
    peer.send(&bytes[200_000..900_000]);
    bench.until("more of it", |event_loop| {
        peer.send(b"");
        gathered(event_loop) == 900_000 - 14
    });
    let input = &bench.event_loop.io.input;
    assert!(input.iter().all(|&byte| byte == 0xaa));
    peer.send(&bytes[900_000..]);
    let expected = [heard(&message), heard(b"next")].concat();
    bench.until("the answer", |_| {
        peer.send(b"");
        peer.read();
        peer.heard.len() >= expected.len()
    });
    assert!(peer.heard == expected);
}

#[test]
fn long_payloads_of_the_session_itself_keep_their_order_with_what_is_sent_around_them() {
    let around = |size: usize| [size - 1, size, size + 1];
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    let sizes = [AT_ONCE_BYTES, 2 * AT_ONCE_BYTES, 1 << 20];
    for size in sizes.into_iter().flat_map(around) {
        let own = vec![7; size];
        bytes.extend_from_slice(&sent(format!("own {size}").as_bytes()));
        let frames = [
            frame(true, Opcode::Text, None, b"before"),
            frame(false, Opcode::Binary, None, &own),
            frame(true, Opcode::Continuation, None, &own[..size / 2]),
            frame(true, Opcode::Text, None, b"behind"),
        ];
        expected.extend_from_slice(&frames.concat());
        // A payload of the peer between them still leaves from where it lies.
        let echoed = payload("twice", size);
        bytes.extend_from_slice(&sent(&echoed));
        expected.extend_from_slice(&[heard(&echoed), heard(&echoed)].concat());
    }
    let mut bench = Bench::new(|limits| limits.high_mark_bytes = 32 << 20);
    converse(&mut bench, &bytes, &expected, usize::MAX);
    converse(&mut bench, &bytes, &expected, 40_000);
    assert_eq!(bench.event_loop.service.unsent, 0);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn of_a_long_payload_only_what_the_socket_does_not_take_is_copied() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let room = bench.event_loop.io.out.capacity();
    let own = 16 << 20;
    peer.send(&sent(format!("send {own}").as_bytes()));
    bench.until("some of it", |event_loop| {
        event_loop.io.buffers.budget().used() > 0
    });
    let waiting = bench.queued();
    assert!(waiting > 0 && waiting < own, "{waiting}");
    let io = &mut bench.event_loop.io;
    assert_eq!(io.buffers.budget().used(), waiting as u64);
    assert_eq!(io.out.capacity(), room, "it was gathered");
    let deadlines = &bench.link().deadlines;
    assert!(deadlines.is_set(DeadlineName::StalledWrite));

    bench.until("the rest", |_| {
        peer.read();
        peer.heard.len() >= 10 + own
    });
    assert!(peer.heard == heard(&vec![7; own]));
    turn(&mut bench.event_loop, 0);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
    assert!(!bench.link().deadlines.is_set(DeadlineName::StalledWrite));
}

#[test]
fn what_leaves_at_once_counts_against_the_high_mark_of_its_turn() {
    let mut bench = Bench::new(|limits| limits.high_mark_bytes = 4 * AT_ONCE_BYTES as u64);
    let mut peer = bench.open();
    let order = format!("send {AT_ONCE_BYTES}");
    let count = 64;
    peer.send(&sent(order.as_bytes()).repeat(count));
    bench.until("all of them", |_| {
        peer.read();
        peer.heard.len() >= count * (10 + AT_ONCE_BYTES)
    });
    let service = &bench.event_loop.service;
    let mut turns = service.turns(&order);
    turns.dedup_by_key(|turn| *turn);
    assert!(turns.len() >= count / 4, "{} turns", turns.len());
    assert_eq!(service.unsent, 0);
}

#[test]
fn a_long_payload_that_may_not_wait_ends_the_connection() {
    let mut bench = Bench::new(|limits| limits.buffered_total_bytes = 100_000);
    let mut peer = bench.open();
    peer.send(&sent(b"send 16777216"));
    let reports = bench.closed(1);
    assert_eq!((reports[0].by, reports[0].code), (ClosedBy::Host, 1006));
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn what_a_long_message_was_gathered_in_is_given_back_when_no_other_comes() {
    let mut bench = Bench::new(|_| {});
    let message = payload("part", 1 << 20);
    let expected = heard(&message[5..message.len() - 1]);
    converse(&mut bench, &sent(&message), &expected, usize::MAX);
    turn(&mut bench.event_loop, 0);
    assert!(bench.event_loop.io.buffers.has_kept());
    bench.until("giving back", |event_loop| {
        !event_loop.io.buffers.has_kept()
    });
    // Who keeps nothing is not woken again.
    bench.until("quiet", |event_loop| !event_loop.io.watches_kept);
    assert!(bench.event_loop.io.out.capacity() <= READ_BYTES);
}
