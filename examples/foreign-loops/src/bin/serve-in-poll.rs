//! A loop of plain `poll(2)` that watches every descriptor of the host, beside one of its own.

use std::{
    error::Error,
    io,
    os::fd::{AsRawFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hotsocket::{FdInterest, FdReadiness, FdSink, Turned};
use hotsocket_foreign_loops::{announce, builder, typed};
use libc::{POLLERR, POLLHUP, POLLIN, POLLOUT, c_int, c_short, pollfd};

/// What the loop watches. The host adds, changes and removes its descriptors in here.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<pollfd>>>);

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Vec<pollfd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, fd: c_int, events: c_short) {
        let revents = 0;
        self.lock().push(pollfd {
            fd,
            events,
            revents,
        });
    }

    fn forget(&self, fd: c_int) {
        self.lock().retain(|watched| watched.fd != fd);
    }
}

impl FdSink for Watched {
    fn add(&mut self, fd: BorrowedFd<'_>, interest: FdInterest) -> io::Result<()> {
        self.watch(fd.as_raw_fd(), events(interest));
        Ok(())
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, _: FdInterest, new: FdInterest) -> io::Result<()> {
        self.forget(fd.as_raw_fd());
        self.add(fd, new)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>) {
        self.forget(fd.as_raw_fd());
    }
}

fn events(interest: FdInterest) -> c_short {
    let reads = if interest.readable { POLLIN } else { 0 };
    let writes = if interest.writable { POLLOUT } else { 0 };
    reads | writes
}

fn readiness(revents: c_short) -> FdReadiness {
    FdReadiness {
        readable: revents & POLLIN != 0,
        writable: revents & POLLOUT != 0,
        hung_up: revents & POLLHUP != 0,
        failed: revents & POLLERR != 0,
    }
}

/// Waits until one of them is ready, or so long.
fn poll(watched: &mut [pollfd], timeout: Option<Duration>) -> io::Result<()> {
    // Rounded up, so that what is due by then is due.
    let timeout = timeout.map_or(-1, |timeout| {
        c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
    });
    // SAFETY: the pointer and the count are those of a slice that nobody else uses meanwhile.
    let count = unsafe { libc::poll(watched.as_mut_ptr(), watched.len() as _, timeout) };
    match io::Error::last_os_error() {
        error if count < 0 && error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let watched = Watched::default();
    let sink = watched.clone();
    let mut host = builder()?.fd_sink(move |_| sink.clone()).build()?;
    announce(&host)?;
    let own = io::stdin().as_raw_fd();
    watched.watch(own, POLLIN);
    // The first turn has the host tell of its descriptors.
    while host.turn(Some(Duration::ZERO))? == Turned::Running {
        let mut polled = watched.lock().clone();
        poll(&mut polled, host.timeout())?;
        for ready in polled.iter().filter(|polled| polled.revents != 0) {
            let is_the_hosts = host.service_fd(ready.fd, readiness(ready.revents));
            if !is_the_hosts && !typed(&host)? {
                watched.forget(own);
            }
        }
    }
    Ok(())
}
