//! How a service thread learns what its sockets are ready for: by a poll of its own, or from a loop of the program.
//!
//! A poll tells of edges: what becomes ready is told once, so all is registered once and for everything. A foreign loop is
//! told of every socket, and tells of levels: what stays ready is told again and again. So it is asked only for what would
//! be used, anew whenever that changes. Serving is the same: what was told is noted at the connection until a call to the
//! system says otherwise.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use mio::{Interest, Registry, Token, event::Source, net::TcpStream};

/// What a loop is to tell of a descriptor. Errors and hang-ups are told whether they were asked for or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdInterest {
    /// There is something to read, or to accept.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

impl FdInterest {
    /// Errors and hang-ups alone.
    pub const NONE: Self = Self {
        readable: false,
        writable: false,
    };
    /// Writing alone.
    pub const WRITABLE: Self = Self {
        readable: false,
        writable: true,
    };
    /// Reading alone.
    pub const READABLE: Self = Self {
        readable: true,
        writable: false,
    };
}

/// What a loop has seen of a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdReadiness {
    /// There is something to read, or to accept (POLLIN).
    pub readable: bool,
    /// There is room to write (POLLOUT).
    pub writable: bool,
    /// The peer sends no more (POLLHUP, POLLRDHUP).
    pub hung_up: bool,
    /// The socket has failed (POLLERR).
    pub failed: bool,
}

/// A loop of the program, which is told of every descriptor of a service thread: its waker, its listeners and its
/// connections. Called on the thread that drives it, within a turn or when the service thread starts or ends.
///
/// What the loop sees of them it gives to `service_fd`. It may tell of levels, as `poll` does and `epoll` by default, or of
/// edges if each [`add`](Self::add) and [`modify`](Self::modify) tells of what is so already, as those of `epoll` do.
pub trait FdSink: Send {
    /// Watches a descriptor from now on.
    ///
    /// # Errors
    ///
    /// When it cannot: a connection is refused then, and a host does not start.
    fn add(&mut self, fd: BorrowedFd<'_>, interest: FdInterest) -> io::Result<()>;

    /// Watches it for `new`, and no longer for `old`.
    ///
    /// # Errors
    ///
    /// When it cannot: the connection is lost then.
    fn modify(&mut self, fd: BorrowedFd<'_>, old: FdInterest, new: FdInterest) -> io::Result<()>;

    /// Watches it no longer. It is still open, and may be closed as soon as this returns.
    fn remove(&mut self, fd: BorrowedFd<'_>);
}

/// What the sockets of a service thread are registered at.
pub(crate) enum Watcher {
    /// The poll of the thread.
    Poll(Registry),
    /// A loop of the program.
    Foreign(Box<Foreign>),
}

impl Watcher {
    /// Watches a socket: at a poll for all of `interest`, at a foreign loop for reading first.
    pub(crate) fn add(
        &mut self,
        socket: &mut (impl Source + AsFd),
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Poll(registry) => registry.register(socket, token, interest),
            Self::Foreign(foreign) => foreign.add(socket.as_fd(), token),
        }
    }

    /// Watches a socket that is being connected: what comes of it is told as room to write.
    pub(crate) fn add_connecting(
        &mut self,
        socket: &mut TcpStream,
        token: Token,
    ) -> io::Result<()> {
        self.add(socket, token, Interest::READABLE | Interest::WRITABLE)?;
        if let Self::Foreign(foreign) = self {
            foreign.want(socket.as_fd(), FdInterest::WRITABLE)?;
        }
        Ok(())
    }

    /// Has a poll tell the edges of a socket anew; a foreign loop tells of levels.
    pub(crate) fn rewatch(&mut self, socket: &mut TcpStream, token: Token) -> io::Result<()> {
        match self {
            Self::Poll(registry) => {
                registry.reregister(socket, token, Interest::READABLE | Interest::WRITABLE)
            }
            Self::Foreign(_) => Ok(()),
        }
    }

    /// Watches a socket no longer, which may stay open elsewhere.
    pub(crate) fn remove(&mut self, socket: &mut (impl Source + AsFd)) {
        match self {
            // A poll that does not watch it has nothing to forget.
            Self::Poll(registry) => drop(registry.deregister(socket)),
            Self::Foreign(foreign) => foreign.remove(socket.as_fd()),
        }
    }

    /// A socket is about to be closed, which by itself takes it out of a poll.
    pub(crate) fn forget(&mut self, fd: BorrowedFd<'_>) {
        if let Self::Foreign(foreign) = self {
            foreign.remove(fd);
        }
    }
}

/// A loop of the program, and what it was told.
pub(crate) struct Foreign {
    sink: Box<dyn FdSink>,
    watched: HashMap<RawFd, Watched>,
    /// What it has told since the last turn.
    pub(crate) noted: Vec<(Token, FdReadiness)>,
}

/// A descriptor that a foreign loop was told of.
struct Watched {
    token: Token,
    /// None when the loop was told to leave it out.
    interest: Option<FdInterest>,
    /// A loop tells of it for ever, asked or not.
    has_hung_up: bool,
}

impl Foreign {
    pub(crate) fn new(sink: Box<dyn FdSink>) -> Self {
        Self {
            sink,
            watched: HashMap::new(),
            noted: Vec::new(),
        }
    }

    /// Watches a descriptor for reading.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.sink.add(fd, FdInterest::READABLE)?;
        let watched = Watched {
            token,
            interest: Some(FdInterest::READABLE),
            has_hung_up: false,
        };
        self.watched.insert(fd.as_raw_fd(), watched);
        Ok(())
    }

    /// Watches it for this, if it was not told so before. One that is wanted for nothing and has hung up is left out,
    /// since a level that is told again and again would keep the loop from resting.
    pub(crate) fn want(&mut self, fd: BorrowedFd<'_>, interest: FdInterest) -> io::Result<()> {
        let Some(watched) = self.watched.get_mut(&fd.as_raw_fd()) else {
            return Ok(());
        };
        let wanted = (interest != FdInterest::NONE || !watched.has_hung_up).then_some(interest);
        match (watched.interest, wanted) {
            (old, new) if old == new => return Ok(()),
            (Some(old), Some(new)) => self.sink.modify(fd, old, new)?,
            (None, Some(new)) => self.sink.add(fd, new)?,
            (_, None) => self.sink.remove(fd),
        }
        watched.interest = wanted;
        Ok(())
    }

    /// It is about to be closed.
    pub(crate) fn remove(&mut self, fd: BorrowedFd<'_>) {
        let Entry::Occupied(watched) = self.watched.entry(fd.as_raw_fd()) else {
            return;
        };
        if watched.remove().interest.is_some() {
            self.sink.remove(fd);
        }
    }

    /// Notes what the loop has seen; false when the descriptor is none of ours.
    pub(crate) fn note(&mut self, fd: RawFd, readiness: FdReadiness) -> bool {
        let Some(watched) = self.watched.get_mut(&fd) else {
            return false;
        };
        watched.has_hung_up |= readiness.hung_up || readiness.failed;
        self.noted.push((watched.token, readiness));
        true
    }
}
