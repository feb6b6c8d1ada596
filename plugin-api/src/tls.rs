//! What was agreed on with TLS, as plugins see it.

/// What was agreed on in the TLS handshake of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls<'a> {
    /// The version.
    pub version: TlsVersion,
    /// The name of the cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub suite: &'a str,
    /// The name of the server that the peer asked for (SNI). Only what it said: it may differ from the field Host.
    pub server_name: Option<&'a str>,
    /// The protocol that was agreed on (ALPN); none when the peer offered none.
    pub application_protocol: Option<&'a [u8]>,
    /// The peer's own certificate in DER; none when it showed none.
    pub peer_certificate: Option<&'a [u8]>,
    /// That certificate comes from an authority that the host was told to trust, and the peer holds the key to it.
    /// Nothing may be believed of a certificate without it.
    pub is_peer_checked: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
    /// One that this version of the crate does not know.
    Other,
}
