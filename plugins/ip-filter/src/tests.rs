//! Who is let in, by the test host.

use std::net::IpAddr;

use hotsocket_plugin::testing::{TestHost, TestPeer, TestRequest};

use super::*;

fn filter(options: &str) -> TestHost {
    let host = TestHost::new(plugin());
    let made = host.configure_policy("ip-filter", options);
    made.expect("good options");
    host
}

fn from(address: &str) -> TestPeer {
    let address: IpAddr = address.parse().expect("an address");
    TestPeer::at((address, 5))
}

/// Whether each of them may connect.
fn assert_lets_in(options: &str, rows: &[(&str, bool)]) {
    let host = filter(options);
    for (address, is_let_in) in rows {
        let connection = host.connect_from("ip-filter", from(address));
        assert_eq!(connection.is_accepted(), *is_let_in, "{address}");
        if *is_let_in {
            assert!(connection.request(TestRequest::get("/")).is_ok());
        }
    }
}

#[test]
fn networks_of_both_kinds_and_single_addresses_are_let_in_and_no_others() {
    let options = r#"{"allow": ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1"]}"#;
    let rows = [
        ("10.255.0.1", true),
        ("11.0.0.0", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("2001:db8:ffff::", true),
        ("2001:db9::", false),
        ("::1", true),
        ("::2", false),
    ];
    assert_lets_in(options, &rows);
    assert_lets_in(r#"{"allow": []}"#, &[("127.0.0.1", false), ("::1", false)]);
    let rows = [("1.2.3.4", true), ("::1", false)];
    assert_lets_in(r#"{"allow": ["0.0.0.0/0"]}"#, &rows);
}

#[test]
fn an_ipv4_client_on_an_ipv6_listener_is_one_of_ipv4() {
    let rows = [("::ffff:10.0.0.1", false), ("::ffff:11.0.0.1", true)];
    assert_lets_in(r#"{"deny": ["10.0.0.0/8"]}"#, &rows);
}

#[test]
fn deny_goes_before_allow() {
    let options = r#"{"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}"#;
    let rows = [("10.0.0.1", true), ("10.1.0.1", false), ("::1", false)];
    assert_lets_in(options, &rows);
}

#[test]
fn behind_a_trusted_proxy_the_client_counts_and_not_the_proxy() {
    let host = filter(r#"{"allow": ["10.0.0.0/8"]}"#);
    let proxy = from("192.0.2.1").trusted_proxy();
    let connection = host.connect_from("ip-filter", proxy);
    assert!(connection.is_accepted());
    let mut request = TestRequest::get("/");
    request.peer = Some(([10, 0, 0, 1], 5).into());
    assert!(connection.request(request.clone()).is_ok());
    request.peer = Some(([11, 0, 0, 1], 5).into());
    let refused = connection.request(request).unwrap_err();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.text(), "not from this address\n");
}

#[test]
fn a_peer_on_a_unix_socket_has_no_address_and_is_let_in() {
    let host = filter(r#"{"allow": []}"#);
    assert!(
        host.connect_from("ip-filter", TestPeer::unix())
            .is_accepted()
    );
}

#[test]
fn options_that_make_no_sense_are_refused_with_words_that_help() {
    let host = TestHost::new(plugin());
    for (options, parts) in [
        ("{}", ["everybody would be let in", "`allow`"]),
        (
            r#"{"allow": ["10.0.0.1/8"]}"#,
            ["bits behind its prefix", "`10.0.0.0/8`"],
        ),
        (
            r#"{"deny": ["10.0.0.0/33"]}"#,
            ["is no network", "10.0.0.0/8"],
        ),
        (
            r#"{"deny": ["example.com"]}"#,
            ["`example.com`", "is no network"],
        ),
        (r#"{"deny": "10.0.0.0/8"}"#, ["deny", "invalid type"]),
        (r#"{"denied": []}"#, ["unknown field `denied`", "`deny`"]),
    ] {
        let why = host
            .configure_policy("ip-filter", options)
            .expect_err(options);
        let is_told = parts.iter().all(|part| why.contains(part));
        assert!(is_told, "{options}: {why}");
    }
}
