//! However a connection ends, and at whatever stage: a policy is told of it once, first, and of its end once, last.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use socket2::SockRef;

use super::{Counts, config, settled, setup};
use crate::support::raw_peer::KEY;
use crate::support::{RawPeer, Server};

/// A sequence of numbers that can be had again by its seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// Of the seed in `HOTSOCKET_SEED`, or of the time; printed, for a test that fails.
    pub(crate) fn new() -> Self {
        let given = std::env::var("HOTSOCKET_SEED").ok();
        let given = given.and_then(|seed| seed.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("after 1970").as_nanos() as u64
        });
        eprintln!("HOTSOCKET_SEED={seed}");
        Self(seed | 1)
    }

    /// Below `end`.
    pub(crate) fn roll(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Ends a connection: with a reset, with an end that says so, or without a word.
fn end(peer: RawPeer, dice: &mut Dice) {
    match dice.roll(3) {
        0 => {
            let socket = SockRef::from(peer.transport());
            socket
                .set_linger(Some(Duration::ZERO))
                .expect("an option of TCP");
        }
        1 => peer.end_sending(),
        _ => {}
    }
}

/// What a connection does before it ends.
fn play(server: &Server, dice: &mut Dice, number: u64) {
    let stage = dice.roll(11);
    if stage == 0 {
        // Refused, or failed, in each of the first hooks.
        let last = 10 + dice.roll(5) as u8;
        let peer = RawPeer::connect_from([127, 0, 0, last], server.address());
        return end(peer, dice);
    }
    let mut peer = server.connect();
    let key = format!("{number}");
    let post = "POST /gates/body HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n0123";
    let handshake = format!(
        "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    let later = format!(
        "GET /plain HTTP/1.1\r\nHost: h\r\nX-Gate: gatekeeper=later\r\nX-Key: {key}\r\n\r\nGET /"
    );
    let bytes: &[u8] = match stage {
        1 => b"",
        2 => &handshake.as_bytes()[..dice.roll(handshake.len() as u64) as usize],
        3 => post.as_bytes(),
        4 => later.as_bytes(),
        5 => b"GET /plain HTTP/1.1\r\nHost: h\r\nX-Gate: gatekeeper=at-once\r\n\r\n",
        6 => b"GET /plain HTTP/1.1\r\nHost: h\r\nX-Gate: second-gatekeeper=panic\r\n\r\n",
        7 => b"\x16\x03\x01 nonsense\r\n\r\n",
        8 => handshake.as_bytes(),
        9 => {
            assert_eq!(peer.handshake("/echo", &[]).status, 101);
            peer.text("to the end");
            b""
        }
        _ => {
            assert_eq!(peer.request("GET", "/plain", &[]).status, 200);
            b"GET /plain HTTP/1.1\r\n"
        }
    };
    peer.bytes(bytes);
    if stage == 8 && dice.roll(2) == 0 {
        assert_eq!(peer.response().status, 101);
        peer.close();
        return;
    }
    end(peer, dice);
}

#[test]
fn seed_2_7_every_connection_is_destroyed_exactly_once_at_whatever_stage_it_ends() {
    const CONNECTIONS: u64 = 600;
    let config = config(json!(["gatekeeper", "second-gatekeeper"]))
        .limit("verdict_ms", 500)
        .limit("opening_handshake_ms", 1000);
    let server = setup().config(&config).start();
    let mut dice = Dice::new();
    for number in 0..CONNECTIONS {
        play(&server, &mut dice, number);
    }
    let mut asker = server.connect();
    for policy in ["gatekeeper", "second-gatekeeper"] {
        let expected = Counts {
            created: CONNECTIONS + 1,
            destroyed: CONNECTIONS,
            strange: 0,
        };
        assert_eq!(settled(&mut asker, policy), expected, "{policy}");
    }
}

#[test]
fn connections_above_a_limit_are_destroyed_as_often_as_they_were_created() {
    let config = config(json!(["gatekeeper"])).limit("max_connections", 8);
    let server = setup().config(&config).threads(1).start();
    let peers: Vec<RawPeer> = (0..40).map(|_| server.connect()).collect();
    let mut asker = peers;
    // Those that were let in are served.
    assert_eq!(asker[0].request("GET", "/plain", &[]).status, 200);
    asker.truncate(1);
    let mut asker = asker.remove(0);
    let counted = settled(&mut asker, "gatekeeper");
    assert_eq!(counted.strange, 0, "{counted:?}");
    assert!((8..=40).contains(&counted.created), "{counted:?}");
}
