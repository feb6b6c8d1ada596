//! The host calls of an extension: from the plain C of the ABI to what a hook was given.
//!
//! Each function is called by a plugin in the hook it was called in, on that thread, with the `context` of the
//! [`ExtensionCall`] it was given. None may unwind: a panic of our own is caught and answered.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use hotsocket_abi::{
    Bytes, ExtensionCall, ExtensionCalls, FACT_PATH, FACT_PEER_IP, FACT_PEER_NAME, FACT_PROTOCOL,
    FACT_PROTOCOL_ID, FACT_QUERY, FACT_ROLE, FACT_SUBPROTOCOL, FACT_VHOST, FRAME_FIRST, FRAME_LAST,
    FramePiece, MESSAGE_FIRST, MESSAGE_LAST, ROLE_CLIENT, ROLE_SERVER, STATUS_ERROR, STATUS_FULL,
    STATUS_NONE, STATUS_OK, STATUS_PANIC, Status,
};

use crate::{
    context::handler::{RequestFacts, ThreadState},
    net::{peer::AddressBytes, token::ConnectionId},
    plugin::{
        facts::{tls_bytes, transport_fact},
        host_calls::{add_fault, lend, within},
        instance::pointer,
    },
    wire::{
        Opcode, Role,
        close_code::{Failure, TOO_BIG},
        extension::{Piece, PieceSink},
    },
};

static EXTENSION_CALLS: ExtensionCalls = ExtensionCalls {
    size: size_of::<ExtensionCalls>(),
    put,
    parameters,
    fact_number,
    fact_bytes,
    fail,
};

/// All the flags that a piece may have beside its RSV bits.
const FLAGS: u32 = FRAME_FIRST | FRAME_LAST | MESSAGE_FIRST | MESSAGE_LAST;

/// What one call of a hook was given, and what it left.
pub(crate) struct HookContext<'a> {
    thread: ThreadState,
    connection: ConnectionId,
    /// In hooks of the opening handshake.
    request: Option<&'a RequestFacts<'a>>,
    /// In hooks that pass pieces.
    sink: Option<&'a mut dyn PieceSink>,
    /// What the sink had against a piece.
    pub(crate) failure: Option<Failure>,
    /// The parameters to send.
    pub(crate) parameters: String,
    /// Why the hook is about to fail, in its own words.
    pub(crate) fault: String,
    /// The close code that the hook fails with.
    pub(crate) code: u32,
    /// Holds the address that is told.
    ip: Option<AddressBytes>,
}

impl<'a> HookContext<'a> {
    /// For a hook of the opening handshake.
    pub(crate) fn of_request(request: &'a RequestFacts<'a>, thread: ThreadState) -> Self {
        Self {
            request: Some(request),
            ..Self::new(thread, request.connection)
        }
    }

    /// For a hook that passes pieces.
    pub(crate) fn of_sink(
        sink: &'a mut dyn PieceSink,
        thread: ThreadState,
        connection: ConnectionId,
    ) -> Self {
        Self {
            sink: Some(sink),
            ..Self::new(thread, connection)
        }
    }

    /// For any other hook.
    pub(crate) fn new(thread: ThreadState, connection: ConnectionId) -> Self {
        Self {
            thread,
            connection,
            request: None,
            sink: None,
            failure: None,
            parameters: String::new(),
            fault: String::new(),
            code: 0,
            ip: None,
        }
    }

    /// Calls a hook with this.
    #[inline]
    pub(crate) fn call(&mut self, hook: impl FnOnce(*const ExtensionCall) -> Status) -> Status {
        let call = ExtensionCall {
            context: ptr::from_mut(self).cast(),
            calls: &raw const EXTENSION_CALLS,
            thread: pointer(self.thread.0),
        };
        within(self.connection, || hook(&call))
    }

    fn put(&mut self, piece: &FramePiece<'_>) -> Status {
        let Some(sink) = &mut self.sink else {
            return STATUS_NONE;
        };
        if self.failure.is_some() || piece.opcode > 0xf || piece.flags & !(FLAGS | 7) != 0 {
            return STATUS_ERROR;
        }
        // SAFETY: lent for the call of `put` that is running.
        let payload = unsafe { piece.payload.as_slice() };
        let has = |flag| piece.flags & flag != 0;
        let piece = Piece {
            opcode: Opcode::from_bits(piece.opcode as u8),
            rsv: (piece.flags & 7) as u8,
            frame_first: has(FRAME_FIRST),
            frame_last: has(FRAME_LAST),
            message_first: has(MESSAGE_FIRST),
            message_last: has(MESSAGE_LAST),
            payload,
        };
        match sink.put(piece) {
            Ok(()) => STATUS_OK,
            Err(failure) => {
                self.failure = Some(failure);
                if failure.code == TOO_BIG {
                    STATUS_FULL
                } else {
                    STATUS_ERROR
                }
            }
        }
    }

