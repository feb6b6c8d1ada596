//! Bodies: of requests, whole and streamed, and of answers, as fast as they are wanted.

use std::sync::{Arc, Mutex};

use hotsocket::{
    HttpRequest, RequestCause, RequestStage, connection::client_exchange::PutError,
    net::port::Sent, wire::fields::Fields,
};

use super::{Server, Told, ask, client, content, received, teller};
use crate::DEADLINE;

/// More than the sockets on the way take at once.
const LONG: usize = 24 << 20;

#[test]
fn a_request_has_its_content_and_says_how_long_it_is() {
    let (server, host) = (Server::new(), client(|_| {}));
    let post = HttpRequest::post(&server.url("/form"), *b"a=1&b=2").unwrap();
    let post = post
        .field("Content-Type", b"application/x-www-form-urlencoded")
        .unwrap();
    let asked = ask(&host.handle(), post);
    let mut peer = server.accept();
    let head = peer.head();
    assert!(head.starts_with("POST /form HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Length: 7\r\n"), "{head}");
    assert!(
        head.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
        "{head}"
    );
    assert_eq!(peer.body(7), b"a=1&b=2");
    peer.answer("taken");
    assert_eq!(content(&asked), "taken");

    // On the same connection, and longer than a socket takes.
    let long: Vec<u8> = (0..LONG).map(|at| (at % 251) as u8).collect();
    let put = HttpRequest::new("PUT", &server.url("/long"))
        .unwrap()
        .body(long.clone());
    let asked = ask(&host.handle(), put);
    assert!(
        peer.head()
            .contains(&format!("\r\nContent-Length: {LONG}\r\n"))
    );
    assert!(peer.body(LONG) == long);
    peer.answer("taken");
    assert_eq!(content(&asked), "taken");

    let asked = ask(
        &host.handle(),
        HttpRequest::post(&server.url("/"), *b"").unwrap(),
    );
    assert!(peer.head().contains("\r\nContent-Length: 0\r\n"));
    peer.answer("taken");
    assert_eq!(content(&asked), "taken");
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_body_is_streamed_as_fast_as_the_server_takes_it() {
    let (server, host) = (
        Server::new(),
        client(|config| {
            config.limits.low_mark_bytes = 32 << 10;
            config.limits.high_mark_bytes = 64 << 10;
        }),
    );
    let piece = vec![b'x'; 100_000];
    let mut left = LONG / piece.len();
    let most = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&most);
    let (handler, told) = teller(move |call, told| {
        if *told != Told::Writable {
            return;
        }
        let mut count = 0;
        while left > 0 && call.send(&piece).unwrap() == Sent::Queued {
            (left, count) = (left - 1, count + 1);
        }
        let mut seen = seen.lock().unwrap();
        *seen = count.max(*seen);
        match left {
            0 => call.finish(&Fields::new()).unwrap(),
            _ => call.ask_writable(),
        }
    });
    let request = HttpRequest::new("PUT", &server.url("/"))
        .unwrap()
        .streamed(None);
    host.handle()
        .request(request.without_proxy(), handler)
        .unwrap();
    let mut peer = server.accept();
    assert!(peer.head().contains("\r\nTransfer-Encoding: chunked\r\n"));
    for _ in 0..LONG / 100_000 {
        assert_eq!(peer.body(7), b"186a0\r\n");
        peer.body(100_002);
    }
    assert_eq!(peer.body(5), b"0\r\n\r\n");
    peer.answer("");
    while received(&told) == Told::Writable {}
    assert_eq!(received(&told), Told::End);
    // What the socket takes at once, and no more than the mark says behind it.
    assert!(*most.lock().unwrap() < LONG / 100_000 / 2);
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_body_of_a_length_is_that_long_or_the_request_fails() {
    let (server, host) = (Server::new(), client(|_| {}));
    let request = |length| {
        let request = HttpRequest::new("POST", &server.url("/")).unwrap();
        request.streamed(Some(length)).without_proxy()
    };
    let (handler, told) = teller(|call, told| {
        if *told == Told::Writable {
            call.send(b"abc").unwrap();
            assert_eq!(call.send(b"defg"), Err(PutError::Length));
            call.send(b"def").unwrap();
            call.finish(&Fields::new()).unwrap();
        }
    });
    host.handle().request(request(6), handler).unwrap();
    let mut peer = server.accept();
    assert!(peer.head().contains("\r\nContent-Length: 6\r\n"));
    assert_eq!(peer.body(6), b"abcdef");
    peer.answer("");
    assert_eq!(received(&told), Told::Writable);
    assert_eq!(received(&told), Told::Head(200));
    assert_eq!(received(&told), Told::End);

    let (handler, told) = teller(|call, told| {
        if *told == Told::Writable {
            assert_eq!(call.finish(&Fields::new()), Err(PutError::Length));
        }
    });
    host.handle().request(request(6), handler).unwrap();
    assert_eq!(received(&told), Told::Writable);
    let Told::Failed(error) = received(&told) else {
        panic!("it fails");
    };
    assert_eq!(
        (error.stage, error.cause),
        (RequestStage::Request, RequestCause::Body)
    );
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_body_is_given_from_another_thread() {
    let (server, host) = (Server::new(), client(|_| {}));
    let (handler, told) = teller(|_, _| {});
    let request = HttpRequest::new("POST", &server.url("/"))
        .unwrap()
        .streamed(None);
    let request = host
        .handle()
        .request(request.without_proxy(), handler)
        .unwrap();
    let mut peer = server.accept();
    peer.head();
    assert_eq!(received(&told), Told::Writable);
    request.send(*b"hello ").unwrap();
    request.ask_writable().unwrap();
    assert_eq!(received(&told), Told::Writable);
    request.send(*b"world").unwrap();
    request.finish().unwrap();
    assert_eq!(peer.body(26), b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    peer.answer("");
    assert_eq!(received(&told), Told::Head(200));
    assert_eq!(received(&told), Told::End);
    // It is over, and this does nothing.
    request.send(*b"late").unwrap();
    request.give_up();
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_server_that_answers_before_it_has_all_of_a_body_gets_no_more_of_it() {
    let (server, host) = (Server::new(), client(|_| {}));
    let (handler, told) = teller(|call, told| match told {
        Told::Writable => assert_eq!(call.send(b"abc"), Ok(Sent::Queued)),
        Told::Head(_) => assert_eq!(call.send(b"def"), Err(PutError::Unwanted)),
        _ => {}
    });
    let request = HttpRequest::new("POST", &server.url("/"))
        .unwrap()
        .streamed(None);
    host.handle()
        .request(request.without_proxy(), handler)
        .unwrap();
    let mut peer = server.accept();
    peer.head();
    assert_eq!(peer.body(8), b"3\r\nabc\r\n");
    peer.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(received(&told), Told::Writable);
    assert_eq!(received(&told), Told::Head(413));
    assert_eq!(received(&told), Told::End);
    peer.expect_end();
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn content_waits_while_it_is_paused_and_all_of_it_comes_then() {
    let (server, host) = (Server::new(), client(|_| {}));
    let (handler, told) = teller(|call, told| {
        if let Told::Head(_) = told {
            call.pause();
        }
    });
    let request = host
        .handle()
        .request(server.get("/").without_proxy(), handler)
        .unwrap();
    let mut peer = server.accept();
    peer.head();
    let writer = std::thread::spawn(move || {
        peer.say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n"
        ));
        peer.say(&"y".repeat(LONG));
        peer
    });
    assert_eq!(received(&told), Told::Head(200));
    // It has written all that the sockets take, and more does not leave.
    let other = Server::new();
    for _ in 0..20 {
        let asked = ask(&host.handle(), other.get("/"));
        let mut peer = other.accept();
        peer.head();
        peer.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(content(&asked), "");
    }
    assert!(told.try_recv().is_err(), "nothing is told in a pause");
    assert!(!writer.is_finished());
    request.resume().unwrap();
    let mut length = 0;
    loop {
        match received(&told) {
            Told::Content(piece) => length += piece.len(),
            Told::End => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(length, LONG);
    drop(writer.join().unwrap());
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn content_may_end_with_the_connection_and_a_trailer_may_follow_it() {
    let (server, host) = (Server::new(), client(|_| {}));
    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    peer.head();
    peer.say("HTTP/1.1 200 OK\r\n\r\nall of it");
    drop(peer);
    assert_eq!(content(&asked), "all of it");

    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    peer.head();
    peer.say("HTTP/1.1 200 Fine\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 97\r\n\r\n");
    let response = received(&asked).unwrap();
    assert_eq!((&*response.reason, &*response.content), ("Fine", &b"a"[..]));
    assert_eq!(response.fields.get("X-A"), Some(&b"1"[..]));
    assert_eq!(response.trailer.get("X-Sum"), Some(&b"97"[..]));

    let asked = ask(
        &host.handle(),
        HttpRequest::new("HEAD", &server.url("/")).unwrap(),
    );
    peer.head();
    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(content(&asked), "");
    host.shutdown(DEADLINE).unwrap();
}
