//! What a loop of the program sees of a host: one descriptor, one deadline, and sockets.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    time::Duration,
};

use hotsocket::{ConnectionId, Host, HostConfig};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::getpeername,
};

use crate::{
    anywhere, builder, eventually,
    peer::{CLOSE, Peer, turn},
    probe,
};

/// Whether the host has something to do within this time.
fn is_ready(host: &Host, within: Duration) -> bool {
    let within = Timespec::try_from(within).unwrap();
    let mut watched = [PollFd::new(host, PollFlags::IN)];
    poll(&mut watched, Some(&within)).unwrap() == 1
}

#[test]
fn seed_1_7_an_idle_host_has_no_deadline_and_its_descriptor_stays_quiet() {
    let mut config = HostConfig {
        listen: vec![anywhere().into()],
        ..HostConfig::default()
    };
    config.limits.idle_ping_ms = 0;
    let host = Host::builder().config(config).plugin(probe::plugin());
    let mut host = host.build().unwrap();
    let mut peer = Peer::of(&mut host, "/probe");
    assert_eq!(peer.ask_of(&mut host, "settled"), "settled");
    while host.timeout() == Some(Duration::ZERO) {
        host.turn(Some(Duration::ZERO)).unwrap();
    }
    // A timer of the opening handshake may be left, which finds out once that it is not needed.
    eventually("no timer is left", || {
        if host.timeout().is_some() {
            host.turn(None).unwrap();
        }
        host.timeout().is_none()
    });
    assert_eq!(host.next_deadline(), None);
    assert!(!is_ready(&host, Duration::from_millis(300)));
    // And wakes for a message.
    peer.send(1, b"again");
    assert!(is_ready(&host, Duration::from_secs(10)));
    assert_eq!(peer.frame(&mut || turn(&mut host)), (1, b"again".to_vec()));
}

#[test]
fn seed_2_10_the_socket_under_a_connection_is_shown_to_the_program() {
    let mut host = builder(&Arc::default()).build().unwrap();
    let mut peers = [(); 2].map(|()| Peer::of(&mut host, "/probe"));
    let ids = peers.each_mut().map(|peer| {
        let number = peer.ask_of(&mut host, "id").parse().unwrap();
        ConnectionId::from_number(number).unwrap()
    });
    assert_eq!(host.connections().len(), 2);
    for (peer, id) in peers.iter().zip(ids) {
        let socket = host.socket(id).expect("it is open");
        let other = SocketAddr::try_from(getpeername(socket).unwrap().unwrap()).unwrap();
        assert_eq!(other, peer.stream.local_addr().unwrap());
    }
    let [mut first, _second] = peers;
    first.send(CLOSE, &[]);
    assert_eq!(first.frame(&mut || turn(&mut host)).0, CLOSE);
    drop(first);
    eventually("the connection has ended", || {
        turn(&mut host);
        host.socket(ids[0]).is_none()
    });
    assert_eq!(host.connections(), [ids[1]]);
    assert!(host.as_fd().as_raw_fd() >= 0);
}
