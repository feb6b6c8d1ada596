//! A panic in any hook of an exchange ends that exchange and is told with its place. One test: the panic hook is the
//! process's.

use std::{panic, time::Duration};

use hotsocket_plugin::{
    prelude::*,
    testing::{TestExchange, TestHost, TestRequest},
};

/// Panics in the hook that its path names.
struct Grenade {
    place: String,
}

struct Grenades;

impl HttpInstance for Grenades {
    type Exchange = Grenade;
    type Options = bool;
    type Thread = ();

    fn new(_host: &Host, panics: bool) -> Result<Self, PluginError> {
        assert!(!panics, "in new");
        Ok(Self)
    }

    fn thread(&self, _host: &Host) {}

    fn open(&self, exchange: &mut Exchange) -> Result<Grenade, PluginError> {
        let place = exchange.path_below().to_owned();
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

impl HttpHandler for Grenade {
    const NAME: &'static str = "grenade";

    fn on_request(&mut self, exchange: &mut Exchange) {
        exchange.set_timer(TimerId(1), Duration::from_millis(1));
        exchange.ask_writable();
        exchange.handle().notify(b"").expect("it is under way");
        self.explode_in("on_request");
    }

    fn on_body(&mut self, _exchange: &mut Exchange, _body: BodyPiece<'_>) {
        self.explode_in("on_body");
    }

    fn on_writable(&mut self, _exchange: &mut Exchange) {
        self.explode_in("on_writable");
    }

    fn on_notify(&mut self, _exchange: &mut Exchange, _payload: &[u8]) {
        self.explode_in("on_notify");
    }

    fn on_timer(&mut self, exchange: &mut Exchange, _timer: TimerId) {
        self.explode_in("on_timer");
        exchange.respond_file("/srv/a.txt", Fields::new());
        self.explode_in("on_timer, answered");
    }

    fn on_sent(&mut self, _exchange: &mut Exchange, _outcome: FileSent) {
        self.explode_in("on_sent");
    }

    fn on_end(&mut self, _exchange: &mut Exchange, _end: &ExchangeEnd<'_>) {
        self.explode_in("on_end");
        // No hook follows one that has panicked, so this adds nothing to what is told.
        self.explode_in("on_sent");
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        self.explode_in("drop");
        // A drop that panics after a panic in a hook.
        self.explode_in("on_request");
    }
}

export_plugin!(http: Grenades);

/// Lets everything happen to an exchange.
fn live(host: &TestHost, place: &str) -> TestExchange {
    let request = TestRequest::get(&format!("/{place}")).mounted_at("/");
    let exchange = host.request("grenade", request);
    host.advance(Duration::from_millis(1));
    if exchange.file().is_some() {
        exchange.file_sent(FileSent::Sent);
    }
    exchange
}

#[test]
fn a_panic_in_any_hook_is_told_with_its_place_and_ends_one_exchange() {
    let host = TestHost::loaded(plugin());
    let refused = host.configure("grenade", "true");
    host.configure("grenade", "false").expect("it takes false");

    let hooks = [
        "open",
        "on_request",
        "on_body",
        "on_writable",
        "on_notify",
        "on_timer",
        "on_timer, answered",
        "on_sent",
        "on_end",
        "drop",
    ];
    let witness = host.request("grenade", TestRequest::get("/nowhere"));
    let lives: Vec<_> = hooks
        .iter()
        .map(|hook| (*hook, live(&host, hook)))
        .collect();
    let refused_exchange = live(&host, "refuse");
    // From here on a failed assertion is to be seen.
    let _ = panic::take_hook();

    let refused = refused.expect_err("it panics");
    assert!(refused.ends_with(": in new"), "{refused}");
    for (hook, exchange) in &lives {
        let failures = exchange.failures();
        let first = failures.first().expect(hook);
        assert!(
            first.starts_with("panicked at plugin-api/tests/http_panics.rs:"),
            "{hook}: {first}"
        );
        assert!(first.contains(&format!("in {hook}")), "{hook}: {first}");
        let expected = if *hook == "on_request" { 2 } else { 1 };
        assert_eq!(failures.len(), expected, "{hook}");

        let is_answered = ["on_timer, answered", "on_sent", "on_end", "drop"].contains(hook);
        let status = if is_answered { 200 } else { 500 };
        assert_eq!(exchange.status(), Some(status), "{hook}");
        assert_eq!(
            exchange.is_cut_off(),
            *hook == "on_timer, answered",
            "{hook}"
        );
        let is_harmless = ["on_sent", "on_end", "drop"].contains(hook);
        let by = exchange.ending().expect(hook).by;
        assert_eq!(by == EndedBy::Answer, is_harmless, "{hook}: {by:?}");
    }
    assert_eq!(refused_exchange.failures(), ["no such room"]);
    assert_eq!(refused_exchange.status(), Some(500));
    assert_eq!(witness.ending(), None);
    assert_eq!(witness.failures(), [""; 0]);
}
