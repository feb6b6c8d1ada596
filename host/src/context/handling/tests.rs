//! Exchanges that a protocol answers, over loopback sockets, with a handler that does what it is told.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use super::*;
use crate::{
    connection::{inbound, websocket::CloseReport},
    context::{
        files::{Conditions, Reach, answer_path},
        handler::{
            AllowedExtensions, Hosted, Label, LearntState, ProtocolFacts, RequestFacts,
            SessionState, ThreadState, Verdict,
        },
        handshake::HandshakeCall,
        http_handler::HttpFacts,
        hub::{Command, Hub, PostError},
        mounts::{Mount, MountKind, Mounts},
        offload::FileThreads,
        origin::AllowedOrigins,
        routes::Routes,
        session::SessionCall,
        site::Site,
    },
    limits::Limits,
    net::{
        event_loop::{EventLoop, Loop},
        io::Shared,
        listener,
        mailbox::Mailbox,
        port::Sent,
        service::Delivered,
        settings::Settings,
        test_peer::{Peer, turn_for, until},
    },
};

/// Answers GET at once with its name, anything else as the query orders, and writes down what it is told.
struct Obedient {
    label: Label,
    facts: ProtocolFacts,
    hub: Arc<Hub>,
    log: Mutex<Vec<String>>,
    /// Orders by hook: `open`, `body`, `writable` and so on.
    orders: Mutex<HashMap<&'static str, String>>,
}

impl Obedient {
    fn note(&self, line: impl Into<String>) {
        self.log.lock().unwrap().push(line.into());
    }

    fn noted(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn has(&self, line: &str) -> bool {
        self.noted().iter().any(|noted| noted == line)
    }

    fn order(&self, hook: &'static str, orders: &str) {
        self.orders.lock().unwrap().insert(hook, orders.into());
    }

    /// Does what was ordered for a hook: orders are parted by `;`.
    fn obey(&self, hook: &'static str, call: &mut ExchangeCall<'_, '_>) -> Result<(), Fault> {
        let orders = self.orders.lock().unwrap().get(hook).cloned();
        for order in orders.iter().flat_map(|orders| orders.split(';')) {
            let (order, rest) = order.split_once(' ').unwrap_or((order, ""));
            let sent = match order {
                "respond" => call.respond(200, rest.as_bytes()),
                "status" => call.respond(rest.parse().unwrap(), b"x"),
                "field" => {
                    let (name, value) = rest.split_once(':').unwrap();
                    call.add_field(name, value.as_bytes())
                }
                "start" => call.start(200, rest.parse().ok()),
                "send" => call.send(rest.as_bytes()),
                "flood" => {
                    let mut count = 0;
                    while call.send(&[b'f'; 4096]) == Sent::Queued && count < 100 {
                        count += 1;
                    }
                    call.ask_writable();
                    Sent::Queued
                }
                "finish" => call.finish(),
                "file" => call.respond_file(Path::new(rest)),
                "timer" => call.set_timer(7, 1),
                "pause" => {
                    call.pause();
                    Sent::Queued
                }
                "resume" => {
                    call.resume();
                    Sent::Queued
                }
                "writable" => {
                    call.ask_writable();
                    Sent::Queued
                }
                "close" => {
                    call.close_after();
                    Sent::Queued
                }
                "abort" => {
                    call.abort();
                    Sent::Queued
                }
                "post" => {
                    let operation = Operation::Notify(rest.as_bytes().into());
                    let posted = self.hub.post_exchange(call.id(), call.number(), operation);
                    self.note(format!("{posted:?}"));
                    Sent::Queued
                }
                "fail" | "panic" => {
                    return Err(Fault {
                        hook: "test",
                        panicked: order == "panic",
                        text: "as told".into(),
                    });
                }
                other => panic!("no order: {other}"),
            };
            if sent != Sent::Queued {
                self.note(format!("{order}: {sent:?}"));
            }
        }
        Ok(())
    }
}

impl Hosted for Obedient {
    fn label(&self) -> &Label {
        &self.label
    }

