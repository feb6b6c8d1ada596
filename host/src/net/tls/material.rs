//! Certificates and keys: read from PEM files, and what rustls makes of them.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    ConfigBuilder, ServerConfig, WantsVerifier,
    crypto::{CryptoProvider, aws_lc_rs::Ticketer},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, ProducesTickets},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use crate::net::tls::{
    ClientCertificates, TlsFault, TlsSettings, TlsVersion, choice::Choice, judges::verifier,
    suites, validity::not_after,
};

/// A larger file is refused unread: it is the wrong file.
const MOST_FILE_BYTES: u64 = 16 << 20;
/// Those who may not read a private key: all but its owner and its group.
const OTHERS: u32 = 0o007;
/// The one protocol that is spoken over TLS (ALPN). A client that offers others only is refused: RFC 7301 section 3.2.
const HTTP_1_1: &[u8] = b"http/1.1";

/// All that new connections need.
pub(super) struct Material {
    pub(super) choice: Arc<Choice>,
    /// The files of the host's own certificates, and when these do not hold any more.
    pub(super) ends: Vec<(PathBuf, Option<SystemTime>)>,
    /// By name; none is the usual one.
    rules: HashMap<Option<String>, Rule>,
}

/// What clients are judged by, and the tickets of those who were.
struct Rule {
    /// As it stands in the files.
    judged_by: Vec<Vec<u8>>,
    tickets: Arc<dyn ProducesTickets>,
}

/// Reads the files of `settings`. Sessions that began with `previous` can be resumed, unless clients are judged by
/// something else now: whoever resumes is not judged again.
pub(super) fn load(
    settings: &TlsSettings,
    previous: Option<&Material>,
) -> Result<Material, TlsFault> {
    let provider = suites::provider(&settings.suites).map_err(unknown_suite)?;
    let mut loading = Loading {
        settings,
        provider: Arc::new(provider),
        previous,
        keys: BTreeMap::new(),
        rules: HashMap::new(),
    };
    let usual = loading.config(None, (&settings.cert, &settings.key), &settings.clients)?;
    let mut choice = Choice::new(usual);
    for named in &settings.named {
        let files = (&*named.cert, &*named.key);
        let config = loading.config(Some(&named.name), files, &named.clients)?;
        choice.add(&named.name, &named.hosts, config);
    }
    let keys = loading.keys.iter();
    Ok(Material {
        choice: Arc::new(choice),
        ends: keys.map(|((cert, _), key)| end_of(cert, key)).collect(),
        rules: loading.rules,
    })
}

/// What was read so far.
struct Loading<'a> {
    settings: &'a TlsSettings,
    provider: Arc<CryptoProvider>,
    previous: Option<&'a Material>,
    /// By the files of the certificate and its key. Those that several name are read once.
    keys: BTreeMap<(PathBuf, PathBuf), Arc<CertifiedKey>>,
    rules: HashMap<Option<String>, Rule>,
}

impl Loading<'_> {
    /// What the one of this name speaks.
    fn config(
        &mut self,
        name: Option<&str>,
        (cert, key): (&Path, &Path),
        clients: &Option<ClientCertificates>,
    ) -> Result<Arc<ServerConfig>, TlsFault> {
        let own = self.certified_key(cert, key)?;
        let builder = builder(self.settings, &self.provider)?;
        let mut judged_by = Vec::new();
        let builder = match clients {
            Some(clients) => {
                let verifier = verifier(clients, &self.provider, &mut judged_by)?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.ticketer = self.tickets(name, judged_by)?;
        // Tickets are kept by the clients, so nothing is kept here, and no lock is shared.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Arc::new(config))
    }

    fn certified_key(&mut self, cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsFault> {
        let files = (cert.to_owned(), key.to_owned());
        if let Some(read) = self.keys.get(&files) {
            return Ok(Arc::clone(read));
        }
        let read = Arc::new(certified_key(cert, key, &self.provider)?);
        self.keys.insert(files, Arc::clone(&read));
        Ok(read)
    }

    /// The tickets that those get who were judged by this: new ones, or those of before.
    fn tickets(
        &mut self,
        name: Option<&str>,
        judged_by: Vec<Vec<u8>>,
    ) -> Result<Arc<dyn ProducesTickets>, TlsFault> {
        let name = name.map(str::to_owned);
        let before = self.previous.and_then(|before| before.rules.get(&name));
        let tickets = match before {
            Some(before) if before.judged_by == judged_by => Arc::clone(&before.tickets),
            _ => Ticketer::new().map_err(|error| TlsFault {
                what: "tls",
                place: "session tickets".into(),
                cause: error.to_string(),
                mend: "the operating system has no random numbers; start again".into(),
            })?,
        };
        let rule = Rule {
            judged_by,
            tickets: Arc::clone(&tickets),
        };
        self.rules.insert(name, rule);
        Ok(tickets)
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

pub(super) fn open(what: &'static str, path: &Path) -> Result<File, TlsFault> {
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

pub(super) fn read(what: &'static str, path: &Path, file: File) -> Result<Vec<u8>, TlsFault> {
    let mut bytes = Vec::new();
    let read = file.take(MOST_FILE_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(what, path, &error))?;
    Ok(bytes)
}

pub(super) fn unreadable(what: &'static str, path: &Path, error: &std::io::Error) -> TlsFault {
    let mend = "name a PEM file that this host may read";
    fault(what, path, format!("cannot be read: {error}"), mend)
}

pub(super) fn fault(
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
