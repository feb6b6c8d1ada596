//! The exchanges of a plugin's protocol as the context sees them: [`HttpHandler`] over the HTTP block of the ABI.
//!
//! The safety of every call here rests on what that of a session does, see the module `adapter`: the block comes from a
//! library that is never unmapped, a state was made by the same block and is freed once, and the context calls the hooks
//! of an exchange on its own service thread only, never two at once.

use std::{ffi::c_void, ptr, sync::Arc};

use hotsocket_abi::{
    BODY_FIRST, BODY_LAST, Bytes, EXCHANGE_BY_HANDLER, EXCHANGE_BY_HOST, EXCHANGE_BY_PEER,
    EXCHANGE_DONE, Exchange, HttpBlock, STATUS_ERROR, STATUS_NONE, STATUS_OK, Status,
};

use crate::{
    context::{
        exchange::ExchangeCall,
        handler::Fault,
        http_handler::{BodyPiece, ExchangeState, FileSent, HttpHandler},
    },
    net::service::{EndedBy, ExchangeEnd},
    plugin::{
        exchange_calls::EXCHANGE_CALLS,
        generation::Generation,
        host_calls::within,
        instance::{Instance, outcome, pointer},
    },
};

/// The part of a protocol that answers HTTP.
pub(crate) struct Http {
    block: HttpBlock,
    /// What the plugin calls the instance. It outlives this: both are parts of one protocol.
    instance: usize,
    generation: Arc<Generation>,
}

impl Http {
    pub(crate) fn new(block: HttpBlock, instance: &Instance) -> Self {
        Self {
            block,
            instance: instance.pointer().expose_provenance(),
            generation: Arc::clone(&instance.generation),
        }
    }

    /// Calls a hook of an exchange with what it needs.
    fn hook(
        &self,
        name: &'static str,
        call: &mut ExchangeCall<'_, '_>,
        hook: impl FnOnce(*const Exchange) -> Status,
    ) -> Result<(), Fault> {
        let exchange = Exchange {
            thread: pointer(call.thread.0),
            context: ptr::from_mut(call).cast(),
            calls: &EXCHANGE_CALLS,
        };
        let status = within(call.id(), || hook(&exchange));
        outcome(status, name, || std::mem::take(&mut call.fault))
    }
}

fn state(state: ExchangeState) -> *mut c_void {
    pointer(state.0)
}

impl HttpHandler for Http {
    fn open(&self, call: &mut ExchangeCall<'_, '_>) -> Result<ExchangeState, Fault> {
        let mut made = ptr::null_mut();
        self.hook("request", call, |exchange| {
            // SAFETY: see the module; `made` is a place for one pointer.
            unsafe { (self.block.open)(pointer(self.instance), exchange, &mut made) }
        })?;
        self.generation.enter();
        Ok(ExchangeState(made.expose_provenance()))
    }

    fn body(
        &self,
        of: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        piece: BodyPiece<'_>,
    ) -> Result<(), Fault> {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(piece.first, BODY_FIRST) | flag(piece.last, BODY_LAST);
        self.hook("body", call, |exchange| {
            // SAFETY: see the module; the piece is lent for the call.
            unsafe { (self.block.body)(state(of), exchange, flags, Bytes::new(piece.bytes)) }
        })
    }

    fn writable(&self, of: ExchangeState, call: &mut ExchangeCall<'_, '_>) -> Result<(), Fault> {
        self.hook("writable", call, |exchange| {
            // SAFETY: see the module.
            unsafe { (self.block.writable)(state(of), exchange) }
        })
    }

    fn timer(
        &self,
        of: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        id: u64,
    ) -> Result<(), Fault> {
        self.hook("timer", call, |exchange| {
            // SAFETY: see the module.
            unsafe { (self.block.timer)(state(of), exchange, id) }
        })
    }

    fn notify(
        &self,
        of: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hook("notify", call, |exchange| {
            // SAFETY: see the module; the payload is lent for the call.
            unsafe { (self.block.notify)(state(of), exchange, Bytes::new(payload)) }
        })
    }

    fn sent(
        &self,
        of: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        outcome: FileSent,
    ) -> Result<(), Fault> {
        let outcome = match outcome {
            FileSent::Done => STATUS_OK,
            FileSent::Missing => STATUS_NONE,
            FileSent::Failed => STATUS_ERROR,
        };
        self.hook("sent", call, |exchange| {
            // SAFETY: see the module.
            unsafe { (self.block.sent)(state(of), exchange, outcome) }
        })
    }

    fn end(
        &self,
        of: ExchangeState,
        call: &mut ExchangeCall<'_, '_>,
        end: &ExchangeEnd,
    ) -> Result<(), Fault> {
        let end = hotsocket_abi::ExchangeEnd {
            by: match end.by {
                EndedBy::Done => EXCHANGE_DONE,
                EndedBy::Peer => EXCHANGE_BY_PEER,
                EndedBy::Handler => EXCHANGE_BY_HANDLER,
                EndedBy::Host => EXCHANGE_BY_HOST,
            },
            status: u32::from(end.status),
            sent: end.sent,
            reason: Bytes::new(end.why.as_bytes()),
        };
        self.hook("end", call, |exchange| {
            // SAFETY: see the module; what `end` points to is lent for the call.
            unsafe { (self.block.end)(state(of), exchange, &end) }
        })
    }

    fn destroy(&self, of: ExchangeState, call: &mut ExchangeCall<'_, '_>) -> Result<(), Fault> {
        self.generation.leave();
        self.hook("drop", call, |exchange| {
            // SAFETY: see the module; the context calls this once and nothing after it.
            unsafe { (self.block.destroy)(state(of), exchange) }
        })
    }
}
