//! The host calls of an exchange: from the plain C of the ABI to [`ExchangeCall`].
//!
//! Each function is called by a plugin in one of the hooks it was called in, on that thread, with the `context` of the
//! [`Exchange`](hotsocket_abi::Exchange) it was given. None may unwind: a panic of our own is caught and answered.

use std::{
    ffi::{OsStr, c_void},
    os::unix::ffi::OsStrExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use hotsocket_abi::{
    Bytes, ExchangeCalls, FACT_CONTENT_LENGTH, FACT_ENCRYPTED, FACT_EXCHANGE, FACT_HOST,
    FACT_HTTP_MINOR, FACT_ID, FACT_LOCAL, FACT_METHOD, FACT_MOUNTPOINT, FACT_PATH, FACT_PEER_IP,
    FACT_PEER_NAME, FACT_PROTOCOL, FACT_PROTOCOL_ID, FACT_QUERY, FACT_TARGET, FACT_VHOST,
    FIELDS_HEAD, FIELDS_TRAILER, LENGTH_UNKNOWN, STATUS_ERROR, STATUS_NONE, STATUS_OK,
    STATUS_PANIC, Status,
};

use crate::{
    context::exchange::ExchangeCall,
    plugin::{
        facts::{tls_bytes, transport_fact},
        host_calls::{add_fault, lend},
        session_calls::status,
    },
};

/// The table that every exchange of every plugin is given.
pub(crate) static EXCHANGE_CALLS: ExchangeCalls = ExchangeCalls {
    size: size_of::<ExchangeCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    tag,
    add_field,
    respond,
    start,
    send,
    finish,
    respond_file,
    close_after,
    abort,
    queued_bytes,
    ask_writable,
    pause,
    resume,
    set_timer,
    cancel_timer,
    fail,
};

/// Runs `body` on the exchange behind `context`; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be what the adapter put into the exchange of the hook that is running.
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut ExchangeCall<'_, '_>) -> R,
) -> R {
    // SAFETY: the adapter made `context` from a `&mut ExchangeCall` that outlives the hook and that nobody else uses
    // while the hook runs.
    let call = unsafe { &mut *context.cast::<ExchangeCall<'_, '_>>() };
    catch_unwind(AssertUnwindSafe(|| body(call))).unwrap_or(panicked)
}

