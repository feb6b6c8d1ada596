//! The event loop over loopback sockets, with a service that writes down what it is told.

mod dial;
mod ending;
mod flow;
mod http;
mod http_endings;
mod http_framing;
mod http_turns;
mod large;
mod listening;
#[cfg(feature = "tls")]
mod tls;

use std::{fs::File, net::SocketAddr, ops::Range, sync::Arc};

use crate::{
    connection::{
        content::Part,
        inbound::{Delivery, InboundRules},
        websocket::{CloseReport, ClosedBy},
    },
    limits::Limits,
    net::{
        connection_setup::ConnectionSetup,
        event_loop::{EventLoop, Loop},
        frames::{Frames, Heard},
        http_port::{Content, HttpPort},
        io::{Io, Shared},
        link::Link,
        listener::{self, Listener},
        peer::Peer as Who,
        port::{Port, Sent},
        service::{Answer, Delivered, ExchangeEnd, Refused, Service},
        settings::Settings,
        test_peer::{Peer, until},
        token::ConnectionId,
    },
    wire::{
        MessageKind, Role, extension::ExtensionChain, fields::Fields, request_head::RequestHead,
    },
};

/// Does what messages ask for, echoes the others, and writes everything down.
#[derive(Default)]
struct Probe {
    log: Vec<String>,
    turn: usize,
    delivered_in_turn: usize,
    most_delivered_in_turn: usize,
    /// Sends that were not queued.
    unsent: usize,
    /// The test has seen more than the high mark wait: reading goes on at this mark.
    awaits_low_mark: Option<usize>,
    closed: Vec<CloseReport>,
    /// What `/file` answers with.
    file: Option<Arc<File>>,
    /// Stretches of files that were to be read from disk.
    cold: Vec<(ConnectionId, u32, Range<u64>)>,
}

impl Probe {
    fn note(&mut self, what: &str) {
        self.log.push(format!("{what}@{}", self.turn));
    }

    /// In which turns that happened.
    fn turns(&self, what: &str) -> Vec<usize> {
        let lines = self.log.iter().filter_map(|line| line.split_once('@'));
        lines
            .filter(|(noted, _)| *noted == what)
            .map(|(_, turn)| turn.parse().unwrap())
            .collect()
    }

    fn delivered(&mut self, port: &mut Port<'_>, message: Delivered<'_>) {
        self.delivered_in_turn += message.payload.len();
        self.most_delivered_in_turn = self.most_delivered_in_turn.max(self.delivered_in_turn);
        if let Some(low) = self.awaits_low_mark.take() {
            assert!(port.queue.len() <= low, "{} wait", port.queue.len());
        }
        if message.payload.len() < 20 {
            let text = String::from_utf8_lossy(message.payload).into_owned();
            self.note(&text);
        }
        self.obey(port, message.kind, message.payload);
    }

    fn obey(&mut self, port: &mut Port<'_>, kind: MessageKind, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload).into_owned();
        let (order, number) = text.split_once(' ').unwrap_or((&text, "0"));
        let number = number.parse().unwrap_or(0);
        let sent = match order {
            "pause" => {
                port.pause();
                if number > 0 {
                    port.set_timer(1, number as u64);
                }
                Sent::Queued
            }
            "send" => port.send(MessageKind::Binary, true, true, &vec![7; number]),
            "ask" => {
                port.ask_writable();
                Sent::Queued
            }
            "close" => port.close(ClosedBy::Protocol, 1000, "enough"),
            "pause-close" => {
                port.pause();
                port.close(ClosedBy::Protocol, 1000, "enough")
            }
            "hang-up" => {
                port.hang_up();
                Sent::Queued
            }
            "deadline" => {
                port.set_deadline(number as u64, "too late");
                Sent::Queued
            }
            "fail" => {
                port.fail(1011, "broken");
                Sent::Queued
            }
            "twice" => {
                port.send(kind, true, true, payload);
                port.send(kind, true, true, payload)
            }
            "part" => port.send(kind, true, true, &payload[5..payload.len() - 1]),
            "between" => {
                port.send(MessageKind::Text, true, true, b"before");
                port.send(kind, true, true, payload);
                port.send(MessageKind::Text, true, true, b"behind")
            }
            "own" => {
                let own = vec![7; number];
                port.send(MessageKind::Text, true, true, b"before");
                port.send(MessageKind::Binary, true, false, &own);
                port.send(MessageKind::Binary, false, true, &own[..number / 2]);
                port.send(MessageKind::Text, true, true, b"behind")
            }
            "fragments" => {
                let (first, second) = payload.split_at(payload.len() / 2);
                port.send(kind, true, false, first);
                port.send(kind, false, true, second)
            }
            "echo-close" => {
                port.send(kind, true, true, payload);
                port.close(ClosedBy::Protocol, 1000, "enough")
            }
            _ => port.send(kind, true, true, payload),
        };
        if sent != Sent::Queued {
            self.unsent += 1;
        }
    }
}

