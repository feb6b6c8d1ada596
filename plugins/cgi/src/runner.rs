//! The thread that starts programs and moves bytes between them and their exchanges.
//!
//! One thread with `poll` is enough: it waits for pipes, ends of processes and one eventfd, and what it does for each
//! is a read or a write of at most [`SCRATCH_BYTES`]. Looking for a script and starting it happens here too, since
//! both touch the file system, which may be slow.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hotsocket_plugin::{Host, PluginError};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

use crate::{
    environment::Variables,
    process::Process,
    program::{Program, Way},
    run::{End, Run, Told},
    script::{NoScript, Place, Script},
};

const SCRATCH_BYTES: usize = 64 * 1024;
/// When an exchange is notified again whose service thread had no room for it.
const TELL_AGAIN: Duration = Duration::from_millis(10);

/// The runner, as an instance owns it. Dropped, it ends all programs and waits for its thread.
pub(crate) struct Runner {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

/// What the runner never changes.
pub(crate) struct Setting {
    pub(crate) place: Place,
    pub(crate) environment: Variables,
    pub(crate) timeout: Duration,
    pub(crate) host: Host,
}

/// How exchanges reach the runner.
pub(crate) struct Orders {
    waiting: Mutex<Waiting>,
    wake: OwnedFd,
    places: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    stop: bool,
}

/// A request that a program shall answer.
pub(crate) struct Job {
    pub(crate) run: Arc<Run>,
    pub(crate) mountpoint: String,
    pub(crate) path_below: String,
    pub(crate) variables: Variables,
    pub(crate) permit: Permit,
}

/// One of the programs that may run at once; given back when dropped.
pub(crate) struct Permit {
    orders: Arc<Orders>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.orders.places.fetch_add(1, Ordering::Relaxed);
    }
}

