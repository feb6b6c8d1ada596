//! The host calls of a session: from the plain C of the ABI to [`SessionCall`].
//!
//! Each function is called by a plugin in one of the hooks it was called in, on that thread, with the `context` of the
//! [`Session`](hotsocket_abi::Session) it was given. None may unwind: a panic of our own is caught and answered.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
};

use hotsocket_abi::{
    Bytes, FACT_CONNECT, FACT_ENCRYPTED, FACT_ID, FACT_PATH, FACT_PEER_IP, FACT_PEER_NAME,
    FACT_PROTOCOL, FACT_PROTOCOL_ID, FACT_QUERY, FACT_ROLE, FACT_SUBPROTOCOL, FACT_URL, FACT_VHOST,
    MESSAGE_BINARY, MESSAGE_FIRST, MESSAGE_LAST, MESSAGE_PING, MESSAGE_PONG, MESSAGE_TEXT,
    MESSAGE_WHOLE, ROLE_CLIENT, ROLE_SERVER, STATUS_CLOSED, STATUS_ERROR, STATUS_FULL, STATUS_NONE,
    STATUS_OK, STATUS_PANIC, SessionCalls, Status,
};

use crate::{
    context::session::SessionCall,
    net::port::Sent,
    plugin::{
        facts::{tls_bytes, transport_fact},
        host_calls::{add_fault, lend},
        instance::pointer,
    },
    wire::{MessageKind, Role},
};

/// The table that every session of every plugin is given.
pub(crate) static SESSION_CALLS: SessionCalls = SessionCalls {
    size: size_of::<SessionCalls>(),
    send,
    close,
    hang_up,
    queued_bytes,
    ask_writable,
    pause,
    resume,
    set_deadline,
    set_timer,
    cancel_timer,
    fact_number,
    fact_bytes,
    field,
    tag,
    take_learnt,
    take_given,
    fail,
};

/// Runs `body` on the session behind `context`; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be what the adapter put into the session of the hook that is running.
#[inline]
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut SessionCall<'_, '_>) -> R,
) -> R {
    // SAFETY: the adapter made `context` from a `&mut SessionCall` that outlives the hook and that nobody else uses
    // while the hook runs.
    let call = unsafe { &mut *context.cast::<SessionCall<'_, '_>>() };
    catch_unwind(AssertUnwindSafe(|| body(call))).unwrap_or(panicked)
}

pub(crate) fn status(sent: Sent) -> Status {
    match sent {
        Sent::Queued => STATUS_OK,
        Sent::Full => STATUS_FULL,
        Sent::Closed => STATUS_CLOSED,
        Sent::Refused => STATUS_ERROR,
    }
}

unsafe extern "C" fn send(context: *mut c_void, flags: u32, payload: Bytes<'_>) -> Status {
    // SAFETY: `payload` is lent for this call.
    let payload = unsafe { payload.as_slice() };
    let body = |call: &mut SessionCall<'_, '_>| {
        let kind = match flags & !MESSAGE_WHOLE {
            MESSAGE_TEXT => MessageKind::Text,
            MESSAGE_BINARY => MessageKind::Binary,
            _ => return status(send_control(call, flags, payload)),
        };
        let (first, last) = (flags & MESSAGE_FIRST != 0, flags & MESSAGE_LAST != 0);
        status(call.send(kind, first, last, payload))
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

/// Apart, so that what sends a message stays as short as it can be.
#[inline(never)]
fn send_control(call: &mut SessionCall<'_, '_>, flags: u32, payload: &[u8]) -> Sent {
    const PING: u32 = MESSAGE_PING | MESSAGE_WHOLE;
    const PONG: u32 = MESSAGE_PONG | MESSAGE_WHOLE;
    match flags {
        PING => call.ping(payload),
        PONG => call.pong(payload),
        _ => Sent::Refused,
    }
}

unsafe extern "C" fn close(context: *mut c_void, code: u32, reason: Bytes<'_>) -> Status {
    // SAFETY: `reason` is lent for this call.
    let reason = unsafe { reason.as_slice() };
    let body = |call: &mut SessionCall<'_, '_>| {
        let (Ok(code), Ok(reason)) = (u16::try_from(code), std::str::from_utf8(reason)) else {
            return STATUS_ERROR;
        };
        status(call.close(code, reason))
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn hang_up(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.hang_up()) }
}

unsafe extern "C" fn queued_bytes(context: *mut c_void) -> u64 {
    // SAFETY: see the module.
    unsafe { with(context, 0, |call| call.queued_bytes()) }
}

unsafe extern "C" fn ask_writable(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.ask_writable()) }
}

