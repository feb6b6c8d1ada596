//! The calls of the test host that concern the opening handshake being judged: all of them only write into it.

use std::{ffi::c_void, marker::PhantomData};

use super::handshake::{Opening, nth};
use crate::abi::{self, Bytes, Status};

pub(super) static CALLS: abi::HandshakeCalls = abi::HandshakeCalls {
    size: size_of::<abi::HandshakeCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    tag,
    offered,
    choose,
    add_field,
    refuse,
    fail,
};

/// # Safety
///
/// `context` is an opening that is lent to the hook which is running.
unsafe fn opening<'a>(context: *mut c_void) -> &'a Opening {
    // SAFETY: the caller promises it; an opening is only shared, and changes in its cells.
    unsafe { &*context.cast::<Opening>() }
}

/// # Safety
///
/// `out` may be written, and who reads it does not outlive what is lent.
pub(super) unsafe fn lend(bytes: Option<&[u8]>, out: *mut Bytes<'static>) -> Status {
    let Some(bytes) = bytes else {
        return abi::STATUS_NONE;
    };
    let lent = Bytes {
        data: bytes.as_ptr(),
        len: bytes.len(),
        lender: PhantomData,
    };
    // SAFETY: the caller promises it.
    unsafe { out.write(lent) };
    abi::STATUS_OK
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    // SAFETY: the plugin hands back the handshake's context.
    let Some(number) = unsafe { opening(context) }.facts.number(key) else {
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
    // SAFETY: the plugin hands back the handshake's context, and uses the fact until the hook returns.
    unsafe { lend(opening(context).bytes(key), out) }
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the handshake's context, lends the name, and uses the field until the hook returns.
    unsafe {
        let fields = &opening(context).handshake.fields;
        lend(nth(fields, name.as_slice(), index), out)
    }
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the handshake's context.
    let fields = &unsafe { opening(context) }.handshake.fields;
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| fields.get(index));
    // SAFETY: both places are the plugin's, which uses what is lent until the hook returns.
    unsafe {
        lend(found.map(|(name, _)| name.as_bytes()), name);
        lend(found.map(|(_, value)| value.as_slice()), value)
    }
}

unsafe extern "C" fn offered(context: *mut c_void, index: u64, out: *mut Bytes<'static>) -> Status {
    // SAFETY: the plugin hands back the handshake's context.
    let offered = &unsafe { opening(context) }.handshake.offered;
    let found = usize::try_from(index)
        .ok()
        .and_then(|index| offered.get(index));
    // SAFETY: the place is the plugin's, which uses what is lent until the hook returns.
    unsafe { lend(found.map(String::as_bytes), out) }
}

unsafe extern "C" fn choose(context: *mut c_void, subprotocol: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the handshake's context, and lends the name.
    let (opening, subprotocol) = unsafe { (opening(context), subprotocol.as_slice()) };
    opening.choose(&String::from_utf8_lossy(subprotocol))
}

unsafe extern "C" fn add_field(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the handshake's context, and lends name and value.
    unsafe { opening(context).add_field(name.as_slice(), value.as_slice()) }
}

unsafe extern "C" fn refuse(context: *mut c_void, status: u32, content: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the handshake's context, and lends the content.
    unsafe { opening(context).refuse(status, content.as_slice()) }
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    // SAFETY: the plugin hands back the handshake's context, and lends the text.
    let (opening, text) = unsafe { (opening(context), text.as_slice()) };
    let text = String::from_utf8_lossy(text).into_owned();
    opening.failures.borrow_mut().push(text);
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the handshake's context, lends the name, and uses the tag until the hook returns.
    unsafe { lend(opening(context).facts.tag(name.as_slice()), out) }
}
