//! The extension itself is replaced while connections that refer to what came before use it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::deflate::{json as text, noise};
use crate::support::frame::{BINARY, TEXT};
use crate::support::plugins::{echo, permessage_deflate};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, DeflatePeer, Server, Setup};

const FILE: &str = "libpermessage_deflate.so";
/// Connections that never reconnect.
const STAYING: usize = 16;
/// Threads whose connections come and go.
const COMING: usize = 4;
const REPLACEMENTS: u64 = 6;

fn setup() -> Setup {
    let options = json!({"server_context_takeover": true, "client_context_takeover": true});
    let config = Config::new().extension("permessage-deflate", options);
    Setup::new()
        .plugin(&echo())
        .plugin(&permessage_deflate())
        .config(&config)
}

fn open(server: &Server) -> DeflatePeer {
    DeflatePeer::open(server.address(), "/echo", "permessage-deflate")
}

/// What `plugin list` says of the generations of the extension.
fn rows(server: &Server) -> Vec<Value> {
    let output = server.command(["plugin", "list", "--json"]);
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("a JSON list");
    rows.into_iter()
        .filter(|row| row["name"] == "permessage-deflate" && !row["generation"].is_null())
        .collect()
}

fn state(server: &Server, generation: u64) -> (String, u64) {
    let rows = rows(server);
    let row = rows.iter().find(|row| row["generation"] == generation);
    let row = row.unwrap_or_else(|| panic!("no generation {generation}: {rows:?}"));
    let text = row["state"].as_str().expect("a state").to_owned();
    (text, row["sessions"].as_u64().expect("a count"))
}

/// Puts another version in place: the same code in a file that ends otherwise.
fn replace(server: &Server, number: u64) {
    let mut bytes = fs::read(permessage_deflate()).expect("a built plugin");
    bytes.extend_from_slice(format!("version {number}").as_bytes());
    let staged = server.directory().join("next.so");
    fs::write(&staged, bytes).expect("there is room");
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).expect("our own file");
    fs::rename(staged, server.plugin_file(FILE)).expect("the same file system");
}

/// Replaces the extension and waits until the new one serves.
fn await_replaced(server: &Server, generation: u64) {
    replace(server, generation);
    eventually("the new version serves", DEADLINE, || {
        rows(server)
            .iter()
            .any(|row| row["generation"] == generation && row["state"] == "serving")
    });
}

#[test]
fn seed_8_5_old_sessions_keep_their_generation_until_they_end() {
    let server = setup().start();
    let message = noise(1, 1000);
    let mut old: Vec<_> = (0..3).map(|_| open(&server)).collect();
    for peer in &mut old {
        peer.echo(BINARY, &message);
    }
    await_replaced(&server, 2);
    assert_eq!(state(&server, 1), ("draining".to_owned(), 3));
    let mut new = open(&server);
    new.echo(BINARY, &message);
    assert_eq!(state(&server, 2), ("serving".to_owned(), 1));
    for peer in &mut old {
        let received = peer.echo(BINARY, &message);
        assert!(
            received.wire_bytes < 100,
            "the context is lost: {received:?}"
        );
    }
    for peer in old {
        peer.peer.close();
    }
    eventually("the old one is retired", DEADLINE, || {
        state(&server, 1) == ("retired".to_owned(), 0)
    });
    let received = new.echo(BINARY, &message);
    assert!(received.wire_bytes < 100, "{received:?}");
}

#[test]
fn seed_8_11_nothing_is_lost_while_it_is_replaced_under_load() {
    let mut server = setup().start();
    let is_over = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        // Also when what runs beside it panics.
        let over = Over(&is_over);
        let staying: Vec<_> = (0..STAYING).map(|_| open(&server)).collect();
        for (seed, mut peer) in staying.into_iter().enumerate() {
            let (is_over, answered) = (&is_over, &answered);
            scope.spawn(move || {
                let mut nth = 0;
                while !is_over.load(Ordering::Acquire) {
                    exchange(&mut peer, seed as u64, &mut nth);
                    answered.fetch_add(IN_FLIGHT, Ordering::Relaxed);
                }
                // Still with all that was said.
                let message = noise(seed as u64, 1000);
                peer.echo(BINARY, &message);
                assert!(peer.echo(BINARY, &message).wire_bytes < 100);
                peer.peer.close();
            });
        }
        for seed in 0..COMING {
            let (is_over, answered, server) = (&is_over, &answered, &server);
            scope.spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    let mut peer = open(server);
                    let mut nth = 0;
                    for _ in 0..5 {
                        exchange(&mut peer, 1000 + seed as u64, &mut nth);
                        answered.fetch_add(IN_FLIGHT, Ordering::Relaxed);
                    }
                    peer.peer.close();
                }
            });
        }
        for generation in 2..2 + REPLACEMENTS {
            let before = answered.load(Ordering::Relaxed);
            await_replaced(&server, generation);
            eventually(
                "only those that stay have the first version",
                DEADLINE,
                || state(&server, 1) == ("draining".to_owned(), STAYING as u64),
            );
            eventually("the load goes on", DEADLINE, || {
                answered.load(Ordering::Relaxed) > before + 200
            });
        }
        drop(over);
    });
    eprintln!("{} messages answered", answered.load(Ordering::Relaxed));
    eventually("all but the last are retired", DEADLINE, || {
        let rows = rows(&server);
        let states: Vec<_> = rows.iter().map(|row| row["state"].clone()).collect();
        let retired = states.iter().filter(|state| **state == "retired").count();
        retired as u64 == REPLACEMENTS
    });
    assert!(server.is_running());
    assert_eq!(server.logged(0, |line| line.is_error()).len(), 0);
}

#[test]
fn without_its_file_it_is_not_offered_and_old_sessions_keep_it() {
    let server = setup().start();
    let mut old = open(&server);
    old.echo(TEXT, &text(1, 1000));
    fs::remove_file(server.plugin_file(FILE)).expect("it is there");
    eventually("it is gone", DEADLINE, || {
        let fields = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        let response = server.connect().handshake("/echo", &fields);
        assert_eq!(response.status, 101);
        response.field("sec-websocket-extensions").is_none()
    });
    assert!(old.echo(TEXT, &text(1, 1000)).wire_bytes < 100);
    server.drop_in(&permessage_deflate(), FILE);
    eventually("it is back", DEADLINE, || {
        let fields = [("Sec-WebSocket-Extensions", "permessage-deflate")];
        let response = server.connect().handshake("/echo", &fields);
        response.field("sec-websocket-extensions").is_some()
    });
    assert!(old.echo(TEXT, &text(1, 1000)).wire_bytes < 100);
}

/// Ends the load.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Messages that are in flight together.
const IN_FLIGHT: u64 = 4;

/// Sends some messages, numbered from `nth`, and takes their answers in order.
fn exchange(peer: &mut DeflatePeer, seed: u64, nth: &mut u64) {
    let messages: Vec<Vec<u8>> = (*nth..*nth + IN_FLIGHT)
        .map(|nth| {
            let mut message = nth.to_string().into_bytes();
            message.extend(text(
                seed + nth % 3,
                [0, 100, 1000, 3000][(nth % 4) as usize],
            ));
            message
        })
        .collect();
    *nth += IN_FLIGHT;
    for message in &messages {
        peer.send(TEXT, message);
    }
    for message in &messages {
        assert!(
            peer.message().text == *message,
            "lost, reordered or altered"
        );
    }
}
