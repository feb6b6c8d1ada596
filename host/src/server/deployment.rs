//! Generations at work: the instances of each protocol that is served, and the routes that lead to them.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use hotsocket_abi::START_LINKED;

use crate::{
    config::{Config, DEFAULT_VHOST, VhostConfig},
    connection::proxy_choice::ProxyChoice,
    context::{
        hub::{Command, Hub},
        origin::AllowedOrigins,
        peer_names::{Bounds, PeerNames},
        policy::PolicyRoute,
        roster::SetId,
        routes::{CertificateRule, ExtensionRoute, Route, Routes},
        vhosts::Vhosts,
    },
    net::{
        reverse_name::reverse_name,
        seats::{SeatBound, Seats},
    },
    plugin::{
        generation::Generation,
        host_calls::Services,
        instance::{self, Finished},
        manifest::Provided,
        refusal::{Refusal, Stage},
        registry::Installer,
        tables::Opened,
    },
    server::{
        listeners::Scope,
        open_site::{OpenSite, SiteError},
        policies::{Policies, PreparedPolicies},
    },
};

/// What the service threads serve, and from what it is made anew.
pub(crate) struct Deployment {
    pub(super) services: Arc<Services>,
    pub(super) finished: Finished,
    hub: Arc<Hub>,
    config: Config,
    /// By name of the vhost; there is one for each in the config.
    sites: BTreeMap<String, OpenSite>,
    /// Which listeners lead to which vhosts.
    scopes: Vec<Scope>,
    /// A protocol of a vhost keeps its set for ever, so that its sessions of all generations are found together.
    pub(super) sets: HashMap<Place, SetId>,
    protocols: BTreeMap<Place, Served<Route>>,
    extensions: BTreeMap<Place, Served<ExtensionRoute>>,
    pub(super) policies: Policies,
    seats: Arc<Seats>,
    peer_names: Option<Arc<PeerNames>>,
    proxies: Arc<ProxyChoice>,
    pub(super) last_instance: u64,
    /// The first look at the plugin directory is over.
    is_serving: bool,
    /// Instances whose sessions are closed at some time.
    drains: Vec<(Instant, Vec<u64>)>,
}

/// A vhost, and a protocol, extension or policy there.
pub(super) type Place = (String, String);

/// A protocol or extension that is served.
#[derive(Clone)]
pub(super) struct Served<R> {
    pub(super) route: R,
    pub(super) generation: Arc<Generation>,
    opened: Opened,
    /// Its place in the plugin's tables.
    index: usize,
}

/// Instances that are not visible yet.
pub(crate) struct Prepared {
    plugin: String,
    protocols: Vec<(Place, Served<Route>)>,
    extensions: Vec<(Place, Served<ExtensionRoute>)>,
    policies: PreparedPolicies,
}

/// Instances that serve no longer.
#[derive(Default)]
struct Superseded {
    protocols: Vec<Served<Route>>,
    extensions: Vec<Served<ExtensionRoute>>,
    policies: Vec<Served<PolicyRoute>>,
}

impl Deployment {
    pub(crate) fn new(
        services: Arc<Services>,
        finished: Finished,
        config: Config,
        sites: BTreeMap<String, OpenSite>,
        scopes: Vec<Scope>,
        seats: Arc<Seats>,
    ) -> Self {
        let peer_names = peer_names(&config, &services.hub, None);
        let proxies = proxies(&config);
        Self {
            hub: Arc::clone(&services.hub),
            services,
            finished,
            config,
            sites,
            scopes,
            sets: HashMap::new(),
            protocols: BTreeMap::new(),
            extensions: BTreeMap::new(),
            policies: Policies::default(),
            seats,
            peer_names,
            proxies,
            last_instance: 0,
            is_serving: false,
            drains: Vec::new(),
        }
    }

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

