//! The plugins of a host that is built without plugin files: those that are linked into the program.

use std::{path::Path, sync::Arc, time::Instant};

use hotsocket_abi::StaticPlugin;

use crate::{
    config::Config,
    limits::Limits,
    plugin::{
        generation::Generation,
        refusal::{Refusal, Stage},
        registry::Registry,
        status::PluginRow,
        tables::Opened,
    },
    server::{deployment::Deployment, handle::HostHandle},
};

/// All plugins of a host.
pub(crate) struct Plugins {
    registry: Registry<()>,
}

impl Plugins {
    /// None yet.
    ///
    /// # Errors
    ///
    /// When the config names a directory of files.
    pub(crate) fn new(config: &Config, _: &HostHandle) -> Result<Self, Refusal> {
        match &config.plugins {
            Some(directory) => Err(without_files(directory)),
            None => Ok(Self {
                registry: Registry::new(()),
            }),
        }
    }

    /// Serves a plugin that is linked into the program.
    ///
    /// # Errors
    ///
    /// What is against it.
    pub(crate) fn link(
        &mut self,
        plugin: &StaticPlugin,
        deployment: &mut Deployment,
    ) -> Result<(), Refusal> {
        let opened = Opened::from_linked(plugin.declaration(), plugin.manifest());
        let opened = opened.map_err(|fault| fault.of(Path::new("(linked)")))?;
        self.registry.link(&opened, deployment).map(drop)
    }

    /// There is none.
    pub(crate) fn directory(&self) -> Option<&Path> {
        None
    }

    /// Nothing changes by itself.
    pub(crate) fn next_look(&mut self, _: Instant) -> Option<Instant> {
        None
    }

    /// There is nothing to scan.
    pub(crate) fn is_scanning(&self, _: bool, _: bool) -> bool {
        false
    }

    /// There is nothing to look at.
    pub(crate) fn look(&mut self, _: Instant, _: &mut Deployment) {}

    /// No limit of another config concerns what is linked.
    pub(crate) fn reconfigure(&mut self, _: &Limits, _: &mut Deployment) {}

    /// One row per generation.
    pub(crate) fn list(&self) -> Vec<PluginRow> {
        self.registry.list()
    }

    /// Refuses.
    ///
    /// # Errors
    ///
    /// Always: there is no file.
    pub(crate) fn reload(
        &mut self,
        name: &str,
        _: bool,
        _: &mut Deployment,
    ) -> Result<Arc<Generation>, Refusal> {
        Err(without_files(Path::new(name)))
    }
}

fn without_files(file: &Path) -> Refusal {
    let cause = "this host is built without plugin files";
    let mend = "build it with the feature `plugin-files`, or link the plugin into the program";
    Refusal::new(file, Stage::Read, cause, mend)
}
