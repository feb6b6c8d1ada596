//! What is wrong with a server, in the words of its client: what was found, and what would mend it.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::wire::http_date;

/// Tells why TLS with the server `name` has failed.
pub(super) fn told(error: &Error, name: &str) -> String {
    match error {
        Error::InvalidCertificate(fault) => certificate(fault, name),
        Error::InvalidMessage(_) => format!(
            "what `{name}` sends is not TLS: {error}; a server without TLS is spoken to with ws:// in place of wss://"
        ),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            format!("`{name}` speaks another version of TLS: {error}; it needs 1.2 or 1.3")
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        ) => format!(
            "`{name}` asks for a certificate of ours, or for another one: {error}; give a config with one"
        ),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!(
                "the server does not know the name `{name}`: {error}; is the host of the URL right?"
            )
        }
        _ => format!("`{name}`: {error}"),
    }
}

fn certificate(fault: &CertificateError, name: &str) -> String {
    let mend = match fault {
        CertificateError::NotValidForNameContext { presented, .. } => {
            let found = match &presented[..] {
                [] => "no name".to_owned(),
                names => names.join(", "),
            };
            return format!(
                "the certificate of `{name}` is for {found} and not for `{name}`; is the host of the URL right?"
            );
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            let until = date(not_after.as_secs());
            return format!(
                "the certificate of `{name}` has expired: it was valid until {until}; it has to be renewed, or the clock of \
                 this machine is wrong"
            );
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let from = date(not_before.as_secs());
            return format!(
                "the certificate of `{name}` is not valid yet: it is from {from} on; is the clock of this machine right?"
            );
        }
        CertificateError::Other(other) => return format!("`{name}`: {}", other.0),
        CertificateError::UnknownIssuer => {
            "comes from an authority that is not trusted here, or from itself; give the authority as a root, pin the key of \
             the server, or accept self-signed certificates"
        }
        CertificateError::Revoked => "was called back by its authority; the server needs a new one",
        _ => return format!("the certificate of `{name}` will not do: {fault}"),
    };
    format!("the certificate of `{name}` {mend}")
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    http_date::format(seconds).unwrap_or_else(|| "a time out of reach".to_owned())
}
