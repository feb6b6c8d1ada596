//! Several service threads, each driven by the program.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hotsocket::{ConnectionId, HostConfig, HostHandle, Turned, Worker};

use crate::{
    DEADLINE, anywhere, builder, eventually,
    peer::{Peer, elsewhere},
    probe::Seen,
};

/// Drives each on a thread, which tells its number after each turn.
fn drive(workers: Vec<Worker>) -> (Receiver<usize>, Vec<JoinHandle<()>>) {
    let (turned, turns) = channel();
    let driven = workers.into_iter().map(|worker| {
        let turned = turned.clone();
        thread::spawn(move || {
            let mut thread = worker.start().unwrap();
            while thread.turn(None).unwrap() == Turned::Running {
                // A test that has seen enough does not listen any more.
                let _ = turned.send(thread.number());
            }
        })
    });
    (turns, driven.collect())
}

/// Waits until no thread turns any more by itself.
fn settle(turns: &Receiver<usize>) {
    while turns.recv_timeout(Duration::from_millis(200)).is_ok() {}
}

fn id_of(peer: &mut Peer) -> ConnectionId {
    let number = peer.ask("id", &mut elsewhere).parse().unwrap();
    ConnectionId::from_number(number).unwrap()
}

/// The one thread that turns because of a wake.
fn woken_by(wake: impl FnOnce(), turns: &Receiver<usize>) -> Vec<usize> {
    settle(turns);
    wake();
    let mut woken = vec![turns.recv_timeout(DEADLINE).unwrap()];
    woken.extend(turns.recv_timeout(Duration::from_millis(200)));
    woken
}

#[test]
fn seed_1_10_a_wake_reaches_the_thread_of_one_connection_and_no_other() {
    let seen = Arc::new(Seen::default());
    let mut config = HostConfig {
        listen: vec![anywhere().into()],
        threads: 3,
        ..HostConfig::default()
    };
    // No timer is to wake a thread meanwhile.
    config.limits.opening_handshake_ms = 3_600_000;
    config.limits.idle_ping_ms = 0;
    let host = builder(&seen).config(config).build();
    let mut host = host.unwrap();
    let address = host.local_addrs()[0];
    let handle: HostHandle = host.handle();
    let workers = host.workers().unwrap();
    let wakers: Vec<_> = workers.iter().map(Worker::waker).collect();
    let (turns, driven) = drive(workers);
    let mut peers = [(); 8].map(|()| Peer::open(address, "/probe", &mut elsewhere));
    for peer in &mut peers {
        let id = id_of(peer);
        let home = woken_by(|| peer.send(1, b"which?"), &turns)[0];
        peer.frame(&mut elsewhere);
        assert_eq!(woken_by(|| handle.waker_of(id).wake(), &turns), [home]);
    }
    for (number, waker) in wakers.iter().enumerate() {
        assert_eq!(woken_by(|| waker.wake(), &turns), [number]);
    }
    // All of them end with the host.
    drop(host);
    for thread in driven {
        thread.join().unwrap();
    }
    assert_eq!(seen.closed.lock().unwrap().len(), 8);
    eventually("the instance is freed with its last user", || {
        seen.freed.load(Ordering::SeqCst) == 1
    });
}
