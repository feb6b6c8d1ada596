//! Looks at config and plugin files, and runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Done, print};
use crate::access_log;
use crate::config::{self, Config, Overrides, VhostConfig, meant};
use crate::context::error_pages::ErrorPages;
use crate::context::mounts::{MountKind, open_files};
use crate::limits::Limits;
use crate::logging::{self, escaped};
use crate::net::tls::TlsKeeper;
use crate::server::privileges;

/// Looks at a plugin file without running it.
pub type Inspect = fn(&Path) -> Result<Inspected, Box<dyn Error>>;

/// What a plugin file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// Its name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// The ABI it was built for, `MAJOR.MINOR`.
    pub abi: String,
    /// The compiler.
    pub toolchain: String,
    /// The protocols it brings.
    pub protocols: Vec<String>,
    /// How long the value of a session of each of them is, in bytes, without what it points to.
    pub session_bytes: BTreeMap<String, u64>,
    /// Those of its protocols that answer HTTP.
    pub http: Vec<String>,
    /// The extensions it brings.
    pub extensions: Vec<String>,
    /// The policies it brings.
    pub policies: Vec<String>,
}

/// `plugin inspect`.
pub(super) fn inspect(file: &Path, json: bool, inspect: Inspect) -> Done {
    let seen = inspect(file)?;
    if json {
        print::line(&serde_json::to_string(&seen)?);
        return Ok(());
    }
    let sessions = seen.session_bytes.iter();
    let sessions: Vec<_> = sessions
        .map(|(protocol, bytes)| format!("{protocol} {bytes} bytes"))
        .collect();
    let rows = [
        ("plugin", &seen.plugin),
        ("version", &seen.version),
        ("abi", &seen.abi),
        ("toolchain", &seen.toolchain),
        ("protocols", &seen.protocols.join(", ")),
        ("sessions", &sessions.join(", ")),
        ("http", &seen.http.join(", ")),
        ("extensions", &seen.extensions.join(", ")),
        ("policies", &seen.policies.join(", ")),
    ];
    for (name, value) in rows {
        print::line(&format!("{name:<10}  {}", escaped(value)));
    }
    Ok(())
}

/// What was found wrong is on standard error already.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the plugin files would be refused")]
struct RefusedFiles(usize);

/// The same of what HTTP needs.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the files and directories that the config names cannot be used")]
struct UnusablePlaces(usize);

/// `check`.
pub(super) fn check(file: Option<&Path>, plugins: Option<PathBuf>, inspect: Inspect) -> Done {
    let flags = Overrides {
        plugins,
        ..Overrides::default()
    };
    let config = config::load(
        file,
        &flags.or(Overrides::from_environment(|name| std::env::var_os(name))?),
    )?;
    let mut unusable = tell_unusable_tls(&config);
    let became = become_user(&config);
    unusable += tell_unusable(&config);
    let mut provided = Provided::default();
    let mut refused = 0;
    let files = config.plugins.as_deref().map(plugin_files).transpose()?;
    for file in files.into_iter().flatten() {
        match inspect(&file) {
            Ok(seen) => {
                let brings = [seen.protocols.as_slice(), &seen.extensions, &seen.policies].concat();
                let text = format!(
                    "{} {} ({}) in {}",
                    seen.plugin,
                    seen.version,
                    brings.join(", "),
                    file.display()
                );
                print::line(&escaped(&text));
                provided.protocols.extend(seen.protocols);
                provided.http.extend(seen.http);
                provided.extensions.extend(seen.extensions);
                provided.policies.extend(seen.policies);
            }
            Err(error) => {
                print::error(error.as_ref());
                refused += 1;
            }
        }
    }
    for vhost in config.vhosts() {
        warn_of_missing(vhost, &provided);
    }
    became?;
    match (refused, unusable) {
        (0, 0) => Ok(()),
        (0, _) => Err(UnusablePlaces(unusable).into()),
        _ => Err(RefusedFiles(refused).into()),
    }
}

/// Tells whether TLS can use its files, and counts what it cannot. As the host does it: with the privileges of the start.
fn tell_unusable_tls(config: &Config) -> usize {
    let opened = config.tls.as_ref().map(TlsKeeper::open).transpose();
    match opened {
        Ok(_) => 0,
        Err(fault) => {
            print::error(&fault);
            1
        }
    }
}

