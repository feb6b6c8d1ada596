//! The calls of the test host that any thread may make.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::c_void,
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Outgoing,
    asked::WaitingRequest,
    client::{Asked, TestGiven, Waiting},
};
use crate::abi::{self, Bytes, Status};

/// What is queued for a session, for all of a protocol, or for an exchange.
pub(super) struct Post {
    target: Target,
    pub(super) operation: u32,
    pub(super) number: u32,
    pub(super) payload: Vec<u8>,
}

enum Target {
    Session(u64),
    /// By the numbers of its connection and its own.
    Exchange(u64, u64),
    Protocol(String),
}

impl Post {
    pub(super) fn is_for(&self, session: u64, protocol: &str) -> bool {
        match &self.target {
            Target::Session(id) => *id == session,
            Target::Exchange(..) => false,
            Target::Protocol(name) => name == protocol,
        }
    }

    pub(super) fn is_for_exchange(&self, connection: u64, exchange: u64) -> bool {
        matches!(self.target, Target::Exchange(c, e) if (c, e) == (connection, exchange))
    }
}

/// What any thread may reach. Leaked with its test, as a host is valid for ever.
#[derive(Default)]
pub(super) struct Shared {
    now_ms: AtomicU64,
    /// How much less than all is logged.
    unlogged_levels: AtomicU32,
    posts: Mutex<VecDeque<Post>>,
    sessions: Mutex<BTreeSet<(String, u64)>>,
    exchanges: Mutex<BTreeSet<(u64, u64)>>,
    /// Requests about which a policy is to be asked again.
    asked_again: Mutex<BTreeSet<(u64, u64)>>,
    knows_more: Condvar,
    log: Mutex<Vec<String>>,
    counters: Mutex<BTreeMap<String, u64>>,
    failure: Mutex<Option<String>>,
    connects: Mutex<VecDeque<Waiting>>,
    requests: Mutex<Vec<WaitingRequest>>,
    /// What is to be done with plain requests: number, operation, piece.
    request_posts: Mutex<Vec<(u64, u32, Vec<u8>)>>,
    last_connect: AtomicU64,
    given_up: Mutex<Vec<u64>>,
}

/// The context of one host.
struct Context {
    shared: &'static Shared,
    whose: Whose,
}

/// Whose host it is.
pub(super) enum Whose {
    Plugin,
    Protocol(String),
    Extension,
    Policy,
}

impl Shared {
    pub(super) fn host(&'static self, whose: Whose) -> *const abi::Host {
        let context = Box::leak(Box::new(Context {
            shared: self,
            whose,
        }));
        Box::leak(Box::new(abi::Host {
            context: (&raw mut *context).cast(),
            calls: &CALLS,
        }))
    }

    pub(super) fn opened(&self, protocol: &str, session: u64) {
        lock(&self.sessions).insert((protocol.to_owned(), session));
    }

    pub(super) fn ended(&self, protocol: &str, session: u64) {
        lock(&self.sessions).remove(&(protocol.to_owned(), session));
    }

    pub(super) fn exchange_opened(&self, connection: u64, exchange: u64) {
        lock(&self.exchanges).insert((connection, exchange));
    }

    pub(super) fn exchange_ended(&self, connection: u64, exchange: u64) {
        lock(&self.exchanges).remove(&(connection, exchange));
    }

