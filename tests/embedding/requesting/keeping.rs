//! Connections that are kept for the next request, and what happens when they are gone.

use hotsocket::{
    HttpRequest, RequestCause, RequestStage, connection::client_exchange::ExchangeError,
};

use super::{Peer, Server, ask, client, content, received};
use crate::DEADLINE;

#[test]
fn seed_7_12_several_requests_follow_each_other_on_one_connection() {
    let (server, host) = (Server::new(), client(|_| {}));
    let first = ask(&host.handle(), server.get("/1"));
    let mut peer = server.accept();
    for number in 1..=6 {
        let answer = match number {
            1 => None,
            _ => Some(ask(&host.handle(), server.get(&format!("/{number}")))),
        };
        let head = peer.head();
        let begin = format!("GET /{number} HTTP/1.1\r\nHost: 127.0.0.1:");
        assert!(head.starts_with(&begin), "{head}");
        // Each framing lets another request follow.
        match number {
            1 => peer.answer("one"),
            2 => peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"),
            3 => peer.say("HTTP/1.1 204 No Content\r\n\r\n"),
            4 => peer.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nfour"),
            _ => peer.answer("more"),
        }
        let told = content(answer.as_ref().unwrap_or(&first));
        assert_eq!(told, ["one", "two", "", "four", "more", "more"][number - 1]);
    }
    assert!(!server.is_wanted(), "one connection was enough");
    host.shutdown(DEADLINE).unwrap();
    peer.expect_end();
}

#[test]
fn what_a_server_does_not_keep_open_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        // Bytes behind it belong to no answer that was asked for.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
    ] {
        let (server, host) = (Server::new(), client(|_| {}));
        for _ in 0..2 {
            let asked = ask(&host.handle(), server.get("/"));
            let mut peer = server.accept();
            peer.head();
            peer.say(answer);
            assert_eq!(content(&asked), "ok");
            peer.expect_end();
        }
        host.shutdown(DEADLINE).unwrap();
    }
}

/// Has a request answered, so that its connection is kept.
fn used(server: &Server, host: &hotsocket::HostThread) -> Peer {
    let asked = ask(&host.handle(), server.get("/first"));
    let mut peer = server.accept();
    peer.head();
    peer.answer("first");
    assert_eq!(content(&asked), "first");
    peer
}

#[test]
fn a_request_that_a_kept_connection_did_not_answer_is_sent_once_more_if_it_may_be() {
    let (server, host) = (Server::new(), client(|_| {}));
    let mut old = used(&server, &host);
    let asked = ask(&host.handle(), server.get("/second"));
    old.head();
    drop(old);
    let mut new = server.accept();
    assert!(new.head().starts_with("GET /second "));
    new.answer("second");
    assert_eq!(content(&asked), "second");

    // Once: nobody can say what became of it.
    let post = HttpRequest::post(&server.url("/third"), *b"abc").unwrap();
    let asked = ask(&host.handle(), post);
    new.head();
    new.body(3);
    drop(new);
    let error = received(&asked).unwrap_err();
    assert_eq!(error.stage, RequestStage::Request);
    assert_eq!(error.cause, RequestCause::Exchange(ExchangeError::NoAnswer));
    assert!(error.may_pass());
    assert!(!server.is_wanted());
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn an_answer_that_had_begun_is_not_asked_for_again() {
    let (server, host) = (Server::new(), client(|_| {}));
    let mut peer = used(&server, &host);
    let asked = ask(&host.handle(), server.get("/"));
    peer.head();
    peer.say("HTTP/1.1 2");
    drop(peer);
    let error = received(&asked).unwrap_err();
    assert_eq!(
        error.cause,
        RequestCause::Exchange(ExchangeError::Truncated)
    );
    assert!(!server.is_wanted());
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_kept_connection_is_closed_when_its_time_is_over_or_its_server_says_more() {
    let (server, host) = (
        Server::new(),
        client(|config| config.limits.client_idle_ms = 1),
    );
    let mut peer = used(&server, &host);
    peer.expect_end();
    host.shutdown(DEADLINE).unwrap();

    let host = client(|config| config.limits.client_idle_ms = 60_000);
    let mut peer = used(&server, &host);
    peer.say("HTTP/1.1 408 Request Timeout\r\n\r\n");
    peer.expect_end_somehow();
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn no_more_connections_are_kept_than_the_bound_says() {
    let host = client(|config| config.limits.client_idle_connections_count = 1);
    let (one, other) = (Server::new(), Server::new());
    let mut first = used(&one, &host);
    let second = used(&other, &host);
    first.expect_end();
    drop(second);
    host.shutdown(DEADLINE).unwrap();
    let host = client(|config| config.limits.client_idle_connections_count = 0);
    used(&one, &host).expect_end();
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn requests_at_the_same_time_have_a_connection_each_and_their_number_is_bounded() {
    let (server, host) = (
        Server::new(),
        client(|config| config.limits.client_connections_count = 3),
    );
    let asked: Vec<_> = (0..3)
        .map(|_| ask(&host.handle(), server.get("/")))
        .collect();
    let mut peers: Vec<_> = asked.iter().map(|_| server.accept()).collect();
    let refused = host.handle().request(
        server.get("/"),
        hotsocket::WholeResponse::gather(1, |_| panic!("it was refused")),
    );
    assert_eq!(refused.err(), Some(hotsocket::ConnectError::TooMany));
    for peer in &mut peers {
        peer.head();
        peer.answer("ok");
    }
    for asked in &asked {
        assert_eq!(content(asked), "ok");
    }
    host.shutdown(DEADLINE).unwrap();
    for peer in &mut peers {
        peer.expect_end();
    }
}
