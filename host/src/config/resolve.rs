//! What is meant: defaults, precedence, paths, and whether the parts fit together.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use super::address::ListenAddress;
use super::control;
use super::error::{ConfigError, Fault};
use super::file::{self, File, WrittenLog};
use super::listener::{self, WrittenListener};
use super::mounts::www;
use super::overrides::Overrides;
use super::reader::{Located, Reader};
use super::run_as;
use super::source::Source;
use super::tls;
use super::vhost::{WrittenVhost, refuse_hidden};
use super::{Config, ControlPlace, LogConfig, VhostConfig, judge};
use crate::limits::Limits;
use crate::wire::network::{BadNetwork, Network};

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
    refuse_hidden(
        &written.vhosts,
        written.listen.as_deref().unwrap_or(&[]),
        reader,
    );
    let mut tls = tls::overridden(written.tls, overrides, reader);
    let mut vhosts = Vec::new();
    for mut written in written.vhosts {
        let own = written.tls.take();
        match (own, &mut tls) {
            (own, Some(tls)) => {
                let named = tls::named(&written.name, &written.hosts, own, tls, reader);
                tls.named.push(named);
            }
            (Some(own), None) => tls::refuse_without_tls(&own, reader),
            (None, None) => {}
        }
        vhosts.push(vhost(written, reader));
    }
    let names = std::iter::once(super::DEFAULT_VHOST);
    let names: Vec<_> = names
        .chain(vhosts.iter().map(|vhost| vhost.name.as_str()))
        .collect();
    let run_as = run_as::resolve(written.run_as, overrides, reader);
    let place = overrides.control.clone();
    let place = place.or_else(|| written.control.map(|path| directory.join(path)));
    let control_group = written.control_group;
    let control_group =
        control_group.and_then(|group| control::group(&group, place.is_some(), reader));
    let mut listen = listen(written.listen, overrides);
    if let Some(run_as) = &run_as {
        for listener in &mut listen {
            listener.address.belong_to(run_as);
        }
    }
    Config {
        listen: listener::resolve(
            listen,
            tls.as_ref(),
            !written.trusted_proxies.is_empty(),
            &names,
            reader,
        ),
        tls,
        plugins: overrides
            .plugins
            .clone()
            .or_else(|| written.plugins.map(|path| directory.join(path)))
            .or_else(|| cfg!(feature = "plugin-files").then(|| "plugins".into())),
        threads: overrides
            .threads
            .or(threads)
            .unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get)),
        control: Some(place.map_or(ControlPlace::Usual, ControlPlace::At)),
        control_group,
        reverse_names: written.reverse_names,
        client: written.client,
        trusted_proxies: networks(&written.trusted_proxies, reader),
        run_as,
        default,
        vhosts,
        limits: Limits {
            per_field_bytes: written.per_field_bytes,
            ..limits(&written.limits, reader)
        },
        log: log(written.log, overrides),
    }
}

/// Flags and environment name addresses, with nothing beside them.
fn listen(written: Option<Vec<WrittenListener>>, overrides: &Overrides) -> Vec<WrittenListener> {
    let said = overrides.listen.as_ref();
    let said = said.map(|addresses| addresses.iter().cloned().map(Into::into).collect());
    said.or(written)
        .unwrap_or_else(|| vec![ListenAddress::usual().into()])
}

fn vhost(written: WrittenVhost, reader: &Reader<'_>) -> VhostConfig {
    let http = written.http;
    VhostConfig {
        name: written.name,
        hosts: written.hosts,
        max_connections: written.max_connections,
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
    match judge::threads(written.value) {
        Ok(count) => Some(count),
        Err((cause, mend)) => {
            let mend = format!("{mend}, or leave the key out for one per core");
            reader.refuse(written.range, cause, mend);
            None
        }
    }
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
    match judge::origin(&written.value) {
        Ok(origin) => Some(origin),
        Err((cause, mend)) => {
            reader.refuse(written.range, cause, mend);
            None
        }
    }
}

fn limits(written: &[(String, Located<u64>)], reader: &Reader<'_>) -> Limits {
    let bounds: serde_json::Map<_, _> = written
        .iter()
        .map(|(key, bound)| (key.clone(), bound.value.into()))
        .collect();
    // Every key is known and every value is a u64, so nothing is left that serde could refuse.
    let limits: Limits = serde_json::from_value(bounds.into()).unwrap_or_default();
    for rule in judge::RULES {
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
        file: written.file,
        targets: merge(written.targets, &overrides.log_targets),
        plugins: merge(written.plugins, &overrides.log_plugins),
    }
}
