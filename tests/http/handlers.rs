//! What a plugin's HTTP handler is told, and what becomes of what it answers.

use std::fs;

use serde_json::{Value, json};

use super::answer::Answer;
use super::peer::{HttpPeer, request};
use super::site::{A_TXT, Site, pattern};
use crate::support::plugins::plugin;
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, RawPeer, Setup};

/// A site with the probe at `/probe`, and the one that takes whole bodies at `/whole`.
pub(crate) fn site(config: Config) -> Site {
    let config = config
        .mount("/probe", json!({"protocol": "http_probe"}))
        .mount("/whole", json!({"protocol": "http_whole"}));
    Site::start(Setup::new().plugin(&plugin("http_probe")), config)
}

/// The same without anything else.
pub(crate) fn probes() -> Site {
    site(Config::new())
}

/// An answer that is JSON.
pub(crate) fn value(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.content).expect("an object")
}

/// Waits until the probe was told so.
fn await_told(site: &Site, what: &Value) {
    eventually(&what.to_string(), DEADLINE, || {
        let told = value(&site.ask("GET", "/probe/told", ""));
        told.as_array().is_some_and(|told| told.contains(what))
    });
}

#[test]
fn seed_4_2_only_the_protocol_that_the_config_names_sees_a_request() {
    let setup = Setup::new().plugin(&plugin("http_probe"));
    let config = Config::new().mount("/whole", json!({"protocol": "http_whole"}));
    let config = config.key("default_http", "http_probe");
    let server = setup.config(&config).start();
    let mut peer = HttpPeer::connect(server.address());
    // What no mount takes, with all of the path.
    for target in ["/facts", "/facts?a"] {
        let facts = value(&peer.ask("GET", target, ""));
        assert_eq!(facts["protocol"], "http_probe", "{target}");
        assert_eq!(facts["mountpoint"], "/", "{target}");
    }
    assert_eq!(value(&peer.ask("GET", "/whole", ""))["bytes"], 0);
    assert_eq!(
        peer.ask("GET", "/other", "").text(),
        "no such thing to probe"
    );
    let told = value(&peer.ask("GET", "/told", ""));
    let told = told.as_array().expect("a list");
    assert!(told.iter().all(|told| told["at"] != "/whole"), "{told:?}");
}

#[test]
fn seed_4_2_without_a_word_in_the_config_no_handler_sees_a_request() {
    let setup = Setup::new().plugin(&plugin("http_probe"));
    let server = setup.config(&Config::new()).start();
    for target in ["/facts", "/http_probe/facts", "/http_probe"] {
        let mut peer = HttpPeer::connect(server.address());
        assert_ne!(peer.ask("GET", target, "").status, 200, "{target}");
    }
}

#[test]
fn seed_4_4_a_handler_is_told_of_a_request_and_may_end_the_connection_with_its_answer() {
    let site = probes();
    let mut peer = site.peer();
    let facts = value(&peer.ask("GET", "/probe/facts?a=b%20c&a=d", ""));
    for (fact, expected) in [
        ("method", json!("GET")),
        ("target", json!("/probe/facts?a=b%20c&a=d")),
        ("path", json!("/probe/facts")),
        ("mountpoint", json!("/probe")),
        ("below", json!("/facts")),
        ("query", json!("a=b%20c&a=d")),
        ("pairs", json!([["a", "b c"], ["a", "d"]])),
        ("authority", json!("test")),
        ("minor", json!(1)),
        ("content_length", json!(0)),
        ("local", json!(site.address().to_string())),
        ("protocol", json!("http_probe")),
        ("id", json!(8)),
        ("number", json!(1)),
        ("encrypted", json!(false)),
    ] {
        assert_eq!(facts[fact], expected, "{fact}");
    }
    let own = peer
        .transport()
        .local_addr()
        .expect("connected")
        .to_string();
    assert_eq!(facts["peer"], json!(own));
    assert_eq!(value(&peer.ask("DELETE", "/probe/facts", ""))["number"], 2);
    let answer = peer.ask("GET", "/probe/close", "");
    assert!(answer.closes(), "{answer:?}");
    assert_eq!(answer.text(), "the last one");
    peer.expect_end();
}

#[test]
fn seed_4_5_the_path_is_known_to_an_exchange_and_to_a_session() {
    let site = probes();
    let facts = value(&site.ask("GET", "/probe/facts?q", ""));
    assert_eq!(
        (&facts["path"], &facts["query"]),
        (&json!("/probe/facts"), &json!("q"))
    );
    let mut peer = RawPeer::open(site.address(), "/http_probe?q");
    assert_eq!(peer.ask("where"), "/http_probe Some(\"q\")");
    assert_eq!(peer.ask("and later"), "/http_probe Some(\"q\")");
}

