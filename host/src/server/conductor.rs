//! The one thread that decides: plugin files, signals, the control socket and the config meet here, one errand after
//! another, while the service threads serve.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    sync::{Arc, mpsc::Receiver},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use hotsocket_abi::StaticPlugin;

use crate::{
    config::{Config, ConfigError, ListenerConfig},
    context::hub::Hub,
    control::{ControlRequest, ControlServer, Reply},
    logging::LogControl,
    net::{io::Shared, tls::TlsKeeper},
    plugin::{instance::FinishedInstance, refusal::Refusal},
    server::{
        deployment::Deployment,
        handle::{HostHandle, tell_drain},
        listeners::Listeners,
        plugins::Plugins,
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
    pub(super) keeper: TlsKeeper,
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

    pub(super) fn look(&mut self, now: Instant) {
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

    /// Serves a plugin that is linked into the program.
    pub(crate) fn link(&mut self, plugin: &StaticPlugin) -> Result<(), Refusal> {
        self.plugins.link(plugin, &mut self.deployment)
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
