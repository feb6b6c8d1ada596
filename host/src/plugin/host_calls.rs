//! The host calls that a plugin may make from any thread.
//!
//! A `HostContext` is made for each generation and for each instance of a protocol, and is never freed: a thread of
//! a plugin, or a handle it kept, may call at any time. Each costs some hundred bytes, and comes from an operator who
//! installs a version or changes options.

use std::{
    any::TypeId,
    cell::{Cell, RefCell},
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{Arc, OnceLock},
};

use hotsocket_abi::{
    Asker, Bytes, ConnectRequest, Explain, Given, HOST_FACT_PROTOCOL, HOST_FACT_VERSION,
    HOST_FACT_VHOST, Host, HostCalls, HttpRequest, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARN,
    MESSAGE_BINARY, MESSAGE_PING, MESSAGE_PONG, MESSAGE_TEXT, MESSAGE_WHOLE, POST_ASK_AGAIN,
    POST_ASK_WRITABLE, POST_CLOSE, POST_FINISH, POST_HANG_UP, POST_NOTIFY, POST_PAUSE, POST_RESUME,
    POST_SEND, SLOW_CLOSE, SLOW_DROP, STATUS_ERROR, STATUS_FULL, STATUS_NONE, STATUS_OK,
    STATUS_PANIC, STATUS_STALE, Status, Visit,
};

use crate::{
    connection::outbound::encode_message,
    context::{
        handler::Label,
        hub::{Hub, Operation, PostError, RequestOperation, SlowPolicy},
        roster::SetId,
    },
    net::token::ConnectionId,
    plugin::{ask_calls, connect_calls, door::Door, services::Services},
    wire::{MessageKind, close_code},
};

/// For whom a host call is made.
pub(crate) struct HostContext {
    pub(crate) services: Arc<Services>,
    pub(crate) label: Label,
    /// Whether the plugin is linked into the program, so that types mean the same on both sides.
    pub(crate) is_linked: bool,
    /// For an instance: its vhost, its protocol or extension, and the set of its sessions if it is a protocol.
    pub(crate) instance: Option<(Arc<str>, String, Option<SetId>)>,
    /// For an instance of a protocol: what its connections and requests go through.
    pub(crate) door: Option<Arc<Door>>,
    /// What plugins see of this.
    pub(crate) host: OnceLock<Host>,
}

impl HostContext {
    /// Of a protocol, what its connections and requests go through.
    pub(crate) fn door(&self) -> Option<&Door> {
        self.door.as_deref()
    }

    /// Makes the host that a plugin or an instance is given; it is never freed, see the module.
    pub(crate) fn leak(self) -> &'static Host {
        let context: &'static Self = Box::leak(Box::new(self));
        context.host()
    }

    /// The host that is made of this, which was leaked.
    fn host(&'static self) -> &'static Host {
        self.host.get_or_init(|| Host {
            context: ptr::from_ref(self).cast_mut().cast(),
            calls: &raw const HOST_CALLS,
        })
    }
}

thread_local! {
    /// What the hook that this thread is running said before it failed.
    static FAULT: RefCell<String> = const { RefCell::new(String::new()) };
}

thread_local! {
    /// The connection whose hook this thread is running, as plugins see it; 0 when it runs none.
    static CONNECTION: Cell<u64> = const { Cell::new(0) };
}

/// Runs a hook of a connection, so that what it logs names the connection. Costs two stores.
#[inline]
pub(crate) fn within<R>(connection: ConnectionId, hook: impl FnOnce() -> R) -> R {
    let before = CONNECTION.replace(connection.get());
    let answer = hook();
    CONNECTION.set(before);
    answer
}

/// What the hook on this thread said through `fail`.
pub(crate) fn take_fault() -> String {
    FAULT.take()
}

/// Before a hook: what another one said that did not fail after all is nothing of this one.
pub(crate) fn forget_fault() {
    FAULT.with_borrow_mut(String::clear);
}

