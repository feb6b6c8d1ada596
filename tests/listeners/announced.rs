//! Connections that a proxy announces, by the PROXY protocol.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::plugins::{echo, plugin};
use crate::support::{Config, RawPeer, Server, Setup};

/// Proxies at 127.0.0.1 and in 10/8 are trusted, and the only listener is for them.
fn config() -> Config {
    Config::new()
        .key("trusted_proxies", json!(["127.0.0.1/32", "10.0.0.0/8"]))
        .key("listen", listen(true))
        .key(
            "access_log",
            json!({"file": "access.log", "format": "json"}),
        )
        .mount("/probe", json!({"protocol": "http_probe"}))
}

fn listen(is_announced: bool) -> Value {
    json!([{"address": "127.0.0.1:0", "proxy_protocol": is_announced}])
}

/// One service thread, so that what was sent first is looked at first.
fn start(config: &Config) -> Server {
    Setup::new()
        .plugin(&echo())
        .plugin(&plugin("http_probe"))
        .plugin(&plugin("probe"))
        .threads(1)
        .listens_by_config(1)
        .config(config)
        .start()
}

/// The header of version 2 of a connection from `source`, with these extensions behind the addresses.
fn version_2(source: SocketAddr, extensions: &[u8]) -> Vec<u8> {
    let (family, addresses) = match source {
        SocketAddr::V4(source) => (0x11, ends_v4(source)),
        SocketAddr::V6(source) => (0x21, ends_v6(source)),
    };
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    header.push(family);
    let len = addresses.len() + extensions.len();
    header.extend((len as u16).to_be_bytes());
    header.extend(addresses);
    header.extend(extensions);
    header
}

fn ends_v4(source: SocketAddrV4) -> Vec<u8> {
    let ports = [source.port().to_be_bytes(), 443_u16.to_be_bytes()].concat();
    [&source.ip().octets()[..], &[192, 0, 2, 80], &ports].concat()
}

fn ends_v6(source: SocketAddrV6) -> Vec<u8> {
    let ports = [source.port().to_be_bytes(), 443_u16.to_be_bytes()].concat();
    let destination = Ipv6Addr::LOCALHOST.octets();
    [&source.ip().octets()[..], &destination, &ports].concat()
}

/// A proxy's connection that begins with these bytes.
fn announced(server: &Server, header: impl AsRef<[u8]>) -> RawPeer {
    let mut peer = server.connect();
    peer.bytes(header.as_ref());
    peer
}

/// The peer that a handler is told of.
fn told(peer: &mut RawPeer, fields: &[(&str, &str)]) -> String {
    let response = peer.request("GET", "/probe/facts", fields);
    let facts: Value = serde_json::from_str(&response.body).expect("an object");
    facts["peer"].as_str().expect("an address").to_owned()
}

/// Expects that the server refuses what was sent, and says why at some level.
fn assert_refused(server: &Server, header: &[u8], why: &str) {
    let mark = server.log().mark();
    let shown = header.escape_ascii();
    let mut peer = announced(server, header);
    assert_eq!(peer.expect_end_somehow(), b"", "{shown}");
    server.await_log(mark, |line| {
        line.mentions("connection refused") && line.mentions(why)
    });
}

