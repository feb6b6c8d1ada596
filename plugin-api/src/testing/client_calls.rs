//! The calls of the test host that concern a connection which is not a session yet.

use std::ffi::c_void;

use super::{
    client::{Asked, Look, Next},
    handshake::nth,
};
use crate::abi::{self, Bytes, Status};

pub(super) static CALLS: abi::ClientCalls = abi::ClientCalls {
    size: size_of::<abi::ClientCalls>(),
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

/// # Safety
///
/// `context` is a look that is borrowed for the hook which is running.
unsafe fn look<'a>(context: *mut c_void) -> &'a Look<'a> {
    // SAFETY: the caller promises it; a look is only shared, and changes in its cells.
    unsafe { &*context.cast::<Look<'a>>() }
}

/// # Safety
///
/// As [`look`]; `out` is the plugin's, to be written, and uses what is lent until the hook returns.
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
    // SAFETY: the plugin hands back the client's context.
    let Some(number) = unsafe { look(context) }.number(key) else {
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
    // SAFETY: the plugin hands back the client's context, which outlives the hook.
    unsafe { lend(look(context).bytes(key), out) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_bytes`; the name is lent for this call.
    let (look, name) = unsafe { (look(context), name.as_slice()) };
    let value = look
        .answer
        .and_then(|answer| nth(&answer.fields, name, index));
    // SAFETY: as in `fact_bytes`.
    unsafe { lend(value, out) }
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_bytes`.
    let look = unsafe { look(context) };
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let Some((found, of)) = look.answer.and_then(|answer| answer.fields.get(index)) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: as in `fact_bytes`.
    unsafe {
        lend(Some(found.as_bytes()), name);
        lend(Some(of), value)
    }
}

unsafe extern "C" fn given(context: *mut c_void) -> *mut c_void {
    // SAFETY: the plugin hands back the client's context.
    unsafe { look(context) }.kept().look()
}

unsafe extern "C" fn take_given(context: *mut c_void) -> *mut c_void {
    // SAFETY: the plugin hands back the client's context.
    unsafe { look(context) }.kept().take()
}

unsafe extern "C" fn refuse(context: *mut c_void, why: Bytes<'_>) {
    // SAFETY: the plugin hands back the client's context, and lends the text.
    let (look, why) = unsafe { (look(context), why.as_slice()) };
    *look.refusal.borrow_mut() = Some(String::from_utf8_lossy(why).into_owned());
}

unsafe extern "C" fn again(context: *mut c_void, after_ms: u64) {
    // SAFETY: the plugin hands back the client's context.
    *unsafe { look(context) }.next.borrow_mut() = Next::Again(after_ms);
}

unsafe extern "C" fn retarget(
    context: *mut c_void,
    request: *const abi::ConnectRequest<'_>,
    explain: abi::Explain,
    data: *mut c_void,
) -> Status {
    // SAFETY: the plugin hands back the client's context, and lends the request.
    let (look, asked) = unsafe { (look(context), Asked::read(request)) };
    if let Some(why) = asked.refusal() {
        // SAFETY: the plugin gives both for this.
        unsafe { (explain.0)(data, Bytes::new(why.as_bytes())) };
        return abi::STATUS_ERROR;
    }
    *look.next.borrow_mut() = Next::To(asked);
    abi::STATUS_OK
}

unsafe extern "C" fn give_up(context: *mut c_void) {
    // SAFETY: the plugin hands back the client's context.
    *unsafe { look(context) }.next.borrow_mut() = Next::GiveUp;
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    // SAFETY: the plugin hands back the client's context, and lends the text.
    let (look, text) = unsafe { (look(context), text.as_slice()) };
    look.fault
        .borrow_mut()
        .push_str(&String::from_utf8_lossy(text));
}
