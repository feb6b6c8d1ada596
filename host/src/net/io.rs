//! What a service thread has beside its service: sockets, timers, buffers. The service acts on connections through it.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::Range,
    os::fd::BorrowedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
};

use crate::{
    connection::{
        buffers::BufferPool,
        opening::OpeningError,
        outbound::KeySource,
        websocket::{CloseReport, ClosedBy},
    },
    limits::Limits,
    net::{
        addresses::Addresses,
        connection_setup::ConnectionSetup,
        date_clock::DateClock,
        in_place::InPlace,
        link::{Lent, Link, Pending, Stage},
        listener::Listener,
        listening::{ListenChange, ListenerNumber, Listeners},
        masking_keys::MaskingKeys,
        peer::Peer,
        port::Port,
        requesting::EndedRequest,
        running::Running,
        seats::Seats,
        service::ExchangeEnd,
        settings::Settings,
        slots::Slots,
        timer_wheel::TimerKey,
        timers::{Due, Timers},
        token::ConnectionId,
        watcher::Watcher,
    },
    wire::request_head::FieldRoom,
};

/// Bytes before the read buffer's own: an incomplete frame is placed there, in front of what comes next.
pub(crate) const HEADROOM: usize = 256;
/// The most one read takes, in bytes.
pub(super) const READ_BYTES: usize = 256 << 10;

/// Where what is read begins at a multiple of this, the kernel copies it faster: measured, some 3 % of a `recv` of 16 KiB.
const LINE_BYTES: usize = 64;

/// What all service threads of a host count together.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Connections.
    pub connections: Arc<AtomicUsize>,
    /// Connections by address.
    pub addresses: Arc<Addresses>,
    /// Connections by vhost.
    pub seats: Arc<Seats>,
    /// Memory, see [`crate::limits::Limits::buffered_total_bytes`].
    pub buffered: Arc<AtomicU64>,
}

/// The sockets, timers and buffers of a service thread. `T` is what the service keeps of a
/// session, `E` what it keeps of an exchange.
pub struct Io<T, E> {
    pub(crate) watcher: Watcher,
    pub(crate) listeners: Listeners,
    pub(crate) slots: Slots<Link<T, E>>,
    pub(crate) timers: Timers,
    pub(crate) buffers: BufferPool,
    pub(crate) settings: Settings,
    pub(crate) shared: Shared,
    /// Milliseconds since the thread began, read once per turn.
    pub(crate) now: u64,
    /// What the connection that is being served sends; empty between two of them.
    pub(crate) out: Vec<u8>,
    /// What of it leaves from where it was received.
    pub(crate) in_place: InPlace,
    /// What is read comes behind [`HEADROOM`], at `input_at`.
    pub(crate) input: Box<[u8]>,
    pub(crate) input_at: usize,
    /// Connections that are served in the next turn without an event.
    pub(crate) listed: Vec<ConnectionId>,
    /// Connections whose state was changed from outside their own event.
    pub(crate) touched: Vec<ConnectionId>,
    /// Connections whose extensions hold something back until the end of the turn.
    pub(crate) holding: Vec<ConnectionId>,
    /// Sessions and plain requests that have ended and were not told yet.
    pub(crate) ended: Vec<Ended<T>>,
    /// Exchanges that have ended and were not told yet.
    pub(crate) ended_exchanges: VecDeque<EndedExchange<E>>,
    /// What is kept of an exchange that has ended, for the next one.
    pub(crate) spare_running: Option<Box<Running<E>>>,
    /// Where the fields of requests are listed.
    pub(crate) field_room: FieldRoom,
    /// Connections that were watched and are over.
    pub(crate) gone: Vec<(ConnectionId, Peer)>,
    /// Stretches of files that are to be read from disk.
    pub(crate) cold: Vec<(ConnectionId, Arc<File>, Range<u64>)>,
    pub(crate) date: DateClock,
    /// For the frames of those whose client we are.
    pub(crate) keys: Box<KeySource>,
    /// How many requests of the connection that is being served may still begin in this turn.
    pub(crate) requests_left: u64,
    /// How many steps of TLS handshakes may still be done in this part of the turn.
    pub(crate) handshakes_left: u64,
    /// When the next connection that was announced wrongly is told of.
    pub(crate) tell_unannounced_from: u64,
    /// A timer looks after the memory that is kept for the next message.
    pub(crate) watches_kept: bool,
    pub(crate) is_draining: bool,
    pub(crate) is_stopped: bool,
}

/// What has ended and is to be told.
pub(crate) enum Ended<T> {
    /// A session that was open.
    Closed(T, ConnectionId, Peer, CloseReport),
    /// One that we are the client of, and that was never open.
    NotOpened(T, ConnectionId, Box<OpeningError>),
    /// The way of a plain request: it is being sent.
    Reached(u64),
    /// A plain request.
    Request(EndedRequest),
}