/// Adds to what a hook said before it failed: a panic, and then one of what was dropped because of it.
pub(crate) fn add_fault(fault: &mut String, text: Bytes<'_>) {
    // SAFETY: lent for the call of `fail` that is running.
    let text = unsafe { text.as_slice() };
    if !fault.is_empty() {
        fault.push_str("; then ");
    }
    fault.push_str(&String::from_utf8_lossy(text));
}

static HOST_CALLS: HostCalls = HostCalls {
    size: size_of::<HostCalls>(),
    log,
    log_level,
    count,
    now_ms,
    post,
    post_exchange,
    post_all,
    for_each,
    fact_bytes,
    fail,
    linked_data,
    connect,
    give_up,
    request,
    post_request,
};

/// Runs `body` for the context; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be that of a [`Host`] made by [`HostContext::leak`].
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&'static HostContext) -> R,
) -> R {
    // SAFETY: a leaked context is valid for ever and only ever read.
    let context: &'static HostContext = unsafe { &*context.cast::<HostContext>() };
    catch_unwind(AssertUnwindSafe(|| body(context))).unwrap_or(panicked)
}

unsafe extern "C" fn log(context: *mut c_void, level: u32, target: Bytes<'_>, text: Bytes<'_>) {
    // SAFETY: both are lent for this call.
    let (target, text) = unsafe { (target.as_slice(), text.as_slice()) };
    let target = String::from_utf8_lossy(target);
    let text = String::from_utf8_lossy(text);
    let body = |context: &HostContext| {
        if level > (context.services.log_level)(&context.label.plugin) {
            return;
        }
        let Label {
            plugin,
            version,
            generation,
        } = &context.label;
        let connection = CONNECTION.get();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(target: "plugin", plugin, version, generation, connection, target = &*target, text = &*text)
            };
        }
        match level {
            LOG_ERROR => line!(error),
            LOG_WARN => line!(warn),
            LOG_INFO => line!(info),
            LOG_DEBUG => line!(debug),
            _ => line!(trace),
        }
    };
    // SAFETY: see `with`.
    unsafe { with(context, (), body) }
}

unsafe extern "C" fn log_level(context: *mut c_void) -> u32 {
    let body = |context: &HostContext| (context.services.log_level)(&context.label.plugin);
    // SAFETY: see `with`.
    unsafe { with(context, 0, body) }
}

