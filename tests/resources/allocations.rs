//! No message costs an allocation: counted over the whole process, by a library that stands before `malloc`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use object::{Object, ObjectSymbol};
use serde_json::json;

use crate::support::plugins::{echo, plugin};
use crate::support::process::Process;
use crate::support::{Config, Frame, Server, Setup};

/// Messages per window. Several windows are measured and the best one counts: the watcher of the plugin directory
/// allocates now and then, and a cost per message would be in each window.
const MESSAGES: u64 = 500;
const WINDOWS: usize = 5;

/// Reads the count of a process.
struct Allocations {
    memory: File,
    place: u64,
}

impl Allocations {
    fn of(process: &Process) -> Self {
        let library = plugin("allocation_counter");
        let bytes = fs::read(&library).expect("a built library");
        let parsed = object::File::parse(&*bytes).expect("a library");
        let symbol = parsed
            .dynamic_symbols()
            .find(|symbol| symbol.name() == Ok("ALLOCATION_COUNT"));
        let maps = fs::read_to_string(process.directory().join("maps")).expect("it runs");
        let loaded = maps
            .lines()
            .find(|line| line.ends_with("liballocation_counter.so"));
        let loaded = loaded.expect("the library is preloaded");
        let (begin, _) = loaded.split_once('-').expect("a range");
        let begin = u64::from_str_radix(begin, 16).expect("an address");
        Self {
            memory: File::open(process.directory().join("mem")).expect("our own child"),
            place: begin + symbol.expect("the symbol is exported").address(),
        }
    }

    fn count(&self) -> u64 {
        let mut count = [0; 8];
        self.memory
            .read_exact_at(&mut count, self.place)
            .expect("our own child");
        u64::from_ne_bytes(count)
    }

    /// The allocations while `work` is done, in the best of some windows.
    fn fewest(&self, mut work: impl FnMut()) -> u64 {
        work();
        let windows = (0..WINDOWS).map(|_| {
            let before = self.count();
            work();
            self.count() - before
        });
        windows.min().expect("at least one window")
    }
}

fn counted(protocol: &str) -> Server {
    let config = Config::new().limit("idle_ping_ms", 0);
    let setup = Setup::new().plugin(&plugin(protocol)).config(&config);
    setup
        .environment("LD_PRELOAD", plugin("allocation_counter"))
        .start()
}

#[test]
fn an_allocation_is_counted() {
    let server = counted("probe");
    let allocations = Allocations::of(server.process());
    let mut peer = server.open("/probe");
    let fewest = allocations.fewest(|| {
        for _ in 0..MESSAGES {
            peer.ask("facts");
        }
    });
    assert!(fewest >= MESSAGES, "{fewest}");
}

#[test]
fn an_echoed_message_costs_no_allocation() {
    assert!(echo().exists());
    let server = counted("echo");
    let allocations = Allocations::of(server.process());
    for size in [20, 64 << 10] {
        let frame = Frame::binary(vec![b'm'; size]);
        let mut peer = server.open("/echo");
        let fewest = allocations.fewest(|| {
            for _ in 0..MESSAGES {
                peer.frames(std::slice::from_ref(&frame));
                assert!(peer.frame() == frame, "altered");
            }
        });
        assert_eq!(fewest, 0, "{MESSAGES} messages of {size} bytes");
    }
}

/// But for the date, which is made anew each second.
#[test]
fn a_small_file_that_is_remembered_is_answered_without_an_allocation() {
    let files = tempfile::tempdir().expect("a directory");
    fs::write(files.path().join("small.txt"), [b'x'; 1024]).expect("a file");
    let config = Config::new()
        .limit("file_cache_ms", 600_000)
        .mount("/files", json!({ "files": files.path() }));
    let setup = Setup::new().plugin(&plugin("probe")).config(&config);
    let server = setup
        .environment("LD_PRELOAD", plugin("allocation_counter"))
        .start();
    let allocations = Allocations::of(server.process());
    let mut peer = server.connect();
    let request = b"GET /files/small.txt HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
    let fewest = allocations.fewest(|| {
        for _ in 0..MESSAGES {
            peer.bytes(request);
            assert_eq!(peer.response().status, 200);
        }
    });
    assert!(fewest < MESSAGES / 10, "{fewest} of {MESSAGES} requests");
}

#[test]
fn a_delivery_of_a_broadcast_costs_no_allocation() {
    const PEERS: u64 = 20;
    const BROADCASTS: u64 = 100;
    let server = counted("broadcast");
    let allocations = Allocations::of(server.process());
    let mut peers: Vec<_> = (0..PEERS).map(|_| server.open("/broadcast")).collect();
    let frame = Frame::binary([b'm'; 200]);
    let fewest = allocations.fewest(|| {
        for _ in 0..BROADCASTS {
            peers[0].frames(std::slice::from_ref(&frame));
            for peer in &mut peers {
                assert!(peer.frame() == frame, "altered");
            }
        }
    });
    // The frame is made once per broadcast and handed to each service thread; the deliveries are free.
    let each = fewest as f64 / BROADCASTS as f64;
    eprintln!("{each} allocations for each broadcast to {PEERS} sessions");
    assert!(each <= 8.0, "{each} for each broadcast to {PEERS} sessions");
}
