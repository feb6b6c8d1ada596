//! A host for tests without a server (feature `testing`).
//!
//! It calls a plugin through the same tables as the real one, so guards, panics and facts behave as they do there. It
//! has one thread and a clock of its own that only [`TestHost::advance`] moves. What the real host does after a hook
//! has returned is done at the end of the call of this module that ran the hook.
//!
//! ```standalone_crate
//! use hotsocket_plugin::{prelude::*, testing::{Outgoing, TestHost}};
//!
//! #[derive(Default)]
//! struct Shout;
//!
//! impl Protocol for Shout {
//!     const NAME: &'static str = "shout";
//!     fn on_message(&mut self, session: &mut Session, message: Message<'_>) {
//!         if let Message::Text(text) = message {
//!             session.text(text.to_uppercase());
//!         }
//!     }
//! }
//!
//! export_plugin!(Shout);
//!
//! let host = TestHost::new(plugin());
//! let session = host.open("shout");
//! session.receive("psst");
//! assert_eq!(session.sent(), [Outgoing::text("PSST")]);
//! ```

mod around;
mod asked;
mod asked_calls;
mod client;
mod client_calls;
mod exchange;
mod exchange_calls;
mod exchange_record;
mod extension;
mod extension_calls;
mod facts;
mod handshake;
mod handshake_calls;
mod host_calls;
mod inner;
mod manifest;
mod pieces;
mod policy;
mod policy_calls;
mod record;
mod session;
mod session_calls;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use crate::{StaticPlugin, abi};
pub use asked::TestAsked;
pub use client::{AfterFailure, TestAnswer, TestConnect};
pub use exchange::{ExchangeEnding, TestExchange, TestRequest};
pub use extension::{Stopped, TestConnection};
pub use handshake::Refused;
use host_calls::{Shared, Whose};
use inner::{Due, Inner, Instance, Part};
use manifest::{Manifest, ManifestProtocol};
pub use pieces::RecordedPiece;
pub use policy::{Allowed, PolicyConnection, TestPeer, Undecided};
pub use session::{Ending, Handshake, Outgoing, TestSession};

/// A host with one plugin, one vhost named `test`, and one service thread: the one of the test.
pub struct TestHost {
    inner: Rc<Inner>,
}

impl TestHost {
    /// A host that has started `plugin` as one that is linked into the test.
    ///
    /// # Panics
    ///
    /// If the plugin does not start.
    #[must_use]
    pub fn new(plugin: StaticPlugin) -> Self {
        Self::start(plugin, abi::START_LINKED)
    }

    /// A host that has started `plugin` as if it came from a file: its panic hook and its loggers take the place of
    /// the test's, so that locations of panics and what `log` and `tracing` are told reach this host. They stay for
    /// the whole process and print nothing, a failed assertion neither: `std::panic::take_hook` before asserting.
    ///
    /// # Panics
    ///
    /// If the plugin does not start.
    #[must_use]
    pub fn loaded(plugin: StaticPlugin) -> Self {
        Self::start(plugin, 0)
    }

    fn start(plugin: StaticPlugin, flags: u32) -> Self {
        let manifest: Manifest =
            serde_json::from_str(plugin.manifest()).expect("the macro writes a manifest");
        let shared: &'static Shared = Box::leak(Box::default());
        let host = shared.host(Whose::Plugin);
        // SAFETY: the declaration is that of `export_plugin!`; the host is leaked, so it stays valid.
        let started = unsafe { ((*plugin.declaration().plugin).start)(host, flags) };
        assert_eq!(started, abi::STATUS_OK, "{:?}", shared.take_failure());
        Self {
            inner: Rc::new(Inner {
                plugin,
                protocols: manifest.protocols,
                extensions: manifest.extensions,
                policies: manifest.policies,
                shared,
                instances: RefCell::default(),
                sessions: RefCell::default(),
                exchanges: RefCell::default(),
                last_id: Cell::new(0),
            }),
        }
    }

