//! What must hold of a config, whoever filled it in: a file is judged while its lines are known, and what a program made
//! as a whole.

use super::error::{ConfigError, Fault};
use super::listener;
use super::origin::parse_origin;
use super::overrides::MOST_THREADS;
use super::{Config, DEFAULT_VHOST, ListenerConfig};
use crate::limits::Limits;

/// Why something is wrong, and the mend.
pub(super) type Wrong = (String, String);

impl Config {
    /// Whether the parts fit together. What came from a file does.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each by the key that a file would have for it.
    pub fn judge(&self) -> Result<(), ConfigError> {
        let mut faults = Vec::new();
        let mut refuse =
            |key: String, (cause, mend): Wrong| faults.push(Fault::of(key, cause, mend));
        if let Err(wrong) = threads(self.threads as u64) {
            refuse("threads".into(), wrong);
        }
        for rule in RULES.iter().filter(|rule| (rule.broken)(&self.limits)) {
            let keys = rule.keys.join(", limits.");
            refuse(
                format!("limits.{keys}"),
                ((rule.cause)(&self.limits), rule.mend.into()),
            );
        }
        for vhost in self.vhosts() {
            for written in &vhost.allowed_origins {
                let key = match &*vhost.name {
                    DEFAULT_VHOST => "allowed_origins".to_owned(),
                    name => format!("vhosts.{name}.allowed_origins"),
                };
                match origin(written) {
                    Ok(origin) if origin == *written => {}
                    Ok(origin) => {
                        let cause = format!("`{written}` is not as browsers send it");
                        refuse(key, (cause, format!("write `{origin}`")));
                    }
                    Err(wrong) => refuse(key, wrong),
                }
            }
        }
        if self.default.name != DEFAULT_VHOST {
            let cause = format!("the vhost `default` has the name `{}`", self.default.name);
            let mend = "leave its name as it is, or add this one to `vhosts`";
            refuse("default".into(), (cause, mend.into()));
        }
        for (at, vhost) in self.vhosts.iter().enumerate() {
            if self
                .vhosts()
                .take(at + 1)
                .any(|other| other.name == vhost.name)
            {
                let cause = "there are two vhosts of this name".to_owned();
                refuse(
                    format!("vhosts.{}", vhost.name),
                    (cause, "rename one of them".into()),
                );
            }
            let is_named = |listener: &ListenerConfig| listener.vhosts.contains(&vhost.name);
            if vhost.hosts.is_empty() && !self.listen.iter().any(is_named) {
                let cause = "no host leads to it".to_owned();
                let mend = "name at least one in `hosts`";
                refuse(format!("vhosts.{}", vhost.name), (cause, mend.into()));
            }
        }
        let names: Vec<_> = self.vhosts().map(|vhost| vhost.name.as_str()).collect();
        for listener in &self.listen {
            for wrong in listener::wrongs(listener, self.tls.as_ref(), &names) {
                refuse(format!("listen, {}", listener.address), wrong);
            }
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(ConfigError { faults }),
        }
    }
}

/// A number of service threads.
pub(super) fn threads(count: u64) -> Result<usize, Wrong> {
    let found = usize::try_from(count).ok();
    let fitting = found.filter(|count| (1..=MOST_THREADS).contains(count));
    fitting.ok_or_else(|| {
        let cause = format!("`threads` cannot be {count}");
        (cause, format!("write a number from 1 to {MOST_THREADS}"))
    })
}

/// An origin as browsers send it.
pub(super) fn origin(written: &str) -> Result<String, Wrong> {
    parse_origin(written).ok_or_else(|| {
        let cause = format!("`{written}` is no origin");
        let mend =
            "write scheme://host or scheme://host:port without a path, `*` for any, or `null`";
        (cause, mend.into())
    })
}

/// What must hold between limits.
pub(super) struct Rule {
    pub(super) keys: &'static [&'static str],
    pub(super) broken: fn(&Limits) -> bool,
    pub(super) cause: fn(&Limits) -> String,
    pub(super) mend: &'static str,
}

pub(super) const RULES: &[Rule] = &[
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::VhostConfig;

    #[test]
    fn what_a_program_fills_in_is_judged_as_a_file_is() {
        assert_eq!(Config::default().judge(), Ok(()));
        let config = Config {
            threads: 0,
            limits: Limits {
                high_mark_bytes: 1,
                ..Limits::default()
            },
            default: VhostConfig {
                allowed_origins: vec!["HTTP://a:80".into(), "nothing".into()],
                ..VhostConfig::default()
            },
            vhosts: vec![VhostConfig::default()],
            ..Config::default()
        };
        let told = config.judge().unwrap_err().to_string();
        for expected in [
            "threads: `threads` cannot be 0\n  write a number from 1 to",
            "limits.low_mark_bytes, limits.high_mark_bytes: `low_mark_bytes` (",
            "allowed_origins: `HTTP://a:80` is not as browsers send it\n  write `http://a`",
            "allowed_origins: `nothing` is no origin",
            "vhosts.default: there are two vhosts of this name",
            "vhosts.default: no host leads to it",
        ] {
            assert!(told.contains(expected), "{expected} in\n{told}");
        }
    }
}
