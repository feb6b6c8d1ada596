//! Where the plugins of a host come from: those that are linked into the program, and the files of a directory.

use std::{path::Path, sync::Arc, time::Instant};

use hotsocket_abi::StaticPlugin;

use crate::{
    config::Config,
    limits::Limits,
    plugin::{
        generation::Generation, loader::Loader, permissions::Trust, refusal::Refusal,
        registry::Registry, staging::Staging, status::PluginRow, tables::Opened, watch::Watch,
    },
    server::{conductor::Errand, deployment::Deployment, handle::HostHandle},
};

/// All plugins of a host.
pub(crate) struct Plugins {
    registry: Registry<Option<Loader>>,
    watch: Option<Watch>,
}

impl Plugins {
    /// None yet; `handle` is given a hint when the plugin directory may have changed, if there is one.
    ///
    /// # Errors
    ///
    /// When there is nowhere to copy plugin files to.
    pub(crate) fn new(config: &Config, handle: &HostHandle) -> Result<Self, Refusal> {
        let Some(directory) = &config.plugins else {
            return Ok(Self {
                registry: Registry::new(None),
                watch: None,
            });
        };
        let handle = handle.clone();
        let hint = move || handle.send(Errand::Hint);
        let staging = Staging::create()?;
        let mut trust = Trust::of_this_process();
        trust.strict |= config.run_as.is_some();
        let loader = Loader::new(&config.limits, trust, staging);
        let most_bytes = config.limits.plugin_file_bytes;
        Ok(Self {
            registry: Registry::new(Some(loader)),
            watch: Some(Watch::new(directory.clone(), most_bytes, hint)),
        })
    }

    /// Serves a plugin that is linked into the program.
    ///
    /// # Errors
    ///
    /// What is against it, as for a file.
    pub(crate) fn link(
        &mut self,
        plugin: &StaticPlugin,
        deployment: &mut Deployment,
    ) -> Result<(), Refusal> {
        let opened = Opened::from_linked(plugin.declaration(), plugin.manifest());
        let opened = opened.map_err(|fault| fault.of(Path::new("(linked)")))?;
        self.registry.link(&opened, deployment).map(drop)
    }

    /// The directory that is watched, if there is one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.watch.as_ref().map(Watch::directory)
    }

    /// When [`Self::look`] has something to do, unless there is a hint before.
    pub(crate) fn next_look(&mut self, now: Instant) -> Option<Instant> {
        self.watch.as_mut().map(|watch| watch.next_look(now))
    }

    /// Whether the first scan goes on: `most` bounds the wait for what settles, and for what somebody is writing.
    pub(crate) fn is_scanning(&self, within_first: bool, within_writers: bool) -> bool {
        self.watch.as_ref().is_some_and(|watch| {
            watch.is_settling() && within_first || watch.is_awaiting() && within_writers
        })
    }

    /// Looks at the plugin directory when it is time to.
    pub(crate) fn look(&mut self, now: Instant, deployment: &mut Deployment) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        if let Some(step) = watch.poll(now) {
            for file in self.registry.apply(step, deployment) {
                watch.unsettle(&file, now);
            }
        }
    }

    /// There is another config.
    pub(crate) fn reconfigure(&mut self, limits: &Limits, deployment: &mut Deployment) {
        if let Some(loader) = self.registry.opener() {
            loader.set_limits(limits);
        }
        if let Some(watch) = &mut self.watch {
            watch.set_plugin_file_bytes(limits.plugin_file_bytes);
        }
        self.registry.retry_configured(deployment);
    }

    /// One row per generation, and per file that serves nothing.
    pub(crate) fn list(&self) -> Vec<PluginRow> {
        self.registry.list()
    }

    /// Loads a plugin again because somebody asked for it.
    ///
    /// # Errors
    ///
    /// As for a file; what served before goes on.
    pub(crate) fn reload(
        &mut self,
        name: &str,
        force: bool,
        deployment: &mut Deployment,
    ) -> Result<Arc<Generation>, Refusal> {
        self.registry.reload(name, force, deployment)
    }
}
