//! An authority, the certificates it signs, and clients that trust it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tempfile::TempDir;
use tungstenite::WebSocket;

use crate::support::{DEADLINE, RawPeer};

/// A blocking connection of rustls.
pub(super) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// An authority and its files.
pub(super) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Whoever is named as their signer would be taken to have signed itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.self_signed(&key).expect("our own key");
        let authority = Self {
            directory: TempDir::new().expect("a temporary directory"),
            issuer: Issuer::new(params, key),
            certificate,
        };
        authority.write("ca.pem", &authority.certificate.pem());
        authority.renew(1);
        authority
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn sign(&self, serial: u64) -> (Certificate, KeyPair) {
        self.sign_for(&["localhost", "127.0.0.1"], serial)
    }

    /// A certificate for these names, and its key.
    pub(super) fn sign_for(&self, names: &[&str], serial: u64) -> (Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("random numbers");
        let certificate = params.signed_by(&key, &self.issuer);
        (certificate.expect("our own key"), key)
    }

    /// Puts a new certificate and its key in place of those that the server has; gives the certificate.
    pub(super) fn renew(&self, serial: u64) -> Vec<u8> {
        let (certificate, key) = self.sign(serial);
        self.write("key.pem", &key.serialize_pem());
        self.write("cert.pem", &certificate.pem());
        certificate.der().to_vec()
    }

    /// Puts a file in place of what has its name, readable by us only.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).expect("our own directory");
        set_mode(&new, 0o600);
        fs::rename(new, &path).expect("our own directory");
        path
    }

    /// What a client goes by that trusts this authority and shows a certificate of it.
    pub(super) fn client(&self) -> ClientConfig {
        self.client_of(Some(self), rustls::ALL_VERSIONS)
    }

    /// What a client goes by that trusts this authority and shows a certificate of `signer`, if any.
    pub(super) fn client_of(
        &self,
        signer: Option<&Self>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.der().clone())
            .expect("an authority");
        let builder = ClientConfig::builder_with_protocol_versions(versions);
        let builder = builder.with_root_certificates(roots);
        let Some(signer) = signer else {
            return builder.with_no_client_auth();
        };
        let (certificate, key) = signer.sign(7);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        builder
            .with_client_auth_cert(vec![certificate.der().clone()], key.into())
            .expect("our own key")
    }

    /// A connection of such a client.
    pub(super) fn connect(&self, address: SocketAddr) -> Secured {
        self.connect_to(address, "localhost")
    }

    /// A connection of such a client, which asks for this name and no other.
    pub(super) fn connect_to(&self, address: SocketAddr, name: &'static str) -> Secured {
        let transport = TcpStream::connect(address).expect("the server accepts");
        transport
            .set_read_timeout(Some(DEADLINE))
            .expect("a valid time");
        let name = ServerName::try_from(name).expect("a name");
        let tls = ClientConnection::new(Arc::new(self.client()), name).expect("a good config");
        StreamOwned::new(tls, transport)
    }

    /// A connection of a client that shows a certificate of another authority.
    pub(super) fn connect_as(&self, signer: &Self, address: SocketAddr) -> Secured {
        let transport = TcpStream::connect(address).expect("the server accepts");
        transport
            .set_read_timeout(Some(DEADLINE))
            .expect("a valid time");
        let name = ServerName::try_from("localhost").expect("a name");
        let config = Arc::new(self.client_of(Some(signer), rustls::ALL_VERSIONS));
        let tls = ClientConnection::new(config, name).expect("a good config");
        StreamOwned::new(tls, transport)
    }

    /// A peer of our own whose bytes go through such a connection.
    pub(super) fn peer(&self, address: SocketAddr) -> RawPeer {
        let secured = self.connect(address);
        let transport = secured.sock.try_clone().expect("one more descriptor");
        RawPeer::through(Box::new(secured), transport)
    }

    /// A session that tungstenite opens over it.
    pub(super) fn open(&self, address: SocketAddr, target: &str) -> WebSocket<Secured> {
        let url = format!("ws://localhost:{}{target}", address.port());
        let opened = tungstenite::client(url, self.connect(address));
        opened.expect("the opening handshake succeeds").0
    }
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
}
