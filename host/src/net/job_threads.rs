//! Threads that wait for something, so that no service thread does: a few, made when they are needed first, and kept.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

type Job = Box<dyn FnOnce() + Send>;

/// Threads of one name, and the jobs that wait for one of them.
pub struct JobThreads {
    desk: Arc<Desk>,
    /// What they do, for their names and the log.
    name: &'static str,
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

impl JobThreads {
    /// None yet; at most so many threads, and jobs that wait.
    #[must_use]
    pub fn new(name: &'static str, most_threads: u64, most_jobs: u64) -> Self {
        let count = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            desk: Arc::default(),
            name,
            most_threads: count(most_threads).max(1),
            most_jobs: count(most_jobs),
        }
    }

    /// Has a job done; false when too many wait already.
    #[must_use]
    pub fn submit(&self, job: Job) -> bool {
        if self.desk.lock().jobs.len() >= self.most_jobs {
            return false;
        }
        self.submit_always(job)
    }

    /// The same for what cannot be refused any more; false only when the system has no thread for it.
    #[must_use]
    pub fn submit_always(&self, job: Job) -> bool {
        let mut state = self.desk.lock();
        state.jobs.push_back(job);
        let is_short = state.idle < state.jobs.len() && state.threads < self.most_threads;
        if is_short && let Err(error) = self.spawn(&mut state) {
            tracing::warn!(target: "hotsocket::net", %error, name = self.name,
                "no thread can be made to wait for jobs; is the limit of threads too low?");
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
            .name(format!("{}-{}", self.name, state.threads))
            .spawn(move || desk.work())?;
        state.threads += 1;
        Ok(())
    }
}

impl fmt::Debug for JobThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobThreads")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Drop for JobThreads {
    /// Nobody waits for them: one may hang at what does not answer.
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
                // Who waits for it ends by a deadline.
                tracing::error!(target: "hotsocket::net", "a thread that waits for jobs panicked in one, and goes on");
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

#[cfg(test)]
mod tests {
    use std::{iter, sync::mpsc};

    use super::*;

    fn threads(most_threads: u64, most_jobs: u64) -> JobThreads {
        JobThreads::new("files", most_threads, most_jobs)
    }

    /// Jobs that have begun wait for the sender that this gives.
    fn occupy(threads: &JobThreads, count: usize) -> Vec<mpsc::Sender<()>> {
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
