//! The answer to an offer says what is then done: a client with exactly the agreed window, that forgets when it may,
//! reads all that comes, and what it writes is read.

use serde_json::{Value, json};

use crate::support::deflate::{Agreed, json as text, noise};
use crate::support::frame::{BINARY, TEXT};
use crate::support::plugins::{echo, permessage_deflate};
use crate::support::{Config, DeflatePeer, Server, Setup};

/// A server with `echo` and permessage-deflate with these options.
fn server(options: Value) -> Server {
    let config = Config::new().extension("permessage-deflate", options);
    let setup = Setup::new().plugin(&echo()).plugin(&permessage_deflate());
    setup.config(&config).start()
}

/// The offer that asks for exactly this.
fn offer(wanted: Agreed) -> String {
    let flag = |is_set: bool, name: &str| match is_set {
        true => format!("; {name}"),
        false => String::new(),
    };
    format!(
        "permessage-deflate; server_max_window_bits={}; client_max_window_bits={}{}{}",
        wanted.server_bits,
        wanted.client_bits,
        flag(!wanted.server_takeover, "server_no_context_takeover"),
        flag(!wanted.client_takeover, "client_no_context_takeover"),
    )
}

/// Messages of many sizes and natures, both ways. They share text with those before them, near and far.
fn talk(peer: &mut DeflatePeer, rounds: u64) {
    for round in 0..rounds {
        for size in [0, 1, 255, 256, 700, 5000] {
            let opcode = if size % 2 == 0 { TEXT } else { BINARY };
            peer.echo(opcode, &text(round % 3, size));
        }
        peer.echo(BINARY, &noise(round, 2000));
        peer.echo(
            BINARY,
            &[noise(0, 400), text(round, 400), noise(0, 400)].concat(),
        );
        peer.echo(TEXT, &text(round, 40_000));
        peer.echo(TEXT, "äöü€🙂".repeat(200).as_bytes());
    }
    // More than any window and any piece.
    peer.echo(
        BINARY,
        &[text(1, 70_000), noise(1, 70_000), text(1, 70_000)].concat(),
    );
}

/// Each number of bits on each side, with and without takeover on each side.
fn each_agreement() -> impl Iterator<Item = Agreed> {
    let takeovers = [(true, true), (true, false), (false, true), (false, false)];
    takeovers.into_iter().flat_map(|(server, client)| {
        (8..=15).map(move |bits| Agreed {
            server_takeover: server,
            client_takeover: client,
            server_bits: bits,
            client_bits: 23 - bits,
        })
    })
}

/// Offers each agreement to a server that allows all of them, and holds it to it.
fn assert_each_holds(options: Value) {
    let server = server(options);
    for wanted in each_agreement() {
        let mut peer = DeflatePeer::open(server.address(), "/echo", &offer(wanted));
        assert_eq!(peer.agreed, wanted, "{}", peer.answer);
        talk(&mut peer, 2);
        peer.peer.close();
    }
}

#[test]
fn with_every_window_and_takeover_the_agreed_window_is_enough_on_both_sides() {
    assert_each_holds(json!({"server_context_takeover": true, "client_context_takeover": true}));
}

#[test]
fn so_it_is_when_compressors_are_kept() {
    assert_each_holds(json!({
        "server_context_takeover": true,
        "client_context_takeover": true,
        "takeover_keeps": "compressor",
        "level": 6,
        "memory_level": 4,
    }));
}

#[test]
fn so_it_is_at_the_highest_level_which_looks_furthest() {
    assert_each_holds(json!({
        "server_context_takeover": true,
        "client_context_takeover": true,
        "level": 9,
        "memory_level": 9,
        "threshold_bytes": 0,
    }));
}

#[test]
fn a_hundred_messages_with_takeover_stay_in_step() {
    let server = server(json!({"server_context_takeover": true, "client_context_takeover": true}));
    for bits in [8, 15] {
        let wanted = Agreed {
            server_takeover: true,
            client_takeover: true,
            server_bits: bits,
            client_bits: bits,
        };
        let mut peer = DeflatePeer::open(server.address(), "/echo", &offer(wanted));
        talk(&mut peer, 10);
        peer.peer.close();
    }
}

#[test]
fn without_options_nobody_refers_to_earlier_messages_and_the_answer_says_so() {
    let server = Server::with([&echo(), &permessage_deflate()]);
    let offer = "permessage-deflate; client_max_window_bits";
    let mut peer = DeflatePeer::open(server.address(), "/echo", offer);
    let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(peer.answer, expected);
    talk(&mut peer, 2);
}

#[test]
fn the_answer_names_what_the_options_narrow() {
    let server = server(json!({
        "server_context_takeover": true,
        "client_context_takeover": true,
        "server_max_window_bits": 10,
        "client_max_window_bits": 11,
    }));
    for (offer, expected) in [
        // The client cannot be told to use less than 15 bits, so it is told to forget.
        (
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
        ),
        (
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=12",
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_max_window_bits=8; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=8",
        ),
    ] {
        let mut peer = DeflatePeer::open(server.address(), "/echo", offer);
        assert_eq!(peer.answer, expected, "{offer}");
        talk(&mut peer, 2);
    }
}

#[test]
fn takeover_is_used_where_it_was_agreed_on_and_nowhere_else() {
    let server = server(json!({"server_context_takeover": true, "client_context_takeover": true}));
    let message = noise(7, 1000);
    let again = |offer: &str| {
        let mut peer = DeflatePeer::open(server.address(), "/echo", offer);
        peer.echo(BINARY, &message);
        peer.echo(BINARY, &message).wire_bytes
    };
    let with = again("permessage-deflate");
    assert!(with < 100, "{with} bytes with what came before");
    let without = again("permessage-deflate; server_no_context_takeover");
    assert!(without >= 1000, "{without} bytes without");
    let narrow = again("permessage-deflate; server_max_window_bits=9");
    assert!(narrow >= 1000, "{narrow} bytes with a window of 512");
}

#[test]
fn a_client_that_refers_back_although_it_may_not_is_closed_with_1007() {
    let server = Server::with([&echo(), &permessage_deflate()]);
    let mut peer = DeflatePeer::open(server.address(), "/echo", "permessage-deflate");
    assert!(!peer.agreed.client_takeover, "{}", peer.answer);
    peer.send_raw(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    assert_eq!(peer.message().text, b"Hello");
    peer.send_raw(&[0xf2, 0x00, 0x11, 0x00, 0x00]);
    peer.peer.expect_close(1007);
}
