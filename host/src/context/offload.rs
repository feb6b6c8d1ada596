//! What waits for a disk or for the resolver, off the service threads.
//!
//! A service thread has an `OffloadDesk`: what it hands in there comes back as a [`Command`].

use std::{fs::File, ops::Range, sync::Arc};

use rustix::io::Errno;

use crate::{
    connection::content::FileAnswer,
    context::{
        files::Cold,
        hub::{Command, Hub},
    },
    limits::Limits,
    net::{
        job_threads::JobThreads,
        resolve::{Lookup, Resolver},
        token::ConnectionId,
    },
    wire::fields::Fields,
};

/// How much of a file is read at a time to have it in memory.
const SCRATCH_BYTES: usize = 64 << 10;

/// The threads of a host that may wait.
pub struct OffloadThreads {
    files: JobThreads,
    resolver: Resolver,
}

impl OffloadThreads {
    /// None yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        let (threads, jobs) = (limits.file_threads_count, limits.file_jobs_count);
        Arc::new(Self {
            files: JobThreads::new("files", threads, jobs),
            resolver: Resolver::new(limits),
        })
    }
}

/// Where a service thread hands in what waits.
pub(crate) struct OffloadDesk {
    threads: Arc<OffloadThreads>,
    hub: Arc<Hub>,
    /// The service thread.
    thread: usize,
}

impl OffloadDesk {
    pub(crate) fn new(threads: Arc<OffloadThreads>, hub: Arc<Hub>, thread: usize) -> Self {
        Self {
            threads,
            hub,
            thread,
        }
    }

    /// Has an answer made out of files for an exchange: it comes back as [`Command::File`]. False when too much waits.
    #[must_use]
    pub(crate) fn answer(
        &self,
        (id, number): (ConnectionId, u32),
        make: impl FnOnce() -> Result<FileAnswer, Cold> + Send + 'static,
    ) -> bool {
        let tell = self.teller();
        self.threads.files.submit(Box::new(move || {
            // Only who must not wait is told that it is cold.
            let answer = make().unwrap_or_else(|Cold| FileAnswer {
                status: 500,
                fields: Fields::new(),
                parts: Vec::new(),
            });
            tell(Command::File(id, number, Box::new(answer)));
        }))
    }

    /// Has a stretch of a file read, so that it is in memory; told by [`Command::Warmed`].
    pub(crate) fn warm(
        &self,
        (id, number): (ConnectionId, u32),
        file: &Arc<File>,
        range: Range<u64>,
    ) {
        let (tell, file) = (self.teller(), Arc::clone(file));
        let job = move || tell(Command::Warmed(id, number, read(&file, range)));
        // The answer has begun, so that it cannot be refused; each exchange has one stretch at most that waits.
        if !self.threads.files.submit_always(Box::new(job)) {
            self.teller()(Command::Warmed(id, number, Err(Errno::AGAIN)));
        }
    }

    /// Has a name looked up; told by [`Command::Resolved`]. False when too much waits.
    #[must_use]
    pub(crate) fn resolve(&self, id: ConnectionId, lookup: Lookup) -> bool {
        let (tell, number) = (self.teller(), lookup.number);
        self.threads.resolver.submit(lookup, move |found| {
            tell(Command::Resolved(id, number, found));
        })
    }

    /// What tells this service thread.
    fn teller(&self) -> impl Fn(Command) + Send + 'static {
        let (hub, thread) = (Arc::clone(&self.hub), self.thread);
        move |command| hub.mailbox(thread).post_always(command)
    }
}

/// Reads a stretch of a file for nobody.
fn read(file: &File, range: Range<u64>) -> Result<(), Errno> {
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let most = left.min(SCRATCH_BYTES);
        match rustix::io::pread(file, &mut scratch[..most], at) {
            // It has become shorter: whoever sends it finds out.
            Ok(0) => return Ok(()),
            Ok(count) => at += count as u64,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
