//! The host for tests behind its handle: the plugin, its instances, and all that is open.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::c_void,
    ptr,
    rc::{Rc, Weak},
};

use super::{
    exchange_record::ExchangeRecord,
    host_calls::{Post, Shared, Whose},
    manifest::{ManifestExtension, ManifestPolicy, ManifestProtocol},
    record::Record,
};
use crate::{StaticPlugin, abi};

/// What sessions keep of their host.
pub(super) struct Inner {
    pub(super) plugin: StaticPlugin,
    pub(super) protocols: Vec<ManifestProtocol>,
    pub(super) extensions: Vec<ManifestExtension>,
    pub(super) policies: Vec<ManifestPolicy>,
    pub(super) shared: &'static Shared,
    pub(super) instances: RefCell<Vec<Instance>>,
    pub(super) sessions: RefCell<BTreeMap<u64, Weak<Record>>>,
    pub(super) exchanges: RefCell<BTreeMap<u64, Weak<ExchangeRecord>>>,
    pub(super) last_id: Cell<u64>,
}

/// Whose timer is due.
pub(super) enum Due {
    Session(Rc<Record>),
    Exchange(Rc<ExchangeRecord>),
}

/// An instance and its state for our only thread.
#[derive(Clone, Copy)]
pub(super) struct Instance {
    pub(super) part: Part,
    pub(super) host: *const abi::Host,
    pub(super) instance: *mut c_void,
    pub(super) thread: *mut c_void,
}

/// A part of the plugin that has instances, by its place in the manifest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Protocol(usize),
    Extension(usize),
    Policy(usize),
}

impl Inner {
    pub(super) fn index(&self, protocol: &str) -> usize {
        let found = self.protocols.iter().position(|p| p.name == protocol);
        found.unwrap_or_else(|| {
            panic!(
                "the plugin has no protocol {protocol}: {}",
                self.plugin.manifest()
            )
        })
    }

    pub(super) fn entry(&self, index: usize) -> abi::ProtocolEntry {
        // SAFETY: the declaration of `export_plugin!` has an entry for each protocol of the manifest.
        unsafe { *self.plugin.declaration().protocols.add(index) }
    }

    pub(super) fn extension_part(&self, extension: &str) -> Part {
        let found = self.extensions.iter().position(|e| e.name == extension);
        Part::Extension(found.unwrap_or_else(|| {
            panic!(
                "the plugin has no extension {extension}: {}",
                self.plugin.manifest()
            )
        }))
    }

    pub(super) fn extension(&self, part: Part) -> abi::ExtensionBlock {
        // SAFETY: entries lead to static blocks.
        unsafe { *self.extension_entry(part).extension }
    }

    pub(super) fn extension_entry(&self, part: Part) -> abi::ExtensionEntry {
        let Part::Extension(index) = part else {
            unreachable!("only extensions have that block");
        };
        // SAFETY: the declaration of `export_plugin!` has an entry for each extension of the manifest.
        unsafe { *self.plugin.declaration().extensions.add(index) }
    }

    pub(super) fn policy_part(&self, policy: &str) -> Part {
        let found = self.policies.iter().position(|p| p.name == policy);
        Part::Policy(found.unwrap_or_else(|| {
            panic!(
                "the plugin has no policy {policy}: {}",
                self.plugin.manifest()
            )
        }))
    }

    pub(super) fn policy(&self, part: Part) -> abi::PolicyBlock {
        let Part::Policy(index) = part else {
            unreachable!("only policies have that block");
        };
        // SAFETY: entries lead to static blocks.
        unsafe { *self.policy_entry(index).policy }
    }

    pub(super) fn policy_entry(&self, index: usize) -> abi::PolicyEntry {
        // SAFETY: the declaration of `export_plugin!` has an entry for each policy of the manifest.
        unsafe { *self.plugin.declaration().policies.add(index) }
    }

    pub(super) fn block(&self, part: Part) -> abi::InstanceBlock {
        let block = match part {
            Part::Protocol(index) => self.entry(index).instance,
            Part::Extension(_) => self.extension_entry(part).instance,
            Part::Policy(index) => self.policy_entry(index).instance,
        };
        // SAFETY: entries lead to static blocks.
        unsafe { *block }
    }

    pub(super) fn configure(&self, part: Part, options: &str) -> Result<(), String> {
        let block = self.block(part);
        let host = self.shared.host(match part {
            Part::Protocol(index) => Whose::Protocol(self.protocols[index].name.clone()),
            Part::Extension(_) => Whose::Extension,
            Part::Policy(_) => Whose::Policy,
        });
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
        if let Some(older) = self.newest(part) {
            // SAFETY: it is alive until the host is dropped.
            unsafe { (block.retire)(older.instance, older.host) };
        }
        self.instances.borrow_mut().push(Instance {
            part,
            host,
            instance,
            thread,
        });
        Ok(())
    }

    pub(super) fn newest(&self, part: Part) -> Option<Instance> {
        let instances = self.instances.borrow();
        instances.iter().rfind(|i| i.part == part).copied()
    }

    /// The newest one, made with the options `{}` when there is none.
    pub(super) fn instance(&self, part: Part) -> Instance {
        self.newest(part).unwrap_or_else(|| {
            self.configure(part, "{}").expect("it takes the options {}");
            self.newest(part).expect("it was just made")
        })
    }

    pub(super) fn turn(&self) {
        for _ in 0..10_000 {
            let Some(post) = self.shared.next_post() else {
                for record in self.records() {
                    record.settle();
                }
                for record in self.exchange_records() {
                    record.settle();
                }
                if self.shared.has_posts() {
                    continue;
                }
                return;
            };
            self.act(&post);
        }
        panic!("the sessions post to each other without end");
    }

    pub(super) fn act(&self, post: &Post) {
        for record in self.records() {
            if post.is_for(record.id(), &self.protocols[record.index()].name) {
                record.act(post);
            }
        }
        for record in self.exchange_records() {
            record.act(post);
        }
    }

    pub(super) fn records(&self) -> Vec<Rc<Record>> {
        self.sessions
            .borrow()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    pub(super) fn exchange_records(&self) -> Vec<Rc<ExchangeRecord>> {
        self.exchanges
            .borrow()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    pub(super) fn next_due(&self) -> Option<(u64, Due)> {
        let sessions = self
            .records()
            .into_iter()
            .filter_map(|r| Some((r.next_due()?, Due::Session(r))));
        let exchanges = self
            .exchange_records()
            .into_iter()
            .filter_map(|r| Some((r.next_due()?, Due::Exchange(r))));
        sessions.chain(exchanges).min_by_key(|(at, _)| *at)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for instance in self.instances.take() {
            let block = self.block(instance.part);
            // SAFETY: sessions and connections hold this host, so they have ended; these are the last calls, in this order.
            unsafe {
                (block.thread_destroy)(instance.thread, instance.host);
                (block.destroy)(instance.instance, instance.host);
            }
        }
    }
}
