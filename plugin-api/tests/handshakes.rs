//! What a protocol says of its own opening handshake, and what its sessions know of it.

use std::sync::atomic::{AtomicI64, Ordering};

use hotsocket_plugin::{
    prelude::*,
    testing::{Handshake as Opening, Refused, TestHost},
};

/// Does what the query says.
struct Door {
    name: &'static str,
}

/// Counts those that live, so that none is freed twice or never.
struct Ticket {
    number: u32,
    alive: &'static AtomicI64,
}

impl Ticket {
    fn new(number: u32, alive: &'static AtomicI64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { number, alive }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        assert_ne!(self.number, 13, "in drop");
    }
}

/// Of each test its own, since they run side by side.
static ALIVE: [AtomicI64; 8] = [const { AtomicI64::new(0) }; 8];

fn alive(path: &str) -> &'static AtomicI64 {
    &ALIVE[path
        .trim_start_matches('/')
        .parse::<usize>()
        .expect("a number")]
}

impl Instance for Door {
    type Session = Guest;
    type Options = NoOptions;
    type Thread = u32;

    fn new(_host: &Host, NoOptions {}: NoOptions) -> Result<Self, PluginError> {
        Ok(Self { name: "door" })
    }

    fn thread(&self, _host: &Host) -> u32 {
        0
    }

