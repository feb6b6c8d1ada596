//! Listening sockets: one per address and service thread, so that the kernel spreads the connections.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use mio::{
    Interest, Token,
    net::{TcpListener, UnixListener},
};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::net::{peer::Peer, tls::Tls, transport::Transport, watcher::Watcher};

/// Connections that wait to be accepted; the kernel bounds it by net.core.somaxconn.
pub(crate) const BACKLOG: i32 = 4096;

/// After so many seconds of silence a peer is asked whether it is still there, unless somebody says otherwise.
///
/// On, because one that vanished (its power, its network, a router that forgot it) under an event stream that has
/// nothing to tell has no other deadline. WebSocket pings and answers that are being sent come earlier, so it costs no
/// packet where they are.
pub const DEFAULT_KEEPALIVE_S: u64 = 60;

/// The most seconds that the system takes.
pub const MOST_KEEPALIVE_S: u64 = 32_767;

/// Questions without an answer after which the peer is given up, unless somebody says otherwise.
const DEFAULT_KEEPALIVE_PROBES: u32 = 4;

/// The most questions that the system takes.
pub const MOST_KEEPALIVE_PROBES: u32 = 127;

/// An address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InetSettings {
    /// The address; port 0 is a free one.
    pub address: SocketAddr,
    /// Seconds of silence after which TCP asks the peer whether it is there. 0 asks never. At most
    /// [`MOST_KEEPALIVE_S`].
    pub keepalive_s: u64,
    /// Seconds from one question to the next, 1 to [`MOST_KEEPALIVE_S`]. None: so many that a peer is given up after as
    /// long again as it was silent before.
    pub keepalive_interval_s: Option<u64>,
    /// Questions without an answer after which the connection fails, 1 to [`MOST_KEEPALIVE_PROBES`]. None: 4.
    pub keepalive_probes: Option<u32>,
}

impl From<SocketAddr> for InetSettings {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            keepalive_s: DEFAULT_KEEPALIVE_S,
            keepalive_interval_s: None,
            keepalive_probes: None,
        }
    }
}

/// A socket that connections are accepted from, and what they speak.
#[derive(Debug)]
pub struct Listener {
    socket: ListeningSocket,
    spoken: Spoken,
}

/// What is spoken on the connections of a listener, from their first byte on.
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    /// TLS, if it is.
    pub tls: Option<Tls>,
    /// Ahead of it a proxy says whose connection it is, by the PROXY protocol.
    pub is_announced: bool,
}

#[derive(Debug)]
enum ListeningSocket {
    /// At an address.
    Tcp(TcpListener),
    /// At a path of the file system.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket: ListeningSocket::Tcp(socket),
            spoken: Spoken::default(),
        }
    }
}

impl From<UnixListener> for Listener {
    fn from(socket: UnixListener) -> Self {
        Self {
            socket: ListeningSocket::Unix(socket),
            spoken: Spoken::default(),
        }
    }
}

impl Listener {
    /// Has its connections speak this.
    #[must_use]
    pub fn speaking(self, spoken: Spoken) -> Self {
        Self { spoken, ..self }
    }

    /// The same for those that are accepted from now on.
    pub(crate) fn set_spoken(&mut self, spoken: Spoken) {
        self.spoken = spoken;
    }

    /// Whether its connections begin with the header of a proxy.
    pub(crate) fn is_announced(&self) -> bool {
        self.spoken.is_announced
    }

    /// The next connection that waits.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Peer)> {
        let (transport, peer) = self.socket.accept()?;
        let transport = match &self.spoken.tls {
            Some(tls) => tls.accept(transport, Vec::new()),
            None => transport,
        };
        Ok((transport, peer))
    }

    /// The address, if it has one.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListeningSocket::Tcp(socket) => socket.local_addr().ok(),
            ListeningSocket::Unix(_) => None,
        }
    }

    /// Has it watched.
    pub(crate) fn register(&mut self, watcher: &mut Watcher, token: Token) -> io::Result<()> {
        match &mut self.socket {
            ListeningSocket::Tcp(socket) => watcher.add(socket, token, Interest::READABLE),
            ListeningSocket::Unix(socket) => watcher.add(socket, token, Interest::READABLE),
        }
    }

    /// Has it watched no longer. To close it is not enough where duplicates of the socket stay open.
    pub(crate) fn deregister(&mut self, watcher: &mut Watcher) {
        match &mut self.socket {
            ListeningSocket::Tcp(socket) => watcher.remove(socket),
            ListeningSocket::Unix(socket) => watcher.remove(socket),
        }
    }

    /// What its connections speak.
    pub(crate) fn spoken(&self) -> &Spoken {
        &self.spoken
    }

    /// Gives a TCP socket the keepalive that those have which are accepted here.
    pub(crate) fn lend_keepalive(&self, socket: &SockRef<'_>) -> io::Result<()> {
        let ListeningSocket::Tcp(own) = &self.socket else {
            return Ok(());
        };
        let own = SockRef::from(own);
        if !own.keepalive()? {
            return Ok(());
        }
        let keepalive = TcpKeepalive::new()
            .with_time(own.tcp_keepalive_time()?)
            .with_interval(own.tcp_keepalive_interval()?)
            .with_retries(own.tcp_keepalive_retries()?);
        socket.set_tcp_keepalive(&keepalive)
    }

    /// The descriptor of the socket.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListeningSocket::Tcp(socket) => socket.as_fd(),
            ListeningSocket::Unix(socket) => socket.as_fd(),
        }
    }
}