#[test]
fn seed_4_6_a_handler_answers_with_a_file_and_fields_of_its_own() {
    let site = probes();
    let mut peer = site.peer();
    let file = site.file("a.txt").display().to_string();
    let target = format!("/probe/file?{file}");
    let answer = peer.ask("GET", &target, "");
    assert_eq!((answer.status, answer.text()), (200, A_TXT));
    assert_eq!(answer.field("X-From"), Some("probe"));
    assert_eq!(
        answer.field("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    let tag = answer.field("ETag").expect("a tag").to_owned();
    let answer = peer.ask("GET", &target, "Range: bytes=1-2\r\n");
    assert_eq!((answer.status, answer.text()), (206, "bc"));
    let answer = peer.ask("GET", &target, &format!("If-None-Match: {tag}\r\n"));
    assert_eq!(answer.status, 304);
    let head = peer.ask("HEAD", &target, "");
    assert_eq!(head.field("Content-Length"), Some("26"));
    let answer = peer.ask("GET", &format!("/probe/typed-file?{file}"), "");
    assert_eq!(answer.field("Content-Type"), Some("text/x-probe"));
    assert_eq!(
        peer.ask("GET", "/probe/file?/nothing/there", "").status,
        404
    );
    peer.expect_open();
}

#[test]
fn seed_4_7_seed_4_8_what_became_of_a_file_is_told_when_it_has_left() {
    let site = probes();
    fs::write(site.file("long.bin"), pattern(32 << 20)).expect("a fresh file");
    let long = format!("/probe/file?{}", site.file("long.bin").display());
    let mut peer = site.peer();
    peer.send(request("GET", &long, ""));
    assert_eq!(peer.head().status, 200);
    let told = value(&site.ask("GET", "/probe/told", ""));
    let sent = |told: &Value| told["at"] == "/probe/file" && !told["sent"].is_null();
    assert!(!told.as_array().expect("a list").iter().any(sent), "{told}");
    assert!(
        peer.take(32 << 20) == pattern(32 << 20),
        "the content is another"
    );
    await_told(&site, &json!({"at": "/probe/file", "sent": "Sent"}));
    peer.expect_open();

    let mut leaving = site.peer();
    leaving.send(request("GET", &long, ""));
    leaving.head();
    drop(leaving);
    await_told(&site, &json!({"at": "/probe/file", "sent": "Failed"}));
    site.ask("GET", "/probe/file?/nothing/there", "");
    await_told(&site, &json!({"at": "/probe/file", "sent": "NotFound"}));
}

#[test]
fn seed_4_9_an_answer_is_streamed_as_the_peer_takes_it() {
    let site = probes();
    let mut peer = site.peer();
    let answer = peer.ask("GET", "/probe/stream?200", "");
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(answer.content.len(), 200 * (64 << 10));
    assert!(answer.content.iter().all(|byte| *byte == b'.'));
    assert_eq!(answer.trailer, [("X-Sent".to_owned(), "200".to_owned())]);
    let answer = peer.ask("GET", "/probe/exact?5", "");
    assert_eq!(
        (answer.field("Content-Length"), answer.text()),
        (Some("5"), "xxxxx")
    );
    assert_eq!(peer.ask("HEAD", "/probe/stream?3", "").content, b"");
    peer.expect_open();

    let mut old = site.peer();
    old.send("GET /probe/stream?3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = old.answer();
    assert_eq!(answer.field("Transfer-Encoding"), None);
    assert_eq!(answer.content.len(), 3 * (64 << 10));
    old.expect_end();
}

#[test]
fn seed_4_9_a_peer_that_does_not_read_holds_up_its_stream_and_nobody_else() {
    let site = probes();
    site.assert_serves();
    site.process().forget_peak();
    let before = site.process().peak_bytes();
    let mut peer = site.peer();
    // 256 MiB.
    peer.send(request("GET", "/probe/stream?4096", ""));
    assert_eq!(peer.head().status, 200);
    for _ in 0..100 {
        site.assert_serves();
        assert_eq!(site.ask("GET", "/probe/status?204", "").status, 204);
    }
    let grown = site.process().peak_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
    drop(peer);
    eventually("its end is told", DEADLINE, || {
        let told = value(&site.ask("GET", "/probe/told", ""));
        let told = told.as_array().expect("a list").iter();
        let mut streams = told.filter(|told| told["at"] == "/probe/stream");
        streams.any(|told| told["by"] == "Peer")
    });
}

#[test]
fn seed_4_11_the_end_of_each_exchange_is_told_once() {
    let site = probes();
    for (target, by, status, bytes) in [
        ("/probe/status?200", "Answer", json!(200), 7),
        ("/probe/short", "Handler", json!(200), 5),
        ("/probe/abort", "Handler", Value::Null, 0),
    ] {
        let mut peer = site.peer();
        peer.send(request("GET", target, "Connection: close\r\n"));
        peer.rest();
        let at = target.split('?').next();
        await_told(
            &site,
            &json!({"at": at, "by": by, "status": status, "bytes": bytes}),
        );
    }
    let mut leaving = site.peer();
    leaving.send(request("GET", "/probe/never", ""));
    drop(leaving);
    await_told(
        &site,
        &json!({"at": "/probe/never", "by": "Peer", "status": null, "bytes": 0}),
    );
    let told = value(&site.ask("GET", "/probe/told", ""));
    for at in [
        "/probe/status",
        "/probe/short",
        "/probe/abort",
        "/probe/never",
    ] {
        let ends = told.as_array().expect("a list").iter();
        let ends = ends.filter(|told| told["at"] == at && told.get("by").is_some());
        assert_eq!(ends.count(), 1, "{at}: {told}");
    }
}

#[test]
fn seed_4_13_a_handler_answers_with_any_status_and_text() {
    let site = probes();
    let mut peer = site.peer();
    for status in [200, 204, 304, 400, 404, 418, 451, 500, 503, 599] {
        let answer = peer.ask("GET", &format!("/probe/status?{status}"), "");
        assert_eq!(answer.status, status);
        if ![204, 304].contains(&status) {
            assert_eq!(answer.text(), "as told");
        }
    }
    let answer = peer.ask("GET", "/probe/moved", "");
    assert_eq!(
        (answer.status, answer.field("Location")),
        (303, Some("/elsewhere"))
    );
    for none in [0, 99, 100, 101, 600, 999] {
        let answer = peer.ask("GET", &format!("/probe/status?{none}"), "");
        assert_eq!(answer.status, 500, "{none} is no status of an answer");
        if answer.closes() {
            peer = site.peer();
        }
    }
}

#[test]
fn seed_4_16_any_field_is_read_by_its_name_also_one_that_nobody_knows() {
    let site = probes();
    let mut peer = site.peer();
    let fields = "X-Custom: one\r\nCookie: a=b; c=\r\nX-Empty:\r\n";
    for (name, expected) in [
        ("X-Custom", "one"),
        ("x-cUSTOM", "one"),
        ("cookie", "a=b; c="),
        ("X-Empty", ""),
        ("host", "test"),
    ] {
        let answer = peer.ask("GET", &format!("/probe/header?{name}"), fields);
        assert_eq!((answer.status, answer.text()), (200, expected), "{name}");
    }
    assert_eq!(peer.ask("GET", "/probe/header?X-Other", fields).status, 404);
    let all = value(&peer.ask("GET", "/probe/all", fields));
    let expected = json!([
        ["Host", "test"],
        ["X-Custom", "one"],
        ["Cookie", "a=b; c="],
        ["X-Empty", ""]
    ]);
    assert_eq!(all, expected);
}

#[test]
fn seed_4_17_all_values_of_a_field_come_in_their_order() {
    let site = probes();
    let fields = "A: 1\r\nB: x\r\na: 2\r\nA: 3, 4\r\n";
    let values = value(&site.ask("GET", "/probe/headers?A", fields));
    assert_eq!(values, json!(["1", "2", "3, 4"]));
    assert_eq!(
        value(&site.ask("GET", "/probe/headers?C", fields)),
        json!([])
    );
}

#[test]
fn an_exchange_is_woken_by_its_handle_and_by_its_timer() {
    let site = probes();
    let mut waiting = site.peer();
    waiting.send(request("GET", "/probe/wait", ""));
    eventually("it waits", DEADLINE, || {
        site.ask("GET", "/probe/wake?good+morning", "").text() == "Some(Ok(()))"
    });
    assert_eq!(waiting.answer().text(), "good+morning");
    eventually("its handle says that it has ended", DEADLINE, || {
        let late = site.ask("GET", "/probe/wake?again", "");
        late.text().starts_with("Some(Err(")
    });
    waiting.expect_open();
    assert_eq!(
        waiting.ask("GET", "/probe/timer?20", "").text(),
        "it is time"
    );
    waiting.expect_open();
}

#[test]
fn answers_come_in_the_order_of_their_requests_also_if_the_first_is_slow() {
    let site = probes();
    let mut peer = site.peer();
    peer.send(request("GET", "/probe/timer?200", "") + &request("GET", "/a.txt", ""));
    peer.send(request("GET", "/probe/status?202", ""));
    assert_eq!(peer.answer().text(), "it is time");
    assert_eq!(peer.answer().text(), A_TXT);
    assert_eq!(peer.answer().status, 202);
}
