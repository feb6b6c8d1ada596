use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Overrides, resolve};
use crate::net::tls::{ClientCertificates, TlsSettings, TlsVersion};

fn read(text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    resolve(Path::new("etc/c.json"), text, overrides)
}

fn refusal(text: &str) -> String {
    let error = read(text, &Overrides::default()).unwrap_err();
    error.to_string()
}

#[test]
fn without_the_key_nothing_speaks_tls() {
    assert_eq!(read("{}", &Overrides::default()).unwrap().tls, None);
}

#[test]
fn all_of_it_is_read_and_paths_are_relative_to_the_file() {
    let text = r#"{"tls": {"cert": "chain.pem", "key": "/k.pem", "min_version": "1.3",
        "suites": ["TLS13_AES_256_GCM_SHA384"], "client_ca": "ca.pem", "client_cert": "optional", "crls": ["r.pem"]}}"#;
    let expected = TlsSettings {
        cert: PathBuf::from("etc/chain.pem"),
        key: PathBuf::from("/k.pem"),
        min_version: TlsVersion::Tls13,
        suites: vec!["TLS13_AES_256_GCM_SHA384".to_owned()],
        clients: Some(ClientCertificates {
            authorities: vec![PathBuf::from("etc/ca.pem")],
            is_required: false,
            revoked: vec![PathBuf::from("etc/r.pem")],
        }),
        named: Vec::new(),
    };
    assert_eq!(
        read(text, &Overrides::default()).unwrap().tls,
        Some(expected)
    );
}

#[test]
fn a_client_certificate_is_required_unless_it_is_said_to_be_optional() {
    let text = r#"{"tls": {"cert": "c", "key": "k", "client_ca": "ca.pem"}}"#;
    let tls = read(text, &Overrides::default()).unwrap().tls.unwrap();
    assert!(tls.clients.unwrap().is_required);
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    assert!(refusal(r#"{"tls": {"cert": "c"}}"#).contains("`tls` names no `key`"));
    assert!(refusal(r#"{"tls": {"key": "c"}}"#).contains("`tls` names no `cert`"));
}

#[test]
fn clients_are_not_judged_by_nobody() {
    let refused = refusal(r#"{"tls": {"cert": "c", "key": "k", "client_cert": "required"}}"#);
    assert!(refused.contains("client_ca"), "{refused}");
}

#[test]
fn seed_3_4_a_cipher_string_of_openssl_is_refused_with_the_nearest_names() {
    let refused = refusal(
        r#"{"tls": {"cert": "c", "key": "k", "suites": "ECDHE-RSA-AES128-GCM-SHA256:!aNULL"}}"#,
    );
    let meant = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    assert!(
        refused.contains("OpenSSL") && refused.contains(meant),
        "{refused}"
    );
    let refused =
        refusal(r#"{"tls": {"cert": "c", "key": "k", "suites": ["TLS_AES_128_GCM_SHA256"]}}"#);
    assert!(refused.contains("TLS13_AES_128_GCM_SHA256"), "{refused}");
}

#[test]
fn flags_replace_certificate_and_key_and_leave_the_rest() {
    let overrides = Overrides {
        tls_cert: Some("c2.pem".into()),
        tls_key: Some("k2.pem".into()),
        ..Overrides::default()
    };
    let text = r#"{"tls": {"cert": "c", "key": "k", "min_version": "1.3"}}"#;
    let tls = read(text, &overrides).unwrap().tls.unwrap();
    assert_eq!((tls.cert, tls.key), ("c2.pem".into(), "k2.pem".into()));
    assert_eq!(tls.min_version, TlsVersion::Tls13);
    let alone = read("{}", &overrides).unwrap().tls.unwrap();
    assert_eq!(alone, TlsSettings::new("c2.pem".into(), "k2.pem".into()));
}

#[test]
fn one_flag_without_the_other_is_refused() {
    let overrides = Overrides {
        tls_key: Some("k2.pem".into()),
        ..Overrides::default()
    };
    let refused = read("{}", &overrides).unwrap_err().to_string();
    assert!(refused.contains("--tls-cert FILE"), "{refused}");
}
