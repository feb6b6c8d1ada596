//! Plain requests of a plugin, answered by the test host.

use hotsocket_plugin::{
    prelude::*,
    testing::{Outgoing, TestAnswer, TestHost},
};

/// Sends what it is told: a URL to be fetched whole, `stream URL`, `bad URL`.
#[derive(Default)]
struct Asks;

/// Tells a session all that it is told.
struct Tell {
    boss: SessionHandle,
    left: Vec<&'static str>,
}

impl Tell {
    fn tell(&self, text: &str) {
        let _ = self.boss.send(text);
    }
}

impl ResponseHandler for Tell {
    fn on_redirect(&mut self, to: &str) -> bool {
        self.tell(&format!("redirect {to}"));
        !to.ends_with("/no")
    }

    fn on_head(&mut self, response: &mut ServerResponse) {
        let field = response.header_str("X-A").unwrap_or_default();
        let count = response.all_headers().count();
        self.tell(&format!("head {} {field} {count}", response.status()));
        assert_ne!(response.status(), 500, "told to panic");
        response.pause();
    }

    fn on_content(&mut self, response: &mut ServerResponse, piece: &[u8]) {
        self.tell(&format!("content {piece:?}"));
        response.resume();
        if piece == b"enough" {
            response.give_up("that was enough");
        }
    }

    fn on_writable(&mut self, response: &mut ServerResponse) {
        match self.left.pop() {
            Some(piece) if response.send(piece) == Sent::Full => {
                self.left.push(piece);
                response.ask_writable();
            }
            Some(_) => response.ask_writable(),
            None => {
                assert_eq!(response.finish(), Sent::Queued);
                assert_eq!(response.finish(), Sent::Closed);
            }
        }
    }

    fn on_end(&mut self, end: Result<Trailer<'_>, RequestError>) {
        self.tell(&match end {
            Ok(trailer) => format!("end {trailer:?}"),
            Err(error) => format!("{:?} {error}", error.stage),
        });
    }
}

impl Drop for Tell {
    fn drop(&mut self) {
        self.tell("dropped");
    }
}

impl Protocol for Asks {
    const NAME: &'static str = "asks";

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        let (host, boss) = (session.host(), session.handle());
        let order = message.as_text().unwrap_or_default();
        let asked = match order.split_once(' ') {
            Some((_, url)) => {
                let request = HttpRequest::new("PUT", url).field("X-Mine", "1").chunked();
                let left = vec!["two", "one"];
                host.request(request, Tell { boss, left })
            }
            None => host.fetch(HttpRequest::post(order, "hello"), 8, move |response| {
                let _ = boss.send(&match response {
                    Ok(whole) => format!("{} {:?}", whole.status, whole.text()),
                    Err(error) => format!("{:?} {error}", error.stage),
                });
            }),
        };
        if let Err(refused) = asked {
            session.text(refused.to_string());
        }
    }
}

export_plugin!(Asks);

fn texts<const N: usize>(texts: [&str; N]) -> Vec<Outgoing> {
    texts.into_iter().map(Outgoing::text).collect()
}

#[test]
fn a_whole_answer_is_gathered_up_to_its_bound() {
    let host = TestHost::new(plugin());
    let session = host.open("asks");
    session.receive("http://h/a");
    let asked = host.requests().pop().unwrap();
    assert_eq!((asked.method(), asked.url()), ("POST", "http://h/a"));
    assert_eq!(asked.body(), b"hello");
    let answer = TestAnswer {
        content: b"12345678".to_vec(),
        ..TestAnswer::new(201)
    };
    asked.respond(answer.clone());
    assert_eq!(session.sent(), texts(["201 Some(\"12345678\")"]));
    session.receive("http://h/a");
    let mut asked = host.requests().pop().unwrap();
    asked.head(answer);
    asked.content("1234");
    asked.content("56789");
    let why =
        "Response reading the response: its content is longer than the 8 bytes that were asked for";
    assert_eq!(session.sent(), texts([why]));
    session.receive("http://h/a");
    let asked = host.requests().pop().unwrap();
    asked.fail(RequestStage::Way(ConnectStage::Connect), "nobody there");
    assert_eq!(session.sent(), texts(["Way(Connect) nobody there"]));
}

#[test]
fn a_handler_is_told_all_and_may_ask_all() {
    let host = TestHost::new(plugin());
    let session = host.open("asks");
    session.receive("stream http://h/a");
    let mut asked = host.requests().pop().unwrap();
    assert_eq!(asked.fields(), [("X-Mine".to_owned(), b"1".to_vec())]);
    asked.set_full(true);
    asked.writable();
    assert!(asked.wants_writable() && asked.body().is_empty());
    asked.set_full(false);
    while !asked.is_finished() {
        asked.writable();
    }
    assert_eq!(asked.body(), b"onetwo");
    assert!(!asked.redirect("http://h/no"));
    assert!(asked.redirect("http://h/b"));
    assert_eq!(asked.url(), "http://h/b");
    asked.head(TestAnswer::new(200).with_field("x-a", "1"));
    assert!(asked.is_paused());
    asked.content("abc");
    assert!(!asked.is_paused());
    asked.end();
    let told = [
        "redirect http://h/no",
        "redirect http://h/b",
        "head 200 1 1",
        "content [97, 98, 99]",
        "end {}",
        "dropped",
    ];
    assert_eq!(session.sent(), texts(told));
}

#[test]
fn a_handler_that_gives_up_or_panics_is_told_the_end_or_only_dropped() {
    let host = TestHost::new(plugin());
    let session = host.open("asks");
    session.receive("stream http://h/a");
    let mut asked = host.requests().pop().unwrap();
    asked.content("enough");
    // It is over.
    asked.content("more");
    let told = [
        "content [101, 110, 111, 117, 103, 104]",
        "Response that was enough",
        "dropped",
    ];
    assert_eq!(session.sent(), texts(told));
    session.receive("stream http://h/a");
    let mut asked = host.requests().pop().unwrap();
    asked.head(TestAnswer::new(500));
    drop(asked);
    assert_eq!(session.sent(), texts(["head 500  0", "dropped"]));
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_its_handler_dropped() {
    let host = TestHost::new(plugin());
    let session = host.open("asks");
    session.receive("bad ws://h/");
    assert!(host.requests().is_empty());
    let why = "the URL `ws://h/` is none of plain HTTP";
    // What hooks send leaves before what they have posted.
    assert_eq!(session.sent(), texts([why, "dropped"]));
}
