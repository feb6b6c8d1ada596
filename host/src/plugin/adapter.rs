//! An instance of a plugin's protocol as the context sees it: [`ProtocolHandler`] over the blocks of the ABI.
//!
//! The safety of every call here rests on the same three facts: the blocks come from a library that was checked and is
//! never unmapped; the pointers given back were made by the same blocks and are freed once; the context calls the
//! hooks of a session on its own service thread only, never two at once.

use std::{ffi::c_void, ptr, sync::Arc, time::Duration};

use hotsocket_abi::{
    Bytes, CLOSE_BY_DRAIN, CLOSE_BY_HOST, CLOSE_BY_PEER, CLOSE_BY_PROTOCOL, Close, Host,
    MESSAGE_BINARY, MESSAGE_FIRST, MESSAGE_LAST, MESSAGE_TEXT, PluginBlock, STATUS_OK,
    STATUS_PANIC, Session, Status,
};

use crate::{
    connection::websocket::{CloseReport, ClosedBy},
    context::{
        handler::{Fault, Label, ProtocolFacts, ProtocolHandler, SessionState, ThreadState},
        roster::SetId,
        session::SessionCall,
    },
    net::service::Delivered,
    plugin::{
        bounded::{self, NoAnswer},
        generation::Generation,
        host_calls::{self, HostContext, Services, take_fault},
        library::ProtocolBlocks,
        session_calls::SESSION_CALLS,
    },
    wire::MessageKind,
};

/// A protocol of a generation on a vhost.
pub struct Instance {
    label: Label,
    facts: ProtocolFacts,
    blocks: ProtocolBlocks,
    pointer: usize,
    host: &'static Host,
    generation: Arc<Generation>,
    finished: Finished,
}

/// Where instances go that nobody uses any more: their `destroy` is no work for a service thread.
pub type Finished = Arc<dyn Fn(FinishedInstance) + Send + Sync>;

/// An instance that nobody uses any more.
pub struct FinishedInstance {
    label: Label,
    protocol: String,
    blocks: ProtocolBlocks,
    pointer: usize,
    host: &'static Host,
}

impl FinishedInstance {
    /// Has the plugin free it, on a loader thread.
    pub fn destroy(self, patience: Duration) {
        let (label, protocol) = (self.label.clone(), self.protocol.clone());
        let destroyed = bounded::run(patience, move || {
            host_calls::forget_fault();
            // SAFETY: the instance was made by the same blocks, and its last user is gone.
            let status =
                unsafe { (self.blocks.instance.destroy)(pointer(self.pointer), self.host) };
            outcome(status, "destroy", take_fault)
        });
        log_unless_done(destroyed, "destroy", &label, &protocol);
    }
}

/// What an instance is made from.
pub struct InstancePlan {
    /// The generation.
    pub generation: Arc<Generation>,
    /// What its manifest says of the protocol.
    pub facts: ProtocolFacts,
    /// The protocol's blocks.
    pub blocks: ProtocolBlocks,
    /// The name of the vhost.
    pub vhost: Arc<str>,
    /// The sessions of the protocol there.
    pub set: SetId,
    /// The options, JSON.
    pub options: String,
    /// Where it goes when nobody uses it any more.
    pub finished: Finished,
}

impl Instance {
    /// Has the plugin make an instance, on a loader thread.
    ///
    /// # Errors
    ///
    /// What the plugin says against it, such as an option that it does not know; or that it takes too long.
    pub fn create(
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
            instance: Some((plan.vhost, plan.facts.name.clone(), plan.set)),
        };
        let host = context.leak();
        host_calls::forget_fault();
        let mut made = ptr::null_mut();
        // SAFETY: checked blocks; the options are lent for the call; `made` is a place for one pointer.
        let status = unsafe {
            (plan.blocks.instance.create)(host, Bytes::new(plan.options.as_bytes()), &mut made)
        };
        outcome(status, "create", take_fault)?;
        Ok(Self {
            label,
            facts: plan.facts,
            blocks: plan.blocks,
            pointer: made.expose_provenance(),
            host,
            generation: plan.generation,
            finished: plan.finished,
        })
    }

    /// Calls a hook of a session with what it needs.
    #[inline]
    fn hook(
        &self,
        name: &'static str,
        call: &mut SessionCall<'_, '_>,
        hook: impl FnOnce(*const Session) -> Status,
    ) -> Result<(), Fault> {
        let session = Session {
            thread: pointer(call.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &SESSION_CALLS,
        };
        let status = hook(&session);
        if status == STATUS_OK {
            return Ok(());
        }
        outcome(status, name, || std::mem::take(&mut call.fault))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        (self.finished)(FinishedInstance {
            label: self.label.clone(),
            protocol: self.facts.name.clone(),
            blocks: self.blocks,
            pointer: self.pointer,
            host: self.host,
        });
    }
}

impl ProtocolHandler for Instance {
    fn label(&self) -> &Label {
        &self.label
    }

