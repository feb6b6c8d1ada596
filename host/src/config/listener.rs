//! Listeners: what is set for the connections that are accepted somewhere, whatever the place.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::listen::ListenAddress;
use super::reader::{Located, Reader};

/// A listener: where it is, and what its connections get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it is.
    pub address: ListenAddress,
    /// Whether TLS is spoken there.
    pub tls: bool,
    /// Whether a trusted proxy says first whose connection it is, by the PROXY protocol.
    pub proxy_protocol: bool,
}

impl From<ListenAddress> for ListenerConfig {
    /// Plain: without TLS, and for clients that connect themselves.
    fn from(address: ListenAddress) -> Self {
        Self {
            address,
            tls: false,
            proxy_protocol: false,
        }
    }
}

/// A listener as it was written.
#[derive(Debug)]
pub(super) struct WrittenListener {
    pub(super) address: ListenAddress,
    pub(super) rules: WrittenRules,
}

impl From<ListenAddress> for WrittenListener {
    fn from(address: ListenAddress) -> Self {
        Self {
            address,
            rules: WrittenRules::default(),
        }
    }
}

/// What was written beside the place.
#[derive(Debug, Default)]
pub(super) struct WrittenRules {
    tls: Option<Located<bool>>,
    proxy_protocol: Option<Located<bool>>,
}

impl WrittenRules {
    /// The keys of every listener.
    pub(super) const KEYS: &[&str] = &["tls", "proxy_protocol"];

    /// Takes a key of every listener; false when it is none.
    pub(super) fn take(&mut self, key: &str, value: &Value<'_>, reader: &Reader<'_>) -> bool {
        match key {
            "tls" => self.tls = flag(key, value, reader),
            "proxy_protocol" => self.proxy_protocol = flag(key, value, reader),
            _ => return false,
        }
        true
    }
}

fn flag(key: &str, value: &Value<'_>, reader: &Reader<'_>) -> Option<Located<bool>> {
    let range = value.range();
    let flag = reader.flag(value, key);
    flag.map(|value| Located { value, range })
}

/// What listeners mean in a host that has TLS or not, and trusts proxies or not.
pub(super) fn resolve(
    written: Vec<WrittenListener>,
    has_tls: bool,
    has_proxies: bool,
    reader: &Reader<'_>,
) -> Vec<ListenerConfig> {
    let resolve = |WrittenListener { address, rules }: WrittenListener| {
        if let Some(tls) = rules.tls.as_ref().filter(|tls| tls.value && !has_tls) {
            let cause = format!("`{address}` is to speak TLS, and the host has no certificate");
            let mend = "write `tls` with `cert` and `key` at the top of the file too";
            reader.refuse(tls.range, cause, mend);
        }
        let announced = rules.proxy_protocol.filter(|flag| flag.value);
        if let Some(flag) = &announced {
            refuse_announcements(&address, flag, has_proxies, reader);
        }
        ListenerConfig {
            address,
            proxy_protocol: announced.is_some(),
            tls: rules.tls.map_or(has_tls, |tls| tls.value),
        }
    };
    written.into_iter().map(resolve).collect()
}

/// Refuses `proxy_protocol` where nobody could be announced.
fn refuse_announcements(
    address: &ListenAddress,
    flag: &Located<bool>,
    has_proxies: bool,
    reader: &Reader<'_>,
) {
    if matches!(address, ListenAddress::Unix(_)) {
        let cause = "`proxy_protocol` is for addresses: a peer on a unix socket has none that could be trusted";
        let mend = "leave it out, and let the proxy connect to an address";
        reader.refuse(flag.range, cause, mend);
    } else if !has_proxies {
        let cause = format!(
            "`{address}` is for proxies that say whose connection it is, and none is trusted"
        );
        let mend = "write their networks, such as `\"trusted_proxies\": [\"10.0.0.0/8\"]`, at the top of the file";
        reader.refuse(flag.range, cause, mend);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Overrides, resolve};

    fn read(text: &str) -> Result<Vec<bool>, String> {
        let config = resolve(Path::new("c.json"), text, &Overrides::default());
        let config = config.map_err(|error| error.to_string())?;
        Ok(config.listen.iter().map(|listener| listener.tls).collect())
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_is_spoken_where_the_host_has_it_and_the_listener_does_not_say_otherwise() {
        let listen = r#""listen": ["127.0.0.1:1", {"address": "127.0.0.1:2", "tls": false},
            {"unix": "s", "tls": true}, {"unix": "t", "tls": false}]"#;
        let tls = r#""tls": {"cert": "c", "key": "k"}"#;
        let read = read(&format!("{{{listen}, {tls}}}"));
        assert_eq!(read, Ok(vec![true, false, true, false]));
    }

    #[test]
    fn without_a_certificate_nothing_speaks_tls_and_what_should_is_refused_with_the_mend() {
        let text = r#"{"listen": ["127.0.0.1:1", {"unix": "s", "tls": false}]}"#;
        assert_eq!(read(text), Ok(vec![false, false]));
        let refused = read(r#"{"listen": [{"address": "127.0.0.1:1", "tls": true}]}"#).unwrap_err();
        assert!(
            refused.contains("`127.0.0.1:1` is to speak TLS") && refused.contains("write `tls`"),
            "{refused}"
        );
    }
}
