//! What a service thread is to connect to as a client: see [`Io::dial`](crate::net::io::Io::dial).

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use crate::{
    connection::opening::OpeningRequest, net::tls::ClientTlsConfig,
    wire::client_handshake::OfferError,
};

/// A WebSocket that is to be opened.
#[derive(Clone, Debug)]
pub struct Dial {
    /// What is asked of the server, and of the proxy before it.
    pub opening: OpeningRequest,
    /// How a server is known that is spoken to over TLS. Whether it is, says the URL.
    pub tls: ClientTls,
    /// Where the server is, or the proxy.
    pub target: Target,
    /// From here to the open WebSocket, in milliseconds, in place of `limits.dial_ms`.
    pub within_ms: Option<u64>,
}

impl Dial {
    /// Where the URL says, or the proxy, without a way to speak TLS.
    #[must_use]
    pub const fn new(opening: OpeningRequest) -> Self {
        Self {
            opening,
            tls: ClientTls::Plain,
            target: Target::Named,
            within_ms: None,
        }
    }
}

/// Whether TLS can be spoken.
#[derive(Clone, Debug)]
pub enum ClientTls {
    /// It cannot.
    Plain,
    /// With this.
    Config(Arc<ClientTlsConfig>),
}

/// Where the transport leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the host and port of the proxy, if there is one, or else of the URL. A name is looked up.
    Named,
    /// To the first of these that takes a connection; they are tried as the addresses of a name are.
    Addresses(Vec<SocketAddr>),
    /// To the unix socket at this path.
    Unix(PathBuf),
}

/// Why nothing was begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialRefused {
    /// The opening handshake cannot be written.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The URL asks for TLS, and [`ClientTls::Plain`] was given.
    #[error(
        "the URL asks for TLS, and it was not said how the server is to be known: give roots, a pinned key, or accept \
         self-signed certificates"
    )]
    NoTls,
    /// `limits.max_connections`, or as many as a service thread can tell apart.
    #[error("no further connection is possible: limits.max_connections is reached")]
    TooMany,
    /// The service thread begins nothing any more.
    #[error("the host is going away and connects to nothing any more")]
    Draining,
}
