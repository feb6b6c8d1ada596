//! From a config and plugins to a host that listens.

use std::{
    any::type_name,
    collections::BTreeMap,
    fmt, io,
    os::fd::AsFd,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    time::Duration,
};

use hotsocket_abi::StaticPlugin;
use rustix::process::{Resource, getrlimit};
use tracing::level_filters::LevelFilter;

use crate::{
    config::{Config, ConfigError, ControlPlace, ListenerConfig, RunAs},
    control::ControlServer,
    limits::Limits,
    logging::LogControl,
    net::{inherited::Inherited, io::Shared, tls::TlsKeeper, watcher::FdSink},
    plugin::{
        instance::Finished,
        services::{HostData, Services},
    },
    server::{
        conductor::{Announce, Conductor, Errand, KeptTls, Reload},
        deployment::{Deployment, open_sites},
        handle::HostHandle,
        host::Host,
        listeners::{Listeners, PreparedListeners},
        plugins::Plugins,
        privileges::{PrivilegeError, become_user, may_become, unreadable_again},
        start_error::StartError,
        threads::{FdSinks, Threads},
    },
};

/// Descriptors that are not for connections: listeners, polls, the log, plugin files, and some to spare.
const SPARE_DESCRIPTORS: u64 = 64;

/// What a [`Host`] is made of.
pub struct HostBuilder {
    config: Config,
    /// The address of the default config was replaced by those that were said.
    is_listen_said: bool,
    linked: Vec<StaticPlugin>,
    data: HostData,
    /// The types of `data`, for eyes.
    types: Vec<&'static str>,
    log: Option<LogControl>,
    reload: Option<Reload>,
    announce: Option<Announce>,
    sinks: Option<FdSinks>,
    inherited: Inherited,
    handle: HostHandle,
    inbox: Receiver<Errand>,
}

impl Default for HostBuilder {
    fn default() -> Self {
        let (errands, inbox) = mpsc::channel();
        Self {
            config: Config::default(),
            is_listen_said: false,
            linked: Vec::new(),
            data: HostData::default(),
            types: Vec::new(),
            log: None,
            reload: None,
            announce: None,
            sinks: None,
            inherited: Inherited::default(),
            handle: HostHandle::new(errands),
            inbox,
        }
    }
}

