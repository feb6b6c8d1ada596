//! What the kernel says about a running server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, getrlimit, pidfd_getfd, pidfd_open, prlimit,
};
use socket2::Socket;

/// A process by its id.
pub(crate) struct Process {
    directory: PathBuf,
}

impl Process {
    /// That of a child.
    pub(crate) fn of(child: &Child) -> Self {
        Self {
            directory: PathBuf::from(format!("/proc/{}", child.id())),
        }
    }

    /// Its directory in `/proc`.
    pub(crate) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// Resident memory, in bytes, of which no other process has a part.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join("smaps_rollup")).expect("it runs");
        let kib = |name: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number
                .and_then(|number| number.parse().ok())
                .expect("a count")
        };
        (kib("Private_Dirty:") + kib("Private_Clean:")) * 1024
    }

    /// Resident memory at its highest since [`Self::forget_peak`], in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let text = fs::read_to_string(self.directory.join("status")).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kib: Option<u64> = number.and_then(|number| number.parse().ok());
        kib.expect("a count") * 1024
    }

    /// From now on it may have so many files open; gives how many it might before.
    pub(crate) fn limit_files(&self, most: u64) -> u64 {
        let own = self.directory.file_name().and_then(|name| name.to_str());
        let pid = own.and_then(|own| Pid::from_raw(own.parse().ok()?));
        let limit = getrlimit(Resource::Nofile);
        let new = Rlimit {
            current: Some(most),
            ..limit
        };
        let before = prlimit(pid, Resource::Nofile, new).expect("our own child");
        before.current.expect("a bound")
    }

    /// Begins anew with the highest resident memory.
    pub(crate) fn forget_peak(&self) {
        fs::write(self.directory.join("clear_refs"), "5").expect("our own child");
    }

    /// How often each of its threads has waited and come back, by name and thread id.
    pub(crate) fn wakes(&self) -> Vec<(String, u64)> {
        let tasks = fs::read_dir(self.directory.join("task")).expect("it runs");
        let tasks = tasks.map_while(Result::ok).filter_map(|task| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim().to_owned())
            };
            let name = format!("{} {}", field("Name:")?, task.file_name().display());
            Some((name, field("voluntary_ctxt_switches:")?.parse().ok()?))
        });
        let mut wakes: Vec<_> = tasks.collect();
        wakes.sort();
        wakes
    }

    /// Processor time it has used, in nanoseconds.
    pub(crate) fn processor_ns(&self) -> u64 {
        let tasks = fs::read_dir(self.directory.join("task")).expect("it runs");
        tasks
            .map_while(Result::ok)
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    }

    /// What it has open, as the kernel names it; not the number that an accept that waits has taken already.
    pub(crate) fn open_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.directory.join("fd")).expect("it runs");
        files
            .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
            .collect()
    }

    /// How many processes are its children, those that nobody has waited for among them.
    pub(crate) fn children(&self) -> usize {
        let own = self.directory.file_name().and_then(|name| name.to_str());
        let processes = fs::read_dir("/proc").expect("it is there");
        let stats = processes.filter_map(|one| stat(&one.ok()?.path()));
        stats.filter(|stat| stat.split(' ').nth(1) == own).count()
    }

    /// Its own socket of the connection to a peer: what is set for one is seen in the other.
    pub(crate) fn socket_to(&self, peer: SocketAddr) -> Socket {
        let own = self.directory.file_name().and_then(|name| name.to_str());
        let pid = own.and_then(|own| Pid::from_raw(own.parse().ok()?));
        let process = pidfd_open(pid.expect("a process has a number"), PidfdFlags::empty());
        let process = process.expect("it runs");
        let files = fs::read_dir(self.directory.join("fd")).expect("it runs");
        let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
        let mut sockets = numbers.filter_map(|number: i32| {
            let file = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()?;
            let socket = Socket::from(file);
            (socket.peer_addr().ok()?.as_socket()? == peer).then_some(socket)
        });
        sockets.next().expect("it has accepted the connection")
    }

    /// How many sockets it has open.
    pub(crate) fn open_sockets(&self) -> usize {
        let is_socket =
            |file: &&PathBuf| file.as_os_str().as_encoded_bytes().starts_with(b"socket:");
        self.open_files().iter().filter(is_socket).count()
    }
}

/// Whether the process of this number runs. One that lost its parent may wait to be reaped by somebody else: that is
/// over too.
pub(crate) fn runs(pid: u32) -> bool {
    stat(Path::new(&format!("/proc/{pid}"))).is_some_and(|stat| !stat.starts_with(['Z', 'X']))
}

/// State, parent and the rest, of a process that is there.
fn stat(directory: &Path) -> Option<String> {
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

/// Asks again and again until the answer is yes, and says what was awaited when it never is.
pub(crate) fn eventually(what: &str, within: Duration, mut is_true: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !is_true() {
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
