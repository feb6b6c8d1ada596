//! What watches the descriptors of a host by plain `poll`, and keeps a book of what the host says to it.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Arc, Mutex},
    time::Duration,
};

use hotsocket::{FdInterest, FdReadiness, FdSink, Host, ServiceThread, Turned};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a host says to its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Add(RawFd, FdInterest),
    Modify(RawFd, FdInterest, FdInterest),
    Remove(RawFd),
}

pub(crate) const BOTH: FdInterest = FdInterest {
    readable: true,
    writable: true,
};
pub(crate) const WRITABLE: FdInterest = FdInterest {
    readable: false,
    writable: true,
};

/// What a loop watches; the other end of it is the host's. Copies of the descriptors are watched, so that they are good
/// for as long as they stand here.
#[derive(Clone, Default)]
pub(crate) struct Watched(pub(crate) Arc<Mutex<Book>>);

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) watched: BTreeMap<RawFd, (OwnedFd, FdInterest)>,
    pub(crate) told: Vec<Told>,
}

impl FdSink for Watched {
    fn add(&mut self, fd: BorrowedFd<'_>, interest: FdInterest) -> io::Result<()> {
        let mut book = self.0.lock().unwrap();
        book.told.push(Told::Add(fd.as_raw_fd(), interest));
        let copy = fd.try_clone_to_owned()?;
        let before = book.watched.insert(fd.as_raw_fd(), (copy, interest));
        assert!(before.is_none(), "it was watched already");
        Ok(())
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, old: FdInterest, new: FdInterest) -> io::Result<()> {
        let mut book = self.0.lock().unwrap();
        book.told.push(Told::Modify(fd.as_raw_fd(), old, new));
        let (_, interest) = book.watched.get_mut(&fd.as_raw_fd()).expect("watched");
        assert_eq!(*interest, old);
        assert_ne!(old, new);
        *interest = new;
        Ok(())
    }

    fn remove(&mut self, fd: BorrowedFd<'_>) {
        let mut book = self.0.lock().unwrap();
        book.told.push(Told::Remove(fd.as_raw_fd()));
        let before = book.watched.remove(&fd.as_raw_fd());
        assert!(before.is_some(), "it is watched");
    }
}

/// Whatever a loop serves by descriptors.
pub(crate) trait Served {
    fn service_fd(&mut self, fd: RawFd, readiness: FdReadiness) -> bool;
    fn turn(&mut self) -> Turned;
    fn timeout(&mut self) -> Option<Duration>;
}

impl Served for Host {
    fn service_fd(&mut self, fd: RawFd, readiness: FdReadiness) -> bool {
        Self::service_fd(self, fd, readiness)
    }

    fn turn(&mut self) -> Turned {
        Self::turn(self, Some(Duration::ZERO)).unwrap()
    }

    fn timeout(&mut self) -> Option<Duration> {
        Self::timeout(self)
    }
}

impl Served for ServiceThread {
    fn service_fd(&mut self, fd: RawFd, readiness: FdReadiness) -> bool {
        Self::service_fd(self, fd, readiness)
    }

    fn turn(&mut self) -> Turned {
        Self::turn(self, Some(Duration::ZERO)).unwrap()
    }

    fn timeout(&mut self) -> Option<Duration> {
        Self::timeout(self)
    }
}

impl Watched {
    /// What is ready within this time.
    pub(crate) fn poll(&self, within: Duration) -> Vec<(RawFd, FdReadiness)> {
        let book = self.0.lock().unwrap();
        let flags = |interest: &FdInterest| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.readable);
            flags.set(PollFlags::OUT, interest.writable);
            flags
        };
        let watched = book.watched.values();
        let mut polled: Vec<_> = watched
            .map(|(fd, interest)| PollFd::new(fd, flags(interest)))
            .collect();
        let within = Timespec::try_from(within).unwrap();
        poll(&mut polled, Some(&within)).unwrap();
        let seen = book.watched.keys().zip(&polled).filter_map(|(fd, polled)| {
            let flags = polled.revents();
            let readiness = FdReadiness {
                readable: flags.contains(PollFlags::IN),
                writable: flags.contains(PollFlags::OUT),
                hung_up: flags.contains(PollFlags::HUP),
                failed: flags.contains(PollFlags::ERR),
            };
            (!flags.is_empty()).then_some((*fd, readiness))
        });
        seen.collect()
    }

    /// One round: waits at most so long, and has served what there is. True when there was something.
    pub(crate) fn round(&self, served: &mut impl Served, within: Duration) -> bool {
        let timeout = served.timeout().unwrap_or(within);
        let seen = self.poll(timeout.min(within));
        for (fd, readiness) in &seen {
            assert!(served.service_fd(*fd, *readiness), "{fd} is the host's");
        }
        served.turn();
        !seen.is_empty() || timeout.is_zero()
    }

    /// Serves until there is nothing to do for a while.
    pub(crate) fn rest(&self, served: &mut impl Served) {
        let mut rounds = 0;
        while self.round(served, Duration::from_millis(100)) {
            rounds += 1;
            assert!(rounds < 10_000, "it does not rest: {:?}", self.told());
        }
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().told.clone()
    }

    /// What was told of one descriptor.
    pub(crate) fn told_of(&self, fd: RawFd) -> Vec<Told> {
        let is_of = |told: &Told| match *told {
            Told::Add(of, _) | Told::Modify(of, _, _) | Told::Remove(of) => of == fd,
        };
        self.told().into_iter().filter(is_of).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().watched.len()
    }
}