unsafe extern "C" fn count(context: *mut c_void, name: Bytes<'_>, by: u64) -> Status {
    // SAFETY: lent for this call.
    let name = unsafe { name.as_slice() };
    let body = |context: &HostContext| {
        let name = String::from_utf8_lossy(name);
        context.services.count(&context.label.plugin, &name, by)
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn now_ms(context: *mut c_void) -> u64 {
    let body = |context: &HostContext| context.services.began.elapsed().as_millis() as u64;
    // SAFETY: see `with`.
    unsafe { with(context, 0, body) }
}

unsafe extern "C" fn post(
    context: *mut c_void,
    session: u64,
    operation: u32,
    number: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: lent for this call.
    let payload = unsafe { payload.as_slice() };
    let body = |context: &HostContext| {
        let Some(id) = ConnectionId::from_number(session) else {
            return STATUS_STALE;
        };
        match parse(operation, number, payload) {
            Some(operation) => status(context.services.hub.post(id, operation)),
            None => STATUS_ERROR,
        }
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn post_exchange(
    context: *mut c_void,
    connection: u64,
    exchange: u64,
    operation: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: lent for this call.
    let payload = unsafe { payload.as_slice() };
    let body = |context: &HostContext| {
        let id = ConnectionId::from_number(connection);
        let (Some(id), Ok(number)) = (id, u32::try_from(exchange)) else {
            return STATUS_STALE;
        };
        // Those that an exchange has in common with a session.
        match operation {
            POST_NOTIFY | POST_ASK_WRITABLE | POST_PAUSE | POST_RESUME | POST_HANG_UP => {}
            POST_ASK_AGAIN => {
                let operation = Operation::AskAgain;
                return status(context.services.hub.post_exchange(id, number, operation));
            }
            _ => return STATUS_ERROR,
        }
        match parse(operation, 0, payload) {
            Some(operation) => status(context.services.hub.post_exchange(id, number, operation)),
            None => STATUS_ERROR,
        }
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn post_all(
    context: *mut c_void,
    operation: u32,
    number: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: lent for this call.
    let payload = unsafe { payload.as_slice() };
    let body = |context: &HostContext| {
        let Some((_, _, Some(set))) = context.instance else {
            return STATUS_NONE;
        };
        let hub = &context.services.hub;
        if operation == POST_SEND {
            return broadcast(hub, set, number, payload);
        }
        match parse(operation, number, payload) {
            Some(operation) => status(hub.post_all(set, operation)),
            None => STATUS_ERROR,
        }
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

/// Frames a message once for all sessions of a set.
fn broadcast(hub: &Hub, set: SetId, number: u32, payload: &[u8]) -> Status {
    let slow = match number & (SLOW_DROP | SLOW_CLOSE) {
        SLOW_DROP => SlowPolicy::Drop,
        SLOW_CLOSE => SlowPolicy::Close,
        _ => return STATUS_ERROR,
    };
    let kind = match number & !(SLOW_DROP | SLOW_CLOSE) {
        text if text == MESSAGE_TEXT | MESSAGE_WHOLE => MessageKind::Text,
        binary if binary == MESSAGE_BINARY | MESSAGE_WHOLE => MessageKind::Binary,
        _ => return STATUS_ERROR,
    };
    let mut frame = Vec::with_capacity(payload.len() + 10);
    encode_message(&mut frame, kind, payload);
    status(hub.broadcast(set, &frame.into(), slow))
}

unsafe extern "C" fn for_each(context: *mut c_void, visit: Visit, data: *mut c_void) -> Status {
    let body = |context: &HostContext| {
        let Some((_, _, Some(set))) = context.instance else {
            return STATUS_NONE;
        };
        context.services.hub.for_each(set, &mut |id| {
            // SAFETY: the plugin gives a function and the data it wants, for the time of this call.
            unsafe { (visit.0)(data, id.get()) }
        });
        STATUS_OK
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn fact_bytes(
    context: *mut c_void,
    key: u32,
    out: *mut Bytes<'static>,
) -> Status {
    let body = |context: &HostContext| {
        let fact: &str = match (key, &context.instance) {
            (HOST_FACT_VHOST, Some((vhost, _, _))) => vhost,
            (HOST_FACT_PROTOCOL, Some((_, protocol, _))) => protocol,
            (HOST_FACT_VERSION, _) => env!("CARGO_PKG_VERSION"),
            _ => return None,
        };
        Some((fact.as_ptr(), fact.len()))
    };
    // SAFETY: see `with`.
    let fact = unsafe { with(context, None, body) };
    // SAFETY: the plugin gives a place for one slice; the context, and so the text, stays for ever.
    unsafe { lend(fact, out) }
}

/// Lends a fact, if there is one.
///
/// # Safety
///
/// `out` must be a place for one slice, and the bytes of the fact must stay for as long as the contract lends them.
pub(crate) unsafe fn lend(fact: Option<(*const u8, usize)>, out: *mut Bytes<'static>) -> Status {
    let Some((data, len)) = fact else {
        return STATUS_NONE;
    };
    let lent = Bytes {
        data,
        len,
        lender: std::marker::PhantomData,
    };
    // SAFETY: the caller promises the place.
    unsafe { out.write(lent) };
    STATUS_OK
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |_: &HostContext| FAULT.with_borrow_mut(|fault| add_fault(fault, text));
    // SAFETY: see `with`.
    unsafe { with(context, (), body) }
}

unsafe extern "C" fn linked_data(context: *mut c_void, type_id: *const c_void) -> *const c_void {
    let body = |context: &HostContext| {
        if !context.is_linked {
            return ptr::null();
        }
        // SAFETY: a plugin of this program gives the id of a type, for this call.
        let id = unsafe { &*type_id.cast::<TypeId>() };
        context.services.data.find(*id)
    };
    // SAFETY: see `with`.
    unsafe { with(context, ptr::null(), body) }
}

/// Does what may be refused, and tells the plugin why it is.
///
/// # Safety
///
/// As for [`with`]; `explain` and `data` are those that the plugin gave for this call.
unsafe fn explained(
    context: *mut c_void,
    explain: Explain,
    data: *mut c_void,
    body: impl FnOnce(&'static HostContext) -> Result<(), (Status, String)>,
) -> Status {
    let panicked = Err((STATUS_PANIC, "the host panicked".to_owned()));
    // SAFETY: see `with`.
    match unsafe { with(context, panicked, body) } {
        Ok(()) => STATUS_OK,
        Err((status, why)) => {
            // SAFETY: the plugin gives both for this call.
            unsafe { connect_calls::tell(explain, data, &why) };
            status
        }
    }
}

unsafe extern "C" fn connect(
    context: *mut c_void,
    request: *const ConnectRequest<'_>,
    given: *const Given,
    out: *mut u64,
    explain: Explain,
    data: *mut c_void,
) -> Status {
    let body = |context: &'static HostContext| {
        let host = context.host();
        // SAFETY: the plugin keeps the contract of this call.
        unsafe { connect_calls::connect(context, host, request, given, out) }
    };
    // SAFETY: see `with`; the plugin gives the last two for this call.
    unsafe { explained(context, explain, data, body) }
}

unsafe extern "C" fn give_up(context: *mut c_void, connect: u64) -> Status {
    let body = |context: &HostContext| {
        context.services.hub.give_up(connect);
        STATUS_OK
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

unsafe extern "C" fn request(
    context: *mut c_void,
    request: *const HttpRequest<'_>,
    asker: *const Asker,
    out: *mut u64,
    explain: Explain,
    data: *mut c_void,
) -> Status {
    let body = |context: &'static HostContext| {
        let host = context.host();
        // SAFETY: the plugin keeps the contract of this call.
        unsafe { ask_calls::ask(context, host, request, asker, out) }
    };
    // SAFETY: see `with`; the plugin gives the last two for this call.
    unsafe { explained(context, explain, data, body) }
}

unsafe extern "C" fn post_request(
    context: *mut c_void,
    request: u64,
    operation: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: lent for this call.
    let payload = unsafe { payload.as_slice() };
    let body = |context: &HostContext| {
        let operation = match operation {
            POST_SEND => RequestOperation::Send(payload.into()),
            POST_FINISH => RequestOperation::Finish,
            POST_ASK_WRITABLE => RequestOperation::AskWritable,
            POST_PAUSE => RequestOperation::Pause,
            POST_RESUME => RequestOperation::Resume,
            _ => return STATUS_ERROR,
        };
        status(context.services.hub.post_request(request, operation))
    };
    // SAFETY: see `with`.
    unsafe { with(context, STATUS_PANIC, body) }
}

fn status(posted: Result<(), PostError>) -> Status {
    match posted {
        Ok(()) => STATUS_OK,
        Err(PostError::Stale) => STATUS_STALE,
        Err(PostError::Full) => STATUS_FULL,
    }
}

/// What a post means; none when it means nothing.
fn parse(operation: u32, number: u32, payload: &[u8]) -> Option<Operation> {
    Some(match operation {
        POST_SEND => match number.checked_sub(MESSAGE_WHOLE)? {
            MESSAGE_TEXT => Operation::Send(MessageKind::Text, payload.into()),
            MESSAGE_BINARY => Operation::Send(MessageKind::Binary, payload.into()),
            MESSAGE_PING if payload.len() <= 125 => Operation::Ping(payload.into()),
            MESSAGE_PONG if payload.len() <= 125 => Operation::Pong(payload.into()),
            _ => return None,
        },
        POST_CLOSE => {
            let code = u16::try_from(number).ok()?;
            let reason = std::str::from_utf8(payload).ok()?;
            let sendable = code == 0 && reason.is_empty() || close_code::may_stand_in_frame(code);
            if !sendable || reason.len() > 123 {
                return None;
            }
            Operation::Close(code, reason.into())
        }
        POST_HANG_UP => Operation::HangUp,
        POST_ASK_WRITABLE => Operation::AskWritable,
        POST_PAUSE => Operation::Pause,
        POST_RESUME => Operation::Resume,
        POST_NOTIFY => Operation::Notify(payload.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
