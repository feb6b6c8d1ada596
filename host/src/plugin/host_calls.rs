//! The host calls that a plugin may make from any thread.
//!
//! A `HostContext` is made for each generation and for each instance of a protocol, and is never freed: a thread of
//! a plugin, or a handle it kept, may call at any time. Each costs some hundred bytes, and comes from an operator who
//! installs a version or changes options.

use std::{
    any::{Any, TypeId},
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
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
    plugin::{ask_calls, connect_calls, door::Door},
    wire::{MessageKind, close_code},
};

/// One value of each type that the program gave, by type. Whoever is linked into the program may have it.
#[derive(Default)]
pub struct HostData {
    /// Each an `Arc` of the type, in a place that does not move.
    by_type: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl HostData {
    /// Adds a value, in place of the one of that type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.by_type.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// Where the `Arc` of the type with that id lies; null when there is none.
    fn find(&self, id: TypeId) -> *const c_void {
        let value = self.by_type.get(&id);
        value.map_or(ptr::null(), |value| ptr::from_ref(&**value).cast())
    }
}

/// What the host lends to all plugins.
pub struct Services {
    /// The way to all sessions.
    pub hub: Arc<Hub>,
    /// The most detailed level that is logged for the plugin of that name, as in the ABI; 0 for none.
    pub log_level: Box<dyn Fn(&str) -> u32 + Send + Sync>,
    /// What the program gave for the plugins that are linked into it.
    pub data: HostData,
    /// When the host began.
    pub began: Instant,
    /// How many counters one plugin may have.
    counters_count: AtomicUsize,
    /// By plugin and name.
    counters: Mutex<HashMap<String, HashMap<String, u64>>>,
}

impl Services {
    /// Services over the sessions of one host.
    #[must_use]
    pub fn new(
        hub: Arc<Hub>,
        log_level: Box<dyn Fn(&str) -> u32 + Send + Sync>,
        counters_count: usize,
    ) -> Self {
        Self {
            hub,
            log_level,
            data: HostData::default(),
            began: Instant::now(),
            counters_count: AtomicUsize::new(counters_count),
            counters: Mutex::default(),
        }
    }

    /// The same, with data for the plugins that are linked into the program.
    #[must_use]
    pub fn with_data(mut self, data: HostData) -> Self {
        self.data = data;
        self
    }

    /// A changed limit holds for counters that are new.
    pub fn set_counters_count(&self, count: usize) {
        self.counters_count.store(count, Ordering::Relaxed);
    }

    /// The counters of a plugin by name.
    #[must_use]
    pub fn counters(&self, plugin: &str) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counters.get(plugin).into_iter().flatten();
        own.map(|(name, value)| (name.clone(), *value)).collect()
    }

    /// Makes nothing but what is new, since a hook may count each message.
    fn count(&self, plugin: &str, name: &str, by: u64) -> Status {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get_mut(plugin).and_then(|own| own.get_mut(name)) {
            *counter = counter.wrapping_add(by);
            return STATUS_OK;
        }
        let own = counters.entry(plugin.to_owned()).or_default();
        if own.len() >= self.counters_count.load(Ordering::Relaxed) {
            return STATUS_FULL;
        }
        own.insert(name.to_owned(), by);
        STATUS_OK
    }
}

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
mod tests {
    use super::*;

    /// What a plugin gets that asks for data of type `T`.
    fn asked<T: 'static>(services: &Arc<Services>, is_linked: bool) -> *const c_void {
        let context = HostContext {
            services: Arc::clone(services),
            label: Label {
                plugin: "probe".into(),
                version: "1.0.0".into(),
                generation: 1,
            },
            is_linked,
            instance: None,
            door: None,
            host: OnceLock::new(),
        };
        let id = TypeId::of::<T>();
        // SAFETY: a host that was just made, and the id of a type of this program.
        unsafe { linked_data(context.leak().context, (&raw const id).cast()) }
    }

    #[test]
    fn only_a_linked_plugin_is_given_data_and_only_of_the_type_it_asks_for() {
        let mut data = HostData::default();
        data.insert(Arc::new(1_u32));
        data.insert(Arc::new(17_u32));
        let hub = Arc::new(Hub::new(Vec::new()));
        let services = Services::new(hub, Box::new(|_| 0), 1).with_data(data);
        let services = Arc::new(services);
        let given = asked::<u32>(&services, true);
        // SAFETY: an `Arc` of the type that was asked for; the leaked host keeps it.
        let given = unsafe { given.cast::<Arc<u32>>().as_ref() };
        assert_eq!(given.map(|given| **given), Some(17));
        assert!(asked::<i32>(&services, true).is_null());
        assert!(asked::<u32>(&services, false).is_null());
    }
}
