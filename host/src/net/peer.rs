//! Who is at the other end of a connection.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address and port.
    Inet(SocketAddr),
    /// A process on this machine, by a unix socket; it has no address.
    Unix,
}

impl Peer {
    /// Its address and port, if it has one.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(address),
            Self::Unix => None,
        }
    }
}

/// A peer as a connection keeps it, in half the place. There are many connections, and most peers have an address of
/// IPv4.
#[derive(Clone, Debug)]
pub(crate) enum KeptPeer {
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
    Unix,
}

impl KeptPeer {
    /// The peer.
    #[inline]
    pub(crate) fn get(&self) -> Peer {
        match self {
            Self::V4(address) => Peer::Inet(SocketAddr::V4(*address)),
            Self::V6(address) => Peer::Inet(SocketAddr::V6(**address)),
            Self::Unix => Peer::Unix,
        }
    }
}

impl From<Peer> for KeptPeer {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Inet(SocketAddr::V4(address)) => Self::V4(address),
            Peer::Inet(SocketAddr::V6(address)) => Self::V6(Box::new(address)),
            Peer::Unix => Self::Unix,
        }
    }
}

/// The bytes of an IP address in network order, 4 or 16.
#[derive(Clone, Copy, Debug)]
pub struct AddressBytes {
    bytes: [u8; 16],
    len: usize,
}

impl AddressBytes {
    /// Those of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut bytes = [0; 16];
        let len = match address {
            IpAddr::V4(ip) => {
                bytes[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                bytes = ip.octets();
                16
            }
        };
        Self { bytes, len }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_kept_whole_in_16_bytes() {
        assert_eq!(size_of::<KeptPeer>(), 16);
        let v6 = SocketAddrV6::new([0xfe80, 0, 0, 0, 0, 0, 0, 9].into(), 443, 5, 3);
        let inet = ["192.0.2.1:80".parse().unwrap(), v6.into()].map(Peer::Inet);
        for peer in [inet[0], inet[1], Peer::Unix] {
            assert_eq!(KeptPeer::from(peer).get(), peer);
        }
    }
}
