//! The calls of the test host that concern a plain request.

use std::ffi::c_void;

use super::{asked::State, handshake::nth};
use crate::abi::{self, Bytes, Status};

pub(super) static CALLS: abi::ResponseCalls = abi::ResponseCalls {
    size: size_of::<abi::ResponseCalls>(),
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

/// # Safety
///
/// `context` is a state that is borrowed for the call which is running.
unsafe fn state<'a>(context: *mut c_void) -> &'a State {
    // SAFETY: the caller promises it; a state is only shared, and changes in its cells.
    unsafe { &*context.cast::<State>() }
}

/// # Safety
///
/// `out` is the plugin's, to be written, and uses what is lent until the call returns.
unsafe fn lend(bytes: Option<&[u8]>, out: *mut Bytes<'static>) -> Status {
    let Some(bytes) = bytes else {
        return abi::STATUS_NONE;
    };
    let lent = Bytes {
        data: bytes.as_ptr(),
        len: bytes.len(),
        lender: std::marker::PhantomData,
    };
    // SAFETY: the caller promises it.
    unsafe { out.write(lent) };
    abi::STATUS_OK
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    // SAFETY: the plugin hands back the context of its request.
    let state = unsafe { state(context) };
    let answer = state.answer.borrow();
    let number = match key {
        abi::FACT_CONNECT => Some(state.number),
        abi::FACT_STATUS => answer.as_ref().map(|answer| answer.status.into()),
        _ => None,
    };
    let Some(number) = number else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(number) };
    abi::STATUS_OK
}

unsafe extern "C" fn fact_bytes(
    context: *mut c_void,
    key: u32,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_number`.
    let state = unsafe { state(context) };
    let location = state.location.borrow();
    let text = match key {
        abi::FACT_URL => Some(state.url.as_bytes()),
        abi::FACT_LOCATION => location.as_ref().map(String::as_bytes),
        _ => None,
    };
    // SAFETY: nobody changes either until the call returns.
    unsafe { lend(text, out) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_number`; the name is lent for this call.
    let (state, name) = unsafe { (state(context), name.as_slice()) };
    let answer = state.answer.borrow();
    let fields = answer.as_ref().map(|answer| &answer.fields[..]);
    let value = nth(fields.unwrap_or_default(), name, index);
    // SAFETY: nobody changes the answer until the call returns.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_number`.
    let state = unsafe { state(context) };
    let answer = state.answer.borrow();
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| answer.as_ref()?.fields.get(index));
    let Some((its_name, its_value)) = found else {
        return abi::STATUS_NONE;
    };
    // SAFETY: as in `field`, for two slices.
    unsafe {
        lend(Some(its_name.as_bytes()), name);
        lend(Some(its_value), value)
    }
}

unsafe extern "C" fn send(context: *mut c_void, piece: Bytes<'_>) -> Status {
    // SAFETY: as in `fact_number`; the piece is lent for this call.
    let (state, piece) = unsafe { (state(context), piece.as_slice()) };
    if state.is_finished.get() {
        return abi::STATUS_CLOSED;
    }
    if state.is_full.get() {
        return abi::STATUS_FULL;
    }
    state.body.borrow_mut().extend_from_slice(piece);
    abi::STATUS_OK
}

unsafe extern "C" fn finish(context: *mut c_void) -> Status {
    // SAFETY: as in `fact_number`.
    let state = unsafe { state(context) };
    match state.is_finished.replace(true) {
        true => abi::STATUS_CLOSED,
        false => abi::STATUS_OK,
    }
}

unsafe extern "C" fn ask_writable(context: *mut c_void) {
    // SAFETY: as in `fact_number`.
    unsafe { state(context) }.wants_writable.set(true);
}

unsafe extern "C" fn pause(context: *mut c_void) {
    // SAFETY: as in `fact_number`.
    unsafe { state(context) }.is_paused.set(true);
}

unsafe extern "C" fn resume(context: *mut c_void) {
    // SAFETY: as in `fact_number`.
    unsafe { state(context) }.is_paused.set(false);
}

unsafe extern "C" fn give_up(context: *mut c_void, why: Bytes<'_>) {
    // SAFETY: as in `fact_number`; the text is lent for this call.
    let (state, why) = unsafe { (state(context), why.as_slice()) };
    let why = String::from_utf8_lossy(why).into_owned();
    state.given_up.replace(Some(why));
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    // SAFETY: as in `give_up`.
    let (state, text) = unsafe { (state(context), text.as_slice()) };
    let mut fault = state.fault.borrow_mut();
    fault.push_str(&String::from_utf8_lossy(text));
}
