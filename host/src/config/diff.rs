//! From a running config to a new one: all of it while running, or nothing.

use std::collections::BTreeSet;

use super::reader::list;
use super::{Config, VhostConfig};
use crate::limits::Limits;

/// Something that a running host can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Other options for the protocol of this name: a new instance, old sessions keep theirs.
    Options(String),
    /// Other options for extensions, others of them, or another order: new instances, old sessions keep theirs.
    Extensions,
    /// Other policies, other options for them, or another order: new instances, for what begins afterwards.
    Policies,
    /// Another bound of the connections of the default vhost, or none; those that are there stay.
    MaxConnections,
    /// Another default protocol, or none.
    DefaultProtocol,
    /// Other origins.
    AllowedOrigins,
    /// Another table of mounts.
    Mounts,
    /// Another protocol for what no mount takes, or none.
    DefaultHttp,
    /// Other files of error pages. Their content may differ without it.
    ErrorPages,
    /// Other fields that the host adds to answers.
    OwnFields,
    /// Other addresses to listen on.
    Listen,
    /// Another access log, another format of it, or none.
    AccessLog,
    /// Other peers that are believed when they say whom they ask for, from the next request on.
    TrustedProxies,
    /// Names of peers are looked up from now on, or no longer.
    ReverseNames,
    /// Another proxy is asked for connections that the host opens.
    Client,
    /// Other vhosts beside the default one, or something else in one of them.
    Vhosts,
    /// Other certificates, or other rules of TLS, for handshakes that begin afterwards.
    Tls,
    /// Other bounds, for what begins afterwards.
    Limits,
    /// Other levels or another format.
    Log,
}

/// The new config asks for what only a restart can do. Nothing of it may be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} cannot change while the host runs, so nothing of the new config is applied; restart the host, or put the old \
     value back",
    list(.keys)
)]
pub struct RestartNeeded {
    /// The keys that differ.
    pub keys: Vec<&'static str>,
}

/// What to change so that a host that runs `running` runs `new`. Empty when they mean the same.
///
/// # Errors
///
/// When a key differs that takes a restart.
pub fn diff(running: &Config, new: &Config) -> Result<Vec<Change>, RestartNeeded> {
    let keys =
        differing(fixed_keys(running, new).chain(fixed_limits(&running.limits, &new.limits)));
    if !keys.is_empty() {
        return Err(RestartNeeded { keys });
    }
    let (was, is) = (&running.default, &new.default);
    let named: BTreeSet<&String> = was.protocols.keys().chain(is.protocols.keys()).collect();
    let options = named
        .into_iter()
        .filter(|name| was.options(name) != is.options(name));
    let mut changes: Vec<_> = options.cloned().map(Change::Options).collect();
    changes.extend(differing(in_default_vhost(was, is)));
    changes.extend(differing(in_host(running, new)));
    Ok(changes)
}

/// Those that differ.
fn differing<T>(all: impl IntoIterator<Item = (T, bool)>) -> Vec<T> {
    let differing = all.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(it, _)| it).collect()
}

/// What only a restart changes.
fn fixed_keys(running: &Config, new: &Config) -> impl Iterator<Item = (&'static str, bool)> {
    let keys = [
        ("tls", running.tls.is_some() != new.tls.is_some()),
        ("plugins", running.plugins != new.plugins),
        ("threads", running.threads != new.threads),
        ("control", running.control != new.control),
        ("control_group", running.control_group != new.control_group),
        ("run_as", !is_same_user(running, new)),
    ];
    keys.into_iter()
}

/// The bounds among it: what they bound is made once, at the start.
fn fixed_limits(was: &Limits, is: &Limits) -> impl Iterator<Item = (&'static str, bool)> {
    macro_rules! limits {
        ($($limit:ident),+) => {
            [$((concat!("limits.", stringify!($limit)), was.$limit != is.$limit)),+]
        };
    }
    let keys = limits!(
        buffered_total_bytes,
        commands_count,
        commands_bytes,
        file_threads_count,
        file_jobs_count,
        resolve_threads_count,
        resolve_jobs_count,
        control_request_bytes,
        publish_message_bytes,
        control_request_ms
    );
    keys.into_iter()
}

fn in_default_vhost(was: &VhostConfig, is: &VhostConfig) -> [(Change, bool); 10] {
    [
        (Change::Extensions, was.extensions != is.extensions),
        (Change::Policies, was.policies != is.policies),
        (
            Change::MaxConnections,
            was.max_connections != is.max_connections,
        ),
        (
            Change::DefaultProtocol,
            was.default_protocol != is.default_protocol,
        ),
        (
            Change::AllowedOrigins,
            was.allowed_origins != is.allowed_origins,
        ),
        (Change::Mounts, was.mounts != is.mounts),
        (Change::DefaultHttp, was.default_http != is.default_http),
        (Change::ErrorPages, was.error_pages != is.error_pages),
        (Change::OwnFields, was.own_fields != is.own_fields),
        (Change::AccessLog, was.access_log != is.access_log),
    ]
}