/// An exchange that has ended.
pub(crate) struct EndedExchange<E> {
    pub(crate) exchange: E,
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    pub(crate) end: ExchangeEnd,
}

/// What became of shared bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Sent or queued.
    Done,
    /// The connection is above its high mark.
    Slow,
    /// Not yet: its extensions have to see it.
    Extended,
    /// The session is closing, or there is none any more.
    Gone,
}

impl<T, E> Io<T, E> {
    pub(crate) fn new(watcher: Watcher, thread: u8, settings: Settings, shared: Shared) -> Self {
        let total = Arc::clone(&shared.buffered);
        let mut keys = MaskingKeys::new();
        let input = vec![0; HEADROOM + READ_BYTES + LINE_BYTES].into_boxed_slice();
        let first = input.as_ptr().addr() + HEADROOM;
        let input_at = HEADROOM + first.next_multiple_of(LINE_BYTES) - first;
        Self {
            watcher,
            listeners: Listeners::default(),
            slots: Slots::new(thread),
            timers: Timers::new(0),
            buffers: BufferPool::new(total, settings.limits.buffered_total_bytes),
            settings,
            shared,
            now: 0,
            out: Vec::with_capacity(READ_BYTES),
            in_place: InPlace::default(),
            input,
            input_at,
            listed: Vec::new(),
            touched: Vec::new(),
            holding: Vec::new(),
            ended: Vec::new(),
            ended_exchanges: VecDeque::new(),
            spare_running: None,
            field_room: FieldRoom::default(),
            gone: Vec::new(),
            cold: Vec::new(),
            date: DateClock::default(),
            keys: Box::new(move || keys.next()),
            requests_left: 0,
            handshakes_left: 0,
            tell_unannounced_from: 0,
            watches_kept: false,
            is_draining: false,
            is_stopped: false,
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// The connections there are, WebSocket or not.
    #[must_use]
    pub fn ids(&self) -> Vec<ConnectionId> {
        self.slots.ids()
    }

    /// The id that the next connection gets.
    pub fn next_id(&self) -> Option<ConnectionId> {
        self.slots.next_id()
    }

    /// Has the service called after so many milliseconds, with this number.
    pub fn call_after(&mut self, after_ms: u64, number: u64) -> TimerKey {
        let at = self.now.saturating_add(after_ms);
        self.timers.insert(at, Due::Call(number))
    }

    /// Takes such a call back.
    pub fn take_back(&mut self, call: TimerKey) {
        self.timers.cancel(call);
    }

    /// What is kept of an open session.
    pub fn session(&mut self, id: ConnectionId) -> Option<&mut T> {
        match &mut self.slots.get_mut(id)?.stage {
            Stage::Open(open) => Some(&mut open.session),
            _ => None,
        }
    }

    /// The exchange that goes on at a connection: its number, and what is kept of it.
    pub fn exchange(&mut self, id: ConnectionId) -> Option<(u32, &mut E)> {
        let Stage::Http(http) = &mut self.slots.get_mut(id)?.stage else {
            return None;
        };
        let kept = http.running.as_mut()?.kept.as_mut()?;
        Some((http.count, kept))
    }

    /// Does something with an open session outside its own event. What it sends leaves at once.
    pub fn with<R>(
        &mut self,
        id: ConnectionId,
        action: impl FnOnce(&mut T, &mut Port<'_>) -> R,
    ) -> Option<R> {
        let link = self.slots.get_mut(id)?;
        let lent = Lent {
            id,
            now: self.now,
            out: &mut self.out,
            in_place: &mut self.in_place,
            timers: &mut self.timers,
            buffers: &mut self.buffers,
            settings: &self.settings,
            date: &mut self.date,
            seats: &self.shared.seats,
            keys: &mut *self.keys,
        };
        let (session, mut port) = link.port(lent)?;
        let result = action(session, &mut port);
        self.flush(id);
        self.touch(id);
        Some(result)
    }

    /// Does something with a connection of which nothing was read.
    pub(crate) fn with_setup<R>(
        &mut self,
        id: ConnectionId,
        action: impl FnOnce(&mut ConnectionSetup<'_>) -> R,
    ) -> Option<R> {
        let link = self.slots.get_mut(id)?;
        Some(action(&mut ConnectionSetup {
            id,
            peer: link.peer.get(),
            listener: link.listener,
            transport: &link.transport,
            is_watched: &mut link.is_watched,
            deadlines: &mut link.deadlines,
            now: self.now,
            settings: &self.settings,
        }))
    }

    /// Ends a connection that speaks HTTP: at once, or when the answers have left that were given or begun.
    pub(crate) fn drain_http(&mut self, id: ConnectionId) {
        let Some(link) = self.slots.get_mut(id) else {
            return;
        };
        let Stage::Http(http) = &mut link.stage else {
            return;
        };
        match &mut http.running {
            Some(running) => running.exchange.close_after(),
            // It is judged still, and answered as the last one.
            None if http.pending != Pending::No => {}
            None if link.queue.is_empty() => {
                self.hang_up(id, ClosedBy::Drain, "the server is going away");
            }
            None => {
                self.finish(id);
                self.touch(id);
            }
        }
    }

    /// Takes other limits, for what begins from now on. The bound on all memory is the one of the start.
    pub fn limit(&mut self, limits: &Limits) {
        self.settings = Settings::from(limits);
    }

    /// Accepts nothing more, and gives up what it has dialled and is not open, and plain requests; when the last connection
    /// has ended the thread is done.
    pub fn drain(&mut self) {
        self.is_draining = true;
        self.give_up_dials();
        self.give_up_requests();
    }

    /// The thread is done, whatever is open.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// The same after so many milliseconds, and not before: the one that has begun does not count.
    pub fn stop_after(&mut self, after_ms: u64) {
        match after_ms {
            0 => self.stop(),
            _ => {
                let at = self.now.saturating_add(after_ms).saturating_add(1);
                self.timers.insert(at, Due::Stop);
            }
        }
    }

    /// The descriptor of the socket under a connection, whatever is spoken over it.
    pub(crate) fn socket(&mut self, id: ConnectionId) -> Option<BorrowedFd<'_>> {
        self.slots.get_mut(id)?.transport.descriptor()
    }

    /// Charges what the service keeps for a connection to what all may keep; false when that is too much.
    pub fn charge(&mut self, bytes: u64) -> bool {
        self.buffers.budget().take(bytes)
    }

    /// It is kept no longer.
    pub fn release(&mut self, bytes: u64) {
        self.buffers.budget().give(bytes);
    }

    /// Has a connection settled at the end of the turn.
    pub(crate) fn touch(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id)
            && !link.is_touched
        {
            link.is_touched = true;
            self.touched.push(id);
        }
    }

    /// Takes what was carried, to be put back by [`Self::put_carry`].
    #[inline]
    pub(crate) fn take_carry(&mut self, id: ConnectionId) -> Vec<u8> {
        match self.slots.get_mut(id) {
            Some(link) => link.take_carry(self.buffers.budget()),
            None => Vec::new(),
        }
    }

    /// Keeps input that was not consumed; nothing on the heap if there is none. False when all connections together
    /// keep too much already.
    #[inline]
    pub(crate) fn put_carry(&mut self, id: ConnectionId, mut carry: Vec<u8>) -> bool {
        if carry.is_empty() {
            return true;
        }
        if carry.capacity() > 2 * carry.len() + HEADROOM {
            carry.shrink_to_fit();
        }
        let Some(link) = self.slots.get_mut(id) else {
            return true;
        };
        let has_room = self.buffers.budget().take(carry.capacity() as u64);
        if has_room {
            link.spare.make().carry = carry;
        }
        has_room
    }

    /// Has a connection served in the next turn, without an event.
    pub(crate) fn list(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id)
            && !link.is_listed
        {
            link.is_listed = true;
            self.listed.push(id);
        }
    }

    /// Arms the timer of a connection for its earliest deadline.
    pub(crate) fn arm(&mut self, id: ConnectionId) {
        if let Some(link) = self.slots.get_mut(id) {
            link.arm(id, self.now, &mut self.timers);
        }
    }

    /// Adds a listening socket.
    ///
    /// # Errors
    ///
    /// When it cannot be registered, or there are too many.
    pub(crate) fn listen(&mut self, number: ListenerNumber, socket: Listener) -> io::Result<()> {
        self.listeners.add(&mut self.watcher, number, socket)
    }

    /// Listens where it did not, and no longer where it did. `thread` is the one this is of.
    pub(crate) fn change_listeners(&mut self, thread: usize, change: &ListenChange) {
        for &number in &change.gone {
            self.listeners.give_up(number);
        }
        for (number, spoken) in &change.changed {
            self.listeners.set_spoken(*number, spoken);
        }
        for (number, socket) in change.take(thread) {
            // One that drains takes nobody new.
            if self.is_draining {
                continue;
            }
            let address = socket.local_address();
            if let Err(error) = self.listen(number, socket) {
                tracing::error!(target: "hotsocket::net", ?address, %error,
                    "a service thread cannot accept connections here; the others do");
            }
        }
    }
}
