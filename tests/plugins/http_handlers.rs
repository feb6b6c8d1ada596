//! Plugins that answer HTTP: what a client of theirs sees, and what they are told.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::lines::LogLine;
use crate::support::plugins::{echo, plugin, replaced};
use crate::support::process::eventually;
use crate::support::raw_peer::Response;
use crate::support::{Config, DEADLINE, Server, Setup};

/// A client that reads an answer as it comes.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(server: &Server) -> Self {
        let transport = TcpStream::connect(server.address()).expect("the server accepts");
        transport
            .set_read_timeout(Some(DEADLINE))
            .expect("a valid time");
        Self {
            reader: BufReader::new(transport),
        }
    }

    fn send(&mut self, text: &str) {
        let sent = self.reader.get_mut().write_all(text.as_bytes());
        sent.expect("the server reads");
    }

    /// Sends the head of a request.
    fn ask(&mut self, method: &str, target: &str, fields: &str) {
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"
        ));
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line comes");
        line.trim_end().to_owned()
    }

    /// The head of an answer.
    fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            match self.line() {
                line if line.is_empty() => return head,
                line => head.push_str(&(line + "\n")),
            }
        }
    }

    /// The next chunk; empty at the end.
    fn chunk(&mut self) -> Vec<u8> {
        let length = usize::from_str_radix(&self.line(), 16).expect("a length");
        let mut chunk = vec![0; length + 2];
        self.reader.read_exact(&mut chunk).expect("a chunk comes");
        chunk.truncate(length);
        chunk
    }

    /// What comes up to the end of the connection.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }
}

fn get(server: &Server, target: &str) -> Response {
    server.connect().request("GET", target, &[])
}

fn post(server: &Server, target: &str, body: &str) -> Response {
    let mut peer = server.connect();
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    peer.bytes((head + body).as_bytes());
    peer.response()
}

fn server() -> Server {
    server_with(mounted())
}

fn server_with(config: Config) -> Server {
    let setup = Setup::new().plugin(&plugin("answers")).plugin(&echo());
    setup.config(&config).start()
}

/// A config that mounts the handlers, each at its name.
fn mounted() -> Config {
    let mounts =
        ["answers", "both", "whole"].map(|name| (format!("/{name}"), json!({"protocol": name})));
    Config::new().key("mounts", Value::from_iter(mounts))
}

/// What the plugin says in the log.
fn told(server: &Server, text: &str) -> LogLine {
    server.await_log(0, |line| line.mentions(text))
}

#[test]
fn seed_4_2_only_the_handler_at_that_place_sees_a_request() {
    let server = server();
    assert_eq!(get(&server, "/both").body, "0 sessions");
    assert_eq!(get(&server, "/echo").status, 426);
    for target in ["/", "/answer", "/answersx", "/other/answers/facts"] {
        let answer = get(&server, target);
        assert!(!answer.body.contains("mountpoint"), "{target}: {answer:?}");
    }
    assert_eq!(get(&server, "/answers/facts").status, 200);
    told(&server, "end Answer Some(200) for /answers/facts");
    let ends = server.logged(0, |line| line.text("message").starts_with("end "));
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[test]
fn seed_4_4_a_request_that_is_no_upgrade_is_answered_by_a_plugin_on_a_connection_that_goes_on() {
    let server = server();
    let mut peer = server.connect();
    for nth in 1..4 {
        let answer = peer.request("DELETE", "/answers/facts?a=b?c", &[]);
        assert_eq!(answer.status, 200);
        let number = format!("number {nth}");
        for fact in [
            "method DELETE",
            "path /answers/facts",
            "query a=b?c",
            "mountpoint /answers",
            "protocol answers",
            &number,
        ] {
            let has = answer.body.lines().any(|line| line == fact);
            assert!(has, "{fact}: {}", answer.body);
        }
    }
}

#[test]
fn seed_4_16_any_field_of_a_request_can_be_read() {
    let server = server();
    let fields = [("x-custom", "a value of its own"), ("Cookie", "b")];
    let answer = server.connect().request("GET", "/answers/facts", &fields);
    assert!(answer.body.contains("custom a value of its own\n"));
    assert!(answer.body.ends_with("all 3"), "{}", answer.body);
}

#[test]
fn seed_4_17_fields_that_come_several_times_are_read_in_their_order() {
    let server = server();
    let fields = [("X-Many", "1"), ("X-Other", ""), ("x-many", "2, 3")];
    let answer = server.connect().request("GET", "/answers/facts", &fields);
    assert!(answer.body.contains("many 1|2, 3\nabsent 0\n"));
}

/// A file of this content, and the target that answers with it.
fn file(server: &Server, name: &str, content: &str) -> String {
    let file = server.directory().join(name);
    fs::write(&file, content).expect("a fresh directory");
    format!("/answers/file?{}", file.display())
}

#[test]
fn seed_4_6_a_file_is_sent_in_one_step_with_fields_of_the_plugin_and_as_the_request_says() {
    let server = server();
    let target = file(&server, "page.html", "<p>0123456789");
    let mut peer = server.connect();
    let answer = peer.request("GET", &target, &[]);
    assert_eq!((answer.status, &*answer.body), (200, "<p>0123456789"));
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("x-own"), Some("1"));
    let tag = answer.field("etag").expect("a validator").to_owned();
    let answer = peer.request("GET", &target, &[("If-None-Match", &tag)]);
    assert_eq!(answer.status, 304);
    let answer = peer.request("GET", &target, &[("Range", "bytes=5-6")]);
    assert_eq!((answer.status, &*answer.body), (206, "23"));
}

