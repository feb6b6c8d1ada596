//! The host calls of an opening handshake: from the plain C of the ABI to [`HandshakeCall`].
//!
//! Each function is called by a plugin in the hook it was called in, on that thread, with the `context` of the
//! [`Handshake`](hotsocket_abi::Handshake) it was given. None may unwind: a panic of our own is caught and answered.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    str,
};

use hotsocket_abi::{
    Bytes, FACT_HOST, FACT_PATH, FACT_PEER_IP, FACT_PEER_NAME, FACT_PROTOCOL, FACT_PROTOCOL_ID,
    FACT_QUERY, FACT_ROLE, FACT_SUBPROTOCOL, FACT_TARGET, FACT_VHOST, HandshakeCalls, ROLE_SERVER,
    STATUS_ERROR, STATUS_FULL, STATUS_NONE, STATUS_OK, STATUS_PANIC, Status,
};

use crate::{
    context::handshake::{HandshakeCall, Unsaid},
    plugin::{
        facts::{tls_bytes, transport_fact},
        host_calls::{add_fault, lend},
    },
};

/// The table that every opening handshake of every plugin is given.
pub(crate) static HANDSHAKE_CALLS: HandshakeCalls = HandshakeCalls {
    size: size_of::<HandshakeCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    tag,
    offered,
    choose,
    add_field,
    refuse,
    fail,
};

/// What is lent: an address and a length.
pub(super) type Lent = (*const u8, usize);

/// Runs `body` on the handshake behind `context`; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be what the adapter put into the handshake of the hook that is running.
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut HandshakeCall<'_>) -> R,
) -> R {
    // SAFETY: the adapter made `context` from a `&mut HandshakeCall` that outlives the hook and that nobody else uses
    // while the hook runs.
    let call = unsafe { &mut *context.cast::<HandshakeCall<'_>>() };
    catch_unwind(AssertUnwindSafe(|| body(call))).unwrap_or(panicked)
}

pub(super) fn status(said: Result<(), Unsaid>) -> Status {
    match said {
        Ok(()) => STATUS_OK,
        Err(Unsaid::Bad) => STATUS_ERROR,
        Err(Unsaid::TooMuch) => STATUS_FULL,
    }
}

pub(super) fn lent(bytes: &[u8]) -> Lent {
    (bytes.as_ptr(), bytes.len())
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |call: &mut HandshakeCall<'_>| match key {
        FACT_ROLE => Some(ROLE_SERVER),
        FACT_PROTOCOL_ID => Some(u64::from(call.facts().protocol.id)),
        _ => transport_fact(key, call.facts().peer, call.facts().tls),
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
    let body = |call: &mut HandshakeCall<'_>| {
        let bytes = match key {
            FACT_VHOST => call.facts().vhost.as_bytes(),
            FACT_PATH => call.facts().path().as_bytes(),
            FACT_QUERY => call.facts().query()?.as_bytes(),
            FACT_TARGET => call.target().as_bytes(),
            FACT_HOST => call.authority().as_bytes(),
            FACT_PEER_IP => call.peer_ip()?,
            FACT_PEER_NAME => call.facts().peer_name?.as_bytes(),
            FACT_SUBPROTOCOL => call.facts().subprotocol?.as_bytes(),
            FACT_PROTOCOL => call.facts().protocol.name.as_bytes(),
            _ => tls_bytes(key, call.facts().tls)?,
        };
        Some(lent(bytes))
    };
    // SAFETY: see the module.
    let fact = unsafe { with(context, None, body) };
    // SAFETY: the plugin gives a place for one slice; what it points to stays until the hook returns, which is how
    // long the contract lends it.
    unsafe { lend(fact, out) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: `name` is lent for this call.
    let name = unsafe { name.as_slice() };
    let body = |call: &mut HandshakeCall<'_>| {
        let (name, index) = (str::from_utf8(name).ok()?, usize::try_from(index).ok()?);
        call.field(name, index).map(lent)
    };
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    let body = |call: &mut HandshakeCall<'_>| {
        let (name, value) = call.field_at(usize::try_from(index).ok()?)?;
        Some((lent(name.as_bytes()), lent(value)))
    };
    // SAFETY: see the module.
    let Some((its_name, its_value)) = (unsafe { with(context, None, body) }) else {
        return STATUS_NONE;
    };
    // SAFETY: as in `fact_bytes`, for two slices.
    unsafe {
        lend(Some(its_name), name);
        lend(Some(its_value), value)
    }
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: `name` is lent for this call.
    let name = unsafe { name.as_slice() };
    let body = |call: &mut HandshakeCall<'_>| call.tag(str::from_utf8(name).ok()?).map(lent);
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn offered(context: *mut c_void, index: u64, out: *mut Bytes<'static>) -> Status {
    let body = |call: &mut HandshakeCall<'_>| {
        let name = call.offered(usize::try_from(index).ok()?)?;
        Some(lent(name.as_bytes()))
    };
    // SAFETY: see the module.
    let name = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(name, out) }
}

unsafe extern "C" fn choose(context: *mut c_void, subprotocol: Bytes<'_>) -> Status {
    // SAFETY: `subprotocol` is lent for this call.
    let subprotocol = unsafe { subprotocol.as_slice() };
    let body = |call: &mut HandshakeCall<'_>| match str::from_utf8(subprotocol) {
        Ok(subprotocol) => status(call.choose(subprotocol)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn add_field(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: both are lent for this call.
    let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
    let body = |call: &mut HandshakeCall<'_>| match str::from_utf8(name) {
        Ok(name) => status(call.add_field(name, value)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn refuse(context: *mut c_void, code: u32, content: Bytes<'_>) -> Status {
    // SAFETY: `content` is lent for this call.
    let content = unsafe { content.as_slice() };
    // SAFETY: see the module.
    unsafe {
        with(context, STATUS_PANIC, |call| {
            status(call.refuse(code, content))
        })
    }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |call: &mut HandshakeCall<'_>| add_fault(&mut call.fault, text);
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}
