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

#[test]
fn a_client_cannot_make_the_filter_take_it_for_its_proxy() {
    let policies = json!([{"policy": "ip-filter", "options": {
        "allow": ["127.0.0.0/8", "192.0.2.0/24"], "deny": ["192.0.2.66"],
    }}]);
    let config = config(policies).key("trusted_proxies", json!(["127.0.0.9/32"]));
    let setup = Setup::new().plugin(&plugin("ip_filter")).config(&config);
    let server = setup.start();
    let mut proxy = RawPeer::connect_from([127, 0, 0, 9], server.address());
    // What the client has sent, in front of what the proxy adds or in the field that it passes on.
    for (name, forged) in [
        ("X-Forwarded-For", "nobody, "),
        ("X-Forwarded-For", "unknown, "),
        ("X-Forwarded-For", "127.0.0.1, "),
        ("Forwarded", "for=127.0.0.1"),
        ("Forwarded", "for=unknown"),
        ("Forwarded", "nobody"),
    ] {
        for client in ["192.0.2.66", "198.51.100.1"] {
            let added = match name {
                "Forwarded" => client.to_owned(),
                _ => format!("{forged}{client}"),
            };
            let mut fields = vec![("X-Forwarded-For", &*added)];
            fields.extend((name == "Forwarded").then_some((name, forged)));
            let status = proxy.request("GET", "/plain", &fields).status;
            assert_eq!(status, 403, "{fields:?}");
        }
    }
    let honest = [("X-Forwarded-For", "unknown, 192.0.2.1")];
    assert_eq!(proxy.request("GET", "/plain", &honest).status, 200);
    assert_eq!(
        proxy.request("GET", "/plain", &[]).status,
        200,
        "it asks for itself"
    );
}
