//! Listeners that come and go while the loop turns.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::net::listening::ListenChange;

impl Bench {
    /// Gives up the listener that is numbered `gone`.
    fn give_up(&mut self, gone: u32) {
        let change = ListenChange::new(vec![gone], Vec::new());
        self.event_loop.io.change_listeners(0, &change);
    }

    /// Adds a listener of this number; its address.
    fn listen(&mut self, number: u32) -> SocketAddr {
        let new = listener::bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into(), 1).unwrap();
        let new: Vec<_> = new.into_iter().map(|socket| (number, socket)).collect();
        let address = new[0].1.local_address().unwrap();
        let change = ListenChange::new(Vec::new(), vec![new]);
        self.event_loop.io.change_listeners(0, &change);
        address
    }

    fn listener_count(&self) -> usize {
        self.event_loop.io.listeners.iter().count()
    }
}

fn answered(bench: &mut Bench, peer: &mut Peer) {
    peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.until("an opening handshake", |_| {
        peer.read();
        peer.take_head()
    });
}

#[test]
fn those_that_wait_at_a_listener_that_is_given_up_are_served_however_many_turns_it_takes() {
    let mut bench = Bench::new(|limits| limits.accept_count = 2);
    let mut waiting: Vec<_> = (0..7).map(|_| Peer::connect(bench.address)).collect();
    bench.give_up(0);
    for peer in &mut waiting {
        answered(&mut bench, peer);
    }
    bench.until("its close", |event_loop| event_loop.io.listeners.is_empty());
    assert_eq!(bench.shared.connections.load(Relaxed), 7);
    assert!(std::net::TcpStream::connect(bench.address).is_err());
}

#[test]
fn a_listener_that_comes_later_is_served_like_those_from_the_start() {
    let mut bench = Bench::new(|_| {});
    let mut old = bench.open();
    let address = bench.listen(1);
    let mut new = Peer::connect(address);
    answered(&mut bench, &mut new);
    old.text("echo");
    bench.until("an echo", |_| {
        old.read();
        old.texts() == ["echo"]
    });
}

#[test]
fn a_place_that_was_left_is_given_again() {
    let mut bench = Bench::new(|_| {});
    for number in 1..40 {
        let address = bench.listen(number);
        bench.give_up(number - 1);
        bench.until("one listener", |l| l.io.listeners.iter().count() == 1);
        answered(&mut bench, &mut Peer::connect(address));
    }
    assert!(bench.event_loop.io.listeners.len() <= 2);
}

#[test]
fn those_that_leave_make_way_when_all_places_are_taken() {
    let mut bench = Bench::new(|_| {});
    for number in 1..15 {
        bench.listen(number);
    }
    assert_eq!(bench.listener_count(), 15);
    bench.listen(15);
    assert_eq!(bench.listener_count(), 15, "all of them stay");
    bench.give_up(3);
    let address = bench.listen(16);
    assert_eq!(bench.listener_count(), 15);
    answered(&mut bench, &mut Peer::connect(address));
}

#[test]
fn a_loop_that_drains_listens_nowhere_else() {
    let mut bench = Bench::new(|_| {});
    bench.event_loop.io.drain();
    bench.listen(1);
    assert_eq!(bench.listener_count(), 1);
}