unsafe extern "C" fn pause(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.pause()) }
}

unsafe extern "C" fn resume(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.resume()) }
}

unsafe extern "C" fn set_deadline(
    context: *mut c_void,
    after_ms: u64,
    reason: Bytes<'_>,
) -> Status {
    // SAFETY: `reason` is lent for this call.
    let reason = unsafe { reason.as_slice() };
    let body = |call: &mut SessionCall<'_, '_>| match std::str::from_utf8(reason) {
        Ok(reason) => status(call.set_deadline(after_ms, reason)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn set_timer(context: *mut c_void, id: u64, after_ms: u64) -> Status {
    // SAFETY: see the module.
    unsafe {
        with(context, STATUS_PANIC, |call| {
            status(call.set_timer(id, after_ms))
        })
    }
}

unsafe extern "C" fn cancel_timer(context: *mut c_void, id: u64) -> Status {
    let body = |call: &mut SessionCall<'_, '_>| match call.cancel_timer(id) {
        true => STATUS_OK,
        false => STATUS_NONE,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |call: &mut SessionCall<'_, '_>| match key {
        FACT_ID => Some(call.id().get()),
        FACT_ROLE => Some(match call.role() {
            Role::Server => ROLE_SERVER,
            Role::Client => ROLE_CLIENT,
        }),
        FACT_CONNECT => call.connect_number(),
        FACT_PROTOCOL_ID => Some(u64::from(call.protocol().id)),
        FACT_ENCRYPTED => Some(u64::from(call.is_encrypted())),
        _ => transport_fact(key, call.peer(), call.tls()),
    };
    // SAFETY: see the module.
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
    let body = |call: &mut SessionCall<'_, '_>| {
        let bytes = match key {
            FACT_VHOST => call.vhost().as_bytes(),
            FACT_PATH => call.path().as_bytes(),
            FACT_QUERY => call.query()?.as_bytes(),
            FACT_PEER_IP => call.peer_ip()?,
            FACT_PEER_NAME => call.peer_name()?.as_bytes(),
            FACT_SUBPROTOCOL => call.subprotocol()?.as_bytes(),
            FACT_URL => call.url()?.as_bytes(),
            FACT_PROTOCOL => call.protocol().name.as_bytes(),
            _ => tls_bytes(key, call.tls())?,
        };
        Some((bytes.as_ptr(), bytes.len()))
    };
    // SAFETY: see the module.
    let fact = unsafe { with(context, None, body) };
    // SAFETY: the plugin gives a place for one slice; what it points to stays until the hook returns, which is how
    // long the contract lends it.
    unsafe { lend(fact, out) }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |call: &mut SessionCall<'_, '_>| add_fault(&mut call.fault, text);
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: `name` is lent for this call.
    let name = unsafe { name.as_slice() };
    let body = |call: &mut SessionCall<'_, '_>| {
        let (name, index) = (
            std::str::from_utf8(name).ok()?,
            usize::try_from(index).ok()?,
        );
        let value = call.field(name, index)?;
        Some((value.as_ptr(), value.len()))
    };
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: `name` is lent for this call.
    let name = unsafe { name.as_slice() };
    let body = |call: &mut SessionCall<'_, '_>| {
        call.tag(std::str::from_utf8(name).ok()?)
            .map(|value| (value.as_ptr(), value.len()))
    };
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn take_learnt(context: *mut c_void) -> *mut c_void {
    // SAFETY: see the module.
    let learnt = unsafe { with(context, None, |call| call.take_learnt()) };
    learnt.map_or(std::ptr::null_mut(), |learnt| pointer(learnt.0.get()))
}

unsafe extern "C" fn take_given(context: *mut c_void) -> *mut c_void {
    // SAFETY: see the module.
    let given = unsafe { with(context, None, |call| call.take_given()) };
    given.map_or(std::ptr::null_mut(), pointer)
}
