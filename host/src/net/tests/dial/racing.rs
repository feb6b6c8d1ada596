//! Several addresses, other targets, many at once, and ends before there is a session.

use super::*;
use crate::{
    connection::opening::{OpeningCause, Stage},
    net::dial::DialRefused,
};

/// A port where connections are neither taken nor refused: the queue of its listener is full.
struct Silence {
    address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl Silence {
    fn new(address: SocketAddr) -> Self {
        use socket2::{Domain, Socket, Type};
        let stream = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let listener = stream();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let waiting: Vec<_> = (0..8).map(|_| stream()).collect();
        for socket in &waiting {
            let _ = socket.connect(&address.into());
        }
        // The queue is full once the first of them are in it.
        await_sockets(address.port(), 1 + waiting.len());
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

fn to_all(addresses: &[SocketAddr]) -> Dial {
    let mut dial = to("ws://many.example/");
    dial.target = Target::Addresses(addresses.to_vec());
    dial
}

/// Where nobody listens.
fn closed_port() -> SocketAddr {
    Server::new().address
}

#[test]
fn where_ipv6_is_silent_ipv4_opens_after_the_named_time() {
    let silent = Silence::new("[::1]:0".parse().unwrap());
    let (mut desk, server) = (Desk::new(), Server::new());
    let began = Instant::now();
    desk.dial(1, to_all(&[server.address, silent.address]));
    server.open(&mut desk);
    desk.told(1, "opened");
    let took = began.elapsed().as_millis();
    assert!((249..5_000).contains(&took), "{took} ms");
}

#[test]
fn an_address_that_refuses_makes_room_for_the_next_at_once() {
    let (mut desk, server) = (
        Desk::limited(|limits| limits.dial_next_ms = 60_000),
        Server::new(),
    );
    let refusing = closed_port();
    desk.dial(1, to_all(&[refusing, server.address]));
    server.open(&mut desk);
    desk.told(1, "opened");
}

#[test]
fn the_first_that_is_connected_is_the_one_and_the_others_are_closed() {
    let silent = Silence::new(([127, 0, 0, 1], 0).into());
    let (mut desk, server) = (
        Desk::limited(|limits| limits.dial_next_ms = 1),
        Server::new(),
    );
    let port = silent.address.port();
    let before = sockets(port);
    let id = desk.dial(1, to_all(&[silent.address, silent.address, server.address]));
    let peer = server.open(&mut desk);
    desk.told(1, "opened");
    await_sockets(port, before);
    // Its listener, and both ends of one connection.
    await_sockets(server.address.port(), 3);
    desk.say(id, "still there");
    drop(peer);
    desk.told(1, "closed 1006");
    desk.is_left_empty();
}

#[test]
fn where_nobody_answers_the_time_ends_it_and_says_at_which_stage() {
    let silent = Silence::new(([127, 0, 0, 1], 0).into());
    let mut desk = Desk::limited(|limits| limits.dial_ms = 50);
    desk.dial(1, to_all(&[silent.address]));
    let error = desk.failure();
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Connect, OpeningCause::Late)
    );
    desk.is_left_empty();
}

#[test]
fn without_an_address_nothing_is_tried() {
    let mut desk = Desk::new();
    desk.dial(1, to_all(&[]));
    assert_eq!(
        desk.failure().to_string(),
        "connecting: no address was given"
    );
}

#[test]
fn a_proxy_that_cannot_be_reached_is_told_apart_from_the_server() {
    let (mut desk, closed) = (Desk::new(), closed_port());
    let mut dial = to_all(&[closed]);
    dial.opening.proxy = Some(Proxy::parse(&closed.to_string()).unwrap());
    desk.dial(1, dial);
    let error = desk.failure();
    assert_eq!(error.stage, Stage::Proxy);
    assert!(error.may_pass());
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[test]
fn what_became_of_each_address_is_told() {
    let mut desk = Desk::new();
    let refusing = [closed_port(), closed_port()];
    desk.dial(1, to_all(&refusing));
    let error = desk.failure();
    assert_eq!(error.stage, Stage::Connect);
    assert!(error.may_pass());
    let told = error.to_string();
    assert!(told.starts_with("connecting: "), "{told}");
    for address in refusing {
        assert!(
            told.contains(&format!("{address}: Connection refused")),
            "{told}"
        );
    }
    desk.is_left_empty();
}

#[test]
fn while_it_connects_it_can_be_sent_elsewhere_with_its_id_and_session() {
    let silent = Silence::new(([127, 0, 0, 1], 0).into());
    let (mut desk, server) = (Desk::new(), Server::new());
    let id = desk.dial(1, at(silent.address));
    for _ in 0..3 {
        turn(&mut desk.event_loop, 1);
    }
    assert!(desk.event_loop.io.redial(id, Box::new(at(server.address))));
    // Also when the server was asked already.
    let (first, _) = server.asked(&mut desk);
    let mut elsewhere = at(server.address);
    elsewhere.opening.url = Url::parse(&format!("ws://{}/other", server.address)).unwrap();
    assert!(desk.event_loop.io.redial(id, Box::new(elsewhere)));
    let (mut peer, head) = server.asked(&mut desk);
    assert!(head.starts_with("GET /other "), "{head}");
    peer.send(ACCEPTED);
    desk.told(1, "opened");
    assert_eq!(desk.event_loop.service.told(1), ["answered 101", "opened"]);
    desk.say(id, "x");
    assert!(
        !desk.event_loop.io.redial(id, Box::new(at(server.address))),
        "it is open"
    );
    drop(first);
}

#[test]
fn a_lookup_that_comes_too_late_changes_nothing() {
    let (mut desk, server) = (Desk::new(), Server::new());
    let id = desk.dial(1, to("ws://localhost:1/"));
    assert!(desk.event_loop.io.redial(id, Box::new(at(server.address))));
    let wrong = Ok(vec![closed_port()]);
    desk.event_loop.io.resolved(id, 0, wrong);
    server.open(&mut desk);
    desk.told(1, "opened");
}

#[test]
fn a_drain_gives_up_what_is_dialled_and_tells_it_once() {
    let silent = Silence::new(([127, 0, 0, 1], 0).into());
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, at(silent.address));
    desk.dial(2, at(server.address));
    let (_peer, _) = server.asked(&mut desk);
    desk.event_loop.io.drain();
    desk.is_left_empty();
    let mut failed: Vec<_> = desk.event_loop.service.failed.iter().collect();
    failed.sort_by_key(|(number, _)| *number);
    assert_eq!([failed[0].0, failed[1].0, failed.len() as u32], [1, 2, 2]);
    assert_eq!(failed[0].1.stage, Stage::Connect);
    assert_eq!(failed[1].1.stage, Stage::Handshake);
    assert!(!failed[0].1.may_pass(), "there is nobody to try again");
    let (role, number) = (Role::Client, 3);
    let refused = desk
        .event_loop
        .io
        .dial(Box::new(at(server.address)), Call { number, role });
    let (why, call) = refused.unwrap_err();
    assert_eq!((why, call.number), (DialRefused::Draining, 3));
}

#[test]
fn one_that_is_hung_up_before_it_is_open_is_told_once() {
    let (mut desk, server) = (Desk::new(), Server::new());
    for (number, turns) in [(1, 0), (2, 1), (3, 20)] {
        let id = desk.dial(number, at(server.address));
        for _ in 0..turns {
            turn(&mut desk.event_loop, 1);
        }
        desk.event_loop
            .io
            .hang_up(id, ClosedBy::Protocol, "changed my mind");
        let error = desk.failure();
        assert_eq!(
            error.cause,
            OpeningCause::GivenUp("changed my mind".to_owned())
        );
    }
    desk.is_left_empty();
    assert_eq!(desk.event_loop.service.failed, []);
}

#[test]
fn connections_that_are_dialled_count_as_all_others() {
    let (mut desk, server) = (
        Desk::limited(|limits| limits.max_connections = 2),
        Server::new(),
    );
    desk.dial(1, at(server.address));
    desk.dial(2, at(server.address));
    let (role, number) = (Role::Client, 3);
    let call = Call { number, role };
    let refused = desk.event_loop.io.dial(Box::new(at(server.address)), call);
    let (why, call) = refused.unwrap_err();
    assert_eq!((why, call.number), (DialRefused::TooMany, 3));
}

#[test]
fn a_thousand_are_dialled_at_once_and_no_descriptor_is_left() {
    const COUNT: u32 = 1000;
    let mut desk = Desk::limited(|limits| limits.close_ms = 5);
    let refusing = closed_port();
    let ids: Vec<_> = (1..=COUNT)
        .map(|number| match number % 2 {
            0 => desk.dial(number, at(refusing)),
            _ => desk.dial(number, at(desk.address)),
        })
        .collect();
    desk.until("all of them", |event_loop| {
        let service = &event_loop.service;
        let opened = service.log.iter().filter(|(_, what)| what == "opened");
        opened.count() == 500 && service.failed.len() == 500
    });
    assert!(
        desk.event_loop
            .service
            .failed
            .iter()
            .all(|(number, _)| number % 2 == 0)
    );
    for id in ids {
        desk.event_loop
            .io
            .with(id, |_, port| port.close(ClosedBy::Protocol, 1000, ""));
    }
    desk.is_left_empty();
    // Its listener.
    await_sockets(desk.address.port(), 1);
    await_sockets(refusing.port(), 0);
}

#[test]
fn a_loop_that_ends_tells_what_it_had_dialled() {
    let silent = Silence::new(([127, 0, 0, 1], 0).into());
    let before = sockets(silent.address.port());
    let mut desk = Desk::new();
    desk.dial(1, at(silent.address));
    turn(&mut desk.event_loop, 1);
    await_sockets(silent.address.port(), before + 1);
    desk.event_loop.io.stop();
    turn(&mut desk.event_loop, 1);
    assert_eq!(desk.event_loop.service.failed.len(), 1);
    await_sockets(silent.address.port(), before);
}

/// A number that follows from the one before; its bits look like chance.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn whatever_becomes_of_them_each_session_is_told_its_end_once() {
    let silent = Silence::new(([127, 0, 0, 1], 0).into());
    let mute = Server::new();
    for seed in 1..=20_u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
        let mut desk = Desk::limited(|limits| {
            limits.dial_ms = 30;
            limits.dial_next_ms = 2;
            limits.close_ms = 2;
        });
        let all = [desk.address, silent.address, mute.address, closed_port()];
        let any = |state: &mut u64| {
            let count = 1 + next(state) as usize % 3;
            let some: Vec<_> = (0..count).map(|_| all[next(state) as usize % 4]).collect();
            to_all(&some)
        };
        let mut ids = Vec::new();
        for number in 1..=30 {
            ids.push(desk.dial(number, any(&mut state)));
            let one = ids[next(&mut state) as usize % ids.len()];
            let io = &mut desk.event_loop.io;
            match next(&mut state) % 8 {
                0 => io.hang_up(one, ClosedBy::Protocol, "enough"),
                1 => drop(io.redial(one, Box::new(any(&mut state)))),
                2 => drop(io.with(one, |_, port| port.close(ClosedBy::Protocol, 1000, ""))),
                3 => drop(io.with(one, |_, port| port.hang_up())),
                _ => drop(turn(&mut desk.event_loop, 1)),
            }
        }
        desk.until("all told", |event_loop| {
            for id in &ids {
                event_loop
                    .io
                    .with(*id, |_, port| port.close(ClosedBy::Protocol, 1000, ""));
            }
            event_loop.io.connections() == 0
        });
        desk.is_left_empty();
        let service = &desk.event_loop.service;
        for number in 1..=30 {
            let failed = service.failed.iter().filter(|one| one.0 == number).count();
            let told = service.told(number);
            let opened = told.iter().filter(|what| **what == "opened").count();
            let closed = told
                .iter()
                .filter(|what| what.starts_with("closed"))
                .count();
            assert_eq!(
                (opened, failed + closed),
                (closed, 1),
                "seed {seed}: {number} {told:?}"
            );
        }
    }
}
