//! One program under way, from its start until it is forgotten. Everything here is on the runner's thread and never
//! blocks.
//!
//! ```text
//! running --+-- ended, and its output too ----------------------------+--> the group is killed, the process reaped
//!           +-- the time is up, the peer left, or the output is bad --+
//!               ending: SIGTERM to the group, SIGKILL after GRACE
//! ```

use std::{
    mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use hotsocket_plugin::Host;
use rustix::{event::PollFlags, io::Errno, process::Signal};

use crate::{
    head,
    process::{Pipes, Process},
    run::{End, Run, Told},
    stderr::Lines,
};

/// How long a program has to end by itself after SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// What a program is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Stdin,
    Stdout,
    Stderr,
    Exit,
}

/// One program.
pub(crate) struct Program {
    run: Arc<Run>,
    host: Host,
    /// For the log.
    name: String,
    process: Process,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Input that the pipe has not taken: from `input_at` on.
    input: Vec<u8>,
    input_at: usize,
    input_has_ended: bool,
    /// Output before its head is whole; none after that.
    head: Option<Vec<u8>>,
    lines: Lines,
    /// When it is asked to end or, if it was, when it is killed; none if it was killed.
    deadline: Option<Instant>,
    is_ending: bool,
    has_exited: bool,
    must_tell: bool,
}

impl Program {
    pub(crate) fn new(
        run: Arc<Run>,
        host: Host,
        name: String,
        (process, pipes): (Process, Pipes),
        deadline: Instant,
    ) -> Self {
        Self {
            run,
            host,
            name,
            process,
            stdin: Some(pipes.stdin),
            stdout: Some(pipes.stdout),
            stderr: Some(pipes.stderr),
            input: Vec::new(),
            input_at: 0,
            input_has_ended: false,
            head: Some(Vec::new()),
            lines: Lines::default(),
            deadline: Some(deadline),
            is_ending: false,
            has_exited: false,
            must_tell: false,
        }
    }

    /// When to call [`advance`](Self::advance) next if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether its exchange could not be notified yet.
    pub(crate) fn must_tell(&self) -> bool {
        self.must_tell
    }

