//! The context of one service thread over loopback sockets, with a handler that does what it is told.
mod obedient;

use std::{collections::VecDeque, sync::Arc};

use crate::{
    connection::websocket::ClosedBy,
    net::{
        event_loop::Turned,
        test_peer::{frame, turn, turn_for, until},
        token::ConnectionId,
    },
};
use obedient::{Bench, SET};

#[test]
fn a_hook_that_fails_in_many_sessions_of_one_turn_ends_each_of_them_once() {
    for order in ["panic", "fail", "hang-up"] {
        let mut bench = Bench::new(|_| {});
        let mut peers: Vec<_> = (0..40).map(|_| bench.open()).collect();
        let mut spared = bench.open();
        // The others share its set; it does not obey.
        peers[7].text(&format!("notify-all {order}"));
        bench.until("the end of all", |h| h.count("destroy") == 41);
        assert_eq!(bench.handler.count("destroy"), 41);
        let told = if order == "panic" { 0 } else { 41 };
        assert_eq!(bench.handler.count("close"), told);
        spared.read();
        let mut after = bench.open();
        after.text("broadcast still here");
        assert_eq!(bench.hear(&mut after, 1), ["still here"]);
    }
}

#[test]
fn sessions_that_end_in_any_order_leave_the_others_in_their_set() {
    let mut bench = Bench::new(|_| {});
    let mut peers: VecDeque<_> = (0..30).map(|_| bench.open()).collect();
    for round in 0..10 {
        let leaving: Vec<_> = [round % 3, 5, 9]
            .iter()
            .map(|at| peers.remove(*at).unwrap())
            .collect();
        drop(leaving);
        bench.until("their end", |h| h.count("destroy") == 3 * (round + 1));
        for _ in 0..2 {
            let newcomer = bench.open();
            peers.push_front(newcomer);
        }
        peers[0].text(&format!("broadcast {round}"));
        for peer in &mut peers {
            let heard = bench.hear(peer, 1);
            assert_eq!(heard, [round.to_string()]);
            peer.heard.clear();
        }
    }
}

