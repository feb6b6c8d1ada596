//! Sending plain requests: from the plain C of one to [`HttpRequest`], and to the service thread that is to have it.

use hotsocket_abi::{
    Asker, CONNECT_USUAL, Host, HttpRequest as Lent, REQUEST_BODY_CHUNKED, REQUEST_BODY_EXACT,
    REQUEST_BODY_NONE, REQUEST_BODY_WHOLE, STATUS_NONE, Status,
};

use crate::{
    context::{
        asking::Asking,
        client_request::{ClientRequest, ClientRequestError},
        http_request::{HttpBody, HttpRequest},
        response_handler::Listener,
    },
    plugin::{
        connect_calls::{Refused, read_way, words},
        door::Begun,
        host_calls::HostContext,
        response_adapter::PluginResponse,
        tables::read_response_block,
    },
    wire::url::Url,
};

/// Sends a request for the instance of `context`, whose number goes to `out`.
///
/// # Safety
///
/// The contract of [`hotsocket_abi::HostCalls::request`].
pub(crate) unsafe fn ask(
    context: &'static HostContext,
    host: &'static Host,
    request: *const Lent<'_>,
    asker: *const Asker,
    out: *mut u64,
) -> Result<(), (Status, String)> {
    // SAFETY: as the caller promises.
    let asked = unsafe { begin(context, host, request, asker) };
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
    context: &'static HostContext,
    host: &'static Host,
    request: *const Lent<'_>,
    asker: *const Asker,
) -> Result<u64, Refused> {
    let Some(door) = context.door() else {
        let why = "only an instance of a protocol sends requests: use the host that it was given";
        return Err(Refused(STATUS_NONE, why.to_owned()));
    };
    // SAFETY: as the caller promises.
    let request = unsafe { read(request) }?;
    // SAFETY: as above.
    let asker = unsafe { asker.as_ref() };
    let asker = asker.ok_or_else(|| Refused::request("nobody is to be told of the answer"))?;
    let block = read_response_block(asker.block);
    let block = block.map_err(|fault| Refused::request(fault.cause))?;
    let hub = &context.services.hub;
    if request.url().scheme().is_secure() {
        let made = hub.clients().tls(&request.to.trust);
        made.map_err(Refused::request)?;
    }
    let seat = hub.clients().seat();
    let seat = seat.ok_or_else(|| Refused::full("client_connections_count"))?;
    let number = hub.clients().number(hub.thread_for_client());
    let response = PluginResponse::new(asker.value, block, context, host);
    let asking = Asking {
        number,
        whose: None,
        request,
        listener: Listener::new(Box::new(response)),
        seat,
    };
    door.enter(Begun::Asking(Box::new(asking)), hub)
        .map_err(|(refused, begun)| {
            if let Begun::Asking(asking) = begun {
                // Its value stays the plugin's.
                asking.listener.forget();
            }
            refused
        })?;
    Ok(number)
}

/// What is asked for.
///
/// # Safety
///
/// A request that is lent for this call, or null.
unsafe fn read(request: *const Lent<'_>) -> Result<HttpRequest, Refused> {
    // SAFETY: as the caller promises.
    let size = unsafe { request.cast::<usize>().as_ref() };
    if size.is_none_or(|size| *size < size_of::<Lent<'_>>()) {
        return Err(Refused::request(
            "the request has another size than this host knows",
        ));
    }
    // SAFETY: as the caller promises, and it is at least as long as the one we know.
    let raw = unsafe { &*request };
    // SAFETY: all of it is lent for this call.
    let (method, body, to) = unsafe {
        (
            words(raw.method, "the method")?,
            raw.body.as_slice(),
            read_way(raw.to, to)?,
        )
    };
    let body = match raw.body_kind {
        REQUEST_BODY_NONE => HttpBody::None,
        REQUEST_BODY_WHOLE => HttpBody::Whole(body.into()),
        REQUEST_BODY_EXACT => HttpBody::Streamed(Some(raw.body_length)),
        REQUEST_BODY_CHUNKED => HttpBody::Streamed(None),
        other => {
            return Err(Refused::request(format!(
                "this host knows no body of kind {other}"
            )));
        }
    };
    let answer_ms = (raw.answer_ms != CONNECT_USUAL).then_some(raw.answer_ms);
    HttpRequest::of(method, to, body, answer_ms).map_err(Refused::request)
}

/// To this URL, as it is.
fn to(url: &str) -> Result<ClientRequest, ClientRequestError> {
    let bad = |cause| ClientRequestError::Url(url.to_owned(), cause);
    Ok(ClientRequest::of(Url::parse(url).map_err(bad)?))
}
