//! What the conductor answers over the control socket.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::{
    context::handler::Label,
    control::{ControlRequest, Reply},
    plugin::status::PluginRow,
    server::conductor::Conductor,
    server::publish::publish,
};

impl Conductor {
    pub(super) fn answer(&mut self, request: ControlRequest, reply: Reply) {
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
    pub(super) fn plugin_rows(&self) -> Vec<PluginRow> {
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
    pub(super) fn connections(&self) -> Value {
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
}

fn refuse_log(reply: Reply) {
    let error = "the log is that of the program that the host is part of";
    reply.refuse(error.to_owned(), "set its levels there");
}
