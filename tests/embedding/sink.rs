//! A loop of the program that watches every descriptor of a host: plain `poll`, which tells of levels.

use std::{
    io::{self, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    thread,
    time::Duration,
};

use hotsocket::{FdInterest, FdReadiness, FdSink, Host, HostConfig, HostError, Turned};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    DEADLINE, anywhere, builder, eventually,
    peer::{CLOSE, Peer, elsewhere},
    probe::{FLOOD_BYTES, Seen},
    watched::{BOTH, Told, WRITABLE, Watched},
};

/// A host with the probe, whose descriptors a loop watches.
fn hosted(seen: &Arc<Seen>) -> (Watched, Host) {
    let watched = Watched::default();
    let sink = watched.clone();
    let host = builder(seen).fd_sink(move |_| sink.clone()).build();
    (watched, host.unwrap())
}

fn soon() -> Duration {
    Duration::from_millis(20)
}

#[test]
fn seed_10_1_a_foreign_loop_has_the_host_serve_by_one_descriptor_and_its_deadline() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let address = host.local_addrs()[0];
    // What else the loop waits for is not the host's.
    let (foreign, mut other_end) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || {
        let mut peer = Peer::open(address, "/probe", &mut elsewhere);
        let answer = peer.ask("in a loop", &mut elsewhere);
        io::Write::write_all(&mut other_end, b"done").unwrap();
        answer
    });
    loop {
        let timeout = host.timeout().unwrap_or(DEADLINE).min(DEADLINE);
        let timeout = Timespec::try_from(timeout).unwrap();
        let mut polled = [&host as &dyn std::os::fd::AsFd, &foreign]
            .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
        poll(&mut polled, Some(&timeout)).unwrap();
        let is_done = !polled[1].revents().is_empty();
        assert_eq!(host.turn(Some(Duration::ZERO)).unwrap(), Turned::Running);
        if is_done {
            break;
        }
    }
    assert_eq!(client.join().unwrap(), "in a loop");
    let mut told = [0; 4];
    (&foreign).read_exact(&mut told).unwrap();
    assert_eq!(&told, b"done", "the host has left it alone");
}

#[test]
fn seed_10_1_a_descriptor_that_is_not_the_hosts_is_left_alone() {
    let (watched, mut host) = hosted(&Arc::default());
    let (foreign, mut other_end) = UnixStream::pair().unwrap();
    io::Write::write_all(&mut other_end, b"mine").unwrap();
    let ready = FdReadiness {
        readable: true,
        ..FdReadiness::default()
    };
    assert!(
        !host.service_fd(foreign.as_raw_fd(), ready),
        "before its first turn"
    );
    watched.rest(&mut host);
    assert!(!host.service_fd(foreign.as_raw_fd(), ready));
    assert_eq!(host.timeout(), None, "there is nothing to do");
    host.turn(Some(Duration::ZERO)).unwrap();
    let mut read = [0; 4];
    (&foreign).read_exact(&mut read).unwrap();
    assert_eq!(&read, b"mine");
}

#[test]
fn seed_10_2_every_descriptor_is_added_when_the_host_has_it() {
    let (watched, mut host) = hosted(&Arc::default());
    assert_eq!(watched.told(), [], "nothing before its first turn");
    watched.rest(&mut host);
    let told = watched.told();
    let reads = |told: &Told| matches!(told, Told::Add(_, FdInterest::READABLE));
    assert_eq!(told.len(), 2, "the waker and the listener: {told:?}");
    assert!(told.iter().all(reads), "{told:?}");
    let address = host.local_addrs()[0];
    let mut peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    let answer = peer.ask("added", &mut || {
        watched.round(&mut host, soon());
    });
    assert_eq!(answer, "added");
    let id = host.connections()[0];
    let fd = host.socket(id).unwrap().as_raw_fd();
    assert_eq!(
        watched.told_of(fd),
        [Told::Add(fd, FdInterest::READABLE)],
        "whoever takes what it is sent is never asked for room"
    );
    watched.rest(&mut host);
}

#[test]
fn seed_10_3_every_descriptor_is_removed_before_it_is_closed() {
    let (watched, mut host) = hosted(&Arc::default());
    let address = host.local_addrs()[0];
    let mut peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    let fd = host.socket(host.connections()[0]).unwrap().as_raw_fd();
    peer.send(CLOSE, &[]);
    let close = peer.frame(&mut || {
        watched.round(&mut host, soon());
    });
    assert_eq!(close.0, CLOSE);
    drop(peer);
    eventually("it is removed", || {
        watched.round(&mut host, soon());
        watched.told_of(fd).last() == Some(&Told::Remove(fd))
    });
    let _another = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    drop(host);
    assert_eq!(watched.count(), 0, "{:?}", watched.told());
}

