//! TLS that is begun and not gone on with, and a host that has no file left for it: others are served meanwhile.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Authority, Secure, setup};
use crate::support::process::eventually;
use crate::support::{Config, DEADLINE, RawPeer};

/// Handshakes that stay half-made, all at once.
const HALF_MADE: usize = 1000;
/// What each of them has, from accept on.
const HANDSHAKE_MS: u64 = 3_000;
/// The longest that others may wait for a handshake and an echo beside them. Long, because other builds may share the
/// machine; without the half-made ones it takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// What each of them may cost: half a hello that is kept, or the state of a handshake.
const MOST_BYTES: u64 = 32 << 10;

/// What a client of rustls says first.
fn client_hello(authority: &Authority) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let mut client = rustls::ClientConnection::new(authority.client().into(), name).expect("ours");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("a vector has room");
    hello
}

#[test]
fn a_thousand_half_made_handshakes_end_by_their_deadline_and_others_are_served() {
    let config = Config::new().limit("opening_handshake_ms", HANDSHAKE_MS);
    let secure = Secure::with(config);
    let hello = client_hello(&secure.authority);
    let before = secure.server.process().open_sockets();
    let memory = secure.server.process().resident_bytes();
    let began = Instant::now();
    let mut peers: Vec<RawPeer> = (0..HALF_MADE).map(|_| secure.server.connect()).collect();
    for (nth, peer) in peers.iter_mut().enumerate() {
        // From nothing at all to a whole hello whose answer is not taken up.
        peer.bytes(&hello[..hello.len() * (nth % 11) / 10]);
    }
    let open = || secure.server.process().open_sockets();
    eventually("they are all accepted", DEADLINE, || {
        open() >= before + HALF_MADE
    });
    let connected = began.elapsed();
    let mut served = 0;
    let mut longest = Duration::ZERO;
    while began.elapsed() < connected + Duration::from_millis(HANDSHAKE_MS) {
        let asked = Instant::now();
        let mut peer = secure.authority.peer(secure.server.address());
        peer.upgrade("/echo", &[]);
        assert_eq!(peer.ask("beside them"), "beside them");
        longest = longest.max(asked.elapsed());
        served += 1;
    }
    let grown = secure
        .server
        .process()
        .resident_bytes()
        .saturating_sub(memory);
    eprintln!("{served} others were served, the slowest in {longest:?}; {grown} bytes more");
    assert!(served > 10 && longest < PATIENCE, "{served}, {longest:?}");
    assert!(grown < HALF_MADE as u64 * MOST_BYTES, "{grown} bytes");
    for peer in &mut peers {
        peer.expect_end_somehow();
    }
    eventually("their sockets are closed", DEADLINE, || open() <= before);
}

#[test]
fn with_no_file_left_sessions_over_tls_are_served_and_the_host_recovers() {
    const FILES: u32 = 96;
    let authority = Authority::new();
    // More than there is room for, or the host would turn them away itself.
    let config = Config::new().limit("max_connections", 1_000_000);
    let setup = setup(&authority).config(&config);
    let server = setup.open_files(FILES).start();
    let address = server.address();
    let mut open: Vec<RawPeer> = (0..10)
        .map(|_| {
            let mut peer = authority.peer(address);
            peer.upgrade("/echo", &[]);
            peer
        })
        .collect();
    let hello = client_hello(&authority);
    // The kernel completes connections whether or not the host accepts them, until its queue is full: fewer than that, or
    // connecting takes so long that those before have been given up.
    let storm: Vec<RawPeer> = (0..FILES + 64)
        .map(|_| {
            let mut peer = server.connect();
            peer.bytes_until_refused(&hello[..hello.len() / 2], Duration::from_secs(1));
            peer
        })
        .collect();
    // By what the host says: an accept that waits keeps a number that no list of open files shows.
    server.await_log(0, |line| line.mentions("Too many open files"));
    // What has to open a file fails too, and harms nobody.
    authority.renew(2);
    server.signal(Signal::HUP);
    for _ in 0..50 {
        for peer in &mut open {
            assert_eq!(peer.ask("served"), "served");
        }
    }
    let used = server.process().processor_ns();
    open[0].frame_within(Duration::from_secs(1));
    let used = server.process().processor_ns() - used;
    assert!(used < 300_000_000, "it spins: {used} ns in a second");
    drop(storm);
    let renewed = authority.renew(3);
    eventually("the newest certificate is shown", DEADLINE, || {
        server.signal(Signal::HUP);
        shown(&authority, address).is_some_and(|certificate| certificate == renewed)
    });
    for peer in &mut open {
        assert_eq!(peer.ask("still served"), "still served");
    }
}

/// The certificate of the host; none when it cannot serve yet.
fn shown(authority: &Authority, address: SocketAddr) -> Option<Vec<u8>> {
    let mut connection = authority.connect(address);
    connection.flush().ok()?;
    let certificates = connection.conn.peer_certificates()?;
    Some(certificates.first()?.to_vec())
}
