//! A service thread: its poll, and the order in which a turn does things.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, RawFd},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, event::Event};

use crate::connection::websocket::ClosedBy;
use crate::net::{
    io::{Io, Shared},
    listener::Listener,
    listening::Listening,
    service::Service,
    settings::Settings,
    timers::Due,
    token::{ConnectionId, WAKER, listener_index},
    waker::{WakeEvent, Waker},
    watcher::{FdInterest, FdReadiness, FdSink, Foreign, Watcher},
};

/// Events taken from the poll at a time.
const EVENTS: usize = 1024;

/// Whether there will be another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Yes.
    Running,
    /// Everything is drained, or the thread was stopped.
    Done,
}

/// One service thread. Its connections never leave it.
pub struct EventLoop<S: Service> {
    source: Source,
    pub(crate) io: Io<S::Session, S::Exchange>,
    pub(crate) service: S,
    began: Instant,
    /// The service has more to do at once.
    is_pressed: bool,
    /// The poll may have more to tell than it did.
    is_full: bool,
    /// Lists that are emptied while they may be added to.
    spare: Vec<ConnectionId>,
}

/// Where readiness comes from.
enum Source {
    /// A poll of the thread's own, and what it tells of.
    Poll(Poll, Events),
    /// A loop of the program, which tells by [`EventLoop::service_fd`]; only wakes come in between.
    Foreign(WakeEvent),
}

/// What a service thread waits with, before there is a service: its waker is needed first.
pub struct Loop(Waits);

enum Waits {
    Poll(Poll),
    Foreign(Box<dyn FdSink>, WakeEvent),
}

impl Loop {
    /// A poll of its own.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Waits::Poll(Poll::new()?)))
    }

    /// A loop of the program, which is told of every descriptor.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn foreign(sink: Box<dyn FdSink>) -> io::Result<Self> {
        Ok(Self(Waits::Foreign(sink, WakeEvent::new()?)))
    }

    /// What wakes it from other threads. To be made once.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn waker(&self) -> io::Result<Waker> {
        match &self.0 {
            Waits::Poll(poll) => Ok(Waker::Poll(mio::Waker::new(poll.registry(), WAKER)?)),
            Waits::Foreign(_, event) => Ok(Waker::Event(event.clone())),
        }
    }
}

impl Loop {
    /// Whether a loop of the program waits.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.0, Waits::Foreign(..))
    }

    /// The two ends of it: what tells a service thread, and where its sockets are registered.
    fn begin(self) -> io::Result<(Source, Watcher)> {
        match self.0 {
            Waits::Poll(poll) => {
                let registry = poll.registry().try_clone()?;
                let events = Events::with_capacity(EVENTS);
                Ok((Source::Poll(poll, events), Watcher::Poll(registry)))
            }
            Waits::Foreign(sink, event) => {
                let mut foreign = Box::new(Foreign::new(sink));
                foreign.add(event.as_fd(), WAKER)?;
                Ok((Source::Foreign(event), Watcher::Foreign(foreign)))
            }
        }
    }
}

impl AsFd for Loop {
    /// What is readable when a turn has something to do; of a foreign loop, when it was woken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Waits::Poll(poll) => poll.registry().as_fd(),
            Waits::Foreign(_, event) => event.as_fd(),
        }
    }
}

impl<S: Service> AsFd for EventLoop<S> {
    /// What is readable when a turn has something to do, unless it is due by time; of a foreign loop, when it was woken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Poll(poll, _) => poll.registry().as_fd(),
            Source::Foreign(event) => event.as_fd(),
        }
    }
}

impl<S: Service> EventLoop<S> {
    /// Service thread number `thread` of a host. The listeners are numbered from 0.
    ///
    /// # Errors
    ///
    /// When the poll cannot be shared with its connections, or a listener cannot be registered.
    pub fn new(
        waits: Loop,
        thread: u8,
        listeners: Vec<Listener>,
        service: S,
        settings: Settings,
        shared: Shared,
    ) -> io::Result<Self> {
        let (source, watcher) = waits.begin()?;
        let mut io = Io::new(watcher, thread, settings, shared);
        for (number, listener) in (0..).zip(listeners) {
            io.listen(number, listener)?;
        }
        Ok(Self {
            source,
            io,
            service,
            began: Instant::now(),
            is_pressed: false,
            is_full: false,
            spare: Vec::new(),
        })
    }

