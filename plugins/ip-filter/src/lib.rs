//! Policy `ip-filter`: who may connect, by address.
//!
//! A client of a network in `deny` is refused, and when there is an `allow`, so is one that is in none of its networks.
//! The peer of a connection is looked at when it is accepted, before a byte is read; behind a proxy that the host trusts
//! (`trusted_proxies`) it is the client that the proxy asks for, with each request, which is answered 403; so is a request
//! for a client whom the proxy does not name, or names in two ways that differ. Peers of a unix socket have no address, and
//! are let in: who may use the socket, its mode says.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `allow` | everybody | Networks such as `10.0.0.0/8` and `2001:db8::/32`, or single addresses. |
//! | `deny` | nobody | The same. Goes before `allow`. |
//!
//! An IPv4 client that came over an IPv6 listener is one of IPv4.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use hotsocket_plugin::prelude::*;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    allow: Option<Vec<Network>>,
    #[serde(default)]
    deny: Vec<Network>,
}

/// A network, or one address.
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse().or_else(|_| address()).map_err(|_| {
            let what = "is no network: write 10.0.0.0/8, 2001:db8::/32 or a single address";
            D::Error::custom(format!("`{text}` {what}"))
        })?;
        if network.trunc() != network {
            let meant = network.trunc();
            let what =
                format!("`{text}` has bits behind its prefix; write `{meant}` for all of it");
            return Err(D::Error::custom(what));
        }
        Ok(Self(network))
    }
}

struct IpFilter {
    allow: Option<Vec<Network>>,
    deny: Vec<Network>,
}

impl IpFilter {
    /// Whether a client may connect.
    fn lets_in(&self, client: Option<SocketAddr>) -> bool {
        let Some(client) = client else {
            return true;
        };
        let address = client.ip().to_canonical();
        let is_allowed = self
            .allow
            .as_ref()
            .is_none_or(|allow| is_in(allow, address));
        is_allowed && !is_in(&self.deny, address)
    }
}

fn is_in(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.0.contains(&address))
}

impl Policy for IpFilter {
    const NAME: &'static str = "ip-filter";
    type Options = Options;

    fn new(_host: &Host, options: Options) -> Result<Self, PluginError> {
        let Options { allow, deny } = options;
        if allow.is_none() && deny.is_empty() {
            return Err(PluginError::new(
                "everybody would be let in: say who may connect in `allow`, or who may not in `deny`",
            ));
        }
        Ok(Self { allow, deny })
    }

    fn on_accept(&self, connection: &Connection) -> Admission {
        // Whom a proxy asks for is known with the request.
        if connection.is_trusted_proxy() || self.lets_in(connection.peer()) {
            return Admission::Accept;
        }
        Admission::Refuse
    }

    fn on_request(&self, request: &mut PolicyRequest) -> Result<Verdict, Refusal> {
        // A client can bring about that its proxy names nobody who can be believed.
        let is_known = request.peer().is_some() || !request.is_of_trusted_proxy();
        if is_known && self.lets_in(request.peer()) {
            return Ok(Verdict::Allow);
        }
        Err(Refusal::new(403).text("not from this address\n"))
    }
}

export_plugin!(policies: IpFilter);
