//! A connection over TLS: decrypts into the buffer of the thread, encrypts what it is given, and keeps nothing else.
//!
//! What was encrypted cannot be taken back. When the socket does not take all of a batch, the bytes it was made of are
//! owed: the caller is told that they were not taken, keeps them as output that waits, and gives them again first. They
//! are counted as taken when what was made of them has left. So all that is known of waiting output stays true under
//! TLS, and what waits here is one batch at most.

use std::{
    fs::File,
    io::{self, IoSlice, Read, Write},
    sync::Arc,
};

use rustix::io::Errno;
use rustls::{
    ClientConnection, Connection, Error, ProtocolVersion,
    pki_types::ServerName,
    server::{Accepted, AcceptedAlert, Acceptor},
};

use crate::{
    net::{
        tls::{ClientTlsConfig, Tls, TlsFacts, gathered::Gathered, server_fault},
        transport::Transport,
    },
    wire::url_host::Host,
};

/// Plain text that is encrypted for one write.
const BATCH_BYTES: usize = 64 << 10;
/// Room before what is read from the socket: plain text of a record whose beginning was read before goes there. A record
/// has at most 16 KiB and 2 KiB more.
const SPARE_BYTES: usize = 20 << 10;
/// How often in a row the socket is read for one call, while nothing comes of it that could be handed on.
const ROUNDS: usize = 16;

/// What a client is told that speaks HTTP where TLS is spoken.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 59\r\nConnection: close\r\n\r\nThis port speaks TLS: begin the URL with https or with wss\n";

/// One side of a TLS connection.
pub(crate) struct TlsStream {
    /// What carries it: TCP or a unix socket.
    socket: Transport,
    endpoint: Endpoint,
    /// What was chosen by the name that the client asks for; none for what is usual.
    chosen: Option<Arc<str>>,
    /// What only a client knows.
    server: Option<Server>,
    /// Bytes that were encrypted and not yet told to be taken.
    owed: usize,
    stage: Stage,
    /// What was read of the socket before it came here.
    prefix: Vec<u8>,
    /// The socket may hold more than was read, or something that was read is still to be told.
    has_more: bool,
    /// The peer has said that nothing more comes.
    is_ended: bool,
    /// What was read is wrong behind what was handed on.
    is_broken: bool,
    /// Nothing follows what is written next.
    is_last: bool,
}

/// The server, as its client knows it.
struct Server {
    /// Whom we have asked for.
    name: String,
    /// It has shown that it is the one that is meant, or else the handshake has failed.
    is_checked: bool,
}

/// What rustls has of the connection.
enum Endpoint {
    /// What the client asks for has not come, so what is spoken with it is not chosen.
    Greeting(Acceptor, Tls),
    /// It is.
    Speaking(Connection),
}

/// Where it is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has come.
    Silent,
    /// TLS, handshake or not.
    Speaking,
    /// The peer does not speak TLS, or not ours: what else it sends is thrown away.
    Refused,
    /// We have said that nothing more comes; the socket is told when that has left.
    Closing,
    /// It was told.
    Closed,
}

impl TlsStream {
    /// TLS over a socket of which `prefix` was read already.
    pub(crate) fn new(tls: Tls, socket: Transport, prefix: Vec<u8>) -> Self {
        let endpoint = Endpoint::Greeting(Acceptor::default(), tls);
        Self {
            prefix,
            ..Self::with(endpoint, socket, Stage::Silent)
        }
    }

    /// The client's end, to a server with this name. Its first records wait for [`Self::flush`].
    pub(crate) fn connect(
        config: &ClientTlsConfig,
        host: &Host,
        socket: Transport,
    ) -> io::Result<Self> {
        let name = match host {
            // The root of DNS is no part of a name that a certificate is for.
            Host::Name(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        };
        let server_name = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
        let mut connection =
            ClientConnection::new(config.config(), server_name).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(BATCH_BYTES));
        let endpoint = Endpoint::Speaking(connection.into());
        let mut stream = Self::with(endpoint, socket, Stage::Speaking);
        stream.server = Some(Server {
            name,
            is_checked: config.is_checked(),
        });
        Ok(stream)
    }

    fn with(endpoint: Endpoint, socket: Transport, stage: Stage) -> Self {
        Self {
            socket,
            endpoint,
            chosen: None,
            server: None,
            owed: 0,
            prefix: Vec::new(),
            stage,
            has_more: false,
            is_ended: false,
            is_broken: false,
            is_last: false,
        }
    }

    /// Whether the peer has said that nothing more comes.
    pub(crate) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(crate) fn socket(&self) -> &Transport {
        &self.socket
    }