/// How messages are read.
fn rules(role: Role) -> InboundRules {
    InboundRules {
        role,
        message_bytes: 16 << 20,
        delivery: Delivery::Messages,
    }
}

impl Service for Probe {
    type Session = ();

    /// Whatever path a request names, that is what it gets: see [`Self::request`].
    type Exchange = ();

    fn trusts(&self, _: Who) -> bool {
        true
    }

    fn accepted(&mut self, _setup: &mut ConnectionSetup<'_>) -> bool {
        true
    }

    fn secured(&mut self, _setup: &mut ConnectionSetup<'_>) -> bool {
        true
    }

    fn gone(&mut self, _id: ConnectionId, _peer: Who) {}

    fn request(&mut self, head: &RequestHead<'_>, port: &mut HttpPort<'_>) -> Answer<(), ()> {
        self.note(&format!("{} {}", head.method, head.target));
        let none = Fields::new();
        let (path, number) = head.path().rsplit_once('/').unwrap_or_default();
        let page = vec![b'p'; number.parse().unwrap_or_default()];
        match path {
            "/page" => {
                port.close_after();
                port.answer(200, &none, Content::Whole(&page));
            }
            "/whole" => {
                port.answer(200, &none, Content::Whole(&page));
            }
            "/echo" => {
                port.answer(200, &none, Content::Streamed(None));
            }
            "/file" => {
                let file = Arc::clone(self.file.as_ref().unwrap());
                let range = 0..file.metadata().unwrap().len();
                let parts = vec![
                    Part::Bytes(b"begin".to_vec()),
                    Part::File { file, range },
                    Part::Bytes(b"end".to_vec()),
                ];
                port.answer(200, &none, Content::Parts(parts));
            }
            "/later" => {
                port.pause();
                port.set_timer(7, page.len() as u64);
            }
            "/bytes" => {
                let file = Arc::clone(self.file.as_ref().unwrap());
                let parts = vec![Part::File { file, range: 0..1 }, Part::Bytes(page)];
                port.answer(200, &none, Content::Parts(parts));
            }
            "/paused" => {
                port.pause();
                port.answer(200, &none, Content::Whole(&page));
            }
            "/resumed" => {
                port.pause();
                port.set_timer(8, page.len() as u64);
            }
            "/events" => {
                port.set_timer(9, page.len() as u64);
            }
            "/polls" => {
                port.set_timer(10, page.len() as u64);
            }
            "/silent" => {}
            _ => {
                port.switch()
                    .extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
                return Answer::Upgrade((), ExtensionChain::default());
            }
        }
        Answer::Exchange(())
    }

    fn unreadable(&mut self, why: &Refused, port: &mut HttpPort<'_>) {
        let content = Content::Whole(why.why.as_bytes());
        port.answer(why.status, &Fields::new(), content);
    }

    fn refuse(&mut self, (): &mut (), port: &mut HttpPort<'_>, why: &Refused) {
        self.unreadable(why, port);
    }

    fn body(&mut self, (): &mut (), port: &mut HttpPort<'_>, piece: &[u8]) {
        self.note(&format!("body {}", piece.len()));
        port.send(piece);
    }

    fn body_end(&mut self, (): &mut (), port: &mut HttpPort<'_>, trailer: Fields) {
        port.finish(&trailer);
    }

