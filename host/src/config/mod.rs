//! What was written, then what is meant.
//!
//! `file.rs` reads exactly what may be written, `vhost.rs` what there is once per vhost,
//! `mounts.rs` and `http.rs` the parts of it that are HTTP, `tls.rs` the part `tls`, `listen.rs` the part `listen` and
//! `listener.rs` what is set for the connections of a listener, `client.rs` the part `client`, `run_as.rs` the part `run_as`, `overrides.rs` the flags and the
//! environment, `resolve.rs` makes a [`Config`] of all of them, `judge.rs` says whether its parts fit together, whoever filled
//! it in, `diff.rs` says what of a new one a running host can take. Knows no socket and no plugin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;

use crate::access_log;
use crate::context::files::FilesMount;
use crate::context::mounts::{Mount, MountKind, Mounts};
use crate::context::own_fields::OwnFields;
use crate::limits::Limits;
use crate::net::tls::TlsSettings;
use crate::wire::host_pattern::HostPattern;
use crate::wire::network::Network;

mod address;
mod client;
mod control;
mod diff;
mod error;
mod file;
mod http;
mod judge;
mod level;
mod listen;
mod listener;
mod mounts;
mod origin;
mod overrides;
mod policies;
mod reader;
mod resolve;
mod run_as;
mod source;
mod tls;
mod vhost;

pub use address::{BadAddress, ListenAddress, PassedSettings, parse_address};
pub use client::ClientConfig;
pub use diff::{Change, RestartNeeded, diff};
pub use error::{ConfigError, Fault};
pub use level::{UnknownLevel, parse_level};
pub use listener::ListenerConfig;
pub use overrides::{Overrides, parse_threads};
pub(crate) use reader::meant;
pub use resolve::{load, resolve};
pub use run_as::RunAs;

/// What a host is to do: every default filled in, every path absolute or relative to the working directory.
///
/// It comes from a file by [`load`], or is filled in by a program. [`Config::default`] is what a program that embeds the
/// host most likely wants, and differs from an empty file in what takes threads of its own: it has one service thread, no
/// plugin directory and no control socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen; nowhere when it is empty.
    pub listen: Vec<ListenerConfig>,
    /// What is spoken there with TLS, if anything.
    pub tls: Option<TlsSettings>,
    /// The directory of plugin files; none are looked for without.
    pub plugins: Option<PathBuf>,
    /// Service threads, at least one.
    pub threads: usize,
    /// The control socket; nobody can ask the host anything from outside without.
    pub control: Option<ControlPlace>,
    /// The id of a group whose members may publish over it, and look; nobody but the user of the host and root without.
    pub control_group: Option<u32>,
    /// Peers that are believed when they say whom they ask for.
    pub trusted_proxies: Vec<Network>,
    /// Whom the host becomes once it has bound its listeners and read its keys, if anybody.
    pub run_as: Option<RunAs>,
    /// Whether the names of peers are looked up.
    pub reverse_names: bool,
    /// What holds for connections that the host opens.
    pub client: ClientConfig,
    /// The vhost of requests that name no other.
    pub default: VhostConfig,
    /// Those that have names.
    pub vhosts: Vec<VhostConfig>,
    /// The bounds.
    pub limits: Limits,
    /// Levels and format of the log.
    pub log: LogConfig,
}

/// Where the control socket lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlPlace {
    /// Where the commands of this user find it.
    Usual,
    /// At this path.
    At(PathBuf),
}

impl ControlPlace {
    /// The path, unless it is the usual one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Usual => None,
            Self::At(path) => Some(path),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::usual().into()],
            tls: None,
            plugins: None,
            threads: 1,
            control: None,
            control_group: None,
            reverse_names: false,
            client: ClientConfig::default(),
            trusted_proxies: Vec::new(),
            run_as: None,
            default: VhostConfig::default(),
            vhosts: Vec::new(),
            limits: Limits::default(),
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// All vhosts, the default one first.
    pub fn vhosts(&self) -> impl Iterator<Item = &VhostConfig> {
        std::iter::once(&self.default).chain(&self.vhosts)
    }

    /// The vhost of that name.
    #[must_use]
    pub fn vhost(&self, name: &str) -> Option<&VhostConfig> {
        self.vhosts().find(|vhost| vhost.name == name)
    }

    /// Whether the page to try the protocols is at `/`.
    #[must_use]
    pub fn has_page(&self) -> bool {
        self.default.default_http.is_none()
            && self.default.mounts.iter().all(|mount| &*mount.point != "/")
    }

    /// Whether there is something to serve without any plugin: files, say.
    #[must_use]
    pub fn needs_no_plugin(&self) -> bool {
        let mounts = self.vhosts().flat_map(|vhost| vhost.mounts.iter());
        let mut kinds = mounts.map(|mount| &mount.kind);
        kinds.any(|kind| !matches!(kind, MountKind::Protocol { .. }))
    }
}

/// The name of the vhost that stands at the top of the file.
pub const DEFAULT_VHOST: &str = "default";