#[test]
fn plugins_and_the_access_log_are_told_whom_a_proxy_announces() {
    let mut server = start(&config());
    let headers = [
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.80 4711 80\r\n".to_vec(),
            "192.0.2.1:4711",
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 4712 80\r\n".to_vec(),
            "[2001:db8::1]:4712",
        ),
        (
            version_2("192.0.2.2:1".parse().expect("an address"), b""),
            "192.0.2.2:1",
        ),
        (
            version_2(
                "[2001:db8::2]:2".parse().expect("an address"),
                b"\x04\0\x03abc",
            ),
            "[2001:db8::2]:2",
        ),
    ];
    for (header, client) in &headers {
        let mut peer = announced(&server, header);
        assert_eq!(told(&mut peer, &[]), *client);
        assert_eq!(told(&mut peer, &[]), *client, "the second request too");
        let mut peer = announced(&server, header);
        assert_eq!(peer.handshake("/probe", &[]).status, 101);
        let facts: Value = serde_json::from_str(&peer.ask("facts")).expect("an object");
        assert_eq!(facts["peer"], *client);
    }
    server.signal(Signal::TERM);
    assert!(server.wait_exit().success());
    let text = fs::read_to_string(server.directory().join("access.log")).expect("it is written");
    for client in ["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"] {
        let line = format!("\"peer\":\"{client}\"");
        assert_eq!(text.matches(&line).count(), 3, "{client} in {text}");
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_peer() {
    let server = start(&config());
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
    ] {
        let peer = told(&mut announced(&server, header), &[]);
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    }
}

#[test]
fn fields_are_believed_of_a_trusted_proxy_that_is_announced_and_of_nobody_else() {
    let server = start(&config());
    let fields = [("X-Forwarded-For", "198.51.100.1")];
    let mut client = announced(&server, b"PROXY TCP4 192.0.2.1 192.0.2.80 1 80\r\n");
    assert_eq!(told(&mut client, &fields), "192.0.2.1:1");
    let mut proxy = announced(&server, b"PROXY TCP4 10.0.0.1 192.0.2.80 1 80\r\n");
    assert_eq!(told(&mut proxy, &fields), "198.51.100.1:0");
}

#[test]
fn a_header_is_read_wherever_it_is_cut_and_what_is_behind_it_comes_first() {
    let server = start(&config());
    let mut other = announced(&server, b"PROXY UNKNOWN\r\n");
    assert_eq!(other.handshake("/echo", &[]).status, 101);
    let v6 = "[2001:db8::9]:9".parse().expect("an address");
    let request = b"GET /probe/facts HTTP/1.1\r\nHost: h\r\n\r\n";
    for (header, client) in [
        (
            b"PROXY TCP4 192.0.2.9 192.0.2.80 9 80\r\n".to_vec(),
            "192.0.2.9:9",
        ),
        (version_2(v6, b"\x04\0\x01a"), "[2001:db8::9]:9"),
    ] {
        let all = [&header[..], request].concat();
        // The last one is cut within the request.
        for cut in 1..header.len() + 2 {
            let mut peer = announced(&server, &all[..cut]);
            // It has been looked at when a message that was sent later is answered.
            assert_eq!(other.ask("later"), "later");
            peer.expect_nothing_yet();
            peer.bytes(&all[cut..]);
            let facts: Value = serde_json::from_str(&peer.response().body).expect("an object");
            assert_eq!(facts["peer"], client, "cut at {cut}");
        }
    }
}

#[test]
fn whoever_does_not_begin_with_a_good_header_is_not_answered() {
    let server = start(&config().key("log", json!({"level": "debug"})));
    let malformed = "does not begin with a header of the PROXY protocol";
    for header in [
        &b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.80 1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        b"\x16\x03\x01\x02\0\x01",
    ] {
        assert_refused(&server, header, malformed);
    }
    let long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xf1";
    assert_refused(&server, long, "longer than limits.proxy_header_bytes");
    let mut longest = version_2("192.0.2.1:1".parse().expect("an address"), &[0; 4068]);
    assert_eq!(longest.len(), 4096);
    assert_eq!(told(&mut announced(&server, &longest), &[]), "192.0.2.1:1");
    longest.splice(14..16, 4081_u16.to_be_bytes());
    assert_refused(&server, &longest, "longer than limits.proxy_header_bytes");
}

#[test]
fn a_header_that_ends_early_ends_the_connection() {
    let server = start(&config().key("log", json!({"level": "debug"})));
    let mark = server.log().mark();
    let mut peer = announced(&server, b"PROXY TCP4 192.0.");
    peer.end_sending();
    peer.expect_end();
    server.await_log(mark, |line| line.mentions("ended within its header"));
}

