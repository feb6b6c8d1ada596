//! A program as a process: started with nothing but its own, and ended with all that it started.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, PidfdFlags, Signal};

/// A running process, the first of its process group.
///
/// It is not waited for before its group has got its last signal: until then nobody else can get its number.
pub(crate) struct Process {
    child: Child,
    group: Pid,
    exit: OwnedFd,
}

/// Our ends of the pipes of a process. None of them blocks.
pub(crate) struct Pipes {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Process {
    /// Starts a program in its own directory, with these variables and no others, with three descriptors, and in a
    /// process group of its own. No signal is blocked, and none ignored but those that the host was started without.
    ///
    /// # Errors
    ///
    /// Why it could not be started.
    pub(crate) fn start<'v>(
        program: &Path,
        variables: impl IntoIterator<Item = (&'v OsString, &'v OsString)>,
    ) -> io::Result<(Self, Pipes)> {
        let mut child = Command::new(program)
            .env_clear()
            .envs(variables)
            .current_dir(program.parent().unwrap_or(program))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match parts(&mut child) {
            Ok((group, exit, pipes)) => Ok((Self { child, group, exit }, pipes)),
            Err(error) => {
                // Without its parts nobody could end it later.
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Readable once the process has ended.
    pub(crate) fn exit(&self) -> &OwnedFd {
        &self.exit
    }

    /// Sends a signal to all of the group. That none is left is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.group, signal);
    }

    /// Ends what is left of the group, and forgets the process, which must have ended.
    ///
    /// # Errors
    ///
    /// As `waitpid`.
    pub(crate) fn reap(mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        self.child.wait()
    }
}

fn parts(child: &mut Child) -> io::Result<(Pid, OwnedFd, Pipes)> {
    let group = Pid::from_child(child);
    let exit = rustix::process::pidfd_open(group, PidfdFlags::empty())?;
    let missing = || io::Error::other("a pipe is missing");
    let pipes = Pipes {
        stdin: child.stdin.take().ok_or_else(missing)?.into(),
        stdout: child.stdout.take().ok_or_else(missing)?.into(),
        stderr: child.stderr.take().ok_or_else(missing)?.into(),
    };
    for pipe in [&pipes.stdin, &pipes.stdout, &pipes.stderr] {
        rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
    }
    Ok((group, exit, pipes))
}
