//! A client that speaks TLS, and a service thread for it.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use rustls::{
    ClientConfig, ClientConnection, Error, SupportedProtocolVersion,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use super::super::*;
use crate::net::{
    listener::Spoken,
    test_peer::frame,
    tls::{TlsKeeper, TlsSettings, test_certificates::Authority},
};

/// A client that speaks TLS. Nothing blocks.
pub(super) struct TlsPeer {
    pub(super) stream: TcpStream,
    pub(super) tls: ClientConnection,
    /// Plain text that was not encrypted yet.
    pub(super) unsent: Vec<u8>,
    /// Records that the socket has not been given.
    pub(super) records: Vec<u8>,
    /// No more than so many bytes of them leave with one step.
    pub(super) piece: usize,
    pub(super) heard: Vec<u8>,
    /// The other side has said that nothing more comes.
    pub(super) is_told: bool,
    /// The other side has ended the transport.
    pub(super) ended: bool,
    pub(super) error: Option<Error>,
}

impl TlsPeer {
    pub(super) fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
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
    pub(super) fn step(&mut self) {
        self.send();
        self.read_some(usize::MAX);
    }

    pub(super) fn send(&mut self) {
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

    pub(super) fn read_some(&mut self, most: usize) {
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

    pub(super) fn take(&mut self, mut records: &[u8]) {
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

    pub(super) fn text(&mut self, text: &str) {
        self.unsent.extend_from_slice(&frame(1, text.as_bytes()));
    }

    pub(super) fn has_head(&mut self) -> bool {
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
pub(super) fn client(authority: &Authority) -> ClientConfig {
    client_of(authority, &[&TLS13, &TLS12])
}

pub(super) fn client_of(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(authority.roots())
        .with_no_client_auth()
}

pub(super) struct TlsBench {
    pub(super) bench: Bench,
    pub(super) keeper: TlsKeeper,
    pub(super) authority: Authority,
    pub(super) config: Arc<ClientConfig>,
}

impl TlsBench {
    pub(super) fn new() -> Self {
        Self::with(|_| {}, |authority| authority.settings(1))
    }

    pub(super) fn with(
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

    pub(super) fn connect(&self) -> TlsPeer {
        TlsPeer::connect(self.bench.address, &self.config)
    }

    /// A peer whose opening handshake is done.
    pub(super) fn open(&mut self) -> TlsPeer {
        let peer = self.connect();
        self.open_as(peer)
    }

    pub(super) fn open_as(&mut self, mut peer: TlsPeer) -> TlsPeer {
        peer.unsent
            .extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        self.bench.until("opening handshake", |_| {
            peer.step();
            peer.has_head()
        });
        peer
    }

    /// Has the peer say `text`, and waits for the echo.
    pub(super) fn echoes(&mut self, peer: &mut TlsPeer, text: &str) {
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
    pub(super) fn refused(&mut self, config: ClientConfig) -> Error {
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

    pub(super) fn gone(&mut self, mut peer: TlsPeer) {
        self.bench.until("end of the connection", |event_loop| {
            peer.step();
            peer.ended && event_loop.io.connections() == 0
        });
    }
}
