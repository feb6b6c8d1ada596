//! What is meant: defaults, precedence, paths, and whether the parts fit together.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use super::error::{ConfigError, Fault};
use super::file::{self, File, WrittenLog};
use super::listen::ListenAddress;
use super::mounts::www;
use super::origin::parse_origin;
use super::overrides::{MOST_THREADS, Overrides};
use super::reader::{Located, Reader};
use super::source::Source;
use super::tls;
use super::vhost::WrittenVhost;
use super::{Config, LogConfig, VhostConfig};
use crate::limits::Limits;
use crate::net::network::{BadNetwork, Network};

/// A larger config file is refused unread: it is the wrong file.
const MOST_FILE_BYTES: u64 = 16 << 20;

/// The config of `path` (zero configuration when there is none), overridden by `overrides`.
///
/// # Errors
///
/// When the file cannot be read, or with everything that is wrong in it.
pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let Some(path) = path else {
        return resolve(Path::new(""), "", overrides);
    };
    let unread = |cause: String| {
        Fault::of(
            path.display().to_string(),
            cause,
            "name a readable file with --config",
        )
    };
    let size = fs::metadata(path)
        .map_err(|error| unread(format!("cannot be read: {error}")))?
        .len();
    if size > MOST_FILE_BYTES {
        return Err(unread(format!("{size} bytes are no config file")).into());
    }
    let text = fs::read(path).map_err(|error| unread(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(text).map_err(|_| unread("is not UTF-8".to_owned()))?;
    resolve(path, &text, overrides)
}

/// The config that `text`, read from `path`, means together with `overrides`.
///
/// # Errors
///
/// Everything that is wrong in it.
pub fn resolve(path: &Path, text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let source = Source {
        path,
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
    };
    let reader = Reader::new(&source);
    let written = file::parse(&source, &reader)?;
    let config = assemble(
        written,
        path.parent().unwrap_or_else(|| Path::new("")),
        overrides,
        &reader,
    );
    let faults = reader.into_faults();
    if faults.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError { faults })
    }
}

/// `directory` is where the file lies. What is wrong goes to `reader`; something usable takes its place meanwhile.
fn assemble(written: File, directory: &Path, overrides: &Overrides, reader: &Reader<'_>) -> Config {
    let threads = written.threads.and_then(|count| threads(&count, reader));
    let mut default = vhost(written.default, reader);
    default.name = super::DEFAULT_VHOST.to_owned();
    if let Some(root) = &overrides.www {
        default.mounts.put(www(root.clone()));
    }
    let mut tls = tls::overridden(written.tls, overrides, reader);
    let mut vhosts = Vec::new();
    for mut written in written.vhosts {
        let certificate = written.tls.take();
        vhosts.push(vhost(written, reader));
        match (certificate, &mut tls) {
            (Some(certificate), Some(tls)) => tls.named.push(certificate.value),
            (Some(certificate), None) => reader.refuse(
                certificate.range,
                "a vhost has a certificate, and nothing is served over TLS",
                "write `tls` at the top of the file too: for clients that name no host, or one that is not here",
            ),
            (None, _) => {}
        }
    }
    Config {
        listen: overrides
            .listen
            .clone()
            .or(written.listen)
            .unwrap_or_else(|| vec![ListenAddress::usual()]),
        tls,
        plugins: overrides
            .plugins
            .clone()
            .or_else(|| written.plugins.map(|path| directory.join(path)))
            .unwrap_or_else(|| PathBuf::from("plugins")),
        threads: overrides
            .threads
            .or(threads)
            .unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get)),
        control: overrides
            .control
            .clone()
            .or_else(|| written.control.map(|path| directory.join(path))),
        trusted_proxies: networks(&written.trusted_proxies, reader),
        default,
        vhosts,
        limits: limits(&written.limits, reader),
        log: log(written.log, overrides),
    }
}

fn vhost(written: WrittenVhost, reader: &Reader<'_>) -> VhostConfig {
    let http = written.http;
    VhostConfig {
        name: written.name,
        hosts: written.hosts,
        default_protocol: written.default_protocol,
        allowed_origins: written
            .allowed_origins
            .iter()
            .filter_map(|origin| allowed_origin(origin, reader))
            .collect(),
        protocols: written.protocols.into_iter().collect(),
        extensions: written.extensions,
        policies: written.policies,
        mounts: http.mounts,
        default_http: http.default_http,
        error_pages: http.error_pages,
        own_fields: http.own_fields,
        access_log: http.access_log,
    }
}

fn threads(written: &Located<u64>, reader: &Reader<'_>) -> Option<usize> {
    let count = usize::try_from(written.value)
        .ok()
        .filter(|count| (1..=MOST_THREADS).contains(count));
    if count.is_none() {
        let mend = format!(
            "write a number from 1 to {MOST_THREADS}, or leave the key out for one per core"
        );
        reader.refuse(
            written.range,
            format!("`threads` cannot be {}", written.value),
            mend,
        );
    }
    count
}

