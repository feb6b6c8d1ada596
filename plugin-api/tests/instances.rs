//! The life of instances and what belongs to them, and a protocol that takes pieces.

use std::sync::{Arc, Mutex, PoisonError};

use hotsocket_plugin::{
    prelude::*,
    testing::{Outgoing, TestHost},
};
use serde::Deserialize;

/// What happened, in order. Each test has its own, named by the options.
type Diary = Arc<Mutex<Vec<String>>>;

static DIARIES: Mutex<Vec<(String, Diary)>> = Mutex::new(Vec::new());

fn diary(name: &str) -> Diary {
    let mut diaries = DIARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = diaries.iter().find(|(of, _)| of == name);
    let found = found.map(|(_, diary)| Arc::clone(diary));
    found.unwrap_or_else(|| {
        let diary = Diary::default();
        diaries.push((name.to_owned(), Arc::clone(&diary)));
        diary
    })
}

/// Writes into the diary that it lived, and when it is dropped.
struct Witness {
    name: String,
    diary: Diary,
}

impl Witness {
    fn new(name: String, diary: &Diary) -> Self {
        let witness = Self {
            name,
            diary: Arc::clone(diary),
        };
        witness.note("made");
        witness
    }

    fn note(&self, what: &str) {
        let line = format!("{} {what}", self.name);
        self.diary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.note("dropped");
    }
}

#[derive(Deserialize)]
struct Options {
    diary: String,
    number: u32,
}

struct Shared {
    number: u32,
    witness: Witness,
}

struct PerSession {
    witness: Witness,
}

impl Instance for Shared {
    type Session = PerSession;
    type Options = Options;
    type Thread = Witness;

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        let name = format!("instance {}", options.number);
        Ok(Self {
            number: options.number,
            witness: Witness::new(name, &diary(&options.diary)),
        })
    }

    fn thread(&self, _host: &Host) -> Witness {
        Witness::new(format!("thread {}", self.number), &self.witness.diary)
    }

    fn open(&self, _session: &mut Session) -> Result<PerSession, PluginError> {
        let name = format!("session {}", self.number);
        Ok(PerSession {
            witness: Witness::new(name, &self.witness.diary),
        })
    }

    fn on_retire(&self) {
        self.witness.note("retired");
    }
}

impl Protocol for PerSession {
    const NAME: &'static str = "pieces";
    const DELIVERY: Delivery = Delivery::Pieces { rx_chunk: 4 };

    fn on_piece(&mut self, session: &mut Session, piece: Piece<'_>) {
        if piece.payload == b"boom" {
            session.all().for_each(|_| panic!("in a visit"));
        }
        session.text(format!("{} bytes to come", piece.remaining));
        session.send_piece(piece.kind, piece.first, piece.last, piece.payload);
    }

    fn on_message(&mut self, _session: &mut Session, _message: Message<'_>) {
        self.witness.note("got a whole message");
    }
}

export_plugin!(Shared);

fn configured(host: &TestHost, diary: &str, number: u32) {
    let options = format!(r#"{{"diary": "{diary}", "number": {number}}}"#);
    host.configure("pieces", &options).expect("they are right");
}

#[test]
fn a_retired_instance_lives_on_for_its_sessions_and_is_dropped_last() {
    let host = TestHost::new(plugin());
    configured(&host, "life", 1);
    let old = host.open("pieces");
    configured(&host, "life", 2);
    let new = host.open("pieces");
    drop(old);
    drop(new);
    drop(host);
    let lines = diary("life").lock().expect("no panic").clone();
    assert_eq!(
        lines,
        [
            "instance 1 made",
            "thread 1 made",
            "session 1 made",
            "instance 2 made",
            "thread 2 made",
            "instance 1 retired",
            "session 2 made",
            "session 1 dropped",
            "session 2 dropped",
            "thread 1 dropped",
            "instance 1 dropped",
            "thread 2 dropped",
            "instance 2 dropped",
        ]
    );
}

#[test]
fn pieces_come_as_the_host_cut_them() {
    let host = TestHost::new(plugin());
    configured(&host, "pieces", 1);
    let session = host.open("pieces");
    let piece = |first, last, remaining, payload| Piece {
        kind: Kind::Binary,
        first,
        last,
        remaining,
        payload,
    };
    session.receive_piece(piece(true, true, 0, b"all"));
    assert_eq!(
        session.sent(),
        [Outgoing::text("0 bytes to come"), Outgoing::binary(b"all")]
    );
    session.receive_piece(piece(true, false, 3, b"long"));
    let [
        told,
        Outgoing::Piece {
            first: true,
            last: false,
            ..
        },
    ] = &session.sent()[..]
    else {
        panic!("a first piece");
    };
    assert_eq!(*told, Outgoing::text("3 bytes to come"));
    let lines = diary("pieces").lock().expect("no panic").clone();
    assert!(!lines.contains(&"session 1 got a whole message".to_owned()));
}

#[test]
fn a_panic_in_a_visit_ends_the_visitor_only() {
    let host = TestHost::new(plugin());
    configured(&host, "visit", 1);
    let (visitor, other) = (host.open("pieces"), host.open("pieces"));
    visitor.receive("boom");
    let ending = visitor.ending().expect("it panicked");
    assert_eq!(ending.code, CloseCode::INTERNAL_ERROR);
    assert_eq!(visitor.failures(), ["panicked: in a visit"]);
    assert_eq!(other.ending(), None);
}