#[test]
fn seed_4_7_a_file_that_was_sent_one_that_is_not_there_and_one_that_makes_no_sense_are_told_apart()
{
    let server = server();
    let target = file(&server, "small.txt", "small");
    assert_eq!(get(&server, &target).status, 200);
    told(&server, "sent Sent for /answers/file?");
    assert_eq!(get(&server, "/answers/file?/no/such/file").status, 404);
    told(&server, "sent NotFound for /answers/file?/no/such/file");
    assert_eq!(get(&server, "/answers/file?relative").status, 500);
    told(&server, "the path relative is relative");
}

#[test]
fn seed_4_8_a_file_is_complete_when_all_of_it_has_left_and_not_before() {
    let server = server();
    let target = file(&server, "large", &"0123456789".repeat(3_000_000));
    let mut client = Client::connect(&server);
    client.ask("GET", &target, "Connection: close\r\n");
    client.head();
    // The rest of it does not fit into the buffers of the kernel.
    let sent = |line: &LogLine| line.mentions("sent ");
    assert!(server.logged(0, sent).is_empty());
    assert_eq!(client.rest().len(), 30_000_000);
    told(&server, "sent Sent for /answers/file?");
}

#[test]
fn seed_4_9_a_streamed_answer_goes_on_when_there_is_room_and_memory_stays_bounded() {
    let server = server();
    let all = 200 << 20;
    let mut client = Client::connect(&server);
    client.ask("GET", &format!("/answers/stream?{all}"), "");
    assert!(client.head().contains("Transfer-Encoding: chunked"));
    // The socket is full by the time the first of it is read.
    eventually("the handler waits", DEADLINE, || {
        get(&server, "/answers/version").status == 200
    });
    server.process().forget_peak();
    let before = server.process().peak_bytes();
    let mut seen = 0;
    loop {
        let chunk = client.chunk();
        if chunk.is_empty() {
            break;
        }
        seen += chunk.len();
    }
    assert_eq!(seen, all);
    let grown = server.process().peak_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown}");
    told(&server, "end Answer Some(200) for /answers/stream");
}

#[test]
fn seed_4_10_a_body_comes_in_pieces_with_its_trailer_or_whole_and_above_the_limit_it_is_413() {
    let server = server();
    let answer = post(&server, "/answers/body", &"x".repeat(3_000_000));
    assert_eq!(answer.body, "3000000 bytes, several: true, trailer ");
    let mut peer = server.connect();
    peer.bytes(
        b"POST /answers/body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    assert_eq!(peer.response().body, "5 bytes, several: true, trailer 5");
    let answer = peer.request("GET", "/answers/body", &[]);
    assert_eq!(answer.body, "0 bytes, several: false, trailer ");

    let whole = |bytes: usize| post(&server, "/whole", &"x".repeat(bytes));
    assert_eq!(whole(1000).body, "1000 bytes, first true, last true");
    assert_eq!(whole(0).body, "0 bytes, first true, last true");
    let refused = whole(1001);
    assert_eq!(refused.status, 413);
    assert!(
        refused.body.contains("1000 bytes are taken here"),
        "{refused:?}"
    );
    let server = server_with(mounted().limit("request_body_bytes", 10));
    assert_eq!(post(&server, "/answers/body", "01234567890").status, 413);
    told(&server, "end Host Some(413) for /answers/body");
}

#[test]
fn seed_4_11_a_client_that_leaves_within_its_request_or_its_answer_is_told_to_the_handler() {
    let server = server();
    let mut client = Client::connect(&server);
    client.ask("POST", "/answers/body?early", "Content-Length: 10\r\n");
    client.send("01234");
    drop(client);
    told(&server, "end Peer None for /answers/body?early");
    let mut client = Client::connect(&server);
    client.ask("GET", "/answers/stream?100000000", "");
    client.head();
    drop(client);
    told(&server, "end Peer Some(200) for /answers/stream");
}

#[test]
fn seed_4_13_a_status_with_a_page_is_one_call() {
    let server = server();
    let answer = get(&server, "/answers/status?404");
    assert_eq!(answer.status, 404);
    assert!(answer.head.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.body, "<h1>so it is</h1>");
}

#[test]
fn an_answer_comes_by_a_timer_or_from_a_thread_of_the_plugin() {
    let server = server();
    assert_eq!(get(&server, "/answers/timer").body, "by a timer");
    assert_eq!(get(&server, "/answers/thread").body, "from a thread");
}

#[test]
fn a_handler_ends_the_connection_behind_its_answer_or_within_it() {
    let server = server();
    let mut peer = server.connect();
    let answer = peer.request("GET", "/answers/close", &[]);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.body, "last");
    peer.expect_end();
    let mut client = Client::connect(&server);
    client.ask("GET", "/answers/abort", "");
    assert!(client.head().contains("Content-Length: 100"));
    assert_eq!(client.rest(), b"a part");
    told(&server, "end Handler Some(200) for /answers/abort");
}