    /// Turns until there is nothing left to serve.
    ///
    /// # Errors
    ///
    /// When the poll itself fails.
    pub fn run(&mut self) -> io::Result<()> {
        while self.turn(None)? == Turned::Running {}
        Ok(())
    }

    /// Waits for something to happen, at most `timeout` (none: as long as it takes), and serves it. Where a loop of the
    /// program waits it serves what that has told, and waits for nothing.
    ///
    /// # Errors
    ///
    /// When the poll itself fails.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<Turned> {
        let timeout = self.patience(timeout);
        if let Source::Poll(poll, events) = &mut self.source {
            match poll.poll(events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                result => result?,
            }
        }
        self.io.now = self.clock();
        self.service.turn_begins();
        // Whoever asks for it now is served in the next turn.
        std::mem::swap(&mut self.spare, &mut self.io.listed);
        // Those that had to wait have a share of their own, which newcomers cannot use up.
        self.io.allow_handshakes();
        let woken = self.serve_events();
        self.io.allow_handshakes();
        self.serve_listed();
        self.serve_timers();
        if woken {
            self.service.woken(&mut self.io);
        }
        self.service.events_served(&mut self.io);
        self.settle_touched();
        self.is_pressed = self.service.turn_ends();
        self.accept_all();
        self.io.watch_kept();
        let standing = self.standing();
        if standing == Turned::Done {
            self.end_all();
        }
        Ok(standing)
    }

    /// Whether a loop of the program waits for it.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.source, Source::Foreign(_))
    }

    /// A loop of the program has seen this of a descriptor: the next turn serves it. False when it is none that the loop
    /// was told of.
    pub fn service_fd(&mut self, fd: RawFd, readiness: FdReadiness) -> bool {
        match &mut self.io.watcher {
            Watcher::Foreign(foreign) => foreign.note(fd, readiness),
            Watcher::Poll(_) => false,
        }
    }

    /// How long a turn would wait if nothing happened; none when it would wait for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.patience(None)
    }

    /// The connections of this thread.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.io.ids()
    }

    /// The socket under a connection of this thread, whatever is spoken over it; none when the connection has ended.
    pub fn socket(&mut self, id: ConnectionId) -> Option<BorrowedFd<'_>> {
        self.io.socket(id)
    }

    /// Ends what is still open, and tells its sessions: nothing outlives what the service has for this thread.
    fn end_all(&mut self) {
        for id in self.io.ids() {
            self.io
                .hang_up(id, ClosedBy::Drain, "the server is going away");
        }
        self.io.tell_ended(&mut self.service);
    }

    /// How long the poll may wait.
    fn patience(&self, asked: Option<Duration>) -> Option<Duration> {
        // One that waits for descriptors is tried again by its timer, whatever else arrives there.
        let mut listeners = self.io.listeners.iter();
        let accepts = listeners.any(Listening::accepts);
        let is_told =
            matches!(&self.io.watcher, Watcher::Foreign(foreign) if !foreign.noted.is_empty());
        if self.is_pressed || self.is_full || accepts || is_told || !self.io.listed.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.io.timers.next_deadline().map(|at| {
            // Rounded up, so that it is due when the poll returns.
            Duration::from_millis(at.saturating_sub(self.clock()))
        });
        match (asked, due) {
            (Some(asked), Some(due)) => Some(asked.min(due)),
            (asked, due) => asked.or(due),
        }
    }

    pub(super) fn clock(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// True when the waker was among them.
    fn serve_events(&mut self) -> bool {
        match &self.source {
            Source::Poll(_, events) => {
                let (io, service) = (&mut self.io, &mut self.service);
                let (mut woken, mut count) = (false, 0);
                for event in events.iter() {
                    count += 1;
                    woken |= serve_event(io, service, event.token(), edge(event));
                }
                self.is_full = count >= EVENTS;
                woken
            }
            Source::Foreign(_) => self.serve_noted(),
        }
    }

    /// The same of what a loop of the program has told. Commands are looked for in each of its turns, so that it ends also
    /// when that loop tells of nothing any more.
    fn serve_noted(&mut self) -> bool {
        let Watcher::Foreign(foreign) = &mut self.io.watcher else {
            return false;
        };
        let mut noted = std::mem::take(&mut foreign.noted);
        let mut woken = false;
        for (token, readiness) in noted.drain(..) {
            woken |= serve_event(&mut self.io, &mut self.service, token, readiness);
        }
        // Its room is used again.
        if let Watcher::Foreign(foreign) = &mut self.io.watcher {
            foreign.noted = noted;
        }
        if woken && let Source::Foreign(event) = &self.source {
            event.clear();
        }
        true
    }

    /// Those whose budget had ended, and those that asked for a call.
    fn serve_listed(&mut self) {
        for at in 0..self.spare.len() {
            let id = self.spare[at];
            if let Some(link) = self.io.slots.get_mut(id) {
                link.is_listed = false;
                self.io.serve(&mut self.service, id);
                self.service.connection_served(&mut self.io);
            }
        }
        self.spare.clear();
    }

    fn serve_timers(&mut self) {
        while let Some(due) = self.io.timers.expire(self.io.now) {
            match due {
                Due::Deadline(slot) => {
                    if let Some(id) = self.io.slots.id_in(slot) {
                        self.io.serve_deadlines(&mut self.service, id);
                    }
                }
                Due::Session(id, timer) => {
                    self.io.serve_timer(&mut self.service, id, timer);
                    self.service.connection_served(&mut self.io);
                }
                Due::Attempt(id) => {
                    self.io.race(id, true);
                    self.io.touch(id);
                }
                Due::Call(number) => self.service.called(number, &mut self.io),
                Due::Kept => self.io.give_back(),
                Due::Stop => self.io.stop(),
                Due::Listener(at) => {
                    if let Some(listener) = self.io.listeners.get_mut(at) {
                        listener.is_waiting = false;
                        listener.is_ready = true;
                        self.want_listener(at, FdInterest::READABLE);
                    }
                }
            }
        }
    }

    /// Brings connections in order that were acted on outside their own event, and tells sessions that have ended.
    fn settle_touched(&mut self) {
        self.io.flush_holding();
        while !self.io.touched.is_empty() {
            std::mem::swap(&mut self.spare, &mut self.io.touched);
            for at in 0..self.spare.len() {
                self.io.settle(&mut self.service, self.spare[at]);
            }
            self.spare.clear();
        }
        self.io.tell_ended(&mut self.service);
    }

    fn standing(&self) -> Turned {
        let drained =
            self.io.is_draining && self.io.connections() == 0 && self.io.listeners.is_empty();
        if drained || self.io.is_stopped {
            Turned::Done
        } else {
            Turned::Running
        }
    }
}

