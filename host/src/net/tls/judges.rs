//! What clients are judged by: authorities and lists of revoked certificates, read from files and directories.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateRevocationListDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::net::tls::{
    ClientCertificates, TlsFault,
    material::{certificates, fault, open, read},
};

/// What the files of a directory end in that are looked at.
const ENDINGS: [&str; 2] = ["pem", "crt"];

/// What judges the certificates of clients. What it was made of is added to `judged_by`.
pub(super) fn verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
    judged_by: &mut Vec<Vec<u8>>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let mut roots = RootCertStore::empty();
    for path in &clients.authorities {
        add_authorities(path, &mut roots, judged_by)?;
    }
    let mut revoked = Vec::new();
    for path in &clients.revoked {
        let pem = read("tls.crls", path, open("tls.crls", path)?)?;
        let before = revoked.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&pem) {
            let mend = "write it again: it is no whole PEM file";
            revoked.push(list.map_err(|error| fault("tls.crls", path, error.to_string(), mend))?);
        }
        if revoked.len() == before {
            let mend = "name a PEM file with BEGIN X509 CRL";
            return Err(fault("tls.crls", path, "no list stands in it", mend));
        }
        judged_by.push(pem);
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if !revoked.is_empty() {
        // A list that is out of date says nothing of those who were called back since.
        builder = builder.with_crls(revoked).enforce_revocation_expiration();
    }
    if !clients.is_required {
        builder = builder.allow_unauthenticated();
    }
    judged_by.push(vec![u8::from(clients.is_required)]);
    builder.build().map_err(|error| {
        let path = clients.authorities.first();
        let path = path.map_or_else(|| Path::new(""), PathBuf::as_path);
        let mend = "name certificates of authorities, and lists that they have signed";
        fault("tls.client_ca", path, error.to_string(), mend)
    })
}

/// Adds the certificates of a file, or of all files of a directory.
fn add_authorities(
    path: &Path,
    roots: &mut RootCertStore,
    judged_by: &mut Vec<Vec<u8>>,
) -> Result<(), TlsFault> {
    let files = files_at(path);
    if files.is_empty() {
        let mend = "put PEM files that end in `.pem` or `.crt` there, or name a file";
        return Err(fault(
            "tls.client_ca",
            path,
            "the directory has no authority",
            mend,
        ));
    }
    for path in files {
        for certificate in certificates("tls.client_ca", &path)? {
            judged_by.push(certificate.to_vec());
            roots.add(certificate).map_err(|error| {
                let mend = "name certificates of authorities";
                fault("tls.client_ca", &path, error.to_string(), mend)
            })?;
        }
    }
    Ok(())
}

/// The files that a path stands for: itself, or those of a directory, in order of their names.
pub(super) fn files_at(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let ending = path.extension().unwrap_or_default();
            ENDINGS.iter().any(|known| ending == *known)
        })
        .collect();
    files.sort();
    files
}
