//! Which vhost a request is for: by the listener that it came by and the name that it asks for, and else the default one.

use std::{collections::HashMap, sync::Arc};

use crate::{
    connection::proxy_choice::ProxyChoice,
    context::{
        peer_names::PeerNames,
        routes::{CertificateRule, Routes},
    },
    net::{http_port::HttpPort, listening::ListenerNumber, peer::Peer},
    wire::{
        host_pattern::{HostMap, HostPattern},
        network::Network,
        request_head::RequestHead,
    },
};

/// All vhosts of a host. Made anew, as a whole, whenever something changes.
#[derive(Debug)]
pub struct Vhosts {
    default: Arc<Routes>,
    others: Vec<Arc<Routes>>,
    named: HostMap<Arc<Routes>>,
    /// Those of listeners that lead to some of them only, the default one of each first.
    scopes: HashMap<ListenerNumber, Vec<Arc<Routes>>>,
    /// Some of them ask for certificates of clients.
    asks_for_certificates: bool,
    trusted_proxies: Vec<Network>,
    peer_names: Option<Arc<PeerNames>>,
    proxies: Arc<ProxyChoice>,
}

impl Vhosts {
    /// The default vhost, and others with the names that lead to them.
    #[must_use]
    pub fn new(default: Arc<Routes>, others: Vec<(Vec<HostPattern>, Arc<Routes>)>) -> Self {
        let mut vhosts = Self {
            default,
            others: Vec::with_capacity(others.len()),
            named: HostMap::default(),
            scopes: HashMap::new(),
            asks_for_certificates: false,
            trusted_proxies: Vec::new(),
            peer_names: None,
            proxies: Arc::default(),
        };
        for (hosts, routes) in others {
            for host in hosts {
                vhosts.named.insert(host, Arc::clone(&routes));
            }
            vhosts.others.push(routes);
        }
        let asks = |routes: &Arc<Routes>| routes.certificates != CertificateRule::NotAsked;
        let is_asked = vhosts.iter().any(asks);
        vhosts.asks_for_certificates = is_asked;
        vhosts
    }

    /// One vhost and no other.
    #[must_use]
    pub fn only(default: Arc<Routes>) -> Self {
        Self::new(default, Vec::new())
    }

    /// The same, where peers of these networks are believed when they say whom they ask for.
    #[must_use]
    pub fn trusting(self, trusted_proxies: Vec<Network>) -> Self {
        Self {
            trusted_proxies,
            ..self
        }
    }

    /// See [`Self::trusting`].
    #[must_use]
    pub fn trusted_proxies(&self) -> &[Network] {
        &self.trusted_proxies
    }

    /// Whether the peer of a transport is a proxy that is believed.
    #[must_use]
    pub fn trusts(&self, peer: Peer) -> bool {
        let mut networks = self.trusted_proxies.iter();
        peer.address()
            .is_some_and(|address| networks.any(|network| network.contains(address.ip())))
    }

    /// The same, where peers have names.
    #[must_use]
    pub fn naming(self, peer_names: Option<Arc<PeerNames>>) -> Self {
        Self { peer_names, ..self }
    }

    /// The names of peers, if they are looked up.
    #[must_use]
    pub fn peer_names(&self) -> Option<&PeerNames> {
        self.peer_names.as_deref()
    }

    /// The same, where these proxies are asked for connections that we open.
    #[must_use]
    pub fn asking(self, proxies: Arc<ProxyChoice>) -> Self {
        Self { proxies, ..self }
    }

    /// See [`Self::asking`].
    pub(crate) fn proxies(&self) -> &ProxyChoice {
        &self.proxies
    }

    /// Whether the protocol instance with this key gets new sessions.
    pub(crate) fn serves(&self, key: u64) -> bool {
        let mut all = self.iter().flat_map(|routes| routes.protocols.values());
        all.any(|route| route.instance == key)
    }

    /// The same, where a listener leads to the vhosts of these names only; the first is for requests that name none.
    #[must_use]
    pub fn scoped(mut self, listener: ListenerNumber, names: &[String]) -> Self {
        let find = |name: &String| self.iter().find(|routes| *routes.vhost == **name).cloned();
        let scope = names.iter().filter_map(find).collect();
        self.scopes.insert(listener, scope);
        self
    }

    /// The one for requests that name none. There is none where all to which the listener led are gone.
    #[must_use]
    pub fn default_of(&self, listener: ListenerNumber) -> Option<&Arc<Routes>> {
        match self.scopes.get(&listener) {
            Some(scope) => scope.first(),
            None => Some(&self.default),
        }
    }

    /// All of them, the default one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Routes>> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// The vhost of a request for `authority`, a host with or without a port, that came by this listener. None as in
    /// [`Self::default_of`].
    #[must_use]
    pub fn find(&self, listener: ListenerNumber, authority: &str) -> Option<&Arc<Routes>> {
        let Some(scope) = self.scopes.get(&listener) else {
            return Some(self.named.find(authority).unwrap_or(&self.default));
        };
        let is_led_to = |found: &Arc<Routes>| scope.iter().any(|routes| Arc::ptr_eq(routes, found));
        let named = self.named.find_among(authority, is_led_to);
        named.or_else(|| scope.first())
    }

    /// The same of a request.
    pub(crate) fn of_request(
        &self,
        listener: ListenerNumber,
        head: &RequestHead<'_>,
    ) -> Option<&Arc<Routes>> {
        // As on many hosts: whatever name is asked for, there is nothing to choose.
        if self.named.is_empty() && self.scopes.is_empty() {
            return Some(&self.default);
        }
        self.find(listener, head.host())
    }

    /// Whether a vhost asks for certificates; one that is gone may have.
    fn asks(&self, vhost: &str) -> bool {
        let found = self.iter().find(|routes| *routes.vhost == *vhost);
        found.is_none_or(|found| found.certificates != CertificateRule::NotAsked)
    }

    /// Why a request must come by another connection to get to its vhost, if it must (RFC 9110 section 15.5.20): clients
    /// are judged by the vhost that they ask for in the TLS handshake, and not again when a request names another one.
    #[must_use]
    pub fn misdirection(&self, routes: &Arc<Routes>, port: &HttpPort<'_>) -> Option<&'static str> {
        if !self.asks_for_certificates {
            return None;
        }
        let is_required = routes.certificates == CertificateRule::Required;
        let Some(tls) = port.tls() else {
            return is_required
                .then_some("this host is for clients with certificates: ask by https");
        };
        let judge = tls.chosen.unwrap_or(&self.default.vhost);
        let is_judged = *judge == *routes.vhost
            || routes.certificates == CertificateRule::NotAsked && !self.asks(judge);
        // One that was opened before certificates were required has shown none.
        let is_shown = !is_required || tls.is_peer_checked;
        (!is_judged || !is_shown).then_some(
            "this host judges clients by their certificates: ask for it by a connection of its own",
        )
    }
}
