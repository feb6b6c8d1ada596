//! Who is told of the answer to a plugin's request: [`ResponseHandler`] over the block of the ABI.
//!
//! The safety of every call here rests on the same facts as that of a session's hooks, see the module `adapter`: the block
//! comes from a library that is never unmapped, the value came with it and is given back once, by `ended`, and the context
//! calls on its own service thread only, never two at once.

use std::{ffi::c_void, ptr, sync::Arc};

use hotsocket_abi::{
    Bytes, Field, Host, RequestEnd, Response, ResponseBlock, STAGE_CONNECT, STAGE_DONE,
    STAGE_PROXY, STAGE_REQUEST, STAGE_RESOLVE, STAGE_RESPONSE, STAGE_TLS, STATUS_NONE, STATUS_OK,
    Status,
};

use crate::{
    connection::request_error::{RequestError, RequestStage},
    context::{
        handler::Fault,
        response_handler::{ResponseCall, ResponseHandler},
    },
    plugin::{
        generation::Generation,
        host_calls::{HostContext, forget_fault, take_fault, within},
        instance::{outcome, pointer},
        response_calls::{RESPONSE_CALLS, ResponseContext},
    },
    wire::{answer_head::HeldAnswer, fields::Fields, url::Url},
};

/// See the module.
pub(crate) struct PluginResponse {
    value: usize,
    block: ResponseBlock,
    context: &'static HostContext,
    host: &'static Host,
    /// It has panicked: it is called once more, to be freed.
    is_broken: bool,
    _lease: Option<Lease>,
}

/// Keeps a generation in service, as its sessions do.
struct Lease(Arc<Generation>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl PluginResponse {
    pub(crate) fn new(
        value: *mut c_void,
        block: ResponseBlock,
        context: &'static HostContext,
        host: &'static Host,
    ) -> Self {
        let generation = context.door().and_then(|door| door.generation());
        Self {
            value: value.expose_provenance(),
            block,
            context,
            host,
            is_broken: false,
            _lease: generation.map(|generation| {
                generation.enter();
                Lease(generation)
            }),
        }
    }

    /// Calls what is told, and reports what did not end well.
    fn call(
        &self,
        name: &'static str,
        mut context: ResponseContext<'_, '_, '_>,
        hook: impl FnOnce(*const Response) -> Status,
    ) -> Result<bool, Fault> {
        let connection = context.call.as_ref().map(|call| call.port.id());
        let response = Response {
            context: ptr::from_mut(&mut context).cast(),
            calls: &RESPONSE_CALLS,
            host: self.host,
        };
        forget_fault();
        let status = match connection {
            Some(id) => within(id, || hook(&response)),
            None => hook(&response),
        };
        match status {
            STATUS_OK => Ok(true),
            STATUS_NONE => Ok(false),
            status => outcome(status, name, || std::mem::take(&mut context.fault)).map(|()| false),
        }
    }

    /// The same, where the request is given up if it did not end well.
    fn tell(
        &mut self,
        name: &'static str,
        call: &mut ResponseCall<'_, '_>,
        head: Option<&HeldAnswer>,
        hook: impl FnOnce(&ResponseBlock, *mut c_void, *const Response) -> Status,
    ) {
        if self.is_broken {
            return call.give_up("the plugin failed");
        }
        let context = ResponseContext {
            head,
            ..ResponseContext::of(call)
        };
        let told = self.call(name, context, |response| {
            hook(&self.block, pointer(self.value), response)
        });
        if let Err(fault) = told {
            self.report(&fault);
            call.give_up("the plugin failed");
        }
    }

    fn report(&mut self, fault: &Fault) {
        self.is_broken |= fault.panicked;
        let instance = self.context.instance.as_ref();
        let protocol = instance.map_or("", |(_, name, _)| name);
        fault.log(&self.context.label, protocol);
    }
}

impl ResponseHandler for PluginResponse {
    fn redirected(&mut self, to: &Url) -> bool {
        let context = ResponseContext {
            location: Some(to),
            ..ResponseContext::default()
        };
        let followed = self.call("redirect", context, |response| {
            // SAFETY: see the module; the response is lent for the call.
            unsafe { (self.block.redirected)(pointer(self.value), response) }
        });
        followed.unwrap_or_else(|fault| {
            self.report(&fault);
            false
        })
    }

    fn head(&mut self, call: &mut ResponseCall<'_, '_>, head: &HeldAnswer) {
        self.tell("head", call, Some(head), |block, value, response| {
            // SAFETY: as above.
            unsafe { (block.head)(value, response) }
        });
    }

    fn content(&mut self, call: &mut ResponseCall<'_, '_>, piece: &[u8]) {
        self.tell("content", call, None, |block, value, response| {
            // SAFETY: as above; the piece is lent too.
            unsafe { (block.content)(value, response, Bytes::new(piece)) }
        });
    }

    fn writable(&mut self, call: &mut ResponseCall<'_, '_>) {
        self.tell("writable", call, None, |block, value, response| {
            // SAFETY: as above.
            unsafe { (block.writable)(value, response) }
        });
    }

    fn ended(&mut self, end: Result<Fields, RequestError>) {
        let reason = end.as_ref().err().map(ToString::to_string);
        let fields = end.as_ref().ok().into_iter().flat_map(Fields::iter);
        let trailer = fields.map(|(name, value)| Field {
            name: Bytes::new(name),
            value: Bytes::new(value),
        });
        let trailer: Vec<_> = trailer.collect();
        let told = RequestEnd {
            size: size_of::<RequestEnd<'_>>(),
            reason: Bytes::new(reason.as_deref().unwrap_or_default().as_bytes()),
            trailer: trailer.as_ptr(),
            trailer_count: trailer.len(),
            stage: end
                .as_ref()
                .map_or_else(|error| stage(error.stage), |_| STAGE_DONE),
            may_pass: end.as_ref().is_err_and(RequestError::may_pass).into(),
        };
        forget_fault();
        // SAFETY: see the module; a handler is told this once, and nothing after it.
        let status = unsafe { (self.block.ended)(pointer(self.value), self.host, &told) };
        if let Err(fault) = outcome(status, "end", take_fault) {
            self.report(&fault);
        }
    }
}

fn stage(stage: RequestStage) -> u64 {
    match stage {
        RequestStage::Resolve => STAGE_RESOLVE,
        RequestStage::Connect => STAGE_CONNECT,
        RequestStage::Proxy => STAGE_PROXY,
        RequestStage::Tls => STAGE_TLS,
        RequestStage::Request => STAGE_REQUEST,
        RequestStage::Response => STAGE_RESPONSE,
    }
}