#[test]
fn a_panic_in_a_hook_is_500_and_nothing_else_is_touched() {
    let server = server();
    let mut other = server.open("/both");
    for hook in ["request", "body", "writable", "timer", "notify"] {
        let mark = server.log().mark();
        let answer = get(&server, &format!("/answers/panic?{hook}"));
        assert_eq!(answer.status, 500, "{hook}");
        assert!(!answer.body.contains("told"), "{answer:?}");
        let text = format!("told to panic in {hook}");
        let line = server.await_log(mark, |line| line.mentions(&text));
        assert!(line.is_error() && line.text("plugin") == "fixture-answers");
        assert_eq!(other.ask("others go on"), "others go on");
    }
    // Those are told when the answer has left already.
    for (hook, status) in [("sent", 404), ("end", 200), ("drop", 200)] {
        let answer = get(&server, &format!("/answers/panic?{hook}"));
        assert_eq!(answer.status, status, "{hook}");
        told(&server, &format!("told to panic in {hook}"));
    }
    // No end is told to what has panicked.
    let ends = |line: &LogLine| {
        line.text("message").starts_with("end ") && line.mentions("/answers/panic")
    };
    server.assert_echoes();
    assert_eq!(server.logged(0, ends).len(), 1, "that of drop");
}

#[test]
fn a_panic_within_an_answer_cuts_it_off() {
    let server = server();
    let mut client = Client::connect(&server);
    client.ask("GET", "/answers/panic-late?body", "");
    assert!(client.head().contains("Content-Length: 100"));
    assert_eq!(client.rest(), b"a part");
    server.assert_echoes();
}

#[test]
fn one_instance_has_the_sessions_and_the_exchanges_of_a_protocol() {
    let server = server();
    let mut session = server.open("/both");
    assert_eq!(session.ask("hello"), "hello");
    assert_eq!(get(&server, "/both").body, "1 sessions");
    assert_eq!(server.connect().handshake("/answers", &[]).status, 404);
    let page = get(&server, "/").body;
    assert!(page.contains("both") && !page.contains("whole"), "{page}");
}

#[test]
fn a_plugin_that_is_replaced_ends_the_exchange_it_began_while_new_requests_get_the_new_code() {
    let server = server();
    let mut old = Client::connect(&server);
    old.ask("POST", "/answers/echo", "Transfer-Encoding: chunked\r\n");
    old.head();
    old.send("3\r\none\r\n");
    assert_eq!(old.chunk(), b"answers-version-00000000 one\n");

    let bytes = fs::read(plugin("answers")).expect("a built plugin");
    let newer = server.directory().join("newer.so");
    let bytes = replaced(
        &bytes,
        b"answers-version-00000000",
        b"answers-version-00000001",
    );
    fs::write(&newer, bytes).expect("a fresh directory");
    server.drop_in(&newer, "libanswers.so");
    eventually("the new version answers", DEADLINE, || {
        get(&server, "/answers/version").body == "answers-version-00000001"
    });

    let output = server.command(["plugin", "list"]);
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<_> = list
        .lines()
        .filter(|row| row.contains("fixture-answers"))
        .collect();
    let draining = rows.iter().find(|row| row.contains("draining"));
    assert!(
        draining.is_some_and(|row| row.contains("answers, whole")),
        "{list}"
    );
    old.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(old.chunk(), b"answers-version-00000000 two\n");
    assert!(old.chunk().is_empty());
    old.ask("GET", "/answers/version", "Connection: close\r\n");
    assert!(String::from_utf8_lossy(&old.rest()).ends_with("answers-version-00000001"));
    eventually("the old version is retired", DEADLINE, || {
        let output = server.command(["plugin", "list"]);
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        list.contains("retired") && !list.contains("draining")
    });
}

#[test]
fn inspect_says_which_protocols_answer_http() {
    let mut command = crate::support::server::hotsocket();
    command.args(["plugin", "inspect"]).arg(plugin("answers"));
    let output = crate::support::server::output_of(command);
    let told = String::from_utf8_lossy(&output.stdout);
    let row = told.lines().find(|line| line.starts_with("http "));
    assert_eq!(row, Some("http        both, answers, whole"), "{told}");
}
