//! What may be written of one vhost: at the top of the file for the default one, below `vhosts` for others.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Range;

use super::file::{extensions, protocols};
use super::http::{self, WrittenHttp};
use super::listener::WrittenListener;
use super::mounts::mounts;
use super::policies::policies;
use super::reader::{Located, Reader};
use super::tls::{WrittenVhostTls, vhost_tls};
use super::{ExtensionConfig, PolicyConfig, ProtocolConfig};
use crate::wire::host_pattern::HostPattern;

/// The keys of a vhost.
pub(super) const KEYS: &[&str] = &[
    "max_connections",
    "default_protocol",
    "allowed_origins",
    "protocols",
    "extensions",
    "policies",
    "mounts",
    "default_http",
    "error_pages",
    "security_headers",
    "server_header",
    "access_log",
];

/// The keys of a vhost that is not the default one.
const NAMED_KEYS: &[&str] = &[
    "hosts",
    "tls",
    "max_connections",
    "default_protocol",
    "allowed_origins",
    "protocols",
    "extensions",
    "policies",
    "mounts",
    "default_http",
    "error_pages",
    "security_headers",
    "server_header",
    "access_log",
];

/// A vhost as it was written.
#[derive(Debug, Default)]
pub(super) struct WrittenVhost {
    pub(super) name: String,
    pub(super) hosts: Vec<HostPattern>,
    /// Where its name stands, when no hosts do.
    pub(super) hostless: Option<Range>,
    pub(super) tls: Option<WrittenVhostTls>,
    pub(super) max_connections: u64,
    pub(super) default_protocol: Option<String>,
    pub(super) allowed_origins: Vec<Located<String>>,
    pub(super) protocols: Vec<(String, ProtocolConfig)>,
    pub(super) extensions: Vec<(String, ExtensionConfig)>,
    pub(super) policies: Vec<PolicyConfig>,
    pub(super) http: WrittenHttp,
}

impl WrittenVhost {
    /// Takes a key of a vhost; false when it is none.
    pub(super) fn take(&mut self, key: &str, value: &Value<'_>, reader: &Reader<'_>) -> bool {
        match key {
            "max_connections" => {
                let most = reader.whole(value, key);
                self.max_connections = most.map_or(0, |most| most.value);
            }
            "default_protocol" => {
                let name = reader.string(value, key, "echo");
                self.default_protocol = name.map(|name| name.value);
            }
            "allowed_origins" => {
                self.allowed_origins = reader.strings(value, key, "https://example.org");
            }
            "protocols" => self.protocols = protocols(value, reader),
            "extensions" => self.extensions = extensions(value, reader),
            "policies" => self.policies = policies(value, reader),
            "mounts" => self.http.mounts = mounts(value, reader),
            "default_http" => {
                let name = reader.string(value, key, "cgi");
                self.http.default_http = name.map(|name| name.value);
            }
            "error_pages" => self.http.error_pages = http::error_pages(value, reader),
            "security_headers" => {
                self.http.own_fields.security = reader.flag(value, key).unwrap_or_default();
            }
            "server_header" => {
                self.http.own_fields.server = reader.flag(value, key).unwrap_or_default();
            }
            "access_log" => self.http.access_log = http::access_log(value, reader),
            _ => return false,
        }
        true
    }
}

/// The part `vhosts`.
pub(super) fn vhosts(value: &Value<'_>, reader: &Reader<'_>) -> Vec<WrittenVhost> {
    let mut vhosts: Vec<WrittenVhost> = Vec::new();
    for (name, value) in reader.properties(value, "vhosts") {
        if name.value == super::DEFAULT_VHOST || name.value.is_empty() {
            let cause = format!("`{}` cannot be the name of another vhost", name.value);
            let mend = "give it a name of its own; what the default vhost does stands at the top";
            reader.refuse(name.range, cause, mend);
            continue;
        }
        let mut vhost = WrittenVhost {
            name: name.value.to_owned(),
            ..WrittenVhost::default()
        };
        let mut has_hosts = false;
        for (key, value) in reader.properties(value, name.value) {
            if key.value == "hosts" {
                has_hosts = true;
                vhost.hosts = hosts(value, reader, &vhosts);
            } else if key.value == "tls" {
                vhost.tls = Some(vhost_tls(value, reader));
            } else if !vhost.take(key.value, value, reader) {
                reader.refuse_key(&key, NAMED_KEYS);
            }
        }
        vhost.hostless = (!has_hosts).then_some(name.range);
        vhosts.push(vhost);
    }
    vhosts
}

/// Refuses vhosts that neither a name nor a listener leads to.
pub(super) fn refuse_hidden(
    vhosts: &[WrittenVhost],
    listeners: &[WrittenListener],
    reader: &Reader<'_>,
) {
    for vhost in vhosts {
        let leads_there = |listener: &WrittenListener| listener.rules.names(&vhost.name);
        if let Some(range) = vhost.hostless
            && !listeners.iter().any(leads_there)
        {
            let cause = format!(
                "the vhost `{}` has no `hosts`, so nobody gets there",
                vhost.name
            );
            let mend = "write for example \"hosts\": [\"example.org\", \"*.example.org\"], or name it in the `vhosts` of \
                        a listener";
            reader.refuse(range, cause, mend);
        }
    }
}

/// The names that lead to a vhost; each leads to one.
fn hosts(value: &Value<'_>, reader: &Reader<'_>, others: &[WrittenVhost]) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for written in reader.strings(value, "hosts", "example.org") {
        let Some(pattern) = HostPattern::parse(&written.value) else {
            let cause = format!("`{}` is no host", written.value);
            let mend = "write a name, `*.` and a name, or an IP address; without a port";
            reader.refuse(written.range, cause, mend);
            continue;
        };
        let holder = others.iter().find(|other| other.hosts.contains(&pattern));
        if let Some(other) = holder {
            let cause = format!(
                "`{}` leads to the vhost `{}` already",
                written.value, other.name
            );
            reader.refuse(written.range, cause, "leave one of them out");
        } else if !hosts.contains(&pattern) {
            hosts.push(pattern);
        }
    }
    hosts
}
