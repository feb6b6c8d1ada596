//! Handlers that fail: the peer can tell, and nobody else is harmed.

use super::handlers::{probes, site};
use super::peer::request;
use crate::support::Config;

#[test]
fn a_handler_cannot_forge_a_field_and_a_failed_one_is_answered_500() {
    let site = probes();
    for target in ["/probe/inject", "/probe/own", "/probe/panic", "/probe/fail"] {
        let mut peer = site.peer();
        let answer = peer.ask("GET", target, "");
        assert_eq!(answer.status, 500, "{target}");
        assert_eq!(answer.field("Set-Cookie"), None, "{target}");
        assert_ne!(answer.text(), "no", "{target}");
        if answer.closes() {
            peer.expect_end();
        } else {
            peer.expect_open();
        }
    }
    site.assert_serves();
}

#[test]
fn an_answer_that_is_not_completed_is_cut_off_for_the_peer_to_see() {
    let site = probes();
    for target in ["/probe/short", "/probe/panic-later"] {
        let mut peer = site.peer();
        peer.send(request("GET", target, ""));
        assert_eq!(peer.head().field("Content-Length"), Some("10"));
        assert_eq!(peer.rest().len(), 5, "{target}");
    }
    let mut peer = site.peer();
    peer.send(request("GET", "/probe/abort", ""));
    peer.expect_end();
    site.assert_serves();
}

#[test]
fn a_handler_that_does_not_answer_is_answered_for_with_504() {
    let site = site(Config::new().limit("answer_ms", 300));
    let mut peer = site.peer();
    let answer = peer.ask("GET", "/probe/never", "");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(answer.closes(), "{answer:?}");
    peer.expect_end();
    site.assert_serves();
}
