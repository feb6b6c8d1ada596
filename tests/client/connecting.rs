//! Sessions that a plugin has opened.

use rustix::process::Signal;
use serde_json::json;

use super::{Caller, liar::Liar, upstream, url};
use crate::support::frame::TEXT;
use crate::support::plugins::{echo, plugin};
use crate::support::{Config, Frame, Setup};

#[test]
fn seed_7_1_a_plugin_opens_a_connection_to_a_server_and_talks_to_it() {
    let upstream = upstream();
    let mut caller = Caller::start();
    let url = url(&upstream, "/echo");
    caller.connect(&json!({"url": url, "say": ["one", "two"]}));
    caller.expect(&format!("open Client {url} None None None"));
    caller.expect("text one");
    caller.expect("text two");
}

#[test]
fn seed_7_2_subprotocols_are_offered_and_the_one_that_the_server_chooses_is_told() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    let mut open = Vec::new();
    for (offered, chosen) in [
        (&["chat", "echo"][..], Some("echo")),
        (&["chat"], None),
        (&[], None),
    ] {
        caller.connect(&json!({"url": liar.url("/a"), "subprotocols": offered}));
        let mut asked = liar.accept();
        let said = (!offered.is_empty()).then(|| offered.join(", "));
        assert_eq!(asked.field("Sec-WebSocket-Protocol"), said.as_deref());
        let field = chosen.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        asked.open(&field.unwrap_or_default());
        let told = caller.told();
        assert!(told.ends_with(&format!("{chosen:?} None None")), "{told}");
        open.push(asked);
    }
    caller.connect(&json!({"url": liar.url("/a"), "subprotocols": ["chat"]}));
    liar.accept().open("Sec-WebSocket-Protocol: other\r\n");
    let told = caller.told();
    assert!(told.starts_with("error Handshake"), "{told}");
    assert!(told.contains("`other`, which was not offered"), "{told}");
}

#[test]
fn seed_7_4_the_caller_brings_a_value_which_its_session_has_or_which_is_dropped_once() {
    let upstream = upstream();
    let mut caller = Caller::start();
    // It is told by the value what to say and whom to tell.
    caller.connect(&json!({"url": url(&upstream, "/echo"), "say": ["a", "b"], "thread": true}));
    caller.told();
    caller.expect("text a");
    caller.expect("text b");
    caller.boss.text("orders");
    caller.expect("1");
    caller.connect(&json!({"url": url(&upstream, "/nowhere")}));
    assert!(caller.told().starts_with("error Status Some(404) 1 false"));
    for _ in 0..100 {
        caller.boss.text("orders");
        if caller.told() == "1" {
            break;
        }
    }
    drop(upstream);
    assert!(caller.told().starts_with("closed "));
    caller.expect_no_orders();
}

#[test]
fn seed_7_5_a_request_says_host_origin_fields_and_times_and_what_is_wrong_with_it_at_once() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({
        "url": liar.url("/a?b=c"), "host": "other.example", "origin": "https://page.example",
        "fields": {"Authorization": "Bearer x"}, "within_ms": 100,
    }));
    let asked = liar.accept();
    assert!(
        asked.head.starts_with("GET /a?b=c HTTP/1.1\r\n"),
        "{}",
        asked.head
    );
    for (name, value) in [
        ("Host", "other.example"),
        ("Origin", "https://page.example"),
        ("Authorization", "Bearer x"),
        ("Sec-WebSocket-Version", "13"),
    ] {
        assert_eq!(asked.field(name), Some(value), "{}", asked.head);
    }
    let told = caller.told();
    assert!(told.starts_with("error Handshake None 1 true"), "{told}");
    assert!(told.contains("no answer in time"), "{told}");
    for (order, said) in [
        (json!({"url": "nowhere"}), "nowhere"),
        (json!({"url": "ws://h", "fields": {"Host": "x"}}), "Host"),
        (json!({"url": "ws://h", "subprotocols": ["a b"]}), "a b"),
        (json!({"url": "ws://h", "proxy": "socks5://p:1"}), "socks5"),
    ] {
        caller.boss.text(&order.to_string());
        let told = caller.told();
        assert!(
            told.starts_with("refused Request") && told.contains(said),
            "{told}"
        );
    }
    caller.expect_no_orders();
}

#[test]
fn seed_7_7_a_session_of_ours_opens_by_the_same_hook_with_the_role_of_a_client() {
    let upstream = upstream();
    let mut caller = Caller::start();
    let url = url(&upstream, "/echo");
    caller.connect(&json!({"url": url}));
    caller.expect(&format!("open Client {url} None None None"));
    // The same protocol, with the other role.
    let mut other = caller.server.open("/caller");
    other.text("orders");
    assert_eq!(other.frame(), Frame::text("1"));
}

