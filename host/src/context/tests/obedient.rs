//! A handler that does what it is told, and a service thread that has it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use crate::{
    connection::{inbound, outbound::encode_message, websocket::CloseReport},
    context::{
        handler::{
            AllowedExtensions, Fault, Hosted, Label, LearntState, ProtocolFacts, ProtocolHandler,
            RequestFacts, SessionState, ThreadState, Verdict,
        },
        handshake::HandshakeCall,
        hub::{Command, Hub, Operation, SlowPolicy},
        offload::OffloadThreads,
        origin::AllowedOrigins,
        roster::SetId,
        routes::{CertificateRule, Route, Routes},
        serving::Context,
        session::SessionCall,
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
        test_peer::{Peer, until},
    },
    wire::MessageKind,
};

pub(super) const SET: SetId = SetId(0);

/// Obeys messages, notifications and timers, and writes down what it is told.
pub(super) struct Obedient {
    pub(super) label: Label,
    pub(super) facts: ProtocolFacts,
    pub(super) hub: Arc<Hub>,
    pub(super) log: Mutex<Vec<String>>,
    pub(super) closed: Mutex<Vec<CloseReport>>,
}

impl Obedient {
    pub(super) fn note(&self, line: impl Into<String>) {
        self.log.lock().unwrap().push(line.into());
    }