#[test]
fn seed_10_4_room_to_write_is_asked_for_while_output_waits_and_only_then() {
    let (watched, mut host) = hosted(&Arc::default());
    let address = host.local_addrs()[0];
    let mut peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    let fd = host.socket(host.connections()[0]).unwrap().as_raw_fd();
    peer.send(1, b"flood");
    watched.rest(&mut host);
    assert_eq!(
        watched.told_of(fd)[1..],
        [Told::Modify(fd, FdInterest::READABLE, BOTH)]
    );
    // What the peer says meanwhile is known, and not read: the loop is not to be told again and again.
    peer.send(1, b"later");
    watched.rest(&mut host);
    assert_eq!(watched.told_of(fd)[2..], [Told::Modify(fd, BOTH, WRITABLE)]);

    let (mut read, mut piece) = (0, vec![0; 1 << 20]);
    // The flood with a frame header of 10 bytes, and the answer with one of 2.
    let expected = 10 + FLOOD_BYTES + 2 + b"later".len();
    eventually("all of it came", || {
        watched.round(&mut host, soon());
        read += peer.stream.read(&mut piece).unwrap_or_default();
        read == expected
    });
    watched.rest(&mut host);
    let told = watched.told_of(fd);
    let Some(Told::Modify(_, _, FdInterest::READABLE)) = told.last() else {
        panic!("nothing waits any more: {told:?}");
    };
}

#[test]
fn seed_10_5_a_change_tells_the_old_interest_and_the_new_one() {
    // `Watched` refuses an old interest that is not the one of before; here is one that it was told.
    let (watched, mut host) = hosted(&Arc::default());
    let address = host.local_addrs()[0];
    let mut peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    peer.send(1, b"flood");
    watched.rest(&mut host);
    let changes: Vec<_> = watched
        .told()
        .into_iter()
        .filter(|told| matches!(told, Told::Modify(..)))
        .collect();
    let fd = host.socket(host.connections()[0]).unwrap().as_raw_fd();
    assert_eq!(changes, [Told::Modify(fd, FdInterest::READABLE, BOTH)]);
}

#[test]
fn seed_10_7_a_host_with_a_poll_of_its_own_asks_no_loop_for_anything() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    assert_eq!(peer.ask_of(&mut host, "alone"), "alone");
    let id = host.connections()[0];
    let fd = host.socket(id).unwrap().as_raw_fd();
    let ready = FdReadiness {
        readable: true,
        ..FdReadiness::default()
    };
    assert!(!host.service_fd(fd, ready), "its own poll tells of it");
    assert_eq!(peer.ask_of(&mut host, "still"), "still");
}

#[test]
fn seed_1_11_each_service_thread_is_driven_by_a_loop_of_the_program() {
    let seen = Arc::new(Seen::default());
    let loops = [Watched::default(), Watched::default()];
    let sinks = loops.clone();
    let config = HostConfig {
        listen: vec![anywhere().into()],
        threads: 2,
        ..HostConfig::default()
    };
    let mut host = builder(&seen)
        .config(config)
        .fd_sink(move |number| sinks[number].clone())
        .build()
        .unwrap();
    let address = host.local_addrs()[0];
    let driven: Vec<_> = host
        .workers()
        .unwrap()
        .into_iter()
        .map(|worker| {
            let watched = loops[worker.number()].clone();
            thread::spawn(move || {
                let mut thread = worker.start().unwrap();
                let mut most = 0;
                while thread.turn(Some(Duration::ZERO)).unwrap() == Turned::Running {
                    // None of the descriptors is another thread's.
                    watched.round(&mut thread, DEADLINE);
                    most = most.max(thread.connections().len());
                }
                drop(thread);
                assert_eq!(watched.count(), 0);
                most
            })
        })
        .collect();
    let mut peers = [(); 16].map(|()| Peer::open(address, "/probe", &mut elsewhere));
    for (number, peer) in peers.iter_mut().enumerate() {
        let text = number.to_string();
        assert_eq!(peer.ask(&text, &mut elsewhere), text);
    }
    drop(host);
    let served: Vec<usize> = driven.into_iter().map(|it| it.join().unwrap()).collect();
    assert_eq!(served.iter().sum::<usize>(), 16);
    assert_eq!(seen.closed.lock().unwrap().len(), 16);
}

