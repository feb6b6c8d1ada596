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

mod host_calls;
mod record;
mod session;
mod session_calls;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::c_void,
    ptr,
    rc::{Rc, Weak},
    time::Duration,
};

use serde::Deserialize;

use crate::{StaticPlugin, abi};
use host_calls::{Post, Shared};
use record::Record;
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
        let host = shared.host("");
        // SAFETY: the declaration is that of `export_plugin!`; the host is leaked, so it stays valid.
        let started = unsafe { ((*plugin.declaration().plugin).start)(host, flags) };
        assert_eq!(started, abi::STATUS_OK, "{:?}", shared.take_failure());
        Self {
            inner: Rc::new(Inner {
                plugin,
                protocols: manifest.protocols,
                shared,
                instances: RefCell::default(),
                sessions: RefCell::default(),
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
        self.inner.configure(protocol, options)
    }

    /// Opens a session of `protocol` at the path `/protocol`; with options `{}` if it was not configured.
    ///
    /// # Panics
    ///
    /// If there is no such protocol, or it refuses `{}`.
    #[must_use]
    pub fn open(&self, protocol: &str) -> TestSession {
        self.open_as(protocol, Handshake::at(&format!("/{protocol}")))
    }

    /// Opens a session after the opening handshake `handshake`.
    ///
    /// # Panics
    ///
    /// As [`open`](Self::open).
    #[must_use]
    pub fn open_as(&self, protocol: &str, handshake: Handshake) -> TestSession {
        let index = self.inner.index(protocol);
        if !self
            .inner
            .instances
            .borrow()
            .iter()
            .any(|i| i.index == index)
        {
            self.configure(protocol, "{}")
                .expect("the protocol takes the options {}");
        }
        TestSession::open(&self.inner, index, handshake)
    }

    /// Moves the clock, stopping at each timer and deadline on the way.
    pub fn advance(&self, by: Duration) {
        let end = self.inner.shared.now_ms() + by.as_millis() as u64;
        while let Some((at, record)) = self.inner.next_due().filter(|(at, _)| *at <= end) {
            self.inner.shared.set_now_ms(at);
            record.run_due(at);
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

/// What sessions keep of their host.
struct Inner {
    plugin: StaticPlugin,
    protocols: Vec<ManifestProtocol>,
    shared: &'static Shared,
    instances: RefCell<Vec<Instance>>,
    sessions: RefCell<BTreeMap<u64, Weak<Record>>>,
    last_id: Cell<u64>,
}

/// An instance and its state for our only thread.
#[derive(Clone, Copy)]
struct Instance {
    index: usize,
    host: *const abi::Host,
    instance: *mut c_void,
    thread: *mut c_void,
}

#[derive(Deserialize)]
struct Manifest {
    protocols: Vec<ManifestProtocol>,
}

#[derive(Deserialize)]
struct ManifestProtocol {
    name: String,
    id: u32,
}

impl Inner {
    fn index(&self, protocol: &str) -> usize {
        let found = self.protocols.iter().position(|p| p.name == protocol);
        found.unwrap_or_else(|| {
            panic!(
                "the plugin has no protocol {protocol}: {}",
                self.plugin.manifest()
            )
        })
    }

    fn entry(&self, index: usize) -> abi::ProtocolEntry {
        // SAFETY: the declaration of `export_plugin!` has an entry for each protocol of the manifest.
        unsafe { *self.plugin.declaration().protocols.add(index) }
    }

    fn block(&self, index: usize) -> abi::InstanceBlock {
        // SAFETY: entries lead to static blocks.
        unsafe { *self.entry(index).instance }
    }

    fn configure(&self, protocol: &str, options: &str) -> Result<(), String> {
        let index = self.index(protocol);
        let block = self.block(index);
        let host = self.shared.host(protocol);
        let failed = || self.shared.take_failure().unwrap_or_default();
        let options = abi::Bytes::new(options.as_bytes());
        let (mut instance, mut thread) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the host is leaked, so it stays valid; the options outlive the call.
        if unsafe { (block.create)(host, options, &raw mut instance) } != abi::STATUS_OK {
            return Err(failed());
        }
        // SAFETY: `create` made the instance, and the host is its own.
        if unsafe { (block.thread_create)(instance, host, &raw mut thread) } != abi::STATUS_OK {
            return Err(failed());
        }
        if let Some(older) = self.newest(index) {
            // SAFETY: it is alive until the host is dropped.
            unsafe { (block.retire)(older.instance, older.host) };
        }
        self.instances.borrow_mut().push(Instance {
            index,
            host,
            instance,
            thread,
        });
        Ok(())
    }

    fn newest(&self, index: usize) -> Option<Instance> {
        let instances = self.instances.borrow();
        instances.iter().rfind(|i| i.index == index).copied()
    }

    fn turn(&self) {
        for _ in 0..10_000 {
            let Some(post) = self.shared.next_post() else {
                for record in self.records() {
                    record.settle();
                }
                return;
            };
            self.act(&post);
        }
        panic!("the sessions post to each other without end");
    }

    fn act(&self, post: &Post) {
        for record in self.records() {
            if post.is_for(record.id(), &self.protocols[record.index()].name) {
                record.act(post);
            }
        }
    }

    fn records(&self) -> Vec<Rc<Record>> {
        self.sessions
            .borrow()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn next_due(&self) -> Option<(u64, Rc<Record>)> {
        let due = self
            .records()
            .into_iter()
            .filter_map(|r| Some((r.next_due()?, r)));
        due.min_by_key(|(at, _)| *at)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for instance in self.instances.take() {
            let block = self.block(instance.index);
            // SAFETY: the sessions hold this host, so they have ended; these are the last calls, in this order.
            unsafe {
                (block.thread_destroy)(instance.thread, instance.host);
                (block.destroy)(instance.instance, instance.host);
            }
        }
    }
}
