//! Certificates for tests: an authority of their own, and what it signs, as files.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::TempDir;

use crate::net::tls::{ClientCertificates, TlsSettings};

/// An authority and the directory its files are in.
pub(crate) struct Authority {
    pub(crate) directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let authority = Self {
            directory: TempDir::new().unwrap(),
            issuer: Issuer::new(params, key),
            certificate: certificate.der().clone(),
        };
        authority.write("ca.pem", certificate.pem().as_bytes());
        authority
    }

    /// A new certificate for `name` with a new key.
    pub(crate) fn sign(&self, name: &str, serial: u64) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        (self.sign_params(params, &key), key)
    }

    /// A certificate for this key.
    pub(crate) fn sign_params(
        &self,
        params: CertificateParams,
        key: &KeyPair,
    ) -> rcgen::Certificate {
        params.signed_by(key, &self.issuer).unwrap()
    }

    /// What a client shows for itself.
    pub(crate) fn client(
        &self,
        serial: u64,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.sign("client", serial);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (vec![certificate.der().clone()], key.into())
    }

    /// Settings with a new certificate, in place of the one there was.
    pub(crate) fn settings(&self, serial: u64) -> TlsSettings {
        let (certificate, key) = self.sign("localhost", serial);
        let cert = self.write("cert.pem", certificate.pem().as_bytes());
        let key = self.write("key.pem", key.serialize_pem().as_bytes());
        TlsSettings::new(cert, key)
    }

    /// The same, and clients need a certificate of this authority.
    pub(crate) fn settings_with_clients(&self, is_required: bool) -> TlsSettings {
        let mut settings = self.settings(1);
        settings.clients = Some(ClientCertificates {
            authorities: vec![self.directory.path().join("ca.pem")],
            is_required,
            revoked: Vec::new(),
        });
        settings
    }

    /// A list on which a certificate stands as called back.
    pub(crate) fn revoke(&self, serial: u64) -> PathBuf {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2200, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).unwrap().pem().unwrap();
        self.write("crl.pem", list.as_bytes())
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// Puts a file in place of what has its name, readable by us only.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        let new = self.directory.path().join("new");
        put(&new, bytes);
        fs::rename(new, &path).unwrap();
        path
    }
}

fn put(path: &Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(bytes).unwrap();
}