#[test]
fn a_wake_and_what_was_posted_reach_a_host_in_a_foreign_loop() {
    let seen = Arc::new(Seen::default());
    let (watched, mut host) = hosted(&seen);
    let address = host.local_addrs()[0];
    let _peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    watched.rest(&mut host);
    let (id, handle) = (host.connections()[0], host.handle());
    thread::spawn(move || handle.close(id, 3000, "posted").unwrap());
    let told = watched.poll(DEADLINE);
    assert_eq!(told.len(), 1, "the waker alone: {told:?}");
    assert!(host.service_fd(told[0].0, told[0].1));
    assert_eq!(host.timeout(), Some(Duration::ZERO));
    host.turn(Some(Duration::ZERO)).unwrap();
    let closes = watched.told().len();
    watched.rest(&mut host);
    assert_eq!(watched.told().len(), closes);
}

#[test]
fn a_peer_that_hangs_up_while_nothing_is_read_does_not_keep_a_loop_from_resting() {
    let seen = Arc::new(Seen::default());
    let (watched, mut host) = hosted(&seen);
    let (ours, theirs) = UnixStream::pair().unwrap();
    host.adopt(ours).unwrap();
    let mut request = crate::peer::request("/probe").into_bytes();
    // A text `pause`, and one behind it that waits.
    request.extend(b"\x81\x85\0\0\0\0pause");
    io::Write::write_all(&mut &theirs, &request).unwrap();
    watched.rest(&mut host);
    io::Write::write_all(&mut &theirs, b"\x81\x80\0\0\0\0").unwrap();
    watched.rest(&mut host);
    // Closed with something unread it would be reset.
    theirs.set_nonblocking(true).unwrap();
    while (&theirs).read(&mut [0; 4096]).is_ok() {}
    drop(theirs);
    // A unix socket tells of it for ever, whatever it is watched for.
    watched.rest(&mut host);
    assert_eq!(
        host.connections().len(),
        1,
        "it may have sent something before"
    );
    drop(host);
    assert_eq!(watched.count(), 0);
    assert_eq!(seen.closed.lock().unwrap().len(), 1);
}

#[test]
fn a_client_that_ended_its_side_does_not_keep_a_loop_from_resting() {
    let (watched, mut host) = hosted(&Arc::default());
    let address = host.local_addrs()[0];
    let mut peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    peer.send(1, b"flood");
    watched.rest(&mut host);
    peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
    watched.rest(&mut host);
}

#[test]
fn a_sink_that_cannot_watch_a_connection_has_it_refused_and_others_go_on() {
    /// Refuses the third descriptor.
    struct Narrow(Watched, usize);

    impl FdSink for Narrow {
        fn add(&mut self, fd: BorrowedFd<'_>, interest: FdInterest) -> io::Result<()> {
            self.1 += 1;
            match self.1 {
                3 => Err(io::ErrorKind::OutOfMemory.into()),
                _ => self.0.add(fd, interest),
            }
        }

        fn modify(
            &mut self,
            fd: BorrowedFd<'_>,
            old: FdInterest,
            new: FdInterest,
        ) -> io::Result<()> {
            self.0.modify(fd, old, new)
        }

        fn remove(&mut self, fd: BorrowedFd<'_>) {
            self.0.remove(fd);
        }
    }

    let watched = Watched::default();
    let sink = watched.clone();
    let host = builder(&Arc::default()).fd_sink(move |_| Narrow(sink.clone(), 0));
    let mut host = host.build().unwrap();
    let address: SocketAddr = host.local_addrs()[0];
    let mut refused = TcpStream::connect(address).unwrap();
    watched.rest(&mut host);
    assert_eq!(refused.read(&mut [0]).unwrap(), 0, "it was closed");
    let mut peer = Peer::open(address, "/probe", &mut || {
        watched.round(&mut host, soon());
    });
    let answer = peer.ask("next", &mut || {
        watched.round(&mut host, soon());
    });
    assert_eq!(answer, "next");
}

#[test]
fn nothing_else_runs_a_host_whose_sockets_a_loop_watches() {
    let is_refused = |result| assert!(matches!(result, Err(HostError::ForeignLoop)), "{result:?}");
    is_refused(hosted(&Arc::default()).1.run());
    is_refused(hosted(&Arc::default()).1.spawn().map(drop));
    is_refused(hosted(&Arc::default()).1.shutdown(DEADLINE));
    let (_, mut host) = hosted(&Arc::default());
    for worker in host.workers().unwrap() {
        is_refused(worker.start().unwrap().run());
    }
    // And its address is free again.
    let address = hosted(&Arc::default()).1.local_addrs()[0];
    eventually("the address is free", || TcpListener::bind(address).is_ok());
}