    /// Makes the instance of `protocol` with `options`, JSON. Sessions are opened on the newest one; an older one is
    /// retired, and dropped with the host.
    ///
    /// # Errors
    ///
    /// What the host would log when the plugin refuses these options.
    ///
    /// # Panics
    ///
    /// If the plugin has no such protocol.
    pub fn configure(&self, protocol: &str, options: &str) -> Result<(), String> {
        let part = Part::Protocol(self.inner.index(protocol));
        self.inner.configure(part, options)
    }

    /// Makes the instance of `extension` with `options`, JSON; the newest one is asked, as with protocols.
    ///
    /// # Errors
    ///
    /// What the host would log when the plugin refuses these options.
    ///
    /// # Panics
    ///
    /// If the plugin has no such extension.
    pub fn configure_extension(&self, extension: &str, options: &str) -> Result<(), String> {
        let part = self.inner.extension_part(extension);
        self.inner.configure(part, options)
    }

    /// Makes the instance of `policy` with `options`, JSON; the newest one is asked, as with protocols.
    ///
    /// # Errors
    ///
    /// What the host would log when the plugin refuses these options.
    ///
    /// # Panics
    ///
    /// If the plugin has no such policy.
    pub fn configure_policy(&self, policy: &str, options: &str) -> Result<(), String> {
        let part = self.inner.policy_part(policy);
        self.inner.configure(part, options)
    }

    /// A connection comes from a port of this machine, over plain TCP, to a vhost that asks `policy` only.
    ///
    /// # Panics
    ///
    /// If there is no such policy, or it refuses the options `{}`.
    #[must_use]
    pub fn connect(&self, policy: &str) -> PolicyConnection {
        self.connect_from(policy, TestPeer::default())
    }

    /// A connection comes from `peer`, to a vhost that asks `policy` only.
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    #[must_use]
    pub fn connect_from(&self, policy: &str, peer: TestPeer) -> PolicyConnection {
        PolicyConnection::open(&self.inner, policy, peer)
    }

    /// A peer offers `extension` with these parameters, at the path `/`: `name; name=value`, unquoted. None when that is
    /// declined.
    ///
    /// # Errors
    ///
    /// What the host would log when the hook fails.
    ///
    /// # Panics
    ///
    /// If there is no such extension, or it refuses the options `{}`.
    pub fn accept(&self, extension: &str, offer: &str) -> Result<Option<TestConnection>, String> {
        self.accept_as(extension, Handshake::at("/"), offer)
    }

    /// A peer offers `extension` in the opening handshake `handshake`.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept).
    pub fn accept_as(
        &self,
        extension: &str,
        handshake: Handshake,
        offer: &str,
    ) -> Result<Option<TestConnection>, String> {
        extension::accept(&self.inner, extension, handshake, offer)
    }

    /// What `extension` offers as client, none when there is no such alternative.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept).
    pub fn offer(&self, extension: &str, alternative: u32) -> Result<Option<String>, String> {
        extension::offer(&self.inner, extension, Handshake::at("/"), alternative)
    }

    /// A server answers an offer of `extension` with these parameters.
    ///
    /// # Errors
    ///
    /// Why the connection fails.
    ///
    /// # Panics
    ///
    /// As [`accept`](Self::accept).
    pub fn confirm(&self, extension: &str, response: &str) -> Result<TestConnection, String> {
        extension::confirm(&self.inner, extension, Handshake::at("/"), response)
    }

    /// Whether `protocol` lets an extension be used, by its manifest and by its hook.
    ///
    /// # Errors
    ///
    /// What the host would log when the hook fails.
    ///
    /// # Panics
    ///
    /// If there is no such protocol, or it refuses the options `{}`.
    pub fn allows_extension(
        &self,
        protocol: &str,
        handshake: Handshake,
        name: &str,
        parameters: &str,
    ) -> Result<bool, String> {
        extension::allows(&self.inner, protocol, handshake, (name, parameters))
    }

