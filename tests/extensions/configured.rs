//! What the configuration says of extensions.

use rustix::process::Signal;
use serde_json::json;

use crate::support::deflate::json as text;
use crate::support::frame::TEXT;
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, DeflatePeer, RawPeer, Server, Setup};

/// The answer to this offer.
fn answer(server: &Server, offer: &str) -> Option<String> {
    let fields = [("Sec-WebSocket-Extensions", offer)];
    let (_, response) = RawPeer::open_with(server.address(), "/echo", &fields);
    response
        .field("sec-websocket-extensions")
        .map(str::to_owned)
}

fn setup() -> Setup {
    Setup::new()
        .plugin(&echo())
        .plugin(&plugin("lengthens"))
        .plugin(&permessage_deflate())
}

const OFFER: &str = "permessage-deflate, lengthens";
const NO_TAKEOVER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn seed_8_1_what_lies_in_the_directory_is_offered_without_a_configuration() {
    let server = setup().start();
    let answer = answer(&server, OFFER).expect("both");
    assert!(
        answer.contains("lengthens") && answer.contains(NO_TAKEOVER),
        "{answer}"
    );
}

#[test]
fn the_order_of_the_file_is_that_of_negotiation_and_others_are_offered_behind() {
    for (extensions, expected) in [
        (
            r#"{"lengthens": {}, "permessage-deflate": {}}"#,
            format!("lengthens, {NO_TAKEOVER}"),
        ),
        (
            r#"{"permessage-deflate": {}, "lengthens": {}}"#,
            format!("{NO_TAKEOVER}, lengthens"),
        ),
        (
            r#"{"permessage-deflate": {}}"#,
            format!("{NO_TAKEOVER}, lengthens"),
        ),
        (r#"{"lengthens": {}}"#, format!("lengthens, {NO_TAKEOVER}")),
    ] {
        let config = format!(r#"{{"extensions": {extensions}}}"#);
        let server = setup().config_text(&config).start();
        assert_eq!(answer(&server, OFFER), Some(expected), "{extensions}");
    }
}

#[test]
fn seed_8_2_offer_false_leaves_an_extension_out() {
    let config = Config::new().without_extension("permessage-deflate");
    let server = setup().config(&config).start();
    assert_eq!(answer(&server, OFFER).as_deref(), Some("lengthens"));
    assert_eq!(answer(&server, "permessage-deflate"), None);
}

#[test]
fn options_that_the_extension_refuses_are_told_and_the_others_are_served() {
    for (options, said) in [
        (json!({"level": 10}), "level"),
        (
            json!({"server_max_window_bits": 7}),
            "server_max_window_bits",
        ),
        (json!({"levle": 3}), "levle"),
        (json!({"takeover_keeps": "all"}), "takeover_keeps"),
    ] {
        let config = Config::new().extension("permessage-deflate", options);
        let server = setup().config(&config).start();
        let line = server.await_log(0, |line| line.is_error() && line.mentions(said));
        assert_eq!(line.text("plugin"), "permessage-deflate", "{line:?}");
        assert_ne!(line.text("version"), "", "{line:?}");
        assert_ne!(line.text("mend"), "", "{line:?}");
        assert_eq!(answer(&server, OFFER).as_deref(), Some("lengthens"));
        server.assert_echoes();
    }
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_place() {
    for (text, said) in [
        ("{\n  \"extensions\": {\"a\": {\"ofer\": true}}\n}", "offer"),
        ("{\n  \"extensions\": {\"a\": {\"offer\": 1}}\n}", "true"),
        ("{\n  \"extensions\": [\"a\"]\n}", "extensions"),
        ("{\n  \"extension\": {}\n}", "extensions"),
    ] {
        let output = Setup::new().config_text(text).run();
        assert_ne!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(":2:") && told.contains(said), "{told}");
    }
}

#[test]
fn changed_options_hold_for_new_connections_and_old_ones_keep_theirs() {
    let takeover = Config::new().extension(
        "permessage-deflate",
        json!({"server_context_takeover": true}),
    );
    let server = setup().config(&takeover).start();
    let mut old = DeflatePeer::open(server.address(), "/echo", "permessage-deflate");
    assert!(old.agreed.server_takeover, "{}", old.answer);
    old.echo(TEXT, &text(1, 1000));

    let narrow =
        Config::new().extension("permessage-deflate", json!({"server_max_window_bits": 10}));
    std::fs::write(server.config_file(), narrow.text()).expect("our own file");
    server.signal(Signal::HUP);
    eventually("new connections have a narrow window", DEADLINE, || {
        answer(&server, "permessage-deflate").is_some_and(|answer| answer.contains("bits=10"))
    });
    for _ in 0..3 {
        let received = old.echo(TEXT, &text(1, 1000));
        assert!(
            received.wire_bytes < 100,
            "the context is still there: {received:?}"
        );
    }

    let off = Config::new().without_extension("permessage-deflate");
    std::fs::write(server.config_file(), off.text()).expect("our own file");
    server.signal(Signal::HUP);
    eventually("it is not offered any more", DEADLINE, || {
        answer(&server, "permessage-deflate").is_none()
    });
    old.echo(TEXT, &text(1, 1000));
    old.peer.close();
}

#[test]
fn options_that_are_refused_on_reload_leave_all_as_it_was() {
    let server = setup().config(&Config::new()).start();
    let wrong = Config::new().extension("permessage-deflate", json!({"level": 0}));
    std::fs::write(server.config_file(), wrong.text()).expect("our own file");
    let mark = server.log().mark();
    server.signal(Signal::HUP);
    let line = server.await_log(mark, |line| line.is_error());
    assert!(
        line.mentions("level") || line.mentions("permessage-deflate"),
        "{line:?}"
    );
    assert!(answer(&server, OFFER).is_some_and(|answer| answer.contains(NO_TAKEOVER)));
}
