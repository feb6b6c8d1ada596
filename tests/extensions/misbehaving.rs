//! An extension that misbehaves ends the connection it was working on, and nothing else.

use serde_json::json;

use crate::support::deflate::json as text;
use crate::support::frame::TEXT;
use crate::support::lines::LogLine;
use crate::support::plugins::{echo, permessage_deflate, plugin};
use crate::support::{Config, DeflatePeer, Frame, RawPeer, Server, Setup};

fn server() -> Server {
    let config = Config::new().limit("message_bytes", 1 << 20);
    let setup = Setup::new()
        .plugin(&echo())
        .plugin(&plugin("ext_panics"))
        .plugin(&permessage_deflate());
    setup.config(&config).start()
}

/// A connection whose extension is told to do this, and the answer to its offer.
fn told(server: &Server, offer: &str, deed: &str) -> (RawPeer, String) {
    let fields = [("Sec-WebSocket-Extensions", offer)];
    let target = format!("/echo?{deed}");
    let (peer, response) = RawPeer::open_with(server.address(), &target, &fields);
    let answer = response
        .field("sec-websocket-extensions")
        .unwrap_or_default();
    (peer, answer.to_owned())
}

/// The log line about a deed names the plugin and its generation.
fn assert_logged(server: &Server, mark: usize, wanted: impl Fn(&LogLine) -> bool) {
    let line = server.await_log(mark, |line| line.is_error() && wanted(line));
    assert_eq!(line.text("plugin"), "fixture-ext-panics", "{line:?}");
    assert_eq!(line.text("generation"), "1", "{line:?}");
}

#[test]
fn a_fault_in_a_piece_or_a_flush_fails_that_connection_and_others_go_on() {
    let server = server();
    let mut other = DeflatePeer::open(server.address(), "/echo", "permessage-deflate");
    for (deed, code) in [
        ("inbound-panics", 1011),
        ("outbound-panics", 1011),
        ("flush-panics", 1011),
        ("inbound-errs", 3000),
        ("outbound-errs", 3000),
        ("flush-errs", 3000),
        ("late-veto", 1011),
        ("bad-sequence-in", 1011),
        ("bad-sequence-out", 1011),
        ("foreign-bit", 1011),
        ("grows", 1009),
        ("ignores-full", 1009),
    ] {
        let mark = server.log().mark();
        let (mut peer, answer) = told(&server, "ext-panics", deed);
        assert_eq!(answer, "ext-panics", "{deed}");
        peer.text("now");
        let frames = peer.frames_to_close();
        let last = frames.last().expect("the Close frame");
        assert_eq!(last.close_code(), Some(code), "{deed}: {frames:?}");
        assert!(
            !last.close_reason().contains("told to panic"),
            "{deed}: {last:?}"
        );
        peer.end_sending();
        peer.expect_end();
        if deed.ends_with("panics") {
            assert_logged(&server, mark, |line| line.mentions("told to panic"));
        }
        other.echo(TEXT, &text(1, 1000));
    }
    server.assert_echoes();
}

#[test]
fn a_fault_in_accept_leaves_the_extension_out() {
    let server = server();
    for deed in [
        "accept-panics",
        "accept-errs",
        "accept-declines",
        "takes-text",
    ] {
        let mark = server.log().mark();
        let (mut peer, answer) = told(&server, "ext-panics, permessage-deflate", deed);
        assert!(answer.starts_with("permessage-deflate"), "{deed}: {answer}");
        peer.text("still served");
        assert_eq!(peer.frame(), Frame::text("still served"), "{deed}");
        if deed == "accept-panics" {
            assert_logged(&server, mark, |line| {
                line.mentions("told to panic in accept")
            });
        }
    }
}

#[test]
fn a_bit_that_another_extension_owns_leaves_the_second_one_out() {
    let server = server();
    let (mut peer, answer) = told(&server, "ext-panics, permessage-deflate", "takes-rsv1");
    let extensions: Vec<&str> = answer.split(',').collect();
    assert_eq!(extensions.len(), 1, "{answer}");
    peer.text("still served");
    assert_eq!(peer.frame(), Frame::text("still served"));
    let (_, alone) = told(&server, "ext-panics", "takes-rsv1");
    assert_eq!(alone, "ext-panics");
}

