//! The one thread that decides: plugin files, signals, the control socket and the config meet here, one errand after
//! another, while the service threads serve.

use std::{
    error::Error,
    fs,
    io::ErrorKind,
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use hotsocket_abi::StaticPlugin;
use serde_json::{Value, json};

use crate::{
    config::{Config, ConfigError, ListenerConfig, diff},
    context::{
        handler::Label,
        hub::{Command, Hub},
    },
    control::{ControlRequest, ControlServer, Reply},
    logging::LogControl,
    net::{
        io::Shared,
        tls::{PreparedTls, TlsFault, TlsKeeper},
    },
    plugin::{instance::FinishedInstance, refusal::Refusal, status::PluginRow},
    server::{
        builder::derive_max_connections,
        deployment::Deployment,
        handle::{HostHandle, tell_drain},
        listeners::{Listeners, PreparedListeners},
        plugins::Plugins,
        publish::publish,
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

/// Nobody waits longer than this, whatever was asked for.
const LONGEST: Duration = Duration::from_secs(1 << 32);

/// Something to be done.
pub(crate) enum Errand {
    /// The plugin directory may have changed.
    #[cfg(feature = "plugin-files")]
    Hint,
    /// The host is to end within this time; `is_told` when the service threads know already.
    Drain { within: Duration, is_told: bool },
    /// The config is to be read again.
    Reload,
    /// Somebody asks over the control socket.
    Control(ControlRequest, Reply),
    /// An instance has no users any more.
    Finished(FinishedInstance),
    /// A service thread has ended.
    Ended(Result<(), String>),
    /// The host that a program drives is gone, and its service threads too or not.
    Leave { are_threads_over: bool },
}

/// Reads the config again.
pub(crate) type Reload = Box<dyn FnMut() -> Result<Config, ConfigError> + Send>;

/// Tells scripts and eyes where the host listens: the listener, whether the host has TLS, and whether there is a page.
pub(crate) type Announce = fn(&ListenerConfig, bool, bool);

/// What it decides with.
pub(crate) struct Conductor {
    pub(crate) inbox: Receiver<Errand>,
    pub(crate) handle: HostHandle,
    pub(crate) plugins: Plugins,
    pub(crate) deployment: Deployment,
    pub(crate) listeners: Listeners,
    /// What TLS is spoken with, if it is.
    pub(crate) tls: Option<KeptTls>,
    /// The log of the process, if it is ours.
    pub(crate) log: Option<LogControl>,
    pub(crate) reload: Option<Reload>,
    pub(crate) announce: Option<Announce>,
    pub(crate) hub: Arc<Hub>,
    /// Kept until the end.
    pub(crate) control: Option<ControlServer>,
    /// Once the host was asked to end, or a service thread has failed.
    pub(crate) ending: Option<Ending>,
    /// What the service threads count together.
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

/// The end of a host.
pub(crate) struct Ending {
    /// When the service threads are waited for no longer; they stop before that.
    until: Instant,
    failed: Option<String>,
}

impl Conductor {
    /// Installs what lies in the plugin directory at the start, if there is one. A host that was asked to end meanwhile
    /// does not go on with it.
    pub(crate) fn first_scan(&mut self) {
        if self.plugins.directory().is_none() {
            return;
        }
        let began = Instant::now();
        while self.ending.is_none() {
            self.look();
            let waited = began.elapsed();
            let (within_first, within_writers) = (waited < FIRST_SCAN, waited < FIRST_WRITERS);
            let more = self.plugins.is_scanning(within_first, within_writers);
            let errand = match more {
                true => self.next_errand(),
                false => self.inbox.try_recv().ok(),
            };
            match errand {
                Some(errand) => self.carry_out(errand),
                None if more => {}
                None => break,
            }
        }
        if let Some(directory) = self.plugins.directory()
            && self.ending.is_none()
            && self.deployment.is_empty()
            && !self.deployment.config().needs_no_plugin()
        {
            warn_of_nothing(directory);
        }
    }

    /// Whether there is something to decide about while the host runs, so that a thread has to wait for it.
    pub(crate) fn is_needed(&self) -> bool {
        self.plugins.directory().is_some()
            || self.control.is_some()
            || self.tls.is_some()
            || self.reload.is_some()
    }

    /// Runs until the service threads have ended, and frees what they used.
    ///
    /// # Errors
    ///
    /// Why a service thread has failed, or does not end.
    pub(crate) fn run(mut self, threads: Vec<JoinHandle<()>>) -> Result<(), String> {
        let mut left = threads.len();
        while left > 0 && self.ending.is_none() {
            match self.next_errand() {
                Some(Errand::Ended(result)) => {
                    left -= 1;
                    self.begin_to_end(result.err());
                }
                Some(errand) => self.carry_out(errand),
                None => {}
            }
            self.look();
        }
        let failed = self.end(&mut left);
        if left == 0 {
            for thread in threads {
                // Its end has been told already.
                let _ = thread.join();
            }
            self.farewell(true);
        }
        failed.map_or(Ok(()), Err)
    }

    /// The same beside service threads that a program drives: until the host is gone.
    pub(crate) fn accompany(mut self) {
        loop {
            match self.next_errand() {
                Some(Errand::Leave { are_threads_over }) => return self.farewell(are_threads_over),
                Some(errand) => self.carry_out(errand),
                None => {}
            }
            self.look();
        }
    }

    /// Does what is to be done by now, and waits for nothing.
    pub(crate) fn attend(&mut self) {
        while let Ok(errand) = self.inbox.try_recv() {
            self.carry_out(errand);
        }
        self.look();
    }

    /// A service thread has ended before it was told to.
    fn begin_to_end(&mut self, failed: Option<String>) {
        if let Some(error) = &failed {
            tracing::error!(target: "hotsocket", %error, "a service thread failed; the host ends");
        }
        let within = Duration::from_millis(self.deployment.config().limits.drain_host_ms);
        tell_drain(&self.hub, within);
        self.end_within(within, failed);
    }

    fn end_within(&mut self, within: Duration, failed: Option<String>) {
        let until = Instant::now().checked_add(within.saturating_add(STOPPING));
        self.ending.get_or_insert_with(|| Ending {
            until: until.unwrap_or_else(|| Instant::now() + LONGEST),
            failed,
        });
    }

    /// Waits for the service threads to end. Nothing new is installed any more.
    fn end(&mut self, left: &mut usize) -> Option<String> {
        let mut failed = self.ending.as_mut()?.failed.take();
        while *left > 0 {
            let until = self.ending.as_ref()?.until;
            let patience = until.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(patience) {
                Ok(Errand::Ended(result)) => {
                    *left -= 1;
                    failed = failed.or_else(|| result.err());
                }
                Ok(errand) => self.carry_out(errand),
                Err(_) => {
                    let error =
                        "a service thread does not end: a plugin keeps it in one of its hooks";
                    tracing::error!(target: "hotsocket", error, "the host ends all the same");
                    failed.get_or_insert_with(|| error.into());
                    break;
                }
            }
        }
        failed
    }

    fn carry_out(&mut self, errand: Errand) {
        match errand {
            Errand::Drain { within, is_told } => self.drain(within, is_told),
            Errand::Reload if self.ending.is_some() => {
                tracing::warn!(target: "hotsocket::config", "the config is not applied: the host is ending");
            }
            Errand::Reload => self.reload_config(),
            Errand::Control(request, reply) => self.answer(request, reply),
            Errand::Finished(instance) => instance.destroy(self.deployment.patience()),
            // Whoever waits for these sees them first.
            Errand::Ended(_) | Errand::Leave { .. } => {}
            #[cfg(feature = "plugin-files")]
            Errand::Hint => {}
        }
    }

    fn drain(&mut self, within: Duration, is_told: bool) {
        if self.ending.is_none() {
            tracing::info!(target: "hotsocket", "draining: nothing new is accepted, sessions are closed with 1001");
        }
        if !is_told {
            tell_drain(&self.hub, within);
        }
        self.end_within(within, None);
    }

    /// Waits for an errand, as long as nothing else is due.
    fn next_errand(&mut self) -> Option<Errand> {
        // The channel outlives this: the handle keeps it open.
        match self.timeout() {
            Some(patience) => self.inbox.recv_timeout(patience).ok(),
            None => self.inbox.recv().ok(),
        }
    }

    /// How long nothing is due; none when nothing will ever be by itself.
    pub(crate) fn timeout(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let plugins = self.plugins.next_look(now);
        let tls = self.tls.as_ref().map(|tls| tls.next_look);
        let due = [plugins, tls, self.deployment.next_drain()];
        let next = due.into_iter().flatten().min();
        next.map(|next| next.saturating_duration_since(now))
    }

    /// Looks at whatever is due.
    fn look(&mut self) {
        let now = Instant::now();
        if self.ending.is_none() {
            self.plugins.look(now, &mut self.deployment);
        }
        if let Some(tls) = &mut self.tls
            && tls.next_look <= now
        {
            tls.look(now);
        }
        self.deployment.drain_due(now);
    }

    /// Takes the config as it is now, whole or not at all.
    fn reload_config(&mut self) {
        let Some(read) = &mut self.reload else {
            return;
        };
        let mut config = match read() {
            Ok(config) => config,
            Err(error) => {
                return tracing::error!(target: "hotsocket::config", "the config is not applied: {error}");
            }
        };
        derive_max_connections(&mut config.limits);
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
        let prepare = |own: &LogControl| own.prepare(&config.log, &config.limits);
        let log = match self.log.as_ref().map(prepare).transpose() {
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
        if let (Some(own), Some(prepared)) = (&self.log, log) {
            own.install(prepared);
        }
        let limits = self.deployment.config().limits.clone();
        self.handle
            .set_usual_drain(Duration::from_millis(limits.drain_host_ms));
        self.plugins.reconfigure(&limits, &mut self.deployment);
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
        self.handle.set_listening(self.listeners.addresses());
        self.tell_new(&news);
        for address in gone {
            tracing::info!(target: "hotsocket", "no longer listening on {address}");
        }
    }

    /// Serves a plugin that is linked into the program.
    pub(crate) fn link(&mut self, plugin: &StaticPlugin) -> Result<(), Refusal> {
        self.plugins.link(plugin, &mut self.deployment)
    }

    /// Tells where the host listens, unless it was asked to end meanwhile.
    pub(crate) fn tell_listening(&self) {
        if self.ending.is_none() {
            self.tell_new(&self.listeners.all());
        }
    }

    /// Tells where the host listens from now on.
    fn tell_new(&self, news: &[ListenerConfig]) {
        for listener in news {
            match self.announce {
                Some(announce) => announce(
                    listener,
                    self.tls.is_some(),
                    self.deployment.config().has_page(),
                ),
                None => tracing::info!(target: "hotsocket", "listening on {}", listener.address),
            }
        }
        if self.announce.is_some() && self.deployment.config().listen.is_empty() {
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
            ControlRequest::PluginList {} => match serde_json::to_value(self.plugin_rows()) {
                Ok(rows) => reply.tell("plugins", rows),
                Err(error) => reply.refuse(error.to_string(), "report this as a fault of the host"),
            },
            ControlRequest::PluginReload { name, force } => {
                match self.plugins.reload(&name, force, &mut self.deployment) {
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
            ControlRequest::Publish(publication) => {
                match publish(&self.hub, &self.deployment, &publication) {
                    Ok(sessions) => reply.tell("published", json!({"sessions": sessions})),
                    Err(refused) => reply.refuse(refused.to_string(), refused.mend()),
                }
            }
            ControlRequest::Connections {} => reply.tell("connections", self.connections()),
            ControlRequest::LogLevels {} => match &self.log {
                Some(log) => reply.tell("log", log.levels()),
                None => refuse_log(reply),
            },
            ControlRequest::LogLevel {
                level,
                target,
                plugin,
            } => match self
                .log
                .as_ref()
                .map(|log| log.set_words(&level, target, plugin))
            {
                Some(Ok(())) => reply.done(),
                Some(Err(error)) => reply.refuse(error.to_string(), ""),
                None => refuse_log(reply),
            },
        }
    }

    /// One row per generation, and per file that serves nothing, with what the plugins count.
    fn plugin_rows(&self) -> Vec<PluginRow> {
        let services = &self.deployment.services;
        let rows = self.plugins.list().into_iter();
        let counted = rows.map(|row| {
            let counters = row.name.as_ref().map(|name| services.counters(name));
            PluginRow {
                counters: counters.unwrap_or_default(),
                ..row
            }
        });
        counted.collect()
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

    /// The host is gone: instances that nobody else uses are freed. `are_threads_over` when no service thread is left, nor
    /// will be: what one of them was told, and did not take, is its own until then.
    pub(crate) fn farewell(self, are_threads_over: bool) {
        let patience = self.deployment.patience();
        drop(self.control);
        if are_threads_over {
            // Routes that no thread took any more.
            self.hub.forget_commands();
        }
        self.deployment.end();
        while let Ok(errand) = self.inbox.try_recv() {
            if let Errand::Finished(instance) = errand {
                instance.destroy(patience);
            }
        }
    }
}

fn refuse_log(reply: Reply) {
    let error = "the log is that of the program that the host is part of";
    reply.refuse(error.to_owned(), "set its levels there");
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
