//! Where the host listens, and that it can be changed while it runs.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::process::Signal;
use serde_json::json;

use crate::support::plugins::echo;
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, Frame, RawPeer, Server, Setup};

const ANY: &str = "127.0.0.1:0";

fn config(listen: &[&str]) -> Config {
    Config::new().key("listen", json!(listen))
}

/// A host that listens where its config says, on so many addresses.
fn started(listen: &[&str]) -> Server {
    let setup = Setup::new().plugin(&echo()).config(&config(listen));
    setup.listens_by_config(listen.len()).start()
}

fn reload(server: &Server, config: &Config) {
    // Whole from the first moment: the host may still read it for the signal before, and an empty file is a config.
    let new = server.config_file().with_extension("new");
    fs::write(&new, config.text()).expect("ours");
    fs::rename(new, server.config_file()).expect("ours");
    server.signal(Signal::HUP);
}

/// Where the line number `nth` of standard output says that the host listens.
fn listening(server: &Server, nth: usize) -> SocketAddr {
    let address = server.output().wait_after(nth, DEADLINE, |line| {
        line.strip_prefix("listening on ws://").map(str::to_owned)
    });
    let address = address.expect("the host says where it listens");
    address.parse().expect("an address")
}

fn assert_echoes(address: SocketAddr) {
    assert_eq!(RawPeer::open(address, "/echo").ask("hello"), "hello");
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn seed_2_1_a_port_is_the_one_that_is_asked_for_or_a_free_one_that_is_told() {
    // The port is ours at one address, so nobody is at it at the other, and it can be asked for there.
    let own = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = own.local_addr().expect("it is bound").port();
    let asked = format!("127.0.0.9:{port}");
    let server = started(&[&asked, ANY, ANY]);
    let [first, free, another] = server.addresses() else {
        panic!("three addresses");
    };
    assert_eq!(first.to_string(), asked);
    assert!(free.port() != 0 && another.port() != 0 && free != another);
    for address in [first, free, another] {
        assert_echoes(*address);
    }
}

#[test]
fn hup_opens_new_addresses_and_those_that_stay_are_not_touched() {
    let server = started(&[ANY]);
    let mut old = server.open("/echo");
    assert_eq!(old.ask("before"), "before");
    reload(&server, &config(&[ANY, ANY]));
    let new = listening(&server, 1);
    assert_ne!(new, server.address());
    for _ in 0..8 {
        assert_echoes(new);
        assert_echoes(server.address());
    }
    assert_eq!(old.ask("after"), "after");
    assert_eq!(
        server.output().since(0).len(),
        2,
        "told of the new one only"
    );
}

#[test]
fn hup_gives_up_addresses_and_their_sessions_go_on() {
    let server = started(&[ANY, ANY]);
    let [stays, goes] = *server.addresses() else {
        panic!("two addresses")
    };
    let mut session = RawPeer::open(goes, "/echo");
    assert_eq!(session.ask("before"), "before");
    let mark = server.log().mark();
    reload(&server, &config(&[&stays.to_string()]));
    server.await_log(mark, |line| {
        line.mentions(&format!("no longer listening on {goes}"))
    });
    eventually("it is refused there", DEADLINE, || is_refused(goes));
    assert_eq!(session.ask("after"), "after");
    assert_echoes(stays);
}

#[test]
fn no_peer_is_refused_at_an_address_that_stays() {
    let server = started(&[ANY]);
    let stays = server.address();
    for round in 0..10 {
        let more = [ANY; 3];
        reload(&server, &config(&more[..1 + round % 3]));
        for _ in 0..20 {
            assert_echoes(stays);
        }
    }
}

#[test]
fn an_address_that_cannot_be_bound_refuses_the_whole_config() {
    let taken = TcpListener::bind(ANY).expect("a free port");
    let taken = taken.local_addr().map(|address| (taken, address));
    let (_held, taken) = taken.expect("an address");
    let server = started(&[ANY]);
    let mark = server.log().mark();
    let new = config(&[ANY, ANY, &taken.to_string()]).limit("message_bytes", 10);
    reload(&server, &new);
    let line = server.await_log(mark, |line| line.is_error());
    assert!(
        line.mentions(&format!("cannot listen on {taken}")),
        "{line:?}"
    );
    assert!(line.mentions("the config is not applied"), "{line:?}");
    let mut peer = server.open("/echo");
    assert_eq!(peer.ask("longer than ten octets"), "longer than ten octets");
    assert_eq!(
        server.output().since(0).len(),
        1,
        "nothing else is listened on"
    );
    // What was wrong is mended: the same host takes it.
    reload(&server, &config(&[ANY, ANY]));
    assert_echoes(listening(&server, 1));
}

#[test]
fn a_port_that_is_given_up_is_free_for_others_while_its_sessions_go_on() {
    let server = started(&[ANY, ANY]);
    let goes = server.addresses()[1];
    let mut session = RawPeer::open(goes, "/echo");
    reload(&server, &config(&[ANY]));
    eventually("it is refused there", DEADLINE, || is_refused(goes));
    let other = started(&[&goes.to_string()]);
    assert_eq!(other.address(), goes);
    assert_echoes(goes);
    assert_eq!(session.ask("still here"), "still here");
}

#[test]
fn seed_2_2_a_host_that_listens_nowhere_says_so_and_can_be_given_an_address() {
    let server = started(&[]);
    server.await_log(0, |line| line.mentions("nothing is listened on"));
    reload(&server, &config(&[ANY]));
    let address = listening(&server, 0);
    assert_echoes(address);
    let mark = server.log().mark();
    reload(&server, &config(&[]));
    server.await_log(mark, |line| line.mentions("nothing is listened on"));
    eventually("it is refused", DEADLINE, || is_refused(address));
}

#[test]
fn a_host_that_listens_nowhere_ends_when_it_is_told_to() {
    let mut server = started(&[]);
    server.await_log(0, |line| line.mentions("nothing is listened on"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait_exit().code(), Some(0));
}

#[test]
fn flags_stand_above_a_changed_config() {
    let setup = Setup::new().plugin(&echo()).config(&config(&[ANY]));
    let server = setup.start();
    let mark = server.log().mark();
    reload(&server, &config(&[ANY, ANY]).limit("message_bytes", 10));
    server.await_log(mark, |line| line.mentions("the config is applied"));
    assert_echoes(server.address());
    assert_eq!(server.output().since(0).len(), 1);
}

#[test]
fn a_host_that_drains_takes_no_other_config() {
    let draining = |listen: &[&str]| config(listen).limit("drain_host_ms", 600_000);
    let setup = Setup::new().plugin(&echo()).config(&draining(&[ANY]));
    let mut server = setup.listens_by_config(1).start();
    let mut session = server.open("/echo");
    let mark = server.log().mark();
    server.signal(Signal::TERM);
    session.expect_close(1001);
    reload(&server, &draining(&[ANY, ANY]));
    server.await_log(mark, |line| line.mentions("config is"));
    let told = server.logged(mark, |line| line.mentions("the host is ending"));
    assert_eq!(told.len(), 1);
    let lines = server.output().since(0).len();
    assert_eq!(lines, 1, "nobody is told to connect elsewhere");
    session.frames(&[Frame::close(1001, "")]);
    assert!(server.wait_exit().success());
}
