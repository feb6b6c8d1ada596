//! Generations at work: the instances of each protocol that is served, and the routes that lead to them.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::{Config, DEFAULT_VHOST, VhostConfig},
    connection::proxy_choice::ProxyChoice,
    context::{
        hub::{Command, Hub},
        peer_names::PeerNames,
        policy::PolicyRoute,
        roster::SetId,
        routes::{ExtensionRoute, Route},
    },
    net::seats::Seats,
    plugin::{
        generation::Generation,
        instance::{self, Finished},
        refusal::Refusal,
        services::Services,
        tables::Opened,
    },
    server::routing::{peer_names, proxies},
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
    pub(super) hub: Arc<Hub>,
    pub(super) config: Config,
    /// By name of the vhost; there is one for each in the config.
    pub(super) sites: BTreeMap<String, OpenSite>,
    /// Which listeners lead to which vhosts.
    pub(super) scopes: Vec<Scope>,
    /// A protocol of a vhost keeps its set for ever, so that its sessions of all generations are found together.
    pub(super) sets: HashMap<Place, SetId>,
    pub(super) protocols: BTreeMap<Place, Served<Route>>,
    pub(super) extensions: BTreeMap<Place, Served<ExtensionRoute>>,
    pub(super) policies: Policies,
    pub(super) seats: Arc<Seats>,
    pub(super) peer_names: Option<Arc<PeerNames>>,
    pub(super) proxies: Arc<ProxyChoice>,
    pub(super) last_instance: u64,
    /// The first look at the plugin directory is over.
    pub(super) is_serving: bool,
    /// Instances whose sessions are closed at some time.
    pub(super) drains: Vec<(Instant, Vec<u64>)>,
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
    pub(super) plugin: String,
    pub(super) protocols: Vec<(Place, Served<Route>)>,
    pub(super) extensions: Vec<(Place, Served<ExtensionRoute>)>,
    pub(super) policies: PreparedPolicies,
}

/// Instances that serve no longer.
#[derive(Default)]
pub(super) struct Superseded {
    pub(super) protocols: Vec<Served<Route>>,
    pub(super) extensions: Vec<Served<ExtensionRoute>>,
    pub(super) policies: Vec<Served<PolicyRoute>>,
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
    pub(super) fn made_anew(&mut self, running: &Config) -> Result<Made, Refusal> {
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
    pub(super) fn take_unwanted(&mut self) -> Superseded {
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

    /// These instances get no new sessions any more.
    pub(super) fn retire(&mut self, before: Superseded) {
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
    pub(super) fn take_of(&mut self, is_meant: impl Fn(&Arc<Generation>) -> bool) -> Superseded {
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
