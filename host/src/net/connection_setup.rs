//! A connection before anything of it was read: what may be asked of it, and set.

use std::{net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};

use crate::{
    connection::deadline::{DeadlineName, Deadlines},
    net::{
        listening::ListenerNumber, peer::Peer, settings::Settings, tls::TlsFacts,
        token::ConnectionId, transport::Transport,
    },
};

/// An option of a socket, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// Small packets leave at once (`TCP_NODELAY`).
    NoDelay(bool),
    /// The kernel's buffer for sending, in bytes (`SO_SNDBUF`).
    SendBuffer(u32),
    /// The kernel's buffer for receiving, in bytes (`SO_RCVBUF`).
    ReceiveBuffer(u32),
    /// Seconds of silence before the kernel asks whether the peer is there; 0 for never.
    KeepaliveS(u32),
}

/// One connection, for the time of one call.
pub struct ConnectionSetup<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Peer,
    pub(crate) listener: ListenerNumber,
    pub(crate) transport: &'a Transport,
    pub(crate) is_watched: &'a mut bool,
    pub(crate) deadlines: &'a mut Deadlines,
    pub(crate) now: u64,
    pub(crate) settings: &'a Settings,
}

impl<'a> ConnectionSetup<'a> {
    /// The connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// As [`HttpPort::listener`](super::http_port::HttpPort::listener).
    #[must_use]
    pub fn listener(&self) -> ListenerNumber {
        self.listener
    }

    /// The address that it was accepted on.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.transport.local_address()
    }

    /// Whether TLS is, or is going to be, spoken.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// What was agreed on with TLS; none without it, and while it is not yet.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFacts<'a>> {
        self.transport.tls()
    }

    /// Has its end told, by [`Service::gone`](super::service::Service::gone).
    pub fn watch(&mut self) {
        *self.is_watched = true;
    }

    /// Sets an option of its socket; false when it has no such option.
    ///
    /// # Errors
    ///
    /// When the operating system does not take the value.
    pub fn set_option(&self, option: SocketOption) -> std::io::Result<bool> {
        let is_inet = self.peer.address().is_some();
        let set = self.transport.with_socket(|socket: SockRef<'_>| {
            match option {
                SocketOption::NoDelay(_) | SocketOption::KeepaliveS(_) if !is_inet => {
                    return Ok(false);
                }
                SocketOption::NoDelay(is_set) => socket.set_tcp_nodelay(is_set)?,
                SocketOption::SendBuffer(bytes) => socket.set_send_buffer_size(bytes as usize)?,
                SocketOption::ReceiveBuffer(bytes) => {
                    socket.set_recv_buffer_size(bytes as usize)?;
                }
                SocketOption::KeepaliveS(0) => socket.set_keepalive(false)?,
                SocketOption::KeepaliveS(seconds) => {
                    let time = Duration::from_secs(seconds.into());
                    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))?;
                }
            }
            Ok(true)
        });
        set.unwrap_or(Ok(false))
    }

    /// The first request has to come within so many milliseconds, if that is sooner than the limit of all.
    pub fn await_first_request(&mut self, within_ms: u64) {
        let within = within_ms.min(self.settings.limits.opening_handshake_ms);
        self.deadlines.set(DeadlineName::Request, self.now, within);
    }
}
