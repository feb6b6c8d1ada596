//! A panic in any hook ends that hook and is told with its place. One test: the panic hook is the process's.

use std::{panic, thread, time::Duration};

use hotsocket_plugin::{
    prelude::*,
    testing::{Handshake, TestHost, TestSession},
};

/// Panics in the hook that its path names.
struct Grenade {
    place: String,
}

struct Grenades;

impl Instance for Grenades {
    type Session = Grenade;
    type Options = bool;
    type Thread = ();

    fn new(_host: &Host, panics: bool) -> Result<Self, PluginError> {
        assert!(!panics, "in new");
        Ok(Self)
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, session: &mut Session) -> Result<Grenade, PluginError> {
        let place = session.path().to_owned();
        match place.as_str() {
            "open" => panic!("in {place}"),
            "refuse" => Err(PluginError::new("no such room")),
            _ => Ok(Grenade { place }),
        }
    }
}

impl Grenade {
    fn explode_in(&self, hook: &str) {
        assert_ne!(self.place, hook, "in {hook}");
    }
}

impl Protocol for Grenade {
    const NAME: &'static str = "grenade";
    const PONGS: bool = true;

    fn on_open(&mut self, session: &mut Session) {
        session.set_timer(TimerId(1), Duration::from_millis(1));
        self.explode_in("on_open");
    }

    fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
        match message.as_text() {
            Some("writable") => session.ask_writable(),
            Some("notify") => session.handle().notify(b"").expect("it is open"),
            Some("thread") => {
                let thread = thread::Builder::new().name("worker".to_owned());
                let worker = thread.spawn(|| panic!("in a thread")).expect("it starts");
                assert!(worker.join().is_err());
            }
            _ => self.explode_in("on_message"),
        }
    }

    fn on_writable(&mut self, _session: &mut Session) {
        self.explode_in("on_writable");
    }

    fn on_timer(&mut self, _session: &mut Session, _timer: TimerId) {
        self.explode_in("on_timer");
    }

    fn on_notify(&mut self, _session: &mut Session, _payload: &[u8]) {
        self.explode_in("on_notify");
    }

    fn on_pong(&mut self, _session: &mut Session, _payload: &[u8]) {
        self.explode_in("on_pong");
    }

    fn on_close(&mut self, _session: &mut Session, _close: &Close<'_>) {
        self.explode_in("on_close");
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        self.explode_in("drop");
        // A drop that panics after a panic in a hook.
        self.explode_in("on_open");
    }
}

export_plugin!(Grenades);

/// Lets everything happen to a session and tells how its hooks failed.
fn live(host: &TestHost, place: &str) -> TestSession {
    let session = host.open_as("grenade", Handshake::at(place));
    for message in ["writable", "notify", "hello"] {
        session.receive(message);
    }
    session.receive_pong(b"");
    host.advance(Duration::from_millis(1));
    session.receive_close(CloseCode::NORMAL, "");
    session
}

#[test]
fn a_panic_in_any_hook_is_told_with_its_place_and_ends_one_session() {
    let host = TestHost::loaded(plugin());
    let refused = host.configure("grenade", "true");
    host.configure("grenade", "false").expect("it takes false");

    let hooks = [
        "open",
        "on_open",
        "on_message",
        "on_writable",
        "on_timer",
        "on_notify",
        "on_pong",
        "on_close",
        "drop",
    ];
    let witness = host.open_as("grenade", Handshake::at("nowhere"));
    let lives: Vec<_> = hooks
        .iter()
        .map(|hook| (*hook, live(&host, hook)))
        .collect();
    let refused_session = live(&host, "refuse");
    witness.receive("thread");
    let logged = host.logged();
    // From here on a failed assertion is to be seen.
    let _ = panic::take_hook();

    let refused = refused.expect_err("it panics");
    assert!(
        refused.starts_with("panicked at plugin-api/tests/panics.rs:"),
        "{refused}"
    );
    assert!(refused.ends_with(": in new"), "{refused}");
    for (hook, session) in &lives {
        let failures = session.failures();
        let first = failures.first().expect(hook);
        assert!(
            first.starts_with("panicked at plugin-api/tests/panics.rs:"),
            "{hook}: {first}"
        );
        assert!(first.contains(&format!("in {hook}")), "{hook}: {first}");
        let code = session.ending().expect(hook).code;
        let harmless = ["on_close", "drop"].contains(hook);
        assert_eq!(code == CloseCode::INTERNAL_ERROR, !harmless, "{hook}");
        assert_eq!(
            failures.len(),
            if *hook == "on_open" { 2 } else { 1 },
            "{hook}"
        );
    }
    assert_eq!(refused_session.failures(), ["no such room"]);
    assert_eq!(witness.ending(), None);
    assert_eq!(witness.failures(), [""; 0]);
    let [line] = logged.as_slice() else {
        panic!("one line: {logged:?}");
    };
    assert!(
        line.starts_with("ERROR thread worker panicked at plugin-api/tests/panics.rs:"),
        "{line}"
    );
    assert!(line.ends_with(": in a thread"), "{line}");
}