#[test]
fn seed_7_10_own_fields_go_along_with_the_opening_handshake() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    let fields = json!({"X-One": "1", "X-Two": "two words"});
    caller.connect(&json!({"url": liar.url("/"), "fields": fields}));
    let asked = liar.accept();
    assert_eq!(asked.field("X-One"), Some("1"));
    assert_eq!(asked.field("X-Two"), Some("two words"));
}

#[test]
fn seed_7_11_messages_of_a_server_come_by_the_same_hook_and_ours_are_masked() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/"), "say": ["hello"]}));
    let mut asked = liar.accept();
    asked.open("X-Server: liar\r\n");
    let told = caller.told();
    assert!(told.ends_with("Some(\"liar\")"), "{told}");
    assert_eq!(asked.frame(), (TEXT, b"hello".to_vec()));
    asked.send(&Frame::text("hi"));
    caller.expect("text hi");
    asked.send(&Frame::binary([7; 70]));
    caller.expect("binary 70");
    asked.send(&Frame::text("bye"));
    let (opcode, payload) = asked.frame();
    assert_eq!((opcode, &payload[..]), (8, &b"\x0f\xa1as told"[..]));
    asked.send(&Frame::close(4001, ""));
    assert!(caller.told().starts_with("closed 4001"));
    caller.expect_no_orders();
}

#[test]
fn a_masked_frame_of_a_server_fails_the_session() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/")}));
    let mut asked = liar.accept();
    asked.open("");
    caller.told();
    let masked = Frame::text("x").masked();
    std::io::Write::write_all(&mut asked.stream, &masked).expect("it listens");
    assert!(caller.told().starts_with("closed 1002"));
}

#[test]
fn a_broadcast_reaches_the_sessions_that_we_have_opened_too() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/")}));
    let mut asked = liar.accept();
    asked.open("");
    caller.told();
    caller.boss.text("cast");
    assert_eq!(asked.frame(), (TEXT, b"to all".to_vec()));
    caller.expect("to all");
}

#[test]
fn what_an_instance_asks_for_when_it_is_made_is_begun_when_it_serves() {
    let liar = Liar::new();
    let config = Config::new().options("caller", json!({"at_start": liar.url("/start")}));
    let setup = Setup::new().plugin(&echo()).plugin(&plugin("caller"));
    let server = setup.config(&config).start();
    let mut asked = liar.accept();
    assert!(asked.head.starts_with("GET /start "), "{}", asked.head);
    asked.open("");
    assert_eq!(asked.frame(), (TEXT, b"at start".to_vec()));
    // Drained, it says goodbye as a server does.
    server.signal(Signal::TERM);
    assert_eq!(asked.frame().0, 8);
}

#[test]
fn above_the_limit_of_client_connections_a_request_is_refused_until_one_has_ended() {
    let liar = Liar::new();
    let config = Config::new().limit("client_connections_count", 1);
    let mut caller = Caller::of(Setup::new().plugin(&plugin("caller")).config(&config));
    caller.connect(&json!({"url": liar.url("/")}));
    let asked = liar.accept();
    caller.boss.text(&json!({"url": liar.url("/")}).to_string());
    let told = caller.told();
    assert!(
        told.contains("Full") && told.contains("client_connections_count"),
        "{told}"
    );
    drop(asked);
    assert!(caller.told().starts_with("error "));
    caller.expect_no_orders();
    caller.connect(&json!({"url": liar.url("/")}));
}

#[test]
fn those_above_the_limit_of_dials_wait_for_their_turn() {
    let liar = Liar::new();
    let config = Config::new().limit("client_dials_count", 1);
    let setup = Setup::new().plugin(&plugin("caller")).config(&config);
    let mut caller = Caller::of(setup.threads(1));
    caller.connect(&json!({"url": liar.url("/first")}));
    let number = caller.connect(&json!({"url": liar.url("/second")}));
    caller.connect(&json!({"url": liar.url("/third")}));
    let mut first = liar.accept();
    assert!(first.head.starts_with("GET /first "));
    caller.boss.text(&format!("give up {number}"));
    let told = caller.told();
    assert!(told.contains("nobody wants it any more"), "{told}");
    first.open("");
    assert!(caller.told().starts_with("open "));
    assert!(liar.accept().head.starts_with("GET /third "));
}
