//! Random schedules: sessions do at random what a protocol can do, peers what a peer can, and threads of the program what a
//! handle can, all at once. Whatever the order, each session is closed exactly once and nothing follows, no peer gets
//! anything behind a Close frame, and it comes to an end.
//!
//! The peers are virtual: one end of a pair of sockets, whose other end the host adopts. What each does follows from a
//! seed, which stands in every failure; `HOTSOCKET_SEED=N` runs that one alone.

use std::{
    collections::HashMap,
    env,
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use hotsocket::{ConnectionId, Host, HostConfig, HostHandle};
use hotsocket_plugin::prelude::*;

use crate::{DEADLINE, peer::request, probe};

/// Seeds that are tried.
const SEEDS: u64 = 100;
/// Threads that are peers, and sessions that each has one after another.
const PEERS: u64 = 4;
const SESSIONS: u64 = 12;
/// Threads that use handles meanwhile.
const MEDDLERS: u64 = 2;

/// Numbers that look random (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, role: u64) -> Self {
        let mut dice = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (role + 1) << 32);
        dice.below(1);
        dice
    }

    /// One of so many.
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % most
    }
}

/// What the program sees of all sessions.
#[derive(Default)]
pub(crate) struct Ledger {
    seed: u64,
    /// How many times each was opened and closed.
    sessions: Mutex<HashMap<u64, (u32, u32)>>,
    handles: Mutex<Vec<(ConnectionId, SessionHandle)>>,
    /// What must not happen.
    faults: Mutex<Vec<String>>,
}

impl Ledger {
    fn fault(&self, what: String) {
        self.faults.lock().unwrap().push(what);
    }
}

/// The protocol, which other tests have too and do not use.
pub(crate) struct Chance(Option<Arc<Ledger>>);

/// A session that does what it was told to by a message, and notes what it is told when.
pub(crate) struct Player {
    ledger: Arc<Ledger>,
    dice: Dice,
    /// It has begun to close, or was closed.
    is_closing: bool,
    is_closed: bool,
}

impl Instance for Chance {
    type Session = Player;
    type Options = Empty;
    type Thread = ();

    fn new(host: &hotsocket_plugin::Host, _: Empty) -> Result<Self, PluginError> {
        Ok(Self(host.data()))
    }

    fn thread(&self, _: &hotsocket_plugin::Host) {}

