//! Which vhost a request is for: by the name it asks for, and else the default one.

use std::sync::Arc;

use crate::{
    context::{peer_names::PeerNames, routes::Routes},
    net::peer::Peer,
    wire::{
        host_pattern::{HostMap, HostPattern},
        network::Network,
    },
};

/// All vhosts of a host. Made anew, as a whole, whenever something changes.
#[derive(Debug)]
pub struct Vhosts {
    default: Arc<Routes>,
    others: Vec<Arc<Routes>>,
    named: HostMap<Arc<Routes>>,
    trusted_proxies: Vec<Network>,
    peer_names: Option<Arc<PeerNames>>,
}

impl Vhosts {
    /// The default vhost, and others with the names that lead to them.
    #[must_use]
    pub fn new(default: Arc<Routes>, others: Vec<(Vec<HostPattern>, Arc<Routes>)>) -> Self {
        let mut vhosts = Self {
            default,
            others: Vec::with_capacity(others.len()),
            named: HostMap::default(),
            trusted_proxies: Vec::new(),
            peer_names: None,
        };
        for (hosts, routes) in others {
            for host in hosts {
                vhosts.named.insert(host, Arc::clone(&routes));
            }
            vhosts.others.push(routes);
        }
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

    /// The one for requests that name none.
    #[must_use]
    pub fn default_one(&self) -> &Arc<Routes> {
        &self.default
    }

    /// All of them, the default one first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Routes>> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// The vhost of a request for `authority`: a host with or without a port.
    #[must_use]
    pub fn find(&self, authority: &str) -> &Arc<Routes> {
        self.named.find(authority).unwrap_or(&self.default)
    }
}
