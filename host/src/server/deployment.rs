//! Generations at work: the instances of each protocol that is served, and the routes that lead to them.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use hotsocket_abi::START_LINKED;

use crate::{
    config::Config,
    connection::inbound,
    context::{
        handler::{Fault, ProtocolFacts},
        http_handler::HttpFacts,
        hub::{Command, Hub},
        origin::AllowedOrigins,
        roster::SetId,
        routes::{ExtensionRoute, Route, Routes},
    },
    plugin::{
        adapter::Protocol,
        extension_adapter::HostedExtension,
        generation::Generation,
        host_calls::Services,
        instance::{self, Finished, InstancePlan},
        library::Opened,
        manifest::{Delivery, ProtocolManifest},
        refusal::{Refusal, Stage},
        registry::Installer,
    },
    server::open_site::OpenSite,
};

/// The one vhost there is for now.
const VHOST: &str = "default";

/// What the service threads serve, and from what it is made anew.
pub(crate) struct Deployment {
    services: Arc<Services>,
    finished: Finished,
    hub: Arc<Hub>,
    vhost: Arc<str>,
    config: Config,
    site: OpenSite,
    /// By protocol. A protocol keeps its set for ever, so that its sessions of all generations are found together.
    sets: HashMap<String, SetId>,
    protocols: BTreeMap<String, Served<Route>>,
    extensions: BTreeMap<String, Served<ExtensionRoute>>,
    last_instance: u64,
    /// Instances whose sessions are closed at some time.
    drains: Vec<(Instant, Vec<u64>)>,
}

/// A protocol or extension that is served.
#[derive(Clone)]
struct Served<R> {
    route: R,
    generation: Arc<Generation>,
    opened: Opened,
    /// Its place in the plugin's tables.
    index: usize,
}

/// Instances that are not visible yet.
pub(crate) struct Prepared {
    plugin: String,
    protocols: Vec<(String, Served<Route>)>,
    extensions: Vec<(String, Served<ExtensionRoute>)>,
}

/// Instances that serve no longer.
#[derive(Default)]
struct Superseded {
    protocols: Vec<Served<Route>>,
    extensions: Vec<Served<ExtensionRoute>>,
}

impl Deployment {
    pub(crate) fn new(
        services: Arc<Services>,
        finished: Finished,
        config: Config,
        site: OpenSite,
    ) -> Self {
        Self {
            hub: Arc::clone(&services.hub),
            services,
            finished,
            vhost: VHOST.into(),
            config,
            site,
            sets: HashMap::new(),
            protocols: BTreeMap::new(),
            extensions: BTreeMap::new(),
            last_instance: 0,
            drains: Vec::new(),
        }
    }

