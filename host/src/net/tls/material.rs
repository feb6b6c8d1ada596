//! Certificates, keys and lists of revoked certificates: read from PEM files, and what rustls makes of them.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier,
    crypto::{CryptoProvider, aws_lc_rs::Ticketer},
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
        WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::{
    net::tls::{
        ClientCertificates, TlsFault, TlsSettings, TlsVersion, suites, validity::not_after,
    },
    wire::host_pattern::HostMap,
};

/// A larger file is refused unread: it is the wrong file.
const MOST_FILE_BYTES: u64 = 16 << 20;
/// Those who may not read a private key: all but its owner and its group.
const OTHERS: u32 = 0o007;
/// The one protocol that is spoken over TLS (ALPN). A client that offers others only is refused: RFC 7301 section 3.2.
const HTTP_1_1: &[u8] = b"http/1.1";

/// All that new connections need.
pub(super) struct Material {
    pub(super) config: Arc<ServerConfig>,
    /// The files of the host's own certificates, and when these do not hold any more.
    pub(super) ends: Vec<(PathBuf, Option<SystemTime>)>,
    tickets: Arc<dyn ProducesTickets>,
    /// What clients are judged by, as it stands in the files.
    judged_by: Vec<Vec<u8>>,
}

/// Reads the files of `settings`. Sessions that began with `previous` can be resumed, unless clients are judged by
/// something else now: whoever resumes is not judged again.
pub(super) fn load(
    settings: &TlsSettings,
    previous: Option<&Material>,
) -> Result<Material, TlsFault> {
    let provider = suites::provider(&settings.suites).map_err(unknown_suite)?;
    let provider = Arc::new(provider);
    let own = certified_key(&settings.cert, &settings.key, &provider)?;
    let mut ends = vec![end_of(&settings.cert, &own)];
    let mut named = HostMap::default();
    for certificate in &settings.named {
        let own = certified_key(&certificate.cert, &certificate.key, &provider)?;
        ends.push(end_of(&certificate.cert, &own));
        let own = Arc::new(own);
        for host in &certificate.hosts {
            named.insert(host.clone(), Arc::clone(&own));
        }
    }
    let mut judged_by = Vec::new();
    let builder = builder(settings, &provider)?;
    let builder = match &settings.clients {
        Some(clients) => {
            let verifier = verifier(clients, &provider, &mut judged_by)?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates {
        usual: own.into(),
        named,
    }));
    let tickets = match previous {
        Some(previous) if previous.judged_by == judged_by => Arc::clone(&previous.tickets),
        _ => Ticketer::new().map_err(|error| TlsFault {
            what: "tls",
            place: "session tickets".into(),
            cause: error.to_string(),
            mend: "the operating system has no random numbers; start again".into(),
        })?,
    };
    config.ticketer = Arc::clone(&tickets);
    // Tickets are kept by the clients, so nothing is kept here, and no lock is shared.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Material {
        config: Arc::new(config),
        ends,
        tickets,
        judged_by,
    })
}

/// Which certificate a client is shown.
#[derive(Debug)]
struct Certificates {
    /// For clients that name no host, or one that is not here.
    usual: Arc<CertifiedKey>,
    named: HostMap<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.named.find(name));
        Some(Arc::clone(named.unwrap_or(&self.usual)))
    }
}

/// When a certificate does not hold any more.
fn end_of(path: &Path, key: &CertifiedKey) -> (PathBuf, Option<SystemTime>) {
    let end = key.cert.first().and_then(|leaf| not_after(leaf));
    (path.to_owned(), end)
}

