//! Opening connections: from the plain C of a request to [`ClientRequest`], and to the service thread that is to have it.

use std::{
    any::Any,
    ffi::{OsStr, c_void},
    os::unix::ffi::OsStrExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    ptr,
};

use hotsocket_abi::{
    Bytes, CONNECT_DOWNGRADE, CONNECT_FOREVER, CONNECT_USUAL, ConnectRequest, Explain,
    Given as Lent, Host, PROXIES_GIVEN, PROXIES_NONE, PROXIES_USUAL, STATUS_ERROR, STATUS_FULL,
    STATUS_NONE, STATUS_OK, Status, TLS_PINNED, TLS_SELF_SIGNED, TLS_VERIFIED,
};

use crate::{
    context::{
        client_request::{ClientRequest, ClientRequestError, ServerTrust},
        outgoing::{Connecting, Given, Whose},
    },
    plugin::{door::Begun, host_calls::HostContext, instance::pointer},
};

/// Why nothing is opened.
pub(crate) struct Refused(pub(crate) Status, pub(crate) String);

impl Refused {
    pub(crate) fn request(why: impl ToString) -> Self {
        Self(STATUS_ERROR, why.to_string())
    }

    /// Of a plugin that was built against a newer contract.
    fn unknown(what: &str, number: u32) -> Self {
        Self::request(format!("this host knows no {what} {number}"))
    }

    pub(crate) fn full(limit: &str) -> Self {
        Self(STATUS_FULL, format!("limits.{limit} is reached"))
    }
}

/// Opens a connection for the instance of `context`, whose number goes to `out`.
///
/// # Safety
///
/// The contract of [`hotsocket_abi::HostCalls::connect`].
pub(crate) unsafe fn connect(
    context: &HostContext,
    host: *const Host,
    request: *const ConnectRequest<'_>,
    given: *const Lent,
    out: *mut u64,
) -> Result<(), (Status, String)> {
    // SAFETY: as the caller promises.
    let asked = unsafe { begin(context, host, request, given) };
    match asked {
        Ok(number) => {
            // SAFETY: the plugin gives a place for one number.
            unsafe { out.write(number) };
            Ok(())
        }
        Err(Refused(status, why)) => Err((status, why)),
    }
}

unsafe fn begin(
    context: &HostContext,
    host: *const Host,
    request: *const ConnectRequest<'_>,
    given: *const Lent,
) -> Result<u64, Refused> {
    let Some(door) = context.door().filter(|door| door.has_sessions) else {
        let why = "only an instance of a protocol with sessions opens connections: use the host that it was given";
        return Err(Refused(STATUS_NONE, why.to_owned()));
    };
    // SAFETY: as the caller promises.
    let request = unsafe { read(request) }?;
    let hub = &context.services.hub;
    if request.url.scheme().is_secure() {
        let made = hub.clients().tls(&request.trust);
        made.map_err(Refused::request)?;
    }
    let seat = hub.clients().seat();
    let seat = seat.ok_or_else(|| Refused::full("client_connections_count"))?;
    let number = hub.clients().number(hub.thread_for_client());
    let connecting = Connecting {
        number,
        whose: Whose::Protocol(String::new()),
        request,
        // SAFETY: as the caller promises.
        given: unsafe { take(given, host) },
        seat,
    };
    door.enter(Begun::Connecting(Box::new(connecting)), hub)
        .map_err(|(refused, begun)| {
            if let Begun::Connecting(connecting) = begun {
                // It stays the plugin's.
                let _ = connecting.given.map(Given::take);
            }
            refused
        })?;
    Ok(number)
}

/// What was given, the host's from now on.
///
/// # Safety
///
/// Null, or a value of the plugin's with what frees it, which may be called once from any thread.
unsafe fn take(given: *const Lent, host: *const Host) -> Option<Given> {
    // SAFETY: as the caller promises.
    let given = unsafe { given.as_ref() }.filter(|given| !given.value.is_null())?;
    let (free, host) = (given.free, host.expose_provenance());
    let value = given.value.expose_provenance();
    Some(Given::new(value, move |value| {
        let host = ptr::with_exposed_provenance(host);
        // SAFETY: the value that came with this function, which nobody has taken; the host is valid for ever.
        let status = unsafe { (free.0)(pointer(value), host) };
        if status != STATUS_OK {
            tracing::error!(target: "hotsocket::plugin", status, text = crate::plugin::host_calls::take_fault(),
                "what a plugin has given to a connection could not be freed");
        }
    }))
}

/// What a program gives to a plugin that is linked into it: as the plugin itself would have it.
pub(crate) fn given(value: Box<dyn Any + Send>) -> Given {
    // A box around the box: what crosses is one word.
    let word = Box::into_raw(Box::new(value)).expose_provenance();
    let free = |word| {
        let value = ptr::with_exposed_provenance_mut::<Box<dyn Any + Send>>(word);
        // SAFETY: the word of a box that was given away here, which nobody has taken.
        let value = unsafe { Box::from_raw(value) };
        if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
            tracing::error!(target: "hotsocket::plugin",
                "what the program has given to a connection panicked when it was dropped");
        }
    };
    Given::new(word, free).of_program()
}

