//! The host calls of a policy: from the plain C of the ABI to [`PolicyCall`].
//!
//! As in `handshake_calls.rs`: each is called in a hook, on its thread, with the `context` of the
//! [`Judged`](hotsocket_abi::Judged) that the hook was given, and none may unwind.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    str,
};

use hotsocket_abi::{
    Bytes, FACT_ENCRYPTED, FACT_EXCHANGE, FACT_HOST, FACT_HTTP_MINOR, FACT_ID, FACT_IS_HANDSHAKE,
    FACT_LOCAL, FACT_METHOD, FACT_PATH, FACT_PEER_IP, FACT_PEER_PORT, FACT_QUERY, FACT_ROLE,
    FACT_TARGET, FACT_TRUSTED_PROXY, FACT_VHOST, OPTION_FIRST_REQUEST_MS, OPTION_KEEPALIVE_S,
    OPTION_MESSAGE_BYTES, OPTION_NO_DELAY, OPTION_RECEIVE_BUFFER, OPTION_SEND_BUFFER, PolicyCalls,
    ROLE_SERVER, STATUS_ERROR, STATUS_NONE, STATUS_OK, STATUS_PANIC, Status,
};

use crate::{
    context::policy::{ConnectionOption, PolicyCall},
    net::connection_setup::SocketOption,
    plugin::{
        facts::{tls_bytes, transport_fact},
        handshake_calls::{Lent, lent, status},
        host_calls::{add_fault, lend},
    },
};

/// The table that every hook of every policy is given.
pub(crate) static POLICY_CALLS: PolicyCalls = PolicyCalls {
    size: size_of::<PolicyCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    tag,
    set_tag,
    set_option,
    add_field,
    refuse,
    fail,
};

/// Runs `body` on the call behind `context`; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be what the adapter put into the [`Judged`](hotsocket_abi::Judged) of the hook that is running.
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut PolicyCall<'_, '_>) -> R,
) -> R {
    // SAFETY: the adapter made `context` from a `&mut PolicyCall` that outlives the hook and that nobody else uses while
    // the hook runs.
    let call = unsafe { &mut *context.cast::<PolicyCall<'_, '_>>() };
    catch_unwind(AssertUnwindSafe(|| body(call))).unwrap_or(panicked)
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |call: &mut PolicyCall<'_, '_>| match key {
        FACT_ID => Some(call.id().get()),
        FACT_ROLE => Some(ROLE_SERVER),
        FACT_ENCRYPTED => Some(u64::from(call.is_encrypted())),
        FACT_EXCHANGE => Some(u64::from(call.number()?)),
        FACT_HTTP_MINOR => Some(u64::from(call.head()?.minor_version)),
        FACT_TRUSTED_PROXY => Some(u64::from(call.is_trusted_proxy())),
        FACT_IS_HANDSHAKE => Some(u64::from(call.is_handshake())),
        FACT_PEER_PORT => Some(u64::from(call.peer_address()?.port())),
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
    let body = |call: &mut PolicyCall<'_, '_>| {
        let bytes = match key {
            FACT_VHOST => call.vhost().as_bytes(),
            FACT_PEER_IP => call.peer_ip()?,
            FACT_LOCAL => call.local()?.as_bytes(),
            FACT_METHOD => call.head()?.method.as_bytes(),
            FACT_TARGET => call.head()?.target.as_bytes(),
            FACT_PATH => call.head()?.path().as_bytes(),
            FACT_QUERY => call.head()?.query()?.as_bytes(),
            FACT_HOST => call.head()?.host().as_bytes(),
            _ => tls_bytes(key, call.tls())?,
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
    let body = |call: &mut PolicyCall<'_, '_>| {
        let (name, index) = (str::from_utf8(name).ok()?, usize::try_from(index).ok()?);
        call.head()?.fields(name).nth(index).map(lent)
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
    let body = |call: &mut PolicyCall<'_, '_>| -> Option<(Lent, Lent)> {
        let (name, value) = call.head()?.field_at(usize::try_from(index).ok()?)?;
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
    let body = |call: &mut PolicyCall<'_, '_>| call.tag(str::from_utf8(name).ok()?).map(lent);
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`; the contract has nothing read of a tag once another one was set.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn set_tag(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: both are lent for this call.
    let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
    let body = |call: &mut PolicyCall<'_, '_>| match str::from_utf8(name) {
        Ok(name) => status(call.set_tag(name, value)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn set_option(context: *mut c_void, option: u32, value: u64) -> Status {
    let body = |call: &mut PolicyCall<'_, '_>| match connection_option(option, value) {
        Some(option) => match call.set_option(option) {
            Ok(true) => STATUS_OK,
            Ok(false) => STATUS_NONE,
            Err(unsaid) => status(Err(unsaid)),
        },
        None => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

/// What a plugin sets, if that makes sense.
fn connection_option(option: u32, value: u64) -> Option<ConnectionOption> {
    let number = u32::try_from(value).ok();
    let socket = |option| Some(ConnectionOption::Socket(option));
    match option {
        OPTION_NO_DELAY => match value {
            0 | 1 => socket(SocketOption::NoDelay(value == 1)),
            _ => None,
        },
        OPTION_SEND_BUFFER => socket(SocketOption::SendBuffer(number?)),
        OPTION_RECEIVE_BUFFER => socket(SocketOption::ReceiveBuffer(number?)),
        OPTION_KEEPALIVE_S => socket(SocketOption::KeepaliveS(number?)),
        OPTION_MESSAGE_BYTES => Some(ConnectionOption::MessageBytes(value)),
        OPTION_FIRST_REQUEST_MS => Some(ConnectionOption::FirstRequestMs(value)),
        _ => None,
    }
}

unsafe extern "C" fn add_field(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: both are lent for this call.
    let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
    let body = |call: &mut PolicyCall<'_, '_>| match str::from_utf8(name) {
        Ok(name) => status(call.add_field(name, value)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn refuse(context: *mut c_void, code: u32, content: Bytes<'_>) -> Status {
    // SAFETY: `content` is lent for this call.
    let content = unsafe { content.as_slice() };
    let body = |call: &mut PolicyCall<'_, '_>| status(call.refuse(code, content));
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |call: &mut PolicyCall<'_, '_>| add_fault(&mut call.fault, text);
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}
