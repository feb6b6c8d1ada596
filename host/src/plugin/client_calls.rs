//! The host calls of a connection that we open, before it is a session: from the plain C of the ABI to [`ClientCall`].
//!
//! Each function is called by a plugin in the hook it was called in, on that thread, with the `context` of the
//! [`Client`](hotsocket_abi::Client) it was given. None may unwind: a panic of our own is caught and answered.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use hotsocket_abi::{
    Bytes, ClientCalls, ConnectRequest, Explain, FACT_CONNECT, FACT_CONTENT, FACT_ENCRYPTED,
    FACT_FAILURES, FACT_LOCATION, FACT_MAY_PASS, FACT_PATH, FACT_PROTOCOL, FACT_PROTOCOL_ID,
    FACT_QUERY, FACT_REASON, FACT_ROLE, FACT_STAGE, FACT_STATUS, FACT_SUBPROTOCOL, FACT_URL,
    FACT_VHOST, ROLE_CLIENT, STAGE_CONNECT, STAGE_HANDSHAKE, STAGE_PROXY, STAGE_RESOLVE,
    STAGE_STATUS, STAGE_TLS, STATUS_ERROR, STATUS_NONE, STATUS_OK, Status,
};

use crate::{
    connection::opening::Stage,
    context::outgoing::{ClientCall, Next},
    plugin::{
        connect_calls::{read_request, tell},
        host_calls::{add_fault, lend},
        instance::pointer,
    },
};

/// The table that every such connection of every plugin is given.
pub(crate) static CLIENT_CALLS: ClientCalls = ClientCalls {
    size: size_of::<ClientCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    given,
    take_given,
    refuse,
    again,
    retarget,
    give_up,
    fail,
};

/// Runs `body` on the connection behind `context`; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be what the adapter put into the client of the hook that is running.
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut ClientCall<'_>) -> R,
) -> R {
    // SAFETY: the adapter made `context` from a `&mut ClientCall` that outlives the hook and that nobody else uses while
    // the hook runs.
    let call = unsafe { &mut *context.cast::<ClientCall<'_>>() };
    catch_unwind(AssertUnwindSafe(|| body(call))).unwrap_or(panicked)
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |call: &mut ClientCall<'_>| match key {
        FACT_ROLE => Some(ROLE_CLIENT),
        FACT_PROTOCOL_ID => Some(u64::from(call.facts().protocol.id)),
        FACT_ENCRYPTED => Some(call.outgoing.request.url.scheme().is_secure().into()),
        FACT_CONNECT => Some(call.outgoing.number),
        FACT_STATUS => Some(call.answer?.status.into()),
        FACT_STAGE => Some(stage(call.error?.stage)),
        FACT_FAILURES => Some(call.outgoing.failures),
        FACT_MAY_PASS => Some(call.error?.may_pass().into()),
        _ => None,
    };
    // SAFETY: see the module.
    let Some(value) = (unsafe { with(context, None, body) }) else {
        return STATUS_NONE;
    };
    // SAFETY: the plugin gives a place for one number.
    unsafe { out.write(value) };
    STATUS_OK
}

fn stage(stage: Stage) -> u64 {
    match stage {
        Stage::Resolve => STAGE_RESOLVE,
        Stage::Connect => STAGE_CONNECT,
        Stage::Proxy => STAGE_PROXY,
        Stage::Tls => STAGE_TLS,
        Stage::Handshake => STAGE_HANDSHAKE,
        Stage::Status => STAGE_STATUS,
    }
}

unsafe extern "C" fn fact_bytes(
    context: *mut c_void,
    key: u32,
    out: *mut Bytes<'static>,
) -> Status {
    let body = |call: &mut ClientCall<'_>| {
        let bytes = match key {
            FACT_REASON => {
                call.text = call.error?.to_string();
                call.text.as_bytes()
            }
            FACT_URL => call.outgoing.request.url.as_str().as_bytes(),
            FACT_LOCATION => call.location.as_ref()?.as_bytes(),
            FACT_CONTENT => &call.answer?.content,
            FACT_VHOST => call.facts().vhost.as_bytes(),
            FACT_PATH => call.facts().path().as_bytes(),
            FACT_QUERY => call.facts().query()?.as_bytes(),
            FACT_SUBPROTOCOL => call.facts().subprotocol?.as_bytes(),
            FACT_PROTOCOL => call.facts().protocol.name.as_bytes(),
            _ => return None,
        };
        Some((bytes.as_ptr(), bytes.len()))
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
    let body = |call: &mut ClientCall<'_>| {
        let (name, index) = (str::from_utf8(name).ok()?, usize::try_from(index).ok()?);
        let value = call.field(name, index)?;
        Some((value.as_ptr(), value.len()))
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
    let body = |call: &mut ClientCall<'_>| {
        let (name, value) = call.field_at(usize::try_from(index).ok()?)?;
        Some([(name.as_ptr(), name.len()), (value.as_ptr(), value.len())])
    };
    // SAFETY: see the module.
    let Some([found, its_value]) = (unsafe { with(context, None, body) }) else {
        return STATUS_NONE;
    };
    // SAFETY: as in `fact_bytes`, for two slices.
    unsafe {
        lend(Some(found), name);
        lend(Some(its_value), value)
    }
}

unsafe extern "C" fn given(context: *mut c_void) -> *mut c_void {
    // SAFETY: see the module.
    let given = unsafe { with(context, None, |call| call.given()) };
    given.map_or(ptr::null_mut(), pointer)
}

unsafe extern "C" fn take_given(context: *mut c_void) -> *mut c_void {
    // SAFETY: see the module.
    let given = unsafe { with(context, None, |call| call.take_given()) };
    given.map_or(ptr::null_mut(), pointer)
}

unsafe extern "C" fn refuse(context: *mut c_void, why: Bytes<'_>) {
    // SAFETY: lent for this call.
    let why = unsafe { why.as_slice() };
    let body = |call: &mut ClientCall<'_>| call.refusal = String::from_utf8_lossy(why).into_owned();
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}

unsafe extern "C" fn again(context: *mut c_void, after_ms: u64) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.next = Next::Again(after_ms)) }
}

unsafe extern "C" fn retarget(
    context: *mut c_void,
    request: *const ConnectRequest<'_>,
    explain: Explain,
    data: *mut c_void,
) -> Status {
    let body = |call: &mut ClientCall<'_>| {
        // SAFETY: the plugin lends a request for this call.
        let request = unsafe { read_request(request) }?;
        call.retarget(request).map_err(|error| error.to_string())
    };
    let panicked = Err("the host panicked".to_owned());
    // SAFETY: see the module.
    match unsafe { with(context, panicked, body) } {
        Ok(()) => STATUS_OK,
        Err(why) => {
            // SAFETY: the plugin gives both for this call.
            unsafe { tell(explain, data, &why) };
            STATUS_ERROR
        }
    }
}

unsafe extern "C" fn give_up(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.next = Next::GiveUp) }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |call: &mut ClientCall<'_>| add_fault(&mut call.fault, text);
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}