fn in_host(running: &Config, new: &Config) -> [(Change, bool); 8] {
    [
        (Change::Listen, running.listen != new.listen),
        (
            Change::TrustedProxies,
            running.trusted_proxies != new.trusted_proxies,
        ),
        (
            Change::ReverseNames,
            running.reverse_names != new.reverse_names,
        ),
        (Change::Client, running.client != new.client),
        (Change::Vhosts, running.vhosts != new.vhosts),
        (Change::Tls, running.tls != new.tls),
        (Change::Limits, running.limits != new.limits),
        (Change::Log, running.log != new.log),
    ]
}

/// Whether both run as the same user and group, or neither becomes anybody.
fn is_same_user(running: &Config, new: &Config) -> bool {
    match (&running.run_as, &new.run_as) {
        (Some(was), Some(is)) => was.is_same(is),
        (was, is) => was == is,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Change, diff};
    use crate::config::{Config, Overrides, resolve};

    fn config(text: &str) -> Config {
        let overrides = Overrides {
            threads: Some(2),
            ..Overrides::default()
        };
        resolve(Path::new("c.json"), text, &overrides).unwrap()
    }

    #[test]
    fn equal_configs_need_no_change() {
        assert_eq!(
            diff(&config("{}"), &config(r#"{"protocols": {"echo": {}}}"#)),
            Ok(vec![])
        );
    }

    #[test]
    fn what_a_running_host_can_take_is_named() {
        let new = config(
            r#"{"protocols": {"echo": {"options": {"a": 1}}}, "max_connections": 7, "default_protocol": "echo",
                "allowed_origins": ["*"],
                "mounts": {"/": {"files": "www"}}, "default_http": "cgi", "error_pages": {"404": "404.html"},
                "listen": ["127.0.0.1:1"], "server_header": true, "access_log": {"file": "-"},
                "trusted_proxies": ["10.0.0.0/8"], "reverse_names": true, "client": {"proxy": "p:1"},
                "limits": {"message_bytes": 9}, "log": {"level": "warn"}}"#,
        );
        let all = vec![
            Change::Options("echo".to_owned()),
            Change::MaxConnections,
            Change::DefaultProtocol,
            Change::AllowedOrigins,
            Change::Mounts,
            Change::DefaultHttp,
            Change::ErrorPages,
            Change::OwnFields,
            Change::AccessLog,
            Change::Listen,
            Change::TrustedProxies,
            Change::ReverseNames,
            Change::Client,
            Change::Limits,
            Change::Log,
        ];
        assert_eq!(diff(&config("{}"), &new), Ok(all.clone()));
        assert_eq!(diff(&new, &config("{}")), Ok(all));
    }

    #[test]
    fn a_limit_that_is_taken_at_the_start_takes_a_restart() {
        let new = config(r#"{"limits": {"commands_count": 1, "message_bytes": 1}}"#);
        let refused = diff(&config("{}"), &new).unwrap_err();
        assert_eq!(refused.keys, ["limits.commands_count"]);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn another_certificate_is_taken_and_to_begin_or_end_with_tls_takes_a_restart() {
        let one = config(r#"{"tls": {"cert": "a", "key": "k"}}"#);
        let other = config(r#"{"tls": {"cert": "b", "key": "k"}}"#);
        assert_eq!(diff(&one, &other), Ok(vec![Change::Tls]));
        let refused = diff(&config("{}"), &one).unwrap_err();
        assert_eq!(refused.keys, ["tls"]);
    }

    #[test]
    fn another_user_takes_a_restart_and_another_name_of_the_same_does_not() {
        let as_user = |user: &str| {
            config(&format!(
                r#"{{"run_as": {{"user": "{user}", "group": "7"}}}}"#
            ))
        };
        for (was, is) in [
            (config("{}"), as_user("12345")),
            (as_user("12345"), as_user("12346")),
            (as_user("12345"), config("{}")),
        ] {
            assert_eq!(diff(&was, &is).unwrap_err().keys, ["run_as"]);
        }
        assert_eq!(diff(&as_user("12345"), &as_user("012345")), Ok(vec![]));
    }

    #[test]
    fn one_key_that_takes_a_restart_refuses_the_whole_config() {
        let new = config(r#"{"plugins": "p", "control": "c.sock", "log": {"level": "warn"}}"#);
        let refused = diff(&config("{}"), &new).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`plugins` and `control` cannot change while the host runs, so nothing of the new config is applied; \
             restart the host, or put the old value back"
        );
    }
}
