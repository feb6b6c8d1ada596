//! The plugin of sessions over TLS is replaced under load: nothing is lost there either.

use std::sync::atomic::Ordering;

use super::Authority;
use crate::plugins::marker_versions::{put, setup};
use crate::plugins::reload_load::Load;
use crate::support::DEADLINE;
use crate::support::plugins::{marker, marker_text};
use crate::support::process::eventually;

/// How often it is replaced.
const REPLACEMENTS: u32 = 10;

#[test]
fn nothing_is_lost_while_the_plugin_of_sessions_over_tls_is_replaced() {
    let authority = Authority::new();
    let (cert, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    let mut server = setup()
        .arguments([
            "--tls-cert",
            &cert.display().to_string(),
            "--tls-key",
            &key.display().to_string(),
        ])
        .start();
    let open = || {
        let mut peer = authority.peer(server.address());
        peer.upgrade("/marker", &[]);
        peer
    };
    let load = Load::default();
    load.run(&open, || {
        for version in 1..=REPLACEMENTS {
            put(&server, &marker(version));
            eventually("new sessions are served by it", DEADLINE, || {
                load.has_met(&marker_text(version))
            });
        }
    });
    let answered = load.answered.load(Ordering::Relaxed);
    eprintln!("{REPLACEMENTS} replacements under load over TLS, {answered} messages answered");
    assert!(server.is_running());
}