    fn routes(&self, vhost: &VhostConfig) -> Arc<Routes> {
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
    fn certificate_rule(&self, vhost: &str) -> CertificateRule {
        let tls = self.config.tls.as_ref();
        match tls.and_then(|tls| tls.clients_of(vhost)) {
            None => CertificateRule::NotAsked,
            Some(clients) if clients.is_required => CertificateRule::Required,
            Some(_) => CertificateRule::Optional,
        }
    }

    /// The extensions in the order of the config, and behind them those that it does not name.
    fn offered(&self, vhost: &VhostConfig) -> Vec<ExtensionRoute> {
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

    /// How long a plugin is waited for.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.config.limits.plugin_start_ms)
    }

    /// Whether nothing is served.
    pub(crate) fn is_empty(&self) -> bool {
        self.protocols.is_empty()
    }

    /// The set of the sessions of a protocol on a vhost, of all generations, and whether new ones join it. None for a
    /// protocol that was never served there.
    pub(crate) fn set(&self, vhost: &str, protocol: &str) -> Option<(SetId, bool)> {
        let place = (vhost.to_owned(), protocol.to_owned());
        let served = self.protocols.get(&place);
        let is_joined = served.is_some_and(|served| served.route.handler.facts().websocket);
        self.sets.get(&place).map(|set| (*set, is_joined))
    }

    /// The names of the protocols with sessions that are served on a vhost.
    pub(crate) fn session_protocols(&self, vhost: &str) -> Vec<&str> {
        let own = self
            .protocols
            .iter()
            .filter(|((of, _), served)| of == vhost && served.route.handler.facts().websocket);
        own.map(|((_, name), _)| name.as_str()).collect()
    }

    /// The config that is carried out.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Takes another config: new instances where the options differ, the rest in place.
    ///
    /// # Errors
    ///
    /// When a plugin does not take its options, or something cannot be opened; nothing has changed then.
    pub(crate) fn reconfigure(
        &mut self,
        config: Config,
        scopes: Vec<Scope>,
    ) -> Result<(), Box<dyn Error>> {
        let sites = open_sites(&config, &self.sites)?;
        let running = std::mem::replace(&mut self.config, config);
        let (protocols, extensions, policies) = match self.made_anew(&running) {
            Ok(made) => made,
            Err(refusal) => {
                self.config = running;
                return Err(refusal.into());
            }
        };
        let former = std::mem::replace(&mut self.sites, sites);
        self.scopes = scopes;
        self.peer_names = peer_names(&self.config, &self.hub, self.peer_names.take());
        self.proxies = proxies(&self.config);
        if self.config.limits != running.limits {
            let limits = Arc::new(self.config.limits.clone());
            self.hub.tell_all(&Command::Limits(limits));
        }
        let mut before = self.take_unwanted();
        for (place, served) in protocols {
            before
                .protocols
                .extend(self.protocols.insert(place, served));
        }
        for (place, served) in extensions {
            before
                .extensions
                .extend(self.extensions.insert(place, served));
        }
        before.policies.extend(self.policies.install(policies));
        self.publish();
        self.retire(before);
        for (_, site) in former {
            site.finish();
        }
        Ok(())
    }

    /// Instances for whatever is new, or has other options than in `running`; nothing is visible yet. The default vhost
    /// has all that there is.
    fn made_anew(&mut self, running: &Config) -> Result<Made, Refusal> {
        let default = |(vhost, _): &Place| vhost == DEFAULT_VHOST;
        let all: Vec<_> = self.protocols.clone().into_iter().collect();
        let all_extensions: Vec<_> = self.extensions.clone().into_iter().collect();
        let vhosts: Vec<_> = self.config.vhosts().cloned().collect();
        let (mut protocols, mut extensions) = (Vec::new(), Vec::new());
        for vhost in &vhosts {
            let was = running.vhost(&vhost.name);
            for ((_, name), served) in all.iter().filter(|(place, _)| default(place)) {
                let place = (vhost.name.clone(), name.clone());
                let is_same = was.is_some_and(|was| was.options(name) == vhost.options(name));
                if vhost.serves(name) && !(is_same && self.protocols.contains_key(&place)) {
                    let Served {
                        generation,
                        opened,
                        index,
                        ..
                    } = served;
                    let new = self.protocol(vhost, generation, opened, *index)?;
                    protocols.push((place, new));
                }
            }
            for ((_, name), served) in all_extensions.iter().filter(|(place, _)| default(place)) {
                let place = (vhost.name.clone(), name.clone());
                let is_same = was.is_some_and(|was| {
                    was.extension_options(name) == vhost.extension_options(name)
                });
                if !(is_same && self.extensions.contains_key(&place)) {
                    let Served {
                        generation,
                        opened,
                        index,
                        ..
                    } = served;
                    let new = self.extension(vhost, generation, opened, *index)?;
                    extensions.push((place, new));
                }
            }
        }
        let policies = self.policies_made_anew(&vhosts, |name| running.vhost(name).cloned())?;
        Ok((protocols, extensions, policies))
    }

    /// Takes out what no vhost of the config serves.
    fn take_unwanted(&mut self) -> Superseded {
        let config = &self.config;
        let protocols = self.protocols.extract_if(.., |(vhost, name), _| {
            !config.vhost(vhost).is_some_and(|vhost| vhost.serves(name))
        });
        let protocols = protocols.map(|(_, served)| served).collect();
        let extensions = self
            .extensions
            .extract_if(.., |(vhost, _), _| config.vhost(vhost).is_none());
        Superseded {
            protocols,
            extensions: extensions.map(|(_, served)| served).collect(),
            policies: self.policies.take_unwanted(|vhost, name| {
                config.vhost(vhost).is_some_and(|vhost| vhost.asks(name))
            }),
        }
    }

    /// The host ends: what belongs to the service threads is freed, and the access log is written.
    pub(crate) fn end(self) {
        let Self { sites, .. } = self;
        for (_, site) in sites {
            site.finish();
        }
    }

    /// When the next sessions are to be closed.
    pub(crate) fn next_drain(&self) -> Option<Instant> {
        self.drains.iter().map(|(at, _)| *at).min()
    }

    /// Closes the sessions of generations whose time is over.
    pub(crate) fn drain_due(&mut self, now: Instant) {
        for (_, keys) in self.drains.extract_if(.., |(at, _)| *at <= now) {
            self.hub.tell_all(&Command::DrainInstances(keys.into()));
        }
    }

    /// Has all service threads go by what is served now.
    fn publish(&mut self) {
        if self.is_serving {
            self.policies.tell_missing(self.config.vhosts());
        }
        self.hub.tell_all(&Command::Install(self.vhosts()));
        for served in self.protocols.values() {
            served.route.handler.serves(&served.route);
        }
    }

    /// These instances get no new sessions any more.
    fn retire(&mut self, before: Superseded) {
        let protocols = before.protocols.iter().map(|served| served.route.instance);
        let extensions = before.extensions.iter().map(|served| served.route.instance);
        // Not those of policies: a connection is not closed since it was let in by an older one.
        let keys: Vec<_> = protocols.chain(extensions).collect();
        for served in before.protocols {
            instance::retire(served.route.handler, self.patience());
        }
        for served in before.extensions {
            instance::retire(served.route.handler, self.patience());
        }
        for served in before.policies {
            if let Some(handler) = served.route.handler {
                instance::retire(handler, self.patience());
            }
        }
        let after = self.config.limits.drain_generation_ms;
        if after > 0 && !keys.is_empty() {
            let at = Instant::now() + Duration::from_millis(after);
            self.drains.push((at, keys));
        }
    }

    /// Takes out what some generations serve.
    fn take_of(&mut self, is_meant: impl Fn(&Arc<Generation>) -> bool) -> Superseded {
        let policies = self.policies.take_of(&is_meant);
        let protocols = self
            .protocols
            .extract_if(.., |_, served| is_meant(&served.generation));
        let extensions = self
            .extensions
            .extract_if(.., |_, served| is_meant(&served.generation));
        Superseded {
            protocols: protocols.map(|(_, served)| served).collect(),
            extensions: extensions.map(|(_, served)| served).collect(),
            policies,
        }
    }
}

/// New instances by their place.
type Made = (
    Vec<(Place, Served<Route>)>,
    Vec<(Place, Served<ExtensionRoute>)>,
    PreparedPolicies,
);

impl<R> Served<R> {
    pub(super) fn new(
        route: R,
        generation: &Arc<Generation>,
        opened: &Opened,
        index: usize,
    ) -> Self {
        Self {
            route,
            generation: Arc::clone(generation),
            opened: opened.clone(),
            index,
        }
    }
}

impl Installer for Deployment {
    type Prepared = Prepared;

