//! Listening sockets: one per address and service thread, so that the kernel spreads the connections.

use std::{io, net::SocketAddr};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, UnixListener},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::{peer::Peer, tls::Tls, transport::Transport};

/// Connections that wait to be accepted; the kernel bounds it by net.core.somaxconn.
pub(crate) const BACKLOG: i32 = 4096;

/// A socket that connections are accepted from.
#[derive(Debug)]
pub enum Listener {
    /// At an address.
    Tcp(TcpListener),
    /// At a path of the file system.
    Unix(UnixListener),
    /// Either of them, with TLS.
    Tls(Box<Self>, Tls),
}

impl Listener {
    /// Has its connections speak TLS.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self::Tls(Box::new(self), tls)
    }

    /// The next connection that waits.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Peer)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((Transport::Tcp(stream), Peer::Inet(peer)))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                Ok((Transport::Unix(stream), Peer::Unix))
            }
            Self::Tls(listener, tls) => {
                let (socket, peer) = listener.accept()?;
                Ok((Transport::Tls(Box::new(tls.accept(socket)?)), peer))
            }
        }
    }

    /// The address, if it has one.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
            Self::Tls(listener, _) => listener.local_address(),
        }
    }

    /// Has the poll watch it.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            Self::Unix(socket) => registry.register(socket, token, Interest::READABLE),
            Self::Tls(listener, _) => listener.register(registry, token),
        }
    }
}

/// Binds `address` once for each of `count` service threads.
///
/// The first socket is bound without SO_REUSEPORT and gets it afterwards; only then may the others join. So a second
/// host on the port fails with *address in use* instead of silently taking half the clients.
///
/// # Errors
///
/// What the operating system says of the first socket that could not be bound.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<Listener>> {
    let first = socket(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = socket(address)?;
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

fn socket(address: SocketAddr) -> io::Result<Socket> {
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
    // Inherited by accepted sockets: a small message is not held back to be joined by another.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

fn into_mio(socket: Socket) -> Listener {
    Listener::Tcp(TcpListener::from_std(std::net::TcpListener::from(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn all_service_threads_share_the_port_that_the_first_was_given() {
        let listeners = bind(loopback(), 3).unwrap();
        let addresses: Vec<_> = listeners
            .iter()
            .map(|l| l.local_address().unwrap())
            .collect();
        assert_eq!(addresses.len(), 3);
        assert!(addresses.iter().all(|a| *a == addresses[0]));
    }

    #[test]
    fn a_second_host_on_the_port_is_refused() {
        let first = bind(loopback(), 2).unwrap();
        let taken = first[0].local_address().unwrap();
        assert_eq!(bind(taken, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
