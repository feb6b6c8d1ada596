//! A config that takes the place of the running one: all of it or nothing.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    config::{Config, ListenerConfig, diff},
    context::hub::Command,
    logging::LogControl,
    net::tls::{PreparedTls, TlsFault},
    server::conductor::Conductor,
    server::{builder::derive_max_connections, listeners::PreparedListeners},
};

impl Conductor {
    /// Takes the config as it is now, whole or not at all.
    pub(super) fn reload_config(&mut self) {
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
    pub(super) fn listen(&mut self, prepared: PreparedListeners) {
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

    /// Tells where the host listens, unless it was asked to end meanwhile.
    pub(crate) fn tell_listening(&self) {
        if self.ending.is_none() {
            self.tell_new(&self.listeners.all());
        }
    }

    /// Tells where the host listens from now on.
    pub(super) fn tell_new(&self, news: &[ListenerConfig]) {
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
    pub(super) fn prepare_tls(&self, config: &Config) -> Result<Option<PreparedTls>, TlsFault> {
        match (&self.tls, &config.tls) {
            (Some(tls), Some(settings)) if self.deployment.config().tls != config.tls => {
                tls.keeper.prepare(settings).map(Some)
            }
            _ => Ok(None),
        }
    }
}
