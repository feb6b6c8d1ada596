//! What the service threads go by: the routes of each vhost, made from the config and from what is served.

use std::sync::{Arc, atomic::AtomicBool};

use crate::{
    config::{Config, VhostConfig},
    connection::proxy_choice::ProxyChoice,
    context::{
        hub::{Command, Hub},
        origin::AllowedOrigins,
        peer_names::{Bounds, PeerNames},
        routes::{CertificateRule, ExtensionRoute, Routes},
        vhosts::Vhosts,
    },
    net::{reverse_name::reverse_name, seats::SeatBound},
    server::deployment::Deployment,
};

impl Deployment {
    /// What the service threads are to go by.
    pub(crate) fn vhosts(&self) -> Arc<Vhosts> {
        let others = self.config.vhosts.iter();
        let others = others.map(|vhost| (vhost.hosts.clone(), self.routes(vhost)));
        let default = self.routes(&self.config.default);
        let vhosts = Vhosts::new(default, others.collect());
        let vhosts = vhosts.trusting(self.config.trusted_proxies.clone());
        let vhosts = vhosts.naming(self.peer_names.clone());
        let vhosts = vhosts.asking(Arc::clone(&self.proxies));
        let scopes = self.scopes.iter();
        Arc::new(scopes.fold(vhosts, |vhosts, (listener, names)| {
            vhosts.scoped(*listener, names)
        }))
    }

    pub(super) fn routes(&self, vhost: &VhostConfig) -> Arc<Routes> {
        let protocols = self
            .protocols
            .iter()
            .filter(|((place, _), _)| *place == vhost.name);
        let site = self
            .sites
            .get(&vhost.name)
            .map(|open| Arc::clone(&open.site));
        Arc::new(Routes {
            vhost: vhost.name.as_str().into(),
            protocols: protocols
                .map(|((_, name), served)| (name.as_str().into(), served.route.clone()))
                .collect(),
            site: site.unwrap_or_default(),
            certificates: self.certificate_rule(&vhost.name),
            has_warned: AtomicBool::new(false),
            seats: SeatBound {
                vhost: self.seats.number(&vhost.name),
                most: vhost.max_connections,
            },
            extensions: self.offered(vhost),
            policies: self.policies.asked(vhost),
            default_protocol: vhost.default_protocol.as_deref().map(Into::into),
            allowed_origins: AllowedOrigins {
                origins: vhost.allowed_origins.clone(),
            },
        })
    }

    /// What a vhost asks of the certificates of clients.
    pub(super) fn certificate_rule(&self, vhost: &str) -> CertificateRule {
        let tls = self.config.tls.as_ref();
        match tls.and_then(|tls| tls.clients_of(vhost)) {
            None => CertificateRule::NotAsked,
            Some(clients) if clients.is_required => CertificateRule::Required,
            Some(_) => CertificateRule::Optional,
        }
    }

    /// The extensions in the order of the config, and behind them those that it does not name.
    pub(super) fn offered(&self, vhost: &VhostConfig) -> Vec<ExtensionRoute> {
        let named = &vhost.extensions;
        let own = || {
            let all = self.extensions.iter();
            all.filter(|((place, _), _)| *place == vhost.name)
        };
        let first = named
            .iter()
            .filter(|(_, extension)| extension.offer)
            .filter_map(|(name, _)| own().find(|((_, other), _)| other == name));
        let rest = own().filter(|((_, name), _)| named.iter().all(|(other, _)| other != name));
        first
            .chain(rest)
            .map(|(_, served)| served.route.clone())
            .collect()
    }

    /// What is not there by now is missed.
    pub(crate) fn begin(&mut self) {
        self.is_serving = true;
        self.policies.tell_missing(self.config.vhosts());
    }

    /// Has all service threads go by what is served now.
    pub(super) fn publish(&mut self) {
        if self.is_serving {
            self.policies.tell_missing(self.config.vhosts());
        }
        self.hub.tell_all(&Command::Install(self.vhosts()));
        for served in self.protocols.values() {
            served.route.handler.serves(&served.route);
        }
    }
}

/// The proxies for connections that the host opens.
pub(super) fn proxies(config: &Config) -> Arc<ProxyChoice> {
    let variable = |name: &str| std::env::var(name).ok();
    Arc::new(config.client.proxies(variable))
}

/// The names of peers, if the config has them looked up. Those of `before` are kept if their bounds are to be the same.
pub(super) fn peer_names(
    config: &Config,
    hub: &Arc<Hub>,
    before: Option<Arc<PeerNames>>,
) -> Option<Arc<PeerNames>> {
    if !config.reverse_names {
        return None;
    }
    let bounds = Bounds::from(&config.limits);
    let same = before.filter(|names| names.bounds() == bounds);
    Some(same.unwrap_or_else(|| {
        let hub = Arc::clone(hub);
        PeerNames::new(bounds, reverse_name, move |id, address, name| {
            // Those that wait are bounded, so this needs no bound of its own.
            hub.tell(id, Command::PeerName(id, address, name));
        })
    }))
}
