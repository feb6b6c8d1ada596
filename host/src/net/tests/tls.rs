//! Connections over TLS: all that is true of others, handshakes, certificates, and the end.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, SystemTime},
};

use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion,
    SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use super::*;
use crate::net::{
    listener::Spoken,
    test_peer::{frame, turn},
    tls::{TlsKeeper, TlsSettings, TlsVersion, test_certificates::Authority},
};

/// A client that speaks TLS. Nothing blocks.
struct TlsPeer {
    stream: TcpStream,
    tls: ClientConnection,
    /// Plain text that was not encrypted yet.
    unsent: Vec<u8>,
    /// Records that the socket has not been given.
    records: Vec<u8>,
    /// No more than so many bytes of them leave with one step.
    piece: usize,
    heard: Vec<u8>,
    /// The other side has said that nothing more comes.
    is_told: bool,
    /// The other side has ended the transport.
    ended: bool,
    error: Option<Error>,
}

impl TlsPeer {
    fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self {
            stream,
            tls: ClientConnection::new(Arc::clone(config), name).unwrap(),
            unsent: Vec::new(),
            records: Vec::new(),
            piece: usize::MAX,
            heard: Vec::new(),
            is_told: false,
            ended: false,
            error: None,
        }
    }

    /// Sends what the socket takes, and reads what there is.
    fn step(&mut self) {
        self.send();
        self.read_some(usize::MAX);
    }

    fn send(&mut self) {
        if !self.tls.is_handshaking() && !self.unsent.is_empty() {
            let taken = self.tls.writer().write(&self.unsent).unwrap();
            self.unsent.drain(..taken);
        }
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.records).unwrap();
        }
        let piece = self.piece.min(self.records.len());
        match self.stream.write(&self.records[..piece]) {
            Ok(taken) => drop(self.records.drain(..taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.ended = true,
        }
    }

    fn read_some(&mut self, most: usize) {
        let mut buffer = vec![0; most.min(64 << 10)];
        while !self.ended && self.heard.len() < most {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.ended = true,
            }
        }
    }

    fn take(&mut self, mut records: &[u8]) {
        while !records.is_empty() && self.error.is_none() {
            if self.tls.read_tls(&mut records).unwrap() == 0 {
                return;
            }
            match self.tls.process_new_packets() {
                Ok(state) => self.is_told |= state.peer_has_closed(),
                Err(error) => self.error = Some(error),
            }
            let mut plain = [0; 20 << 10];
            while let Ok(count @ 1..) = self.tls.reader().read(&mut plain) {
                self.heard.extend_from_slice(&plain[..count]);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.unsent.extend_from_slice(&frame(1, text.as_bytes()));
    }

    fn has_head(&mut self) -> bool {
        match self.heard.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => {
                self.heard.drain(..at + 4);
                true
            }
            None => false,
        }
    }
}

/// What a client asks for that trusts `authority`.
fn client(authority: &Authority) -> ClientConfig {
    client_of(authority, &[&TLS13, &TLS12])
}

fn client_of(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(authority.roots())
        .with_no_client_auth()
}

struct TlsBench {
    bench: Bench,
    keeper: TlsKeeper,
    authority: Authority,
    config: Arc<ClientConfig>,
}

impl TlsBench {
    fn new() -> Self {
        Self::with(|_| {}, |authority| authority.settings(1))
    }

    fn with(
        change: impl FnOnce(&mut Limits),
        settings: impl FnOnce(&Authority) -> TlsSettings,
    ) -> Self {
        let authority = Authority::new();
        let keeper = TlsKeeper::open(&settings(&authority)).unwrap();
        let bench = Bench::listening(change, |listener| {
            listener.speaking(Spoken {
                tls: Some(keeper.tls()),
                ..Spoken::default()
            })
        });
        let config = Arc::new(client(&authority));
        Self {
            bench,
            keeper,
            authority,
            config,
        }
    }

    fn connect(&self) -> TlsPeer {
        TlsPeer::connect(self.bench.address, &self.config)
    }

    /// A peer whose opening handshake is done.
    fn open(&mut self) -> TlsPeer {
        let peer = self.connect();
        self.open_as(peer)
    }

    fn open_as(&mut self, mut peer: TlsPeer) -> TlsPeer {
        peer.unsent
            .extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        self.bench.until("opening handshake", |_| {
            peer.step();
            peer.has_head()
        });
        peer
    }

    /// Has the peer say `text`, and waits for the echo.
    fn echoes(&mut self, peer: &mut TlsPeer, text: &str) {
        peer.text(text);
        let len = text.len() + if text.len() < 126 { 2 } else { 4 };
        self.bench.until("echo", |_| {
            peer.step();
            assert_eq!(peer.error, None);
            assert!(!peer.ended, "the connection was lost");
            peer.heard.len() >= len
        });
        assert!(peer.heard.ends_with(text.as_bytes()));
        peer.heard.clear();
    }

    /// Turns until a handshake has failed; why, as the client sees it.
    fn refused(&mut self, config: ClientConfig) -> Error {
        let mut peer = TlsPeer::connect(self.bench.address, &Arc::new(config));
        peer.unsent
            .extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        self.bench.until("refusal", |_| {
            peer.step();
            assert!(peer.heard.is_empty(), "it was served");
            peer.error.is_some()
        });
        peer.error.unwrap()
    }