    fn open(&self, session: &mut Session) -> Result<Player, PluginError> {
        let id = session.id().get();
        let ledger = self
            .0
            .clone()
            .ok_or_else(|| PluginError::new("no ledger"))?;
        let dice = Dice::new(ledger.seed, id);
        let mut sessions = ledger.sessions.lock().unwrap();
        sessions.entry(id).or_default().0 += 1;
        drop(sessions);
        let handle = session.handle();
        let id = ConnectionId::from_number(id).expect("never 0");
        ledger.handles.lock().unwrap().push((id, handle));
        Ok(Player {
            ledger,
            dice,
            is_closing: false,
            is_closed: false,
        })
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct Empty {}

impl Player {
    /// Notes that a hook was called.
    fn called(&self, hook: &str, is_message: bool, session: &Session) {
        if self.is_closed {
            let id = session.id().get();
            self.ledger.fault(format!("{hook} of {id} after on_close"));
        }
        if is_message && self.is_closing {
            let id = session.id().get();
            self.ledger
                .fault(format!("{hook} of {id} after it has closed"));
        }
    }

    fn act(&mut self, session: &mut Session) {
        match self.dice.below(24) {
            0..=7 => {
                session.binary(vec![7; self.dice.below(2000) as usize]);
            }
            8 => {
                session.binary(vec![7; 300_000]);
            }
            9 => {
                session.ping(b"?");
            }
            10 | 11 => {
                session.pause();
                session.set_timer(TimerId(1), Duration::from_millis(self.dice.below(3)));
            }
            12..=14 => {
                let timer = TimerId(2 + self.dice.below(3));
                session.set_timer(timer, Duration::from_millis(self.dice.below(4)));
            }
            15 => {
                session.cancel_timer(TimerId(2));
            }
            16 => session.ask_writable(),
            // Those that cannot be queued are not: it makes no difference here.
            17 => drop(session.handle().notify(b"!")),
            18 => drop(session.handle().send(Message::Text("by the handle"))),
            19 => drop(session.all().broadcast("all", SlowPolicy::Drop)),
            20 if self.dice.below(4) == 0 => {
                session.close(3000, "by chance");
                self.is_closing = true;
            }
            21 if self.dice.below(8) == 0 => {
                session.hang_up();
                self.is_closing = true;
            }
            22 if self.dice.below(4) == 0 => {
                session.set_deadline(Duration::from_millis(20), "late");
            }
            _ => {}
        }
    }
}

impl Protocol for Player {
    const NAME: &'static str = "chance";
    const PONGS: bool = true;

    fn on_message(&mut self, session: &mut Session, _: Message<'_>) {
        self.called("on_message", true, session);
        self.act(session);
    }

    fn on_writable(&mut self, session: &mut Session) {
        self.called("on_writable", false, session);
        self.act(session);
    }

    fn on_timer(&mut self, session: &mut Session, timer: TimerId) {
        self.called("on_timer", false, session);
        match timer.0 {
            1 => session.resume(),
            _ => self.act(session),
        }
    }

    fn on_notify(&mut self, session: &mut Session, _: &[u8]) {
        self.called("on_notify", false, session);
        self.act(session);
    }

    fn on_pong(&mut self, session: &mut Session, _: &[u8]) {
        self.called("on_pong", false, session);
    }

    fn on_close(&mut self, session: &mut Session, _: &Close<'_>) {
        self.called("on_close", false, session);
        self.is_closed = true;
        let mut sessions = self.ledger.sessions.lock().unwrap();
        sessions.entry(session.id().get()).or_default().1 += 1;
    }
}

/// The other end of a session, which reads frames.
struct Virtual {
    stream: UnixStream,
    input: Vec<u8>,
    is_answered: bool,
    has_close: bool,
}

impl Virtual {
    /// Gives one end to the host.
    fn adopted(handle: &HostHandle) -> Self {
        let (stream, other_end) = UnixStream::pair().unwrap();
        let (told, outcome) = channel();
        handle.adopt(other_end, move |outcome| {
            // The test has failed already when nobody listens.
            let _ = told.send(outcome.map_err(|refused| refused.why));
        });
        outcome.recv_timeout(DEADLINE).expect("told").expect("room");
        stream.set_nonblocking(true).unwrap();
        let mut peer = Self {
            stream,
            input: Vec::new(),
            is_answered: false,
            has_close: false,
        };
        peer.write(request("/chance").as_bytes());
        peer
    }

    /// Writes what goes; the rest is cut off, and the stream with it. Whether the host is still there.
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// A frame with a mask of zeros.
    fn send(&mut self, opcode: u8, payload: &[u8]) -> bool {
        let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend(payload);
        self.write(&frame)
    }

    /// Reads what there is. False at the end.
    fn read(&mut self, ledger: &Ledger) -> bool {
        let mut piece = [0; 16384];
        let is_open = match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                self.input.extend(&piece[..count]);
                true
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        while let Some((opcode, len)) = self.next() {
            if self.has_close {
                ledger.fault(format!("a frame of kind {opcode} behind a Close frame"));
            }
            self.has_close |= opcode == 8;
            self.input.drain(..len);
        }
        is_open
    }

    /// Kind and length of the frame that comes next, if it is there.
    fn next(&mut self) -> Option<(u8, usize)> {
        if !self.is_answered {
            let end = self.input.windows(4).position(|at| at == b"\r\n\r\n")?;
            assert!(self.input.starts_with(b"HTTP/1.1 101"));
            self.input.drain(..end + 4);
            self.is_answered = true;
        }
        let (opcode, short) = (*self.input.first()? & 0xf, *self.input.get(1)?);
        let bytes = |range: std::ops::Range<usize>| {
            let bytes = self.input.get(range)?;
            Some(
                bytes
                    .iter()
                    .fold(0, |all, byte| all << 8 | usize::from(*byte)),
            )
        };
        let len = match short {
            126 => 4 + bytes(2..4)?,
            127 => 10 + bytes(2..10)?,
            short => 2 + usize::from(short),
        };
        (self.input.len() >= len).then_some((opcode, len))
    }

    /// One session, from its beginning to whatever end.
    fn play(mut self, dice: &mut Dice, ledger: &Ledger) {
        for _ in 0..dice.below(60) {
            let goes_on = match dice.below(12) {
                0..=5 => self.send(2, b"play"),
                6 => self.send(9, b"ping"),
                7 => self.send(10, b"pong"),
                8 => self.send(1, "text".as_bytes()) && self.send(1, b"more"),
                9 if dice.below(6) == 0 => self.send(8, b"\x03\xe8"),
                _ => self.read(ledger),
            };
            if !goes_on {
                return;
            }
        }
        // It leaves at once, or closes in order.
        if dice.below(2) == 0 || !self.send(8, b"\x03\xe8") {
            return;
        }
        let began = Instant::now();
        while self.read(ledger) {
            if began.elapsed() > DEADLINE {
                return ledger.fault("a Close frame has no answer and no end".to_owned());
            }
            thread::yield_now();
        }
    }
}

/// Uses handles until the peers are done.
fn meddle(dice: &mut Dice, host: &HostHandle, ledger: &Ledger, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let handles = ledger.handles.lock().unwrap();
        // Most often one of the newest; but who was paused is to be let go, however old it is.
        let among = match dice.below(4) {
            0 => handles.len() as u64,
            _ => 8,
        };
        let newest = handles
            .len()
            .saturating_sub(dice.below(among.max(1)) as usize + 1);
        let Some((id, session)) = handles.get(newest).copied() else {
            drop(handles);
            thread::yield_now();
            continue;
        };
        drop(handles);
        // One that has ended is a clean error, whichever.
        match dice.below(40) {
            0..=7 => drop(session.send(Message::Binary(b"meddled"))),
            8..=13 => drop(session.notify(b"!")),
            14..=16 => drop(session.pause()),
            17..=28 => drop(session.resume()),
            29 => drop(session.ask_writable()),
            30 => drop(session.ping(b"?")),
            31 => drop(session.close(3001, "meddled")),
            32 => drop(host.close(id, 3002, "by the program")),
            33 => drop(host.abort(id)),
            34 => drop(session.hang_up()),
            35 => host.waker_of(id).wake(),
            _ => thread::yield_now(),
        }
    }
}

fn run(seed: u64) {
    let ledger = Arc::new(Ledger {
        seed,
        ..Ledger::default()
    });
    let mut config = HostConfig {
        listen: Vec::new(),
        threads: 1 + seed as usize % 3,
        ..HostConfig::default()
    };
    config.limits.close_ms = 200;
    let builder = Host::builder().config(config).plugin(probe::plugin());
    let server = builder.data(Arc::clone(&ledger)).build().unwrap();
    let server = server.spawn().unwrap();
    let (handle, is_over) = (server.handle(), AtomicBool::new(false));
    thread::scope(|scope| {
        let peers: Vec<_> = (0..PEERS)
            .map(|role| {
                let (handle, ledger) = (&handle, &ledger);
                scope.spawn(move || {
                    let mut dice = Dice::new(seed, 1000 + role);
                    for _ in 0..SESSIONS {
                        Virtual::adopted(handle).play(&mut dice, ledger);
                    }
                })
            })
            .collect();
        for role in 0..MEDDLERS {
            let (handle, ledger, is_over) = (&handle, &ledger, &is_over);
            scope.spawn(move || meddle(&mut Dice::new(seed, 2000 + role), handle, ledger, is_over));
        }
        // Whatever becomes of a peer, the others are let go.
        let ends: Vec<_> = peers.into_iter().map(|peer| peer.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok), "seed {seed}: a peer failed");
    });
    server.shutdown(Duration::from_millis(200)).unwrap();
    let faults = ledger.faults.lock().unwrap();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    let sessions = ledger.sessions.lock().unwrap();
    // The last of them may not have been heard any more.
    let count = sessions.len() as u64;
    assert!(
        count > PEERS * SESSIONS / 2,
        "seed {seed}: {count} sessions"
    );
    for (id, lives) in sessions.iter() {
        assert_eq!(
            *lives,
            (1, 1),
            "seed {seed}: session {id}, opened and closed"
        );
    }
}

#[test]
fn whatever_the_order_each_session_is_closed_once_and_nothing_follows() {
    let said = env::var("HOTSOCKET_SEED").ok();
    let said = said.map(|seed| seed.parse().expect("a number"));
    let seeds = said.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let (done, is_done) = channel();
        let runs = thread::spawn(move || {
            run(seed);
            done.send(()).unwrap();
        });
        match is_done.recv_timeout(2 * DEADLINE) {
            Ok(()) => runs.join().unwrap(),
            Err(_) if runs.is_finished() => panic!("seed {seed}: see above"),
            Err(_) => panic!("seed {seed}: it does not come to an end"),
        }
    }
}