    fn prepare(
        &mut self,
        generation: &Arc<Generation>,
        opened: &Opened,
    ) -> Result<Prepared, Refusal> {
        let flags = if opened.linked { START_LINKED } else { 0 };
        let started = instance::start(
            &opened.plugin,
            generation,
            &self.services,
            flags,
            self.patience(),
        );
        started.map_err(|fault| {
            let mend =
                "the plugin refuses to start: ask its author, or put the version before back";
            Refusal::new(&generation.file, Stage::Start, fault.text, mend)
        })?;
        let vhosts: Vec<_> = self.config.vhosts().cloned().collect();
        let (mut protocols, mut extensions) = (Vec::new(), Vec::new());
        for vhost in &vhosts {
            for (at, protocol) in opened.manifest.protocols.iter().enumerate() {
                if vhost.serves(&protocol.name) {
                    let place = (vhost.name.clone(), protocol.name.clone());
                    protocols.push((place, self.protocol(vhost, generation, opened, at)?));
                }
            }
            for (at, extension) in opened.manifest.extensions.iter().enumerate() {
                let place = (vhost.name.clone(), extension.name.clone());
                extensions.push((place, self.extension(vhost, generation, opened, at)?));
            }
        }
        let policies = self.prepare_policies(&vhosts, generation, opened)?;
        Ok(Prepared {
            plugin: generation.plugin.clone(),
            protocols,
            extensions,
            policies,
        })
    }

