//! The real server, one per test, in a fresh directory.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::lines::{Lines, LogLine};
use super::process::Process;
use super::{Config, DEADLINE, Frame, RawPeer};

/// What a server is started with.
pub(crate) struct Setup {
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    open_files: Option<u32>,
    listeners: usize,
    has_listen_flags: bool,
    has_control: bool,
    passed: Option<OwnedFd>,
}

impl Setup {
    /// An empty plugin directory, two service threads, a free port.
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        for (name, mode) in [("plugins", 0o755), ("run", 0o700)] {
            fs::DirBuilder::new()
                .mode(mode)
                .create(directory.path().join(name))
                .expect("a fresh directory");
        }
        Self {
            directory,
            arguments: vec!["--threads".into(), "2".into()],
            environment: Vec::new(),
            open_files: None,
            listeners: 1,
            has_listen_flags: true,
            has_control: true,
            passed: None,
        }
    }

    /// With this plugin file in the directory from the start.
    pub(crate) fn plugin(self, file: &Path) -> Self {
        let name = file.file_name().expect("a file has a name");
        copy_plugin(file, &self.plugin_directory().join(name));
        self
    }

    /// With this configuration.
    pub(crate) fn config(self, config: &Config) -> Self {
        self.config_text(&config.text())
    }

    /// With this text as configuration file.
    pub(crate) fn config_text(mut self, text: &str) -> Self {
        let file = self.config_file();
        fs::write(&file, text).expect("the config can be written");
        self.arguments.push("--config".into());
        self.arguments.push(file.display().to_string());
        self
    }

    /// With these arguments behind the usual ones.
    pub(crate) fn arguments<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.arguments.extend(arguments.map(String::from));
        self
    }

    /// With so many service threads.
    pub(crate) fn threads(mut self, count: usize) -> Self {
        self.arguments[1] = count.to_string();
        self
    }

    /// With one more listener on a free port.
    pub(crate) fn another_listener(mut self) -> Self {
        self.listeners += 1;
        self
    }

    /// With so many listeners, which the configuration names instead of flags.
    pub(crate) fn listens_by_config(mut self, count: usize) -> Self {
        self.listeners = count;
        self.has_listen_flags = false;
        self
    }

    /// Without the usual `--control`: the test gives one, or leaves it to the host.
    pub(crate) fn own_control_socket(mut self) -> Self {
        self.has_control = false;
        self
    }

    /// With this environment variable.
    pub(crate) fn environment(mut self, name: &str, value: impl Into<PathBuf>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With this socket as descriptor 3, as systemd passes it, under these names.
    pub(crate) fn passes(mut self, socket: impl Into<OwnedFd>, names: &str) -> Self {
        self.passed = Some(socket.into());
        self.environment("LISTEN_FDNAMES", names)
    }

    /// With so few files that may be open.
    pub(crate) fn open_files(mut self, count: u32) -> Self {
        self.open_files = Some(count);
        self
    }

    /// Where plugin files go.
    pub(crate) fn plugin_directory(&self) -> PathBuf {
        self.directory.path().join("plugins")
    }

    /// Where the configuration goes.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("hotsocket.json")
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        let mut server = self.begin();
        for nth in 0..server.setup.listeners {
            let line = server.output.wait_after(nth, DEADLINE, |line| {
                let url = line.strip_prefix("listening on ")?;
                url.split_once("://").map(|(_, address)| address.to_owned())
            });
            let line = line.expect("the server says where it listens");
            server.addresses.push(line.parse().expect("an address"));
        }
        server
    }

    /// Starts the server, which does not listen yet.
    pub(crate) fn begin(self) -> Server {
        let mut child = self.spawn();
        let output = Lines::follow(child.stdout.take().expect("piped"));
        let log = Lines::follow(child.stderr.take().expect("piped"));
        Server {
            process: Process::of(&child),
            child,
            addresses: Vec::new(),
            output,
            log,
            setup: self,
        }
    }

    /// Starts the server, which is expected to end by itself, and gives what it said.
    pub(crate) fn run(self) -> Output {
        output_within(self.spawn(), DEADLINE)
    }

    fn spawn(&self) -> Child {
        let mut command = match (self.open_files, &self.passed) {
            (None, None) => hotsocket(),
            (Some(count), _) => shell(&format!("ulimit -n {count}; exec \"$0\" \"$@\"")),
            // Only the process itself knows its number, and only after the fork.
            (None, Some(_)) => {
                shell("exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"")
            }
        };
        let stdin = self.passed.as_ref().map_or_else(Stdio::null, |socket| {
            socket.try_clone().expect("a duplicate").into()
        });
        command.arg("serve");
        if self.has_listen_flags {
            for _ in 0..self.listeners {
                command.args(["--listen", "127.0.0.1:0"]);
            }
        }
        command.arg("--plugins").arg(self.plugin_directory());
        if self.has_control {
            command
                .arg("--control")
                .arg(self.directory.path().join("control.sock"));
        }
        command
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .env("XDG_RUNTIME_DIR", self.directory.path().join("run"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started")
    }
}

/// A running server. Ended when it is dropped; its log is shown when the test fails.
pub(crate) struct Server {
    child: Child,
    process: Process,
    addresses: Vec<SocketAddr>,
    output: Lines,
    log: Lines,
    setup: Setup,
}

impl Server {
    /// With these plugin files and nothing else that is particular.
    pub(crate) fn with<const N: usize>(plugins: [&Path; N]) -> Self {
        plugins
            .into_iter()
            .fold(Setup::new(), Setup::plugin)
            .start()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where all its listeners are, in their order.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// A connection without an opening handshake.
    pub(crate) fn connect(&self) -> RawPeer {
        RawPeer::connect(self.address())
    }

    /// A session at this request target.
    pub(crate) fn open(&self, target: &str) -> RawPeer {
        RawPeer::open(self.address(), target)
    }

    /// Whether the server serves: a fresh session on `/echo` is answered.
    pub(crate) fn assert_echoes(&self) {
        let mut peer = self.open("/echo");
        peer.text("still here");
        assert_eq!(peer.frame(), Frame::text("still here"));
    }

    /// What it wrote to standard output.
    pub(crate) fn output(&self) -> &Lines {
        &self.output
    }

    /// What it logged.
    pub(crate) fn log(&self) -> &Lines {
        &self.log
    }

    /// The first log line from `mark` on that is `wanted`.
    pub(crate) fn await_log(&self, mark: usize, wanted: impl Fn(&LogLine) -> bool) -> LogLine {
        self.log
            .wait_after(mark, DEADLINE, |line| {
                LogLine::parse(line).filter(|line| wanted(line))
            })
            .expect("the log line comes")
    }

    /// The log lines from `mark` on that are `wanted`.
    pub(crate) fn logged(&self, mark: usize, wanted: impl Fn(&LogLine) -> bool) -> Vec<LogLine> {
        let lines = self.log.since(mark);
        let lines = lines.iter().filter_map(|line| LogLine::parse(line));
        lines.filter(|line| wanted(line)).collect()
    }

    /// The directory of this test.
    pub(crate) fn directory(&self) -> &Path {
        self.setup.directory.path()
    }

    /// A file of this name in the plugin directory.
    pub(crate) fn plugin_file(&self, name: &str) -> PathBuf {
        self.setup.plugin_directory().join(name)
    }

    /// Where the configuration is.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.setup.config_file()
    }

    /// Puts a plugin file in the directory, whole from the first moment.
    pub(crate) fn drop_in(&self, file: &Path, name: &str) {
        let staged = self.directory().join("staged.so");
        copy_plugin(file, &staged);
        fs::rename(staged, self.plugin_file(name)).expect("the plugin can be moved in place");
    }

    /// Runs a command of the binary against this server.
    pub(crate) fn command<const N: usize>(&self, arguments: [&str; N]) -> Output {
        let mut command = hotsocket();
        command.args(arguments).arg("--control");
        command.arg(self.directory().join("control.sock"));
        output_of(command)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server can be signalled");
    }

    /// Waits until it has ended.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        wait_within(&mut self.child, DEADLINE)
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        if ended.is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        if thread::panicking() {
            let state = ended.map_or_else(|| "was running".to_owned(), |status| status.to_string());
            eprintln!("--- the server ({state}); its log:");
            for line in self.log.wait_end(Duration::from_secs(1)) {
                eprintln!("{line}");
            }
        }
    }
}

/// The binary under test, with none of the caller's settings.
pub(crate) fn hotsocket() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotsocket"));
    for name in [
        "LISTEN", "PLUGINS", "THREADS", "CONTROL", "LOG", "TLS_CERT", "TLS_KEY", "USER", "GROUP",
    ] {
        command.env_remove(format!("HOTSOCKET_{name}"));
    }
    command
}

