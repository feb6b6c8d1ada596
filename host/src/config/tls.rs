//! What is set for TLS.

use std::path::PathBuf;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::error::Fault;
use super::overrides::Overrides;
use super::reader::{Located, Reader};
use crate::net::tls::{
    ClientCertificates, IS_BUILT_IN, NamedCertificate, TlsSettings, TlsVersion, nearest_suites,
};

const KEYS: &[&str] = &[
    "cert",
    "key",
    "min_version",
    "suites",
    "client_ca",
    "client_cert",
    "crls",
];

/// The part `tls`. None when something that it cannot be without is missing, which is noted then.
pub(super) fn tls(value: &Value<'_>, reader: &Reader<'_>) -> Option<TlsSettings> {
    let mut written = Written::default();
    let properties = reader.properties(value, "tls");
    let has = |name: &str| properties.iter().any(|(key, _)| key.value == name);
    if value.as_object().is_some() {
        for key in ["cert", "key"].into_iter().filter(|key| !has(key)) {
            let mend = "write \"cert\": \"chain.pem\" and \"key\": \"key.pem\"";
            reader.refuse(value.range(), format!("`tls` names no `{key}`"), mend);
        }
        let of_clients = ["client_cert", "crls"].into_iter().find(|key| has(key));
        if let Some(key) = of_clients.filter(|_| !has("client_ca")) {
            let cause = format!(
                "`{key}` says what is asked of clients, and no `client_ca` whom to believe"
            );
            let mend = "write \"client_ca\": \"authorities.pem\" too";
            reader.refuse(value.range(), cause, mend);
        }
    }
    if !IS_BUILT_IN {
        let mend = "build it with the feature `tls`, or leave the key out";
        reader.refuse(value.range(), "this host was built without TLS", mend);
    }
    let beside = |path: Option<String>| path.map(|path| reader.beside(&path));
    for (key, value) in properties {
        match key.value {
            "cert" => written.cert = beside(reader.path(value, "cert", "chain.pem")),
            "key" => written.key = beside(reader.path(value, "key", "key.pem")),
            "min_version" => written.min_version = min_version(value, reader),
            "suites" => written.suites = suites(value, reader),
            "client_ca" => {
                written.authorities = beside(reader.path(value, "client_ca", "authorities.pem"));
            }
            "client_cert" => written.is_optional = is_optional(value, reader),
            "crls" => {
                let paths = reader.strings(value, "crls", "revoked.pem");
                written.revoked = paths
                    .iter()
                    .map(|path| reader.beside(&path.value))
                    .collect();
            }
            _ => reader.refuse_key(&key, KEYS),
        }
    }
    written.resolve()
}

/// The part `tls` of a vhost that has a name: its certificate and nothing else. Versions, suites and what is asked of
/// clients stand at the top.
pub(super) fn certificate(
    value: &Value<'_>,
    reader: &Reader<'_>,
) -> Option<Located<NamedCertificate>> {
    let (mut cert, mut key_file) = (None, None);
    for (key, value) in reader.properties(value, "tls") {
        match key.value {
            "cert" => cert = reader.path(value, "cert", "chain.pem"),
            "key" => key_file = reader.path(value, "key", "key.pem"),
            _ => reader.refuse_key(&key, &["cert", "key"]),
        }
    }
    let (Some(cert), Some(key_file)) = (cert, key_file) else {
        let cause = "`tls` of a vhost names both a `cert` and its `key`";
        let mend = "write \"cert\": \"chain.pem\" and \"key\": \"key.pem\"";
        reader.refuse(value.range(), cause, mend);
        return None;
    };
    Some(Located {
        value: NamedCertificate {
            hosts: Vec::new(),
            cert: reader.beside(&cert),
            key: reader.beside(&key_file),
        },
        range: value.range(),
    })
}

/// What was written of it.
#[derive(Default)]
struct Written {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    min_version: Option<TlsVersion>,
    suites: Vec<String>,
    authorities: Option<PathBuf>,
    is_optional: bool,
    revoked: Vec<PathBuf>,
}

impl Written {
    fn resolve(self) -> Option<TlsSettings> {
        let clients = self.authorities.map(|authorities| ClientCertificates {
            authorities,
            is_required: !self.is_optional,
            revoked: self.revoked,
        });
        Some(TlsSettings {
            min_version: self.min_version.unwrap_or_default(),
            suites: self.suites,
            clients,
            ..TlsSettings::new(self.cert?, self.key?)
        })
    }
}

