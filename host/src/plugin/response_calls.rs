//! The host calls of a plain request, while a plugin is told of it: from the plain C of the ABI to [`ResponseCall`].
//!
//! Each function is called by a plugin in the call that it was made for, on that thread, with the `context` of the
//! [`Response`](hotsocket_abi::Response) it was given. None may unwind: a panic of our own is caught and answered.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
};

use hotsocket_abi::{
    Bytes, FACT_CONNECT, FACT_LOCATION, FACT_STATUS, FACT_URL, ResponseCalls, STATUS_CLOSED,
    STATUS_ERROR, STATUS_FULL, STATUS_NONE, STATUS_OK, STATUS_PANIC, Status,
};

use crate::{
    connection::client_exchange::PutError,
    context::response_handler::ResponseCall,
    net::port::Sent,
    plugin::host_calls::{add_fault, lend},
    wire::{answer_head::HeldAnswer, fields::Fields, url::Url},
};

/// What a plugin may ask while it is told something.
#[derive(Default)]
pub(crate) struct ResponseContext<'c, 'a, 'p> {
    /// None while it is asked about a redirect.
    pub(crate) call: Option<&'c mut ResponseCall<'a, 'p>>,
    /// While it is told of the head.
    pub(crate) head: Option<&'c HeldAnswer>,
    /// Where a redirect leads.
    pub(crate) location: Option<&'c Url>,
    /// Holds a text that is made for the call.
    pub(crate) text: String,
    /// Why it is about to fail, in its own words.
    pub(crate) fault: String,
}

impl<'c, 'a, 'p> ResponseContext<'c, 'a, 'p> {
    pub(crate) fn of(call: &'c mut ResponseCall<'a, 'p>) -> Self {
        Self {
            call: Some(call),
            ..Self::default()
        }
    }
}

/// The table that every request of every plugin is given.
pub(crate) static RESPONSE_CALLS: ResponseCalls = ResponseCalls {
    size: size_of::<ResponseCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    send,
    finish,
    ask_writable,
    pause,
    resume,
    give_up,
    fail,
};

/// Runs `body` on what is behind `context`; a panic becomes `panicked`.
///
/// # Safety
///
/// `context` must be what the adapter put into the response of the call that is running.
unsafe fn with<R>(
    context: *mut c_void,
    panicked: R,
    body: impl FnOnce(&mut ResponseContext<'_, '_, '_>) -> R,
) -> R {
    // SAFETY: the adapter made `context` from a `&mut ResponseContext` that outlives the call and that nobody else uses
    // while the call runs.
    let response = unsafe { &mut *context.cast::<ResponseContext<'_, '_, '_>>() };
    catch_unwind(AssertUnwindSafe(|| body(response))).unwrap_or(panicked)
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    let body = |response: &mut ResponseContext<'_, '_, '_>| match key {
        FACT_STATUS => Some(response.head?.status.into()),
        FACT_CONNECT => Some(response.call.as_ref()?.number()),
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

unsafe extern "C" fn fact_bytes(
    context: *mut c_void,
    key: u32,
    out: *mut Bytes<'static>,
) -> Status {
    let body = |response: &mut ResponseContext<'_, '_, '_>| {
        // Printed, a URL shows no name and no password.
        response.text = match key {
            FACT_URL => response.call.as_ref()?.url().to_string(),
            FACT_LOCATION => response.location?.to_string(),
            _ => return None,
        };
        Some((response.text.as_ptr(), response.text.len()))
    };
    // SAFETY: see the module.
    let fact = unsafe { with(context, None, body) };
    // SAFETY: the plugin gives a place for one slice; what it points to stays until the call returns, which is how long
    // the contract lends it.
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
    let body = |response: &mut ResponseContext<'_, '_, '_>| {
        let is_meant = |other: &[u8]| other.eq_ignore_ascii_case(name);
        let fields = response.head?.fields.iter();
        let mut values = fields.filter(|(other, _)| is_meant(other));
        let (_, value) = values.nth(usize::try_from(index).ok()?)?;
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
    let body = |response: &mut ResponseContext<'_, '_, '_>| {
        let mut fields = response.head?.fields.iter();
        let (name, value) = fields.nth(usize::try_from(index).ok()?)?;
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

unsafe extern "C" fn send(context: *mut c_void, piece: Bytes<'_>) -> Status {
    // SAFETY: lent for this call.
    let piece = unsafe { piece.as_slice() };
    let body = |call: &mut ResponseCall<'_, '_>| match call.send(piece) {
        Ok(Sent::Queued) => STATUS_OK,
        Ok(Sent::Full) => STATUS_FULL,
        Ok(Sent::Closed | Sent::Refused) => STATUS_CLOSED,
        Err(error) => unsent(error),
    };
    // SAFETY: see the module.
    unsafe { with_call(context, body) }
}

unsafe extern "C" fn finish(context: *mut c_void) -> Status {
    let body = |call: &mut ResponseCall<'_, '_>| {
        let finished = call.finish(&Fields::new());
        finished.map_or_else(unsent, |()| STATUS_OK)
    };
    // SAFETY: see the module.
    unsafe { with_call(context, body) }
}

fn unsent(error: PutError) -> Status {
    match error {
        PutError::Unwanted | PutError::Late => STATUS_CLOSED,
        PutError::Length => STATUS_ERROR,
    }
}

/// Runs `body` on the request, if it goes on.
///
/// # Safety
///
/// As [`with`].
unsafe fn with_call(
    context: *mut c_void,
    body: impl FnOnce(&mut ResponseCall<'_, '_>) -> Status,
) -> Status {
    let body = |response: &mut ResponseContext<'_, '_, '_>| {
        response
            .call
            .as_mut()
            .map_or(STATUS_CLOSED, |call| body(call))
    };
    // SAFETY: as the caller promises.
    unsafe { with(context, STATUS_PANIC, body) }
}

/// The same for what has no answer.
///
/// # Safety
///
/// As [`with`].
unsafe fn ask(context: *mut c_void, body: impl FnOnce(&mut ResponseCall<'_, '_>)) {
    let body = |call: &mut ResponseCall<'_, '_>| {
        body(call);
        STATUS_OK
    };
    // SAFETY: as the caller promises.
    unsafe { with_call(context, body) };
}

unsafe extern "C" fn ask_writable(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { ask(context, |call| call.ask_writable()) }
}

unsafe extern "C" fn pause(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { ask(context, |call| call.pause()) }
}

unsafe extern "C" fn resume(context: *mut c_void) {
    // SAFETY: see the module.
    unsafe { ask(context, |call| call.resume()) }
}

unsafe extern "C" fn give_up(context: *mut c_void, why: Bytes<'_>) {
    // SAFETY: lent for this call.
    let why = String::from_utf8_lossy(unsafe { why.as_slice() });
    // SAFETY: see the module.
    unsafe { ask(context, |call| call.give_up(why)) }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    let body = |response: &mut ResponseContext<'_, '_, '_>| add_fault(&mut response.fault, text);
    // SAFETY: see the module.
    unsafe { with(context, (), body) }
}
