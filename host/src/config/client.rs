//! The part `client`: what holds for all connections that the host opens.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;

use super::reader::Reader;
use crate::connection::proxy_choice::ProxyChoice;
use crate::wire::proxy::Proxy;

const KEYS: &[&str] = &["proxy", "no_proxy"];

/// Which proxy is asked for connections that the host opens, in place of those of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientConfig {
    /// For all of them.
    pub proxy: Option<Proxy>,
    /// What is reached without: names with all below them, addresses, networks, `*`; with commas between.
    pub no_proxy: Option<String>,
}

impl ClientConfig {
    /// The choice among proxies; what is not set is what the environment says, given by `variable`.
    pub(crate) fn proxies(&self, variable: impl Fn(&str) -> Option<String>) -> ProxyChoice {
        let mut choice = match &self.proxy {
            Some(proxy) => ProxyChoice::given(proxy.clone()),
            None => ProxyChoice::of_environment(variable).unwrap_or_else(|error| {
                tracing::warn!(target: "hotsocket::config", %error,
                    "the proxies of the environment are not used: mend the variable, or set `client.proxy` in the config");
                ProxyChoice::default()
            }),
        };
        choice.except(self.no_proxy.as_deref().unwrap_or_default());
        for entry in choice.unread() {
            tracing::warn!(target: "hotsocket::config", entry,
                "an entry of `no_proxy` cannot be read and is left out: write a name, an address or a network");
        }
        choice
    }
}

pub(super) fn client(value: &Value<'_>, reader: &Reader<'_>) -> ClientConfig {
    let mut client = ClientConfig::default();
    for (key, value) in reader.properties(value, "client") {
        match key.value {
            "proxy" => client.proxy = proxy(value, reader),
            "no_proxy" => client.no_proxy = no_proxy(value, reader),
            _ => reader.refuse_key(&key, KEYS),
        }
    }
    client
}

fn proxy(value: &Value<'_>, reader: &Reader<'_>) -> Option<Proxy> {
    let text = reader.string(value, "proxy", "proxy.example:3128")?.value;
    let parsed = Proxy::parse(&text);
    let parsed = parsed.map_err(|error| {
        let mend = "write [http://][NAME:PASSWORD@]HOST:PORT";
        reader.refuse(value.range(), format!("`proxy`: {error}"), mend);
    });
    parsed.ok()
}

fn no_proxy(value: &Value<'_>, reader: &Reader<'_>) -> Option<String> {
    let text = reader
        .string(value, "no_proxy", "localhost, 10.0.0.0/8")?
        .value;
    let mut choice = ProxyChoice::default();
    choice.except(&text);
    for entry in choice.unread() {
        reader.refuse(
            value.range(),
            format!("`{entry}` in `no_proxy` is nothing that could be reached"),
            "write a name, an address or a network, each with :PORT where that is meant",
        );
    }
    Some(text)
}