/// The same, begun by these words of a shell.
fn shell(words: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", words, env!("CARGO_BIN_EXE_hotsocket")]);
    shell
}

/// Runs a command to its end.
pub(crate) fn output_of(mut command: Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command can be started");
    output_within(child, DEADLINE)
}

/// Copies a plugin file, with permissions that do not depend on the caller's umask.
///
/// By another process: a server that another test starts meanwhile would have the copy open for writing between its
/// fork and its exec, and ours would take the file for unfinished when it looks for the first time.
pub(crate) fn copy_plugin(from: &Path, to: &Path) {
    let status = Command::new("cp").args([from, to]).status();
    assert!(status.is_ok_and(|status| status.success()), "{from:?}");
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("our own file");
}

fn output_within(mut child: Child, within: Duration) -> Output {
    let stdout = read_all(child.stdout.take().expect("piped"));
    let stderr = read_all(child.stderr.take().expect("piped"));
    let status = wait_within(&mut child, within);
    Output {
        status,
        stdout: stdout.join().expect("reading does not panic"),
        stderr: stderr.join().expect("reading does not panic"),
    }
}

fn read_all(mut output: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).ok();
        bytes
    })
}

fn wait_within(child: &mut Child, within: Duration) -> ExitStatus {
    let end = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        if Instant::now() > end {
            child.kill().ok();
            panic!("the process did not end within {within:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