    fn gone(&mut self, mut peer: TlsPeer) {
        self.bench.until("end of the connection", |event_loop| {
            peer.step();
            peer.ended && event_loop.io.connections() == 0
        });
    }
}

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
fn a_client_that_comes_again_resumes_and_is_served() {
    for version in [&TLS12, &TLS13] {
        let mut bench = TlsBench::new();
        bench.config = Arc::new(client_of(&bench.authority, &[version]));
        let mut first = bench.open();
        bench.echoes(&mut first, "first");
        assert_eq!(first.tls.handshake_kind(), Some(HandshakeKind::Full));
        let mut second = bench.open();
        bench.echoes(&mut second, "second");
        assert_eq!(second.tls.handshake_kind(), Some(HandshakeKind::Resumed));
        // A new certificate takes nobody's tickets away.
        bench.authority.settings(2);
        bench.keeper.look(SystemTime::now());
        let third = bench.open();
        assert_eq!(third.tls.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_client_that_offers_other_protocols_only_is_refused() {
    let mut bench = TlsBench::new();
    let mut config = client(&bench.authority);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let alert = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(bench.refused(config.clone()), alert);
    config.alpn_protocols.push(b"http/1.1".to_vec());
    bench.config = Arc::new(config);
    let peer = bench.open();
    assert_eq!(peer.tls.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn seed_3_10_a_client_certificate_that_is_missing_or_wrong_is_refused() {
    let mut bench = TlsBench::with(|_| {}, |authority| authority.settings_with_clients(true));
    let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
    assert_eq!(bench.refused(client(&bench.authority)), alert);

    let builder = || ClientConfig::builder().with_root_certificates(bench.authority.roots());
    let (chain, key) = Authority::new().client(7);
    let stranger = builder().with_client_auth_cert(chain, key).unwrap();
    let (chain, key) = bench.authority.client(7);
    let known = builder().with_client_auth_cert(chain.clone(), key).unwrap();
    // Its authority has the name of ours, and another key.
    let alert = Error::AlertReceived(AlertDescription::DecryptError);
    assert_eq!(bench.refused(stranger), alert);

    bench.config = Arc::new(known);
    let mut peer = bench.open();
    bench.echoes(&mut peer, "hello");
    let newest = bench.bench.event_loop.io.ids();
    let told = newest.into_iter().find_map(|id| {
        let link = bench.bench.event_loop.io.slots.get_mut(id)?;
        let facts = link.transport.tls()?;
        Some((facts.peer_certificate?.to_vec(), facts.is_peer_checked))
    });
    assert_eq!(told, Some((chain[0].to_vec(), true)));
}

#[test]
fn seed_3_3_a_client_certificate_may_be_optional() {
    let mut bench = TlsBench::with(|_| {}, |authority| authority.settings_with_clients(false));
    let mut peer = bench.open();
    bench.echoes(&mut peer, "nobody");
    let facts = bench.bench.link().transport.tls().unwrap();
    assert!(facts.peer_certificate.is_none() && !facts.is_peer_checked);
}

#[test]
fn a_client_certificate_that_was_called_back_is_refused_and_its_session_is_not_resumed() {
    let mut bench = TlsBench::with(|_| {}, |authority| authority.settings_with_clients(true));
    let builder = ClientConfig::builder().with_root_certificates(bench.authority.roots());
    let (chain, key) = bench.authority.client(7);
    bench.config = Arc::new(builder.with_client_auth_cert(chain, key).unwrap());
    let mut peer = bench.open();
    bench.echoes(&mut peer, "hello");
    let mut settings = bench.authority.settings_with_clients(true);
    let revoked = bench.authority.revoke(7);
    settings.clients.as_mut().unwrap().revoked = vec![revoked];
    let prepared = bench.keeper.prepare(&settings).unwrap();
    bench.keeper.install(prepared);
    let alert = Error::AlertReceived(AlertDescription::CertificateRevoked);
    let same = ClientConfig::clone(&bench.config);
    assert_eq!(bench.refused(same), alert);
    // Whoever is in stays.
    bench.echoes(&mut peer, "still here");
}

#[test]
fn a_certificate_is_replaced_fifty_times_while_fifty_sessions_talk_and_none_is_dropped() {
    let mut bench = TlsBench::new();
    let mut peers: Vec<_> = (0..50).map(|_| bench.open()).collect();
    for serial in 2..52_u64 {
        bench.authority.settings(serial);
        bench.keeper.look(SystemTime::now());
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.text(&format!("{serial} {number}"));
        }
        let mut fresh = bench.connect();
        fresh.tls = {
            // One that cannot resume is shown the certificate.
            let config = Arc::new(client(&bench.authority));
            ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap()
        };
        let mut fresh = bench.open_as(fresh);
        bench.echoes(&mut fresh, "new");
        let shown = fresh.tls.peer_certificates().unwrap()[0].to_vec();
        let now = std::fs::read(bench.authority.directory.path().join("cert.pem")).unwrap();
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        assert_eq!(
            shown,
            CertificateDer::from_pem_slice(&now).unwrap().to_vec()
        );
        bench.bench.until("echoes", |_| {
            peers.iter_mut().enumerate().all(|(number, peer)| {
                peer.step();
                assert!(!peer.ended && peer.error.is_none());
                peer.heard
                    .ends_with(format!("{serial} {number}").as_bytes())
            })
        });
    }
    assert!(
        bench
            .bench
            .event_loop
            .service
            .closed
            .iter()
            .all(|end| end.code == 1006)
    );
    assert!(bench.bench.event_loop.io.connections() >= 50);
}

#[test]
fn a_broken_certificate_is_refused_and_the_one_before_stays() {
    let mut bench = TlsBench::new();
    let (_, other) = bench.authority.sign("localhost", 9);
    bench
        .authority
        .write("key.pem", other.serialize_pem().as_bytes());
    bench.keeper.look(SystemTime::now());
    let mut peer = bench.open();
    bench.echoes(&mut peer, "as before");
    std::fs::remove_file(bench.authority.directory.path().join("cert.pem")).unwrap();
    bench.keeper.look(SystemTime::now());
    let peer = bench.open();
    drop(peer);
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
