//! What hooks can ask for, through the real tables.

use std::{sync::mpsc, thread, time::Duration};

use hotsocket_plugin::{
    Role, Transport,
    prelude::*,
    testing::{Ending, Handshake, Outgoing, TestHost},
};

const TICK: TimerId = TimerId(7);

/// Does what it is told by text messages, and tells what it hears.
struct Obedient;

struct Shared {
    handles: mpsc::SyncSender<SessionHandle>,
}

thread_local! {
    /// How the test gets at the handles.
    static HANDLES: std::cell::RefCell<Option<mpsc::SyncSender<SessionHandle>>> =
        const { std::cell::RefCell::new(None) };
}

impl Instance for Shared {
    type Session = Obedient;
    type Options = NoOptions;
    type Thread = Vec<u64>;

    fn new(_host: &Host, _options: NoOptions) -> Result<Self, PluginError> {
        let handles = HANDLES.take().unwrap_or_else(|| mpsc::sync_channel(8).0);
        Ok(Self { handles })
    }

    fn thread(&self, _host: &Host) -> Vec<u64> {
        Vec::new()
    }

    fn open(&self, session: &mut Session) -> Result<Obedient, PluginError> {
        let _ = self.handles.send(session.handle());
        let mut opened = session.thread::<Vec<u64>>().expect("it is of this type");
        opened.push(session.id().get());
        Ok(Obedient)
    }
}

impl Protocol for Obedient {
    const NAME: &'static str = "obedient";
    const ID: u32 = 42;
    const PONGS: bool = true;

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        let Message::Text(order) = message else {
            session.send(message);
            return;
        };
        match order {
            "facts" => {
                session.text(format!(
                    "{} {} {:?}",
                    session.vhost(),
                    session.path(),
                    session.query()
                ));
                let (peer, name) = (session.peer(), session.peer_name());
                session.text(format!("{peer:?} {name:?} {:?}", session.subprotocol()));
                session.text(format!("{} {}", session.protocol(), session.protocol_id()));
                assert_eq!(session.role(), Role::Server);
                assert_eq!(session.transport(), Transport::Tcp);
                assert!(session.is_encrypted());
            }
            "thread" => {
                assert!(session.thread::<String>().is_none());
                let opened = session.thread::<Vec<u64>>().expect("it is of this type");
                assert!(session.thread::<Vec<u64>>().is_none(), "it is lent");
                session.text(format!("{opened:?}"));
            }
            "pieces" => {
                assert_eq!(
                    session.send_piece(Kind::Text, true, false, b"be"),
                    Sent::Queued
                );
                assert_eq!(session.text("another"), Sent::Refused);
                assert_eq!(session.ping(b"between"), Sent::Queued);
                assert_eq!(
                    session.send_piece(Kind::Text, false, true, b"gin"),
                    Sent::Queued
                );
            }
            "nonsense" => {
                assert_eq!(session.ping(&[0; 126]), Sent::Refused);
                assert_eq!(session.close(1006, ""), Sent::Refused);
                assert_eq!(session.close(1000, &"x".repeat(124)), Sent::Refused);
                assert!(!session.set_deadline(Duration::from_secs(1), &"x".repeat(124)));
            }
            "close" => {
                assert_eq!(session.close(4000, "done"), Sent::Queued);
                assert_eq!(session.text("too late"), Sent::Closed);
                assert_eq!(session.close(4001, ""), Sent::Closed);
            }
            "hang up" => session.hang_up(),
            "pause" => session.pause(),
            "resume all" => session.all().resume().expect("there is room"),
            "deadline" => assert!(session.set_deadline(Duration::from_millis(5), "too late")),
            "no deadline" => session.clear_deadline(),
            "timer" => assert!(session.set_timer(TICK, Duration::from_micros(1_500))),
            "no timer" => assert!(session.cancel_timer(TICK) && !session.cancel_timer(TICK)),
            "many" => {
                while session.text("x") == Sent::Queued && session.queued_bytes() < 3 {}
                session.ask_writable();
            }
            "count" => {
                let mut sessions = 0;
                session.all().for_each(|_| sessions += 1);
                session.text(format!("{sessions}"));
            }
            _ => session
                .all()
                .broadcast(order, SlowPolicy::Close)
                .expect("there is room"),
        }
    }

    fn on_writable(&mut self, session: &mut Session) {
        session.text("writable");
    }

    fn on_timer(&mut self, session: &mut Session, timer: TimerId) {
        session.text(format!("{timer:?}"));
    }

    fn on_notify(&mut self, session: &mut Session, payload: &[u8]) {
        session.binary(payload);
    }

    fn on_pong(&mut self, session: &mut Session, payload: &[u8]) {
        session.pong(payload);
    }

    fn on_close(&mut self, session: &mut Session, close: &Close<'_>) {
        assert_eq!(session.text("too late"), Sent::Closed);
        session.host().count(close.reason, 1);
    }
}

export_plugin!(Shared);

fn texts<const N: usize>(texts: [&str; N]) -> [Outgoing; N] {
    texts.map(Outgoing::text)
}