/// What is asked for.
///
/// # Safety
///
/// A request that is lent for this call, or null.
pub(crate) unsafe fn read_way(
    request: *const ConnectRequest<'_>,
    to: impl FnOnce(&str) -> Result<ClientRequest, ClientRequestError>,
) -> Result<ClientRequest, Refused> {
    // SAFETY: as the caller promises.
    let size = unsafe { request.cast::<usize>().as_ref() };
    if size.is_none_or(|size| *size < size_of::<ConnectRequest<'_>>()) {
        return Err(Refused::request(
            "the request has another size than this host knows",
        ));
    }
    // SAFETY: as the caller promises, and it is at least as long as the one we know.
    let raw = unsafe { &*request };
    // SAFETY: all of it is lent for this call.
    let (url, host, origin, proxy) = unsafe {
        (
            words(raw.url, "the URL")?,
            words(raw.host, "the host")?,
            words(raw.origin, "the origin")?,
            words(raw.proxy, "the proxy")?,
        )
    };
    let mut asked = to(url).map_err(Refused::request)?;
    if !host.is_empty() {
        asked = asked.host(host);
    }
    if !origin.is_empty() {
        asked = asked.origin(origin);
    }
    for at in 0..raw.subprotocol_count {
        // SAFETY: the request says that so many stand there.
        let name = unsafe { words(raw.subprotocols.add(at).read(), "a subprotocol") }?;
        asked = asked.subprotocol(name);
    }
    for at in 0..raw.field_count {
        // SAFETY: as above.
        let (name, value) = unsafe {
            let field = raw.fields.add(at).read();
            (
                words(field.name, "the name of a field")?,
                field.value.as_slice(),
            )
        };
        asked = asked.field(name, value).map_err(Refused::request)?;
    }
    // SAFETY: all of it is lent for this call.
    asked = asked.trust(unsafe { trust(raw) }?);
    asked = match raw.proxies {
        PROXIES_USUAL => asked,
        PROXIES_NONE => asked.without_proxy(),
        PROXIES_GIVEN => asked.proxy(proxy).map_err(Refused::request)?,
        other => return Err(Refused::unknown("proxy kind", other)),
    };
    let number = |number| (number != CONNECT_USUAL).then_some(number);
    asked = asked.allowing_downgrade(raw.flags & CONNECT_DOWNGRADE != 0);
    asked.within_ms = number(raw.within_ms);
    asked.redirects = number(raw.redirects);
    asked.retries = (raw.retries != CONNECT_FOREVER).then_some(raw.retries);
    asked.retry_first_ms = number(raw.retry_first_ms);
    asked.retry_most_ms = number(raw.retry_most_ms);
    Ok(asked)
}

/// Which servers it is to believe.
///
/// # Safety
///
/// What the request leads to is lent for this call.
unsafe fn trust(raw: &ConnectRequest<'_>) -> Result<ServerTrust, Refused> {
    // SAFETY: as the caller promises.
    let (roots, pin) = unsafe { (raw.roots.as_slice(), raw.pin.as_slice()) };
    match raw.tls {
        TLS_VERIFIED if roots.is_empty() => Ok(ServerTrust::Verified),
        TLS_VERIFIED => Ok(ServerTrust::Roots(PathBuf::from(OsStr::from_bytes(roots)))),
        TLS_SELF_SIGNED => Ok(ServerTrust::AcceptSelfSigned),
        TLS_PINNED => pin
            .try_into()
            .map(ServerTrust::Pinned)
            .map_err(|_| Refused::request("a pinned key is given by the 32 bytes of its SHA-256")),
        other => Err(Refused::unknown("TLS kind", other)),
    }
}

/// The same for a WebSocket.
///
/// # Safety
///
/// As [`read_way`].
unsafe fn read(request: *const ConnectRequest<'_>) -> Result<ClientRequest, Refused> {
    // SAFETY: as the caller promises.
    let asked = unsafe { read_way(request, ClientRequest::to) }?;
    asked.check().map_err(Refused::request)?;
    Ok(asked)
}

/// # Safety
///
/// The bytes are lent for `'a`.
pub(crate) unsafe fn words<'a>(bytes: Bytes<'a>, what: &str) -> Result<&'a str, Refused> {
    // SAFETY: as the caller promises.
    let bytes = unsafe { bytes.as_slice() };
    str::from_utf8(bytes).map_err(|_| Refused::request(format!("{what} is not UTF-8")))
}

/// The same for a request in the place of another.
///
/// # Safety
///
/// As [`read`].
pub(crate) unsafe fn read_request(
    request: *const ConnectRequest<'_>,
) -> Result<ClientRequest, String> {
    // SAFETY: as the caller promises.
    unsafe { read(request) }.map_err(|Refused(_, why)| why)
}

/// Tells a plugin what is wrong.
///
/// # Safety
///
/// The plugin gives a function and the data it wants, for the time of this call.
pub(crate) unsafe fn tell(explain: Explain, data: *mut c_void, why: &str) {
    // SAFETY: as the caller promises.
    unsafe { (explain.0)(data, Bytes::new(why.as_bytes())) }
}
