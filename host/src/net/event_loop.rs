//! A service thread: its poll, and the order in which a turn does things.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, event::Event};

use crate::connection::{deadline::DeadlineName, websocket::ClosedBy};
use crate::net::{
    announced::UNTRUSTED,
    io::{Io, Shared},
    link::Link,
    listener::Listener,
    listening::Listening,
    service::Service,
    settings::Settings,
    timers::Due,
    token::{ConnectionId, WAKER, listener_index},
};

/// Events taken from the poll at a time.
const EVENTS: usize = 1024;
/// How long a listener without descriptors waits before it tries again.
const RETRY_ACCEPT_MS: u64 = 1000;

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
    poll: Poll,
    events: Events,
    pub(crate) io: Io<S::Session, S::Exchange>,
    pub(crate) service: S,
    began: Instant,
    /// The service has more to do at once.
    is_pressed: bool,
    /// Lists that are emptied while they may be added to.
    spare: Vec<ConnectionId>,
}

/// The poll of a service thread, before there is a service: its waker is needed first.
pub struct Loop {
    poll: Poll,
}

impl Loop {
    /// A poll of its own.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()? })
    }

    /// What wakes it from other threads. To be made once.
    ///
    /// # Errors
    ///
    /// When the operating system has no more descriptors.
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }
}

