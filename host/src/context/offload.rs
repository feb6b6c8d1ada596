//! What waits for a disk, off the service threads: a few threads that open and read files, made when they are needed
//! first, and kept.
//!
//! A service thread has a `FileDesk`: what it hands in there comes back as a [`Command`].

use std::{
    collections::VecDeque,
    fs::File,
    io,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::io::Errno;

use crate::{
    connection::content::FileAnswer,
    context::{
        files::Cold,
        hub::{Command, Hub},
    },
    limits::Limits,
    net::token::ConnectionId,
    wire::fields::Fields,
};

/// How much of a file is read at a time to have it in memory.
const SCRATCH_BYTES: usize = 64 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of a host that may wait for a disk.
pub struct FileThreads {
    desk: Arc<Desk>,
    most_threads: usize,
    most_jobs: usize,
}

/// What the threads share.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    is_over: bool,
}

impl FileThreads {
    /// None yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Arc::new(Self {
            desk: Arc::default(),
            most_threads: count(limits.file_threads_count).max(1),
            most_jobs: count(limits.file_jobs_count),
        })
    }

    /// Has a job done; false when too many wait already.
    #[must_use]
    fn submit(&self, job: Job) -> bool {
        if self.desk.lock().jobs.len() >= self.most_jobs {
            return false;
        }
        self.submit_always(job)
    }

    /// The same for what cannot be refused any more; false only when the system has no thread for it.
    #[must_use]
    fn submit_always(&self, job: Job) -> bool {
        let mut state = self.desk.lock();
        state.jobs.push_back(job);
        let is_short = state.idle < state.jobs.len() && state.threads < self.most_threads;
        if is_short && let Err(error) = self.spawn(&mut state) {
            tracing::warn!(target: "hotsocket::context", %error,
                "no thread can be made to read files; is the limit of threads too low?");
            if state.threads == 0 {
                state.jobs.pop_back();
                return false;
            }
        }
        drop(state);
        self.desk.changed.notify_one();
        true
    }

    fn spawn(&self, state: &mut State) -> io::Result<()> {
        let desk = Arc::clone(&self.desk);
        thread::Builder::new()
            .name(format!("files-{}", state.threads))
            .spawn(move || desk.work())?;
        state.threads += 1;
        Ok(())
    }
}

impl Drop for FileThreads {
    /// Nobody waits for them: one may hang at a disk that does not answer.
    fn drop(&mut self) {
        self.desk.lock().is_over = true;
        self.desk.changed.notify_all();
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self) {
        while let Some(job) = self.next() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                // Its request ends by a deadline.
                tracing::error!(target: "hotsocket::context", "a thread that reads files panicked in a job, and goes on");
            }
        }
    }

    /// Waits for a job; none when it is all over.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_over {
                return None;
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Where a service thread hands in what waits for a disk.
pub(crate) struct FileDesk {
    threads: Arc<FileThreads>,
    hub: Arc<Hub>,
    /// The service thread.
    thread: usize,
}

impl FileDesk {
    pub(crate) fn new(threads: Arc<FileThreads>, hub: Arc<Hub>, thread: usize) -> Self {
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
        self.threads.submit(Box::new(move || {
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
        if !self.threads.submit_always(Box::new(job)) {
            self.teller()(Command::Warmed(id, number, Err(Errno::AGAIN)));
        }
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

#[cfg(test)]
mod tests {
    use std::{iter, sync::mpsc};

    use super::*;

    fn threads(most_threads: u64, most_jobs: u64) -> Arc<FileThreads> {
        FileThreads::new(&Limits {
            file_threads_count: most_threads,
            file_jobs_count: most_jobs,
            ..Limits::default()
        })
    }

    /// Jobs that have begun wait for the sender that this gives.
    fn occupy(threads: &FileThreads, count: usize) -> Vec<mpsc::Sender<()>> {
        let occupied = iter::repeat_with(|| {
            let (go, wait) = mpsc::channel::<()>();
            let (begin, begun) = mpsc::channel();
            let job = move || {
                begin.send(()).unwrap();
                let _ = wait.recv();
            };
            assert!(threads.submit(Box::new(job)));
            begun.recv().unwrap();
            go
        });
        occupied.take(count).collect()
    }

    #[test]
    fn jobs_run_at_once_up_to_the_limit_and_others_wait_up_to_theirs() {
        let threads = threads(2, 1);
        let busy = occupy(&threads, 2);
        let (tell, told) = mpsc::channel();
        let job = move || {
            tell.send(thread::current().name().map(str::to_owned))
                .unwrap()
        };
        assert!(threads.submit(Box::new(job)));
        assert!(!threads.submit(Box::new(|| {})));
        assert!(told.try_recv().is_err());
        drop(busy);
        let name = told.recv().unwrap().unwrap();
        assert!(["files-0", "files-1"].contains(&&*name), "{name}");
        assert_eq!(threads.desk.lock().threads, 2);
    }

    #[test]
    fn a_job_that_panics_takes_no_thread_with_it() {
        let threads = threads(1, 9);
        assert!(threads.submit(Box::new(|| panic!("as told"))));
        let busy = occupy(&threads, 1);
        assert_eq!(threads.desk.lock().threads, 1);
        drop(busy);
    }

    #[test]
    fn the_threads_end_when_nobody_has_use_for_them() {
        let threads = threads(3, 9);
        drop(occupy(&threads, 3));
        let desk = Arc::downgrade(&threads.desk);
        drop(threads);
        while desk.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
