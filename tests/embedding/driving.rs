//! Who drives a host, and when it waits.

use std::{
    sync::{Arc, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use hotsocket::{HostError, Turned};

use crate::{
    DEADLINE,
    alone::{alone, expect_threads, threads},
    builder,
    peer::{Peer, elsewhere},
};

#[test]
fn seed_1_5_a_turn_serves_what_there_is_and_waits_no_longer_than_it_was_told() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let waits = |host: &mut hotsocket::Host, timeout| {
        let began = Instant::now();
        assert_eq!(host.turn(timeout).unwrap(), Turned::Running);
        began.elapsed()
    };
    // What was to be done at the start has been done.
    while host.timeout() == Some(Duration::ZERO) {
        waits(&mut host, Some(Duration::ZERO));
    }
    assert!(waits(&mut host, Some(Duration::ZERO)) < Duration::from_secs(1));
    let little = Duration::from_millis(50);
    let waited = waits(&mut host, Some(little));
    assert!((little..DEADLINE).contains(&waited), "{waited:?}");

    // Without a bound it waits for a peer, here for one of another thread.
    let address = host.local_addrs()[0];
    let (ended, waker) = (channel(), host.waker());
    let peer = thread::spawn(move || {
        let mut peer = Peer::open(address, "/probe", &mut elsewhere);
        assert_eq!(peer.ask("served", &mut elsewhere), "served");
        ended.0.send(()).unwrap();
        waker.wake();
    });
    while ended.1.try_recv().is_err() {
        waits(&mut host, None);
    }
    peer.join().unwrap();
}

#[test]
fn seed_1_6_no_thread_is_the_hosts_own_unless_it_is_asked_for() {
    alone(
        "driving::seed_1_6_no_thread_is_the_hosts_own_unless_it_is_asked_for",
        || {
            let before = threads();
            let mut host = builder(&Arc::default()).build().unwrap();
            let mut peer = Peer::of(&mut host, "/probe");
            assert_eq!(peer.ask_of(&mut host, "in turns"), "in turns");
            expect_threads(before);
            drop(host);

            let host = builder(&Arc::default()).build().unwrap();
            let (address, handle) = (host.local_addrs()[0], host.handle());
            thread::scope(|scope| {
                scope.spawn(move || {
                    let mut peer = Peer::open(address, "/probe", &mut elsewhere);
                    assert_eq!(peer.ask("here", &mut elsewhere), "here");
                    // This thread is the only one more.
                    expect_threads(before + 1);
                    handle.drain(Some(Duration::ZERO));
                });
                host.run().unwrap();
            });

            let server = builder(&Arc::default()).build().unwrap().spawn().unwrap();
            let address = server.handle().local_addrs()[0];
            let mut peer = Peer::open(address, "/probe", &mut elsewhere);
            assert_eq!(peer.ask("beside", &mut elsewhere), "beside");
            expect_threads(before + 1);
            server.shutdown(Duration::ZERO).unwrap();
            expect_threads(before);
        },
    );
}

#[test]
fn a_host_that_has_turned_stays_and_one_with_several_threads_is_not_turned() {
    let mut host = builder(&Arc::default()).build().unwrap();
    host.turn(Some(Duration::ZERO)).unwrap();
    assert!(matches!(host.workers(), Err(HostError::HasTurned)));
    assert!(matches!(host.spawn(), Err(HostError::HasTurned)));
    let mut host = builder(&Arc::default()).threads(2).build().unwrap();
    let turned = host.turn(Some(Duration::ZERO));
    assert!(matches!(turned, Err(HostError::SeveralThreads(2))));
    assert_eq!(host.workers().unwrap().len(), 2);
    assert!(matches!(host.workers(), Err(HostError::GivenAway)));
    assert!(matches!(host.run(), Err(HostError::GivenAway)));
}

#[test]
fn seed_1_9_a_waker_ends_the_wait_of_a_turn_from_any_thread() {
    let mut host = builder(&Arc::default()).build().unwrap();
    while host.timeout() == Some(Duration::ZERO) {
        host.turn(Some(Duration::ZERO)).unwrap();
    }
    let waker = host.waker();
    for _ in 0..100 {
        let waker = waker.clone();
        let other = thread::spawn(move || waker.wake());
        let began = Instant::now();
        host.turn(None).unwrap();
        assert!(began.elapsed() < DEADLINE);
        other.join().unwrap();
        // Nothing is left of it, whether it came before or while the host waited.
        let timeout = Some(Duration::from_millis(1));
        let began = Instant::now();
        host.turn(timeout).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(1));
    }
    drop(host);
    waker.wake();
}
