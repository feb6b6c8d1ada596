//! Which protocol a request for a WebSocket gets. Made anew, as a whole, whenever something changes.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{
    context::{
        handler::{ExtensionHandler, ProtocolHandler},
        mounts::MountKind,
        origin::AllowedOrigins,
        policy::PolicyRoute,
        roster::SetId,
        site::Site,
    },
    net::seats::SeatBound,
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
    /// What there is beside them.
    pub site: Arc<Site>,
    /// In the order in which they are negotiated.
    pub extensions: Vec<ExtensionRoute>,
    /// In the order in which they are asked.
    pub policies: Vec<PolicyRoute>,
    /// What a request gets that names no protocol.
    pub default_protocol: Option<Arc<str>>,
    /// Whose pages may talk to us, beside our own.
    pub allowed_origins: AllowedOrigins,
    /// What it asks of the certificates of clients.
    pub certificates: CertificateRule,
    /// The operator knows that a mount leads nowhere.
    pub has_warned: AtomicBool,
    /// How many connections it may have.
    pub seats: SeatBound,
}

/// Whether clients of a vhost show certificates. Who is believed is judged by TLS, before there is a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateRule {
    /// They are not asked.
    #[default]
    NotAsked,
    /// They are asked, and served without one too.
    Optional,
    /// They are refused without one.
    Required,
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
    /// A path that names a protocol, or lies below the mount of one, wins, and selects its name if that was offered. At
    /// other paths it is the first offered name that is known, then the default protocol.
    #[must_use]
    pub fn bind<'o>(
        &self,
        path: &str,
        mut offered: impl Iterator<Item = &'o str> + Clone,
    ) -> Option<Bound<'_>> {
        if let Some((name, route)) = self.by_path(path).or_else(|| self.by_mount(path)) {
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

    /// The protocol of that name, if it answers HTTP.
    #[must_use]
    pub fn answering(&self, name: &str) -> Option<&Route> {
        let route = self.protocols.get(name)?;
        route.handler.facts().http.is_some().then_some(route)
    }

    /// The protocol of the mount that a path lies below, if it has sessions.
    fn by_mount(&self, path: &str) -> Option<(&Arc<str>, &Route)> {
        match &self.site.mounts.find(path).ok()??.0.kind {
            MountKind::Protocol { name, .. } => self.with_name(name),
            _ => None,
        }
    }
}

fn has_sessions(route: &Route) -> bool {
    route.handler.facts().websocket
}