fn builder(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsFault> {
    let versions = match settings.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    builder
        .with_protocol_versions(versions)
        .map_err(|error| TlsFault {
            what: "tls.suites",
            place: settings.suites.join(", "),
            cause: error.to_string(),
            mend: "name a suite of a version that `min_version` allows, or leave `suites` out"
                .into(),
        })
}

fn unknown_suite(name: &str) -> TlsFault {
    let nearest = suites::nearest_suites(name).unwrap_or_default();
    TlsFault {
        what: "tls.suites",
        place: name.to_owned(),
        cause: "is no cipher suite of this host".into(),
        mend: format!("write for example {}", nearest.join(" or ")),
    }
}

/// The chain and the key to it.
fn certified_key(
    cert: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFault> {
    let chain = certificates("tls.cert", cert)?;
    let pem = read_key(key)?;
    let parsed = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let is_encrypted = contains(&pem, b"ENCRYPTED");
        let (cause, mend) = match error {
            pem::Error::NoItemsFound if is_encrypted => (
                "the private key is encrypted, and nobody could be asked for its password"
                    .to_owned(),
                "decrypt it with `openssl pkey -in FILE -out NEW`, readable by this host only",
            ),
            pem::Error::NoItemsFound => (
                "no private key stands in it".to_owned(),
                "name a PEM file with BEGIN PRIVATE KEY",
            ),
            error => (error.to_string(), "write it again: it is no whole PEM file"),
        };
        fault("tls.key", key, cause, mend)
    })?;
    CertifiedKey::from_der(chain, parsed, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => fault(
            "tls.key",
            key,
            format!("the key is not that of the first certificate in {}", cert.display()),
            "name the key that the certificate was asked for with, and the host's own certificate first in the chain",
        ),
        rustls::Error::InvalidCertificate(error) => fault(
            "tls.cert",
            cert,
            format!("the first certificate cannot be read: {error:?}"),
            "write the chain again, in PEM, the host's own certificate first",
        ),
        error => fault("tls.key", key, error.to_string(), "use an RSA, ECDSA or Ed25519 key in PEM"),
    })
}

fn read_key(path: &Path) -> Result<Vec<u8>, TlsFault> {
    let file = open("tls.key", path)?;
    let unread = |error| unreadable("tls.key", path, &error);
    let mode = file.metadata().map_err(unread)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        let cause = format!(
            "everybody on this machine may read or write the private key: its mode is {mode:04o}"
        );
        let mend = format!(
            "run `chmod 0600 {}`, and ask for a new one if others were here",
            path.display()
        );
        return Err(fault("tls.key", path, cause, mend));
    }
    read("tls.key", path, file)
}

pub(super) fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let pem = read(what, path, open(what, path)?)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => {
            let mend = "name a PEM file with BEGIN CERTIFICATE";
            Err(fault(what, path, "no certificate stands in it", mend))
        }
        Ok(found) => Ok(found),
        Err(error) => {
            let mend = "write it again: it is no whole PEM file";
            Err(fault(what, path, error.to_string(), mend))
        }
    }
}

/// What judges the certificates of clients. What it was made of is added to `judged_by`.
fn verifier(
    clients: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
    judged_by: &mut Vec<Vec<u8>>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let path = &*clients.authorities;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.client_ca", path)? {
        judged_by.push(certificate.to_vec());
        roots.add(certificate).map_err(|error| {
            let mend = "name certificates of authorities";
            fault("tls.client_ca", path, error.to_string(), mend)
        })?;
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
    let mend = "name certificates of authorities, and lists that they have signed";
    builder
        .build()
        .map_err(|error| fault("tls.client_ca", path, error.to_string(), mend))
}

fn open(what: &'static str, path: &Path) -> Result<File, TlsFault> {
    let file = File::open(path).map_err(|error| unreadable(what, path, &error))?;
    let size = fs::metadata(path).map_or(0, |found| found.len());
    if size > MOST_FILE_BYTES {
        let mend = "name a PEM file";
        return Err(fault(
            what,
            path,
            format!("{size} bytes are too many for one"),
            mend,
        ));
    }
    Ok(file)
}

fn read(what: &'static str, path: &Path, file: File) -> Result<Vec<u8>, TlsFault> {
    let mut bytes = Vec::new();
    let read = file.take(MOST_FILE_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(what, path, &error))?;
    Ok(bytes)
}

fn unreadable(what: &'static str, path: &Path, error: &std::io::Error) -> TlsFault {
    let mend = "name a PEM file that this host may read";
    fault(what, path, format!("cannot be read: {error}"), mend)
}

fn fault(
    what: &'static str,
    path: &Path,
    cause: impl Into<String>,
    mend: impl Into<String>,
) -> TlsFault {
    TlsFault {
        what,
        place: path.display().to_string(),
        cause: cause.into(),
        mend: mend.into(),
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}
