//! A broadcast reaches each session as it agreed, and is compressed once for all that agreed on the same.

use serde_json::json;

use crate::support::deflate::json as text;
use crate::support::frame::TEXT;
use crate::support::plugins::{permessage_deflate, plugin};
use crate::support::{Config, DeflatePeer, Frame, Server, Setup};

fn server(takeover: bool, level: u8) -> Server {
    let options = json!({
        "server_context_takeover": takeover,
        "client_context_takeover": true,
        "level": level,
    });
    let config = Config::new().extension("permessage-deflate", options);
    let setup = Setup::new()
        .plugin(&plugin("broadcast"))
        .plugin(&permessage_deflate());
    setup.config(&config).start()
}

#[test]
fn each_session_reads_what_it_agreed_on() {
    for takeover in [true, false] {
        let server = server(takeover, 1);
        let mut peers: Vec<DeflatePeer> = Vec::new();
        for bits in [8, 9, 10, 12, 15] {
            for flag in ["", "; server_no_context_takeover"] {
                for _ in 0..3 {
                    let offer = format!("permessage-deflate; server_max_window_bits={bits}{flag}");
                    peers.push(DeflatePeer::open(server.address(), "/broadcast", &offer));
                }
            }
        }
        let mut plain: Vec<_> = (0..4).map(|_| server.open("/broadcast")).collect();
        for round in 0..12 {
            let length = [0, 100, 300, 5000, 70_000, 20][round % 6];
            let message = text(round as u64, length);
            match round % 3 {
                0 => plain[0].frames(&[Frame::new(TEXT, &message)]),
                _ => peers[round].send(TEXT, &message),
            }
            for peer in &mut peers {
                let received = peer.message();
                assert!(received.text == message, "{}", peer.answer);
                assert_eq!(received.is_compressed, length >= 256, "{}", peer.answer);
            }
            for peer in &mut plain {
                let frame = peer.frame();
                assert_eq!((frame.opcode, frame.reserved, frame.last), (TEXT, 0, true));
                assert!(frame.payload == message);
            }
        }
    }
}

/// Processor time of the server for a few broadcasts to many sessions.
fn cost_ns(takeover: bool) -> u64 {
    const SESSIONS: usize = 60;
    let server = server(takeover, 9);
    let mut peers: Vec<_> = (0..SESSIONS)
        .map(|_| DeflatePeer::open(server.address(), "/broadcast", "permessage-deflate"))
        .collect();
    assert_eq!(peers[0].agreed.server_takeover, takeover);
    let message = text(1, 100_000);
    let mut before = 0;
    // The first round makes what is made once.
    for round in 0..6 {
        if round == 1 {
            before = server.process().processor_ns();
        }
        peers[round].send(TEXT, &message);
        for peer in &mut peers {
            // Reading with the strict inflater would take longer than all else.
            while !peer.peer.frame().last {}
        }
    }
    server.process().processor_ns() - before
}

#[test]
fn sessions_that_agreed_on_the_same_share_the_work() {
    let shared = cost_ns(false);
    let each = cost_ns(true);
    eprintln!("{shared} ns of processor time when shared, {each} ns when not");
    // For 60 sessions on two threads, so it could be 30 times as much but for all else.
    assert!(shared * 4 < each, "{shared} and {each}");
}