/// One vhost.
#[derive(Clone, Debug, PartialEq)]
pub struct VhostConfig {
    /// What it is called in logs, and what its sessions read.
    pub name: String,
    /// The names that lead to it; none for the default one.
    pub hosts: Vec<HostPattern>,
    /// How many connections it may have at once; 0: as many as the host.
    pub max_connections: u64,
    /// The protocol of an opening handshake whose path and offers name none.
    pub default_protocol: Option<String>,
    /// Origins beside the host's own that may connect: `*`, `null`, or a serialized origin in lower case without
    /// its default port, as browsers send it.
    pub allowed_origins: Vec<String>,
    /// What is set for protocols by name. One that is not listed is served with empty options.
    pub protocols: BTreeMap<String, ProtocolConfig>,
    /// What is set for extensions, in the order in which they are negotiated. One that is not listed is offered
    /// behind these, with empty options.
    pub extensions: Vec<(String, ExtensionConfig)>,
    /// The policies that are asked, in that order.
    pub policies: Vec<PolicyConfig>,
    /// Which part of the path space of HTTP is whose.
    pub mounts: Mounts<FilesMount>,
    /// The protocol whose HTTP handler answers what no mount takes.
    pub default_http: Option<String>,
    /// HTML files, by the status of the host's own answers that they are for.
    pub error_pages: BTreeMap<u16, PathBuf>,
    /// Which fields the host adds to answers.
    pub own_fields: OwnFields,
    /// Where exchanges are told of, if anywhere.
    pub access_log: Option<access_log::Settings>,
}

impl Default for VhostConfig {
    /// The vhost of requests that name no other: it serves what there is, with empty options.
    fn default() -> Self {
        Self {
            name: DEFAULT_VHOST.to_owned(),
            hosts: Vec::new(),
            max_connections: 0,
            default_protocol: None,
            allowed_origins: Vec::new(),
            protocols: BTreeMap::new(),
            extensions: Vec::new(),
            policies: Vec::new(),
            mounts: Mounts::default(),
            default_http: None,
            error_pages: BTreeMap::new(),
            own_fields: OwnFields::default(),
            access_log: None,
        }
    }
}

impl VhostConfig {
    /// Whether it serves a protocol: the default vhost serves all that there are, others those that they name.
    #[must_use]
    pub fn serves(&self, protocol: &str) -> bool {
        let is_mounted = |mount: &Mount<FilesMount>| match &mount.kind {
            MountKind::Protocol { name, .. } => &**name == protocol,
            _ => false,
        };
        self.name == DEFAULT_VHOST
            || self.protocols.contains_key(protocol)
            || self.default_protocol.as_deref() == Some(protocol)
            || self.default_http.as_deref() == Some(protocol)
            || self.mounts.iter().any(is_mounted)
    }

    /// The options of a protocol, as its plugin gets them.
    #[must_use]
    pub fn options(&self, protocol: &str) -> String {
        match self.protocols.get(protocol) {
            Some(protocol) => protocol.options.to_string(),
            None => "{}".into(),
        }
    }

    /// Whether it asks a policy.
    #[must_use]
    pub fn asks(&self, policy: &str) -> bool {
        self.policies.iter().any(|own| own.name == policy)
    }

    /// The options of a policy, as its plugin gets them.
    #[must_use]
    pub fn policy_options(&self, name: &str) -> String {
        let asked = self.policies.iter().find(|own| own.name == name);
        asked.map_or_else(|| "{}".into(), |own| own.options.to_string())
    }

    /// The options of an extension, as its plugin gets them.
    #[must_use]
    pub fn extension_options(&self, name: &str) -> String {
        let named = self.extensions.iter().find(|(other, _)| other == name);
        named.map_or_else(
            || "{}".into(),
            |(_, extension)| extension.options.to_string(),
        )
    }
}

/// What is set for one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolConfig {
    /// Its options, handed to the plugin as they are. An empty object when none are written.
    pub options: serde_json::Value,
}

impl Default for ProtocolConfig {
    fn default() -> Self {
        Self {
            options: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// A policy that is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// Its name.
    pub name: String,
    /// Its options, handed to the plugin as they are. An empty object when none are written.
    pub options: serde_json::Value,
}

/// What is set for one extension.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtensionConfig {
    /// Its options, handed to the plugin as they are. An empty object when none are written.
    pub options: serde_json::Value,
    /// Whether it is offered at all.
    pub offer: bool,
}

impl Default for ExtensionConfig {
    fn default() -> Self {
        Self {
            options: serde_json::Value::Object(serde_json::Map::new()),
            offer: true,
        }
    }
}

/// Levels, format and place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The level of what is not named below.
    pub level: LevelFilter,
    /// How a line is written.
    pub format: LogFormat,
    /// The file; `None` is standard error.
    pub file: Option<PathBuf>,
    /// Levels by target; the longest one that is a path prefix of an event's target decides.
    pub targets: BTreeMap<String, LevelFilter>,
    /// Levels of the lines of single plugins, by plugin name.
    pub plugins: BTreeMap<String, LevelFilter>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            format: LogFormat::Auto,
            file: None,
            targets: BTreeMap::new(),
            plugins: BTreeMap::new(),
        }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on standard error when that is a terminal, else JSON.
    #[default]
    Auto,
    /// One line for eyes.
    Human,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests;