    fn name(&self) -> &str {
        &self.facts.name
    }

    fn retire(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn thread_create(&self) -> Result<ThreadState, Fault> {
        self.note("thread-create");
        Ok(ThreadState(0))
    }

    fn thread_destroy(&self, _thread: ThreadState) -> Result<(), Fault> {
        self.note("thread-destroy");
        Ok(())
    }
}

impl ProtocolHandler for Obedient {
    fn request(&self, _call: &mut HandshakeCall<'_>) -> Result<Verdict, Fault> {
        Ok(Verdict::Refused)
    }

    fn forget(&self, _learnt: LearntState) -> Result<(), Fault> {
        Ok(())
    }

    fn facts(&self) -> &ProtocolFacts {
        &self.facts
    }

    fn http(&self) -> Option<&dyn HttpHandler> {
        Some(self)
    }

    fn allows_extension(
        &self,
        _thread: ThreadState,
        _request: &RequestFacts<'_>,
        _name: &str,
        _parameters: &str,
    ) -> Result<bool, Fault> {
        Ok(true)
    }

    fn open(&self, _call: &mut SessionCall<'_, '_>) -> Result<SessionState, Fault> {
        self.note("session");
        Ok(SessionState(1))
    }

    fn message(
        &self,
        _state: SessionState,
        _call: &mut SessionCall<'_, '_>,
        _message: Delivered<'_>,
    ) -> Result<(), Fault> {
        Ok(())
    }

    fn writable(&self, _state: SessionState, _call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn timer(
        &self,
        _state: SessionState,
        _call: &mut SessionCall<'_, '_>,
        _id: u64,
    ) -> Result<(), Fault> {
        Ok(())
    }

    fn notify(
        &self,
        _state: SessionState,
        _call: &mut SessionCall<'_, '_>,
        _payload: &[u8],
    ) -> Result<(), Fault> {
        Ok(())
    }

    fn pong(
        &self,
        _state: SessionState,
        _call: &mut SessionCall<'_, '_>,
        _payload: &[u8],
    ) -> Result<(), Fault> {
        Ok(())
    }

    fn close(
        &self,
        _state: SessionState,
        _call: &mut SessionCall<'_, '_>,
        _report: &CloseReport,
    ) -> Result<(), Fault> {
        Ok(())
    }

    fn destroy(&self, _state: SessionState, _call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }
}

impl HttpHandler for Obedient {
    fn open(&self, call: &mut ExchangeCall<'_, '_>) -> Result<ExchangeState, Fault> {
        let (number, method) = (call.number(), call.head().method().to_owned());
        self.note(format!("open {number} {method}"));
        self.obey("open", call)?;
        Ok(ExchangeState(1))
    }

    fn body(
        &self,
        _state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        piece: BodyPiece<'_>,
    ) -> Result<(), Fault> {
        let BodyPiece { first, last, bytes } = piece;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]);
        self.note(format!("body {first} {last} {} {shown}", bytes.len()));
        for (name, value) in call.trailer().iter() {
            let (name, value) = (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            );
            self.note(format!("trailer {name}={value}"));
        }
        let hook = if last { "last" } else { "body" };
        self.obey(hook, call)
    }

    fn writable(
        &self,
        _state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
    ) -> Result<(), Fault> {
        self.note("writable");
        self.obey("writable", call)
    }

    fn timer(
        &self,
        _state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        id: u64,
    ) -> Result<(), Fault> {
        self.note(format!("timer {id}"));
        self.obey("timer", call)
    }

    fn notify(
        &self,
        _state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.note(format!("notify {}", String::from_utf8_lossy(payload)));
        self.obey("notify", call)
    }

    fn sent(
        &self,
        _state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        outcome: FileSent,
    ) -> Result<(), Fault> {
        self.note(format!("sent {outcome:?}"));
        self.obey("sent", call)
    }