#[test]
fn what_an_extension_vetoes_goes_no_further_and_the_connection_goes_on() {
    let server = server();
    for deed in ["inbound-vetoes", "outbound-vetoes"] {
        let (mut peer, _) = told(&server, "ext-panics", deed);
        for _ in 0..3 {
            peer.text("unheard");
            peer.frames(&[Frame::fragment(TEXT, "un"), Frame::new(0, "heard")]);
        }
        peer.expect_quiet();
        peer.close();
    }
}

#[test]
fn what_an_extension_holds_back_comes_at_the_end_of_the_turn_and_before_a_close() {
    let server = server();
    let (mut peer, _) = told(&server, "ext-panics", "holds");
    peer.frames(&[Frame::text("one"), Frame::text("two")]);
    assert_eq!(peer.frame(), Frame::text("one"));
    assert_eq!(peer.frame(), Frame::text("two"));
    peer.frames(&[Frame::text("three"), Frame::close(1000, "")]);
    assert_eq!(peer.frame(), Frame::text("three"));
    peer.expect_close(1000);
}

#[test]
fn a_panic_when_the_connection_has_ended_is_only_logged() {
    let server = server();
    for deed in ["end-panics", "drop-panics"] {
        let mark = server.log().mark();
        let (mut peer, _) = told(&server, "ext-panics", deed);
        peer.text("fine");
        assert_eq!(peer.frame(), Frame::text("fine"));
        peer.close();
        assert_logged(&server, mark, |line| line.mentions("told to panic in"));
    }
    server.assert_echoes();
}

#[test]
fn a_status_that_does_not_exist_fails_the_connection() {
    let server = server();
    let (mut peer, answer) = told(&server, "ext-rude", "");
    assert_eq!(answer, "ext-rude");
    peer.text("now");
    peer.expect_close(1011);
    server.assert_echoes();
}

#[test]
fn beside_permessage_deflate_a_fault_fails_the_connection_just_so() {
    let server = server();
    let (mut peer, answer) = told(&server, "permessage-deflate, ext-panics", "outbound-panics");
    assert!(
        answer.contains("ext-panics") && answer.contains("permessage-deflate"),
        "{answer}"
    );
    peer.text("now");
    let frames = peer.frames_to_close();
    assert_eq!(
        frames.last().and_then(Frame::close_code),
        Some(1011),
        "{frames:?}"
    );
    let mut next = DeflatePeer::open(server.address(), "/echo", "permessage-deflate");
    next.echo(TEXT, &text(1, 1000));
}

#[test]
fn a_thousand_panics_in_a_row_change_nothing() {
    let server = server();
    let mut other = DeflatePeer::open(server.address(), "/echo", "permessage-deflate");
    for nth in 0..1000 {
        let deed = ["inbound-panics", "outbound-panics"][nth % 2];
        let (mut peer, _) = told(&server, "ext-panics", deed);
        peer.text("now");
        peer.expect_close(1011);
        if nth % 100 == 0 {
            other.echo(TEXT, &text(1, 1000));
        }
    }
    server.assert_echoes();
}

#[test]
fn one_that_cannot_start_is_logged_and_not_offered() {
    for deed in ["new-panics", "new-errs", "thread-panics"] {
        let config = Config::new().extension("ext-panics", json!({"deed": deed}));
        let setup = Setup::new().plugin(&echo()).plugin(&plugin("ext_panics"));
        let server = setup.config(&config).start();
        let (mut peer, answer) = told(&server, "ext-panics", "");
        assert_eq!(answer, "", "{deed}");
        assert_eq!(peer.ask("served"), "served");
        let line = server.await_log(0, |line| line.is_error() && line.mentions("told to"));
        // A refused file, or a hook of one that serves.
        let names =
            line.mentions("libext_panics.so") || line.text("plugin") == "fixture-ext-panics";
        assert!(names, "{line:?}");
    }
}
