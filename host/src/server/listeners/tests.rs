use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
};

use super::*;
use crate::net::unix_socket::UnixSettings;

fn address(text: &str) -> ListenerConfig {
    text.parse::<ListenAddress>().unwrap().into()
}

fn inet(listener: &ListenerConfig) -> SocketAddr {
    match &listener.address {
        ListenAddress::Inet(settings) => settings.address,
        other => panic!("{other}"),
    }
}

fn at(address: impl Into<SocketAddr>) -> ListenerConfig {
    ListenAddress::Inet(address.into().into()).into()
}

fn given_up(prepared: &PreparedListeners) -> Vec<ListenerConfig> {
    prepared
        .gone_addresses()
        .into_iter()
        .map(Into::into)
        .collect()
}

fn listening(listen: &[ListenerConfig]) -> (Listeners, Vec<ListenerConfig>, ListenChange) {
    let mut listeners = Listeners::new(2, None);
    let prepared = listeners.prepare(listen).unwrap();
    let addresses = prepared.news();
    let sockets = listeners.install(prepared);
    (listeners, addresses, sockets)
}

#[test]
fn an_address_that_is_not_ours_is_not_blamed_on_another_host() {
    let error = Listeners::new(1, None).prepare(&[address("192.0.2.1:1")]);
    assert_eq!(
        error.err().unwrap().to_string(),
        "cannot listen on 192.0.2.1:1; no network interface of this machine has it; choose another address with \
         --listen"
    );
}

#[test]
fn more_addresses_than_a_service_thread_can_watch_are_refused_before_any_is_bound() {
    let error = Listeners::new(1, None).prepare(&vec![address("127.0.0.1:0"); 16]);
    assert!(error.err().unwrap().to_string().contains("at most 15"));
}

#[test]
fn an_address_that_stays_keeps_its_sockets_and_the_port_that_the_system_chose() {
    let any = address("127.0.0.1:0");
    let (listeners, was, _sockets) = listening(&[any.clone(), any.clone()]);
    let prepared = listeners.prepare(std::slice::from_ref(&any)).unwrap();
    assert_eq!(prepared.news(), []);
    assert_eq!(given_up(&prepared), was[1..]);
    // Whoever writes the port down that was chosen means the same listener.
    let prepared = listeners.prepare(&[was[1].clone(), any]).unwrap();
    assert!(!prepared.is_change());
}

#[test]
fn when_one_cannot_be_bound_none_is() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = {
        let closed = TcpListener::bind("127.0.0.2:0").unwrap();
        at(closed.local_addr().unwrap())
    };
    let (listeners, was, _sockets) = listening(&[address("127.0.0.1:0")]);
    let taken_address = at(taken.local_addr().unwrap());
    let wanted = [was[0].clone(), free.clone(), taken_address];
    let error = listeners.prepare(&wanted).err().unwrap();
    assert!(matches!(error, StartError::Bind { address, .. } if address == wanted[2].address));
    assert!(
        TcpStream::connect(inet(&free)).is_err(),
        "nobody listens there"
    );
    assert!(
        TcpStream::connect(inet(&was[0])).is_ok(),
        "it is listened there"
    );
}

// Nothing else can overlap than all addresses; nobody is accepted there.
#[test]
fn one_address_of_a_port_can_take_the_place_of_all_of_them() {
    let (mut listeners, was, _sockets) = listening(&[address("0.0.0.0:0")]);
    let one = at(([127, 0, 0, 1], inet(&was[0]).port()));
    let prepared = listeners.prepare(std::slice::from_ref(&one)).unwrap();
    assert_eq!(prepared.news(), [one]);
    let _narrow = listeners.install(prepared);
    assert!(listeners.prepare(&was).is_ok(), "and all of them of one");
}

#[test]
fn a_port_is_shared_with_nobody_but_a_listener_that_is_given_up() {
    let (listeners, was, _sockets) = listening(&[address("0.0.0.0:0")]);
    let one = at(([127, 0, 0, 1], inet(&was[0]).port()));
    assert!(listeners.prepare(&[was[0].clone(), one]).is_err());
}

#[test]
fn another_keepalive_takes_other_sockets_at_the_same_address() {
    let (mut listeners, was, _sockets) = listening(&[address("127.0.0.1:0")]);
    let other = ListenerConfig::from(ListenAddress::Inet(InetSettings {
        keepalive_s: 7,
        ..inet(&was[0]).into()
    }));
    let prepared = listeners.prepare(std::slice::from_ref(&other)).unwrap();
    assert_eq!(given_up(&prepared), was);
    assert_eq!(prepared.news(), [other]);
    listeners.install(prepared);
}

#[test]
fn a_unix_socket_that_stays_gets_another_mode_and_one_that_is_given_up_leaves_no_file() {
    let directory = tempfile::TempDir::new().unwrap();
    let settings = |mode| UnixSettings {
        path: directory.path().join("a.sock"),
        mode,
        owner: None,
        group: None,
    };
    let (mut listeners, _, _sockets) = listening(&[ListenAddress::Unix(settings(0o600)).into()]);
    let mode = |expected| {
        let found = std::fs::metadata(directory.path().join("a.sock")).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, expected);
    };
    mode(0o600);
    let other = [ListenAddress::Unix(settings(0o666)).into()];
    let prepared = listeners.prepare(&other).unwrap();
    assert!(!prepared.is_change());
    mode(0o600);
    listeners.install(prepared);
    mode(0o666);
    let prepared = listeners.prepare(&[]).unwrap();
    listeners.install(prepared);
    assert!(!directory.path().join("a.sock").exists());
}