impl Runner {
    /// # Errors
    ///
    /// When the system has no descriptor or no thread left.
    pub(crate) fn start(setting: Setting, most_processes: usize) -> Result<Self, PluginError> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let orders = Arc::new(Orders {
            waiting: Mutex::default(),
            wake: wake.map_err(io::Error::from)?,
            places: AtomicUsize::new(most_processes),
        });
        let mut work = Work {
            orders: Arc::clone(&orders),
            setting,
            programs: Vec::new(),
            untold: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
        };
        let thread = thread::Builder::new().name("cgi".to_owned());
        let thread = thread.spawn(move || work.go_on())?;
        Ok(Self {
            orders,
            thread: Some(thread),
        })
    }

    pub(crate) fn orders(&self) -> Arc<Orders> {
        Arc::clone(&self.orders)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.orders.waiting().stop = true;
        self.orders.wake();
        // A panic of it is in the log already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Orders {
    /// A place for one more program; none when there are as many as may be.
    pub(crate) fn permit(self: &Arc<Self>) -> Option<Permit> {
        let one_less = |places: usize| places.checked_sub(1);
        let taken = self
            .places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        taken.ok().map(|_| Permit {
            orders: Arc::clone(self),
        })
    }

    pub(crate) fn send(&self, job: Job) {
        self.waiting().jobs.push(job);
        self.wake();
    }

    /// Has the runner look at all of its runs.
    pub(crate) fn wake(&self) {
        // It fails only when the counter is full, and then the runner is about to look.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The runner on its thread.
struct Work {
    orders: Arc<Orders>,
    setting: Setting,
    programs: Vec<(Program, Permit)>,
    /// Runs that have no program, and an exchange that could not be notified of it yet.
    untold: Vec<Arc<Run>>,
    scratch: Vec<u8>,
}

impl Work {
    fn go_on(&mut self) {
        loop {
            let is_stopped = self.take_orders();
            let now = Instant::now();
            self.untold.retain(|run| run.tell() == Told::Later);
            for index in (0..self.programs.len()).rev() {
                let (program, _) = &mut self.programs[index];
                if is_stopped && !program.is_ending() {
                    program.ask_to_end(now);
                }
                if program.advance(now) {
                    let (program, permit) = self.programs.swap_remove(index);
                    program.finish(&mut self.scratch);
                    drop(permit);
                }
            }
            if is_stopped && self.programs.is_empty() {
                return;
            }
            for (index, way) in self.wait(now) {
                self.programs[index].0.on_ready(way, &mut self.scratch);
            }
        }
    }

    /// Starts what waits. True when there will be no more.
    fn take_orders(&mut self) -> bool {
        let (jobs, is_stopped) = {
            let mut waiting = self.orders.waiting();
            (std::mem::take(&mut waiting.jobs), waiting.stop)
        };
        for job in jobs {
            self.begin(job);
        }
        is_stopped
    }

    fn begin(&mut self, job: Job) {
        // Whoever has left meanwhile needs no program.
        if job.run.is_left() {
            return;
        }
        match self.started(&job) {
            Ok(program) => self.programs.push((program, job.permit)),
            Err(status) => {
                job.run.refuse_input();
                job.run.end(End::Failed(status));
                self.untold.push(job.run);
            }
        }
    }

    /// The status when no program could be started.
    fn started(&self, job: &Job) -> Result<Program, u16> {
        let found = self.setting.place.find(&job.mountpoint, &job.path_below);
        let script = found.map_err(|why| match why {
            NoScript::BadPath => 400_u16,
            NoScript::NotFound => 404,
            NoScript::NoOptions => {
                let text = "no program is named; give the option `program` or `directory`";
                self.setting.host.log(log::Level::Error, text);
                500
            }
            NoScript::NotExecutable(path) => {
                let text = format!(
                    "{} is not executable; chmod +x it, or move it away",
                    path.display()
                );
                self.setting.host.log(log::Level::Warn, &text);
                403
            }
        })?;
        let name = script.program.display().to_string();
        let variables = self.all_variables(job, &script);
        let process = Process::start(&script.program, &variables).map_err(|error| {
            let text = format!(
                "{name} cannot be started: {error}; has it an interpreter in its first line?"
            );
            self.setting.host.log(log::Level::Error, &text);
            500_u16
        })?;
        let name = format!("{name} ({})", process.0.id());
        let deadline = Instant::now() + self.setting.timeout;
        let run = Arc::clone(&job.run);
        Ok(Program::new(
            run,
            self.setting.host,
            name,
            process,
            deadline,
        ))
    }

    fn all_variables(&self, job: &Job, script: &Script) -> Variables {
        let mut variables = job.variables.clone();
        variables.insert("SCRIPT_NAME".into(), script.script_name.clone());
        variables.insert("PATH_INFO".into(), script.path_info.clone());
        variables.insert("SCRIPT_FILENAME".into(), script.program.clone().into());
        let more = self.setting.environment.iter();
        variables.extend(more.map(|(name, value)| (name.clone(), value.clone())));
        variables
    }

    /// Waits until something can be done, and says what.
    fn wait(&self, now: Instant) -> Vec<(usize, Way)> {
        let mut ways = Vec::new();
        let mut polled = vec![PollFd::new(&self.orders.wake, PollFlags::IN)];
        for (index, (program, _)) in self.programs.iter().enumerate() {
            for (way, pipe, flags) in program.ways() {
                ways.push((index, way));
                polled.push(PollFd::from_borrowed_fd(pipe, flags));
            }
        }
        let timeout = self
            .next_deadline(now)
            .map(|at| at.saturating_duration_since(now));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // Interrupted, or short of memory: the next round asks again.
        if rustix::event::poll(&mut polled, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        if !polled[0].revents().is_empty() {
            let _ = rustix::io::read(self.orders.wake.as_fd(), &mut [0; 8]);
        }
        let ready = polled[1..].iter().zip(ways);
        ready
            .filter(|(polled, _)| !polled.revents().is_empty())
            .map(|(_, way)| way)
            .collect()
    }

    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let programs = self.programs.iter();
        let must_tell = programs.clone().any(|(program, _)| program.must_tell());
        let again = (must_tell || !self.untold.is_empty()).then(|| now + TELL_AGAIN);
        programs
            .filter_map(|(program, _)| program.deadline())
            .chain(again)
            .min()
    }
}