fn networks(written: &[Located<String>], reader: &Reader<'_>) -> Vec<Network> {
    let network = |text: &Located<String>| {
        let (what, mend) = match Network::parse(&text.value) {
            Ok(network) => return Some(network),
            Err(BadNetwork::Address) => (
                "does not begin with an IP address",
                "write a network like \"10.0.0.0/8\" or \"2001:db8::/32\", or a single address; no names".into(),
            ),
            Err(BadNetwork::Bits) => (
                "does not end with a number of bits",
                "write 0 to 32 behind the slash, for IPv6 0 to 128".into(),
            ),
            Err(BadNetwork::Within(network)) => (
                "is an address within a network",
                format!("write \"{network}\", or the address without slash for it alone"),
            ),
        };
        reader.refuse(text.range, format!("`{}` {what}", text.value), mend);
        None
    };
    written.iter().filter_map(network).collect()
}

fn allowed_origin(written: &Located<String>, reader: &Reader<'_>) -> Option<String> {
    let origin = parse_origin(&written.value);
    if origin.is_none() {
        reader.refuse(
            written.range,
            format!("`{}` is no origin", written.value),
            "write scheme://host or scheme://host:port without a path, `*` for any, or `null`",
        );
    }
    origin
}

fn limits(written: &[(String, Located<u64>)], reader: &Reader<'_>) -> Limits {
    let bounds: serde_json::Map<_, _> = written
        .iter()
        .map(|(key, bound)| (key.clone(), bound.value.into()))
        .collect();
    // Every key is known and every value is a u64, so nothing is left that serde could refuse.
    let limits: Limits = serde_json::from_value(bounds.into()).unwrap_or_default();
    for rule in RULES {
        if (rule.broken)(&limits) {
            // One of the two keys is written, or the default would break the rule.
            let place = written
                .iter()
                .find(|(key, _)| rule.keys.contains(&key.as_str()));
            if let Some((_, bound)) = place {
                reader.refuse(bound.range, (rule.cause)(&limits), rule.mend);
            }
        }
    }
    limits
}

/// What must hold between limits.
struct Rule {
    keys: &'static [&'static str],
    broken: fn(&Limits) -> bool,
    cause: fn(&Limits) -> String,
    mend: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        keys: &["low_mark_bytes", "high_mark_bytes"],
        broken: |limits| limits.low_mark_bytes > limits.high_mark_bytes,
        cause: |limits| {
            let Limits {
                low_mark_bytes,
                high_mark_bytes,
                ..
            } = limits;
            format!(
                "`low_mark_bytes` ({low_mark_bytes}) is above `high_mark_bytes` ({high_mark_bytes})"
            )
        },
        mend: "raise the high mark or lower the low mark",
    },
    Rule {
        keys: &["high_mark_bytes", "buffered_total_bytes"],
        broken: |limits| limits.high_mark_bytes > limits.buffered_total_bytes,
        cause: |limits| {
            let Limits {
                high_mark_bytes,
                buffered_total_bytes,
                ..
            } = limits;
            format!(
                "`high_mark_bytes` ({high_mark_bytes}) of one connection is above `buffered_total_bytes` \
                 ({buffered_total_bytes}) of all"
            )
        },
        mend: "raise the total or lower the high mark",
    },
    Rule {
        keys: &["message_bytes", "buffered_total_bytes"],
        broken: |limits| limits.message_bytes > limits.buffered_total_bytes,
        cause: |limits| {
            let Limits {
                message_bytes,
                buffered_total_bytes,
                ..
            } = limits;
            format!(
                "`message_bytes` ({message_bytes}) is above `buffered_total_bytes` ({buffered_total_bytes}): \
                 such a message could never be taken"
            )
        },
        mend: "raise the total or lower the bound of one message",
    },
    Rule {
        keys: &["request_target_bytes", "request_head_bytes"],
        broken: |limits| limits.request_target_bytes > limits.request_head_bytes,
        cause: |limits| {
            let Limits {
                request_target_bytes,
                request_head_bytes,
                ..
            } = limits;
            format!(
                "`request_target_bytes` ({request_target_bytes}) is above `request_head_bytes` \
                 ({request_head_bytes}), which contains it"
            )
        },
        mend: "raise the bound of the head or lower that of the target",
    },
];

fn log(written: WrittenLog, overrides: &Overrides) -> LogConfig {
    let usual = LogConfig::default();
    let merge = |written: Vec<_>, stronger: &[_]| -> BTreeMap<_, _> {
        written
            .into_iter()
            .chain(stronger.iter().cloned())
            .collect()
    };
    LogConfig {
        level: overrides.log_level.or(written.level).unwrap_or(usual.level),
        format: written.format.unwrap_or(usual.format),
        targets: merge(written.targets, &overrides.log_targets),
        plugins: merge(written.plugins, &overrides.log_plugins),
    }
}