    fn on_handshake(&self, request: &mut Handshake) -> Result<(), Refusal> {
        *request.thread::<u32>().expect("it is ours") += 1;
        for order in request.query().unwrap_or_default().split('&') {
            let (order, value) = order.split_once('=').unwrap_or((order, ""));
            match order {
                "keep" => request.keep(Ticket::new(value.parse()?, alive(request.path()))),
                "choose" if !request.choose(value) => return Err(Refusal::new(400)),
                "none" => request.choose_none(),
                "field" => request.add_field("X-Door", value)?,
                "many" => {
                    while request.add_field("X-Many", [b'x'; 1000]) != Err(FieldError::TooMuch) {}
                }
                "forge" => {
                    let bad = [
                        ("X-Door", "a\r\nSet-Cookie: b"),
                        ("X-Door", "a\0"),
                        ("X Door", "a"),
                        ("X-Door: a\r\nX", "b"),
                        ("", "a"),
                        ("Upgrade", "h2c"),
                        ("content-length", "1"),
                        ("Sec-WebSocket-Accept", "x"),
                        ("sec-websocket-protocol", "x"),
                    ];
                    for (name, value) in bad {
                        assert_eq!(request.add_field(name, value), Err(FieldError::Invalid));
                    }
                }
                "refuse" => {
                    let refusal =
                        Refusal::new(value.parse()?).text(format!("not by the {}", self.name));
                    return Err(refusal.field("Retry-After", "7"));
                }
                "bare" => return Err(Refusal::new(value.parse()?)),
                "forged-refusal" => return Err(Refusal::new(403).field("X", "a\nb")),
                "fail" => return Err(PluginError::new("the database is down").into()),
                "panic" => panic!("told to"),
                "facts" => return Err(Refusal::new(418).text(facts(request))),
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&self, session: &mut Session) -> Result<Guest, PluginError> {
        let query = session.query().unwrap_or_default().to_owned();
        if query.contains("wrong") {
            assert_eq!(session.learnt::<u8>(), None);
        }
        let is_late = query.contains("late");
        let ticket = if is_late { None } else { session.learnt() };
        assert!(is_late || session.learnt::<Ticket>().is_none());
        if query.contains("shut") {
            return Err(PluginError::new("the door is shut"));
        }
        Ok(Guest { ticket })
    }
}

/// All that a handshake tells.
fn facts(request: &Handshake) -> String {
    let offered: Vec<_> = request.offered().collect();
    let names: Vec<_> = request.all_headers().map(|(name, _)| name).collect();
    format!(
        "{} {} {} {} {} {} {:?} {} {offered:?} {:?} {names:?} {:?} {:?}",
        request.vhost(),
        request.protocol(),
        request.protocol_id(),
        request.target(),
        request.authority(),
        request.peer().expect("over TCP"),
        request.transport(),
        request.is_encrypted(),
        request.subprotocol(),
        request.header_str("cookie"),
        request.header_str("x-raw"),
    )
}

struct Guest {
    ticket: Option<Ticket>,
}

impl Protocol for Guest {
    const NAME: &'static str = "door";
    const KEEP_HEADERS: &'static [&'static str] = &["Cookie", "x-forwarded-for"];

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        let Message::Text(name) = message else {
            return;
        };
        let values: Vec<_> = session
            .headers(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        let ticket = self.ticket.as_ref().map(|ticket| ticket.number);
        session.text(format!(
            "{values:?} {ticket:?} {:?}",
            session.header_str(name)
        ));
    }
}

export_plugin!(Door);

fn opening(number: usize, query: &str) -> Opening {
    Opening {
        query: Some(query.to_owned()),
        ..Opening::at(&format!("/{number}"))
    }
}

fn refused(host: &TestHost, query: &str) -> Refused {
    let opened = host.try_open("door", opening(0, query));
    opened.err().expect("it is refused")
}

fn ask(session: &hotsocket_plugin::testing::TestSession, name: &str) -> String {
    session.receive(name);
    match session.sent().as_slice() {
        [hotsocket_plugin::testing::Outgoing::Text(text)] => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_is_a_status_with_fields_and_content() {
    let host = TestHost::new(plugin());
    let answer = refused(&host, "field=1&refuse=503");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.text(), "not by the door");
    assert_eq!(
        answer.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        (answer.field("x-door"), answer.field("retry-after")),
        (Some("1"), Some("7"))
    );
    assert_eq!(answer.failure, None);
    assert_eq!(refused(&host, "bare=304").content, b"");
}

#[test]
fn what_cannot_be_an_answer_is_a_failure_that_says_so() {
    let host = TestHost::new(plugin());
    for (query, wanted) in [
        ("bare=200", "use 300 to 599"),
        ("bare=101", "use 300 to 599"),
        ("bare=600", "use 300 to 599"),
        ("refuse=304", "no content with 304"),
        ("forged-refusal", "the refusal's field X: "),
        ("fail", "the database is down"),
        ("refuse=x", "invalid digit"),
        ("panic", "panicked: told to"),
    ] {
        let answer = refused(&host, query);
        let failure = answer.failure.clone().unwrap_or_default();
        assert!(
            answer.status == 500 && failure.contains(wanted),
            "{query}: {answer:?}"
        );
        assert!(
            answer.content.is_empty() && answer.fields.is_empty(),
            "{query}: {answer:?}"
        );
    }
}

#[test]
fn a_subprotocol_is_chosen_among_those_that_are_offered() {
    let host = TestHost::new(plugin());
    let agreed = |query: &str| {
        let offering = opening(0, query).offering(&["v2", "door", "v1"]);
        let session = host.open_as("door", offering);
        session.subprotocol().map(str::to_owned)
    };
    assert_eq!(agreed("").as_deref(), Some("door"));
    assert_eq!(agreed("choose=v1").as_deref(), Some("v1"));
    assert_eq!(agreed("choose=v1&none"), None);
    assert_eq!(refused(&host, "choose=v3").status, 400);
}

#[test]
fn fields_are_added_to_the_answer_and_none_can_forge_another() {
    let host = TestHost::new(plugin());
    let session = host.open_as("door", opening(0, "field=1&forge&field=2"));
    let wanted = ["1", "2"].map(|value| ("X-Door".to_owned(), value.into()));
    assert_eq!(session.answer_fields(), wanted);
    let session = host.open_as("door", opening(0, "many"));
    assert_eq!(session.answer_fields().len(), (16 << 10) / 1010);
}

#[test]
fn sessions_read_the_fields_that_are_kept_and_no_others() {
    let host = TestHost::new(plugin());
    let handshake = opening(0, "")
        .with_field("cookie", "a=1")
        .with_field("User-Agent", "test")
        .with_field("X-Forwarded-For", [0xff])
        .with_field("Cookie", "b=2");
    let session = host.open_as("door", handshake);
    assert_eq!(
        ask(&session, "COOKIE"),
        r#"["a=1", "b=2"] None Some("a=1")"#
    );
    assert_eq!(ask(&session, "User-Agent"), "[] None None");
    assert_eq!(ask(&session, "x-forwarded-for"), "[\"\u{fffd}\"] None None");
}

#[test]
fn what_was_learnt_reaches_the_session_and_is_dropped_once_in_every_case() {
    let host = TestHost::new(plugin());
    let count = alive("/1");
    let session = host.open_as("door", opening(1, "keep=6&keep=7"));
    assert_eq!(ask(&session, "x"), "[] Some(7) None");
    assert_eq!(
        count.load(Ordering::Relaxed),
        1,
        "the first one is dropped, the second lives"
    );
    drop(session);
    assert_eq!(count.load(Ordering::Relaxed), 0, "with the session");
    let late = host.open_as("door", opening(1, "keep=7&late"));
    assert_eq!(count.load(Ordering::Relaxed), 0, "nobody took it");
    drop(late);
    let wrong = host.open_as("door", opening(1, "keep=7&wrong"));
    assert_eq!(ask(&wrong, "x"), "[] None None");
    assert_eq!(
        count.load(Ordering::Relaxed),
        0,
        "it was asked for as something else"
    );
    let shut = host.open_as("door", opening(1, "keep=7&late&shut"));
    assert_eq!(shut.failures(), ["the door is shut"]);
    assert_eq!(count.load(Ordering::Relaxed), 0, "there was no session");
    for query in ["keep=7&refuse=403", "keep=7&fail", "keep=7&panic"] {
        let refused = host.try_open("door", opening(1, query));
        assert!(refused.is_err(), "{query}");
        assert_eq!(count.load(Ordering::Relaxed), 0, "{query}");
    }
}

#[test]
fn a_drop_that_panics_is_told_and_harms_nobody() {
    let host = TestHost::new(plugin());
    let untaken = host.open_as("door", opening(2, "keep=13&late"));
    assert!(
        untaken.failures()[0].contains("in drop"),
        "{:?}",
        untaken.failures()
    );
    assert_eq!(untaken.ending(), None);
    for query in ["keep=13&refuse=403", "keep=13&panic"] {
        let refused = host.try_open("door", opening(2, query)).err().expect(query);
        assert!(refused.failure.expect(query).contains("in drop"), "{query}");
    }
    assert_eq!(alive("/2").load(Ordering::Relaxed), 0);
}

#[test]
fn a_handshake_tells_its_facts() {
    let host = TestHost::new(plugin());
    let mut handshake = opening(0, "facts")
        .offering(&["v2", "door"])
        .with_field("Cookie", "a=1")
        .with_field("X-Raw", [0xff]);
    handshake.encrypted = true;
    let answer = host
        .try_open("door", handshake)
        .err()
        .expect("it is refused");
    assert_eq!(
        answer.text(),
        "test door 0 /0?facts localhost:7681 127.0.0.1:50000 Tcp true \
         [\"v2\", \"door\"] Some(\"door\") [\"Cookie\", \"X-Raw\"] Some(\"a=1\") None"
    );
}
