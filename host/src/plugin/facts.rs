//! Facts that sessions, exchanges and handshakes have in common.

use hotsocket_abi::{
    FACT_APPLICATION_PROTOCOL, FACT_ENCRYPTED, FACT_PEER_CERTIFICATE, FACT_PEER_CHECKED,
    FACT_PEER_PORT, FACT_SERVER_NAME, FACT_TLS_SUITE, FACT_TLS_VERSION, FACT_TRANSPORT,
    TRANSPORT_TCP, TRANSPORT_UNIX,
};

use crate::net::{peer::Peer, tls::TlsFacts};

/// A fact of what carries a connection, if `key` is one.
pub(super) fn transport_fact(key: u32, peer: Peer, tls: Option<TlsFacts<'_>>) -> Option<u64> {
    match key {
        FACT_PEER_PORT => Some(u64::from(peer.address()?.port())),
        FACT_TRANSPORT => Some(match peer {
            Peer::Inet(_) => TRANSPORT_TCP,
            Peer::Unix => TRANSPORT_UNIX,
        }),
        FACT_ENCRYPTED => Some(u64::from(tls.is_some())),
        FACT_TLS_VERSION => Some(u64::from(tls?.version)),
        FACT_PEER_CHECKED => Some(u64::from(tls?.is_peer_checked)),
        _ => None,
    }
}

/// The same of facts that are bytes.
pub(super) fn tls_bytes(key: u32, tls: Option<TlsFacts<'_>>) -> Option<&[u8]> {
    match key {
        FACT_TLS_SUITE => Some(tls?.suite.as_bytes()),
        FACT_SERVER_NAME => tls?.server_name.map(str::as_bytes),
        FACT_APPLICATION_PROTOCOL => tls?.application_protocol,
        FACT_PEER_CERTIFICATE => tls?.peer_certificate,
        _ => None,
    }
}
