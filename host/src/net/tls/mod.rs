//! TLS under a connection: rustls behind a few small types, so that nothing else of the host knows of it.
//!
//! `stream.rs` carries a connection, `choice.rs` says what is spoken with whom, `client.rs` how a server is known,
//! `server_fault.rs` what is wrong with one, `material.rs` reads certificates and keys, `judges.rs` what clients are judged
//! by, `keeper.rs` looks whether they have changed, `suites.rs` knows the names of cipher suites, `validity.rs` until when a
//! certificate holds. A host that is built without the feature `tls` has `absent.rs` in place of all of them.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use crate::wire::host_pattern::HostPattern;

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod choice;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod gathered;
#[cfg(feature = "tls")]
mod judges;
#[cfg(feature = "tls")]
mod keeper;
#[cfg(feature = "tls")]
mod material;
#[cfg(feature = "tls")]
mod server_fault;
#[cfg(feature = "tls")]
mod stream;
#[cfg(feature = "tls")]
mod suites;
#[cfg(all(test, feature = "tls"))]
pub(crate) mod test_certificates;
#[cfg(feature = "tls")]
mod validity;

#[cfg(not(feature = "tls"))]
pub(crate) use absent::TlsStream;
#[cfg(not(feature = "tls"))]
pub use absent::{ClientTlsConfig, PreparedTls, Tls, TlsKeeper, nearest_suites};
#[cfg(feature = "tls")]
pub use client::{ClientTlsConfig, platform_roots, read_roots};
#[cfg(feature = "tls")]
pub use keeper::{PreparedTls, Tls, TlsKeeper};
#[cfg(feature = "tls")]
pub use rustls::RootCertStore as Roots;
#[cfg(feature = "tls")]
pub(crate) use stream::TlsStream;
#[cfg(feature = "tls")]
pub use suites::nearest_suites;

/// Whether this host can speak TLS at all.
pub const IS_BUILT_IN: bool = cfg!(feature = "tls");

/// What listeners speak TLS with, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The chain of certificates, the host's own first. PEM.
    pub cert: PathBuf,
    /// The private key to the first certificate. PEM.
    pub key: PathBuf,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The cipher suites that may be agreed on, as rustls names them; empty for all that it has.
    pub suites: Vec<String>,
    /// What is asked of clients, if anything.
    pub clients: Option<ClientCertificates>,
    /// What is different for clients that ask for certain names.
    pub named: Vec<NamedTls>,
}

/// What is spoken with clients that ask for certain names (SNI, RFC 6066 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTls {
    /// What listeners call it by that speak it with all clients that ask for nothing else they have.
    pub name: String,
    /// The names that clients ask for.
    pub hosts: Vec<HostPattern>,
    /// As [`TlsSettings::cert`].
    pub cert: PathBuf,
    /// As [`TlsSettings::key`].
    pub key: PathBuf,
    /// As [`TlsSettings::clients`].
    pub clients: Option<ClientCertificates>,
}

impl TlsSettings {
    /// A certificate and its key, and the defaults for all the rest.
    #[must_use]
    pub fn new(cert: PathBuf, key: PathBuf) -> Self {
        Self {
            cert,
            key,
            min_version: TlsVersion::Tls12,
            suites: Vec::new(),
            clients: None,
            named: Vec::new(),
        }
    }

    /// What is asked of clients by the one of this name, which may be the usual one.
    #[must_use]
    pub fn clients_of(&self, name: &str) -> Option<&ClientCertificates> {
        let named = self.named.iter().find(|named| named.name == name);
        named.map_or(&self.clients, |named| &named.clients).as_ref()
    }

    /// Every file that they name, and every directory, once.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let usual = (&self.cert, &self.key, &self.clients);
        let named = self.named.iter();
        let named = named.map(|named| (&named.cert, &named.key, &named.clients));
        let mut files = BTreeSet::new();
        for (cert, key, clients) in named.chain([usual]) {
            files.extend([cert.as_path(), key.as_path()]);
            let of_clients = clients.iter();
            let of_clients =
                of_clients.flat_map(|clients| clients.authorities.iter().chain(&clients.revoked));
            files.extend(of_clients.map(PathBuf::as_path));
        }
        files.into_iter()
    }
}

/// What is asked of the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// The authorities whose certificates are accepted: PEM files, and directories whose `.pem` and `.crt` are.
    pub authorities: Vec<PathBuf>,
    /// A client without a certificate is refused.
    pub is_required: bool,
    /// Lists of certificates that were called back. PEM. When there is one, each authority of a chain needs one that has
    /// not expired.
    pub revoked: Vec<PathBuf>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// What was agreed on in a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFacts<'a> {
    /// The version as it stands in the protocol: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3.
    pub version: u16,
    /// The name of the cipher suite.
    pub suite: &'static str,
    /// The name that the client asked for (SNI); its own end tells an address too.
    pub server_name: Option<&'a str>,
    /// Which of [`TlsSettings::named`] the handshake was by, and the client judged; none for what is usual.
    pub chosen: Option<&'a str>,
    /// The protocol that both have named (ALPN).
    pub application_protocol: Option<&'a [u8]>,
    /// The peer's own certificate in DER.
    pub peer_certificate: Option<&'a [u8]>,
    /// The peer holds the key of that certificate, which comes from an authority that the host was told to trust; a server
    /// is also the one that was asked for, or holds the key that was pinned. False where any certificate is accepted.
    pub is_peer_checked: bool,
}

/// Why TLS cannot be spoken as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFault {
    /// Which part of the config: `tls.cert`.
    pub what: &'static str,
    /// The file, or what was written.
    pub place: String,
    /// What is wrong with it.
    pub cause: String,
    /// What would mend it.
    pub mend: String,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            place,
            cause,
            mend,
        } = self;
        write!(f, "{what}: {place}: {cause}; {mend}")
    }
}

impl std::error::Error for TlsFault {}
