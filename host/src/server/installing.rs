//! Plugins at work: what the registry asks of the server when a version is loaded, installed or withdrawn.

use std::sync::Arc;

use hotsocket_abi::START_LINKED;

use crate::{
    config::DEFAULT_VHOST,
    plugin::{
        generation::Generation,
        instance::{self},
        manifest::Provided,
        refusal::{Refusal, Stage},
        registry::Installer,
        tables::Opened,
    },
    server::deployment::{Deployment, Prepared},
};

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
        let vhosts: Vec<_> = self.config.vhosts().cloned().collect();
        let (mut protocols, mut extensions) = (Vec::new(), Vec::new());
        for vhost in &vhosts {
            for (at, protocol) in opened.manifest.protocols.iter().enumerate() {
                if vhost.serves(&protocol.name) {
                    let place = (vhost.name.clone(), protocol.name.clone());
                    protocols.push((place, self.protocol(vhost, generation, opened, at)?));
                }
            }
            for (at, extension) in opened.manifest.extensions.iter().enumerate() {
                let place = (vhost.name.clone(), extension.name.clone());
                extensions.push((place, self.extension(vhost, generation, opened, at)?));
            }
        }
        let policies = self.prepare_policies(&vhosts, generation, opened)?;
        Ok(Prepared {
            plugin: generation.plugin.clone(),
            protocols,
            extensions,
            policies,
        })
    }

    fn install(&mut self, prepared: Prepared) {
        let before = self.take_of(|generation| generation.plugin == prepared.plugin);
        self.protocols.extend(prepared.protocols);
        self.extensions.extend(prepared.extensions);
        self.policies.install(prepared.policies);
        self.publish();
        self.retire(before);
    }

    fn withdraw(&mut self, generation: &Arc<Generation>) {
        let before = self.take_of(|serving| Arc::ptr_eq(serving, generation));
        self.publish();
        self.retire(before);
    }

    fn is_used(&self, what: Provided<'_>) -> bool {
        match what {
            Provided::Protocol(name) => {
                let place = (DEFAULT_VHOST.to_owned(), name.to_owned());
                self.protocols.contains_key(&place)
            }
            Provided::Policy(name) => self.config.vhosts().any(|vhost| vhost.asks(name)),
        }
    }
}