#[test]
fn a_connection_without_a_byte_is_a_health_check_and_nothing_is_told_of_it() {
    let server = start(&config());
    let mark = server.log().mark();
    let mut peer = server.connect();
    peer.end_sending();
    peer.expect_end();
    assert_eq!(
        server.logged(mark, |line| line.mentions("refused")).len(),
        0
    );
}

#[test]
fn a_header_has_to_come_within_the_time_of_the_opening() {
    let server = start(&config().limit("opening_handshake_ms", 300));
    let mut silent = server.connect();
    let mut slow = announced(&server, b"PROXY TCP4 ");
    silent.expect_end();
    slow.expect_end();
    server.await_log(0, |line| {
        line.mentions("no header of the PROXY protocol within limits.opening_handshake_ms")
    });
}

#[test]
fn a_peer_that_is_no_trusted_proxy_is_refused_and_told_of_once_a_minute() {
    let server = start(&config());
    for _ in 0..3 {
        let mut stranger = RawPeer::connect_from([127, 0, 0, 2], server.address());
        // It may be gone before that is sent.
        stranger.bytes_until_refused(b"PROXY UNKNOWN\r\n", crate::support::DEADLINE);
        stranger.expect_end_somehow();
    }
    let told = server.logged(0, |line| line.mentions("in none of `trusted_proxies`"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].mentions("127.0.0.2"), "{told:?}");
    // The proxy is served as before.
    let mut proxy = announced(&server, b"PROXY TCP4 192.0.2.1 192.0.2.80 1 80\r\n");
    assert_eq!(status(&mut proxy), 200);
}

fn status(peer: &mut RawPeer) -> u16 {
    peer.request("GET", "/", &[]).status
}

#[test]
fn connections_count_for_the_address_that_is_announced_and_not_for_the_proxy() {
    let server = start(&config().limit("max_connections_per_address", 1));
    let open = |client: &str| {
        let header = format!("PROXY TCP4 {client} 192.0.2.80 1 80\r\n");
        announced(&server, header)
    };
    let (mut one, mut other) = (open("192.0.2.1"), open("192.0.2.2"));
    assert_eq!(status(&mut one), 200);
    assert_eq!(status(&mut other), 200);
    assert_eq!(open("192.0.2.1").expect_end_somehow(), b"");
    one.end_sending();
    one.expect_end();
    assert_eq!(status(&mut open("192.0.2.1")), 200, "it has left");
}

#[test]
fn a_reload_takes_another_word_for_new_connections_of_a_listener_that_stays() {
    let server = start(&config());
    let mut old = announced(&server, b"PROXY TCP4 192.0.2.1 192.0.2.80 1 80\r\n");
    assert_eq!(told(&mut old, &[]), "192.0.2.1:1");
    let mark = server.log().mark();
    let plain = config().key("listen", listen(false));
    fs::write(server.config_file(), plain.text()).expect("ours");
    server.signal(Signal::HUP);
    server.await_log(mark, |line| line.mentions("config"));
    let mut plain = server.connect();
    assert!(told(&mut plain, &[]).starts_with("127.0.0.1:"));
    assert_eq!(told(&mut old, &[]), "192.0.2.1:1");
}

#[test]
fn a_listener_for_proxies_without_any_that_is_trusted_is_refused_with_the_mend() {
    let check = |config: Config| {
        let output = Setup::new().config(&config).listens_by_config(0).run();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = check(Config::new().key("listen", listen(true)));
    assert!(
        said.contains("none is trusted") && said.contains("write their networks"),
        "{said}"
    );
    let unix = json!([{"unix": "a.sock", "proxy_protocol": true}]);
    let said = check(config().key("listen", unix));
    assert!(said.contains("`proxy_protocol` is for addresses"), "{said}");
}