impl HostBuilder {
    /// Takes a whole config, in place of all that was said before of what stands in one.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.is_listen_said = true;
        self.config = config;
        self
    }

    /// Listens there too: at an address, or as a [`ListenerConfig`] says. The first of them takes the place of the usual address, unless a config was given.
    #[must_use]
    pub fn listen(mut self, listener: impl Into<ListenerConfig>) -> Self {
        if !self.is_listen_said {
            self.is_listen_said = true;
            self.config.listen.clear();
        }
        self.config.listen.push(listener.into());
        self
    }

    /// Has so many service threads; one, if this is not said.
    #[must_use]
    pub fn threads(mut self, count: usize) -> Self {
        self.config.threads = count;
        self
    }

    /// Serves the plugin files of a directory, each replaced when its file is. Takes a thread that watches it.
    #[must_use]
    pub fn plugins(mut self, directory: impl Into<PathBuf>) -> Self {
        self.config.plugins = Some(directory.into());
        self
    }

    /// Can be asked from outside. Takes a thread that answers.
    #[must_use]
    pub fn control(mut self, place: ControlPlace) -> Self {
        self.config.control = Some(place);
        self
    }

    /// Serves a plugin that is linked into the program: what the `plugin()` of its crate gives.
    #[must_use]
    pub fn plugin(mut self, plugin: StaticPlugin) -> Self {
        self.linked.push(plugin);
        self
    }

    /// Lets linked plugins have this value: they ask their host for data of its type. One value per type; the last one
    /// that was given stays. Plugins from files get nothing, since types mean something within one program only.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.types.push(type_name::<T>());
        self.data.insert(value);
        self
    }

    /// Applies what a config says of the log to this one, now and on each reload; without, the log is the program's own.
    #[must_use]
    pub fn log(mut self, log: LogControl) -> Self {
        self.log = Some(log);
        self
    }

    /// Reads the config again when [`HostHandle::reload`] asks for it. Takes a thread that does.
    #[must_use]
    pub fn reload(
        mut self,
        read: impl FnMut() -> Result<Config, ConfigError> + Send + 'static,
    ) -> Self {
        self.reload = Some(Box::new(read));
        self
    }

    /// Has the program's own loop watch every descriptor of the host, which takes no poll of its own then: `sink` gives the
    /// one of a service thread, by its number from 0. What that loop sees goes to [`Host::service_fd`], and a turn serves
    /// it; turns wait for nothing, so that [`Host::run`] and [`Host::spawn`] are refused.
    #[must_use]
    pub fn fd_sink<S: FdSink + 'static>(
        mut self,
        mut sink: impl FnMut(usize) -> S + Send + 'static,
    ) -> Self {
        self.sinks = Some(Box::new(move |number| Box::new(sink(number))));
        self
    }

    /// Tells where the host listens by this, instead of by a line of the log.
    #[cfg(feature = "cli")]
    pub(crate) fn announce(mut self, announce: Announce) -> Self {
        self.announce = Some(announce);
        self
    }

    /// Listens at sockets that were passed to the process, where the config asks for them.
    #[cfg(feature = "cli")]
    pub(crate) fn inherited(mut self, inherited: Inherited) -> Self {
        self.inherited = inherited;
        self
    }

    /// The way to the host from other threads, before there is one.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        self.handle.clone()
    }

    /// Binds the addresses, starts the linked plugins, and installs what lies in the plugin directory. Peers are
    /// connected from now on, and served once the host turns.
    ///
    /// # Errors
    ///
    /// One for each cause; nothing is left of the host then.
    pub fn build(self) -> Result<Host, StartError> {
        self.bind()?.start()
    }

    /// The first part of that: binds the addresses, reads the keys, and becomes the user of the config. No thread is made
    /// in it.
    pub(crate) fn bind(mut self) -> Result<BoundHost, StartError> {
        tell_version();
        self.config.judge()?;
        derive_max_connections(&mut self.config.limits);
        let config = &self.config;
        config.run_as.as_ref().map_or(Ok(()), may_become)?;
        let mut keeper = config.tls.as_ref().map(TlsKeeper::open).transpose()?;
        let tls = keeper.as_ref().map(TlsKeeper::tls);
        let inherited = std::mem::take(&mut self.inherited);
        let mut listeners = Listeners::new(config.threads, tls).inheriting(inherited);
        let prepared = listeners.prepare(&config.listen)?;
        if let Some(run_as) = &config.run_as {
            // All that follows is done, and all files are made, as that user.
            give_up_privileges(run_as, config, self.reload.as_mut())?;
            listeners.bind_as(&run_as.name);
            keeper.iter_mut().for_each(TlsKeeper::forget_unseen);
        }
        Ok(BoundHost {
            plan: self,
            keeper,
            listeners,
            prepared,
        })
    }
}

/// A host that has its addresses, and does not serve yet.
pub(crate) struct BoundHost {
    plan: HostBuilder,
    keeper: Option<TlsKeeper>,
    listeners: Listeners,
    prepared: PreparedListeners,
}