    fn facts(&self) -> &ProtocolFacts {
        &self.facts
    }

    fn retire(&self) -> Result<(), Fault> {
        host_calls::forget_fault();
        // SAFETY: see the module.
        let status = unsafe { (self.blocks.instance.retire)(pointer(self.pointer), self.host) };
        outcome(status, "retire", take_fault)
    }

    fn thread_create(&self) -> Result<ThreadState, Fault> {
        host_calls::forget_fault();
        let mut made = ptr::null_mut();
        // SAFETY: see the module; `made` is a place for one pointer.
        let status = unsafe {
            (self.blocks.instance.thread_create)(pointer(self.pointer), self.host, &mut made)
        };
        outcome(status, "thread_create", take_fault)?;
        Ok(ThreadState(made.expose_provenance()))
    }

    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault> {
        host_calls::forget_fault();
        // SAFETY: see the module.
        let status = unsafe { (self.blocks.instance.thread_destroy)(pointer(thread.0), self.host) };
        outcome(status, "thread_destroy", take_fault)
    }

    fn open(&self, call: &mut SessionCall<'_, '_>) -> Result<SessionState, Fault> {
        let mut made = ptr::null_mut();
        self.hook("open", call, |session| {
            // SAFETY: see the module; `made` is a place for one pointer.
            unsafe { (self.blocks.session.open)(pointer(self.pointer), session, &mut made) }
        })?;
        self.generation.enter();
        Ok(SessionState(made.expose_provenance()))
    }

    #[inline]
    fn message(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        message: Delivered<'_>,
    ) -> Result<(), Fault> {
        let kind = match message.kind {
            MessageKind::Text => MESSAGE_TEXT,
            MessageKind::Binary => MESSAGE_BINARY,
        };
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = kind | flag(message.first, MESSAGE_FIRST) | flag(message.last, MESSAGE_LAST);
        let payload = Bytes::new(message.payload);
        self.hook("message", call, |session| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe {
                (self.blocks.session.message)(
                    pointer(state.0),
                    session,
                    flags,
                    message.remaining,
                    payload,
                )
            }
        })
    }

    fn writable(&self, state: SessionState, call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        self.hook("writable", call, |session| {
            // SAFETY: see the module.
            unsafe { (self.blocks.session.writable)(pointer(state.0), session) }
        })
    }

    fn timer(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        id: u64,
    ) -> Result<(), Fault> {
        self.hook("timer", call, |session| {
            // SAFETY: see the module.
            unsafe { (self.blocks.session.timer)(pointer(state.0), session, id) }
        })
    }

    fn notify(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hook("notify", call, |session| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe { (self.blocks.session.notify)(pointer(state.0), session, Bytes::new(payload)) }
        })
    }

    fn pong(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hook("pong", call, |session| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe { (self.blocks.session.pong)(pointer(state.0), session, Bytes::new(payload)) }
        })
    }

    fn close(
        &self,
        state: SessionState,
        call: &mut SessionCall<'_, '_>,
        report: &CloseReport,
    ) -> Result<(), Fault> {
        let close = Close {
            by: match report.by {
                ClosedBy::Peer => CLOSE_BY_PEER,
                ClosedBy::Protocol => CLOSE_BY_PROTOCOL,
                ClosedBy::Host => CLOSE_BY_HOST,
                ClosedBy::Drain => CLOSE_BY_DRAIN,
            },
            code: u32::from(report.code),
            clean: u32::from(report.clean),
            reason: Bytes::new(report.reason.as_bytes()),
        };
        self.hook("close", call, |session| {
            // SAFETY: see the module; what `close` points to is lent for the call.
            unsafe { (self.blocks.session.close)(pointer(state.0), session, &close) }
        })
    }

    fn destroy(&self, state: SessionState, call: &mut SessionCall<'_, '_>) -> Result<(), Fault> {
        self.generation.leave();
        self.hook("drop", call, |session| {
            // SAFETY: see the module; the context calls this once and nothing after it.
            unsafe { (self.blocks.session.destroy)(pointer(state.0), session) }
        })
    }
}

/// The pointer a plugin gave us, as it gave it.
fn pointer(word: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(word)
}

/// What a status means, with the words the plugin had for it.
fn outcome(status: Status, hook: &'static str, said: impl FnOnce() -> String) -> Result<(), Fault> {
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
    protocol: &str,
) {
    let done = done.unwrap_or_else(|late| Err(unanswered(hook, &late)));
    if let Err(fault) = done {
        fault.log(label, protocol);
    }
}

/// Tells an instance that it gets no new sessions any more, on a loader thread.
pub fn retire(handler: Arc<dyn ProtocolHandler>, patience: Duration) {
    let (label, protocol) = (handler.label().clone(), handler.facts().name.clone());
    let retired = bounded::run(patience, move || handler.retire());
    log_unless_done(retired, "retire", &label, &protocol);
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
        instance: None,
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
