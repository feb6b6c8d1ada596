//! `plugins/ip-filter` in a running host.

use serde_json::json;

use super::config;
use crate::support::plugins::plugin;
use crate::support::{RawPeer, Setup};

#[test]
fn an_address_is_refused_at_once_and_a_client_of_a_trusted_proxy_with_its_request() {
    let policies = json!([{"policy": "ip-filter", "options": {
        "allow": ["127.0.0.1", "127.0.0.2", "192.0.2.0/24"], "deny": ["127.0.0.2", "192.0.2.66"],
    }}]);
    let config = config(policies).key("trusted_proxies", json!(["127.0.0.9/32"]));
    let setup = Setup::new().plugin(&plugin("ip_filter")).config(&config);
    let server = setup.start();
    let from = |last| RawPeer::connect_from([127, 0, 0, last], server.address());
    for (last, is_let_in) in [(1, true), (2, false), (3, false)] {
        let mut peer = from(last);
        if is_let_in {
            assert_eq!(peer.request("GET", "/plain", &[]).status, 200);
        } else {
            peer.expect_end();
        }
    }
    let mut proxy = from(9);
    for (client, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.66", 403),
        ("198.51.100.1", 403),
        ("192.0.2.1", 200),
    ] {
        let fields = [("X-Forwarded-For", client)];
        let answer = proxy.request("GET", "/plain", &fields);
        assert_eq!(answer.status, status, "{client}");
    }
    assert_eq!(
        proxy.request("GET", "/plain", &[]).status,
        403,
        "it asks for itself"
    );
}
