//! Threads that compare passwords, and one that looks after the file.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hotsocket_plugin::{AskAgain, ExchangeId, Host, PluginError};
use log::Level;

use crate::{
    credentials::Credentials,
    htpasswd::Htpasswd,
    remembered::{Fingerprint, Key, Remembered},
};

/// So often is looked whether the file has changed.
const LOOK: Duration = Duration::from_secs(1);

/// A request that was not asked about again for so long is gone.
const GONE: Duration = Duration::from_secs(60);

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Right,
    Wrong,
    /// It is going to be, and the policy asked again then.
    Later,
    /// It is not looked at.
    TooMany,
}

/// Compares passwords on threads of its own, which end with it.
pub(crate) struct Checker {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    host: Host,
    key: Key,
    state: Mutex<State>,
    /// There is a job, or an end.
    has_work: Condvar,
    /// There is an end: for the one that looks after the file.
    is_over: Condvar,
    /// How many requests may wait.
    waiting: usize,
}

struct State {
    users: Arc<Htpasswd>,
    jobs: VecDeque<Job>,
    /// Of each request that is looked at: what came of it, none while that is not known; and since when.
    outcomes: HashMap<ExchangeId, (Option<bool>, Instant)>,
    remembered: Remembered,
    is_over: bool,
}

struct Job {
    credentials: Credentials,
    fingerprint: Fingerprint,
    again: AskAgain,
}

impl Checker {
    /// Reads the file and starts the threads.
    pub(crate) fn start(
        host: &Host,
        file: PathBuf,
        threads: usize,
        waiting: usize,
        remembered: Duration,
    ) -> Result<Self, PluginError> {
        let seen = Seen::of(&file);
        let users = Htpasswd::read(&file).map_err(PluginError::new)?;
        if users.len() == 0 {
            let text = format!("{} names nobody, so nobody is let in", file.display());
            host.log(Level::Warn, &text);
        }
        let state = State {
            users: Arc::new(users),
            jobs: VecDeque::new(),
            outcomes: HashMap::new(),
            remembered: Remembered::new(remembered),
            is_over: false,
        };
        let shared = Arc::new(Shared {
            host: *host,
            key: Key::random()?,
            state: Mutex::new(state),
            has_work: Condvar::new(),
            is_over: Condvar::new(),
            waiting,
        });
        // Held from the first thread on: those that were started end when a later one cannot be.
        let mut checker = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            checker.spawn("passwords", move || shared.compare_all())?;
        }
        checker.spawn("htpasswd", move || shared.look_after(&file, seen))?;
        Ok(checker)
    }

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), PluginError> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }

    /// What is known of a request with these credentials; has it found out if it is not.
    pub(crate) fn ask(&self, credentials: &Credentials, again: AskAgain) -> Asked {
        let fingerprint = self.shared.key.fingerprint(credentials);
        let now = Instant::now();
        let mut state = self.shared.state();
        match state.outcomes.get(&again.id()) {
            Some((None, _)) => return Asked::Later,
            Some((Some(is_right), _)) => {
                let is_right = *is_right;
                state.outcomes.remove(&again.id());
                return if is_right { Asked::Right } else { Asked::Wrong };
            }
            None => {}
        }
        if state.remembered.has(&fingerprint, now) {
            return Asked::Right;
        }
        if state.jobs.len() >= self.shared.waiting {
            return Asked::TooMany;
        }
        // Those of clients that have left before they could be answered.
        state
            .outcomes
            .retain(|_, (known, since)| known.is_none() || now.duration_since(*since) < GONE);
        state.outcomes.insert(again.id(), (None, now));
        state.jobs.push_back(Job {
            credentials: credentials.clone(),
            fingerprint,
            again,
        });
        drop(state);
        self.shared.has_work.notify_one();
        Asked::Later
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.has_work.notify_all();
        self.shared.is_over.notify_all();
        for thread in self.threads.drain(..) {
            // One that has panicked has told so.
            thread.join().ok();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares until the end.
    fn compare_all(&self) {
        while let Some((job, users)) = self.next_job() {
            self.compare(&job, users);
        }
    }

    fn next_job(&self) -> Option<(Job, Arc<Htpasswd>)> {
        let has_nothing = |state: &mut State| state.jobs.is_empty() && !state.is_over;
        let waited = self.has_work.wait_while(self.state(), has_nothing);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return None;
        }
        let job = state.jobs.pop_front()?;
        Some((job, Arc::clone(&state.users)))
    }

    fn compare(&self, job: &Job, mut users: Arc<Htpasswd>) {
        let Credentials { name, password } = &job.credentials;
        loop {
            let is_right = users.knows(name, password);
            let mut state = self.state();
            if !Arc::ptr_eq(&users, &state.users) && !state.is_over {
                // The file has changed meanwhile, and what it said before does not count.
                users = Arc::clone(&state.users);
                continue;
            }
            let now = Instant::now();
            if is_right {
                state.remembered.add(job.fingerprint, now);
            }
            let id = job.again.id();
            state.outcomes.insert(id, (Some(is_right), now));
            break;
        }
        if job.again.now().is_err() {
            // It is gone, or is asked about anew when its time is up.
            self.state().outcomes.remove(&job.again.id());
        }
    }

    /// Reads the file again whenever it has changed, until the end. What cannot be read is told once and tried again: the
    /// file may be well, and no descriptor left to read it by.
    fn look_after(&self, file: &Path, mut seen: Option<Seen>) {
        let mut refused = None;
        loop {
            let is_awaited = |state: &mut State| !state.is_over;
            let waited = self
                .is_over
                .wait_timeout_while(self.state(), LOOK, is_awaited);
            let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            drop(state);
            if !timeout.timed_out() {
                return;
            }
            let found = Seen::of(file);
            if found == seen {
                continue;
            }
            match Htpasswd::read(file) {
                Ok(users) => {
                    (seen, refused) = (found, None);
                    self.take(file, users);
                }
                Err(why) if refused.as_ref() != Some(&found) => {
                    refused = Some(found);
                    let text = format!("{why}; what was read before holds");
                    self.host.log(Level::Error, &text);
                }
                Err(_) => {}
            }
        }
    }

    fn take(&self, file: &Path, users: Htpasswd) {
        let text = format!("{} names {} users now", file.display(), users.len());
        self.host.log(Level::Info, &text);
        let mut state = self.state();
        state.users = Arc::new(users);
        state.remembered.forget();
    }
}

/// What tells one state of a file from another.
#[derive(PartialEq, Eq)]
struct Seen {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Seen {
    /// None when there is no such file.
    fn of(file: &Path) -> Option<Self> {
        let found = fs::metadata(file).ok()?;
        Some(Self {
            inode: found.ino(),
            bytes: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
