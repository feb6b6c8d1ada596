//! Instances of protocols and extensions, made for a vhost.

use std::sync::Arc;

use crate::{
    config::{DEFAULT_VHOST, VhostConfig},
    connection::inbound,
    context::{
        handler::{Fault, ProtocolFacts},
        http_handler::HttpFacts,
        roster::SetId,
        routes::{ExtensionRoute, Route},
    },
    plugin::{
        adapter::Protocol,
        door::Door,
        extension_adapter::HostedExtension,
        generation::Generation,
        instance::InstancePlan,
        manifest::{Delivery, ProtocolManifest},
        refusal::{Refusal, Stage},
        tables::Opened,
    },
    server::deployment::{Deployment, Served},
};

impl Deployment {
    /// Makes an instance of one protocol.
    pub(super) fn protocol(
        &mut self,
        vhost: &VhostConfig,
        generation: &Arc<Generation>,
        opened: &Opened,
        index: usize,
    ) -> Result<Served<Route>, Refusal> {
        let manifest = &opened.manifest.protocols[index];
        let blocks = opened.protocols[index];
        let next = SetId(self.sets.len() as u32);
        let set = *self
            .sets
            .entry((vhost.name.clone(), manifest.name.clone()))
            .or_insert(next);
        let plan = InstancePlan {
            generation: Arc::clone(generation),
            name: manifest.name.clone(),
            block: blocks.instance,
            vhost: vhost.name.as_str().into(),
            set: Some(set),
            options: vhost.options(&manifest.name),
            finished: Arc::clone(&self.finished),
            door: Some(Arc::new(Door::new(generation, blocks.session.is_some()))),
        };
        let protocol = Protocol::create(
            plan,
            facts(vhost, manifest),
            &blocks,
            &self.services,
            self.patience(),
        );
        let protocol = protocol
            .map_err(|fault| refused(generation, vhost, "protocol", &manifest.name, &fault))?;
        self.last_instance += 1;
        let route = Route {
            instance: self.last_instance,
            handler: Arc::new(protocol),
            set,
        };
        Ok(Served::new(route, generation, opened, index))
    }

    /// Makes an instance of one extension.
    pub(super) fn extension(
        &mut self,
        vhost: &VhostConfig,
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
            vhost: vhost.name.as_str().into(),
            set: None,
            options: vhost.extension_options(name),
            finished: Arc::clone(&self.finished),
            door: None,
        };
        let extension =
            HostedExtension::create(plan, blocks.extension, &self.services, self.patience());
        let extension =
            extension.map_err(|fault| refused(generation, vhost, "extension", name, &fault))?;
        self.last_instance += 1;
        let route = ExtensionRoute {
            instance: self.last_instance,
            handler: Arc::new(extension),
        };
        Ok(Served::new(route, generation, opened, index))
    }
}

/// Why a plugin did not make an instance, and what to do about it.
pub(super) fn refused(
    generation: &Generation,
    vhost: &VhostConfig,
    what: &str,
    name: &str,
    fault: &Fault,
) -> Refusal {
    let key = match what {
        "policy" => "policies".to_owned(),
        _ => format!("{what}s.{name}.options"),
    };
    let key = match &*vhost.name {
        DEFAULT_VHOST => key,
        vhost => format!("vhosts.{vhost}.{key}"),
    };
    let mend = format!("look at `{key}` in the config, and at what the plugin asks for");
    let cause = format!("{what} {name}: {}", fault.text);
    Refusal::new(&generation.file, Stage::Instance, cause, mend)
}

fn facts(vhost: &VhostConfig, protocol: &ProtocolManifest) -> ProtocolFacts {
    ProtocolFacts {
        vhost: vhost.name.as_str().into(),
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
