//! Connections over TLS: all that is true of others, handshakes, certificates, and the end.

mod certificates;
mod peer;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use rustls::{
    AlertDescription, Error, ProtocolVersion,
    version::{TLS12, TLS13},
};

use super::*;
use crate::net::{
    test_peer::{frame, turn},
    tls::{TlsSettings, TlsVersion},
};
use peer::{TlsBench, TlsPeer, client_of};

#[test]
fn messages_are_echoed_whatever_pieces_their_records_come_in() {
    let mut bench = TlsBench::new();
    for piece in [1, 2, 7, 100, 4096, usize::MAX] {
        let mut peer = bench.connect();
        peer.piece = piece;
        let mut peer = bench.open_as(peer);
        for len in [0, 1, 125, 126, 700] {
            bench.echoes(&mut peer, &"x".repeat(len));
        }
    }
}

#[test]
fn both_versions_are_spoken_and_the_older_one_can_be_refused() {
    let mut bench = TlsBench::new();
    for (version, number) in [(&TLS12, 0x0303), (&TLS13, 0x0304)] {
        bench.config = Arc::new(client_of(&bench.authority, &[version]));
        let mut peer = bench.open();
        bench.echoes(&mut peer, "hello");
        let facts = bench.bench.link().transport.tls().unwrap();
        assert_eq!(facts.version, number);
        assert_eq!(facts.server_name, Some("localhost"));
        assert_eq!(facts.peer_certificate, None);
        drop(peer);
        bench.bench.until("end", |l| l.io.connections() == 0);
    }
    let mut bench = TlsBench::with(
        |_| {},
        |authority| TlsSettings {
            min_version: TlsVersion::Tls13,
            ..authority.settings(1)
        },
    );
    let old = client_of(&bench.authority, &[&TLS12]);
    let alert = Error::AlertReceived(AlertDescription::ProtocolVersion);
    assert_eq!(bench.refused(old), alert);
    assert_eq!(
        bench.open().tls.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
}

#[test]
fn only_the_suites_that_are_named_are_agreed_on() {
    let mut bench = TlsBench::with(
        |_| {},
        |authority| TlsSettings {
            suites: vec!["TLS13_CHACHA20_POLY1305_SHA256".into()],
            ..authority.settings(1)
        },
    );
    let _peer = bench.open();
    let facts = bench.bench.link().transport.tls().unwrap();
    assert_eq!(facts.suite, "TLS13_CHACHA20_POLY1305_SHA256");
}

#[test]
fn a_big_message_goes_both_ways_when_the_peer_reads_slowly() {
    let mut bench = TlsBench::new();
    let mut peer = bench.open();
    let payload: Vec<u8> = (0..10_000_000_u32).map(|at| (at / 7) as u8).collect();
    peer.unsent = frame(2, &payload);
    let mut all = Vec::new();
    let mut most = 0;
    bench.bench.until("echo", |event_loop| {
        peer.send();
        let waits = event_loop.io.ids()[0];
        let link = event_loop.io.slots.get_mut(waits).unwrap();
        most = most.max(link.queue.len());
        peer.read_some(200_000);
        all.append(&mut peer.heard);
        assert_eq!(peer.error, None);
        all.len() >= payload.len() + 10
    });
    assert!(all[10..] == payload[..]);
    assert!(most > 1 << 20, "nothing has waited: {most}");
    bench.echoes(&mut peer, "and on");
    assert_eq!(bench.bench.queued(), 0);
}

#[test]
fn what_a_deaf_peer_does_not_read_waits_within_the_marks_and_ends_it() {
    let mut bench = TlsBench::with(
        |limits| {
            limits.high_mark_bytes = 64 << 10;
            limits.low_mark_bytes = 16 << 10;
            limits.stalled_write_ms = 100;
        },
        |authority| authority.settings(1),
    );
    let mut peer = bench.open();
    for _ in 0..2000 {
        peer.unsent.extend_from_slice(&frame(1, b"send 65536"));
    }
    let mut most = 0;
    bench.bench.until("end", |event_loop| {
        peer.send();
        if let Some(id) = event_loop.io.ids().first() {
            most = most.max(event_loop.io.slots.get_mut(*id).unwrap().queue.len());
        }
        !event_loop.service.closed.is_empty()
    });
    assert!((64 << 10..=256 << 10).contains(&most), "{most}");
    assert_eq!(bench.bench.closed(1)[0].reason, "the peer does not read");
    assert_eq!(bench.bench.event_loop.io.buffers.budget().used(), 0);
}

#[test]
fn a_file_is_sent_whole() {
    let mut bench = TlsBench::new();
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    file.write_all(&content).unwrap();
    bench.bench.event_loop.service.file = Some(Arc::new(file));
    let mut peer = bench.connect();
    peer.unsent
        .extend_from_slice(b"GET /file/0 HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut all = Vec::new();
    bench.bench.until("file", |event_loop| {
        peer.send();
        peer.read_some(100_000);
        all.append(&mut peer.heard);
        for (id, number, _) in std::mem::take(&mut event_loop.service.cold) {
            event_loop.io.warmed(id, number, Ok(()));
        }
        all.ends_with(b"end")
    });
    let body = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(all[body..] == [b"begin", &content[..], b"end"].concat());
}

#[test]
fn a_client_that_says_it_is_done_still_gets_its_answer() {
    let mut bench = TlsBench::new();
    let mut peer = bench.connect();
    peer.unsent
        .extend_from_slice(b"GET /later/50 HTTP/1.1\r\nHost: h\r\n\r\n");
    let asked = "GET /later/50";
    bench.bench.until("request", |event_loop| {
        peer.step();
        !event_loop.service.turns(asked).is_empty()
    });
    peer.tls.send_close_notify();
    bench.bench.until("answer", |_| {
        peer.step();
        peer.has_head()
    });
    bench.bench.until("end", |_| {
        peer.step();
        peer.is_told && peer.ended
    });
    bench.bench.until("end", |l| l.io.connections() == 0);
}

#[test]
fn the_end_is_told_by_both_before_the_transport_ends() {
    let mut bench = TlsBench::new();
    let mut peer = bench.open();
    peer.unsent
        .extend_from_slice(&frame(8, &1000_u16.to_be_bytes()));
    bench.bench.until("end", |_| {
        peer.step();
        peer.ended
    });
    assert!(peer.is_told, "without close_notify");
    assert_eq!(peer.heard[..2], [0x88, 2]);
    assert_eq!(bench.bench.closed(1)[0].code, 1000);
}

#[test]
fn all_that_was_sent_comes_before_the_end_although_the_peer_reads_slowly() {
    let mut bench = TlsBench::with(
        |limits| limits.high_mark_bytes = 64 << 20,
        |authority| authority.settings(1),
    );
    let mut peer = bench.open();
    peer.text("send 4000000");
    peer.unsent.extend_from_slice(b"\x88\x82\0\0\0\0\x03\xe8");
    bench.bench.until("close", |event_loop| {
        peer.send();
        !event_loop.service.closed.is_empty()
    });
    bench.bench.until("all of it", |_| {
        peer.read_some(peer.heard.len() + 100_000);
        peer.is_told && peer.ended
    });
    assert_eq!(peer.heard.len(), 10 + 4_000_000 + 4);
    assert!(peer.heard.ends_with(b"\x88\x02\x03\xe8"));
    bench.gone(peer);
}

#[test]
fn tickets_leave_although_what_came_with_the_handshake_is_not_answered() {
    let mut bench = TlsBench::new();
    let mut peer = bench.connect();
    peer.unsent.extend_from_slice(b"GET / HT");
    bench.bench.until("tickets", |_| {
        peer.step();
        peer.tls.tls13_tickets_received() > 0
    });
}

#[test]
fn a_transport_that_ends_without_a_word_ends_the_session_with_1006() {
    let mut bench = TlsBench::new();
    let peer = bench.open();
    peer.stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(bench.bench.closed(1)[0].code, 1006);
}

#[test]
fn a_record_that_was_tampered_with_ends_the_session_and_not_the_host() {
    let mut bench = TlsBench::new();
    let mut peer = bench.open();
    bench.echoes(&mut peer, "before");
    peer.stream.write_all(&[0x17, 3, 3, 0, 32]).unwrap();
    peer.stream.write_all(&[9; 32]).unwrap();
    assert_eq!(bench.bench.closed(1)[0].code, 1006);
    let mut other = bench.open();
    bench.echoes(&mut other, "still here");
}

#[test]
fn a_handshake_that_does_not_come_ends_at_its_deadline() {
    let mut bench = TlsBench::with(
        |limits| limits.opening_handshake_ms = 50,
        |authority| authority.settings(1),
    );
    let silent = TcpStream::connect(bench.bench.address).unwrap();
    let mut half = TcpStream::connect(bench.bench.address).unwrap();
    half.write_all(&[0x16, 3, 1]).unwrap();
    bench.bench.until("accept", |l| l.io.connections() == 2);
    bench.bench.until("deadline", |l| l.io.connections() == 0);
    for mut socket in [silent, half] {
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut heard = Vec::new();
        // Nothing in plain text, whether it ends in order or by a reset.
        let _ = socket.read_to_end(&mut heard);
        assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    }
    assert!(bench.bench.event_loop.service.log.is_empty());
}

#[test]
fn a_handshake_that_trickles_does_not_keep_others() {
    let mut bench = TlsBench::new();
    let mut slow = bench.connect();
    slow.piece = 1;
    let mut fast = bench.open();
    slow.send();
    turn(&mut bench.bench.event_loop, 5);
    bench.echoes(&mut fast, "meanwhile");
    assert!(slow.tls.is_handshaking());
    let mut slow = bench.open_as(slow);
    bench.echoes(&mut slow, "at last");
}

#[test]
fn no_more_handshakes_go_on_in_a_turn_than_the_limit_allows_and_all_come_to_their_end() {
    let mut bench = TlsBench::with(
        |limits| limits.tls_handshakes_count = 1,
        |authority| authority.settings(1),
    );
    let mut peers: Vec<_> = (0..20).map(|_| bench.connect()).collect();
    for peer in &mut peers {
        peer.send();
    }
    bench.bench.until("accept", |l| l.io.connections() == 20);
    for _ in 0..30 {
        let answered = |peer: &TlsPeer| peer.stream.peek(&mut [0]).is_ok();
        let before = peers.iter().filter(|peer| answered(peer)).count();
        turn(&mut bench.bench.event_loop, 5);
        let after = peers.iter().filter(|peer| answered(peer)).count();
        // One that came, and one that had waited.
        assert!(after - before <= 2, "{} in one turn", after - before);
    }
    for peer in peers {
        let mut peer = bench.open_as(peer);
        bench.echoes(&mut peer, "hello");
    }
}

#[test]
fn plain_http_where_tls_is_spoken_is_told_so_in_plain_text() {
    let mut bench = TlsBench::new();
    let mut peer = Peer::connect(bench.bench.address);
    peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.bench.until("answer", |l| {
        peer.read();
        peer.ended && l.io.connections() == 0
    });
    let heard = String::from_utf8(peer.heard).unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert!(body.contains("https"), "{body}");
    assert!(bench.bench.event_loop.service.log.is_empty());
}

#[test]
fn what_is_neither_tls_nor_http_is_refused() {
    let mut bench = TlsBench::new();
    for bytes in [
        &b"\x00\x01\x02\x03\x04\x05"[..],
        b"\x16\x03\x01\xff\xff\x00",
        b"\x80\x2e\x01",
    ] {
        let mut peer = Peer::connect(bench.bench.address);
        peer.send(bytes);
        peer.finish();
        bench.bench.until("end", |l| {
            peer.read();
            peer.ended && l.io.connections() == 0
        });
    }
}

#[test]
fn a_client_that_leaves_is_not_kept() {
    let mut bench = TlsBench::new();
    let mut peer = bench.connect();
    peer.unsent
        .extend_from_slice(b"GET /page/10 HTTP/1.1\r\nHost: h\r\n\r\n");
    bench.bench.until("page", |_| {
        peer.step();
        peer.is_told
    });
    peer.tls.send_close_notify();
    bench.gone(peer);
}