impl BoundHost {
    /// The rest of [`HostBuilder::build`].
    pub(crate) fn start(self) -> Result<Host, StartError> {
        let HostBuilder {
            config,
            linked,
            data,
            log,
            reload,
            announce,
            sinks,
            handle,
            inbox,
            ..
        } = self.plan;
        let sites = open_sites(&config, &BTreeMap::new())?;
        let mut listeners = self.listeners;
        let scopes = listeners.scopes(&self.prepared);
        let change = listeners.install(self.prepared);
        let threads = Threads::prepare(change.into_sockets(), &config.limits, sinks)?;
        let hub = Arc::clone(&threads.hub);
        handle.attach(&hub);
        handle.set_listening(listeners.addresses());
        handle.set_usual_drain(Duration::from_millis(config.limits.drain_host_ms));

        let counters = config.limits.plugin_counters_count as usize;
        let services = Services::new(Arc::clone(&hub), plugin_levels(log.clone()), counters);
        let services = Arc::new(services.with_data(data));
        let plugins = Plugins::new(&config, &handle)?;
        let control = match &config.control {
            Some(place) => Some(open_control(place, &config, &handle)?),
            None => None,
        };
        let shared = Shared::default();
        let finished = finished(&handle, &config.limits);
        let mut conductor = Conductor {
            inbox,
            handle: handle.clone(),
            plugins,
            deployment: Deployment::new(
                services,
                finished,
                config,
                sites,
                scopes,
                Arc::clone(&shared.seats),
            ),
            listeners,
            tls: self.keeper.map(KeptTls::new),
            log,
            reload,
            announce,
            hub,
            control,
            shared: shared.clone(),
            ending: None,
        };
        for plugin in &linked {
            conductor.link(plugin)?;
        }
        conductor.first_scan();
        conductor.deployment.begin();
        let limits = &conductor.deployment.config().limits;
        let workers = threads.workers(limits, &conductor.deployment.vhosts(), &shared, &handle);
        let descriptor = match workers.first() {
            Some(first) => first.as_fd().try_clone_to_owned(),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let descriptor = descriptor.map_err(StartError::Poll)?;
        Ok(Host::new(Box::new(conductor), workers, handle, descriptor))
    }
}

/// Tells which build this is, for whoever reads the log later.
fn tell_version() {
    let crate::Version {
        number,
        commit,
        abi: (major, minor),
    } = crate::version();
    tracing::info!(target: "hotsocket", version = number, git = commit, abi = %format_args!("{major}.{minor}"),
        "hotsocket starts");
}

/// Becomes the user of the config, and tells what that user cannot read again.
fn give_up_privileges(
    run_as: &RunAs,
    config: &Config,
    reload: Option<&mut Reload>,
) -> Result<(), PrivilegeError> {
    become_user(run_as)?;
    tracing::info!(target: "hotsocket", user = run_as.user, group = run_as.group,
        "privileges are given up: the host runs as user {}", run_as.name);
    for warning in config
        .tls
        .iter()
        .flat_map(|tls| unreadable_again(run_as, tls))
    {
        tracing::warn!(target: "hotsocket::tls", "{warning}");
    }
    if let Some(Err(error)) = reload.map(|read| read()) {
        tracing::warn!(target: "hotsocket::config",
            "user {} (`run_as`) cannot read the config again, so that a reload (HUP) will be refused: {error}", run_as.name);
    }
    Ok(())
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("config", &self.config)
            .field("linked", &self.linked)
            .field("data", &self.types)
            .finish_non_exhaustive()
    }
}

fn open_control(
    place: &ControlPlace,
    config: &Config,
    handle: &HostHandle,
) -> Result<ControlServer, StartError> {
    let ask = handle.clone();
    let (group, limits) = (config.control_group, &config.limits);
    let control = ControlServer::start(place.path(), group, limits, move |request, reply| {
        ask.send(Errand::Control(request, reply));
    })?;
    tracing::info!(target: "hotsocket", control = %control.path().display(), "control socket is open");
    Ok(control)
}

/// Where instances go that nobody uses any more. One whose last user outlives the host is freed where that was.
fn finished(handle: &HostHandle, limits: &Limits) -> Finished {
    let handle = handle.clone();
    let patience = Duration::from_millis(limits.plugin_start_ms);
    Arc::new(move |instance| {
        if let Some(Errand::Finished(instance)) = handle.give(Errand::Finished(instance)) {
            instance.destroy(patience);
        }
    })
}

/// Lets the number of connections follow from the limit of open files, if nobody has said it.
pub(crate) fn derive_max_connections(limits: &mut Limits) {
    if limits.max_connections == 0
        && let Some(most) = getrlimit(Resource::Nofile).current
    {
        limits.max_connections = most.saturating_sub(SPARE_DESCRIPTORS).max(1);
    }
}

/// The levels of plugins, as the ABI counts them.
fn plugin_levels(log: Option<LogControl>) -> Box<dyn Fn(&str) -> u32 + Send + Sync> {
    Box::new(move |plugin| {
        let level = match &log {
            Some(log) => log.plugin_level(plugin),
            None => LevelFilter::current(),
        };
        match level {
            LevelFilter::OFF => 0,
            LevelFilter::ERROR => hotsocket_abi::LOG_ERROR,
            LevelFilter::WARN => hotsocket_abi::LOG_WARN,
            LevelFilter::INFO => hotsocket_abi::LOG_INFO,
            LevelFilter::DEBUG => hotsocket_abi::LOG_DEBUG,
            LevelFilter::TRACE => hotsocket_abi::LOG_TRACE,
        }
    })
}
