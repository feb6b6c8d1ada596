//! What is set for TLS.

use std::path::PathBuf;

use jsonc_parser::ast::Value;
use jsonc_parser::common::{Range, Ranged};

use super::error::Fault;
use super::overrides::Overrides;
use super::reader::Reader;
use crate::net::tls::{
    ClientCertificates, IS_BUILT_IN, NamedTls, TlsSettings, TlsVersion, nearest_suites,
};
use crate::wire::host_pattern::HostPattern;

const KEYS: &[&str] = &["cert", "key", "min_version", "suites"];
const CLIENT_KEYS: &[&str] = &["client_ca", "client_cert", "crls"];
const MEND_OF_FILES: &str = "write \"cert\": \"chain.pem\" and \"key\": \"key.pem\"";

/// The part `tls`. None when something that it cannot be without is missing, which is noted then.
pub(super) fn tls(value: &Value<'_>, reader: &Reader<'_>) -> Option<TlsSettings> {
    let mut written = Written::default();
    let properties = reader.properties(value, "tls");
    let has = |name: &str| properties.iter().any(|(key, _)| key.value == name);
    if value.as_object().is_some() {
        for key in ["cert", "key"].into_iter().filter(|key| !has(key)) {
            reader.refuse(
                value.range(),
                format!("`tls` names no `{key}`"),
                MEND_OF_FILES,
            );
        }
        let of_clients = ["client_cert", "crls"].into_iter().find(|key| has(key));
        if let Some(key) = of_clients.filter(|_| !has("client_ca")) {
            refuse_without_authority(key, value.range(), reader);
        }
    }
    if !IS_BUILT_IN {
        let mend = "build it with the feature `tls`, or leave the key out";
        reader.refuse(value.range(), "this host was built without TLS", mend);
    }
    for (key, value) in properties {
        match key.value {
            "min_version" => written.min_version = min_version(value, reader),
            "suites" => written.suites = suites(value, reader),
            name if written.files.take(name, value, reader) => {}
            name if written
                .clients
                .take(name, &["required", "optional"], value, reader) => {}
            _ => reader.refuse_key(&key, &[KEYS, CLIENT_KEYS].concat()),
        }
    }
    written.resolve()
}

fn refuse_without_authority(key: &str, range: Range, reader: &Reader<'_>) {
    let cause =
        format!("`{key}` says what is asked of clients, and no `client_ca` whom to believe");
    reader.refuse(range, cause, "write \"client_ca\": \"authorities.pem\" too");
}

/// What was written of it at the top.
#[derive(Default)]
struct Written {
    files: WrittenFiles,
    min_version: Option<TlsVersion>,
    suites: Vec<String>,
    clients: WrittenClients,
}

impl Written {
    fn resolve(self) -> Option<TlsSettings> {
        Some(TlsSettings {
            min_version: self.min_version.unwrap_or_default(),
            suites: self.suites,
            clients: self.clients.resolve(None),
            ..TlsSettings::new(self.files.cert?, self.files.key?)
        })
    }
}

/// A certificate and its key, as they were written.
#[derive(Debug, Default)]
struct WrittenFiles {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl WrittenFiles {
    fn take(&mut self, key: &str, value: &Value<'_>, reader: &Reader<'_>) -> bool {
        let beside = |path: Option<String>| path.map(|path| reader.beside(&path));
        match key {
            "cert" => self.cert = beside(reader.path(value, "cert", "chain.pem")),
            "key" => self.key = beside(reader.path(value, "key", "key.pem")),
            _ => return false,
        }
        true
    }
}

/// What is asked of clients, as it was written.
#[derive(Debug, Default)]
struct WrittenClients {
    authorities: Option<Vec<PathBuf>>,
    asked: Option<Asked>,
    revoked: Option<Vec<PathBuf>>,
}

/// Whether clients are asked for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Required,
    Optional,
    None,
}

impl WrittenClients {
    fn take(&mut self, key: &str, words: &[&str], value: &Value<'_>, reader: &Reader<'_>) -> bool {
        match key {
            "client_ca" => self.authorities = Some(paths(value, key, "authorities.pem", reader)),
            "client_cert" => {
                self.asked = reader.word(value, key, words, |word| match word {
                    "required" => Some(Asked::Required),
                    "optional" => Some(Asked::Optional),
                    "none" if words.contains(&"none") => Some(Asked::None),
                    _ => None,
                });
            }
            "crls" => {
                let paths = reader.strings(value, key, "revoked.pem");
                let beside = paths.iter().map(|path| reader.beside(&path.value));
                self.revoked = Some(beside.collect());
            }
            _ => return false,
        }
        true
    }

