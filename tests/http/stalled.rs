//! A thousand peers that do not go on: others are served, each ends by its deadline, and memory stays bounded.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use rustix::process::{Resource, getrlimit, setrlimit};

use super::handlers;
use super::peer::{HttpPeer, request};
use super::site::{Site, pattern};
use crate::support::Config;
use crate::support::process::eventually;

const PEERS: usize = 1000;
/// All deadlines of these hosts.
const DEADLINE_MS: u64 = 2000;
/// How long after its deadline a peer may still be there, on a machine that has other things to do.
const LATE: Duration = Duration::from_secs(6);
/// What the host may buffer for all connections together.
const BUFFERED_BYTES: u64 = 16 << 20;
/// What a connection costs beside what is buffered for it: twice what an idle one may.
const EACH_BYTES: u64 = 2048;

/// How a peer does not go on.
#[derive(Clone, Copy, Debug)]
enum Stall {
    /// A head that trickles.
    Head,
    /// A body of which a part comes.
    Body,
    /// An answer that is not read.
    Answer,
}

fn site() -> Site {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be raised to the hard one");
    let mut config = Config::new()
        .limit("message_bytes", 1 << 20)
        .limit("buffered_total_bytes", BUFFERED_BYTES);
    for name in [
        "opening_handshake_ms",
        "http_keep_alive_ms",
        "request_body_idle_ms",
        "stalled_write_ms",
    ] {
        config = config.limit(name, DEADLINE_MS);
    }
    let site = handlers::site(config);
    fs::write(site.file("long.bin"), pattern(32 << 20)).expect("a fresh file");
    site
}

/// A peer that takes so little before its window is full.
fn peer_with_window(address: SocketAddr, bytes: usize) -> HttpPeer {
    let transport = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    set_socket_recv_buffer_size(&transport, bytes).expect("an option");
    connect(&transport, &address).expect("the server accepts");
    HttpPeer::over(transport.into())
}

fn stalled(site: &Site, stall: Stall) -> HttpPeer {
    let mut peer = peer_with_window(site.address(), 4096);
    peer.send(match stall {
        Stall::Head => "GET /a.txt HTTP/1.1\r\nHost: test\r\nA: ".to_owned(),
        Stall::Body => {
            request("POST", "/probe/count", "Content-Length: 60000\r\n") + "a part of it"
        }
        Stall::Answer => request("GET", "/long.bin", ""),
    });
    peer
}

/// Asks a good question again and again while `stalled` is there, and has heads trickle; says how long the slowest
/// answer took.
fn serve_beside(site: &Site, heads: &mut [HttpPeer], until: impl Fn() -> bool) -> Duration {
    let end = Instant::now() + Duration::from_millis(DEADLINE_MS) + LATE;
    let mut slowest = Duration::ZERO;
    while !until() {
        assert!(Instant::now() < end, "they are still there");
        let began = Instant::now();
        site.assert_serves();
        slowest = slowest.max(began.elapsed());
        for peer in &mut *heads {
            peer.send_while_open("x");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    slowest
}

#[test]
fn a_thousand_stalled_peers_end_by_their_deadlines_and_harm_nobody() {
    let site = site();
    for stall in [Stall::Head, Stall::Body, Stall::Answer] {
        // Once through everything: what is made once is no cost of a connection.
        let warm: Vec<_> = (0..20).map(|_| stalled(&site, stall)).collect();
        drop(warm);
    }
    site.assert_serves();
    let sockets = || site.process().open_sockets();
    let mut before = usize::MAX;
    eventually("the first ones are gone", Duration::from_secs(10), || {
        std::mem::replace(&mut before, sockets()) == before
    });
    site.process().forget_peak();
    let memory = site.process().peak_bytes();

    let began = Instant::now();
    let all = [Stall::Head, Stall::Body, Stall::Answer];
    let mut heads = Vec::new();
    let mut others = Vec::new();
    for nth in 0..PEERS {
        match all[nth % all.len()] {
            Stall::Head => heads.push(stalled(&site, Stall::Head)),
            other => others.push(stalled(&site, other)),
        }
    }
    let opened = began.elapsed();
    let slowest = serve_beside(&site, &mut heads, || sockets() <= before);
    let grown = site.process().peak_bytes().saturating_sub(memory);
    eprintln!(
        "{PEERS} stalled peers: opened in {opened:?}, ended after {:?}, the slowest answer beside them took {slowest:?}, \
         {grown} bytes of resident memory more",
        began.elapsed()
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let bound = BUFFERED_BYTES + PEERS as u64 * EACH_BYTES;
    assert!(grown <= bound, "{grown} bytes, above {bound}");

    // Whoever did not send its head was told why.
    for peer in &mut heads {
        assert_eq!(peer.answer().status, 408);
        peer.expect_end();
    }
    site.assert_serves();
}

#[test]
fn a_slow_reader_that_goes_on_gets_everything() {
    const LENGTH: usize = 12 << 20;
    const PIECE: usize = 512 << 10;
    let site = site();
    let mut peer = peer_with_window(site.address(), 64 << 10);
    let range = format!("Range: bytes=0-{}\r\n", LENGTH - 1);
    peer.send(request("GET", "/long.bin", &range));
    let head = peer.head();
    let length = LENGTH.to_string();
    assert_eq!(head.field("Content-Length"), Some(length.as_str()));
    let mut got = Vec::new();
    let began = Instant::now();
    while got.len() < LENGTH {
        let piece = peer.take(PIECE.min(LENGTH - got.len()));
        assert!(!piece.is_empty(), "ended at {}", got.len());
        got.extend(piece);
        std::thread::sleep(Duration::from_millis(150));
    }
    assert!(got == pattern(LENGTH), "the content is another");
    // Longer in all than a write may stall: what counts is that it moves.
    assert!(began.elapsed() > Duration::from_millis(DEADLINE_MS));
}