/// What an edge says.
fn edge(event: &Event) -> FdReadiness {
    FdReadiness {
        readable: event.is_readable(),
        writable: event.is_writable(),
        hung_up: event.is_read_closed(),
        failed: event.is_error(),
    }
}

/// Serves what was told of a token, if it is not the waker's; true when it is.
fn serve_event<S: Service>(
    io: &mut Io<S::Session, S::Exchange>,
    service: &mut S,
    token: Token,
    told: FdReadiness,
) -> bool {
    if token == WAKER {
        return true;
    }
    match listener_index(token) {
        Some(at) => {
            if let Some(listener) = io.listeners.get_mut(at) {
                listener.is_ready = true;
            }
        }
        None => serve_told(io, service, token, told),
    }
    service.connection_served(io);
    false
}

/// Notes what was told of a socket, and serves the connection it is for.
fn serve_told<S: Service>(
    io: &mut Io<S::Session, S::Exchange>,
    service: &mut S,
    token: Token,
    told: FdReadiness,
) {
    let Some(id) = ConnectionId::from_token(token) else {
        return;
    };
    let Some(link) = io.slots.get_mut(id) else {
        return;
    };
    let readiness = &mut link.readiness;
    readiness.readable |= told.readable || told.hung_up || told.failed;
    readiness.read_closed |= told.hung_up || told.failed;
    readiness.writable |= told.writable;
    // One that is listed comes later in this turn, and not twice.
    let is_listed = link.is_listed;
    // Nothing is read in a pause, so nothing else would tell of a reset.
    if told.failed
        && link.is_held(&io.settings)
        && let Ok(Some(error)) = link.transport.take_error()
    {
        io.lose(id, &error);
    }
    if !is_listed {
        io.serve(service, id);
    }
}

impl<S: Service> Drop for EventLoop<S> {
    /// No session is left untold, whatever ends the loop; but after a panic nothing here can be relied on.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end_all();
            self.io.listeners.clear(&mut self.io.watcher);
            if let Source::Foreign(event) = &self.source {
                self.io.watcher.forget(event.as_fd());
            }
        }
    }
}