    fn install(&mut self, prepared: Prepared) {
        let before = self.take_of(|generation| generation.plugin == prepared.plugin);
        self.protocols.extend(prepared.protocols);
        self.extensions.extend(prepared.extensions);
        self.policies.install(prepared.policies);
        self.publish();
        self.retire(before);
    }

    fn withdraw(&mut self, generation: &Arc<Generation>) {
        let before = self.take_of(|serving| Arc::ptr_eq(serving, generation));
        self.publish();
        self.retire(before);
    }

    fn is_used(&self, what: Provided<'_>) -> bool {
        match what {
            Provided::Protocol(name) => {
                let place = (DEFAULT_VHOST.to_owned(), name.to_owned());
                self.protocols.contains_key(&place)
            }
            Provided::Policy(name) => self.config.vhosts().any(|vhost| vhost.asks(name)),
        }
    }
}

/// The proxies for connections that the host opens.
fn proxies(config: &Config) -> Arc<ProxyChoice> {
    let variable = |name: &str| std::env::var(name).ok();
    Arc::new(config.client.proxies(variable))
}

/// The names of peers, if the config has them looked up. Those of `before` are kept if their bounds are to be the same.
fn peer_names(
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

/// Opens what the vhosts of a config name. The access logs of `before` go on where they are to be the same.
///
/// # Errors
///
/// What cannot be opened.
pub(crate) fn open_sites(
    config: &Config,
    before: &BTreeMap<String, OpenSite>,
) -> Result<BTreeMap<String, OpenSite>, SiteError> {
    let open = |vhost: &VhostConfig| {
        let site = OpenSite::open(vhost, &config.limits, before.get(&vhost.name))?;
        Ok((vhost.name.clone(), site))
    };
    config.vhosts().map(open).collect()
}
