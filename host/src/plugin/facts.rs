//! Facts that sessions, exchanges and handshakes have in common.

use hotsocket_abi::{
    FACT_ENCRYPTED, FACT_PEER_PORT, FACT_TRANSPORT, TRANSPORT_TCP, TRANSPORT_UNIX,
};

use crate::net::peer::Peer;

/// A fact of what carries a connection, if `key` is one.
pub(super) fn transport_fact(key: u32, peer: Peer) -> Option<u64> {
    match key {
        FACT_PEER_PORT => Some(u64::from(peer.address()?.port())),
        FACT_TRANSPORT => Some(match peer {
            Peer::Inet(_) => TRANSPORT_TCP,
            Peer::Unix => TRANSPORT_UNIX,
        }),
        FACT_ENCRYPTED => Some(0),
        _ => None,
    }
}
