//! Listeners: what is set for the connections that are accepted somewhere, whatever the place.

use std::net::SocketAddr;
use std::str::FromStr;

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::DEFAULT_VHOST;
use super::address::{BadAddress, ListenAddress};
use super::judge::Wrong;
use super::reader::{Located, Reader, list};
use crate::net::tls::TlsSettings;

/// A listener: where it is, and what its connections get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where it is.
    pub address: ListenAddress,
    /// Whether TLS is spoken there; where nothing is said, it is if the host has it.
    pub tls: Option<bool>,
    /// Whether a trusted proxy says first whose connection it is, by the PROXY protocol.
    pub proxy_protocol: bool,
    /// The vhosts that it leads to, by their names, the one for requests that name none first. Empty for all of them.
    pub vhosts: Vec<String>,
}

impl ListenerConfig {
    /// Whether TLS is spoken here in a host that has it or not.
    #[must_use]
    pub fn speaks_tls(&self, has_tls: bool) -> bool {
        self.tls.unwrap_or(has_tls)
    }

    /// Whether requests find this vhost here.
    #[must_use]
    pub fn leads_to(&self, vhost: &str) -> bool {
        self.vhosts.is_empty() || self.vhosts.iter().any(|name| name == vhost)
    }
}

impl From<ListenAddress> for ListenerConfig {
    /// With TLS if the host has it, for all vhosts and for clients that connect themselves.
    fn from(address: ListenAddress) -> Self {
        Self {
            address,
            tls: None,
            proxy_protocol: false,
            vhosts: Vec::new(),
        }
    }
}

impl From<SocketAddr> for ListenerConfig {
    /// As for a [`ListenAddress`].
    fn from(address: SocketAddr) -> Self {
        ListenAddress::from(address).into()
    }
}

impl FromStr for ListenerConfig {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        text.parse().map(ListenAddress::into)
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
    vhosts: Vec<Located<String>>,
}

impl WrittenRules {
    /// The keys of every listener.
    pub(super) const KEYS: &[&str] = &["tls", "proxy_protocol", "vhosts"];

    /// Whether a vhost is named that the listener leads to.
    pub(super) fn names(&self, vhost: &str) -> bool {
        self.vhosts.iter().any(|name| name.value == vhost)
    }