#[test]
fn a_broadcast_waits_for_the_end_of_a_message_that_was_begun() {
    let mut bench = Bench::new(|_| {});
    let (mut speaker, mut other) = (bench.open(), bench.open());
    speaker.text("begin one");
    other.text("broadcast news");
    bench.hear(&mut other, 1);
    other.text("broadcast more news");
    bench.hear(&mut other, 2);
    // Another message is begun in the same hook.
    speaker.text("end two;begin three");
    speaker.text("end four;send last");
    let expected: [(u8, &[u8]); 7] = [
        (0x01, b"one"),
        (0x80, b"two"),
        (0x81, b"news"),
        (0x81, b"more news"),
        (0x01, b"three"),
        (0x80, b"four"),
        (0x81, b"last"),
    ];
    bench.until("all frames", |_| {
        speaker.read();
        speaker.frames().len() >= expected.len()
    });
    let expected = expected.map(|(octet, payload)| (octet, payload.to_vec()));
    assert_eq!(speaker.frames(), expected);
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn what_is_held_back_is_bounded_and_the_message_can_be_ended() {
    let mut bench = Bench::new(|limits| {
        limits.high_mark_bytes = 10_000;
        limits.low_mark_bytes = 1_000;
    });
    let (mut speaker, mut other) = (bench.open(), bench.open());
    speaker.text("begin one");
    let text = "n".repeat(1_000);
    for sent in 1..=30 {
        other.text(&format!("broadcast-drop {text}"));
        bench.hear(&mut other, sent);
    }
    let used = bench.event_loop.io.buffers.budget().used();
    assert!((10_000..12_000).contains(&used), "{used}");
    speaker.text("end two");
    bench.until("frames", |_| {
        speaker.read();
        speaker.frames().len() >= 12
    });
    assert_eq!(speaker.frames()[1], (0x80, b"two".to_vec()));
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_broadcast_comes_before_what_is_sent_after_it_and_before_the_close_of_a_drain() {
    let mut bench = Bench::new(|_| {});
    let (mut peer, mut other) = (bench.open(), bench.open());
    peer.text("broadcast one;notify-all send two,broadcast three;drain");
    for peer in [&mut peer, &mut other] {
        bench.until("Close frame", |_| {
            peer.read();
            peer.frames().iter().any(|(octet, _)| *octet == 0x88)
        });
        assert_eq!(peer.texts(), ["one", "two", "three", "three"]);
        assert!(peer.frames().last().unwrap().1.starts_with(&[0x03, 0xe9]));
        peer.send_frame(8, b"\x03\xe9");
    }
    drop((peer, other));
    until(&mut bench.event_loop, "the end", |l| {
        l.io.connections() == 0
    });
    assert_eq!(turn(&mut bench.event_loop, 0), Turned::Done);
    let closed = bench.handler.closed.lock().unwrap();
    assert_eq!(closed.len(), 2);
    assert!(
        closed
            .iter()
            .all(|c| c.by == ClosedBy::Drain && c.clean && c.code == 1001)
    );
}

#[test]
fn a_slow_session_that_goes_on_sending_does_not_gather_broadcasts_above_its_mark() {
    let mut bench = Bench::new(|limits| {
        limits.high_mark_bytes = 100_000;
        limits.low_mark_bytes = 10_000;
    });
    let (mut slow, mut other) = (bench.open(), bench.open());
    let id = bench.event_loop.io.ids()[0];
    slow.text("timer");
    let text = "n".repeat(60_000);
    for _ in 0..300 {
        other.text(&format!("broadcast-drop {text}"));
        turn(&mut bench.event_loop, 2);
        other.read();
        other.heard.clear();
    }
    let queued = bench.event_loop.io.slots.get_mut(id).unwrap().queue.len();
    assert!((100_000..500_000).contains(&queued), "{queued}");
    assert!(bench.handler.closed.lock().unwrap().is_empty());
    drop(slow);
}

#[test]
fn a_slow_session_is_closed_with_1013_and_the_others_miss_nothing() {
    let mut bench = Bench::new(|limits| limits.stalled_write_ms = 200);
    let (slow, mut other) = (bench.open(), bench.open());
    let text = "n".repeat(100_000);
    let mut heard = 0;
    let mut sent = 0;
    bench.until("the end of the slow one", |h| {
        if sent == heard {
            other.text(&format!("broadcast {text}"));
            sent += 1;
        }
        other.read();
        let frames = other.frames();
        heard += frames.len();
        let whole: usize = frames.iter().map(|(_, payload)| payload.len() + 10).sum();
        other.heard.drain(..whole);
        !h.closed.lock().unwrap().is_empty()
    });
    let closed = bench.handler.closed.lock().unwrap().clone();
    assert_eq!(closed.len(), 1);
    assert_eq!((closed[0].by, closed[0].code), (ClosedBy::Host, 1013));
    drop(slow);
}

#[test]
fn what_hooks_queue_for_their_own_thread_is_bounded() {
    let mut bench = Bench::new(|limits| limits.commands_count = 100);
    let (mut peer, mut other) = (bench.open(), bench.open());
    peer.text("storm");
    for _ in 0..20 {
        turn(&mut bench.event_loop, 1);
    }
    assert!(bench.handler.count("posted") >= 100);
    // Others are served all the while.
    other.text("send served");
    assert_eq!(bench.hear(&mut other, 1), ["served"]);
}

#[test]
fn a_session_that_fails_to_open_ends_with_1011_and_is_not_told_of_its_close() {
    let mut bench = Bench::new(|_| {});
    for order in ["panic", "fail"] {
        let mut peer = bench.open_with(order);
        bench.until("Close frame", |_| {
            peer.read();
            peer.ended
        });
        assert!(peer.frames()[0].1.starts_with(&[0x03, 0xf3]));
    }
    turn_for(&mut bench.event_loop, 20);
    assert_eq!(*bench.handler.log.lock().unwrap(), ["thread-create"]);
    let mut ids = Vec::<ConnectionId>::new();
    bench.hub.for_each(SET, &mut |id| ids.push(id));
    assert_eq!(ids, []);
}

#[test]
fn orders_in_open_are_carried_out() {
    let mut bench = Bench::new(|_| {});
    let mut peer = bench.open_with("send+first;broadcast+second");
    assert_eq!(bench.hear(&mut peer, 2), ["first", "second"]);
    let mut peer = bench.open_with("send+first;close+enough");
    bench.until("Close frame", |_| {
        peer.read();
        peer.frames().len() >= 2
    });
    drop(peer);
    let peer = bench.open_with("hang-up");
    bench.until("their end", |h| h.count("destroy") == 2);
    drop(peer);
    let by: Vec<_> = bench
        .handler
        .closed
        .lock()
        .unwrap()
        .iter()
        .map(|c| (c.by, c.code))
        .collect();
    assert_eq!(by, [(ClosedBy::Protocol, 1000), (ClosedBy::Protocol, 1006)]);
}

#[test]
fn a_thread_that_stops_tells_every_session_and_then_frees_its_state() {
    let mut bench = Bench::new(|_| {});
    let mut peers: Vec<_> = (0..20).map(|_| bench.open()).collect();
    peers[3].send(&frame(1, b"stop"));
    until(&mut bench.event_loop, "the end", |l| {
        l.io.is_stopped && l.io.connections() == 0
    });
    let handler = Arc::clone(&bench.handler);
    drop(bench);
    assert_eq!(handler.count("close"), 20);
    assert_eq!(handler.count("destroy"), 20);
    let log = handler.log.lock().unwrap();
    assert_eq!(log.last().unwrap(), "thread-destroy");
}

#[test]
fn a_loop_that_is_dropped_tells_every_session_too() {
    let mut bench = Bench::new(|_| {});
    let _peers: Vec<_> = (0..3).map(|_| bench.open()).collect();
    let handler = Arc::clone(&bench.handler);
    drop(bench);
    assert_eq!(handler.count("close"), 3);
    assert_eq!(
        handler.log.lock().unwrap().last().unwrap(),
        "thread-destroy"
    );
}