    fn http_writable(&mut self, (): &mut (), _port: &mut HttpPort<'_>) {}

    fn http_timer(&mut self, (): &mut (), port: &mut HttpPort<'_>, id: u64) {
        match id {
            8 => return port.resume(),
            10 => {
                port.set_timer(10, 5);
                return;
            }
            _ => port.resume(),
        }
        port.answer(200, &Fields::new(), Content::Streamed(None));
        if id == 7 && port.exchange.has_body() {
            port.finish(&Fields::new());
        }
    }

    fn exchange_ended(&mut self, (): (), _: ConnectionId, _: Who, end: &ExchangeEnd) {
        self.note(&format!("ended {:?} {} {}", end.by, end.status, end.sent));
    }

    fn warm(&mut self, id: ConnectionId, number: u32, _file: &Arc<File>, range: Range<u64>) {
        self.cold.push((id, number, range));
    }

    fn opened(&mut self, (): &mut (), _port: &mut Port<'_>) {
        self.note("opened");
    }

    fn hear(&mut self, (): &mut (), port: &mut Port<'_>, frames: &mut Frames<'_>) {
        while let Some(heard) = frames.next(&rules(Role::Server), port) {
            match heard {
                Heard::Message(message) => self.delivered(port, message),
                Heard::Pong(_) => self.note("pong"),
                Heard::Nothing => {}
            }
        }
    }

    fn writable(&mut self, (): &mut (), _port: &mut Port<'_>) {
        self.note("writable");
    }

    fn timer(&mut self, (): &mut (), port: &mut Port<'_>, _id: u64) {
        self.note("timer");
        port.resume();
    }

    fn closed(
        &mut self,
        (): (),
        _id: ConnectionId,
        _peer: Who,
        report: &CloseReport,
        _io: &mut Io<(), ()>,
    ) {
        self.note("closed");
        self.closed.push(report.clone());
    }

    fn turn_begins(&mut self) {
        self.turn += 1;
        self.delivered_in_turn = 0;
    }

    fn woken(&mut self, _io: &mut Io<(), ()>) {}

    fn connection_served(&mut self, _io: &mut Io<(), ()>) {}

    fn events_served(&mut self, _io: &mut Io<(), ()>) {}

    fn turn_ends(&mut self) -> bool {
        false
    }
}

/// An event loop of its own with a listener on a loopback port.
struct Bench {
    event_loop: EventLoop<Probe>,
    address: SocketAddr,
    shared: Shared,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Limits)) -> Self {
        Self::listening(change, |listener| listener)
    }

    fn listening(change: impl FnOnce(&mut Limits), with: impl FnMut(Listener) -> Listener) -> Self {
        let mut limits = Limits {
            idle_ping_ms: 0,
            ..Limits::default()
        };
        change(&mut limits);
        let bound = listener::bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into(), 1).unwrap();
        let listeners: Vec<_> = bound.into_iter().map(with).collect();
        let address = listeners[0].local_address().unwrap();
        let shared = Shared::default();
        let event_loop = EventLoop::new(
            Loop::new().unwrap(),
            0,
            listeners,
            Probe::default(),
            Settings::from(&limits),
            shared.clone(),
        )
        .unwrap();
        Self {
            event_loop,
            address,
            shared,
        }
    }

    fn until(&mut self, what: &str, done: impl FnMut(&mut EventLoop<Probe>) -> bool) {
        until(&mut self.event_loop, what, done);
    }

    /// A peer whose opening handshake is done.
    fn open(&mut self) -> Peer {
        let mut peer = Peer::connect(self.address);
        peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        self.until("opening handshake", |_| {
            peer.read();
            peer.take_head()
        });
        peer
    }

    /// A peer with another address of this machine.
    fn connect_from(&self, address: [u8; 4]) -> Peer {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        Peer::of(socket.into())
    }

    /// Turns until all sessions are told.
    fn closed(&mut self, count: usize) -> &[CloseReport] {
        self.until("close", |event_loop| {
            event_loop.service.closed.len() >= count
        });
        assert_eq!(self.event_loop.service.closed.len(), count);
        &self.event_loop.service.closed
    }

    /// The only connection.
    fn link(&mut self) -> &mut Link<(), ()> {
        let id = self.event_loop.io.ids()[0];
        self.event_loop.io.slots.get_mut(id).unwrap()
    }

    fn queued(&mut self) -> usize {
        self.link().queue.len()
    }
}
