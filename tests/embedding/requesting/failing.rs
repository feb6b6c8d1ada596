//! Requests without an answer: how far they came, told once.

use std::{net::TcpListener, sync::mpsc::channel};

use hotsocket::{HttpRequest, RequestCause, RequestError, RequestStage, WholeResponse};

use super::{Server, Told, ask, client, content, received, teller};
use crate::DEADLINE;

fn failed(asked: &super::Whole) -> RequestError {
    received(asked).unwrap_err()
}

#[test]
fn a_failure_says_how_far_the_request_came() {
    let (server, host) = (Server::new(), client(|_| {}));
    let handle = host.handle();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let error = failed(&ask(&handle, HttpRequest::get(&nobody).unwrap()));
    assert_eq!(error.stage, RequestStage::Connect);
    assert!(error.may_pass(), "{error}");
    let nowhere = HttpRequest::get("http://nowhere.invalid/").unwrap();
    let error = failed(&ask(&handle, nowhere));
    assert_eq!(error.stage, RequestStage::Resolve);

    for (said, stage, told) in [
        (
            "SSH-2.0-liar\r\n",
            RequestStage::Request,
            "waiting for the response: the server does not answer in HTTP/1.1",
        ),
        (
            "",
            RequestStage::Request,
            "waiting for the response: the server closed the connection without an answer",
        ),
        (
            "HTTP/1.1 101 Switching\r\n\r\n",
            RequestStage::Request,
            "waiting for the response: the server switches",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
            RequestStage::Request,
            "waiting for the response: the length",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            RequestStage::Response,
            "reading the response: the server closed",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            RequestStage::Response,
            "reading the response: the body of the response is broken",
        ),
    ] {
        let asked = ask(&handle, server.get("/"));
        let mut peer = server.accept();
        peer.head();
        peer.say(said);
        peer.end_sending();
        let error = failed(&asked);
        assert_eq!(error.stage, stage, "{said}: {error}");
        assert!(error.to_string().starts_with(told), "{said}: {error}");
        peer.expect_end_somehow();
    }
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_server_that_is_silent_is_not_waited_for_longer_than_the_limit_says() {
    let (server, host) = (Server::new(), client(|_| {}));
    let asked = ask(&host.handle(), server.get("/").answer_ms(20));
    let mut peer = server.accept();
    peer.head();
    let error = failed(&asked);
    assert_eq!(
        (error.stage, &error.cause),
        (RequestStage::Request, &RequestCause::Late)
    );
    assert!(
        error.to_string().contains("limits.client_answer_ms"),
        "{error}"
    );
    peer.expect_end_somehow();
    host.shutdown(DEADLINE).unwrap();

    let host = client(|config| config.limits.client_answer_ms = 20);
    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    peer.head();
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    let error = failed(&asked);
    assert_eq!(
        (error.stage, error.cause),
        (RequestStage::Response, RequestCause::Late)
    );
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn content_that_is_longer_than_was_asked_for_is_not_gathered() {
    let (server, host) = (Server::new(), client(|_| {}));
    let (done, asked) = channel();
    let handler = WholeResponse::gather(3, move |response| drop(done.send(response)));
    host.handle()
        .request(server.get("/").without_proxy(), handler)
        .unwrap();
    let mut peer = server.accept();
    peer.head();
    peer.answer("four");
    let error = failed(&asked);
    assert_eq!(error.cause, RequestCause::TooLong(3));
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_request_that_is_given_up_is_told_so_once_wherever_it_is() {
    let (server, host) = (
        Server::new(),
        client(|config| config.limits.client_dials_count = 1),
    );
    let (handler, sent) = teller(|_, _| {});
    let request = host
        .handle()
        .request(server.get("/").without_proxy(), handler)
        .unwrap();
    let mut peer = server.accept();
    peer.head();
    request.give_up();
    request.give_up();
    let Told::Failed(error) = received(&sent) else {
        panic!("it fails");
    };
    assert_eq!(
        error.cause,
        RequestCause::GivenUp("nobody wants it any more".to_owned())
    );
    assert!(!error.may_pass());
    peer.expect_end();
    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    peer.head();
    peer.answer("ok");
    assert_eq!(content(&asked), "ok");
    assert!(sent.recv().is_err(), "nothing is told after the end");

    let (handler, told) = teller(|call, told| {
        if let Told::Head(_) = told {
            call.give_up("seen enough");
        }
    });
    host.handle()
        .request(server.get("/").without_proxy(), handler)
        .unwrap();
    peer.head();
    peer.answer("more");
    assert_eq!(received(&told), Told::Head(200));
    let Told::Failed(error) = received(&told) else {
        panic!("it fails");
    };
    assert_eq!(error.to_string(), "reading the response: seen enough");
    assert!(told.recv().is_err());
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_host_that_goes_away_tells_every_request() {
    let (server, host) = (
        Server::new(),
        client(|config| config.limits.client_dials_count = 1),
    );
    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    peer.head();
    let handle = host.handle();
    host.shutdown(DEADLINE).unwrap();
    let error = failed(&asked);
    assert_eq!(
        error.cause,
        RequestCause::GivenUp("the host is going away".to_owned())
    );
    peer.expect_end();
    // Its service thread has ended: it is told, or was not taken.
    let (done, told) = channel();
    let handler = WholeResponse::gather(1, move |response| drop(done.send(response)));
    if handle.request(server.get("/"), handler).is_ok() {
        assert!(failed(&told).to_string().contains("the host has ended"));
    }
}

#[test]
fn a_handler_that_panics_ends_its_request_and_nothing_else() {
    let (server, host) = (Server::new(), client(|_| {}));
    for at in ["head", "content", "writable"] {
        let (handler, told) = teller(move |_, told| {
            let is_here = match told {
                Told::Head(_) => at == "head",
                Told::Content(_) => at == "content",
                _ => at == "writable",
            };
            assert!(!is_here, "as told");
        });
        let request = HttpRequest::new("PUT", &server.url("/")).unwrap();
        let request = match at {
            "writable" => request.streamed(None),
            _ => request,
        };
        let request = request.without_proxy();
        host.handle().request(request, handler).unwrap();
        let mut peer = server.accept();
        peer.head();
        if at != "writable" {
            peer.answer("x");
        }
        // It is dropped, with where it tells.
        while told.recv_timeout(DEADLINE).is_ok() {}
        peer.expect_end_somehow();
    }
    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    peer.head();
    peer.answer("fine");
    assert_eq!(content(&asked), "fine");
    host.shutdown(DEADLINE).unwrap();
}
