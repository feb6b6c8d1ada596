//! HTTP over loopback: order, bodies, files, deadlines, and how exchanges end.

use std::{fs::File, io::Write as _, sync::Arc};

use super::Bench;
use crate::{
    net::test_peer::{Peer, turn},
    wire::chunked,
};

/// The answers to what a new client sends, up to the end of the connection.
pub(super) fn answers(bench: &mut Bench, pieces: &[&[u8]]) -> String {
    let mut peer = Peer::connect(bench.address);
    for piece in pieces {
        peer.send(piece);
        bench.until("piece", |_| peer.unsent.is_empty());
    }
    heard(bench, &mut peer)
}

/// All that a client hears up to the end, without dates.
pub(super) fn heard(bench: &mut Bench, peer: &mut Peer) -> String {
    bench.until("end of the connection", |_| {
        peer.send(b"");
        peer.read();
        peer.ended
    });
    let text = String::from_utf8(peer.heard.clone()).unwrap();
    let lines = text.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("Date: ")).collect()
}

/// What the service was told, in order.
pub(super) fn told(bench: &Bench) -> Vec<&str> {
    let lines = bench.event_loop.service.log.iter();
    lines.map(|line| line.rsplit_once('@').unwrap().0).collect()
}

pub(super) fn file_of(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

const OK_3: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nppp";

#[test]
fn pipelined_requests_are_answered_in_order_and_with_one_write() {
    let mut bench = Bench::new(|_| {});
    let three = b"GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        GET /page/1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let all = answers(&mut bench, &[three]);
    let echo = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\np";
    assert_eq!(all, format!("{OK_3}{echo}{last}"));
    assert_eq!(
        told(&bench),
        [
            "GET /whole/3",
            "ended Done 200 3",
            "POST /echo/",
            "body 5",
            "ended Done 200 5",
            "GET /page/1",
            "ended Done 200 1"
        ]
    );
}

#[test]
fn requests_split_anywhere_get_the_same_answers() {
    let mut body = Vec::new();
    chunked::put_chunk(&mut body, b"hello ");
    chunked::put_chunk(&mut body, b"there");
    body.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
    let mut all = b"POST /echo/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    all.extend_from_slice(&body);
    all.extend_from_slice(b"GET /page/2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let content = |answers: &str| {
        let (_, rest) = answers.split_once("\r\n\r\n").unwrap();
        let mut decoder = chunked::Decoder::new(100);
        let (mut rest, mut content) = (rest.as_bytes(), Vec::new());
        loop {
            let (used, decoded) = decoder.next(rest).unwrap();
            rest = &rest[used..];
            match decoded {
                chunked::Decoded::Data(data) => content.extend_from_slice(data),
                chunked::Decoded::End(trailer) => {
                    return (content, trailer, String::from_utf8(rest.to_vec()).unwrap());
                }
                chunked::Decoded::Need => panic!("cut off"),
            }
        }
    };
    let mut bench = Bench::new(|_| {});
    let expected = content(&answers(&mut bench, &[&all]));
    assert_eq!(expected.0, b"hello there");
    assert_eq!(expected.1.as_bytes(), b"X-Sum: 1\r\n");
    for cut in 1..all.len() {
        let (first, second) = all.split_at(cut);
        let mut peer = Peer::connect(bench.address);
        peer.send(first);
        // So that the first piece is served by itself.
        for _ in 0..3 {
            turn(&mut bench.event_loop, 0);
        }
        peer.send(second);
        assert_eq!(content(&heard(&mut bench, &mut peer)), expected, "{cut}");
    }
}

#[test]
fn a_websocket_may_follow_requests_in_one_batch() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.text("hello");
    bench.until("echo", |_| {
        peer.read();
        peer.heard.ends_with(b"\x81\x05hello")
    });
}

#[test]
fn a_body_that_is_paused_comes_after_the_pause() {
    let mut bench = Bench::new(|_| {});
    let request = b"POST /later/20 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let all = answers(&mut bench, &[request]);
    assert!(all.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{all}");
}

#[test]
fn a_client_that_waits_is_told_to_go_on_before_its_body() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(
        b"POST /later/20 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    bench.until("100 and the answer's head", |_| {
        peer.read();
        let heard = String::from_utf8_lossy(&peer.heard);
        heard.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    });
    peer.send(b"hello");
    bench.until("the echo", |_| {
        peer.read();
        peer.heard.ends_with(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    });

    let mut peer = Peer::connect(bench.address);
    peer.send(
        b"POST /silent/ HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    bench.until("100", |_| {
        peer.read();
        peer.heard == b"HTTP/1.1 100 Continue\r\n\r\n"
    });
}