    fn fact_bytes(&mut self, key: u32) -> Option<(*const u8, usize)> {
        let request = self.request?;
        let bytes = match key {
            FACT_VHOST => request.vhost.as_bytes(),
            FACT_PATH => request.path().as_bytes(),
            FACT_QUERY => request.query()?.as_bytes(),
            FACT_PROTOCOL => request.protocol.name.as_bytes(),
            FACT_PEER_NAME => request.peer_name?.as_bytes(),
            FACT_SUBPROTOCOL => request.subprotocol?.as_bytes(),
            FACT_PEER_IP => {
                let address = request.peer.address()?;
                self.ip.insert(AddressBytes::of(address.ip())).as_slice()
            }
            _ => tls_bytes(key, request.tls)?,
        };
        Some((bytes.as_ptr(), bytes.len()))
    }
}

/// The piece as the ABI has it.
pub(crate) fn to_abi<'a>(piece: &Piece<'a>) -> FramePiece<'a> {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    FramePiece {
        opcode: u32::from(piece.opcode.bits()),
        flags: u32::from(piece.rsv)
            | flag(piece.frame_first, FRAME_FIRST)
            | flag(piece.frame_last, FRAME_LAST)
            | flag(piece.message_first, MESSAGE_FIRST)
            | flag(piece.message_last, MESSAGE_LAST),
        payload: Bytes::new(piece.payload),
    }
}

/// Runs `body` on what the running hook was given; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be that of the [`ExtensionCall`] of the hook that is running.
#[inline]
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut HookContext<'_>) -> R,
) -> R {
    // SAFETY: `HookContext::call` made `context` from a `&mut` that outlives the hook and that nobody else uses while
    // the hook runs.
    let hook = unsafe { &mut *context.cast::<HookContext<'_>>() };
    catch_unwind(AssertUnwindSafe(|| body(hook))).unwrap_or(panicked)
}

unsafe extern "C" fn put(context: *mut c_void, piece: *const FramePiece<'_>) -> Status {
    // SAFETY: the plugin lends a piece for this call; a null one is none.
    let Some(piece) = (unsafe { piece.as_ref() }) else {
        return STATUS_ERROR;
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, |hook| hook.put(piece)) }
}

unsafe extern "C" fn parameters(context: *mut c_void, parameters: Bytes<'_>) -> Status {
    // SAFETY: lent for this call.
    let parameters = unsafe { parameters.as_slice() };
    let body = |hook: &mut HookContext<'_>| {
        if hook.request.is_none() {
            return STATUS_NONE;
        }
        match std::str::from_utf8(parameters) {
            Ok(text) if are_parameters(text) => {
                text.clone_into(&mut hook.parameters);
                STATUS_OK
            }
            _ => STATUS_ERROR,
        }
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

/// Whether this is `name` or `name=value`, tokens, with semicolons between them; or nothing.
fn are_parameters(text: &str) -> bool {
    use crate::wire::header_list::is_token;
    let mut all = text.split(';').map(str::trim);
    text.is_empty()
        || all.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, "none"));
            is_token(name.as_bytes()) && is_token(value.as_bytes())
        })
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |hook: &mut HookContext<'_>| {
        let request = hook.request?;
        Some(match key {
            FACT_ROLE => match request.role {
                Role::Server => ROLE_SERVER,
                Role::Client => ROLE_CLIENT,
            },
            FACT_PROTOCOL_ID => u64::from(request.protocol.id),
            _ => return transport_fact(key, request.peer, request.tls),
        })
    };
    // SAFETY: see `with`.
    let Some(value) = (unsafe { with(context, None, body) }) else {
        return STATUS_NONE;
    };
    // SAFETY: the plugin gives a place for one number.
    unsafe { out.write(value) };
    STATUS_OK
}

unsafe extern "C" fn fact_bytes(
    context: *mut c_void,
    key: u32,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: see `with`.
    let fact = unsafe { with(context, None, |hook| hook.fact_bytes(key)) };
    // SAFETY: the plugin gives a place for one slice; what it points to stays until the hook returns, which is how
    // long the contract lends it.
    unsafe { lend(fact, out) }
}

unsafe extern "C" fn fail(context: *mut c_void, code: u32, text: Bytes<'_>) {
    let body = |hook: &mut HookContext<'_>| {
        if hook.code == 0 {
            hook.code = code;
        }
        add_fault(&mut hook.fault, text);
    };
    // SAFETY: see `with`.
    unsafe { with(context, (), body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_parameters() {
        for good in ["", "a", "a=1", "a; b=2", "client_max_window_bits;x=y"] {
            assert!(are_parameters(good), "{good}");
        }
        for bad in [";", "a;", "a=", "=1", "a=\"1\"", "a b", "a\r\nX: y", "a,b"] {
            assert!(!are_parameters(bad), "{bad}");
        }
    }
}
