//! The programs as they are started, with the plugin file of `plugins/echo` as it is built for any host.
//!
//! What stands in the environment as `HOTSOCKET_RUN_UNDER` is put before them: a memory checker, for instance.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// Nothing here takes so long, under a memory checker neither.
const DEADLINE: Duration = Duration::from_secs(60);

/// A directory with the plugin file of echo.
fn plugins() -> tempfile::TempDir {
    let target = Path::new(env!("CARGO_BIN_EXE_serve-in-poll")).parent();
    let target = target.and_then(Path::parent).expect("of a profile");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "-p", "hotsocket-echo"])
        .arg("--target-dir")
        .arg(target)
        .status();
    assert!(built.unwrap().success());
    let file: PathBuf = target.join("debug/libecho.so");
    let directory = tempfile::tempdir().unwrap();
    fs::copy(file, directory.path().join("libecho.so")).unwrap();
    directory
}

/// One of the programs.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(path: &str, plugins: &Path) -> Self {
        let under = env::var("HOTSOCKET_RUN_UNDER").unwrap_or_default();
        let mut words = under.split_whitespace().chain([path]);
        let mut child = Command::new(words.next().expect("the path at least"))
            .args(words)
            .arg(plugins)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended is not there to be ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session of echo.
fn open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", head.escape_ascii());
    stream
}

/// Sends a binary message of so many bytes, more than a socket takes at once, and reads it back as slowly as it was sent.
fn echo(stream: &mut TcpStream, len: usize) {
    let mut sender = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let mut frame = vec![0x82, 0xff];
        frame.extend((len as u64).to_be_bytes());
        frame.extend([0; 4]);
        frame.resize(frame.len() + len, b'e');
        sender.write_all(&frame).unwrap();
    });
    let mut back = vec![0; 10 + len];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back[..2], [0x82, 127]);
    assert!(back[10..].iter().all(|byte| *byte == b'e'));
    writer.join().unwrap();
}

fn serves_plugin_files(path: &str) {
    let plugins = plugins();
    let mut program = Program::start(path, plugins.path());
    let line = program.line();
    let address = line.strip_prefix("listening on ws://").expect(&line);
    let mut streams = [(); 3].map(|()| open(address));
    for stream in &mut streams {
        echo(stream, 70_000);
        echo(stream, 4 << 20);
    }
    // What the program waits for beside.
    let input = program.input.as_mut().expect("open");
    input.write_all(b"how many?\n").unwrap();
    assert_eq!(program.line(), "connections: 3");
    // It ends in order: a Close frame with 1001 for each, then itself.
    drop(program.input.take());
    for mut stream in streams {
        let mut close = [0; 4];
        stream.read_exact(&mut close).unwrap();
        assert_eq!((close[0], &close[2..]), (0x88, &1001u16.to_be_bytes()[..]));
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    assert_eq!(program.line(), "");
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn seed_10_1_a_loop_of_plain_poll_serves_an_unmodified_plugin_file() {
    serves_plugin_files(env!("CARGO_BIN_EXE_serve-in-poll"));
}

#[test]
fn seed_10_1_a_loop_of_tokio_serves_an_unmodified_plugin_file() {
    serves_plugin_files(env!("CARGO_BIN_EXE_serve-in-tokio"));
}

#[test]
fn seed_10_1_a_loop_of_calloop_serves_an_unmodified_plugin_file() {
    serves_plugin_files(env!("CARGO_BIN_EXE_serve-in-calloop"));
}
