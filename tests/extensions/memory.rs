//! A small message may become a large one, and only as large as the limit allows.

use serde_json::json;

use crate::support::deflate::{Compressor, compressed, fragmented};
use crate::support::frame::BINARY;
use crate::support::plugins::{echo, permessage_deflate};
use crate::support::{Config, DeflatePeer, Server, Setup};

const MIB: usize = 1 << 20;

/// A server that takes messages of a mebibyte.
fn server() -> Server {
    let config = Config::new().limit("message_bytes", MIB as u64).extension(
        "permessage-deflate",
        json!({"client_context_takeover": true}),
    );
    let setup = Setup::new().plugin(&echo()).plugin(&permessage_deflate());
    setup.config(&config).start()
}

fn open(server: &Server) -> DeflatePeer {
    DeflatePeer::open(server.address(), "/echo", "permessage-deflate")
}

#[test]
fn sixteen_mebibytes_of_zeros_against_a_limit_of_one_are_closed_with_1009_in_four_mebibytes() {
    let server = server();
    server.assert_echoes();
    let payload = Compressor::new(15, false).message(&vec![0; 16 * MIB]);
    assert!(payload.len() < 20_000, "{} bytes cross", payload.len());
    server.process().forget_peak();
    let before = server.process().peak_bytes();
    for _ in 0..20 {
        let mut peer = open(&server);
        peer.send_raw(&payload);
        peer.peer.expect_close(1009);
        peer.peer.end_sending();
        peer.peer.expect_end();
    }
    let grown = server.process().peak_bytes().saturating_sub(before);
    eprintln!("{grown} bytes more at the highest");
    assert!(grown < 4 * MIB as u64, "{grown} bytes");
    server.assert_echoes();
}

#[test]
fn so_are_they_in_many_fragments_and_in_many_blocks() {
    let server = server();
    server.assert_echoes();
    let payload = Compressor::new(15, false).message(&vec![0; 16 * MIB]);
    let pieces: Vec<&[u8]> = payload.chunks(100).collect();
    // Empty streams that end, one behind the other: two bytes each, of which nothing comes.
    let ends = [[0x03, 0x00].repeat(100_000), payload.clone()].concat();
    server.process().forget_peak();
    let before = server.process().peak_bytes();
    for frames in [fragmented(BINARY, &pieces), vec![compressed(BINARY, ends)]] {
        let mut peer = open(&server);
        peer.peer.frames(&frames);
        peer.peer.expect_close(1009);
    }
    let grown = server.process().peak_bytes().saturating_sub(before);
    assert!(grown < 4 * MIB as u64, "{grown} bytes");
    server.assert_echoes();
}

#[test]
fn the_limit_is_that_of_the_message_and_not_of_its_frames() {
    let server = server();
    let mut peer = open(&server);
    peer.echo(BINARY, &vec![7; MIB]);
    peer.echo(BINARY, &vec![7; MIB]);
    peer.send(BINARY, &vec![7; MIB + 1]);
    peer.peer.expect_close(1009);
}

#[test]
fn the_limit_is_found_before_the_message_has_ended() {
    let server = server();
    let mut peer = open(&server);
    let payloads = Compressor::new(15, false).fragments(&[&vec![7; MIB + 1], b""]);
    peer.peer.frames(&fragmented(BINARY, &payloads)[..1]);
    peer.peer.expect_close(1009);
}

#[test]
fn connections_that_ended_leave_nothing_behind() {
    // One service thread: how many connections each of several gets differs from round to round, and what a thread
    // has freed stays with its allocator.
    let config = Config::new().key("threads", 1).extension(
        "permessage-deflate",
        json!({"server_context_takeover": true, "client_context_takeover": true, "takeover_keeps": "compressor"}),
    );
    let setup = Setup::new().plugin(&echo()).plugin(&permessage_deflate());
    let server = setup.config(&config).start();
    let round = || {
        let mut peers: Vec<_> = (0..20).map(|_| open(&server)).collect();
        for peer in &mut peers {
            peer.echo(BINARY, &vec![7; 3000]);
        }
        for peer in peers {
            peer.peer.close();
        }
    };
    round();
    round();
    let before = server.process().resident_bytes();
    for _ in 0..20 {
        round();
    }
    let grown = server.process().resident_bytes().saturating_sub(before);
    // A compressor has 371 KiB, and 400 were made. How many of 20 connections fall to one thread differs from round to
    // round, and the allocator keeps room for the most there were.
    assert!(grown < 24 * MIB as u64, "{grown} bytes");
}
