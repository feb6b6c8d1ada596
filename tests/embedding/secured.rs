//! Hosts that speak TLS, with a certificate of their own.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use hotsocket::{HostConfig, net::tls::TlsSettings};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};

use crate::anywhere;

/// A config whose listener speaks TLS, and what a client goes by that trusts its certificate.
pub(crate) fn secured(directory: &Path) -> (HostConfig, ClientConfig) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (cert_path, key_path) = (directory.join("cert.pem"), directory.join("key.pem"));
    fs::write(&cert_path, certificate.pem()).unwrap();
    fs::write(&key_path, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).unwrap();
    let config = HostConfig {
        listen: vec![anywhere().into()],
        tls: Some(TlsSettings::new(cert_path, key_path)),
        ..HostConfig::default()
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots);
    (config, client.with_no_client_auth())
}