    /// Takes a key of every listener; false when it is none.
    pub(super) fn take(&mut self, key: &str, value: &Value<'_>, reader: &Reader<'_>) -> bool {
        match key {
            "tls" => self.tls = flag(key, value, reader),
            "proxy_protocol" => self.proxy_protocol = flag(key, value, reader),
            "vhosts" => self.vhosts = vhosts(value, reader),
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

/// The names of the vhosts that a listener leads to.
fn vhosts(value: &Value<'_>, reader: &Reader<'_>) -> Vec<Located<String>> {
    let names = reader.strings(value, "vhosts", DEFAULT_VHOST);
    if value
        .as_array()
        .is_some_and(|list| list.elements.is_empty())
    {
        let cause = "a listener whose `vhosts` are empty leads nowhere";
        let mend = "name one, or leave the key out for all of them";
        reader.refuse(value.range(), cause, mend);
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].iter().any(|seen| seen.value == name.value) {
            let cause = format!("`{}` is listed twice", name.value);
            reader.refuse(name.range, cause, "leave one of them out");
        }
    }
    names
}

/// What listeners mean in a host that speaks this, trusts proxies or not, and has vhosts of these names.
pub(super) fn resolve(
    written: Vec<WrittenListener>,
    spoken: Option<&TlsSettings>,
    has_proxies: bool,
    vhosts: &[&str],
    reader: &Reader<'_>,
) -> Vec<ListenerConfig> {
    let resolve = |WrittenListener { address, rules }: WrittenListener| {
        let range = rules.tls.as_ref().map(|tls| tls.range);
        let range = range.or_else(|| rules.vhosts.first().map(|name| name.range));
        let announced = rules.proxy_protocol.filter(|flag| flag.value);
        if let Some(flag) = &announced {
            refuse_announcements(&address, flag, has_proxies, reader);
        }
        let listener = ListenerConfig {
            address,
            tls: rules.tls.map(|tls| tls.value),
            proxy_protocol: announced.is_some(),
            vhosts: rules.vhosts.into_iter().map(|name| name.value).collect(),
        };
        // Without one of these keys nothing can be wrong.
        if let Some(range) = range {
            for (cause, mend) in wrongs(&listener, spoken, vhosts) {
                reader.refuse(range, cause, mend);
            }
        }
        listener
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

/// What does not fit to a host that speaks this and has vhosts of these names.
pub(super) fn wrongs(
    listener: &ListenerConfig,
    spoken: Option<&TlsSettings>,
    vhosts: &[&str],
) -> Vec<Wrong> {
    let mut wrongs = Vec::new();
    let address = &listener.address;
    if spoken.is_none() && listener.tls == Some(true) {
        let cause = format!("`{address}` is to speak TLS, and the host has no certificate");
        let mend = "write `tls` with `cert` and `key` at the top of the file too";
        wrongs.push((cause, mend.to_owned()));
    }
    let is_missing = |name: &&String| !vhosts.contains(&name.as_str());
    for name in listener.vhosts.iter().filter(is_missing) {
        let cause = format!("`{address}` leads to the vhost `{name}`, which is not there");
        wrongs.push((cause, format!("the vhosts are {}", list(vhosts))));
    }
    let requires = |vhost: &&&str| {
        let clients = spoken.and_then(|tls| tls.clients_of(vhost));
        listener.leads_to(vhost) && clients.is_some_and(|clients| clients.is_required)
    };
    if listener.tls == Some(false)
        && let Some(vhost) = vhosts.iter().find(requires)
    {
        let cause = format!(
            "`{address}` speaks no TLS and leads to the vhost `{vhost}`, which requires certificates of clients"
        );
        let mend = "name other vhosts in its `vhosts`, or write \"client_cert\" as \"optional\" for that vhost, or as \
                    \"none\" if it has a name";
        wrongs.push((cause, mend.to_owned()));
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Overrides, resolve};

    fn refusal(text: &str) -> String {
        read(text).unwrap_err()
    }

    fn read(text: &str) -> Result<Vec<bool>, String> {
        let config = resolve(Path::new("c.json"), text, &Overrides::default());
        let config = config.map_err(|error| error.to_string())?;
        Ok(config
            .listen
            .iter()
            .map(|listener| listener.speaks_tls(config.tls.is_some()))
            .collect())
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
        let refused = refusal(r#"{"listen": [{"address": "127.0.0.1:1", "tls": true}]}"#);
        assert!(
            refused.contains("`127.0.0.1:1` is to speak TLS") && refused.contains("write `tls`"),
            "{refused}"
        );
    }

    #[test]
    fn vhosts_of_a_listener_are_there_and_named_once() {
        let with = |names: &str| {
            format!(
                r#"{{"listen": [{{"unix": "s", "vhosts": {names}}}], "vhosts": {{"a": {{"hosts": []}}}}}}"#
            )
        };
        assert!(read(&with(r#"["default", "a"]"#)).is_ok());
        for (names, cause) in [
            (r#"["b"]"#, "the vhosts are `default` and `a`"),
            (r#"["a", "a"]"#, "`a` is listed twice"),
            ("[]", "leads nowhere"),
        ] {
            let refused = refusal(&with(names));
            assert!(refused.contains(cause), "{refused}");
        }
    }

    #[test]
    fn a_vhost_has_names_or_a_listener_that_leads_to_it() {
        let vhosts = r#""vhosts": {"a": {}}"#;
        let listen = r#""listen": [{"unix": "s", "vhosts": ["a"]}]"#;
        assert!(read(&format!("{{{vhosts}, {listen}}}")).is_ok());
        let refused = refusal(&format!("{{{vhosts}}}"));
        assert!(refused.contains("nobody gets there"), "{refused}");
    }
}