    fn end(
        &self,
        _state: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        end: &ExchangeEnd,
    ) -> Result<(), Fault> {
        assert_eq!(call.respond(200, b"late"), Sent::Closed);
        self.note(format!(
            "end {:?} {} {} {}",
            end.by, end.status, end.sent, end.why
        ));
        self.obey("end", call)
    }

    fn destroy(
        &self,
        _state: ExchangeState,
        _call: &mut ExchangeCall<'_, '_>,
    ) -> Result<(), Fault> {
        self.note("destroy");
        Ok(())
    }
}

struct Bench {
    event_loop: EventLoop<Context>,
    address: SocketAddr,
    handler: Arc<Obedient>,
    hub: Arc<Hub>,
}

impl Bench {
    fn new(body_bytes: Option<u64>, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let poll = Loop::new().unwrap();
        let commands = limits.commands_count as usize;
        let mailbox = Mailbox::new(poll.waker().unwrap(), commands, limits.commands_bytes);
        let hub = Arc::new(Hub::new(vec![mailbox]));
        let handler = obedient(&hub, 1, body_bytes);
        let routes = Arc::new(routes(1, &handler));
        let listeners = listener::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let files = FileThreads::new(&limits);
        let context = Context::new(0, Arc::clone(&hub), routes, files, &limits);
        let settings = Settings::from(&limits);
        let event_loop =
            EventLoop::new(poll, 0, listeners, context, settings, Shared::default()).unwrap();
        Self {
            event_loop,
            address,
            handler,
            hub,
        }
    }

    fn pieces() -> Self {
        Self::new(None, |_| {})
    }

    fn peer(&self) -> Peer {
        Peer::connect(self.address)
    }

    fn ask(&self, request: &str) -> Peer {
        let mut peer = self.peer();
        peer.send(request.as_bytes());
        peer
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Obedient) -> bool) {
        let handler = Arc::clone(&self.handler);
        until(&mut self.event_loop, what, |_| done(&handler));
    }

    /// Turns until the peer has heard this.
    fn hear(&mut self, peer: &mut Peer, text: &str) {
        until(&mut self.event_loop, text, |_| {
            peer.read();
            heard(peer).contains(text)
        });
    }

    /// Turns until the connection has ended, and gives what was heard.
    fn hear_all(&mut self, peer: &mut Peer) -> String {
        until(&mut self.event_loop, "the end", |_| {
            peer.read();
            peer.ended
        });
        heard(peer)
    }
}

fn heard(peer: &Peer) -> String {
    String::from_utf8_lossy(&peer.heard).into_owned()
}

fn obedient(hub: &Arc<Hub>, generation: u64, body_bytes: Option<u64>) -> Arc<Obedient> {
    Arc::new(Obedient {
        label: Label {
            plugin: "test".into(),
            version: "1".into(),
            generation,
        },
        facts: ProtocolFacts {
            name: "test".into(),
            id: 0,
            delivery: inbound::Delivery::Messages,
            pongs: false,
            extensions: AllowedExtensions::All,
            keep_headers: Vec::new(),
            websocket: false,
            http: Some(HttpFacts { body_bytes }),
        },
        hub: Arc::clone(hub),
        log: Mutex::default(),
        orders: Mutex::default(),
    })
}

fn routes(instance: u64, handler: &Arc<Obedient>) -> Routes {
    let route = Route {
        instance,
        handler: Arc::clone(handler) as Arc<dyn ProtocolHandler>,
        set: SetId(0),
    };
    let mut mounts = Mounts::default();
    mounts.put(Mount {
        point: "/test".into(),
        kind: MountKind::Protocol {
            name: "test".into(),
            body_bytes: None,
        },
        fields: Arc::default(),
    });
    Routes {
        vhost: "default".into(),
        protocols: HashMap::from([("test".into(), route)]),
        site: Site {
            mounts,
            ..Site::default()
        }
        .into(),
        has_warned: AtomicBool::new(false),
        extensions: Vec::new(),
        default_protocol: None,
        allowed_origins: AllowedOrigins::default(),
    }
}