fn min_version(value: &Value<'_>, reader: &Reader<'_>) -> Option<TlsVersion> {
    reader.word(value, "min_version", &["1.2", "1.3"], |word| match word {
        "1.2" => Some(TlsVersion::Tls12),
        "1.3" => Some(TlsVersion::Tls13),
        _ => None,
    })
}

fn is_optional(value: &Value<'_>, reader: &Reader<'_>) -> bool {
    let words = ["required", "optional"];
    let optional = reader.word(value, "client_cert", &words, |word| match word {
        "required" => Some(false),
        "optional" => Some(true),
        _ => None,
    });
    optional.unwrap_or_default()
}

/// Suites by the names that rustls gives them. A string is what OpenSSL wants, and refused with what may be meant.
fn suites(value: &Value<'_>, reader: &Reader<'_>) -> Vec<String> {
    if let Some(string) = value.as_string_lit() {
        let words = string.value.split([':', ',', ' ']);
        let named = words.filter(|word| word.starts_with(|first: char| first.is_alphanumeric()));
        let mut meant: Vec<_> = named
            .filter_map(|word| Some(nearest_suites(word)?.first().copied()?.to_owned()))
            .collect();
        meant.dedup();
        let mend =
            format!("write a list of names of rustls, nearest is {meant:?}; or leave the key out");
        let cause = "`suites` is a list of names, and not a cipher string of OpenSSL";
        reader.refuse(string.range, cause, mend);
        return Vec::new();
    }
    let names = reader.strings(value, "suites", "TLS13_AES_256_GCM_SHA384");
    for name in &names {
        if let Some(nearest) = nearest_suites(&name.value).filter(|_| IS_BUILT_IN) {
            let cause = format!("`{}` is no cipher suite of this host", name.value);
            let mend = format!("write for example {}", nearest.join(" or "));
            reader.refuse(name.range, cause, mend);
        }
    }
    names.into_iter().map(|name| name.value).collect()
}

/// What the file says, with the certificate and key of flags or environment in place of its own.
pub(super) fn overridden(
    written: Option<TlsSettings>,
    overrides: &Overrides,
    reader: &Reader<'_>,
) -> Option<TlsSettings> {
    let settings = match (&overrides.tls_cert, &overrides.tls_key) {
        (None, None) => return written,
        (Some(cert), Some(key)) => {
            let usual = || TlsSettings::new(cert.clone(), key.clone());
            TlsSettings {
                cert: cert.clone(),
                key: key.clone(),
                ..written.unwrap_or_else(usual)
            }
        }
        (cert, _) => {
            let (said, missing) = match cert {
                Some(_) => ("--tls-cert", "--tls-key"),
                None => ("--tls-key", "--tls-cert"),
            };
            reader.refuse_outside(Fault::of(
                said,
                "a certificate and its key go together",
                format!(
                    "say {missing} FILE too, or both by HOTSOCKET_TLS_CERT and HOTSOCKET_TLS_KEY"
                ),
            ));
            return written;
        }
    };
    if !IS_BUILT_IN {
        let mend = "build it with the feature `tls`, or leave the flag out";
        reader.refuse_outside(Fault::of(
            "--tls-cert",
            "this host was built without TLS",
            mend,
        ));
    }
    Some(settings)
}

#[cfg(all(test, feature = "tls"))]
mod tests;

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use std::path::Path;

    use crate::config::{Overrides, resolve};

    #[test]
    fn seed_3_11_a_host_that_was_built_without_tls_says_so() {
        let text = r#"{"tls": {"cert": "c", "key": "k"}}"#;
        let refused = resolve(Path::new("c.json"), text, &Overrides::default()).unwrap_err();
        assert!(
            refused.to_string().contains("built without TLS"),
            "{refused}"
        );
        let overrides = Overrides {
            tls_cert: Some("c".into()),
            tls_key: Some("k".into()),
            ..Overrides::default()
        };
        let refused = resolve(Path::new("c.json"), "{}", &overrides).unwrap_err();
        assert!(
            refused.to_string().contains("built without TLS"),
            "{refused}"
        );
    }
}
