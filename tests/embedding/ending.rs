//! The end of a host.

use std::{
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use hotsocket::Turned;

use crate::{
    DEADLINE, builder, eventually,
    peer::{CLOSE, Peer, elsewhere, turn},
    probe::Seen,
};

/// What a Close frame with 1001 carries.
const GOING_AWAY: &[u8] = b"\x03\xe9the server is going away";

#[test]
fn seed_1_4_a_dropped_host_closes_every_session_and_frees_what_it_had() {
    let seen = Arc::new(Seen::default());
    let mut host = builder(&seen).build().unwrap();
    let address = host.local_addrs()[0];
    let mut peers: Vec<_> = (0..3).map(|_| Peer::of(&mut host, "/probe")).collect();
    drop(host);
    for peer in &mut peers {
        let frame = peer.frame(&mut || panic!("it was sent before the host had gone"));
        assert_eq!(frame, (CLOSE, GOING_AWAY.to_vec()));
    }
    let told = seen.closed.lock().unwrap().clone();
    assert_eq!(told.len(), 3, "each exactly once: {told:?}");
    assert!(told.iter().all(|(code, ..)| *code == 1001), "{told:?}");
    assert_eq!(seen.freed.load(Ordering::SeqCst), 1);
    drop(peers);
    eventually("the address is free", || TcpListener::bind(address).is_ok());
}

#[test]
fn seed_1_4_a_host_that_is_shut_down_waits_for_its_peers_as_long_as_it_was_told() {
    let seen = Arc::new(Seen::default());
    let mut host = builder(&seen).build().unwrap();
    let mut polite = Peer::of(&mut host, "/probe");
    let polite = thread::spawn(move || {
        assert_eq!(polite.frame(&mut elsewhere).0, CLOSE);
        polite.send(CLOSE, &GOING_AWAY[..2]);
        polite
    });
    let began = Instant::now();
    host.shutdown(DEADLINE).unwrap();
    assert!(began.elapsed() < DEADLINE, "it did not wait for nobody");
    let told = seen.closed.lock().unwrap().pop().unwrap();
    assert!(matches!(told, (1001, _, true)), "{told:?}");
    polite.join().unwrap();

    let mut host = builder(&seen).build().unwrap();
    let _deaf = Peer::of(&mut host, "/probe");
    let little = Duration::from_millis(100);
    let began = Instant::now();
    host.drain(little);
    while host.turn(None).unwrap() == Turned::Running {}
    assert!((little..DEADLINE).contains(&began.elapsed()));
    let told = seen.closed.lock().unwrap().pop().unwrap();
    assert!(matches!(told, (1001, _, false)), "{told:?}");
    assert_eq!(host.turn(None).unwrap(), Turned::Done, "and stays so");
}

#[test]
fn a_host_that_was_told_to_end_before_it_was_built_ends_in_its_first_turns() {
    let builder = builder(&Arc::default());
    let handle = builder.handle();
    handle.drain(None);
    let mut host = builder.build().unwrap();
    eventually("it is done", || {
        turn(&mut host);
        host.turn(Some(Duration::ZERO)).unwrap() == Turned::Done
    });
    drop(host);
    // Late words reach nobody and harm nobody.
    handle.drain(None);
    handle.reload();
}
