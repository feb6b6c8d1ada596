//! Names of cipher suites: those that rustls has, and which of them somebody means who writes another name.

use rustls::{
    CipherSuite, SupportedCipherSuite,
    crypto::{CryptoProvider, aws_lc_rs},
};

/// How many names are suggested for one that is not known.
const SUGGESTED: usize = 3;

/// The provider with these suites only, in its own order; with all of them for an empty list.
///
/// # Errors
///
/// The first name that is not known.
pub(super) fn provider(names: &[String]) -> Result<CryptoProvider, &str> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(unknown) = names.iter().find(|name| nearest_suites(name).is_some()) {
        return Err(unknown);
    }
    if !names.is_empty() {
        provider
            .cipher_suites
            .retain(|suite| names.iter().any(|name| *name == name_of(suite)));
    }
    Ok(provider)
}

/// The names that are nearest to `name`, best first; none when it is one of them.
#[must_use]
pub fn nearest_suites(name: &str) -> Option<Vec<&'static str>> {
    let known = || aws_lc_rs::ALL_CIPHER_SUITES.iter().map(name_of);
    if known().any(|known| known == name) {
        return None;
    }
    let asked = in_words_of_rustls(name);
    let mut ranked: Vec<_> = known()
        .map(|known| (strsim::jaro_winkler(&asked, known), known))
        .collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    Some(
        ranked
            .into_iter()
            .map(|(_, name)| name)
            .take(SUGGESTED)
            .collect(),
    )
}

fn name_of(suite: &SupportedCipherSuite) -> &'static str {
    CipherSuite::as_str(&suite.suite()).unwrap_or_default()
}

/// A name of OpenSSL or of the registry as rustls would write it: `ECDHE-RSA-AES128-GCM-SHA256` has no `TLS` before it
/// and no `WITH` within.
fn in_words_of_rustls(name: &str) -> String {
    let name = name.to_ascii_uppercase().replace(['-', '+'], "_");
    let name = name
        .replace("AES128", "AES_128")
        .replace("AES256", "AES_256");
    if name.starts_with("TLS_AES") || name.starts_with("TLS_CHACHA20") {
        return name.replacen("TLS_", "TLS13_", 1);
    }
    if name.starts_with("TLS") {
        return name;
    }
    let name = name.replacen("RSA_", "RSA_WITH_", 1);
    let name = name.replacen("ECDSA_", "ECDSA_WITH_", 1);
    let name = name.replace("CHACHA20_POLY1305", "CHACHA20_POLY1305_SHA256");
    format!("TLS_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_openssl_leads_to_the_one_that_is_meant() {
        for (asked, meant) in [
            (
                "ECDHE-RSA-AES128-GCM-SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ),
            (
                "ECDHE-ECDSA-AES256-GCM-SHA384",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ),
            (
                "ECDHE-RSA-CHACHA20-POLY1305",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            ),
            ("TLS_AES_256_GCM_SHA384", "TLS13_AES_256_GCM_SHA384"),
            ("tls13_aes_128_gcm_sha256", "TLS13_AES_128_GCM_SHA256"),
        ] {
            assert_eq!(nearest_suites(asked).unwrap()[0], meant, "{asked}");
        }
    }

    #[test]
    fn only_the_suites_that_are_named_are_left() {
        let names = ["TLS13_AES_256_GCM_SHA384".to_owned()];
        let left = provider(&names).unwrap().cipher_suites;
        assert_eq!(left.len(), 1);
        assert_eq!(provider(&["AES".to_owned()]).err(), Some("AES"));
    }
}
