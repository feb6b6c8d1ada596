//! Redirects of plain requests.

use std::sync::mpsc::{Sender, channel};

use hotsocket::{
    HttpRequest, RequestCause, RequestError, ResponseCall, ResponseHandler,
    connection::client_redirect::RedirectError,
    wire::{answer_head::HeldAnswer, fields::Fields, url::Url},
};

use super::{Peer, Server, ask, client, content, received};
use crate::DEADLINE;

fn redirect(peer: &mut Peer, status: u16, to: &str) {
    peer.say(&format!(
        "HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\ngone"
    ));
}

#[test]
fn a_redirect_is_followed_on_the_same_connection_and_to_other_servers() {
    let (server, other, host) = (Server::new(), Server::new(), client(|_| {}));
    let get = server.get("/a").field("Authorization", b"secret").unwrap();
    let asked = ask(&host.handle(), get.field("X-Mine", b"1").unwrap());
    let mut peer = server.accept();
    peer.head();
    redirect(&mut peer, 302, "/b?c#d");
    let head = peer.head();
    assert!(head.starts_with("GET /b?c HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nAuthorization: secret\r\n"), "{head}");
    redirect(&mut peer, 307, &other.url("/e"));
    let mut peer = other.accept();
    let head = peer.head();
    assert!(head.starts_with("GET /e HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("\r\nX-Mine: 1\r\n") && !head.contains("secret"),
        "{head}"
    );
    peer.answer("found");
    assert_eq!(content(&asked), "found");
    assert!(!server.is_wanted());
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn a_redirect_keeps_the_content_of_a_request_or_makes_a_get_of_it() {
    let (server, host) = (Server::new(), client(|_| {}));
    let post = || HttpRequest::post(&server.url("/"), *b"abc").unwrap();
    let asked = ask(&host.handle(), post());
    let mut peer = server.accept();
    peer.head();
    peer.body(3);
    redirect(&mut peer, 308, "/kept");
    let head = peer.head();
    assert!(
        head.starts_with("POST /kept ") && head.contains("\r\nContent-Length: 3\r\n"),
        "{head}"
    );
    assert_eq!(peer.body(3), b"abc");
    redirect(&mut peer, 303, "/seen");
    let head = peer.head();
    assert!(
        head.starts_with("GET /seen ") && !head.contains("Content-Length"),
        "{head}"
    );
    peer.answer("found");
    assert_eq!(content(&asked), "found");
    host.shutdown(DEADLINE).unwrap();
}

#[test]
fn no_more_redirects_are_followed_than_the_limit_says() {
    let (server, host) = (
        Server::new(),
        client(|config| config.limits.redirects_count = 1),
    );
    let asked = ask(&host.handle(), server.get("/"));
    let mut peer = server.accept();
    for _ in 0..2 {
        peer.head();
        redirect(&mut peer, 302, "/again");
    }
    let error = received(&asked).unwrap_err();
    assert_eq!(error.cause, RequestCause::Redirect(RedirectError::TooMany));

    // Whoever wants none is given it for an answer.
    let asked = ask(&host.handle(), server.get("/").redirects(0));
    let mut peer = server.accept();
    peer.head();
    redirect(&mut peer, 302, "/again");
    let response = received(&asked).unwrap();
    assert_eq!((response.status, &*response.content), (302, &b"gone"[..]));
    host.shutdown(DEADLINE).unwrap();
}

/// Refuses redirects.
struct Careful(Sender<String>);

impl ResponseHandler for Careful {
    fn redirected(&mut self, to: &Url) -> bool {
        self.0.send(format!("to {}", to.path())).unwrap();
        false
    }

    fn head(&mut self, _: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        self.0.send(format!("status {}", head.status)).unwrap();
    }

    fn ended(&mut self, end: Result<Fields, RequestError>) {
        self.0.send(format!("ended {}", end.is_ok())).unwrap();
    }
}

#[test]
fn the_handler_has_a_say_in_a_redirect_and_streamed_content_is_not_sent_twice() {
    let (server, host) = (Server::new(), client(|_| {}));
    let (said, told) = channel();
    host.handle()
        .request(server.get("/").without_proxy(), Careful(said))
        .unwrap();
    let mut peer = server.accept();
    peer.head();
    redirect(&mut peer, 302, "/elsewhere");
    for expected in ["to /elsewhere", "status 302", "ended true"] {
        assert_eq!(received(&told), expected);
    }
    let (handler, told) = super::teller(|call, told| {
        if *told == super::Told::Writable {
            call.finish(&Fields::new()).unwrap();
        }
    });
    let put = HttpRequest::new("PUT", &server.url("/"))
        .unwrap()
        .streamed(None);
    host.handle().request(put.without_proxy(), handler).unwrap();
    peer.head();
    peer.body(5);
    redirect(&mut peer, 307, "/elsewhere");
    assert_eq!(received(&told), super::Told::Writable);
    assert_eq!(received(&told), super::Told::Head(307));
    host.shutdown(DEADLINE).unwrap();
}
