//! Connections that cannot be opened, and what follows.

use std::net::TcpListener;

use serde_json::json;

use super::{Caller, liar::Liar, upstream, url};

#[test]
fn seed_7_8_the_protocol_is_told_how_far_it_came_and_what_the_server_said() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/")}));
    liar.accept()
        .answer("403 Forbidden", "X-Server: liar\r\n", "members only");
    let told = caller.told();
    let expected = "error Status Some(403) 1 false [liar] [members only] opening handshake: the server answered with \
                    status 403 in place of 101";
    assert_eq!(told, expected);

    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = closed.local_addr().expect("bound");
    drop(closed);
    caller.connect(&json!({"url": format!("ws://{nobody}/")}));
    let told = caller.told();
    assert!(
        told.starts_with("error Connect None 1 true [] [] connecting: "),
        "{told}"
    );

    caller.connect(&json!({"url": "ws://nowhere.invalid/"}));
    assert!(caller.told().starts_with("error Resolve None 1 true"));

    caller.connect(&json!({"url": liar.url("/")}));
    liar.accept().say("SSH-2.0-liar\r\n");
    assert!(caller.told().starts_with("error Handshake None 1 false"));
    caller.expect_no_orders();
}

#[test]
fn seed_7_6_a_connection_that_failed_is_led_elsewhere_with_its_value_and_number() {
    let (upstream, liar) = (upstream(), Liar::new());
    let mut caller = Caller::start();
    let there = url(&upstream, "/echo");
    let order = json!({"url": liar.url("/"), "on_error": [format!("to {there}")], "say": ["x"]});
    caller.connect(&order);
    liar.accept().answer("404 Not Found", "", "");
    assert!(caller.told().starts_with("error Status Some(404) 1"));
    caller.expect(&format!("open Client {there} None None None"));
    caller.expect("text x");
}

#[test]
fn a_request_in_place_of_another_that_makes_no_sense_gives_up() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/"), "on_error": ["to nowhere"]}));
    liar.accept().answer("404 Not Found", "", "");
    assert!(caller.told().starts_with("error Status Some(404) 1"));
    let line = caller.server.await_log(0, |line| line.is_error());
    assert!(line.mentions("nowhere"), "{line:?}");
    caller.expect_no_orders();
}

#[test]
fn a_protocol_has_it_tried_again_and_gives_up() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    let on_error = ["again 1", "again 20", "give up"];
    caller.connect(&json!({"url": liar.url("/"), "on_error": on_error, "retries": 9}));
    for nth in 1..=3 {
        liar.accept().answer("503 Service Unavailable", "", "");
        let told = caller.told();
        let begin = format!("error Status Some(503) {nth} true");
        assert!(told.starts_with(&begin), "{told}");
    }
    caller.expect_no_orders();
}

#[test]
fn a_request_is_tried_again_as_often_as_it_says_after_what_may_pass() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    caller.connect(&json!({"url": liar.url("/"), "retries": 2, "retry_ms": 5}));
    for _ in 0..2 {
        drop(liar.accept());
        assert!(caller.told().starts_with("error Handshake None"));
    }
    let mut asked = liar.accept();
    asked.open("");
    assert!(caller.told().starts_with("open "));
    caller.connect(&json!({"url": liar.url("/"), "retries": 2, "retry_ms": 5}));
    liar.accept().answer("401 Unauthorized", "", "");
    assert!(caller.told().starts_with("error Status Some(401) 1 false"));
    drop(asked);
    assert!(caller.told().starts_with("closed 1006"));
    caller.expect_no_orders();
}

#[test]
fn seed_7_9_the_last_look_at_the_answer_may_refuse_it() {
    let liar = Liar::new();
    let mut caller = Caller::start();
    let order = json!({"url": liar.url("/"), "needs": "X-Server"});
    caller.connect(&order);
    let mut asked = liar.accept();
    asked.open("X-Other: 1\r\n");
    let told = caller.told();
    assert!(
        told.starts_with("error Handshake Some(101) 1 false"),
        "{told}"
    );
    assert!(told.contains("the answer has no X-Server"), "{told}");
    caller.expect_no_orders();
    caller.connect(&order);
    liar.accept().open("X-Server: 1\r\n");
    assert!(caller.told().starts_with("open Client"));
}
