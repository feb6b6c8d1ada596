//! What flags and the environment say; both win over the file.

use std::ffi::OsString;
use std::path::PathBuf;

use tracing::level_filters::LevelFilter;

use crate::net::token::MAX_THREADS;

use super::address::{BadAddress, ListenAddress, parse_address};
use super::error::{ConfigError, Fault};
use super::level::parse_level;

/// What was said outside of the file. `None` and empty lists say nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Replaces the whole list `listen`.
    pub listen: Option<Vec<ListenAddress>>,
    /// Replaces `plugins`.
    pub plugins: Option<PathBuf>,
    /// Replaces `threads`.
    pub threads: Option<usize>,
    /// Replaces `control`.
    pub control: Option<PathBuf>,
    /// Replaces the mount at `/` by one of the files of this directory.
    pub www: Option<PathBuf>,
    /// Replaces `tls.cert`; goes with the next one.
    pub tls_cert: Option<PathBuf>,
    /// Replaces `tls.key`.
    pub tls_key: Option<PathBuf>,
    /// Replaces the whole of `run_as`.
    pub user: Option<String>,
    /// Replaces `run_as.group`.
    pub group: Option<String>,
    /// Replaces `log.level`.
    pub log_level: Option<LevelFilter>,
    /// Added to `log.targets`.
    pub log_targets: Vec<(String, LevelFilter)>,
    /// Added to `log.plugins`.
    pub log_plugins: Vec<(String, LevelFilter)>,
}

impl Overrides {
    /// What the variables `HOTSOCKET_LISTEN` (addresses separated by commas), `HOTSOCKET_PLUGINS`,
    /// `HOTSOCKET_THREADS`, `HOTSOCKET_CONTROL`, `HOTSOCKET_WWW`, `HOTSOCKET_TLS_CERT`, `HOTSOCKET_TLS_KEY`,
    /// `HOTSOCKET_USER`, `HOTSOCKET_GROUP` and `HOTSOCKET_LOG` (`LEVEL,TARGET=LEVEL,plugin:NAME=LEVEL`, each part may be missing) say. An empty variable says nothing.
    ///
    /// # Errors
    ///
    /// Names every variable that cannot be understood.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let mut overrides = Self::default();
        let mut faults = Vec::new();
        let path = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        // What is not UTF-8 is refused below, like any other wrong word.
        let said = |name: &str| path(name).map(|value| value.to_string_lossy().into_owned());

        if let Some(list) = said("HOTSOCKET_LISTEN") {
            let (good, bad) = addresses(&list);
            faults.extend(
                bad.into_iter()
                    .map(|bad| Fault::of("HOTSOCKET_LISTEN", bad.cause, bad.mend)),
            );
            overrides.listen = Some(good);
        }
        if let Some(count) = said("HOTSOCKET_THREADS") {
            match parse_threads(&count) {
                Ok(count) => overrides.threads = Some(count),
                Err(cause) => faults.push(Fault::of(
                    "HOTSOCKET_THREADS",
                    cause,
                    "write a whole number from 1",
                )),
            }
        }
        for part in said("HOTSOCKET_LOG")
            .iter()
            .flat_map(|list| list.split(','))
            .map(str::trim)
        {
            if let Err(cause) = overrides.set_level(part) {
                let mend = "write LEVEL, TARGET=LEVEL or plugin:NAME=LEVEL, separated by commas";
                faults.push(Fault::of("HOTSOCKET_LOG", cause, mend));
            }
        }
        overrides.plugins = path("HOTSOCKET_PLUGINS");
        overrides.control = path("HOTSOCKET_CONTROL");
        overrides.www = path("HOTSOCKET_WWW");
        overrides.tls_cert = path("HOTSOCKET_TLS_CERT");
        overrides.tls_key = path("HOTSOCKET_TLS_KEY");
        overrides.user = said("HOTSOCKET_USER");
        overrides.group = said("HOTSOCKET_GROUP");

        if faults.is_empty() {
            Ok(overrides)
        } else {
            Err(ConfigError { faults })
        }
    }

    /// These, and where they say nothing, `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            plugins: self.plugins.or(weaker.plugins),
            threads: self.threads.or(weaker.threads),
            control: self.control.or(weaker.control),
            www: self.www.or(weaker.www),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            user: self.user.or(weaker.user),
            group: self.group.or(weaker.group),
            log_level: self.log_level.or(weaker.log_level),
            // The later one of the same name wins.
            log_targets: [weaker.log_targets, self.log_targets].concat(),
            log_plugins: [weaker.log_plugins, self.log_plugins].concat(),
        }
    }

    /// Takes one part of `HOTSOCKET_LOG`.
    fn set_level(&mut self, part: &str) -> Result<(), String> {
        let level = |word: &str| parse_level(word).map_err(|unknown| unknown.to_string());
        match part.split_once('=') {
            None if part.is_empty() => {}
            None => self.log_level = Some(level(part)?),
            Some((name, word)) => match name.strip_prefix("plugin:") {
                Some(plugin) => self.log_plugins.push((plugin.to_owned(), level(word)?)),
                None => self.log_targets.push((name.to_owned(), level(word)?)),
            },
        }
        Ok(())
    }
}

/// A number of service threads.
///
/// # Errors
///
/// What is wrong with it.
pub fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 service threads would serve nobody".to_owned()),
        Ok(count) if count <= MOST_THREADS => Ok(count),
        Ok(_) => Err(format!("more than {MOST_THREADS} service threads")),
        Err(_) => Err(format!("`{text}` is no whole number")),
    }
}

/// As many as the id of a connection tells apart.
pub(super) const MOST_THREADS: usize = MAX_THREADS;

/// The addresses of a list separated by commas, and what is wrong with the others.
fn addresses(list: &str) -> (Vec<ListenAddress>, Vec<BadAddress>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for text in list.split(',') {
        match parse_address(text.trim()) {
            Ok(address) => good.push(address),
            Err(error) => bad.push(error),
        }
    }
    (good, bad)
}
