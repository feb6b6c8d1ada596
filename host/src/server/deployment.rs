//! Generations at work: the instances of each protocol that is served, and the routes that lead to them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use hotsocket_abi::START_LINKED;

use crate::{
    config::Config,
    connection::inbound,
    context::{
        handler::ProtocolFacts,
        hub::{Command, Hub},
        origin::AllowedOrigins,
        roster::SetId,
        routes::{Route, Routes},
    },
    plugin::{
        adapter::{self, Finished, Instance, InstancePlan},
        generation::Generation,
        host_calls::Services,
        library::Opened,
        manifest::{Delivery, ProtocolManifest},
        refusal::{Refusal, Stage},
        registry::Installer,
    },
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
    /// By protocol. A protocol keeps its set for ever, so that its sessions of all generations are found together.
    sets: HashMap<String, SetId>,
    serving: BTreeMap<String, Served>,
    last_instance: u64,
    /// Instances whose sessions are closed at some time.
    drains: Vec<(Instant, Vec<u64>)>,
}

/// A protocol that is served.
#[derive(Clone)]
struct Served {
    route: Route,
    generation: Arc<Generation>,
    opened: Opened,
    /// Its place in the plugin's tables.
    index: usize,
}

/// Instances that are not visible yet.
pub(crate) struct Prepared {
    plugin: String,
    protocols: Vec<(String, Served)>,
}

impl Deployment {
    pub(crate) fn new(services: Arc<Services>, finished: Finished, config: Config) -> Self {
        Self {
            hub: Arc::clone(&services.hub),
            services,
            finished,
            vhost: VHOST.into(),
            config,
            sets: HashMap::new(),
            serving: BTreeMap::new(),
            last_instance: 0,
            drains: Vec::new(),
        }
    }

    /// What the service threads are to go by.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        let protocols = self.serving.iter();
        Arc::new(Routes {
            vhost: Arc::clone(&self.vhost),
            protocols: protocols
                .map(|(name, served)| (name.as_str().into(), served.route.clone()))
                .collect(),
            default_protocol: self.config.default_protocol.as_deref().map(Into::into),
            allowed_origins: AllowedOrigins {
                origins: self.config.allowed_origins.clone(),
            },
        })
    }

    /// How long a plugin is waited for.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.config.limits.plugin_start_ms)
    }

    /// Whether nothing is served.
    pub(crate) fn is_empty(&self) -> bool {
        self.serving.is_empty()
    }

    /// The config that is carried out.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Takes another config: new instances where the options differ, the rest in place.
    ///
    /// # Errors
    ///
    /// When a plugin does not take its options; nothing has changed then.
    pub(crate) fn reconfigure(&mut self, config: Config) -> Result<(), Refusal> {
        let running = std::mem::replace(&mut self.config, config);
        let mut changed = Vec::new();
        for (name, served) in self.serving.clone() {
            if options(&running, &name) == options(&self.config, &name) {
                continue;
            }
            match self.instance(&served.generation, &served.opened, served.index) {
                Ok(new) => changed.push((name, new)),
                Err(refusal) => {
                    self.config = running;
                    return Err(refusal);
                }
            }
        }
        if self.config.limits != running.limits {
            let limits = Arc::new(self.config.limits.clone());
            self.services
                .set_counters_count(limits.plugin_counters_count as usize);
            self.hub.tell_all(&Command::Limits(limits));
        }
        let before = changed
            .into_iter()
            .filter_map(|(name, served)| self.serving.insert(name, served));
        let before: Vec<_> = before.collect();
        self.publish();
        self.retire(before);
        Ok(())
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
    fn instance(
        &mut self,
        generation: &Arc<Generation>,
        opened: &Opened,
        index: usize,
    ) -> Result<Served, Refusal> {
        let protocol = &opened.manifest.protocols[index];
        let next = SetId(self.sets.len() as u32);
        let set = *self.sets.entry(protocol.name.clone()).or_insert(next);
        let options = options(&self.config, &protocol.name);
        let plan = InstancePlan {
            generation: Arc::clone(generation),
            facts: facts(protocol),
            blocks: opened.protocols[index],
            vhost: Arc::clone(&self.vhost),
            set,
            options,
            finished: Arc::clone(&self.finished),
        };
        let instance = Instance::create(plan, &self.services, self.patience());
        let instance = instance.map_err(|fault| {
            let mend = format!(
                "look at `protocols.{}.options` in the config, and at what the plugin asks for",
                protocol.name
            );
            let cause = format!("protocol {}: {}", protocol.name, fault.text);
            Refusal::new(&generation.file, Stage::Instance, cause, mend)
        })?;
        self.last_instance += 1;
        Ok(Served {
            route: Route {
                instance: self.last_instance,
                handler: Arc::new(instance),
                set,
            },
            generation: Arc::clone(generation),
            opened: opened.clone(),
            index,
        })
    }

    /// Has all service threads go by what is served now.
    fn publish(&self) {
        self.hub.tell_all(&Command::Install(self.routes()));
    }

    /// These instances get no new sessions any more.
    fn retire(&mut self, instances: Vec<Served>) {
        let keys: Vec<_> = instances
            .iter()
            .map(|served| served.route.instance)
            .collect();
        for served in instances {
            adapter::retire(served.route.handler, self.patience());
        }
        let after = self.config.limits.drain_generation_ms;
        if after > 0 && !keys.is_empty() {
            let at = Instant::now() + Duration::from_millis(after);
            self.drains.push((at, keys));
        }
    }

    /// Takes out what a plugin serves.
    fn take_of(&mut self, is_meant: impl Fn(&Served) -> bool) -> Vec<Served> {
        let taken = self.serving.extract_if(.., |_, served| is_meant(served));
        taken.map(|(_, served)| served).collect()
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
        let started = adapter::start(
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
        let protocols = 0..opened.manifest.protocols.len();
        let protocols = protocols.map(|index| {
            let served = self.instance(generation, opened, index)?;
            Ok((opened.manifest.protocols[index].name.clone(), served))
        });
        Ok(Prepared {
            plugin: generation.plugin.clone(),
            protocols: protocols.collect::<Result<_, Refusal>>()?,
        })
    }

    fn install(&mut self, prepared: Prepared) {
        let before = self.take_of(|served| served.generation.plugin == prepared.plugin);
        self.serving.extend(prepared.protocols);
        self.publish();
        self.retire(before);
    }

    fn withdraw(&mut self, generation: &Arc<Generation>) {
        let before = self.take_of(|served| Arc::ptr_eq(&served.generation, generation));
        self.publish();
        self.retire(before);
    }

    fn is_mounted(&self, protocol: &str) -> bool {
        self.serving.contains_key(protocol)
    }
}

/// The options of a protocol, as its plugin gets them.
fn options(config: &Config, protocol: &str) -> String {
    match config.protocols.get(protocol) {
        Some(protocol) => protocol.options.to_string(),
        None => "{}".into(),
    }
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
    }
}
