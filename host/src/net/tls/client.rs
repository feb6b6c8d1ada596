//! How a client knows the server that it speaks to: by the authorities of the platform or by given ones, by its key, or
//! not at all.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, RootCertStore, SignatureScheme, WantsVerifier,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest, Sha256};

use crate::net::tls::{TlsFault, material};

/// The one protocol that is spoken (ALPN, RFC 7301).
const HTTP_1: &[u8] = b"http/1.1";

/// What a client speaks TLS with. To be made once and kept, with the tickets by which servers know it again.
pub struct ClientTlsConfig {
    config: Arc<ClientConfig>,
    is_checked: bool,
}

/// The authorities that the platform trusts.
///
/// # Errors
///
/// When it has none, or they cannot be read.
pub fn platform_roots() -> Result<RootCertStore, TlsFault> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores have certificates that are older than today's rules; those are left out.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let errors = found.errors.iter().map(ToString::to_string);
    let cause = errors.reduce(|all, one| all + ", " + &one);
    Err(TlsFault {
        what: "roots",
        place: "the certificates of the platform".into(),
        cause: cause.unwrap_or_else(|| "there is none".into()),
        mend: "install ca-certificates, name a file with SSL_CERT_FILE, or give roots".into(),
    })
}

/// Adds the authorities of a PEM file.
///
/// # Errors
///
/// When it cannot be read, or what stands in it.
pub fn read_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsFault> {
    for certificate in material::certificates("roots", path)? {
        roots.add(certificate).map_err(|error| TlsFault {
            what: "roots",
            place: path.display().to_string(),
            cause: format!("a certificate in it is no authority: {error}"),
            mend: "name a PEM file with the certificates of authorities".into(),
        })?;
    }
    Ok(())
}

impl ClientTlsConfig {
    /// Servers are known by certificates of these authorities for their name.
    ///
    /// # Errors
    ///
    /// When TLS cannot be spoken at all.
    pub fn trusting(roots: RootCertStore) -> Result<Arc<Self>, TlsFault> {
        let builder = builder()?.with_root_certificates(roots);
        Ok(Self::given(builder.with_no_client_auth()))
    }

    /// A server is known by its key: by the SHA-256 of the SubjectPublicKeyInfo of its certificate. Who has signed that, for
    /// which name and until when, does not matter.
    ///
    /// # Errors
    ///
    /// When TLS cannot be spoken at all.
    pub fn pinned(key_sha256: [u8; 32]) -> Result<Arc<Self>, TlsFault> {
        Self::judging(Some(key_sha256))
    }

    /// Any server is accepted, whatever its certificate says: nobody who reads along learns anything, but anybody may be at
    /// the other end. Facts of the session say so.
    ///
    /// # Errors
    ///
    /// When TLS cannot be spoken at all.
    pub fn accepting_self_signed() -> Result<Arc<Self>, TlsFault> {
        Self::judging(None)
    }

    /// As this says; servers that it accepts count as checked. Where it names no protocol (ALPN), `http/1.1` is.
    #[must_use]
    pub fn given(config: ClientConfig) -> Arc<Self> {
        Self::with(config, true)
    }

    fn with(mut config: ClientConfig, is_checked: bool) -> Arc<Self> {
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols.push(HTTP_1.to_vec());
        }
        Arc::new(Self {
            config: Arc::new(config),
            is_checked,
        })
    }

    fn judging(key_sha256: Option<[u8; 32]>) -> Result<Arc<Self>, TlsFault> {
        let builder = builder()?;
        let judge = ByKey {
            key_sha256,
            provider: Arc::clone(builder.crypto_provider()),
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge));
        let is_checked = key_sha256.is_some();
        Ok(Self::with(builder.with_no_client_auth(), is_checked))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Whether a server that is spoken to is the one that is meant.
    pub(super) const fn is_checked(&self) -> bool {
        self.is_checked
    }
}

impl fmt::Debug for ClientTlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTlsConfig")
            .field("is_checked", &self.is_checked)
            .finish_non_exhaustive()
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsFault> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    builder
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFault {
            what: "tls",
            place: "this host".into(),
            cause: error.to_string(),
            mend: "build it with the cipher suites of TLS 1.2 and 1.3".into(),
        })
}

/// Accepts the holder of one key, or of any.
#[derive(Debug)]
struct ByKey {
    key_sha256: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

/// The server has another key than the one that is pinned.
#[derive(Debug, thiserror::Error)]
#[error(
    "the key of the server has the SHA-256 {found}, and {pinned} is pinned; if the server has a new key, pin that one"
)]
struct OtherKey {
    found: String,
    pinned: String,
}

impl ServerCertVerifier for ByKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pinned) = self.key_sha256 {
            let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
            let found: [u8; 32] = Sha256::digest(&key).into();
            if found != pinned {
                let other = OtherKey {
                    found: hex(&found),
                    pinned: hex(&pinned),
                };
                let other = OtherError(Arc::new(other));
                return Err(CertificateError::Other(other).into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
