//! Servers and proxies that refuse, stall or lie, at each stage.

use super::*;
use crate::{
    connection::opening::{OpeningCause, Stage},
    net::test_peer::turn_for,
    wire::client_handshake::Unaccepted,
};

/// What is told when a server says this, or ends after it.
fn failure_of(says: &[u8], ends: bool) -> OpeningError {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, at(server.address));
    let (mut peer, _) = server.asked(&mut desk);
    peer.send(says);
    if ends {
        peer.finish();
    }
    let error = desk.failure();
    desk.is_left_empty();
    desk.until("end of the transport", |_| {
        peer.read();
        peer.ended
    });
    error
}

#[test]
fn a_server_that_says_nothing_or_nonsense_is_told_with_its_stage() {
    let error = failure_of(b"", true);
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Handshake, OpeningCause::Ended)
    );
    let error = failure_of(b"HTTP/1.1 101 Swi", true);
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Handshake, OpeningCause::Ended)
    );
    let error = failure_of(b"SSH-2.0-OpenSSH\r\n\r\n", false);
    assert!(matches!(error.cause, OpeningCause::Head(_)), "{error}");
    let error = failure_of(b"HTTP/1.1 101 Ok\r\nConnection: Upgrade\r\n\r\n", false);
    assert!(
        matches!(error.cause, OpeningCause::Unaccepted(_)),
        "{error}"
    );
}

#[test]
fn a_refusal_is_told_with_its_fields_and_the_start_of_its_content() {
    let says = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 6\r\n\r\nno way";
    let error = failure_of(says, false);
    assert_eq!(error.stage, Stage::Status);
    assert_eq!(
        error.cause,
        OpeningCause::Unaccepted(Unaccepted::Status(401))
    );
    let answer = error.answer.unwrap();
    assert_eq!((answer.status, &*answer.content), (401, &b"no way"[..]));
    assert_eq!(answer.fields.iter().next().unwrap().1, b"Basic realm=\"x\"");
}

#[test]
fn a_server_that_resets_is_told_with_what_the_socket_said() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.dial(1, at(server.address));
    let (peer, _) = server.asked(&mut desk);
    peer.reset();
    let error = desk.failure();
    assert_eq!(error.stage, Stage::Handshake);
    assert!(error.to_string().contains("reset"), "{error}");
}

#[test]
fn silence_ends_with_the_time_for_all_of_it_at_whatever_stage() {
    let mut desk = Desk::limited(|limits| limits.dial_ms = 50);
    let server = Server::new();
    desk.dial(1, at(server.address));
    let (mut peer, _) = server.asked(&mut desk);
    // Interim responses do not make it longer.
    peer.send(b"HTTP/1.1 102 Processing\r\n\r\n");
    let error = desk.failure();
    assert_eq!(
        (error.stage, &error.cause),
        (Stage::Handshake, &OpeningCause::Late)
    );
    assert!(error.to_string().contains("limits.dial_ms"), "{error}");

    let mut dial = to("ws://far.example/");
    dial.opening.proxy = Some(Proxy::parse(&server.address.to_string()).unwrap());
    dial.within_ms = Some(30);
    desk.dial(2, dial);
    let error = desk.failure();
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Proxy, OpeningCause::Late)
    );
    desk.is_left_empty();
}

#[test]
fn a_resolver_that_does_not_answer_holds_up_one_that_asks_and_nobody_else() {
    let stuck = |limits: &Limits| {
        Resolver::with(limits, |_, _| {
            loop {
                std::thread::park();
            }
        })
    };
    let mut desk = Desk::with(|limits| limits.resolve_jobs_count = 1, stuck);
    let server = Server::new();
    let mut dial = to("ws://stuck.example/");
    dial.within_ms = Some(100);
    desk.dial(1, dial);
    desk.dial(2, at(server.address));
    server.open(&mut desk);
    desk.told(2, "opened");
    let error = desk.failure();
    assert_eq!(
        (error.stage, error.cause),
        (Stage::Resolve, OpeningCause::Late)
    );
}

#[test]
fn a_name_without_an_address_is_told_as_such() {
    let none = |limits: &Limits| Resolver::with(limits, |_, _| Ok(Vec::new()));
    let mut desk = Desk::with(|_| {}, none);
    desk.dial(1, to("ws://nobody.example/"));
    let error = desk.failure();
    let told = "looking up the host: `nobody.example` has no address";
    assert_eq!((error.stage, &*error.to_string()), (Stage::Resolve, told));
}

#[test]
fn a_proxy_that_refuses_is_told_apart_from_the_server() {
    for (says, cause) in [
        (
            &b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"[..],
            OpeningCause::ProxyCredentials,
        ),
        (
            b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            OpeningCause::ProxyStatus(403),
        ),
        (
            b"HTTP/1.1 200 Ok\r\n\r\nHTTP/1.1 101 Early\r\n\r\n",
            OpeningCause::EarlyBytes,
        ),
    ] {
        let (mut desk, proxy) = (Desk::new(), Server::new());
        let mut dial = to("ws://far.example/");
        dial.opening.proxy = Some(Proxy::parse(&proxy.address.to_string()).unwrap());
        desk.dial(1, dial);
        let (mut peer, _) = proxy.asked(&mut desk);
        peer.send(says);
        let error = desk.failure();
        assert_eq!((error.stage, error.cause), (Stage::Proxy, cause));
    }
}

#[test]
fn an_answer_that_the_caller_does_not_want_fails_with_its_reason() {
    let (mut desk, server) = (Desk::new(), Server::new());
    desk.event_loop.service.unwanted = Some("no subprotocol");
    desk.dial(1, at(server.address));
    let mut peer = server.open(&mut desk);
    let error = desk.failure();
    assert_eq!(error.cause, OpeningCause::Unwanted("no subprotocol".into()));
    assert_eq!(error.answer.unwrap().status, 101);
    assert_eq!(
        desk.event_loop.service.told(1),
        ["answered 101"],
        "and nothing was opened"
    );
    desk.until("end of the transport", |_| {
        peer.read();
        peer.ended
    });
}

#[test]
fn a_failure_is_told_once_however_long_the_loop_goes_on() {
    let mut desk = Desk::limited(|limits| limits.dial_ms = 20);
    let server = Server::new();
    for number in 1..=3 {
        desk.dial(number, at(server.address));
    }
    turn_for(&mut desk.event_loop, 100);
    let mut failed: Vec<_> = desk
        .event_loop
        .service
        .failed
        .iter()
        .map(|one| one.0)
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, [1, 2, 3]);
    desk.is_left_empty();
}

#[test]
fn a_unix_socket_that_is_not_there_is_told_with_its_path() {
    let mut desk = Desk::new();
    let mut dial = to("ws://somebody/");
    dial.target = Target::Unix("/nowhere/at-all".into());
    desk.dial(1, dial);
    let error = desk.failure();
    assert_eq!(error.stage, Stage::Connect);
    let told = error.to_string();
    assert!(
        told.contains("unix:/nowhere/at-all: No such file"),
        "{told}"
    );
    desk.is_left_empty();
}
