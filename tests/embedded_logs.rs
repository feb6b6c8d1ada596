//! The log of a program that has the host in it: a sink of its own, or a subscriber of `tracing` of its own.

use std::{
    env, fs,
    process::Command,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use hotsocket::{
    Host,
    config::{self, LogConfig, Overrides, parse_address},
    limits::Limits,
    logging::{self, LogControl},
};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

/// As long as a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// Set in the process that a test has to itself.
const CHILD: &str = "HOTSOCKET_TEST_CHILD";

/// Runs `test`, the body of the test of that name, in a process of its own.
fn alone(name: &str, test: fn()) {
    if env::var_os(CHILD).is_some() {
        return test();
    }
    let program = env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--nocapture"]);
    let output = command.env(CHILD, "1").output().expect("it can run");
    assert!(output.status.success(), "{output:?}");
}

/// Runs a host in this process until a line tells that it listens or does not, and then to its end.
fn run_host(log: &LogControl, lines: &Receiver<String>) -> Vec<String> {
    let directory = TempDir::new().expect("a temporary directory");
    fs::create_dir(directory.path().join("plugins")).expect("a fresh directory");
    let overrides = Overrides {
        listen: Some(vec![parse_address("127.0.0.1:0").expect("an address")]),
        plugins: Some(directory.path().join("plugins")),
        control: Some(directory.path().join("control.sock")),
        threads: Some(1),
        ..Overrides::default()
    };
    let config = config::load(None, &overrides).expect("a config");
    let read = move || config::load(None, &overrides);
    let log = log.clone();
    let host = Host::builder().config(config).log(log).reload(read);
    let host = host.build().expect("a host").spawn().expect("a thread");
    let mut seen = Vec::new();
    let mut await_line = |needle: &str| {
        while seen
            .last()
            .is_none_or(|line: &String| !line.contains(needle))
        {
            seen.push(lines.recv_timeout(DEADLINE).expect(needle));
        }
    };
    await_line("nothing is served");
    host.handle().drain(None);
    await_line("draining");
    host.join().expect("it ends well");
    seen
}

#[test]
fn seed_11_1_a_program_takes_the_lines_of_the_host_by_a_function() {
    let name = "seed_11_1_a_program_takes_the_lines_of_the_host_by_a_function";
    alone(name, || {
        let (sender, lines) = channel();
        let log = logging::init_with_sink(&LogConfig::default(), &Limits::default(), move |line| {
            // Both would be the end of a host that did not see to it.
            tracing::error!("a sink that logs");
            let said = format!("{} {} {}", line.level, line.target, line.text);
            assert!(sender.send(said).is_ok() && !line.text.contains("control socket"));
        });
        let log = log.expect("the only log");
        let seen = run_host(&log, &lines);
        let starts = |line: &&String| line.starts_with("INFO hotsocket {\"time\":\"");
        assert!(
            seen.iter()
                .find(starts)
                .is_some_and(|line| line.contains("hotsocket starts")),
            "{seen:#?}"
        );
        assert!(
            !seen.iter().any(|line| line.contains("a sink that logs")),
            "{seen:#?}"
        );
        let second = logging::init(&LogConfig::default(), &Limits::default());
        let told = second.expect_err("there is one already").to_string();
        assert!(told.contains("LogControl::without_output"), "{told}");
    });
}

#[test]
fn seed_11_1_a_program_with_a_subscriber_of_its_own_keeps_it() {
    let name = "seed_11_1_a_program_with_a_subscriber_of_its_own_keeps_it";
    alone(name, || {
        let (sender, lines) = channel();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(Sender(sender))
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only one");
        let log = LogControl::without_output(&LogConfig::default());
        let seen = run_host(&log, &lines);
        assert!(
            seen.iter().any(|line| line.contains("hotsocket starts")),
            "{seen:#?}"
        );
    });
}

/// Sends each line away.
struct Sender(std::sync::mpsc::Sender<String>);

impl<'a> MakeWriter<'a> for Sender {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

struct Line(std::sync::mpsc::Sender<String>);

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The test reads them as long as it runs.
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
