//! Where one request ends and the next begins, for requests that two readers could understand differently.

use super::{Bench, http::heard};
use crate::net::test_peer::Peer;

/// The statuses of the answers to what a new client sends; `close` stands behind one that ends the connection.
fn statuses(bench: &mut Bench, input: &[u8]) -> String {
    let mut peer = Peer::connect(bench.address);
    peer.send(input);
    peer.finish();
    let all = heard(bench, &mut peer);
    let mut statuses = Vec::new();
    for line in all.lines() {
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            statuses.push(&rest[..3]);
        } else if line == "Connection: close" {
            statuses.push("close");
        }
    }
    statuses.join(" ")
}

#[test]
fn the_next_request_is_read_where_the_one_before_ends_and_nowhere_else() {
    let mut bench = Bench::new(|_| {});
    const NEXT: &str = "GET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, expected) in [
        ("GET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n", "200 200"),
        // A body of a method that has none by custom.
        (
            "GET /whole/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
            "200 200",
        ),
        ("HEAD /whole/5 HTTP/1.1\r\nHost: a\r\n\r\n", "200 200"),
        ("HEAD /echo/ HTTP/1.1\r\nHost: a\r\n\r\n", "200 200"),
        (
            "\r\n\r\nGET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
            "200 200",
        ),
        // Chunks with extensions and a trailer that would frame it otherwise.
        (
            "POST /echo/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"\t;\"\r\nx\r\n00;\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\n\r\n",
            "200 200",
        ),
        // One that is answered before it was read is not read.
        (
            "POST /whole/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "200 close",
        ),
        (
            "POST /whole/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n",
            "200 close",
        ),
        // Fields that somebody in front of us could have taken away.
        (
            "POST /echo/ HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nGET /",
            "200 200",
        ),
        (
            "GET /whole/0 HTTP/1.1\r\nHost: a\r\nTE: chunked, trailers\r\n\r\n",
            "200 200",
        ),
        (
            "GET /whole/0 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: x, Close\r\n\r\n",
            "200 close",
        ),
        // Nobody waits for 100 without a body, with other words, or when the body is there.
        (
            "GET /whole/0 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "200 200",
        ),
        (
            "POST /echo/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue-or-not\r\nContent-Length: 1\r\n\r\nx",
            "200 200",
        ),
        (
            "POST /echo/ HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
            "200 close",
        ),
        // Old ones.
        ("GET /whole/0 HTTP/1.0\r\n\r\n", "200 close"),
        (
            "GET /echo/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "200 close",
        ),
        (
            "GET /whole/0 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            "200 200",
        ),
        (
            "POST /echo/ HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400 close",
        ),
        // A handshake that was refused, and a client that did not wait to hear so.
        (
            "GET /whole/0 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\u{1}\u{0}GET /whole/0 HTTP/1.1\r\nHost: a\r\n\r\n",
            "200 400 close",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 close"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "501 close"),
        (
            "GET http://b/whole/0 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "400 close",
        ),
        (
            "POST /echo/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "400 close",
        ),
        (
            "POST /echo/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tchunked ,\r\n\r\n0\r\n\r\n",
            "501 close",
        ),
        (
            "POST /echo/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
            "400 close",
        ),
        (
            "POST /whole/0 HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
            "400 close",
        ),
        (
            "POST /whole/0 HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 5\r\n\r\nhello",
            "400 close",
        ),
        (
            "POST /whole/0 HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\nhello",
            "400 close",
        ),
    ] {
        let input = format!("{request}{NEXT}");
        assert_eq!(
            statuses(&mut bench, input.as_bytes()),
            expected,
            "{request:?}"
        );
    }
}