#[test]
fn facts_are_readable_in_a_hook() {
    let host = TestHost::new(plugin());
    let session = host.open_as(
        "obedient",
        Handshake {
            query: Some("room=1".to_owned()),
            subprotocol: Some("obedient".to_owned()),
            peer: Some("[::1]:80".parse().expect("an address")),
            peer_name: Some("one.example.org".to_owned()),
            encrypted: true,
            ..Handshake::at("/a/b")
        },
    );
    session.receive("facts");
    assert_eq!(
        session.sent(),
        texts([
            "test /a/b Some(\"room=1\")",
            "Some([::1]:80) Some(\"one.example.org\") Some(\"obedient\")",
            "obedient 42",
        ])
    );
    assert_eq!(session.failures(), [""; 0]);
}

#[test]
fn state_of_a_thread_is_shared_by_its_sessions_and_typed() {
    let host = TestHost::new(plugin());
    let _first = host.open("obedient");
    let second = host.open("obedient");
    second.receive("thread");
    assert_eq!(second.sent(), texts(["[1, 2]"]));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let host = TestHost::new(plugin());
    let session = host.open("obedient");
    session.receive("nonsense");
    session.receive("pieces");
    assert_eq!(session.failures(), [""; 0]);
    let piece = |first, last, payload: &[u8]| Outgoing::Piece {
        kind: Kind::Text,
        first,
        last,
        payload: payload.to_vec(),
    };
    assert_eq!(
        session.sent(),
        [
            piece(true, false, b"be"),
            Outgoing::Ping(b"between".to_vec()),
            piece(false, true, b"gin"),
        ]
    );
}

#[test]
fn a_close_is_told_once_and_nothing_is_sent_after_it() {
    let host = TestHost::new(plugin());
    let session = host.open("obedient");
    session.receive("close");
    session.receive_close(1000, "the peer's");
    assert_eq!(
        session.ending(),
        Some(Ending {
            by: ClosedBy::Protocol,
            code: CloseCode(4000),
            clean: true,
            reason: "done".to_owned(),
        })
    );
    assert_eq!(session.failures(), [""; 0]);
    assert_eq!((host.counter("done"), host.counter("the peer's")), (1, 0));
}

#[test]
fn after_pause_messages_wait_for_the_resume() {
    let host = TestHost::new(plugin());
    let session = host.open("obedient");
    session.receive("pause");
    session.receive(b"1");
    session.receive(b"2");
    assert!(session.is_paused());
    session.receive_pong(b"pong");
    assert_eq!(session.sent(), [Outgoing::Pong(b"pong".to_vec())]);
    let other = host.open("obedient");
    other.receive("resume all");
    assert_eq!(
        session.sent(),
        [Outgoing::binary(b"1"), Outgoing::binary(b"2")]
    );
}

#[test]
fn timers_and_deadlines_keep_their_time() {
    let host = TestHost::new(plugin());
    let session = host.open("obedient");
    session.receive("timer");
    host.advance(Duration::from_millis(1));
    assert_eq!(session.sent(), []);
    host.advance(Duration::from_millis(1));
    assert_eq!(session.sent(), texts(["TimerId(7)"]));
    session.receive("timer");
    session.receive("no timer");
    session.receive("deadline");
    session.receive("no deadline");
    host.advance(Duration::from_secs(1));
    assert_eq!(session.sent(), []);
    session.receive("deadline");
    host.advance(Duration::from_secs(1));
    let ending = session.ending().expect("the deadline");
    assert_eq!(
        (ending.code, ending.reason.as_str()),
        (CloseCode::POLICY, "too late")
    );
}

#[test]
fn a_full_session_is_writable_later() {
    let host = TestHost::new(plugin());
    let session = host.open("obedient");
    session.set_full(true);
    session.receive("many");
    assert_eq!(session.sent(), []);
    session.set_full(false);
    assert_eq!(session.sent(), texts(["writable"]));
}

#[test]
fn a_broadcast_reaches_all_and_closes_the_slow() {
    let host = TestHost::new(plugin());
    let (one, two, slow) = (
        host.open("obedient"),
        host.open("obedient"),
        host.open("obedient"),
    );
    slow.set_full(true);
    one.receive("hear me");
    assert_eq!(one.sent(), texts(["hear me"]));
    assert_eq!(two.sent(), texts(["hear me"]));
    assert_eq!(
        slow.ending().expect("closed").code,
        CloseCode::TRY_AGAIN_LATER
    );
    one.receive("count");
    assert_eq!(one.sent(), texts(["2"]));
}

#[test]
fn a_handle_works_from_any_thread_and_is_stale_after_the_end() {
    let (sender, handles) = mpsc::sync_channel(8);
    HANDLES.set(Some(sender));
    let host = TestHost::new(plugin());
    let session = host.open("obedient");
    let handle = handles.recv().expect("a session was opened");
    let posts = thread::spawn(move || {
        [
            handle.send("from afar"),
            handle.notify(b"note"),
            handle.ask_writable(),
            handle.ping(b"ping"),
            handle.pause(),
            handle.resume(),
        ]
    });
    assert_eq!(posts.join().expect("no panic"), [Ok(()); 6]);
    host.turn();
    assert_eq!(
        session.sent(),
        [
            Outgoing::text("from afar"),
            Outgoing::binary(b"note"),
            Outgoing::Ping(b"ping".to_vec()),
            Outgoing::text("writable"),
        ]
    );
    assert_eq!(handle.close(CloseCode::NORMAL, ""), Ok(()));
    host.turn();
    assert_eq!(handle.id().get(), session.id());
    assert_eq!(handle.send("too late"), Err(PostError::Stale));
    assert_eq!(handle.hang_up(), Err(PostError::Stale));
}
