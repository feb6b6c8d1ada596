//! An extension of a plugin as the context and the connections see it: [`ExtensionHandler`] and [`Extension`] over the
//! blocks of the ABI.
//!
//! The safety of every call here rests on the same three facts: the blocks come from a library that was checked and is
//! never unmapped; the pointers given back were made by the same blocks and are freed once; the hooks of a connection
//! are called on its service thread only, never two at once.

use std::{
    ffi::c_void,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hotsocket_abi::{
    Agreement, Bytes, ExtensionBlock, ExtensionCall, FramePiece, STATUS_NONE, STATUS_OK, Status,
};

use crate::{
    context::handler::{Agreed, ExtensionHandler, Fault, Hosted, Label, RequestFacts, ThreadState},
    net::token::ConnectionId,
    plugin::{
        extension_calls::{HookContext, to_abi},
        instance::{Instance, InstancePlan, outcome, pointer},
        services::Services,
    },
    wire::{
        close_code::{Failure, INTERNAL_ERROR, may_stand_in_frame},
        extension::{Extension, Independence, Passed, Piece, PieceSink},
    },
};

/// Tells instances apart when connections ask whether they make the same of a message.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// An extension of a generation on a vhost.
pub struct HostedExtension {
    instance: Instance,
    block: ExtensionBlock,
    number: u64,
}

impl HostedExtension {
    /// Has the plugin make an instance, on a loader thread.
    ///
    /// # Errors
    ///
    /// What the plugin says against it, such as an option that it does not know; or that it takes too long.
    pub fn create(
        plan: InstancePlan,
        block: ExtensionBlock,
        services: &Arc<Services>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        Ok(Self {
            instance: Instance::create(plan, services, patience)?,
            block,
            number: LAST_NUMBER.fetch_add(1, Ordering::Relaxed),
        })
    }
}

impl Hosted for HostedExtension {
    fn label(&self) -> &Label {
        self.instance.label()
    }

    fn name(&self) -> &str {
        self.instance.name()
    }

    fn retire(&self) -> Result<(), Fault> {
        self.instance.retire()
    }

    fn thread_create(&self) -> Result<ThreadState, Fault> {
        self.instance.thread_create()
    }

    fn thread_destroy(&self, thread: ThreadState) -> Result<(), Fault> {
        self.instance.thread_destroy(thread)
    }
}

/// The hooks that judge parameters and agree on them.
type Judge =
    unsafe extern "C" fn(*mut c_void, *const ExtensionCall, Bytes<'_>, *mut Agreement) -> Status;

impl HostedExtension {
    /// Has parameters of the peer judged: none when there is no agreement.
    fn agree(
        self: Arc<Self>,
        name: &'static str,
        judge: Judge,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        parameters: &str,
    ) -> Result<Option<Agreed>, Fault> {
        let mut agreement = Agreement {
            state: ptr::null_mut(),
            rsv: 0,
            opcodes: 0,
            independence: 0,
        };
        let mut hook = HookContext::of_request(request, thread);
        let judged = Bytes::new(parameters.as_bytes());
        let status = hook.call(|call| {
            // SAFETY: see the module; `agreement` is a place for one, the rest is lent for the call.
            unsafe { judge(self.instance.pointer(), call, judged, &mut agreement) }
        });
        match status {
            STATUS_OK => {}
            STATUS_NONE => return Ok(None),
            _ => return outcome(status, name, || hook.fault).map(|()| None),
        }
        let parameters = std::mem::take(&mut hook.parameters);
        self.instance.generation.enter();
        Ok(Some(Agreed {
            extension: Box::new(Live {
                state: agreement.state.expose_provenance(),
                rsv: agreement.rsv as u8 & 7,
                opcodes: agreement.opcodes as u16,
                independence: agreement.independence,
                thread,
                connection: request.connection,
                handler: self,
            }),
            parameters,
        }))
    }
}

impl ExtensionHandler for HostedExtension {
    fn accept(
        self: Arc<Self>,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        parameters: &str,
    ) -> Result<Option<Agreed>, Fault> {
        let judge = self.block.accept;
        self.agree("accept", judge, thread, request, parameters)
    }

    fn offer(
        &self,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        alternative: u32,
    ) -> Result<Option<String>, Fault> {
        let mut hook = HookContext::of_request(request, thread);
        let status = hook.call(|call| {
            // SAFETY: see the module.
            unsafe { (self.block.offer)(self.instance.pointer(), call, alternative) }
        });
        match status {
            STATUS_OK => Ok(Some(hook.parameters)),
            STATUS_NONE => Ok(None),
            _ => outcome(status, "offer", || hook.fault).map(|()| None),
        }
    }

    fn confirm(
        self: Arc<Self>,
        thread: ThreadState,
        request: &RequestFacts<'_>,
        parameters: &str,
    ) -> Result<Option<Agreed>, Fault> {
        let judge = self.block.confirm;
        self.agree("confirm", judge, thread, request, parameters)
    }
}

/// An extension on one connection.
struct Live {
    handler: Arc<HostedExtension>,
    thread: ThreadState,
    connection: ConnectionId,
    state: usize,
    independence: u64,
    opcodes: u16,
    rsv: u8,
}

impl Live {
    /// Passes a piece through one of the two hooks that take pieces.
    #[inline]
    fn pass(
        &self,
        name: &'static str,
        hook: unsafe extern "C" fn(
            *mut c_void,
            *const ExtensionCall,
            *const FramePiece<'_>,
        ) -> Status,
        piece: &Piece<'_>,
        sink: &mut dyn PieceSink,
    ) -> Result<Passed, Failure> {
        let piece = to_abi(piece);
        let mut context = HookContext::of_sink(sink, self.thread, self.connection);
        let status = context.call(|call| {
            // SAFETY: see the module; the piece is lent for the call.
            unsafe { hook(pointer(self.state), call, &piece) }
        });
        match (context.failure, status) {
            (Some(failure), _) => Err(failure),
            (None, STATUS_OK) => Ok(Passed::Done),
            (None, STATUS_NONE) => Ok(Passed::Vetoed),
            (None, _) => Err(self.failed(name, status, context)),
        }
    }

    /// A hook did not end well: the connection fails, all others go on.
    #[cold]
    fn failed(&self, name: &'static str, status: Status, hook: HookContext<'_>) -> Failure {
        let code = u16::try_from(hook.code).unwrap_or_default();
        if let Err(fault) = outcome(status, name, || hook.fault) {
            // A fault of the peer, such as compressed data that is none, is told by its code and is nothing to worry.
            if may_stand_in_frame(code) && !fault.panicked {
                tracing::debug!(target: "hotsocket::plugin", extension = self.handler.name(), code, "{fault}");
            } else {
                fault.log(self.handler.label(), self.handler.name());
            }
        }
        Failure {
            code: if may_stand_in_frame(code) {
                code
            } else {
                INTERNAL_ERROR
            },
            why: "an extension failed",
        }
    }
}

impl Extension for Live {
    fn rsv_bits(&self) -> u8 {
        self.rsv
    }

    fn opcodes(&self) -> u16 {
        self.opcodes
    }

    fn independence(&self) -> Option<Independence> {
        (self.independence != 0).then_some(Independence {
            instance: self.handler.number,
            number: self.independence,
        })
    }

    fn inbound(&mut self, piece: Piece<'_>, sink: &mut dyn PieceSink) -> Result<Passed, Failure> {
        self.pass("inbound", self.handler.block.inbound, &piece, sink)
    }

    fn outbound(&mut self, piece: Piece<'_>, sink: &mut dyn PieceSink) -> Result<Passed, Failure> {
        self.pass("outbound", self.handler.block.outbound, &piece, sink)
    }

    fn flush(&mut self, sink: &mut dyn PieceSink) -> Result<(), Failure> {
        let mut context = HookContext::of_sink(sink, self.thread, self.connection);
        let status = context.call(|call| {
            // SAFETY: see the module.
            unsafe { (self.handler.block.flush)(pointer(self.state), call) }
        });
        match (context.failure, status) {
            (Some(failure), _) => Err(failure),
            (None, STATUS_OK) => Ok(()),
            (None, _) => Err(self.failed("flush", status, context)),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.handler.instance.generation.leave();
        let mut context = HookContext::new(self.thread, self.connection);
        let status = context.call(|call| {
            // SAFETY: see the module; nothing is called after it.
            unsafe { (self.handler.block.destroy)(pointer(self.state), call) }
        });
        if let Err(fault) = outcome(status, "destroy", || context.fault) {
            fault.log(self.handler.label(), self.handler.name());
        }
    }
}

#[cfg(test)]
mod tests;