    /// What to wait for.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (Way, BorrowedFd<'_>, PollFlags)> {
        let has_input = self.input_at < self.input.len();
        let stdin = self.stdin.as_ref().filter(|_| has_input);
        let wants_output = self.head.is_some() || self.run.room() > 0;
        let stdout = self.stdout.as_ref().filter(|_| wants_output);
        let exit = (!self.has_exited).then(|| self.process.exit());
        let ways = [
            (Way::Stdin, stdin, PollFlags::OUT),
            (Way::Stdout, stdout, PollFlags::IN),
            (Way::Stderr, self.stderr.as_ref(), PollFlags::IN),
            (Way::Exit, exit, PollFlags::IN),
        ];
        ways.into_iter()
            .filter_map(|(way, pipe, flags)| Some((way, pipe?.as_fd(), flags)))
    }

    /// One of its ways is ready. `scratch` is used and left as it is.
    pub(crate) fn on_ready(&mut self, way: Way, scratch: &mut [u8]) {
        match way {
            Way::Stdin => self.write_input(),
            Way::Stdout => self.read_output(scratch),
            Way::Stderr => self.read_stderr(scratch),
            Way::Exit => self.has_exited = true,
        }
    }

    /// Does what is due, for the exchange and by the clock. True when the program is over and can be dropped by
    /// [`finish`](Self::finish).
    pub(crate) fn advance(&mut self, now: Instant) -> bool {
        self.refill();
        if self.run.is_left() && self.stdout.is_some() && !self.is_ending {
            self.ask_to_end(now);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            if self.is_ending {
                self.process.signal(Signal::KILL);
                self.deadline = None;
            } else {
                self.fail(504, "has not ended within `timeout_ms`, and is ended");
                self.ask_to_end(now);
            }
        }
        if self.run.can_resume() {
            self.must_tell = true;
        }
        if mem::take(&mut self.must_tell) {
            match self.run.tell() {
                Told::Now => {}
                Told::Later => self.must_tell = true,
                Told::Gone => self.run.leave(),
            }
        }
        self.has_exited && (self.stdout.is_none() || self.is_ending)
    }

    /// Forgets the program, which is over, and whatever it left running.
    pub(crate) fn finish(mut self, scratch: &mut [u8]) {
        self.read_stderr(scratch);
        self.lines.end(&mut log(self.host, &self.name));
        let name = mem::take(&mut self.name);
        let told = match self.process.reap() {
            Ok(status) if status.success() || self.is_ending => return,
            Ok(status) => format!("{name}: {status}"),
            Err(error) => format!("{name}: its exit status is lost: {error}"),
        };
        self.host.log(log::Level::Info, &told);
    }

    /// Asks the group to end, and closes its pipes so that it notices.
    pub(crate) fn ask_to_end(&mut self, now: Instant) {
        self.is_ending = true;
        self.deadline = Some(now + GRACE);
        self.close_stdin();
        self.stdout = None;
        self.process.signal(Signal::TERM);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Takes new input over, and closes the pipe behind the last.
    fn refill(&mut self) {
        if self.stdin.is_none() || self.input_at < self.input.len() {
            return;
        }
        let input = self.run.take_input();
        self.input = input.bytes;
        self.input_at = 0;
        self.input_has_ended = input.has_ended;
        if self.input.is_empty() && self.input_has_ended {
            self.stdin = None;
        }
    }

    fn write_input(&mut self) {
        let Some(stdin) = &self.stdin else {
            return;
        };
        match rustix::io::write(stdin, &self.input[self.input_at..]) {
            Ok(written) => self.input_at += written,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // It need not read its input.
            Err(_) => self.close_stdin(),
        }
    }

    fn close_stdin(&mut self) {
        self.stdin = None;
        self.input = Vec::new();
        self.input_at = 0;
        self.run.refuse_input();
    }

    fn read_output(&mut self, scratch: &mut [u8]) {
        let Some(stdout) = &self.stdout else {
            return;
        };
        let wanted = match &self.head {
            Some(_) => scratch.len(),
            None => scratch.len().min(self.run.room()),
        };
        // With no room a read would look like the end.
        if wanted == 0 {
            return;
        }
        match rustix::io::read(stdout, &mut scratch[..wanted]) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(length) if length > 0 => self.take_output(&scratch[..length]),
            Ok(_) | Err(_) => self.end_output(),
        }
    }

    fn take_output(&mut self, output: &[u8]) {
        let Some(head) = &mut self.head else {
            self.run.put_output(output);
            self.must_tell = true;
            return;
        };
        head.extend_from_slice(output);
        match head::parse(head) {
            Ok(None) => {}
            Ok(Some((parsed, length))) => {
                self.run.put_output(&head[length..]);
                self.run.put_head(parsed);
                self.head = None;
                self.must_tell = true;
            }
            Err(bad) => {
                self.fail(502, &format!("gave a bad answer: {bad}"));
                self.ask_to_end(Instant::now());
            }
        }
    }

    fn end_output(&mut self) {
        self.stdout = None;
        if self.head.is_some() {
            self.fail(
                502,
                "gave a bad answer: its output ends before its head does",
            );
            return;
        }
        self.run.end(End::Complete);
        self.must_tell = true;
    }

    /// Ends the answer with a line in the log.
    fn fail(&mut self, status: u16, why: &str) {
        self.run.end(End::Failed(status));
        self.must_tell = true;
        self.host
            .log(log::Level::Warn, &format!("{} {why}", self.name));
    }

    fn read_stderr(&mut self, scratch: &mut [u8]) {
        let Some(stderr) = &self.stderr else {
            return;
        };
        match rustix::io::read(stderr, &mut *scratch) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(length) if length > 0 => {
                self.lines
                    .add(&scratch[..length], &mut log(self.host, &self.name));
            }
            Ok(_) | Err(_) => self.stderr = None,
        }
    }
}

/// Logs lines of a program.
fn log(host: Host, name: &str) -> impl FnMut(&str) {
    move |line| host.log(log::Level::Warn, &format!("{name}: {line}"))
}
