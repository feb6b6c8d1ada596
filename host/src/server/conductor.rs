//! The one thread that decides: plugin files, signals, the control socket and the config meet here, one errand after
//! another, while the service threads serve.

use std::{
    error::Error,
    fs,
    io::ErrorKind,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};

use crate::{
    cli::signals::Signal,
    config::{Config, ConfigError, ListenerConfig, diff},
    context::{
        handler::Label,
        hub::{Command, Hub},
    },
    control::{ControlRequest, Reply},
    logging::LogControl,
    net::{
        io::Shared,
        tls::{PreparedTls, TlsFault, TlsKeeper},
    },
    plugin::{
        instance::FinishedInstance, loader::Loader, registry::Registry, settle::Step, watch::Watch,
    },
    server::{
        deployment::Deployment,
        listeners::{self, Listeners, PreparedListeners},
    },
};

/// The first scan waits so long for files that settle; what takes longer is installed while the host serves.
const FIRST_SCAN: Duration = Duration::from_secs(10);

/// It waits so long for files that somebody is writing just then.
const FIRST_WRITERS: Duration = Duration::from_secs(1);

/// The files of certificates and keys are looked at so often.
const LOOK_AT_CERTIFICATES: Duration = Duration::from_secs(10);

/// A service thread that was stopped has so long to end.
const STOPPING: Duration = Duration::from_secs(2);

/// Something to be done.
pub(crate) enum Errand {
    /// The plugin directory may have changed.
    Hint,
    /// The operating system says something.
    Signal(Signal),
    /// Somebody asks over the control socket.
    Control(ControlRequest, Reply),
    /// An instance has no users any more.
    Finished(FinishedInstance),
    /// A service thread has ended.
    Ended(Result<(), String>),
}

/// What it decides with.
pub(crate) struct Conductor<R> {
    pub(crate) inbox: Receiver<Errand>,
    pub(crate) watch: Watch,
    pub(crate) registry: Registry<Loader>,
    pub(crate) deployment: Deployment,
    pub(crate) listeners: Listeners,
    /// What TLS is spoken with, if it is.
    pub(crate) tls: Option<KeptTls>,
    pub(crate) log: LogControl,
    /// Reads the config again.
    pub(crate) reload: R,
    pub(crate) hub: Arc<Hub>,
    pub(crate) shared: Shared,
}

/// Certificates, and when they are looked at next.
pub(crate) struct KeptTls {
    keeper: TlsKeeper,
    next_look: Instant,
}

impl KeptTls {
    /// They were read a moment ago.
    pub(crate) fn new(keeper: TlsKeeper) -> Self {
        Self {
            keeper,
            next_look: Instant::now() + LOOK_AT_CERTIFICATES,
        }
    }

    fn look(&mut self, now: Instant) {
        self.keeper.look(SystemTime::now());
        self.next_look = now + LOOK_AT_CERTIFICATES;
    }
}

/// The end of a host, once it was asked for or a service thread has failed.
struct Ending {
    /// When what is left is stopped, and after that when it is waited for no longer.
    at: Instant,
    is_stopped: bool,
    failed: Option<String>,
}

impl<R: FnMut() -> Result<Config, ConfigError>> Conductor<R> {
    /// Installs what lies in the plugin directory at the start. Break when the host was asked to end meanwhile.
    pub(crate) fn first_scan(&mut self) -> ControlFlow<()> {
        let began = Instant::now();
        loop {
            self.look();
            let waited = began.elapsed();
            let more = self.watch.is_settling() && waited < FIRST_SCAN
                || self.watch.is_awaiting() && waited < FIRST_WRITERS;
            let errand = match more {
                true => self.next_errand(),
                false => self.inbox.try_recv().ok(),
            };
            match errand {
                Some(Errand::Signal(Signal::Drain)) => return ControlFlow::Break(()),
                Some(errand) => self.carry_out(errand),
                None if more => {}
                None => break,
            }
        }
        if self.deployment.is_empty() && !self.deployment.config().needs_no_plugin() {
            warn_of_nothing(self.watch.directory());
        }
        ControlFlow::Continue(())
    }

