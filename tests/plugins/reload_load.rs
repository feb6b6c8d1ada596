//! The load under which plugins are replaced: every message is numbered, and every answer is accounted for.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::frame::{BINARY, TEXT};
use crate::support::{Frame, RawPeer};

/// Connections that never reconnect, and as many that reconnect after [`MESSAGES_PER_CONNECTION`].
const CONNECTIONS: usize = 50;
/// Messages after which a connection of the second group closes and another one is opened.
const MESSAGES_PER_CONNECTION: u64 = 40;
/// Messages that are in flight together on one connection.
const IN_FLIGHT: u64 = 4;
/// The sizes of the messages, around each border of the length encoding.
const SIZES: [usize; 8] = [0, 1, 117, 118, 1000, 4096, 65_527, 65_528];
/// How long a connection listens for broadcasts before it sends on.
const LISTENS: Duration = Duration::from_millis(20);

/// Opens a session of the plugin `marker`.
pub(crate) type Opener<'a> = &'a (dyn Fn() -> RawPeer + Sync);

/// What is known of a load that runs.
#[derive(Default)]
pub(crate) struct Load {
    /// The versions that have answered the group that reconnects.
    versions: Mutex<BTreeSet<String>>,
    /// Messages that came back as they should.
    pub(crate) answered: AtomicU64,
    /// Broadcasts that were sent.
    broadcasts: AtomicU64,
    /// No further broadcast is begun.
    broadcasts_end: AtomicBool,
    /// All broadcasts have been sent.
    is_over: AtomicBool,
}

impl Load {
    /// Runs the load while `during` runs, then waits until each peer has seen all it must see. Panics when anything
    /// is lost, repeated, reordered, altered or closed.
    pub(crate) fn run<T>(&self, open: Opener<'_>, during: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let staying: Vec<_> = (0..CONNECTIONS).map(|_| Listener::open(open)).collect();
            let mut peers: Vec<_> = staying
                .into_iter()
                .map(|listener| scope.spawn(|| self.stay(listener)))
                .collect();
            peers.extend((0..CONNECTIONS).map(|_| scope.spawn(move || self.come_and_go(open))));
            let broadcaster = scope.spawn(move || self.broadcast(open()));

            let over = Over(self);
            let result = during();
            self.broadcasts_end.store(true, Ordering::Release);
            broadcaster.join().expect("the broadcaster is served");
            drop(over);
            for peer in peers {
                peer.join().expect("each peer is served without a fault");
            }
            result
        })
    }

    /// Whether this version has answered the group that reconnects.
    pub(crate) fn has_met(&self, version: &str) -> bool {
        let versions = self.versions.lock().expect("no holder panics");
        versions.contains(version)
    }

    /// One connection to the end, which also gets every broadcast.
    fn stay(&self, mut listener: Listener) {
        let mut next = 0;
        let mut version = None;
        while !self.is_over.load(Ordering::Acquire) {
            let answered_by = listener.exchange(&mut next);
            let known = version.get_or_insert_with(|| answered_by.clone());
            assert_eq!(*known, answered_by, "a session stays with its generation");
            self.answered.fetch_add(IN_FLIGHT, Ordering::Relaxed);
            listener.listen(LISTENS);
        }
        while listener.next_broadcast < Some(self.broadcasts.load(Ordering::Acquire)) {
            let frame = listener.peer.frame();
            listener.take_broadcast(&frame);
        }
        listener.peer.expect_quiet();
        listener.peer.close();
    }

    /// One connection after the other.
    fn come_and_go(&self, open: Opener<'_>) {
        while !self.is_over.load(Ordering::Acquire) {
            let mut listener = Listener::open(open);
            listener.next_broadcast = None;
            let mut next = 0;
            while next < MESSAGES_PER_CONNECTION {
                let version = listener.exchange(&mut next);
                self.answered.fetch_add(IN_FLIGHT, Ordering::Relaxed);
                self.versions
                    .lock()
                    .expect("no holder panics")
                    .insert(version);
                listener.listen(LISTENS);
            }
            listener.close();
        }
    }

    /// Sends numbered messages to everybody, this session included, one at a time.
    fn broadcast(&self, mut peer: RawPeer) {
        while !self.broadcasts_end.load(Ordering::Acquire) {
            let nth = self.broadcasts.load(Ordering::Relaxed);
            assert_eq!(peer.ask(&nth.to_string()), nth.to_string());
            self.broadcasts.store(nth + 1, Ordering::Release);
            peer.frame_within(LISTENS);
        }
    }
}

/// Ends the load also when what runs beside it panics.
struct Over<'a>(&'a Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.broadcasts_end.store(true, Ordering::Release);
        self.0.is_over.store(true, Ordering::Release);
    }
}

/// A peer that takes broadcasts between its answers.
struct Listener {
    peer: RawPeer,
    /// The number of the next broadcast; none as long as any may come.
    next_broadcast: Option<u64>,
}

impl Listener {
    fn open(open: Opener<'_>) -> Self {
        Self {
            peer: open(),
            next_broadcast: Some(0),
        }
    }

    /// Sends some messages, numbered from `next`, and takes their answers in order. Gives the version that answered.
    fn exchange(&mut self, next: &mut u64) -> String {
        let messages: Vec<Frame> = (*next..*next + IN_FLIGHT).map(message).collect();
        *next += IN_FLIGHT;
        self.peer.frames(&messages);
        let mut version = String::new();
        for message in messages {
            let answer = self.answer();
            let (marker, payload) = answer.payload.split_at(32);
            assert!(payload == message.payload, "lost, reordered or altered");
            version = String::from_utf8_lossy(marker).into_owned();
        }
        version
    }

    fn answer(&mut self) -> Frame {
        loop {
            let frame = self.peer.frame();
            match frame.opcode {
                BINARY => return frame,
                _ => self.take_broadcast(&frame),
            }
        }
    }

    fn listen(&mut self, within: Duration) {
        if let Some(frame) = self.peer.frame_within(within) {
            self.take_broadcast(&frame);
        }
    }

    fn take_broadcast(&mut self, frame: &Frame) {
        assert_eq!(frame.opcode, TEXT, "{frame:?}");
        let nth: u64 = frame.as_text().parse().expect("a number");
        let expected = self.next_broadcast.unwrap_or(nth);
        assert_eq!(nth, expected, "a broadcast is lost, repeated or reordered");
        self.next_broadcast = Some(nth + 1);
    }

    /// Closes, and takes the broadcasts that come before the answer.
    fn close(mut self) {
        self.peer.frames(&[Frame::close(1000, "")]);
        let mut frames = self.peer.frames_to_close();
        let close = frames.pop().expect("the Close frame");
        assert_eq!(close.close_code(), Some(1000), "{close:?}");
        for frame in &frames {
            self.take_broadcast(frame);
        }
        self.peer.expect_end();
    }
}

/// The message of this number: eight octets of it, then a filling that follows from it.
fn message(number: u64) -> Frame {
    let size = SIZES[(number % SIZES.len() as u64) as usize];
    let mut payload = number.to_be_bytes().to_vec();
    payload.extend((0..size).map(|at| (number as usize + at) as u8));
    Frame::binary(payload)
}