const GET: &str = "GET /test/a?b HTTP/1.1\r\nHost: h\r\n\r\n";

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /test HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_request_is_answered_its_handler_told_in_order_and_the_next_one_is_an_exchange_of_its_own() {
    let mut bench = Bench::pieces();
    bench
        .handler
        .order("open", "field X-A:1;field X-A:2;respond hello");
    let mut peer = bench.ask(&GET.repeat(2));
    bench.until("two exchanges", |h| {
        h.noted().iter().filter(|line| *line == "destroy").count() == 2
    });
    bench.hear(&mut peer, "hello");
    let answer = heard(&peer);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("X-A: 1\r\nX-A: 2\r\n"),
        "{answer}"
    );
    assert_eq!(
        bench.handler.noted(),
        [
            "thread-create",
            "open 1 GET",
            "end Done 200 5 ",
            "destroy",
            "open 2 GET",
            "end Done 200 5 ",
            "destroy"
        ]
    );
}

#[test]
fn a_body_comes_in_pieces_of_which_the_last_says_so() {
    let mut bench = Bench::pieces();
    bench.handler.order("last", "respond done");
    let mut peer = bench
        .ask("POST /test HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    bench.until("a piece", |h| h.has("body true false 3 one"));
    peer.send(b"3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n");
    bench.hear(&mut peer, "done");
    assert_eq!(
        bench.handler.noted()[2..6],
        [
            "body true false 3 one",
            "body false false 3 two",
            "body false true 0 ",
            "trailer X-Sum=6"
        ]
    );
}

#[test]
fn a_request_without_a_body_has_one_piece_that_is_empty() {
    let mut bench = Bench::pieces();
    bench.handler.order("last", "respond done");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "done");
    assert!(bench.handler.has("body true true 0 "));
}