    /// Whether a policy is to be asked again about a request; waits for that as long as `patience`.
    pub(super) fn is_asked_again(&self, request: (u64, u64), patience: Duration) -> bool {
        let asked = lock(&self.asked_again);
        let waited = self
            .knows_more
            .wait_timeout_while(asked, patience, |asked| !asked.contains(&request));
        let (mut asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        asked.remove(&request)
    }

    pub(super) fn next_post(&self) -> Option<Post> {
        lock(&self.posts).pop_front()
    }

    pub(super) fn has_posts(&self) -> bool {
        !lock(&self.posts).is_empty()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(super) fn set_now_ms(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn set_log_level(&self, level: log::LevelFilter) {
        let unlogged = abi::LOG_TRACE - level as u32;
        self.unlogged_levels.store(unlogged, Ordering::Relaxed);
    }

    pub(super) fn take_log(&self) -> Vec<String> {
        mem::take(&mut lock(&self.log))
    }

    pub(super) fn counter(&self, name: &str) -> u64 {
        lock(&self.counters).get(name).copied().unwrap_or_default()
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        lock(&self.failure).take()
    }

    pub(super) fn take_connects(&self) -> Vec<Waiting> {
        lock(&self.connects).drain(..).collect()
    }

    pub(super) fn take_requests(&self) -> Vec<WaitingRequest> {
        mem::take(&mut lock(&self.requests))
    }

    /// What is to be done with this request, in that order.
    pub(super) fn take_request_posts(&self, number: u64) -> Vec<(u32, Vec<u8>)> {
        let mut posts = lock(&self.request_posts);
        let (own, others) = mem::take(&mut *posts)
            .into_iter()
            .partition(|(of, _, _)| *of == number);
        *posts = others;
        let own: Vec<(u64, u32, Vec<u8>)> = own;
        own.into_iter()
            .map(|(_, operation, piece)| (operation, piece))
            .collect()
    }

    pub(super) fn take_given_up(&self) -> Vec<u64> {
        mem::take(&mut lock(&self.given_up))
    }

    fn is_open(&self, session: u64) -> bool {
        lock(&self.sessions).iter().any(|(_, id)| *id == session)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static CALLS: abi::HostCalls = abi::HostCalls {
    size: size_of::<abi::HostCalls>(),
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

/// # Safety
///
/// `context` is that of a host made by [`Shared::host`].
unsafe fn context(context: *mut c_void) -> &'static Context {
    // SAFETY: the caller promises it; contexts are leaked and never written.
    unsafe { &*context.cast::<Context>() }
}

/// # Safety
///
/// `bytes` are lent for this call.
unsafe fn text(bytes: Bytes<'_>) -> String {
    // SAFETY: the caller promises it.
    String::from_utf8_lossy(unsafe { bytes.as_slice() }).into_owned()
}

/// A test gives a plugin no data.
unsafe extern "C" fn linked_data(_: *mut c_void, _: *const c_void) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn log(host: *mut c_void, level: u32, _target: Bytes<'_>, line: Bytes<'_>) {
    // SAFETY: the plugin hands back its host's context, and lends the line.
    let (host, line) = unsafe { (context(host), text(line)) };
    let level = match level {
        abi::LOG_ERROR => "ERROR",
        abi::LOG_WARN => "WARN",
        abi::LOG_INFO => "INFO",
        abi::LOG_DEBUG => "DEBUG",
        _ => "TRACE",
    };
    lock(&host.shared.log).push(format!("{level} {line}"));
}

unsafe extern "C" fn log_level(host: *mut c_void) -> u32 {
    // SAFETY: the plugin hands back its host's context.
    let shared = unsafe { context(host) }.shared;
    abi::LOG_TRACE - shared.unlogged_levels.load(Ordering::Relaxed)
}

unsafe extern "C" fn count(host: *mut c_void, name: Bytes<'_>, by: u64) -> Status {
    // SAFETY: the plugin hands back its host's context, and lends the name.
    let (host, name) = unsafe { (context(host), text(name)) };
    *lock(&host.shared.counters).entry(name).or_default() += by;
    abi::STATUS_OK
}

unsafe extern "C" fn now_ms(host: *mut c_void) -> u64 {
    // SAFETY: the plugin hands back its host's context.
    unsafe { context(host) }.shared.now_ms()
}

unsafe extern "C" fn post(
    host: *mut c_void,
    session: u64,
    operation: u32,
    number: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: the plugin hands back its host's context, and lends the payload.
    let (shared, payload) = unsafe { (context(host).shared, payload.as_slice()) };
    if !shared.is_open(session) {
        return abi::STATUS_STALE;
    }
    let makes_sense = match operation {
        abi::POST_SEND => Outgoing::new(number, payload).is_some(),
        abi::POST_CLOSE => payload.len() <= 123,
        _ => true,
    };
    if !makes_sense {
        return abi::STATUS_ERROR;
    }
    lock(&shared.posts).push_back(Post {
        target: Target::Session(session),
        operation,
        number,
        payload: payload.to_vec(),
    });
    abi::STATUS_OK
}

unsafe extern "C" fn post_exchange(
    host: *mut c_void,
    connection: u64,
    exchange: u64,
    operation: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: the plugin hands back its host's context, and lends the payload.
    let (shared, payload) = unsafe { (context(host).shared, payload.as_slice()) };
    if !lock(&shared.exchanges).contains(&(connection, exchange)) {
        return abi::STATUS_STALE;
    }
    if operation == abi::POST_ASK_AGAIN {
        lock(&shared.asked_again).insert((connection, exchange));
        shared.knows_more.notify_all();
        return abi::STATUS_OK;
    }
    lock(&shared.posts).push_back(Post {
        target: Target::Exchange(connection, exchange),
        operation,
        number: 0,
        payload: payload.to_vec(),
    });
    abi::STATUS_OK
}

unsafe extern "C" fn post_all(
    host: *mut c_void,
    operation: u32,
    number: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: the plugin hands back its host's context, and lends the payload.
    let (host, payload) = unsafe { (context(host), payload.as_slice()) };
    let Whose::Protocol(protocol) = &host.whose else {
        return abi::STATUS_NONE;
    };
    lock(&host.shared.posts).push_back(Post {
        target: Target::Protocol(protocol.clone()),
        operation,
        number,
        payload: payload.to_vec(),
    });
    abi::STATUS_OK
}

unsafe extern "C" fn for_each(host: *mut c_void, visit: abi::Visit, data: *mut c_void) -> Status {
    // SAFETY: the plugin hands back its host's context.
    let host = unsafe { context(host) };
    let Whose::Protocol(protocol) = &host.whose else {
        return abi::STATUS_NONE;
    };
    let sessions = lock(&host.shared.sessions).clone();
    for (_, id) in sessions.iter().filter(|(name, _)| name == protocol) {
        // SAFETY: the plugin gave both for this.
        unsafe { (visit.0)(data, *id) };
    }
    abi::STATUS_OK
}

unsafe extern "C" fn fact_bytes(host: *mut c_void, key: u32, out: *mut Bytes<'static>) -> Status {
    // SAFETY: the plugin hands back its host's context.
    let host = unsafe { context(host) };
    let fact = match (key, &host.whose) {
        (abi::HOST_FACT_VERSION, _) => env!("CARGO_PKG_VERSION"),
        (abi::HOST_FACT_VHOST, Whose::Protocol(_) | Whose::Extension | Whose::Policy) => "test",
        (abi::HOST_FACT_PROTOCOL, Whose::Protocol(protocol)) => protocol,
        _ => return abi::STATUS_NONE,
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(fact.as_bytes())) };
    abi::STATUS_OK
}

unsafe extern "C" fn fail(host: *mut c_void, why: Bytes<'_>) {
    // SAFETY: the plugin hands back its host's context, and lends the text.
    let (host, why) = unsafe { (context(host), text(why)) };
    let mut failure = lock(&host.shared.failure);
    let before = failure.take().map(|before| before + "; then ");
    *failure = Some(before.unwrap_or_default() + &why);
}

unsafe extern "C" fn connect(
    host: *mut c_void,
    request: *const abi::ConnectRequest<'_>,
    given: *const abi::Given,
    out: *mut u64,
    explain: abi::Explain,
    data: *mut c_void,
) -> Status {
    // SAFETY: the plugin hands back its host's context, and lends the request.
    let (host, asked) = unsafe { (context(host), Asked::read(request)) };
    let refused = match &host.whose {
        Whose::Protocol(_) => asked.refusal().map(|why| (abi::STATUS_ERROR, why)),
        _ => Some((
            abi::STATUS_NONE,
            "only an instance opens connections".into(),
        )),
    };
    let (None, Whose::Protocol(protocol)) = (&refused, &host.whose) else {
        let (status, why) = refused.unwrap_or_default();
        // SAFETY: the plugin gives both for this.
        unsafe { (explain.0)(data, Bytes::new(why.as_bytes())) };
        return status;
    };
    let number = host.shared.last_connect.fetch_add(1, Ordering::Relaxed) + 1;
    lock(&host.shared.connects).push_back(Waiting {
        protocol: protocol.clone(),
        number,
        asked,
        // SAFETY: the plugin gives it away with this call.
        given: unsafe { TestGiven::new(given) },
    });
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(number) };
    abi::STATUS_OK
}

unsafe extern "C" fn give_up(host: *mut c_void, connect: u64) -> Status {
    // SAFETY: the plugin hands back its host's context.
    let shared = unsafe { context(host) }.shared;
    lock(&shared.given_up).push(connect);
    abi::STATUS_OK
}

unsafe extern "C" fn request(
    host: *mut c_void,
    request: *const abi::HttpRequest<'_>,
    asker: *const abi::Asker,
    out: *mut u64,
    explain: abi::Explain,
    data: *mut c_void,
) -> Status {
    // SAFETY: the plugin hands back its host's context, lends the request, and gives the asker away if it is taken.
    let (host, waiting) = unsafe { (context(host), WaitingRequest::read(request, asker)) };
    let refused = match &host.whose {
        Whose::Protocol(_) => waiting.refusal().map(|why| (abi::STATUS_ERROR, why)),
        _ => Some((
            abi::STATUS_NONE,
            "only an instance of a protocol sends requests".into(),
        )),
    };
    let (None, Whose::Protocol(protocol)) = (&refused, &host.whose) else {
        let (status, why) = refused.unwrap_or_default();
        // SAFETY: the plugin gives both for this.
        unsafe { (explain.0)(data, Bytes::new(why.as_bytes())) };
        return status;
    };
    let number = host.shared.last_connect.fetch_add(1, Ordering::Relaxed) + 1;
    lock(&host.shared.requests).push(waiting.of(protocol, number));
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(number) };
    abi::STATUS_OK
}

unsafe extern "C" fn post_request(
    host: *mut c_void,
    request: u64,
    operation: u32,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: the plugin hands back its host's context, and lends the payload.
    let (shared, payload) = unsafe { (context(host).shared, payload.as_slice()) };
    lock(&shared.request_posts).push((request, operation, payload.to_vec()));
    abi::STATUS_OK
}
