//! Connections that we open: a service that dials, servers whose answers are written by hand, and our own loop as both
//! ends.

mod failing;
mod opening;
mod racing;
#[cfg(feature = "tls")]
mod tls;

use std::{
    borrow::Cow,
    collections::HashSet,
    net::TcpListener,
    sync::mpsc::{Receiver, Sender, channel},
    time::Instant,
};

use super::*;
use crate::{
    connection::opening::{Opened, OpeningError, OpeningRequest},
    net::{
        connection_setup::ConnectionSetup,
        dial::{Dial, Target},
        resolve::{Lookup, Resolver},
        test_peer::turn,
        waker::Waker,
    },
    wire::{client_fields::ClientFields, proxy::Proxy, url::Url},
};

/// The answer to the nonce of RFC 6455 section 1.3.
const ACCEPTED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A session of either end.
#[derive(Debug)]
struct Call {
    /// What the test calls it; 0 for those that were accepted.
    number: u32,
    role: Role,
}

type Found = (ConnectionId, u32, Result<Vec<SocketAddr>, String>);

/// Dials, and writes down what comes of it. Accepts too: what comes there is echoed.
struct Caller {
    /// Where it accepts.
    address: SocketAddr,
    /// Of sessions that were dialled, what was told: `opened`, a message, `closed CODE`.
    log: Vec<(u32, String)>,
    failed: Vec<(u32, OpeningError)>,
    /// Something against each answer.
    unwanted: Option<&'static str>,
    /// The extensions of what is answered next.
    chain: ExtensionChain,
    resolver: Resolver,
    find: Sender<Found>,
    found: Receiver<Found>,
    waker: Arc<Waker>,
    /// The certificate of the server was judged, as of the last session that was opened.
    is_peer_checked: Option<bool>,
}

impl Caller {
    fn note(&mut self, call: &Call, what: impl Into<String>) {
        if call.role == Role::Client {
            self.log.push((call.number, what.into()));
        }
    }

    /// What was told of one.
    fn told(&self, number: u32) -> Vec<&str> {
        let of = self.log.iter().filter(|(other, _)| *other == number);
        of.map(|(_, what)| &**what).collect()
    }
}

impl Service for Caller {
    type Session = Call;
    type Exchange = ();

    fn accepted(&mut self, _: &mut ConnectionSetup<'_>) -> bool {
        true
    }

    fn secured(&mut self, setup: &mut ConnectionSetup<'_>) -> bool {
        assert_eq!(
            setup.local(),
            Some(self.address),
            "only of those that were accepted"
        );
        true
    }

    fn gone(&mut self, _: ConnectionId, _: Who) {}

    fn trusts(&self, _: Who) -> bool {
        false
    }

    fn request(&mut self, _: &RequestHead<'_>, port: &mut HttpPort<'_>) -> Answer<Call, ()> {
        port.switch().extend_from_slice(ACCEPTED);
        let (number, role) = (0, Role::Server);
        Answer::Upgrade(Call { number, role }, ExtensionChain::default())
    }

    fn unreadable(&mut self, why: &Refused, port: &mut HttpPort<'_>) {
        port.answer(why.status, &Fields::new(), Content::Whole(b""));
    }

    fn refuse(&mut self, (): &mut (), port: &mut HttpPort<'_>, why: &Refused) {
        self.unreadable(why, port);
    }