    pub(crate) fn into_socket(self) -> Transport {
        self.socket
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Transport {
        &mut self.socket
    }

    /// Reads once, or as often as a handshake needs; `Ok(0)` is the end, with or without a word before it: HTTP and
    /// WebSocket both tell of their lengths themselves, so what was cut off shows.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.has_more = false;
        if self.stage == Stage::Refused {
            return self.socket.read(into);
        }
        if self.is_ended {
            return Ok(0);
        }
        if self.is_broken {
            return Err(self.fail());
        }
        let spare = SPARE_BYTES.min(into.len() / 2);
        for _ in 0..ROUNDS {
            let room = into.len() - spare;
            let is_fresh = self.prefix.is_empty();
            let count = match self.read_socket(&mut into[spare..]) {
                Ok(0) => return Ok(0),
                Ok(count) => count,
                Err(error) => return Err(error),
            };
            if self.stage == Stage::Silent {
                self.greet(into[spare])?;
            }
            let plain = self.decrypt(into, spare, spare + count)?;
            let is_over = self.is_ended || self.is_broken;
            if plain == 0 || is_over {
                // What the peer is answered in a handshake, or behind it. Beside plain text it leaves with the answer to
                // that, or else by the flush of the caller.
                self.flush()?;
            }
            if plain > 0 || self.is_ended {
                self.has_more = !is_fresh || count == room || is_over;
                return Ok(plain);
            }
            if self.is_broken {
                return Err(self.fail());
            }
        }
        self.has_more = true;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Reads what was read before, and then the socket.
    fn read_socket(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.prefix.is_empty() {
            return self.socket.read(into);
        }
        let count = self.prefix.len().min(into.len());
        into[..count].copy_from_slice(&self.prefix[..count]);
        self.prefix.drain(..count);
        if self.prefix.is_empty() {
            self.prefix = Vec::new();
        }
        Ok(count)
    }

    /// Looks at the first byte. A method begins with a capital letter, and no record does.
    fn greet(&mut self, first: u8) -> io::Result<()> {
        if !first.is_ascii_uppercase() {
            self.stage = Stage::Speaking;
            return Ok(());
        }
        self.stage = Stage::Refused;
        // A socket that has just been accepted has room for it; one that has not gets none.
        let _ = self.socket.write(PLAIN_HTTP);
        Err(wrong("plain HTTP where TLS is spoken"))
    }

    /// Decrypts what lies in `from..to`, to the beginning of the buffer; says how much came of it.
    fn decrypt(&mut self, into: &mut [u8], from: usize, to: usize) -> io::Result<usize> {
        let (mut at, mut plain) = (from, 0);
        while at < to && !self.is_ended {
            let taken = self.take(&into[at..to])?;
            at += taken;
            let Endpoint::Speaking(connection) = &mut self.endpoint else {
                if taken == 0 {
                    break;
                }
                continue;
            };
            self.is_broken = connection.process_new_packets().is_err();
            // Less comes out than went in, and what was kept from before fits into the spare room.
            while plain < at {
                match connection.reader().read(&mut into[plain..at]) {
                    Ok(0) => {
                        self.is_ended = true;
                        break;
                    }
                    Ok(count) => plain += count,
                    Err(_) => break,
                }
            }
            if self.is_broken || taken == 0 {
                break;
            }
        }
        Ok(plain)
    }

    /// Hands records on; once the client has said what it asks for, what is spoken with it is chosen.
    fn take(&mut self, records: &[u8]) -> io::Result<usize> {
        let (acceptor, tls) = match &mut self.endpoint {
            Endpoint::Speaking(connection) => return connection.read_tls(&mut &*records),
            Endpoint::Greeting(acceptor, tls) => (acceptor, tls),
        };
        let taken = acceptor.read_tls(&mut &*records)?;
        let begun = acceptor.accept().and_then(|accepted| match accepted {
            Some(accepted) => begin(accepted, tls).map(Some),
            None => Ok(None),
        });
        match begun {
            Ok(Some((connection, chosen))) => {
                self.endpoint = Endpoint::Speaking(connection);
                self.chosen = chosen;
            }
            Ok(None) => {}
            Err((error, mut alert)) => {
                self.stage = Stage::Refused;
                // A socket that has just been accepted has room for it; one that has not gets none.
                let _ = alert.write_all(&mut Gathered::of(&mut self.socket));
                return Err(wrong(&error.to_string()));
            }
        }
        Ok(taken)
    }

    /// What is wrong with what the peer sent. It has been told by an alert, as far as the socket took it.
    fn fail(&mut self) -> io::Error {
        if self.is_handshaking() {
            self.stage = Stage::Refused;
        }
        let Endpoint::Speaking(connection) = &mut self.endpoint else {
            return wrong("no greeting");
        };
        match connection.process_new_packets() {
            Err(error) => wrong(&self.told(&error)),
            Ok(_) => wrong("a record that cannot be read"),
        }
    }

    fn told(&self, error: &Error) -> String {
        match &self.server {
            None => error.to_string(),
            Some(server) => server_fault::told(error, &server.name),
        }
    }

    /// Writes what the socket takes at once; what it does not take is to be given again first.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    /// The same out of several slices, all in one batch.
    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let is_last = std::mem::take(&mut self.is_last);
        if self.owed == 0
            && let Endpoint::Speaking(connection) = &mut self.endpoint
        {
            // Behind what a handshake has left, with which it leaves.
            self.owed = connection.writer().write_vectored(slices)?;
            if is_last && self.owed == offered {
                connection.send_close_notify();
                self.stage = Stage::Closing;
            }
        }
        let waits = self.send_records()?;
        // Records are longer than what they are made of.
        let taken = self.owed.saturating_sub(waits).min(offered);
        self.owed -= taken;
        match taken {
            0 if offered > 0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    /// Sends a piece of a file, which has to pass through here; moves `offset` by what was taken.
    pub(crate) fn send_file(
        &mut self,
        file: &File,
        offset: &mut u64,
        count: usize,
    ) -> Result<usize, Errno> {
        let mut piece = vec![0; count.min(BATCH_BYTES)];
        let read = rustix::io::pread(file, &mut piece[..], *offset)?;
        if read == 0 {
            return Ok(0);
        }
        match self.write(&piece[..read]) {
            Ok(taken) => {
                *offset += taken as u64;
                Ok(taken)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Errno::AGAIN),
            Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }

    /// What is written next is the last: that nothing more comes is said in the same batch, if all of it fits.
    pub(crate) fn note_last(&mut self) {
        self.is_last = true;
    }

    /// Tells the peer that nothing more comes, and the socket when that has left.
    pub(crate) fn shut_down(&mut self) {
        if self.stage != Stage::Refused {
            if let Endpoint::Speaking(connection) = &mut self.endpoint {
                connection.send_close_notify();
            }
            if self.stage != Stage::Closed {
                self.stage = Stage::Closing;
            }
        }
        // A socket that is gone already has nobody to tell.
        let _ = self.flush();
        if self.stage == Stage::Refused {
            self.socket.shut_down();
        }
    }

    /// Whether there may be more to read although less came than was asked for.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether records wait for the socket.
    pub(crate) fn has_output(&self) -> bool {
        self.connection().is_some_and(|spoken| spoken.wants_write())
    }

    /// Sends records that wait, as many as the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.send_records().map(|_| ())
    }

    /// Writes records until the socket is full; how many bytes of them still wait. The socket is told of the end when its
    /// record has left, in one packet with it.
    fn send_records(&mut self) -> io::Result<usize> {
        let waits = self.write_records()?;
        if waits == 0 && self.stage == Stage::Closing {
            self.stage = Stage::Closed;
            self.socket.shut_down();
        }
        Ok(waits)
    }

    fn write_records(&mut self) -> io::Result<usize> {
        let Endpoint::Speaking(connection) = &mut self.endpoint else {
            return Ok(0);
        };
        while connection.wants_write() {
            let mut gathered = Gathered::of(&mut self.socket);
            gathered.is_last = self.stage == Stage::Closing;
            match connection.write_tls(&mut gathered) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(gathered.waits);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }

    /// Whether nothing may be sent or was received yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection()
            .is_none_or(|spoken| spoken.is_handshaking())
    }

    fn connection(&self) -> Option<&Connection> {
        match &self.endpoint {
            Endpoint::Greeting(..) => None,
            Endpoint::Speaking(connection) => Some(connection),
        }
    }

    /// Whether the peer does not speak TLS, or not ours.
    pub(crate) fn is_refused(&self) -> bool {
        self.stage == Stage::Refused
    }

    /// What was agreed on; none before.
    pub(crate) fn facts(&self) -> Option<TlsFacts<'_>> {
        let connection = self.connection()?;
        let suite = connection.negotiated_cipher_suite()?;
        let version = connection.protocol_version()?;
        let certificates = connection.peer_certificates();
        let peer_certificate = certificates.and_then(|chain| chain.first());
        Some(TlsFacts {
            version: match version {
                ProtocolVersion::TLSv1_2 => 0x0303,
                _ => 0x0304,
            },
            suite: suite.suite().as_str().unwrap_or("unknown"),
            server_name: match (connection, &self.server) {
                (Connection::Server(connection), _) => connection.server_name(),
                (Connection::Client(_), server) => server.as_ref().map(|server| &*server.name),
            },
            chosen: self.chosen.as_deref(),
            application_protocol: connection.alpn_protocol(),
            peer_certificate: peer_certificate.map(AsRef::as_ref),
            // The handshake of a server has failed with any other.
            is_peer_checked: match &self.server {
                None => peer_certificate.is_some(),
                Some(server) => server.is_checked,
            },
        })
    }
}

/// A connection whose client has said what it asks for, and what was chosen by it; or what it is told that cannot have one.
type Begun = Result<(Connection, Option<Arc<str>>), (Error, AcceptedAlert)>;

/// Goes on with what is spoken with whoever asks for this.
fn begin(accepted: Accepted, tls: &Tls) -> Begun {
    let chosen = tls.choose(accepted.client_hello().server_name());
    let mut connection = accepted.into_connection(chosen.config)?;
    connection.set_buffer_limit(Some(BATCH_BYTES));
    Ok((connection.into(), chosen.name))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {what}"))
}