impl AsFd for Loop {
    /// What is readable when a turn has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

impl<S: Service> AsFd for EventLoop<S> {
    /// What is readable when a turn has something to do, unless it is due by time.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

impl<S: Service> EventLoop<S> {
    /// Service thread number `thread` of a host. The listeners are numbered from 0.
    ///
    /// # Errors
    ///
    /// When the poll cannot be shared with its connections, or a listener cannot be registered.
    pub fn new(
        poll: Loop,
        thread: u8,
        listeners: Vec<Listener>,
        service: S,
        settings: Settings,
        shared: Shared,
    ) -> io::Result<Self> {
        let registry = poll.poll.registry().try_clone()?;
        let mut io = Io::new(registry, thread, settings, shared);
        for (number, listener) in (0..).zip(listeners) {
            io.listen(number, listener)?;
        }
        Ok(Self {
            poll: poll.poll,
            events: Events::with_capacity(EVENTS),
            io,
            service,
            began: Instant::now(),
            is_pressed: false,
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

    /// Waits for something to happen, at most `timeout` (none: as long as it takes), and serves it.
    ///
    /// # Errors
    ///
    /// When the poll itself fails.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<Turned> {
        let timeout = self.patience(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            result => result?,
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
        let standing = self.standing();
        if standing == Turned::Done {
            self.end_all();
        }
        Ok(standing)
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
        if self.is_pressed || accepts || !self.io.listed.is_empty() {
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

    fn clock(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// True when the waker was among them.
    fn serve_events(&mut self) -> bool {
        let Self {
            events,
            io,
            service,
            ..
        } = self;
        let mut woken = false;
        for event in events.iter() {
            match event.token() {
                WAKER => woken = true,
                token => {
                    serve_event(io, service, token, event);
                    service.connection_served(io);
                }
            }
        }
        woken
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
                Due::Deadline(id) => self.io.serve_deadlines(&mut self.service, id),
                Due::Session(id, timer) => {
                    self.io.serve_timer(&mut self.service, id, timer);
                    self.service.connection_served(&mut self.io);
                }
                Due::Attempt(id) => {
                    self.io.race(id, true);
                    self.io.touch(id);
                }
                Due::Call(number) => self.service.called(number, &mut self.io),
                Due::Stop => self.io.stop(),
                Due::Listener(at) => {
                    if let Some(listener) = self.io.listeners.get_mut(at) {
                        listener.is_waiting = false;
                        listener.is_ready = true;
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

    fn accept_all(&mut self) {
        for at in 0..self.io.listeners.len() {
            if self.io.listeners.get_mut(at).is_some_and(|l| l.accepts()) {
                self.accept(at);
            }
        }
        if self.io.is_draining && !self.io.listeners.iter().any(|l| l.is_ready) {
            self.io.listeners.clear(&self.io.registry);
        }
    }

    /// Accepts what waits, up to the limit of a turn.
    fn accept(&mut self, at: usize) {
        for _ in 0..self.io.settings.accept_count {
            let Some(listener) = self.io.listeners.get_mut(at) else {
                return;
            };
            match listener.socket.accept() {
                Ok((transport, peer)) => {
                    let is_announced = listener.socket.is_announced();
                    let link = Link::new(transport, peer, listener.number);
                    self.admit(Link {
                        awaits_announcement: is_announced,
                        ..link
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.io.listeners.is_dry(&self.io.registry, at);
                    return;
                }
                // The peer left while it waited.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(target: "hotsocket::net", %error,
                        "no connection can be accepted; trying again in {RETRY_ACCEPT_MS} ms \
                         (out of descriptors? raise the limit of open files or lower limits.max_connections)");
                    listener.is_ready = false;
                    listener.is_waiting = true;
                    let retry = self.io.now + RETRY_ACCEPT_MS;
                    self.io.timers.insert(retry, Due::Listener(at));
                    return;
                }
            }
        }
    }

    /// Takes a connection in, or closes it when there are too many.
    fn admit(&mut self, link: Link<S::Session, S::Exchange>) {
        use std::sync::atomic::Ordering::Relaxed;
        let io = &mut self.io;
        let (peer, is_announced) = (link.peer, link.awaits_announcement);
        let most = io.settings.limits.max_connections;
        if io.is_draining || most > 0 && io.shared.connections.load(Relaxed) as u64 >= most {
            tracing::debug!(target: "hotsocket::net", %peer, most,
                "connection refused: limits.max_connections is reached, or the host is draining");
            return;
        }
        if is_announced && !self.service.trusts(peer) {
            return io.tell_unannounced(peer, UNTRUSTED);
        }
        // Those of a proxy count for whom it announces.
        let most = match is_announced {
            true => 0,
            false => io.settings.limits.max_connections_per_address,
        };
        if !io.shared.addresses.enter(peer, most) {
            tracing::debug!(target: "hotsocket::net", %peer, most,
                "connection refused: its address has limits.max_connections_per_address");
            return;
        }
        let Ok(id) = io.slots.insert(link) else {
            io.shared.addresses.leave(peer);
            return;
        };
        io.shared.connections.fetch_add(1, Relaxed);
        let Some(link) = io.slots.get_mut(id) else {
            return;
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = link.transport.register(&io.registry, id.token(), interest) {
            tracing::warn!(target: "hotsocket::net", %peer, %error, "connection refused: it cannot be watched");
            io.remove(id);
            return;
        }
        let after = io.settings.limits.opening_handshake_ms;
        link.deadlines.set(DeadlineName::Request, io.now, after);
        let is_welcome = io.with_setup(id, |setup| self.service.accepted(setup));
        if is_welcome == Some(false) {
            io.remove(id);
        }
        io.arm(id);
        io.tell_ended(&mut self.service);
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

/// Notes what an edge says, and serves the connection it is for.
fn serve_event<S: Service>(
    io: &mut Io<S::Session, S::Exchange>,
    service: &mut S,
    token: Token,
    event: &Event,
) {
    if let Some(at) = listener_index(token) {
        if let Some(listener) = io.listeners.get_mut(at) {
            listener.is_ready = true;
        }
        return;
    }
    let Some(id) = ConnectionId::from_token(token) else {
        return;
    };
    let Some(link) = io.slots.get_mut(id) else {
        return;
    };
    let readiness = &mut link.readiness;
    readiness.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
    readiness.read_closed |= event.is_read_closed() || event.is_error();
    readiness.writable |= event.is_writable();
    // Nothing is read in a pause, so nothing else would tell of a reset.
    if event.is_error()
        && link.is_held(&io.settings)
        && let Ok(Some(error)) = link.transport.take_error()
    {
        io.lose(id, &error);
    }
    // One that is listed comes later in this turn, and not twice.
    if io.slots.get_mut(id).is_some_and(|link| !link.is_listed) {
        io.serve(service, id);
    }
}

impl<S: Service> Drop for EventLoop<S> {
    /// No session is left untold, whatever ends the loop; but after a panic nothing here can be relied on.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end_all();
        }
    }
}