impl ListeningSocket {
    fn accept(&self) -> io::Result<(Transport, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((Transport::Tcp(stream), Peer::Inet(peer)))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                Ok((Transport::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Binds the address once for each of `count` service threads.
///
/// The first socket is bound without SO_REUSEPORT and gets it afterwards; only then may the others join. So a second
/// host on the port fails with *address in use* instead of silently taking half the clients.
///
/// # Errors
///
/// What the operating system says of the first socket that could not be bound.
pub fn bind(settings: &InetSettings, count: usize) -> io::Result<Vec<Listener>> {
    bind_first(socket(settings)?, settings, count)
}

/// As [`bind`], for a port that this host listens on already: there, or on all addresses where this is one of them, or on
/// one of them where this is all. So the kernel lets no process of another user on that port.
///
/// # Errors
///
/// As [`bind`].
pub fn bind_beside_own(settings: &InetSettings, count: usize) -> io::Result<Vec<Listener>> {
    let first = socket(settings)?;
    first.set_reuse_port(true)?;
    bind_first(first, settings, count)
}

fn bind_first(first: Socket, settings: &InetSettings, count: usize) -> io::Result<Vec<Listener>> {
    first.bind(&settings.address.into())?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = socket(settings)?;
        next.set_reuse_port(true)?;
        next.bind(&bound)?;
        sockets.push(next);
    }
    sockets
        .into_iter()
        .map(|socket| {
            socket.listen(BACKLOG)?;
            Ok(into_mio(socket))
        })
        .collect()
}

fn socket(settings: &InetSettings) -> io::Result<Socket> {
    let address = settings.address;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // A restarted host may listen while connections of the one before are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    prepare(&socket, settings)?;
    Ok(socket)
}

/// Sets what accepted sockets inherit, so that it costs no call per connection.
pub(super) fn prepare(socket: &Socket, settings: &InetSettings) -> io::Result<()> {
    // A small message is not held back to be joined by another.
    socket.set_tcp_nodelay(true)?;
    if settings.keepalive_s > 0 {
        socket.set_tcp_keepalive(&keepalive(settings))?;
    }
    Ok(())
}

/// How a connection is kept alive.
pub(crate) fn keepalive(settings: &InetSettings) -> TcpKeepalive {
    let after = settings.keepalive_s;
    let probes = settings
        .keepalive_probes
        .unwrap_or(DEFAULT_KEEPALIVE_PROBES);
    let usual = || (after / u64::from(probes.max(1))).max(1);
    let interval = settings.keepalive_interval_s.unwrap_or_else(usual);
    TcpKeepalive::new()
        .with_time(Duration::from_secs(after))
        .with_interval(Duration::from_secs(interval))
        .with_retries(probes)
}

pub(super) fn into_mio(socket: Socket) -> Listener {
    TcpListener::from_std(std::net::TcpListener::from(socket)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> InetSettings {
        SocketAddr::from(([127, 0, 0, 1], 0)).into()
    }

    /// Whether keepalive is on at an accepted socket, after how many seconds, how many apart, and how often.
    fn accepted_keepalive(
        keepalive_s: u64,
        keepalive_interval_s: Option<u64>,
        keepalive_probes: Option<u32>,
    ) -> (bool, u64, u64, u32) {
        let settings = InetSettings {
            keepalive_s,
            keepalive_interval_s,
            keepalive_probes,
            ..loopback()
        };
        let listener = bind(&settings, 1).unwrap().remove(0);
        // A connection waits as soon as the client has it.
        let _client = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let (Transport::Tcp(stream), _) = listener.accept().unwrap() else {
            panic!("a TCP listener accepts TCP");
        };
        let socket = SockRef::from(&stream);
        (
            socket.keepalive().unwrap(),
            socket.tcp_keepalive_time().unwrap().as_secs(),
            socket.tcp_keepalive_interval().unwrap().as_secs(),
            socket.tcp_keepalive_retries().unwrap(),
        )
    }

    #[test]
    fn accepted_sockets_ask_a_silent_peer_and_give_it_up_after_as_long_again() {
        assert_eq!(accepted_keepalive(60, None, None), (true, 60, 15, 4));
        assert_eq!(accepted_keepalive(60, None, Some(2)), (true, 60, 30, 2));
        assert_eq!(accepted_keepalive(1, None, None), (true, 1, 1, 4));
        assert_eq!(
            accepted_keepalive(MOST_KEEPALIVE_S, None, None),
            (true, MOST_KEEPALIVE_S, MOST_KEEPALIVE_S / 4, 4)
        );
    }

    #[test]
    fn how_far_apart_and_how_often_a_silent_peer_is_asked_can_be_said() {
        assert_eq!(accepted_keepalive(60, Some(7), None), (true, 60, 7, 4));
        assert_eq!(
            accepted_keepalive(60, Some(MOST_KEEPALIVE_S), Some(MOST_KEEPALIVE_PROBES)),
            (true, 60, MOST_KEEPALIVE_S, MOST_KEEPALIVE_PROBES)
        );
    }

    #[test]
    fn without_keepalive_nobody_is_asked() {
        assert!(!accepted_keepalive(0, Some(7), Some(3)).0);
    }

    #[test]
    fn all_service_threads_share_the_port_that_the_first_was_given() {
        let listeners = bind(&loopback(), 3).unwrap();
        let addresses: Vec<_> = listeners
            .iter()
            .map(|l| l.local_address().unwrap())
            .collect();
        assert_eq!(addresses.len(), 3);
        assert!(addresses.iter().all(|a| *a == addresses[0]));
    }

    #[test]
    fn a_second_host_on_the_port_is_refused() {
        let first = bind(&loopback(), 2).unwrap();
        let taken = first[0].local_address().unwrap();
        let refused = bind(&taken.into(), 2).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
