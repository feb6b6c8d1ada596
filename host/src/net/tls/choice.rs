//! What is spoken with whom: by the name that a client asks for (SNI), among those that the listener leads to. Each name has
//! a config of its own, and with it tickets and rules for clients of its own, so none is resumed where it was not judged.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::wire::host_pattern::{HostMap, HostPattern};

/// All that may be spoken.
pub(super) struct Choice {
    usual: Arc<ServerConfig>,
    named: Vec<Arc<Named>>,
    by_host: HostMap<Arc<Named>>,
}

/// What is spoken with a client.
pub(super) struct Chosen {
    pub(super) config: Arc<ServerConfig>,
    /// None is the usual one.
    pub(super) name: Option<Arc<str>>,
}

struct Named {
    name: Arc<str>,
    config: Arc<ServerConfig>,
}

impl Choice {
    /// The usual one, for clients that ask for nothing, or for nothing that is here.
    pub(super) fn new(usual: Arc<ServerConfig>) -> Self {
        Self {
            usual,
            named: Vec::new(),
            by_host: HostMap::default(),
        }
    }

    /// Adds another one, for clients that ask for these names.
    pub(super) fn add(&mut self, name: &str, hosts: &[HostPattern], config: Arc<ServerConfig>) {
        let named = Arc::new(Named {
            name: name.into(),
            config,
        });
        for host in hosts {
            self.by_host.insert(host.clone(), Arc::clone(&named));
        }
        self.named.push(named);
    }

    /// What a client is spoken to by that asks for this name at a listener that leads to `scope`, and whose it is: to all
    /// when that is empty. The first of them is for whoever asks for nothing that is there.
    pub(super) fn choose(&self, scope: &[String], asked: Option<&str>) -> Chosen {
        let is_led_to =
            |named: &Arc<Named>| scope.is_empty() || scope.iter().any(|name| **name == *named.name);
        let found = asked.and_then(|asked| self.by_host.find_among(asked, is_led_to));
        let found = found.or_else(|| {
            let first = scope.first()?;
            self.named.iter().find(|named| *named.name == **first)
        });
        match found {
            Some(named) => Chosen {
                config: Arc::clone(&named.config),
                name: Some(Arc::clone(&named.name)),
            },
            None => Chosen {
                config: Arc::clone(&self.usual),
                name: None,
            },
        }
    }
}