    fn body(&mut self, (): &mut (), _: &mut HttpPort<'_>, _: &[u8]) {}

    fn body_end(&mut self, (): &mut (), _: &mut HttpPort<'_>, _: Fields) {}

    fn http_writable(&mut self, (): &mut (), _: &mut HttpPort<'_>) {}

    fn http_timer(&mut self, (): &mut (), _: &mut HttpPort<'_>, _: u64) {}

    fn exchange_ended(&mut self, (): (), _: ConnectionId, _: Who, _: &ExchangeEnd) {}

    fn warm(&mut self, _: ConnectionId, _: u32, _: &Arc<File>, _: Range<u64>) {}

    fn resolve(&mut self, id: ConnectionId, lookup: Lookup) -> bool {
        let (tell, waker, number) = (self.find.clone(), Arc::clone(&self.waker), lookup.number);
        self.resolver.submit(lookup, move |found| {
            let _ = tell.send((id, number, found));
            let _ = waker.wake();
        })
    }

    fn answered(
        &mut self,
        call: &mut Call,
        _: ConnectionId,
        opened: &Opened,
    ) -> Result<ExtensionChain, Cow<'static, str>> {
        self.note(call, format!("answered {}", opened.answer.status));
        match self.unwanted {
            Some(why) => Err(why.into()),
            None => Ok(std::mem::take(&mut self.chain)),
        }
    }

    fn dial_failed(
        &mut self,
        call: Call,
        _: ConnectionId,
        error: Box<OpeningError>,
        _: &mut Io<Call, ()>,
    ) {
        self.failed.push((call.number, *error));
    }

    fn opened(&mut self, call: &mut Call, port: &mut Port<'_>) {
        self.note(call, "opened");
        if call.role == Role::Client {
            self.is_peer_checked = port.tls().map(|facts| facts.is_peer_checked);
        }
    }

    fn hear(&mut self, call: &mut Call, port: &mut Port<'_>, frames: &mut Frames<'_>) {
        while let Some(heard) = frames.next(&rules(call.role), port) {
            match (heard, call.role) {
                (Heard::Message(message), Role::Server) => {
                    let sent = port.send(message.kind, true, true, message.payload);
                    assert_eq!(sent, Sent::Queued);
                }
                (Heard::Message(message), Role::Client) if message.payload.len() > 20 => {
                    self.note(call, format!("{} bytes", message.payload.len()));
                }
                (Heard::Message(message), Role::Client) => {
                    self.note(call, String::from_utf8_lossy(message.payload));
                }
                (Heard::Pong(payload), _) => {
                    self.note(call, format!("pong {}", String::from_utf8_lossy(payload)));
                }
                (Heard::Nothing, _) => {}
            }
        }
    }

    fn writable(&mut self, call: &mut Call, _: &mut Port<'_>) {
        self.note(call, "writable");
    }

    fn timer(&mut self, _: &mut Call, _: &mut Port<'_>, _: u64) {}

    fn closed(
        &mut self,
        call: Call,
        _: ConnectionId,
        _: Who,
        report: &CloseReport,
        _: &mut Io<Call, ()>,
    ) {
        self.note(&call, format!("closed {}", report.code));
    }

    fn turn_begins(&mut self) {}

    fn woken(&mut self, io: &mut Io<Call, ()>) {
        for (id, number, found) in self.found.try_iter() {
            io.resolved(id, number, found);
        }
    }

    fn connection_served(&mut self, _: &mut Io<Call, ()>) {}

    fn events_served(&mut self, _: &mut Io<Call, ()>) {}

    fn turn_ends(&mut self) -> bool {
        false
    }
}

/// An event loop that dials, and accepts at a loopback port.
struct Desk {
    event_loop: EventLoop<Caller>,
    /// Where it accepts.
    address: SocketAddr,
    shared: Shared,
}

impl Desk {
    fn new() -> Self {
        Self::with(|_| {}, Resolver::new)
    }

    fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(change, Resolver::new)
    }

    fn with(change: impl FnOnce(&mut Limits), resolver: impl FnOnce(&Limits) -> Resolver) -> Self {
        Self::listening(change, resolver, |listener| listener)
    }

    fn listening(
        change: impl FnOnce(&mut Limits),
        resolver: impl FnOnce(&Limits) -> Resolver,
        with: impl FnOnce(Listener) -> Listener,
    ) -> Self {
        let mut limits = Limits {
            idle_ping_ms: 0,
            ..Limits::default()
        };
        change(&mut limits);
        let mut bound = listener::bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into(), 1).unwrap();
        let listeners = vec![with(bound.remove(0))];
        let address = listeners[0].local_address().unwrap();
        let (find, found) = channel();
        let poll = Loop::new().unwrap();
        let caller = Caller {
            address,
            log: Vec::new(),
            failed: Vec::new(),
            unwanted: None,
            chain: ExtensionChain::default(),
            resolver: resolver(&limits),
            find,
            found,
            waker: Arc::new(poll.waker().unwrap()),
            is_peer_checked: None,
        };
        let (settings, shared) = (Settings::from(&limits), Shared::default());
        let event_loop =
            EventLoop::new(poll, 0, listeners, caller, settings, shared.clone()).unwrap();
        Self {
            event_loop,
            address,
            shared,
        }
    }

    fn dial(&mut self, number: u32, dial: Dial) -> ConnectionId {
        let role = Role::Client;
        let call = Call { number, role };
        self.event_loop.io.dial(Box::new(dial), call).unwrap()
    }

    fn until(&mut self, what: &str, done: impl FnMut(&mut EventLoop<Caller>) -> bool) {
        until(&mut self.event_loop, what, done);
    }

    /// Turns until the session was told so.
    fn told(&mut self, number: u32, what: &str) {
        self.until(what, |event_loop| {
            assert_eq!(event_loop.service.failed, []);
            event_loop.service.told(number).contains(&what)
        });
    }

    /// The only failure there is, once it is there.
    fn failure(&mut self) -> OpeningError {
        self.until("failure", |event_loop| {
            !event_loop.service.failed.is_empty()
        });
        assert_eq!(self.event_loop.service.failed.len(), 1);
        self.event_loop.service.failed.remove(0).1
    }

    fn say(&mut self, id: ConnectionId, text: &str) {
        let sent = self.event_loop.io.with(id, |_, port| {
            port.send(MessageKind::Text, true, true, text.as_bytes())
        });
        assert_eq!(sent, Some(Sent::Queued));
    }

    /// Nothing is left of any connection, and nothing is told twice.
    fn is_left_empty(&mut self) {
        turn(&mut self.event_loop, 0);
        // It dials itself too, so that what was given up may still wait to be accepted, and ends then.
        let connections = Arc::clone(&self.shared.connections);
        self.until("end", |event_loop| {
            let counted = connections.load(std::sync::atomic::Ordering::Relaxed);
            event_loop.io.connections() == 0 && counted == 0
        });
    }
}

/// What is asked of a server at this URL.
fn to(url: &str) -> Dial {
    Dial::new(OpeningRequest {
        url: Url::parse(url).unwrap(),
        host: None,
        nonce: *b"the sample nonce",
        origin: None,
        subprotocols: Vec::new(),
        extensions: String::new(),
        fields: ClientFields::new(),
        proxy: None,
    })
}

/// The same of a server at an address.
fn at(address: SocketAddr) -> Dial {
    to(&format!("ws://{address}/chat"))
}

/// A server that says what a test has it say.
struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    fn new() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The next one that connects.
    fn accept(&self, desk: &mut Desk) -> Peer {
        let mut accepted = None;
        desk.until("connection", |_| {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        Peer::of(accepted.unwrap().0)
    }

    /// The same, and its request head.
    fn asked(&self, desk: &mut Desk) -> (Peer, String) {
        let mut peer = self.accept(desk);
        let head = head(&mut peer, desk);
        (peer, head)
    }

    /// The other end of a WebSocket that is open.
    fn open(&self, desk: &mut Desk) -> Peer {
        let (mut peer, _) = self.asked(desk);
        peer.send(ACCEPTED);
        peer
    }
}

/// The head that a peer sends next.
fn head(peer: &mut Peer, desk: &mut Desk) -> String {
    let mut head = String::new();
    desk.until("request head", |_| {
        peer.read();
        assert!(!peer.ended);
        head = String::from_utf8_lossy(&peer.heard).into_owned();
        peer.take_head()
    });
    head
}

/// The masked frames that a peer has heard: first octet, key, payload in clear.
fn masked(peer: &Peer) -> Vec<(u8, [u8; 4], Vec<u8>)> {
    let mut all = Vec::new();
    let mut rest = &peer.heard[..];
    while let [first, len, a, b, c, d, behind @ ..] = rest {
        assert_eq!(len & 0x80, 0x80, "a client masks");
        let len = usize::from(len & 0x7f);
        assert!(len < 126);
        let Some(payload) = behind.get(..len) else {
            break;
        };
        let key = [*a, *b, *c, *d];
        let clear = payload.iter().zip(key.iter().cycle());
        all.push((*first, key, clear.map(|(byte, key)| byte ^ key).collect()));
        rest = &behind[len..];
    }
    all
}

/// The sockets that are open, whoever has them, and have this port at one of their ends.
fn sockets(port: u16) -> usize {
    let end = format!(":{port:04X}");
    let mut inodes = HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap().lines().skip(1) {
            let columns: Vec<_> = line.split_ascii_whitespace().collect();
            // One that nobody has any more, or that nobody has accepted, has no inode. The table moves while it is read,
            // and may tell one twice.
            if columns[1..3].iter().any(|one| one.ends_with(&end)) && columns[9] != "0" {
                inodes.insert(columns[9].to_owned());
            }
        }
    }
    inodes.len()
}

/// Waits until there are so many of them.
fn await_sockets(port: u16, count: usize) {
    let began = Instant::now();
    while sockets(port) != count {
        let found = sockets(port);
        assert!(
            began.elapsed().as_secs() < 10,
            "{found} sockets and not {count}"
        );
        std::thread::yield_now();
    }
}