    pub(super) fn count(&self, line: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|noted| *noted == line).count()
    }

    /// Several orders stand in one text, parted by `;`.
    pub(super) fn obey(&self, call: &mut SessionCall<'_, '_>, text: &str) -> Result<(), Fault> {
        for order in text.split(';') {
            let (order, rest) = order.split_once(' ').unwrap_or((order, ""));
            let mut put = |first, last| {
                let sent = call.send(MessageKind::Text, first, last, rest.as_bytes());
                if sent != Sent::Queued {
                    self.note(format!("{sent:?}"));
                }
            };
            match order {
                "send" => put(true, true),
                "begin" => put(true, false),
                "end" => put(false, true),
                "broadcast" | "broadcast-drop" => {
                    let mut frame = Vec::new();
                    encode_message(&mut frame, MessageKind::Text, rest.as_bytes());
                    let slow = match order {
                        "broadcast" => SlowPolicy::Close,
                        _ => SlowPolicy::Drop,
                    };
                    self.hub.broadcast(SET, &frame.into(), slow).unwrap();
                }
                "notify-all" => {
                    let operation = Operation::Notify(rest.replace(',', ";").as_bytes().into());
                    self.hub.post_all(SET, operation).unwrap();
                }
                "drain" => self.hub.tell_all(&Command::Drain),
                "stop" => self.hub.tell_all(&Command::Stop(0)),
                "close" => {
                    call.close(1000, rest);
                }
                "hang-up" => call.hang_up(),
                "timer" => {
                    call.set_timer(1, 0);
                }
                "storm" => {
                    let notify = || Operation::Notify(b"storm"[..].into());
                    while self.hub.post(call.id(), notify()).is_ok() {
                        self.note("posted");
                    }
                }
                "panic" | "fail" => {
                    return Err(Fault {
                        hook: "test",
                        panicked: order == "panic",
                        text: "as told".into(),
                    });
                }
                _ => self.note(order),
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
    fn facts(&self) -> &ProtocolFacts {
        &self.facts
    }

    fn request(&self, _call: &mut HandshakeCall<'_>) -> Result<Verdict, Fault> {
        Ok(Verdict::Accepted(None))
    }

    fn forget(&self, _learnt: LearntState) -> Result<(), Fault> {
        Ok(())
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

    fn open(&self, call: &mut SessionCall<'_, '_>) -> Result<SessionState, Fault> {
        let query = call.query().unwrap_or_default().replace('+', " ");
        self.obey(call, &query)?;
        self.note("open");
        Ok(SessionState(1))
    }

    fn message(
        &self,
        _state: SessionState,
        call: &mut SessionCall<'_, '_>,
        message: Delivered<'_>,
    ) -> Result<(), Fault> {
        self.obey(call, std::str::from_utf8(message.payload).unwrap())
    }

    fn writable(&self, _state: SessionState, _call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        Ok(())
    }

    fn timer(
        &self,
        _state: SessionState,
        call: &mut SessionCall<'_, '_>,
        _id: u64,
    ) -> Result<(), Fault> {
        call.set_timer(1, 0);
        call.send(MessageKind::Text, true, true, b"tick");
        Ok(())
    }

    fn notify(
        &self,
        _state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.obey(call, std::str::from_utf8(payload).unwrap())
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
        call: &mut SessionCall<'_, '_>,
        report: &CloseReport,
    ) -> Result<(), Fault> {
        assert_eq!(
            call.send(MessageKind::Text, true, true, b"late"),
            Sent::Closed
        );
        self.note("close");
        self.closed.lock().unwrap().push(report.clone());
        Ok(())
    }

    fn destroy(&self, _state: SessionState, _call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        self.note("destroy");
        Ok(())
    }
}

pub(super) struct Bench {
    pub(super) event_loop: EventLoop<Context>,
    pub(super) address: SocketAddr,
    pub(super) handler: Arc<Obedient>,
    pub(super) hub: Arc<Hub>,
}

impl Bench {
    pub(super) fn new(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let poll = Loop::new().unwrap();
        let commands = limits.commands_count as usize;
        let mailbox = Mailbox::new(poll.waker().unwrap(), commands, limits.commands_bytes);
        let hub = Arc::new(Hub::new(vec![mailbox]));
        let handler = Arc::new(Obedient {
            label: Label {
                plugin: "test".into(),
                version: "1".into(),
                generation: 1,
            },
            facts: ProtocolFacts {
                vhost: "default".into(),
                name: "test".into(),
                id: 0,
                delivery: inbound::Delivery::Messages,
                pongs: false,
                extensions: AllowedExtensions::All,
                keep_headers: Vec::new(),
                websocket: true,
                http: None,
            },
            hub: Arc::clone(&hub),
            log: Mutex::default(),
            closed: Mutex::default(),
        });
        let route = Route {
            instance: 1,
            handler: Arc::clone(&handler) as Arc<dyn ProtocolHandler>,
            set: SET,
        };
        let routes = Arc::new(Routes {
            vhost: "default".into(),
            protocols: HashMap::from([("test".into(), route)]),
            site: Arc::default(),
            certificates: CertificateRule::NotAsked,
            has_warned: AtomicBool::new(false),
            seats: Default::default(),
            extensions: Vec::new(),
            policies: Vec::new(),
            default_protocol: None,
            allowed_origins: AllowedOrigins::default(),
        });
        let listeners = listener::bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into(), 1).unwrap();
        let address = listeners[0].local_address().unwrap();
        let context = Context::new(
            0,
            Arc::clone(&hub),
            Arc::new(Vhosts::only(routes)),
            OffloadThreads::new(&limits),
            &limits,
        );
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

    /// A peer whose opening handshake is done; its query holds orders for `open`.
    pub(super) fn open_with(&mut self, query: &str) -> Peer {
        let mut peer = Peer::connect(self.address);
        let head = format!(
            "GET /test?{query} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        peer.send(head.as_bytes());
        until(&mut self.event_loop, "opening handshake", |_| {
            peer.read();
            peer.take_head()
        });
        peer
    }

    pub(super) fn open(&mut self) -> Peer {
        self.open_with("")
    }

    pub(super) fn until(&mut self, what: &str, mut done: impl FnMut(&Obedient) -> bool) {
        let handler = Arc::clone(&self.handler);
        until(&mut self.event_loop, what, |_| done(&handler));
    }

    /// Turns until the peer has heard so many texts.
    pub(super) fn hear(&mut self, peer: &mut Peer, count: usize) -> Vec<String> {
        self.until("texts", |_| {
            peer.read();
            peer.texts().len() >= count
        });
        peer.texts()
    }
}
