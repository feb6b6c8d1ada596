//! Plain requests of plugins.

use std::fs;

use serde_json::{Value, json};

use super::{
    Caller,
    liar::{Asked, Liar},
};
use crate::support::lines::LogLine;
use crate::support::plugins::plugin;
use crate::support::{Config, Setup};

impl Liar {
    fn http(&self, target: &str) -> String {
        format!("http://{}{target}", self.address())
    }
}

impl Caller {
    /// Has it send a request, and gives the number of it.
    fn ask(&mut self, order: &Value) -> u64 {
        self.boss.text(&order.to_string());
        let told = self.told();
        let number = told.strip_prefix("asking ");
        let number = number.and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("{told}"))
    }
}

/// One that closes no connection because the machine is slow, and has one service thread, so that all are kept by it.
fn patient() -> Caller {
    let config = Config::new().limit("client_idle_ms", 60_000);
    let setup = Setup::new().plugin(&plugin("caller")).config(&config);
    Caller::of(setup.threads(1))
}

fn answer(asked: &mut Asked, content: &str) {
    let length = content.len();
    asked.say(&format!(
        "HTTP/1.1 200 OK\r\nX-Server: liar\r\nContent-Length: {length}\r\n\r\n{content}"
    ));
}

#[test]
fn seed_7_12_a_plugin_sends_one_request_after_the_other_on_one_connection() {
    let (liar, mut caller) = (Liar::new(), patient());
    let url = liar.http("/one");
    let order = json!({"method": "GET", "url": url, "fields": {"X-Mine": "1"}});
    caller.ask(&order);
    let mut asked = liar.accept();
    assert!(asked.head.starts_with("GET /one HTTP/1.1\r\n"));
    assert_eq!(asked.field("X-Mine"), Some("1"));
    assert_eq!(asked.field("Host"), Some(&*liar.address().to_string()));
    answer(&mut asked, "first");
    for told in [
        &format!("head 200 [liar] 2 {url}"),
        "content first",
        "end {}",
        "dropped",
    ] {
        caller.expect(told);
    }
    let url = liar.http("/two");
    caller.ask(&json!({"method": "POST", "url": url, "body": "a=1"}));
    asked.next_head();
    assert!(asked.head.starts_with("POST /two HTTP/1.1\r\n"));
    assert_eq!(asked.field("Content-Length"), Some("3"));
    assert_eq!(asked.body(3), "a=1");
    asked.say(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    caller.expect(&format!("head 200 [] 1 {url}"));
    caller.expect("content second");
    caller.expect("end {\"X-Sum\": [55]}");
    caller.expect("dropped");
    caller.ask(&json!({"method": "GET", "url": url, "whole": true, "thread": true}));
    asked.next_head();
    answer(&mut asked, "third");
    caller.expect("whole 200 Some(\"third\")");
}

#[test]
fn a_plugin_streams_a_body_and_holds_back_an_answer() {
    let (liar, mut caller) = (Liar::new(), patient());
    let url = liar.http("/");
    let order =
        json!({"method": "PUT", "url": url, "chunks": ["hello ", "world"], "needs": "resume"});
    caller.ask(&order);
    let mut asked = liar.accept();
    assert_eq!(asked.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(asked.body(26), "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
    for told in [
        "writable",
        "sent Queued",
        "writable",
        "sent Queued",
        "writable",
        "finished Queued",
    ] {
        caller.expect(told);
    }
    answer(&mut asked, "taken");
    caller.expect(&format!("head 200 [liar] 2 {url}"));
    // It was paused with its head, and nobody resumes it: another request is answered meanwhile.
    let other = Liar::new();
    caller.ask(&json!({"method": "GET", "url": other.http("/"), "whole": true}));
    answer(&mut other.accept(), "other");
    caller.expect("whole 200 Some(\"other\")");
}

#[test]
fn a_plugin_is_told_what_became_of_its_request_and_what_makes_no_sense() {
    let (liar, mut caller) = (Liar::new(), patient());
    let url = liar.http("/");
    caller.ask(&json!({"method": "GET", "url": url}));
    drop(liar.accept());
    caller.expect("failed Request true waiting for the response: the server closed the connection without an answer");
    caller.expect("dropped");
    caller.ask(&json!({"method": "GET", "url": "http://nowhere.invalid/"}));
    assert!(
        caller
            .told()
            .starts_with("failed Way(Resolve) true looking up the host: ")
    );
    caller.expect("dropped");
    let number = caller.ask(&json!({"method": "GET", "url": url}));
    let _asked = liar.accept();
    caller.boss.text(&format!("give up {number}"));
    caller.expect("failed Request false waiting for the response: nobody wants it any more");
    caller.expect("dropped");
    caller.ask(&json!({"method": "GET", "url": url, "needs": "nothing"}));
    answer(&mut liar.accept(), "");
    caller.expect(&format!("head 200 [liar] 2 {url}"));
    caller.expect("failed Response false reading the response: nothing is needed");
    caller.expect("dropped");
    for (order, why) in [
        (
            json!({"method": "GET", "url": "ws://h/"}),
            "leads to a WebSocket",
        ),
        (json!({"method": "G T", "url": url}), "method `G T`"),
        (json!({"method": "GET", "url": "h"}), "the URL `h`"),
        (
            json!({"method": "GET", "url": url, "fields": {"Host": "x"}}),
            "field `Host`",
        ),
        (
            json!({"method": "GET", "url": url, "proxy": "socks5://p:1"}),
            "proxy",
        ),
    ] {
        caller.boss.text(&order.to_string());
        // The handler was never the host's.
        caller.expect("dropped");
        let told = caller.told();
        assert!(
            told.starts_with("refused Request(") && told.contains(why),
            "{told}"
        );
    }
}

#[test]
fn a_plugin_has_a_say_in_redirects_and_goes_through_proxies() {
    let (liar, mut caller) = (Liar::new(), patient());
    let url = liar.http("/a");
    caller.ask(&json!({"method": "GET", "url": url, "whole": false}));
    let mut asked = liar.accept();
    asked.say("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    let there = liar.http("/b");
    caller.expect(&format!("redirect {there}"));
    asked.next_head();
    assert!(asked.head.starts_with("GET /b HTTP/1.1\r\n"));
    answer(&mut asked, "");
    caller.expect(&format!("head 200 [liar] 2 {there}"));
    caller.expect("end {}");
    caller.expect("dropped");
    caller.ask(&json!({"method": "GET", "url": url, "stays": true}));
    asked.next_head();
    asked.say("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    caller.expect(&format!("redirect {there}"));
    caller.expect(&format!("head 302 [] 2 {url}"));
    caller.expect("end {}");
    caller.expect("dropped");

    let proxy = liar.address().to_string();
    let order = json!({"method": "GET", "url": "http://n:p@server.example/c", "proxy": proxy});
    caller.ask(&order);
    let mut asked = liar.accept();
    assert!(
        asked
            .head
            .starts_with("GET http://server.example/c HTTP/1.1\r\nHost: server.example\r\n")
    );
    assert_eq!(asked.field("Authorization"), Some("Basic bjpw"));
    answer(&mut asked, "");
    caller.expect("head 200 [liar] 2 http://server.example/c");
}

#[test]
fn a_handler_that_panics_ends_its_request_and_nothing_else() {
    let (liar, mut caller) = (Liar::new(), patient());
    for hook in ["head", "content", "redirect", "end"] {
        caller.ask(&json!({"method": "GET", "url": liar.http("/"), "panics": hook}));
        let mut asked = liar.accept();
        asked.say(match hook {
            "redirect" => "HTTP/1.1 302 Found\r\nLocation: /b\r\n",
            _ => "HTTP/1.1 200 OK\r\n",
        });
        asked.say("Content-Length: 1\r\nConnection: close\r\n\r\nx");
        while caller.told() != "dropped" {}
    }
    let url = liar.http("/");
    caller.ask(&json!({"method": "PUT", "url": url, "chunks": ["x"], "panics": "writable"}));
    let _asked = liar.accept();
    caller.expect("dropped");
    let is_last = |line: &LogLine| line.text("hook") == "writable";
    caller.server.await_log(0, is_last);
    let lines = caller.server.logged(0, |line| line.is_error());
    let told: Vec<_> = lines.iter().map(|line| line.text("hook")).collect();
    assert_eq!(told, ["head", "content", "redirect", "end", "writable"]);
    caller.ask(&json!({"method": "GET", "url": url, "whole": true}));
    answer(&mut liar.accept(), "fine");
    caller.expect("whole 200 Some(\"fine\")");
}

/// Has another version replace the plugin.
fn drop_in_another(caller: &Caller) {
    let (file, own) = (caller.server.directory().join("other.so"), plugin("caller"));
    let mut bytes = fs::read(&own).expect("a file");
    // It is another one by what stands behind its end.
    bytes.extend_from_slice(b"another version");
    fs::write(&file, bytes).expect("a file");
    let name = own.file_name().and_then(|name| name.to_str());
    caller.server.drop_in(&file, name.expect("a file"));
}

#[test]
fn a_request_is_told_to_the_generation_that_has_begun_it() {
    let (liar, mut caller) = (Liar::new(), patient());
    let url = liar.http("/");
    caller.ask(&json!({"method": "GET", "url": url}));
    let mut asked = liar.accept();
    let mark = caller.server.log().mark();
    drop_in_another(&caller);
    caller
        .server
        .await_log(mark, |line| line.text("generation") == "2");
    answer(&mut asked, "late");
    caller.expect(&format!("head 200 [liar] 2 {url}"));
    caller.expect("content late");
    caller.expect("end {}");
    caller.expect("dropped");
}

#[test]
fn a_superseded_generation_that_has_to_go_is_told_that_its_requests_have_ended() {
    let config = Config::new().limit("drain_generation_ms", 1);
    let (liar, mut caller) = (
        Liar::new(),
        Caller::of(Setup::new().plugin(&plugin("caller")).config(&config)),
    );
    let mut other = caller.server.open("/caller");
    caller.ask(&json!({"method": "GET", "url": liar.http("/")}));
    let mut asked = liar.accept();
    other.text("orders");
    drop_in_another(&caller);
    asked.expect_end();
}

#[test]
fn a_protocol_without_sessions_sends_requests_too() {
    let liar = Liar::new();
    let config = Config::new().mount("/answers", json!({"protocol": "answers"}));
    let server = Setup::new()
        .plugin(&plugin("answers"))
        .config(&config)
        .start();
    let mut peer = server.connect();
    peer.bytes(
        format!(
            "GET /answers/fetch?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            liar.http("/there")
        )
        .as_bytes(),
    );
    let mut asked = liar.accept();
    assert!(asked.head.starts_with("GET /there HTTP/1.1\r\n"));
    answer(&mut asked, "from there");
    assert_eq!(peer.response().status, 200);
}