#[test]
fn content_in_files_leaves_in_order_and_as_it_is() {
    let mut bench = Bench::new(|limits| limits.file_turn_bytes = 100_000);
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| b'a' + (i % 23) as u8).collect();
    bench.event_loop.service.file = Some(file_of(&content));
    let two = b"GET /file/ HTTP/1.1\r\nHost: a\r\n\r\nGET /page/3 HTTP/1.1\r\nHost: a\r\n\r\n";
    let all = answers(&mut bench, &[two]);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 3000008\r\n\r\nbegin";
    let rest = all.strip_prefix(head).unwrap();
    assert!(rest.as_bytes().starts_with(&content));
    assert!(rest[content.len()..].starts_with("endHTTP/1.1 200 OK\r\n"));
    assert_eq!(told(&bench)[1], "ended Done 200 3000008");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_cuts_the_answer_off() {
    let mut bench = Bench::new(|_| {});
    let file = file_of(&[b'x'; 20_000_000]);
    bench.event_loop.service.file = Some(Arc::clone(&file));
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /file/ HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.until("first bytes", |_| {
        peer.read_some(1);
        !peer.heard.is_empty()
    });
    file.set_len(5_000_000).unwrap();
    bench.until("end", |_| {
        peer.read();
        peer.ended
    });
    assert!(peer.heard.len() < 20_000_000);
    let last = told(&bench)[1];
    assert!(
        last.starts_with("ended Peer 200") || last.starts_with("ended Host 200"),
        "{last}"
    );
}

#[test]
fn a_head_a_body_and_an_answer_have_their_time_each() {
    for (request, change, expected) in [
        ("GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\nGET", 0, "408"),
        (
            "POST /silent/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na",
            1,
            "408",
        ),
        ("GET /silent/ HTTP/1.1\r\nHost: a\r\n\r\n", 2, "504"),
        ("GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n", 3, "nothing"),
    ] {
        let mut bench = Bench::new(|limits| {
            let all = [
                &mut limits.opening_handshake_ms,
                &mut limits.request_body_idle_ms,
                &mut limits.answer_ms,
                &mut limits.http_keep_alive_ms,
            ];
            for (at, limit) in all.into_iter().enumerate() {
                *limit = if at == change { 50 } else { 60_000 };
            }
        });
        let all = answers(&mut bench, &[request.as_bytes()]);
        let last = all.strip_prefix(OK_3).unwrap_or(&all);
        match expected {
            "nothing" => assert_eq!(last, ""),
            status => {
                let line = format!("HTTP/1.1 {status} ");
                assert!(last.starts_with(&line), "{request}: {all}");
                assert!(last.contains("Connection: close"), "{all}");
            }
        }
    }
}

#[test]
fn a_client_that_ends_its_side_is_still_answered() {
    let mut bench = Bench::new(|_| {});
    let mut peer = Peer::connect(bench.address);
    peer.send(b"GET /later/50 HTTP/1.1\r\nHost: a\r\n\r\nGET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.finish();
    let all = heard(&mut bench, &mut peer);
    assert!(all.ends_with(OK_3), "{all}");
}

#[test]
fn a_client_that_leaves_is_told_with_the_end_of_its_exchange() {
    let mut bench = Bench::new(|limits| limits.half_closed_ms = 50);
    for (request, by) in [
        (
            &b"POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello"[..],
            "Peer 200 5",
        ),
        (b"GET /silent/ HTTP/1.1\r\nHost: a\r\n\r\n", "Peer 0 0"),
    ] {
        bench.event_loop.service.log.clear();
        let mut peer = Peer::connect(bench.address);
        peer.send(request);
        bench.until("request", |event_loop| !event_loop.service.log.is_empty());
        drop(peer);
        bench.until("end", |event_loop| {
            let log = &event_loop.service.log;
            log.last().unwrap().starts_with(&format!("ended {by}@"))
        });
        bench.until("connection gone", |event_loop| {
            event_loop.io.connections() == 0
        });
    }
}

#[test]
fn a_request_that_cannot_be_read_is_refused_and_nothing_behind_it_is_looked_at() {
    let mut bench = Bench::new(|limits| limits.request_body_bytes = 4);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "GET /whole/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            400,
        ),
        (
            "GET /whole/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        ),
        (
            "POST /silent/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            413,
        ),
        (
            "POST /silent/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            413,
        ),
        (
            "POST /silent/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
            400,
        ),
    ] {
        let behind = format!("{request}GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n");
        let all = answers(&mut bench, &[behind.as_bytes()]);
        assert!(
            all.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {all}"
        );
        assert_eq!(all.matches("HTTP/1.1").count(), 1, "{request}: {all}");
    }
}

#[test]
fn a_drain_ends_idle_connections_at_once_and_others_with_their_answer() {
    let mut bench = Bench::new(|_| {});
    let mut idle = Peer::connect(bench.address);
    let mut busy = Peer::connect(bench.address);
    idle.send(b"GET /whole/3 HTTP/1.1\r\nHost: a\r\n\r\n");
    busy.send(b"GET /later/30 HTTP/1.1\r\nHost: a\r\n\r\n");
    bench.until("both", |event_loop| event_loop.service.log.len() >= 3);
    bench.event_loop.io.drain();
    for id in bench.event_loop.io.ids() {
        bench.event_loop.io.drain_http(id);
    }
    assert_eq!(heard(&mut bench, &mut idle), OK_3);
    let last = heard(&mut bench, &mut busy);
    assert!(
        last.contains("Connection: close") && last.ends_with("0\r\n\r\n"),
        "{last}"
    );
}