/// Where bytes stand that are lent until the hook returns.
fn place(bytes: &[u8]) -> (*const u8, usize) {
    (bytes.as_ptr(), bytes.len())
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |call: &mut ExchangeCall<'_, '_>| match key {
        FACT_ID => Some(call.id().get()),
        FACT_EXCHANGE => Some(u64::from(call.number())),
        FACT_HTTP_MINOR => Some(u64::from(call.head().minor_version())),
        FACT_CONTENT_LENGTH => call.content_length(),
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
    let body = |call: &mut ExchangeCall<'_, '_>| {
        let bytes = match key {
            FACT_VHOST => call.vhost().as_bytes(),
            FACT_METHOD => call.head().method().as_bytes(),
            FACT_TARGET => call.head().target().as_bytes(),
            FACT_PATH => call.head().path().as_bytes(),
            FACT_QUERY => call.head().query()?.as_bytes(),
            FACT_HOST => Some(call.head().host())
                .filter(|host| !host.is_empty())?
                .as_bytes(),
            FACT_MOUNTPOINT => call.mountpoint().as_bytes(),
            FACT_LOCAL => call.local()?.as_bytes(),
            FACT_PEER_IP => call.peer_ip()?,
            FACT_PEER_NAME => call.peer_name()?.as_bytes(),
            FACT_PROTOCOL => call.protocol().name.as_bytes(),
            _ => tls_bytes(key, call.tls())?,
        };
        Some(place(bytes))
    };
    // SAFETY: see the module.
    let fact = unsafe { with(context, None, body) };
    // SAFETY: the plugin gives a place for one slice; what it points to stays until the hook returns, which is how
    // long the contract lends it.
    unsafe { lend(fact, out) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    list: u32,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: `name` is lent for this call.
    let name = unsafe { name.as_slice() };
    let body = |call: &mut ExchangeCall<'_, '_>| {
        let index = usize::try_from(index).ok()?;
        let value = match list {
            FIELDS_HEAD => call.head().fields(name).nth(index)?,
            FIELDS_TRAILER => {
                let all = call.trailer().iter();
                let mut named = all.filter(|(own, _)| own.eq_ignore_ascii_case(name));
                named.nth(index)?.1
            }
            _ => return None,
        };
        Some(place(value))
    };
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    list: u32,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    let body = |call: &mut ExchangeCall<'_, '_>| {
        let index = usize::try_from(index).ok()?;
        let (name, value) = match list {
            FIELDS_HEAD => call.head().field_at(index)?,
            FIELDS_TRAILER => call.trailer().iter().nth(index)?,
            _ => return None,
        };
        Some((place(name), place(value)))
    };
    // SAFETY: see the module.
    let Some((own_name, own_value)) = (unsafe { with(context, None, body) }) else {
        return STATUS_NONE;
    };
    // SAFETY: as in `fact_bytes`, for two.
    unsafe {
        lend(Some(own_name), name);
        lend(Some(own_value), value)
    }
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: `name` is lent for this call.
    let name = unsafe { name.as_slice() };
    let body =
        |call: &mut ExchangeCall<'_, '_>| call.tag(std::str::from_utf8(name).ok()?).map(place);
    // SAFETY: see the module.
    let value = unsafe { with(context, None, body) };
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn add_field(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: both are lent for this call.
    let (name, value) = unsafe { (name.as_slice(), value.as_slice()) };
    let body = |call: &mut ExchangeCall<'_, '_>| match std::str::from_utf8(name) {
        Ok(name) => status(call.add_field(name, value)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn respond(context: *mut c_void, code: u32, content: Bytes<'_>) -> Status {
    // SAFETY: `content` is lent for this call.
    let content = unsafe { content.as_slice() };
    let body = |call: &mut ExchangeCall<'_, '_>| match u16::try_from(code) {
        Ok(code) => status(call.respond(code, content)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn start(context: *mut c_void, code: u32, length: u64) -> Status {
    let length = (length != LENGTH_UNKNOWN).then_some(length);
    let body = |call: &mut ExchangeCall<'_, '_>| match u16::try_from(code) {
        Ok(code) => status(call.start(code, length)),
        Err(_) => STATUS_ERROR,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn send(context: *mut c_void, piece: Bytes<'_>) -> Status {
    // SAFETY: `piece` is lent for this call.
    let piece = unsafe { piece.as_slice() };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, |call| status(call.send(piece))) }
}

unsafe extern "C" fn finish(context: *mut c_void) -> Status {
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, |call| status(call.finish())) }
}

unsafe extern "C" fn respond_file(context: *mut c_void, path: Bytes<'_>) -> Status {
    // SAFETY: `path` is lent for this call.
    let path = unsafe { path.as_slice() };
    let path = Path::new(OsStr::from_bytes(path));
    // SAFETY: see the module.
    unsafe {
        with(context, STATUS_PANIC, |call| {
            status(call.respond_file(path))
        })
    }
}

unsafe extern "C" fn close_after(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.close_after()) }
}

unsafe extern "C" fn abort(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { with(context, (), |call| call.abort()) }
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

unsafe extern "C" fn set_timer(context: *mut c_void, id: u64, after_ms: u64) -> Status {
    // SAFETY: see the module.
    unsafe {
        with(context, STATUS_PANIC, |call| {
            status(call.set_timer(id, after_ms))
        })
    }
}

unsafe extern "C" fn cancel_timer(context: *mut c_void, id: u64) -> Status {
    let body = |call: &mut ExchangeCall<'_, '_>| match call.cancel_timer(id) {
        true => STATUS_OK,
        false => STATUS_NONE,
    };
    // SAFETY: see the module.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |call: &mut ExchangeCall<'_, '_>| add_fault(&mut call.fault, text);
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}
