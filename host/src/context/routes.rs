//! Which protocol a request for a WebSocket gets. Made anew, as a whole, whenever something changes.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::context::{
    handler::{ExtensionHandler, ProtocolHandler},
    origin::AllowedOrigins,
    roster::SetId,
};

/// A protocol bound to a vhost.
#[derive(Clone)]
pub struct Route {
    /// Tells instances apart; never used again.
    pub instance: u64,
    /// What answers.
    pub handler: Arc<dyn ProtocolHandler>,
    /// Where its sessions are found, whatever their generation.
    pub set: SetId,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("instance", &self.instance)
            .field("label", self.handler.label())
            .field("set", &self.set)
            .finish()
    }
}

/// An extension that a vhost offers.
#[derive(Clone)]
pub struct ExtensionRoute {
    /// Tells instances apart; never used again.
    pub instance: u64,
    /// What answers.
    pub handler: Arc<dyn ExtensionHandler>,
}

impl fmt::Debug for ExtensionRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionRoute")
            .field("instance", &self.instance)
            .field("label", self.handler.label())
            .finish()
    }
}

/// What a vhost serves.
#[derive(Debug)]
pub struct Routes {
    /// The name of the vhost.
    pub vhost: Arc<str>,
    /// By protocol name, which is also the path `/NAME`.
    pub protocols: HashMap<Arc<str>, Route>,
    /// Who answers requests that ask for no WebSocket: mountpoints, and names of protocols.
    pub http: Vec<(Arc<str>, Arc<str>)>,
    /// In the order in which they are negotiated.
    pub extensions: Vec<ExtensionRoute>,
    /// What a request gets that names no protocol.
    pub default_protocol: Option<Arc<str>>,
    /// Whose pages may talk to us, beside our own.
    pub allowed_origins: AllowedOrigins,
}

/// What an opening handshake was bound to.
#[derive(Debug)]
pub struct Bound<'a> {
    /// Its name.
    pub name: &'a Arc<str>,
    /// The protocol.
    pub route: &'a Route,
    /// The subprotocol that the answer names, if any.
    pub subprotocol: bool,
}

impl Routes {
    /// A path that names a protocol wins, and selects its name if that was offered. At other paths it is the first
    /// offered name that is known, then the default protocol.
    #[must_use]
    pub fn bind<'o>(
        &self,
        path: &str,
        mut offered: impl Iterator<Item = &'o str> + Clone,
    ) -> Option<Bound<'_>> {
        if let Some((name, route)) = self.by_path(path) {
            let subprotocol = offered.any(|offer| offer == &**name);
            return Some(Bound {
                name,
                route,
                subprotocol,
            });
        }
        let named = offered.find_map(|offer| self.with_name(offer));
        let subprotocol = named.is_some();
        let default = || self.with_name(self.default_protocol.as_ref()?);
        let (name, route) = named.or_else(default)?;
        Some(Bound {
            name,
            route,
            subprotocol,
        })
    }

    /// The protocol that `/NAME` names.
    #[must_use]
    pub fn by_path(&self, path: &str) -> Option<(&Arc<str>, &Route)> {
        self.with_name(path.strip_prefix('/')?)
    }

    /// The protocol of that name, if it has sessions.
    fn with_name(&self, name: &str) -> Option<(&Arc<str>, &Route)> {
        let found = self.protocols.get_key_value(name)?;
        has_sessions(found.1).then_some(found)
    }

    /// The names of the protocols that have sessions.
    pub fn with_sessions(&self) -> impl Iterator<Item = &str> {
        let found = self
            .protocols
            .iter()
            .filter(|(_, route)| has_sessions(route));
        found.map(|(name, _)| &**name)
    }

    /// The protocol with the longest mountpoint above a path, and the mountpoint.
    #[must_use]
    pub fn mounted(&self, path: &str) -> Option<(&Arc<str>, &Route)> {
        let leads = |mountpoint: &str| {
            let rest = path.strip_prefix(mountpoint.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let above = self.http.iter().filter(|(mountpoint, _)| leads(mountpoint));
        let (mountpoint, name) = above.max_by_key(|(mountpoint, _)| mountpoint.len())?;
        Some((mountpoint, self.protocols.get(name)?))
    }
}

fn has_sessions(route: &Route) -> bool {
    route.handler.facts().websocket
}
