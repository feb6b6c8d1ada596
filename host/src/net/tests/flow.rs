//! Order, loss, marks, pauses, fairness and bounds.

use super::*;
use crate::net::test_peer::{frame, turn, turn_for};

#[test]
fn a_protocol_that_echoes_is_held_back_before_a_send_is_refused() {
    let (high, low) = (64 << 10, 16 << 10);
    let mut bench = Bench::new(|limits| {
        limits.high_mark_bytes = high as u64;
        limits.low_mark_bytes = low as u64;
    });
    let mut peer = bench.open();
    let mut expected = Vec::new();
    for number in 0..40_000 {
        let text = format!("{number:0>500}");
        expected.extend_from_slice(&[0x81, 126, 1, 244]);
        expected.extend_from_slice(text.as_bytes());
        peer.unsent.extend_from_slice(&frame(1, text.as_bytes()));
    }
    // Until nothing moves any more.
    for _ in 0..200 {
        peer.send(b"");
        turn(&mut bench.event_loop, 1);
    }
    assert!(bench.queued() >= high);
    assert!(bench.queued() < high + (1 << 20));
    bench.until("all echoes", |event_loop| {
        let id = event_loop.io.ids()[0];
        if event_loop.io.slots.get_mut(id).unwrap().queue.len() >= high {
            event_loop.service.awaits_low_mark = Some(low);
        }
        peer.send(b"");
        peer.read_some(100_000);
        peer.heard.len() >= expected.len()
    });
    assert!(peer.heard == expected);
    assert_eq!(bench.event_loop.service.unsent, 0);
}

#[test]
fn input_that_waits_for_its_turn_does_not_grow() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let order = frame(1, b"send 65536");
    for _ in 0..60_000 {
        peer.unsent.extend_from_slice(&order);
    }
    for _ in 0..300 {
        peer.send(b"");
        turn(&mut bench.event_loop, 1);
        peer.read();
        peer.heard.clear();
        let carried = bench.link().spare.carry_capacity();
        assert!(carried <= 600 << 10, "{carried}");
    }
}

#[test]
fn nothing_is_delivered_in_a_pause_and_what_was_read_comes_first_after_it() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    let mut all = frame(1, b"pause 50");
    all.extend_from_slice(&frame(1, b"one"));
    all.extend_from_slice(&frame(1, b"two"));
    peer.send(&all);
    bench.until("pause", |l| !l.service.turns("pause 50").is_empty());
    peer.text("three");
    turn_for(&mut bench.event_loop, 20);
    assert!(bench.event_loop.service.turns("one").is_empty());
    bench.until("echoes", |_| {
        peer.read();
        peer.texts().len() == 3
    });
    assert_eq!(peer.texts(), ["one", "two", "three"]);
}

#[test]
fn input_that_waits_behind_a_pause_counts_against_the_total() {
    let mut bench = Bench::new(|limits| limits.buffered_total_bytes = 1 << 20);
    let mut peers: Vec<_> = (0..8).map(|_| bench.open()).collect();
    for peer in &mut peers {
        let mut all = frame(1, b"pause");
        all.extend_from_slice(&frame(2, &vec![7; 200_000]));
        peer.send(&all);
    }
    turn_for(&mut bench.event_loop, 50);
    let io = &mut bench.event_loop.io;
    let ids = io.ids();
    let mut carried = 0;
    for id in ids {
        carried += io.slots.get_mut(id).unwrap().spare.carry_capacity() as u64;
    }
    assert!(carried > 0 && carried <= 1 << 20, "{carried}");
    assert!(io.buffers.budget().used() >= carried);
    assert!(
        bench
            .event_loop
            .service
            .closed
            .iter()
            .all(|c| c.code == 1013)
    );
    drop(peers);
    bench.event_loop.io.stop();
    turn(&mut bench.event_loop, 0);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn writable_is_told_once_for_each_asking_and_in_a_later_turn() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open();
    peer.text("ask");
    bench.until("writable", |l| !l.service.turns("writable").is_empty());
    turn_for(&mut bench.event_loop, 20);
    let (asked, told) = (
        bench.event_loop.service.turns("ask"),
        bench.event_loop.service.turns("writable"),
    );
    assert_eq!(told.len(), 1);
    assert!(told[0] > asked[0], "{told:?} {asked:?}");
}

#[test]
fn one_connection_gets_no_more_than_its_read_budget_in_a_turn() {
    let mut bench = Bench::new(|limits| limits.read_budget_bytes = 128 << 10);
    let mut peer = bench.open();
    for _ in 0..2_000 {
        peer.unsent.extend_from_slice(&frame(2, &[9; 1_000]));
    }
    let all = peer.unsent.len() / 1_008 * 1_004;
    bench.until("echoes", |_| {
        peer.send(b"");
        peer.read();
        peer.heard.len() >= all
    });
    let most = bench.event_loop.service.most_delivered_in_turn;
    assert!(most <= (128 << 10) + (256 << 10), "{most}");
}

#[test]
fn a_limit_of_zero_stops_nothing() {
    let mut bench = Bench::new(|limits| {
        limits.accept_count = 0;
        limits.read_budget_bytes = 0;
        limits.high_mark_bytes = 0;
        limits.low_mark_bytes = 0;
    });
    let mut peer = bench.open();
    peer.text("hello");
    bench.until("echo", |_| {
        peer.read();
        peer.texts() == ["hello"]
    });
}

#[test]
fn more_output_than_all_may_keep_ends_the_connection_by_the_host() {
    let mut bench = Bench::new(|limits| {
        limits.buffered_total_bytes = 1 << 20;
        limits.high_mark_bytes = 1 << 20;
    });
    let mut peer = bench.open();
    peer.text("send 16000000");
    let told = bench.closed(1);
    assert_eq!((told[0].by, told[0].code), (ClosedBy::Host, 1006));
    assert!(told[0].reason.contains("limits.buffered_total_bytes"));
}

#[test]
fn above_the_total_a_send_behind_waiting_output_is_refused_and_nobody_dies() {
    let mut bench = Bench::new(|limits| {
        limits.buffered_total_bytes = 16 << 20;
        limits.high_mark_bytes = 16 << 20;
    });
    let (mut slow, mut other) = (bench.open(), bench.open());
    slow.text("send 12000000");
    bench.until("wait", |l| l.io.buffers.budget().used() > 0);
    for _ in 0..20 {
        slow.text("send 1000000");
        turn_for(&mut bench.event_loop, 2);
    }
    assert!(bench.event_loop.service.unsent > 0);
    assert!(bench.event_loop.service.closed.is_empty());
    other.text("hello");
    bench.until("echo", |_| {
        other.read();
        other.texts() == ["hello"]
    });
}

#[test]
fn an_address_that_has_its_connections_gets_no_more_until_one_has_ended_and_others_get_theirs() {
    let mut bench = Bench::new(|limits| limits.max_connections_per_address = 2);
    let mut first = bench.open();
    let _second = bench.open();
    let mut refused = Peer::connect(bench.address);
    bench.until("the refusal", |_| {
        refused.read();
        refused.ended
    });
    assert!(refused.heard.is_empty());
    let mut other = bench.connect_from([127, 0, 0, 2]);
    other.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.until("the other address", |_| {
        other.read();
        other.take_head()
    });
    first.send(b"\x88\x80\0\0\0\0");
    bench.closed(1);
    bench.until("its end", |event_loop| event_loop.io.connections() == 2);
    let mut next = bench.open();
    next.text("here");
    bench.until("its echo", |_| {
        next.read();
        next.texts() == ["here"]
    });
}