    /// What the service threads are to go by.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        let protocols = self.protocols.iter();
        Arc::new(Routes {
            vhost: Arc::clone(&self.vhost),
            protocols: protocols
                .map(|(name, served)| (name.as_str().into(), served.route.clone()))
                .collect(),
            site: Arc::clone(&self.site.site),
            has_warned: AtomicBool::new(false),
            extensions: self.offered(),
            default_protocol: self.config.default_protocol.as_deref().map(Into::into),
            allowed_origins: AllowedOrigins {
                origins: self.config.allowed_origins.clone(),
            },
        })
    }

    /// The extensions in the order of the config, and behind them those that it does not name.
    fn offered(&self) -> Vec<ExtensionRoute> {
        let named = &self.config.extensions;
        let first = named
            .iter()
            .filter(|(_, extension)| extension.offer)
            .filter_map(|(name, _)| self.extensions.get(name));
        let rest = self
            .extensions
            .iter()
            .filter(|(name, _)| named.iter().all(|(other, _)| other != *name))
            .map(|(_, served)| served);
        first
            .chain(rest)
            .map(|served| served.route.clone())
            .collect()
    }

    /// How long a plugin is waited for.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.config.limits.plugin_start_ms)
    }

    /// Whether nothing is served.
    pub(crate) fn is_empty(&self) -> bool {
        self.protocols.is_empty()
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
    pub(crate) fn reconfigure(&mut self, config: Config) -> Result<(), Box<dyn Error>> {
        let site = OpenSite::open(&config, Some(&self.site))?;
        let running = std::mem::replace(&mut self.config, config);
        let (protocols, extensions) = match self.made_anew(&running) {
            Ok(made) => made,
            Err(refusal) => {
                self.config = running;
                return Err(refusal.into());
            }
        };
        self.site = site;
        if self.config.limits != running.limits {
            let limits = Arc::new(self.config.limits.clone());
            self.hub.tell_all(&Command::Limits(limits));
        }
        let mut before = Superseded::default();
        for (name, served) in protocols {
            before.protocols.extend(self.protocols.insert(name, served));
        }
        for (name, served) in extensions {
            before
                .extensions
                .extend(self.extensions.insert(name, served));
        }
        self.publish();
        self.retire(before);
        Ok(())
    }

    /// Instances for whatever has other options than in `running`; nothing is visible yet.
    fn made_anew(&mut self, running: &Config) -> Result<Made, Refusal> {
        let mut protocols = Vec::new();
        for (name, served) in self.protocols.clone() {
            if options(running, &name) != options(&self.config, &name) {
                let new = self.protocol(&served.generation, &served.opened, served.index)?;
                protocols.push((name, new));
            }
        }
        let mut extensions = Vec::new();
        for (name, served) in self.extensions.clone() {
            if extension_options(running, &name) != extension_options(&self.config, &name) {
                let new = self.extension(&served.generation, &served.opened, served.index)?;
                extensions.push((name, new));
            }
        }
        Ok((protocols, extensions))
    }

    /// The host ends: what belongs to the service threads is freed, and the access log is written.
    pub(crate) fn end(self) {
        let Self { site, .. } = self;
        site.finish();
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

    /// Makes an instance of one protocol.
    fn protocol(
        &mut self,
        generation: &Arc<Generation>,
        opened: &Opened,
        index: usize,
    ) -> Result<Served<Route>, Refusal> {
        let manifest = &opened.manifest.protocols[index];
        let blocks = opened.protocols[index];
        let next = SetId(self.sets.len() as u32);
        let set = *self.sets.entry(manifest.name.clone()).or_insert(next);
        let plan = InstancePlan {
            generation: Arc::clone(generation),
            name: manifest.name.clone(),
            block: blocks.instance,
            vhost: Arc::clone(&self.vhost),
            set: Some(set),
            options: options(&self.config, &manifest.name),
            finished: Arc::clone(&self.finished),
        };
        let protocol = Protocol::create(
            plan,
            facts(manifest),
            &blocks,
            &self.services,
            self.patience(),
        );
        let protocol =
            protocol.map_err(|fault| refused(generation, "protocol", &manifest.name, &fault))?;
        self.last_instance += 1;
        let route = Route {
            instance: self.last_instance,
            handler: Arc::new(protocol),
            set,
        };
        Ok(Served::new(route, generation, opened, index))
    }

    /// Makes an instance of one extension.
    fn extension(
        &mut self,
        generation: &Arc<Generation>,
        opened: &Opened,
        index: usize,
    ) -> Result<Served<ExtensionRoute>, Refusal> {
        let name = &opened.manifest.extensions[index].name;
        let blocks = opened.extensions[index];
        let plan = InstancePlan {
            generation: Arc::clone(generation),
            name: name.clone(),
            block: blocks.instance,
            vhost: Arc::clone(&self.vhost),
            set: None,
            options: extension_options(&self.config, name),
            finished: Arc::clone(&self.finished),
        };
        let extension =
            HostedExtension::create(plan, blocks.extension, &self.services, self.patience());
        let extension =
            extension.map_err(|fault| refused(generation, "extension", name, &fault))?;
        self.last_instance += 1;
        let route = ExtensionRoute {
            instance: self.last_instance,
            handler: Arc::new(extension),
        };
        Ok(Served::new(route, generation, opened, index))
    }

    /// Has all service threads go by what is served now.
    fn publish(&self) {
        self.hub.tell_all(&Command::Install(self.routes()));
    }

    /// These instances get no new sessions any more.
    fn retire(&mut self, before: Superseded) {
        let protocols = before.protocols.iter().map(|served| served.route.instance);
        let extensions = before.extensions.iter().map(|served| served.route.instance);
        let keys: Vec<_> = protocols.chain(extensions).collect();
        for served in before.protocols {
            instance::retire(served.route.handler, self.patience());
        }
        for served in before.extensions {
            instance::retire(served.route.handler, self.patience());
        }
        let after = self.config.limits.drain_generation_ms;
        if after > 0 && !keys.is_empty() {
            let at = Instant::now() + Duration::from_millis(after);
            self.drains.push((at, keys));
        }
    }

    /// Takes out what some generations serve.
    fn take_of(&mut self, is_meant: impl Fn(&Arc<Generation>) -> bool) -> Superseded {
        let protocols = self
            .protocols
            .extract_if(.., |_, served| is_meant(&served.generation));
        let extensions = self
            .extensions
            .extract_if(.., |_, served| is_meant(&served.generation));
        Superseded {
            protocols: protocols.map(|(_, served)| served).collect(),
            extensions: extensions.map(|(_, served)| served).collect(),
        }
    }
}

/// New instances by name.
type Made = (
    Vec<(String, Served<Route>)>,
    Vec<(String, Served<ExtensionRoute>)>,
);

impl<R> Served<R> {
    fn new(route: R, generation: &Arc<Generation>, opened: &Opened, index: usize) -> Self {
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
        let manifest = &opened.manifest;
        let protocols = manifest.protocols.iter().enumerate();
        let protocols = protocols
            .map(|(at, protocol)| {
                Ok((
                    protocol.name.clone(),
                    self.protocol(generation, opened, at)?,
                ))
            })
            .collect::<Result<_, Refusal>>()?;
        let extensions = manifest.extensions.iter().enumerate();
        let extensions = extensions
            .map(|(at, extension)| {
                Ok((
                    extension.name.clone(),
                    self.extension(generation, opened, at)?,
                ))
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(Prepared {
            plugin: generation.plugin.clone(),
            protocols,
            extensions,
        })
    }

    fn install(&mut self, prepared: Prepared) {
        let before = self.take_of(|generation| generation.plugin == prepared.plugin);
        self.protocols.extend(prepared.protocols);
        self.extensions.extend(prepared.extensions);
        self.publish();
        self.retire(before);
    }

    fn withdraw(&mut self, generation: &Arc<Generation>) {
        let before = self.take_of(|serving| Arc::ptr_eq(serving, generation));
        self.publish();
        self.retire(before);
    }

    fn is_mounted(&self, protocol: &str) -> bool {
        self.protocols.contains_key(protocol)
    }
}

/// The options of a protocol, as its plugin gets them.
fn options(config: &Config, protocol: &str) -> String {
    match config.protocols.get(protocol) {
        Some(protocol) => protocol.options.to_string(),
        None => "{}".into(),
    }
}

/// The options of an extension, as its plugin gets them.
fn extension_options(config: &Config, name: &str) -> String {
    let named = config.extensions.iter().find(|(other, _)| other == name);
    named.map_or_else(
        || "{}".into(),
        |(_, extension)| extension.options.to_string(),
    )
}

/// Why a plugin did not make an instance, and what to do about it.
fn refused(generation: &Generation, what: &str, name: &str, fault: &Fault) -> Refusal {
    let mend =
        format!("look at `{what}s.{name}.options` in the config, and at what the plugin asks for");
    let cause = format!("{what} {name}: {}", fault.text);
    Refusal::new(&generation.file, Stage::Instance, cause, mend)
}

fn facts(protocol: &ProtocolManifest) -> ProtocolFacts {
    ProtocolFacts {
        name: protocol.name.clone(),
        id: protocol.id,
        delivery: match protocol.delivery {
            Delivery::Messages => inbound::Delivery::Messages,
            Delivery::Pieces => inbound::Delivery::Pieces {
                rx_chunk: u32::try_from(protocol.rx_chunk).unwrap_or(u32::MAX),
            },
        },
        pongs: protocol.pongs,
        extensions: protocol.extensions.clone(),
        keep_headers: protocol.keep_headers.clone(),
        websocket: protocol.websocket,
        http: protocol.http.then_some(HttpFacts {
            body_bytes: protocol.body_bytes,
        }),
    }
}