#[test]
fn a_body_that_is_wanted_whole_is_gathered_within_the_budget_and_given_once() {
    let mut bench = Bench::new(Some(100_000), |_| {});
    bench.handler.order("last", "respond done");
    let body = "w".repeat(90_000);
    let request = post(&body);
    let mut peer = bench.ask(&request[..request.len() - 1]);
    until(&mut bench.event_loop, "most of it", |l| {
        l.io.buffers.budget().used() >= 89_999
    });
    assert_eq!(bench.handler.noted(), ["thread-create", "open 1 POST"]);
    peer.send(b"w");
    bench.hear(&mut peer, "done");
    assert!(
        bench
            .handler
            .has("body true true 90000 wwwwwwwwwwwwwwwwwwww")
    );
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_peer_that_leaves_within_its_body_gives_the_memory_back() {
    let mut bench = Bench::new(Some(100_000), |_| {});
    let request = post(&"w".repeat(90_000));
    let peer = bench.ask(&request[..60_000]);
    until(&mut bench.event_loop, "a part", |l| {
        l.io.buffers.budget().used() > 50_000
    });
    peer.reset();
    bench.until("the end", |h| h.has("destroy"));
    assert!(
        bench
            .handler
            .noted()
            .iter()
            .any(|line| line.starts_with("end Peer 0 0 "))
    );
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_body_above_what_is_taken_whole_is_413_and_the_handler_is_told_that_it_was_the_host() {
    for request in [
        post(&"x".repeat(11)),
        "POST /test HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n"
            .into(),
    ] {
        let mut bench = Bench::new(Some(10), |_| {});
        let mut peer = bench.ask(&request);
        let answer = bench.hear_all(&mut peer);
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.contains("10 bytes are taken here"),
            "{answer}"
        );
        bench.until("the end", |h| h.has("destroy"));
        let noted = bench.handler.noted();
        assert!(
            noted.iter().any(|line| line.starts_with("end Host 413 ")),
            "{noted:?}"
        );
        assert!(!noted.iter().any(|line| line.starts_with("body")));
    }
}

#[test]
fn memory_for_bodies_that_is_not_there_is_503() {
    let mut bench = Bench::new(Some(1 << 20), |limits| limits.buffered_total_bytes = 40_000);
    let mut peer = bench.ask(&post(&"x".repeat(500_000)));
    bench.hear(&mut peer, "HTTP/1.1 503 ");
    bench.hear(&mut peer, "limits.buffered_total_bytes");
    drop(peer);
    bench.until("the end", |h| h.has("destroy"));
    assert_eq!(bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_paused_body_waits_and_its_end_is_told_after_it() {
    for (request, expected) in [
        (post("12345"), "body true false 5 12345"),
        (GET.into(), "open 1 GET"),
    ] {
        let mut bench = Bench::pieces();
        let hook = if request == GET { "open" } else { "body" };
        bench.handler.order(hook, "pause");
        bench.handler.order("last", "respond done");
        bench.handler.order("notify", "resume");
        let mut peer = bench.ask(&request);
        bench.until("the pause", |h| h.has(expected));
        turn_for(&mut bench.event_loop, 30);
        let told = |h: &Obedient| h.noted().iter().any(|line| line.contains(" true 0 "));
        assert!(!told(&bench.handler));
        let id = bench.event_loop.io.ids()[0];
        let operation = Operation::Notify(b""[..].into());
        bench.hub.post_exchange(id, 1, operation).unwrap();
        bench.hear(&mut peer, "done");
        assert!(told(&bench.handler));
    }
}

#[test]
fn a_streamed_answer_waits_for_a_slow_reader_and_all_of_it_arrives() {
    let mut bench = Bench::new(None, |limits| {
        limits.high_mark_bytes = 64 << 10;
        limits.low_mark_bytes = 16 << 10;
    });
    bench.handler.order("open", "start;flood");
    bench.handler.order("writable", "flood");
    let mut peer = bench.ask(GET);
    let mut largest = 0;
    until(&mut bench.event_loop, "much", |l| {
        peer.read_some(20_000);
        largest = largest.max(l.io.buffers.budget().used());
        peer.heard.len() > 6 << 20
    });
    assert!(largest < 200_000, "{largest}");
    bench
        .handler
        .order("writable", "field X-Done:yes;send end;finish");
    bench.hear(&mut peer, "0\r\nX-Done: yes\r\n\r\n");
    bench.until("the end", |h| h.has("destroy"));
}

#[test]
fn an_answer_can_be_given_in_any_hook() {
    for (hook, open) in [
        ("writable", "writable"),
        ("timer", "timer"),
        ("notify", "post n"),
        ("last", "pause;resume"),
    ] {
        let mut bench = Bench::pieces();
        bench.handler.order("open", open);
        bench.handler.order(hook, &format!("respond by {hook}"));
        let mut peer = bench.ask(GET);
        bench.hear(&mut peer, &format!("by {hook}"));
    }
}

#[test]
fn only_one_answer_is_taken_and_none_that_makes_no_sense() {
    let mut bench = Bench::pieces();
    bench.handler.order(
        "open",
        "send x;finish;status 99;status 204;field Date:x;field a b:c;file relative;start 3;field X:y;respond x;\
         file /dev/null;send 1234;send 123;finish;send x",
    );
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "\r\n\r\n123");
    assert_eq!(
        bench.handler.noted()[2..15],
        [
            "send: Refused",
            "finish: Refused",
            "status: Refused",
            "status: Refused",
            "field: Refused",
            "field: Refused",
            "file: Refused",
            "field: Closed",
            "respond: Closed",
            "file: Closed",
            "send: Refused",
            "send: Closed",
            "end Done 200 3 "
        ]
    );
}

#[test]
fn fields_of_an_answer_are_bounded() {
    let mut bench = Bench::new(None, |limits| limits.answer_fields_bytes = 20);
    bench
        .handler
        .order("open", "field A:0123456789;field B:0123;field C:;respond x");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "A: 0123456789\r\nC: \r\n");
    assert!(bench.handler.has("field: Full"));
}

#[test]
fn less_than_was_announced_cuts_the_exchange_off() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "start 10;send 123;finish");
    let mut peer = bench.ask(GET);
    assert!(bench.hear_all(&mut peer).ends_with("\r\n\r\n123"));
    bench.until("the end", |h| {
        h.has("end Handler 200 3 less content than announced")
    });
}

