//! Which vhost a request is for: by the name it asks for, and else the default one.

use std::sync::Arc;

use crate::{
    context::routes::Routes,
    wire::host_pattern::{HostMap, HostPattern},
};

/// All vhosts of a host. Made anew, as a whole, whenever something changes.
#[derive(Debug)]
pub struct Vhosts {
    default: Arc<Routes>,
    others: Vec<Arc<Routes>>,
    named: HostMap<Arc<Routes>>,
}

impl Vhosts {
    /// The default vhost, and others with the names that lead to them.
    #[must_use]
    pub fn new(default: Arc<Routes>, others: Vec<(Vec<HostPattern>, Arc<Routes>)>) -> Self {
        let mut vhosts = Self {
            default,
            others: Vec::with_capacity(others.len()),
            named: HostMap::default(),
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