    /// Opens a session of `protocol` at the path `/protocol`; with options `{}` if it was not configured.
    ///
    /// # Panics
    ///
    /// If there is no such protocol, it answers HTTP only, or it refuses `{}` or the handshake.
    #[must_use]
    pub fn open(&self, protocol: &str) -> TestSession {
        self.open_as(protocol, Handshake::at(&format!("/{protocol}")))
    }

    /// Opens a session after the opening handshake `handshake`.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open); and if the protocol refuses the handshake.
    #[must_use]
    pub fn open_as(&self, protocol: &str, handshake: Handshake) -> TestSession {
        let opened = self.try_open(protocol, handshake);
        opened.unwrap_or_else(|refused| panic!("the handshake was refused: {refused:?}"))
    }

    /// Opens a session after the opening handshake `handshake`, if the protocol accepts it.
    ///
    /// # Errors
    ///
    /// The answer that the peer gets.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open).
    pub fn try_open(&self, protocol: &str, handshake: Handshake) -> Result<TestSession, Refused> {
        let index = self.inner.index(protocol);
        let has_sessions = !self.inner.entry(index).session.is_null();
        assert!(has_sessions, "{protocol} answers HTTP only: `request`");
        let accepted = handshake::judge(&self.inner, index, handshake)?;
        Ok(TestSession::open(&self.inner, index, accepted))
    }

    /// A request comes to the HTTP handler, or the protocol, of that name; with options `{}` if it was not configured.
    /// Its body, if there is one, comes at once.
    ///
    /// # Panics
    ///
    /// If there is no such handler, or it refuses `{}`.
    #[must_use]
    pub fn request(&self, handler: &str, request: TestRequest) -> TestExchange {
        let index = self.inner.index(handler);
        let answers = !self.inner.entry(index).http.is_null();
        assert!(answers, "{handler} does not answer HTTP");
        TestExchange::open(&self.inner, index, request)
    }

    /// The connections that the plugin has asked for since the last call, in that order.
    #[must_use]
    pub fn connects(&self) -> Vec<TestConnect> {
        let waiting = self.inner.shared.take_connects().into_iter();
        waiting
            .map(|waiting| TestConnect::new(&self.inner, waiting))
            .collect()
    }

    /// The plain requests that the plugin has asked for since the last call, in that order.
    #[must_use]
    pub fn requests(&self) -> Vec<TestAsked> {
        let waiting = self.inner.shared.take_requests().into_iter();
        waiting
            .map(|waiting| TestAsked::new(&self.inner, waiting))
            .collect()
    }

    /// The numbers of the connections and plain requests that the plugin has given up since the last call.
    #[must_use]
    pub fn given_up(&self) -> Vec<u64> {
        self.inner.shared.take_given_up()
    }

    /// Moves the clock, stopping at each timer and deadline on the way.
    pub fn advance(&self, by: Duration) {
        let end = self.inner.shared.now_ms() + by.as_millis() as u64;
        while let Some((at, due)) = self.inner.next_due().filter(|(at, _)| *at <= end) {
            self.inner.shared.set_now_ms(at);
            match due {
                Due::Session(record) => record.run_due(at),
                Due::Exchange(record) => record.run_due(at),
            }
            self.turn();
        }
        self.inner.shared.set_now_ms(end);
        self.turn();
    }

    /// Does what other threads asked for, and calls the writable hooks that were asked for.
    pub fn turn(&self) {
        self.inner.turn();
    }

    /// The lines that the plugin logged through its host since the last call, `LEVEL text`.
    #[must_use]
    pub fn logged(&self) -> Vec<String> {
        self.inner.shared.take_log()
    }

    /// The most detailed level that is logged from now on; all at first.
    pub fn set_log_level(&self, level: log::LevelFilter) {
        self.inner.shared.set_log_level(level);
    }

    /// A counter of the plugin.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.inner.shared.counter(name)
    }
}