#[test]
fn a_hook_that_fails_is_500_before_an_answer_and_a_cut_after_it() {
    for hook in ["open", "body", "last", "writable", "timer", "notify"] {
        for how in ["fail", "panic"] {
            for begun in ["", "start 9;send 1;"] {
                let mut bench = Bench::pieces();
                let orders = format!("{begun}writable;timer;post x");
                match hook {
                    "open" => bench.handler.order("open", &format!("{begun}{how}")),
                    "body" | "last" => {
                        bench.handler.order("open", begun.trim_end_matches(';'));
                        bench.handler.order(hook, how);
                    }
                    _ => {
                        bench.handler.order("open", &orders);
                        bench.handler.order(hook, how);
                    }
                }
                if begun.is_empty() && hook.len() == 4 && hook != "open" {
                    bench.handler.orders.lock().unwrap().remove("open");
                }
                let mut peer = bench.ask(&post("12345"));
                let case = format!("{hook} {how} {begun}");
                if begun.is_empty() {
                    bench.hear(&mut peer, "HTTP/1.1 500 ");
                } else {
                    let answer = bench.hear_all(&mut peer);
                    assert!(answer.ends_with("\r\n\r\n1"), "{case}: {answer}");
                }
                drop(peer);
                let opened = hook != "open";
                if opened {
                    bench.until(&case, |h| h.has("destroy"));
                }
                until(&mut bench.event_loop, &case, |l| l.io.connections() == 0);
                let noted = bench.handler.noted();
                let count = |what: &str| noted.iter().filter(|line| line.starts_with(what)).count();
                let ends = usize::from(opened && how == "fail");
                assert_eq!(
                    (count("end Handler"), count("end"), count("destroy")),
                    (ends, ends, usize::from(opened)),
                    "{case}: {noted:?}"
                );
            }
        }
    }
}

#[test]
fn after_a_panic_in_sent_no_end_is_told() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "file /no/such/file");
    bench.handler.order("sent", "panic");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "HTTP/1.1 404 ");
    bench.until("the end", |h| h.has("destroy"));
    let noted = bench.handler.noted();
    assert_eq!(noted[noted.len() - 2..], ["sent Missing", "destroy"]);
}

#[test]
fn an_answer_that_takes_the_disk_is_made_by_another_thread_and_given_if_none_was_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cold.txt");
    std::fs::write(&file, "from disk").unwrap();
    for is_late in [false, true] {
        let mut bench = Bench::pieces();
        bench.handler.order("notify", "respond at once");
        let mut peer = bench.ask(GET);
        bench.until("an exchange", |h| h.has("open 1 GET"));
        let id = bench.event_loop.io.ids()[0];
        if is_late {
            let notify = Operation::Notify(b""[..].into());
            bench.hub.post_exchange(id, 1, notify).unwrap();
            bench.hear(&mut peer, "at once");
        }
        let path = file.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let taken = bench.event_loop.service.desk.answer((id, 1), move || {
            let name = std::thread::current().name().map(str::to_owned);
            tell.send(name).unwrap();
            answer_path(&path, &Conditions::default(), Fields::new(), Reach::Disk)
        });
        assert!(taken);
        if is_late {
            let name = told.recv().unwrap();
            assert_eq!(name.as_deref(), Some("files-0"));
            turn_for(&mut bench.event_loop, 20);
            assert!(!heard(&peer).contains("from disk"));
        } else {
            bench.hear(&mut peer, "from disk");
            bench.until("its end", |h| h.has("sent Done"));
        }
    }
}