    /// What they mean; what was not written is that of `inherited`.
    fn resolve(self, inherited: Option<&ClientCertificates>) -> Option<ClientCertificates> {
        let is_required = match self.asked {
            Some(Asked::None) => return None,
            Some(asked) => Some(asked == Asked::Required),
            None => None,
        };
        match (self.authorities, inherited) {
            // Lists are those of certain authorities, so they stay together.
            (Some(authorities), _) => Some(ClientCertificates {
                authorities,
                is_required: is_required.unwrap_or(true),
                revoked: self.revoked.unwrap_or_default(),
            }),
            (None, Some(inherited)) => Some(ClientCertificates {
                is_required: is_required.unwrap_or(inherited.is_required),
                ..inherited.clone()
            }),
            (None, None) => None,
        }
    }
}

/// One path or several.
fn paths(value: &Value<'_>, what: &str, example: &str, reader: &Reader<'_>) -> Vec<PathBuf> {
    if value.as_array().is_none() {
        let path = reader.path(value, what, example);
        return path.iter().map(|path| reader.beside(path)).collect();
    }
    let paths = reader.strings(value, what, example);
    if paths.is_empty() {
        let cause = format!("`{what}` names nobody");
        reader.refuse(
            value.range(),
            cause,
            format!("write \"{what}\": \"{example}\""),
        );
    }
    paths
        .iter()
        .map(|path| reader.beside(&path.value))
        .collect()
}

/// The part `tls` of a vhost that has a name. Versions and suites stand at the top.
#[derive(Debug)]
pub(super) struct WrittenVhostTls {
    files: WrittenFiles,
    clients: WrittenClients,
    range: Range,
}

/// Reads the part `tls` of a vhost.
pub(super) fn vhost_tls(value: &Value<'_>, reader: &Reader<'_>) -> WrittenVhostTls {
    let mut written = WrittenVhostTls {
        files: WrittenFiles::default(),
        clients: WrittenClients::default(),
        range: value.range(),
    };
    for (key, value) in reader.properties(value, "tls") {
        let words = ["required", "optional", "none"];
        if !written.files.take(key.value, value, reader)
            && !written.clients.take(key.value, &words, value, reader)
        {
            reader.refuse_key(&key, &[&["cert", "key"], CLIENT_KEYS].concat());
        }
    }
    if written.files.cert.is_some() != written.files.key.is_some() {
        let cause =
            "`tls` of a vhost names both a `cert` and its `key`, or neither for those at the top";
        reader.refuse(value.range(), cause, MEND_OF_FILES);
    }
    if written.clients.revoked.is_some() && written.clients.authorities.is_none() {
        refuse_without_authority("crls", value.range(), reader);
    }
    written
}

/// What is spoken for a vhost: what it does not say is as in `usual`.
pub(super) fn named(
    name: &str,
    hosts: &[HostPattern],
    written: Option<WrittenVhostTls>,
    usual: &TlsSettings,
    reader: &Reader<'_>,
) -> NamedTls {
    let (files, clients, range) = match written {
        Some(written) => (written.files, written.clients, Some(written.range)),
        None => (WrittenFiles::default(), WrittenClients::default(), None),
    };
    let is_asked = matches!(clients.asked, Some(Asked::Required | Asked::Optional));
    let is_judged = clients.authorities.is_some() || usual.clients.is_some();
    if let Some(range) = range.filter(|_| is_asked && !is_judged) {
        refuse_without_authority("client_cert", range, reader);
    }
    NamedTls {
        name: name.to_owned(),
        hosts: hosts.to_vec(),
        cert: files.cert.unwrap_or_else(|| usual.cert.clone()),
        key: files.key.unwrap_or_else(|| usual.key.clone()),
        clients: clients.resolve(usual.clients.as_ref()),
    }
}

/// Refuses what a vhost says of TLS in a host that has none.
pub(super) fn refuse_without_tls(written: &WrittenVhostTls, reader: &Reader<'_>) {
    reader.refuse(
        written.range,
        "a vhost says what is spoken over TLS, and nothing is served over TLS",
        "write `tls` at the top of the file too: for clients that name no host, or one that is not here",
    );
}

fn min_version(value: &Value<'_>, reader: &Reader<'_>) -> Option<TlsVersion> {
    reader.word(value, "min_version", &["1.2", "1.3"], |word| match word {
        "1.2" => Some(TlsVersion::Tls12),
        "1.3" => Some(TlsVersion::Tls13),
        _ => None,
    })
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
