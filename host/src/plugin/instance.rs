//! What a plugin makes for a vhost, whatever it is an instance of: its life from `create` to `destroy`.
//!
//! The safety of every call here rests on the same two facts: the block comes from a library that was checked and is
//! never unmapped, and the pointers given back were made by the same block and are freed once.

use std::{
    ffi::c_void,
    ptr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hotsocket_abi::{Bytes, Host, InstanceBlock, PluginBlock, STATUS_OK, STATUS_PANIC, Status};

use crate::{
    context::{
        handler::{Fault, Hosted, Label, ThreadState},
        roster::SetId,
    },
    plugin::{
        bounded::{self, NoAnswer},
        door::Door,
        generation::Generation,
        host_calls::{self, HostContext, take_fault},
        services::Services,
    },
};

/// An instance of a protocol or of an extension.
pub(crate) struct Instance {
    label: Label,
    name: String,
    block: InstanceBlock,
    pointer: usize,
    host: &'static Host,
    pub(crate) generation: Arc<Generation>,
    finished: Finished,
    /// Of a protocol: what its connections and requests go through.
    door: Option<Arc<Door>>,
}

/// Where instances go that nobody uses any more: their `destroy` is no work for a service thread.
pub type Finished = Arc<dyn Fn(FinishedInstance) + Send + Sync>;

/// An instance that nobody uses any more.
pub struct FinishedInstance {
    label: Label,
    name: String,
    block: InstanceBlock,
    pointer: usize,
    host: &'static Host,
}

impl FinishedInstance {
    /// Has the plugin free it, on a loader thread.
    pub fn destroy(self, patience: Duration) {
        let (label, name) = (self.label.clone(), self.name.clone());
        let destroyed = bounded::run(patience, move || {
            host_calls::forget_fault();
            // SAFETY: the instance was made by the same block, and its last user is gone.
            let status = unsafe { (self.block.destroy)(pointer(self.pointer), self.host) };
            outcome(status, "destroy", take_fault)
        });
        log_unless_done(destroyed, "destroy", &label, &name);
    }
}

/// What an instance is made from.
pub struct InstancePlan {
    /// The generation.
    pub generation: Arc<Generation>,
    /// The name of the protocol or extension.
    pub name: String,
    /// The calls.
    pub block: InstanceBlock,
    /// The name of the vhost.
    pub vhost: Arc<str>,
    /// The sessions of the protocol there; none for an extension.
    pub set: Option<SetId>,
    /// The options, JSON.
    pub options: String,
    /// Where it goes when nobody uses it any more.
    pub finished: Finished,
    /// Of a protocol: what its connections and requests go through.
    pub door: Option<Arc<Door>>,
}

impl Instance {
    /// Has the plugin make an instance, on a loader thread.
    ///
    /// # Errors
    ///
    /// What the plugin says against it, such as an option that it does not know; or that it takes too long.
    pub(crate) fn create(
        plan: InstancePlan,
        services: &Arc<Services>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let services = Arc::clone(services);
        let made = bounded::run(patience, move || Self::make(plan, &services));
        made.unwrap_or_else(|late| Err(unanswered("create", &late)))
    }

    fn make(plan: InstancePlan, services: &Arc<Services>) -> Result<Self, Fault> {
        let label = plan.generation.label();
        let context = HostContext {
            services: Arc::clone(services),
            label: label.clone(),
            is_linked: plan.generation.is_linked,
            instance: Some((plan.vhost, plan.name.clone(), plan.set)),
            door: plan.door.clone(),
            host: OnceLock::new(),
        };
        let host = context.leak();
        host_calls::forget_fault();
        let mut made = ptr::null_mut();
        let options = Bytes::new(plan.options.as_bytes());
        // SAFETY: a checked block; the options are lent for the call; `made` is a place for one pointer.
        let status = unsafe { (plan.block.create)(host, options, &mut made) };
        outcome(status, "create", take_fault)?;
        Ok(Self {
            label,
            name: plan.name,
            block: plan.block,
            pointer: made.expose_provenance(),
            host,
            generation: plan.generation,
            finished: plan.finished,
            door: plan.door,
        })
    }

    /// The pointer that the plugin gave, as it gave it.
    #[inline]
    pub(crate) fn pointer(&self) -> *mut c_void {
        pointer(self.pointer)
    }

    /// What its connections and requests go through, if it may have any.
    pub(crate) fn door(&self) -> Option<&Arc<Door>> {
        self.door.as_ref()
    }

    /// Calls a hook that is given the host, on the thread that it belongs to.
    pub(crate) fn call(
        &self,
        name: &'static str,
        hook: impl FnOnce(*const Host) -> Status,
    ) -> Result<(), Fault> {
        host_calls::forget_fault();
        outcome(hook(self.host), name, take_fault)
    }
}

impl Hosted for Instance {
    fn label(&self) -> &Label {
        &self.label
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn retire(&self) -> Result<(), Fault> {
        host_calls::forget_fault();
        // SAFETY: see the module.
        let status = unsafe { (self.block.retire)(self.pointer(), self.host) };
        outcome(status, "retire", take_fault)
    }

    fn thread_create(&self) -> Result<ThreadState, Fault> {
        host_calls::forget_fault();
        let mut made = ptr::null_mut();
        // SAFETY: see the module; `made` is a place for one pointer.
        let status = unsafe { (self.block.thread_create)(self.pointer(), self.host, &mut made) };
        outcome(status, "thread_create", take_fault)?;
        Ok(ThreadState(made.expose_provenance()))
    }

    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault> {
        host_calls::forget_fault();
        // SAFETY: see the module.
        let status = unsafe { (self.block.thread_destroy)(pointer(thread.0), self.host) };
        outcome(status, "thread_destroy", take_fault)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(door) = &self.door {
            door.close();
        }
        (self.finished)(FinishedInstance {
            label: self.label.clone(),
            name: self.name.clone(),
            block: self.block,
            pointer: self.pointer,
            host: self.host,
        });
    }
}

/// Tells an instance that it gets no new sessions any more, on a loader thread.
pub fn retire<H: Hosted + ?Sized + 'static>(hosted: Arc<H>, patience: Duration) {
    let (label, name) = (hosted.label().clone(), hosted.name().to_owned());
    let retired = bounded::run(patience, move || hosted.retire());
    log_unless_done(retired, "retire", &label, &name);
}

/// The first call of a generation: has the plugin know its host, on a loader thread.
///
/// # Errors
///
/// What the plugin says against being started; or that it takes too long.
pub fn start(
    block: &PluginBlock,
    generation: &Generation,
    services: &Arc<Services>,
    flags: u32,
    patience: Duration,
) -> Result<(), Fault> {
    let context = HostContext {
        services: Arc::clone(services),
        label: generation.label(),
        is_linked: generation.is_linked,
        instance: None,
        door: None,
        host: OnceLock::new(),
    };
    let (host, start) = (context.leak(), block.start);
    let started = bounded::run(patience, move || {
        host_calls::forget_fault();
        // SAFETY: a checked block; the host is valid for ever.
        let status = unsafe { start(host, flags) };
        outcome(status, "start", take_fault)
    });
    started.unwrap_or_else(|late| Err(unanswered("start", &late)))
}

/// The pointer a plugin gave us, as it gave it.
#[inline]
pub(crate) fn pointer(word: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(word)
}

/// What a status means, with the words the plugin had for it.
pub(crate) fn outcome(
    status: Status,
    hook: &'static str,
    said: impl FnOnce() -> String,
) -> Result<(), Fault> {
    if status == STATUS_OK {
        return Ok(());
    }
    let text = said();
    Err(Fault {
        hook,
        panicked: status == STATUS_PANIC,
        text: if text.is_empty() {
            format!("answered status {status} without a reason")
        } else {
            text
        },
    })
}

/// What it means that a call had no answer.
fn unanswered(hook: &'static str, why: &NoAnswer) -> Fault {
    Fault {
        hook,
        panicked: false,
        text: why.to_string(),
    }
}

fn log_unless_done(
    done: Result<Result<(), Fault>, NoAnswer>,
    hook: &'static str,
    label: &Label,
    name: &str,
) {
    let done = done.unwrap_or_else(|late| Err(unanswered(hook, &late)));
    if let Err(fault) = done {
        fault.log(label, name);
    }
}