    /// Runs until the service threads have ended.
    pub(crate) fn run(mut self, threads: Vec<JoinHandle<()>>) -> Result<(), Box<dyn Error>> {
        let mut left = threads.len();
        let mut ending = None;
        while left > 0 && ending.is_none() {
            match self.next_errand() {
                Some(Errand::Ended(result)) => {
                    left -= 1;
                    ending = Some(self.begin_to_end(result.err()));
                }
                Some(Errand::Signal(Signal::Drain)) => {
                    tracing::info!(target: "hotsocket", "draining: nothing new is accepted, sessions are closed with 1001");
                    ending = Some(self.begin_to_end(None));
                }
                Some(errand) => self.carry_out(errand),
                None => {}
            }
            self.look();
            self.deployment.drain_due(Instant::now());
        }
        let failed = match ending {
            Some(ending) => self.end(ending, &mut left),
            None => None,
        };
        if left == 0 {
            for thread in threads {
                // Its end has been told already.
                let _ = thread.join();
            }
            self.farewell();
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn begin_to_end(&self, failed: Option<String>) -> Ending {
        if let Some(error) = &failed {
            tracing::error!(target: "hotsocket", %error, "a service thread failed; the host ends");
        }
        self.hub.tell_all(&Command::Drain);
        let after = self.deployment.config().limits.drain_host_ms;
        Ending {
            at: Instant::now() + Duration::from_millis(after),
            is_stopped: false,
            failed,
        }
    }

    /// Waits for the service threads to end. Nothing new is installed any more.
    fn end(&mut self, mut ending: Ending, left: &mut usize) -> Option<String> {
        while *left > 0 {
            let patience = ending.at.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(patience) {
                Ok(Errand::Ended(result)) => {
                    *left -= 1;
                    ending.failed = ending.failed.or_else(|| result.err());
                }
                Ok(Errand::Signal(Signal::Drain)) => {}
                Ok(errand) => self.carry_out(errand),
                Err(_) if !ending.is_stopped => {
                    self.hub.tell_all(&Command::Stop);
                    ending.at = Instant::now() + STOPPING;
                    ending.is_stopped = true;
                }
                Err(_) => {
                    let error =
                        "a service thread does not end: a plugin keeps it in one of its hooks";
                    tracing::error!(target: "hotsocket", error, "the host ends all the same");
                    ending.failed.get_or_insert_with(|| error.into());
                    break;
                }
            }
        }
        ending.failed
    }

    fn carry_out(&mut self, errand: Errand) {
        match errand {
            Errand::Signal(Signal::Reload) => self.reload_config(),
            Errand::Control(request, reply) => self.answer(request, reply),
            Errand::Finished(instance) => instance.destroy(self.deployment.patience()),
            // Whoever waits for these two sees them first.
            Errand::Signal(Signal::Drain) | Errand::Ended(_) | Errand::Hint => {}
        }
    }

    /// Waits for an errand, as long as nothing else is due.
    fn next_errand(&mut self) -> Option<Errand> {
        let now = Instant::now();
        let next = self.watch.next_look(now);
        let next = self
            .deployment
            .next_drain()
            .map_or(next, |drain| drain.min(next));
        let tls = self.tls.iter().map(|tls| tls.next_look);
        let next = tls.fold(next, Instant::min);
        let patience = next.saturating_duration_since(now);
        // The channel outlives this: it is the conductor's own errands that keep it open.
        self.inbox.recv_timeout(patience).ok()
    }

    /// Looks at the plugin directory when it is time to.
    fn look(&mut self) {
        let now = Instant::now();
        if let Some(step) = self.watch.poll(now) {
            self.apply(step, now);
        }
        if let Some(tls) = &mut self.tls
            && tls.next_look <= now
        {
            tls.look(now);
        }
    }

    fn apply(&mut self, step: Step, now: Instant) {
        for file in self.registry.apply(step, &mut self.deployment) {
            self.watch.unsettle(&file, now);
        }
    }

    /// Takes the config as it is now, whole or not at all.
    fn reload_config(&mut self) {
        let mut config = match (self.reload)() {
            Ok(config) => config,
            Err(error) => {
                return tracing::error!(target: "hotsocket::config", "the config is not applied: {error}");
            }
        };
        super::derive_max_connections(&mut config.limits);
        let changes = match diff(self.deployment.config(), &config) {
            Ok(changes) => changes,
            Err(error) => return tracing::error!(target: "hotsocket::config", "{error}"),
        };
        let prepared = match self.prepare_tls(&config) {
            Ok(prepared) => prepared,
            Err(fault) => {
                return tracing::error!(target: "hotsocket::config", "the config is not applied: {fault}");
            }
        };
        let listeners = match self.listeners.prepare(&config.listen) {
            Ok(prepared) => prepared,
            Err(error) => {
                let cause = error.source().map(|cause| format!(" ({cause})"));
                return tracing::error!(target: "hotsocket::config", "the config is not applied: {error}{}",
                    cause.unwrap_or_default());
            }
        };
        let scopes = self.listeners.scopes(&listeners);
        let log = match self.log.prepare(&config.log, &config.limits) {
            Ok(prepared) => prepared,
            Err(error) => {
                return tracing::error!(target: "hotsocket::config", "the config is not applied: {error}");
            }
        };
        if let Err(refusal) = self.deployment.reconfigure(config, scopes) {
            return tracing::error!(target: "hotsocket::config", "the config is not applied: {refusal}");
        }
        if let Some(tls) = &mut self.tls {
            match prepared {
                Some(new) => tls.keeper.install(new),
                None => tls.look(Instant::now()),
            }
        }
        self.listen(listeners);
        self.log.install(log);
        let limits = &self.deployment.config().limits;
        self.registry.opener().set_limits(limits);
        self.watch.set_plugin_file_bytes(limits.plugin_file_bytes);
        self.registry.retry_configured(&mut self.deployment);
        tracing::info!(target: "hotsocket::config", ?changes, "the config is applied");
    }

    /// Has the service threads listen elsewhere.
    fn listen(&mut self, prepared: PreparedListeners) {
        if !prepared.is_change() {
            return;
        }
        let (news, gone) = (prepared.news(), prepared.gone_addresses());
        let change = self.listeners.install(prepared);
        self.hub.tell_all(&Command::Listen(Arc::new(change)));
        self.tell_listening(&news);
        for address in gone {
            tracing::info!(target: "hotsocket", "no longer listening on {address}");
        }
    }

    /// Tells scripts on standard output where the host listens, and eyes where its page is.
    pub(crate) fn tell_listening(&self, news: &[ListenerConfig]) {
        for listener in news {
            listeners::tell(listener, self.deployment.config().has_page());
        }
        if self.deployment.config().listen.is_empty() {
            tracing::warn!(target: "hotsocket",
                "nothing is listened on, since `listen` is empty: nobody can connect");
        }
    }

    /// Reads the files that other settings of TLS name; none when they are the same.
    fn prepare_tls(&self, config: &Config) -> Result<Option<PreparedTls>, TlsFault> {
        match (&self.tls, &config.tls) {
            (Some(tls), Some(settings)) if self.deployment.config().tls != config.tls => {
                tls.keeper.prepare(settings).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn answer(&mut self, request: ControlRequest, reply: Reply) {
        match request {
            ControlRequest::PluginList {} => match serde_json::to_value(self.registry.list()) {
                Ok(rows) => reply.tell("plugins", rows),
                Err(error) => reply.refuse(error.to_string(), "report this as a fault of the host"),
            },
            ControlRequest::PluginReload { name, force } => {
                match self.registry.reload(&name, force, &mut self.deployment) {
                    Ok(generation) => {
                        let Label {
                            plugin,
                            version,
                            generation,
                        } = generation.label();
                        let serving =
                            json!({"name": plugin, "version": version, "generation": generation});
                        reply.tell("serving", serving);
                    }
                    Err(refusal) => reply.refuse(
                        format!(
                            "{}: {}: {}",
                            refusal.file.display(),
                            refusal.stage.name(),
                            refusal.cause
                        ),
                        refusal.mend,
                    ),
                }
            }
            ControlRequest::Connections {} => reply.tell("connections", self.connections()),
            ControlRequest::LogLevels {} => reply.tell("log", self.log.levels()),
            ControlRequest::LogLevel {
                level,
                target,
                plugin,
            } => match self.log.set_words(&level, target, plugin) {
                Ok(()) => reply.done(),
                Err(error) => reply.refuse(error.to_string(), ""),
            },
        }
    }

    /// How many connections there are and may be, in all and by vhost. A vhost that is gone is told while it has some.
    fn connections(&self) -> Value {
        let config = self.deployment.config();
        let most = |most: u64| (most > 0).then_some(most);
        let taken = self.shared.seats.taken().into_iter();
        let vhosts = taken.filter_map(|(name, open)| {
            let vhost = config.vhost(&name);
            let is_told = vhost.is_some() || open > 0;
            let most = vhost.and_then(|vhost| most(vhost.max_connections));
            is_told.then(|| json!({"vhost": &*name, "open": open, "most": most}))
        });
        json!({
            "open": self.shared.connections.load(Ordering::Relaxed),
            "most": most(config.limits.max_connections),
            "vhosts": vhosts.collect::<Vec<_>>(),
        })
    }

    /// The service threads are gone, or never ran: instances that nobody else used are freed.
    pub(crate) fn farewell(self) {
        let patience = self.deployment.patience();
        // Routes that no thread took any more.
        self.hub.forget_commands();
        self.deployment.end();
        while let Ok(errand) = self.inbox.try_recv() {
            if let Errand::Finished(instance) = errand {
                instance.destroy(patience);
            }
        }
    }
}

/// A host that serves nothing is most often one that was started in another directory than meant.
fn warn_of_nothing(directory: &Path) {
    let what = match fs::metadata(directory) {
        Ok(found) if found.is_dir() => "holds no plugin that can serve".to_owned(),
        Ok(_) => "is no directory".to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => "does not exist".to_owned(),
        Err(error) => format!("cannot be looked at ({error})"),
    };
    let shown = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    tracing::warn!(target: "hotsocket::plugin", directory = %shown.display(),
        "nothing is served, since the plugin directory {what}: put compiled plugins there, or name another one, \
         such as `--plugins target/release` in a checkout");
}