#[test]
fn a_stretch_of_a_file_that_is_cold_is_read_by_another_thread_and_then_sent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cold");
    std::fs::write(&path, "0123456789").unwrap();
    let file = Arc::new(std::fs::File::open(&path).unwrap());
    let mut bench = Bench::pieces();
    let peer = bench.ask(GET);
    bench.until("an exchange", |h| h.has("open 1 GET"));
    let id = bench.event_loop.io.ids()[0];
    // The kernel of the test keeps what was just written: the command that comes back is looked at.
    let mut commands = Vec::new();
    bench.event_loop.service.desk.warm((id, 1), &file, 0..10);
    while commands.is_empty() {
        bench.hub.mailbox(0).take(&mut commands);
        std::thread::yield_now();
    }
    assert!(matches!(commands[..], [Command::Warmed(at, 1, Ok(()))] if at == id));
    commands.clear();
    let gone = Arc::new(std::fs::File::open(directory.path()).unwrap());
    bench.event_loop.service.desk.warm((id, 1), &gone, 0..10);
    while commands.is_empty() {
        bench.hub.mailbox(0).take(&mut commands);
        std::thread::yield_now();
    }
    assert!(matches!(
        commands[..],
        [Command::Warmed(_, 1, Err(rustix::io::Errno::ISDIR))]
    ));
    // One that cannot be read cuts the exchange off.
    bench.hub.mailbox(0).post_always(commands.remove(0));
    bench.until("the end", |h| h.has("destroy"));
    drop(peer);
}

#[test]
fn the_connection_ends_behind_an_answer_when_that_is_asked_for() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "close;respond last");
    let mut peer = bench.ask(&GET.repeat(2));
    let answer = bench.hear_all(&mut peer);
    assert!(answer.contains("Connection: close\r\n") && answer.ends_with("last"));
    assert!(!bench.handler.has("open 2 GET"));
}

#[test]
fn an_exchange_that_is_aborted_gives_no_further_byte() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "start;send x;timer");
    bench.handler.order("timer", "abort;send y");
    let mut peer = bench.ask(GET);
    let answer = bench.hear_all(&mut peer);
    assert!(answer.ends_with("\r\n\r\n1\r\nx\r\n"), "{answer}");
    bench.until("the end", |h| {
        h.has("end Handler 200 1 the handler cut it off")
    });
    assert!(bench.handler.has("send: Closed"));
}

#[test]
fn an_exchange_is_found_by_its_number_until_it_ends() {
    let mut bench = Bench::pieces();
    bench.handler.order("notify", "respond told");
    let mut peer = bench.ask(GET);
    bench.until("an exchange", |h| h.has("open 1 GET"));
    let id = bench.event_loop.io.ids()[0];
    let notify = || Operation::Notify(b"x"[..].into());
    assert_eq!(
        bench.hub.post_exchange(id, 2, notify()),
        Err(PostError::Stale)
    );
    assert_eq!(bench.hub.post(id, notify()), Err(PostError::Stale));
    let hub = Arc::clone(&bench.hub);
    std::thread::spawn(move || hub.post_exchange(id, 1, notify()))
        .join()
        .unwrap()
        .unwrap();
    bench.hear(&mut peer, "told");
    bench.until("the end", |h| h.has("destroy"));
    assert_eq!(
        bench.hub.post_exchange(id, 1, notify()),
        Err(PostError::Stale)
    );
}

#[test]
fn a_file_is_sent_and_that_is_told_when_it_has_left() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.txt");
    let text = "0123456789".repeat(300_000);
    std::fs::write(&file, &text).unwrap();
    let mut bench = Bench::pieces();
    let order = format!("field X-Own:1;file {}", file.display());
    bench.handler.order("open", &order);
    let mut peer = bench.ask(
        "GET /test HTTP/1.1\r\nHost: h\r\n\r\n\
         GET /test HTTP/1.1\r\nHost: h\r\nRange: bytes=-5\r\n\r\n",
    );
    bench.hear(
        &mut peer,
        "Content-Range: bytes 2999995-2999999/3000000\r\n",
    );
    bench.hear(&mut peer, "56789");
    let answer = heard(&peer);
    assert!(answer.contains("X-Own: 1\r\n") && answer.contains("Content-Type: text/plain"));
    assert!(answer.contains(&text));
    bench.until("both", |h| h.has("end Done 206 5 "));
    let noted = bench.handler.noted();
    let at = noted.iter().position(|line| line == "sent Done").unwrap();
    assert_eq!(noted[at + 1..at + 3], ["end Done 200 3000000 ", "destroy"]);
}

