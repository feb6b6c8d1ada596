//! Policy `basic-auth`: asks for name and password by HTTP Basic (RFC 7617), and compares with an htpasswd file.
//!
//! A request without them, or with wrong ones, is answered 401. Of one that is allowed, the name is told to protocols and
//! handlers as the tag `user`. A browser sends both with every request and with the opening handshake of a WebSocket.
//!
//! The file is that of Apache and nginx, with bcrypt only: `htpasswd -B FILE NAME`. It is read again when it changes,
//! within a second; one that cannot be read or used is told in the log, and what was read before holds. Comparing takes
//! bcrypt a good part of a second on purpose, so it is done by threads of this plugin; what was found right is remembered
//! for a while, as a keyed hash and not as it came. Whether a name is in the file cannot be told from the time.
//!
//! # Options
//!
//! | key | default | |
//! | --- | --- | --- |
//! | `file` | | The htpasswd file. |
//! | `realm` | `restricted` | What the browser shows beside the fields for name and password. |
//! | `allow_unencrypted` | `false` | Whether a password may come without TLS from elsewhere than this machine. A browser is otherwise answered 403, and not asked. What a trusted proxy sends is not refused: how its clients reach it is its own affair. |
//! | `remember_s` | 300 | For so many seconds what was found right is not compared again. 0 for never. |
//! | `threads` | 2 | How many passwords are compared at once. |
//! | `waiting` | 64 | How many requests may wait for that. Those beyond are answered with 503. |
//!
//! Of a password 72 bytes count, as everywhere with bcrypt.
#![forbid(unsafe_code)]

mod checker;
mod credentials;
mod htpasswd;
mod remembered;
#[cfg(test)]
mod tests;

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use hotsocket_plugin::prelude::*;
use serde::Deserialize;

use checker::{Asked, Checker};
use credentials::Credentials;

/// More threads than that compare no faster on any machine that serves at the same time.
const MOST_THREADS: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    file: PathBuf,
    #[serde(default = "default_realm")]
    realm: String,
    #[serde(default)]
    allow_unencrypted: bool,
    #[serde(default = "default_remember_s")]
    remember_s: u32,
    #[serde(default = "default_threads")]
    threads: NonZeroUsize,
    #[serde(default = "default_waiting")]
    waiting: NonZeroUsize,
}

fn default_realm() -> String {
    "restricted".to_owned()
}

const fn default_remember_s() -> u32 {
    300
}

const fn default_threads() -> NonZeroUsize {
    const { NonZeroUsize::new(2).unwrap() }
}

const fn default_waiting() -> NonZeroUsize {
    const { NonZeroUsize::new(64).unwrap() }
}

struct BasicAuth {
    /// The field WWW-Authenticate.
    challenge: String,
    allow_unencrypted: bool,
    checker: Checker,
}

impl BasicAuth {
    /// Whether nobody on the way can have read the password, as far as this host can know.
    fn is_private(&self, request: &PolicyRequest) -> bool {
        let is_local = || {
            let peer = request.peer();
            peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback())
        };
        self.allow_unencrypted
            || request.is_encrypted()
            || request.is_of_trusted_proxy()
            || is_local()
    }

    fn unauthorized(&self) -> Refusal {
        let refusal = Refusal::new(401).field("WWW-Authenticate", &self.challenge);
        refusal.text("name and password, please\n")
    }
}

impl Policy for BasicAuth {
    const NAME: &'static str = "basic-auth";
    type Options = Options;

    fn new(host: &Host, options: Options) -> Result<Self, PluginError> {
        let (realm, threads) = (&options.realm, options.threads);
        let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        if !realm.bytes().all(is_plain) {
            return Err(PluginError::new(format!(
                "`realm` {realm:?} cannot be sent: use ASCII without quotes, backslashes and control characters"
            )));
        }
        if threads.get() > MOST_THREADS {
            return Err(PluginError::new(format!(
                "`threads` is {threads}: use {MOST_THREADS} at most, and about one for each processor"
            )));
        }
        let remembered = Duration::from_secs(options.remember_s.into());
        let waiting = options.waiting.get();
        Ok(Self {
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            allow_unencrypted: options.allow_unencrypted,
            checker: Checker::start(host, options.file, threads.get(), waiting, remembered)?,
        })
    }

    fn on_request(&self, request: &mut PolicyRequest) -> Result<Verdict, Refusal> {
        if !self.is_private(request) {
            let why = "a password would be readable to all on the way: use https\n";
            return Err(Refusal::new(403).text(why));
        }
        let mut fields = request.headers("Authorization");
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return Err(self.unauthorized());
        };
        let Some(credentials) = Credentials::of(field) else {
            return Err(self.unauthorized());
        };
        drop(fields);
        let Some(again) = request.ask_again() else {
            return Err(PluginError::new("the host does not say which request it is").into());
        };
        match self.checker.ask(&credentials, again) {
            Asked::Right => {
                request.set_tag("user", &credentials.name)?;
                Ok(Verdict::Allow)
            }
            Asked::Wrong => Err(self.unauthorized()),
            Asked::Later => Ok(Verdict::Later),
            Asked::TooMany => {
                let busy = Refusal::new(503).field("Retry-After", "1");
                Err(busy.text("too many passwords are compared at the moment\n"))
            }
        }
    }
}

export_plugin!(policies: BasicAuth);