/// Becomes the user of `run_as` like the host, so that the rest is looked at with the same eyes, and tells what that user
/// cannot read again.
fn become_user(config: &Config) -> Result<(), privileges::PrivilegeError> {
    let Some(run_as) = &config.run_as else {
        return Ok(());
    };
    privileges::become_user(run_as)?;
    let files = config.tls.iter();
    for warning in files.flat_map(|tls| privileges::unreadable_again(run_as, tls)) {
        print::warning(&warning);
    }
    Ok(())
}

/// Tells what of the places that HTTP needs cannot be used, and how many those are. Makes none of them.
fn tell_unusable(config: &Config) -> usize {
    let mut errors: Vec<Box<dyn Error>> = Vec::new();
    if let Err(error) = logging::check(config.log.file.as_deref()) {
        errors.push(error.into());
    }
    for vhost in config.vhosts() {
        find_unusable(vhost, &config.limits, &mut errors);
    }
    for error in &errors {
        print::error(error.as_ref());
    }
    errors.len()
}

fn find_unusable(vhost: &VhostConfig, limits: &Limits, errors: &mut Vec<Box<dyn Error>>) {
    for mount in vhost.mounts.iter() {
        if let MountKind::Files(files) = &mount.kind
            && let Err(error) = open_files(mount, files, limits)
        {
            errors.push(error.into());
        }
    }
    for (status, file) in &vhost.error_pages {
        // One by one, since reading ends with the first that cannot be used.
        let page = BTreeMap::from([(*status, file.clone())]);
        if let Err(error) = ErrorPages::read(&page, limits.error_page_bytes) {
            errors.push(error.into());
        }
    }
    if let Some(settings) = &vhost.access_log
        && let Err(error) = access_log::check(settings.file.as_deref())
    {
        errors.push(error.into());
    }
}

/// The files ending in `.so`, in order of their names.
fn plugin_files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = directory.display();
    let entries = fs::read_dir(directory).map_err(|error| {
        format!("cannot read the plugin directory {shown}: {error}; name one with --plugins")
    })?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "so"))
        .collect();
    files.sort();
    if files.is_empty() {
        print::warning(&format!(
            "no .so file in {shown}; cargo leaves them in --plugins target/release"
        ));
    }
    Ok(files)
}

/// What the plugin files bring.
#[derive(Default)]
struct Provided {
    protocols: BTreeSet<String>,
    /// Those of the protocols that answer HTTP.
    http: BTreeSet<String>,
    extensions: BTreeSet<String>,
    policies: BTreeSet<String>,
}

/// No fault: the file may be dropped in later.
fn warn_of_missing(config: &VhostConfig, provided: &Provided) {
    let named = config.protocols.keys().map(|name| ("protocols", name));
    let default = config.default_protocol.iter();
    let named = named.chain(default.map(|name| ("default_protocol", name)));
    warn_of_unknown(
        named.map(|(key, name)| (key, name.as_str())),
        &provided.protocols,
    );
    let mounted = config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Protocol { name, .. } => Some(("mounts", &**name)),
        _ => None,
    });
    let default = config.default_http.iter();
    let answering = default.map(|name| ("default_http", &**name)).chain(mounted);
    let (silent, answering): (Vec<_>, Vec<_>) = answering.partition(|(_, name)| {
        provided.protocols.contains(*name) && !provided.http.contains(*name)
    });
    for (key, name) in silent {
        let name = escaped(name);
        print::warning(&format!(
            "{key}: the protocol `{name}` does not answer HTTP, but only WebSocket; name one whose plugin does"
        ));
    }
    warn_of_unknown(answering.into_iter(), &provided.http);
    let named = config
        .extensions
        .iter()
        .map(|(name, _)| ("extensions", name.as_str()));
    warn_of_unknown(named, &provided.extensions);
    let asked = config.policies.iter();
    let asked = asked.map(|policy| ("policies", policy.name.as_str()));
    warn_of_unknown(asked, &provided.policies);
}

fn warn_of_unknown<'a>(
    named: impl Iterator<Item = (&'a str, &'a str)>,
    provided: &BTreeSet<String>,
) {
    let known: Vec<&str> = provided.iter().map(String::as_str).collect();
    for (key, name) in named.filter(|(_, name)| !provided.contains(*name)) {
        print::warning(&format!(
            "{key}: no plugin provides `{}`; {}",
            escaped(name),
            meant(name, &known)
        ));
    }
}