#[test]
fn a_peer_that_leaves_within_a_file_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large");
    std::fs::write(&file, vec![7; 30 << 20]).unwrap();
    let mut bench = Bench::pieces();
    bench
        .handler
        .order("open", &format!("file {}", file.display()));
    let mut peer = bench.ask(GET);
    until(&mut bench.event_loop, "a part", |_| {
        peer.read_some(10_000);
        peer.heard.len() > 100_000
    });
    peer.reset();
    bench.until("the end", |h| h.has("destroy"));
    let noted = bench.handler.noted();
    assert!(noted.contains(&"sent Failed".into()), "{noted:?}");
    assert!(noted.iter().any(|line| line.starts_with("end Peer 200 ")));
}

#[test]
fn a_replaced_handler_lives_until_its_last_exchange_has_ended() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "start;send old");
    bench.handler.order("notify", "send still old;finish");
    let mut peer = bench.ask(GET);
    bench.hear(&mut peer, "old");
    let id = bench.event_loop.io.ids()[0];
    let newer = obedient(&bench.hub, 2, None);
    newer.order("open", "respond new");
    let installed = Command::Install(Arc::new(routes(2, &newer)));
    bench.hub.tell_all(&installed);
    let mut other = bench.ask(GET);
    bench.hear(&mut other, "new");
    assert!(!bench.handler.has("thread-destroy"));
    let notify = Operation::Notify(b""[..].into());
    bench.hub.post_exchange(id, 1, notify).unwrap();
    bench.hear(&mut peer, "still old\r\n0\r\n\r\n");
    bench.until("its end", |h| h.has("thread-destroy"));
    // The same connection has the new one from now on.
    peer.send(GET.as_bytes());
    bench.hear(&mut peer, "new");
}

#[test]
fn a_drain_ends_exchanges_that_go_on_and_leaves_others_alone() {
    for (open, heard) in [
        ("field X:y", "HTTP/1.1 503 "),
        ("start 9;send abc", "\r\n\r\nabc"),
    ] {
        let mut bench = Bench::pieces();
        bench.handler.order("open", open);
        let mut peer = bench.ask(GET);
        bench.until("an exchange", |h| h.has("open 1 GET"));
        let drain = |keys: &[u64]| Command::DrainInstances(keys.into());
        bench.hub.tell_all(&drain(&[2]));
        turn_for(&mut bench.event_loop, 10);
        assert!(!bench.handler.has("destroy"));
        bench.hub.tell_all(&drain(&[1]));
        let answer = bench.hear_all(&mut peer);
        assert!(answer.contains(heard), "{answer}");
        bench.until("the end", |h| {
            let noted = h.noted();
            noted
                .iter()
                .any(|line| line.starts_with("end Host ") && line.ends_with("was replaced"))
        });
    }
}

#[test]
fn a_protocol_without_sessions_is_bound_by_no_opening_handshake() {
    let mut bench = Bench::pieces();
    let mut peer = bench.ask(
        "GET /test HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: test\r\n\r\n",
    );
    bench.hear(&mut peer, "HTTP/1.1 404 ");
    bench.hear(&mut peer, "known are none");
    assert!(bench.handler.noted().is_empty());
}

#[test]
fn a_handler_sees_what_lies_beneath_its_mountpoint_and_nothing_else() {
    let mut bench = Bench::pieces();
    bench.handler.order("open", "respond here");
    for (path, is_seen) in [
        ("/test", true),
        ("/test/", true),
        ("/test/a/b", true),
        ("/tester", false),
        ("/", false),
        ("/other/test", false),
    ] {
        let mut peer = bench.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        ));
        let answer = bench.hear_all(&mut peer);
        assert_eq!(answer.ends_with("here"), is_seen, "{path}: {answer}");
    }
}
