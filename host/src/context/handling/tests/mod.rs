//! Exchanges that a protocol answers, over loopback sockets, with a handler that does what it is told.

mod answers;
mod bodies;
mod ending;
mod files;

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
        offload::OffloadThreads,
        origin::AllowedOrigins,
        routes::Routes,
        session::SessionCall,
        site::Site,
        vhosts::Vhosts,
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
        let listeners = listener::bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into(), 1).unwrap();
        let address = listeners[0].local_address().unwrap();
        let files = OffloadThreads::new(&limits);
        let vhosts = Arc::new(Vhosts::only(routes));
        let context = Context::new(0, Arc::clone(&hub), vhosts, files, &limits);
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
            vhost: "default".into(),
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
        certificates: Default::default(),
        has_warned: AtomicBool::new(false),
        seats: Default::default(),
        extensions: Vec::new(),
        policies: Vec::new(),
        default_protocol: None,
        allowed_origins: AllowedOrigins::default(),
    }
}

const GET: &str = "GET /test/a?b HTTP/1.1\r\nHost: h\r\n\r\n";

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /test HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
}
