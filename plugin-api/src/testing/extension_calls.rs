//! The calls of the test host that an extension makes in its hooks.

use std::ffi::c_void;

use super::around::Around;
use crate::{
    FramePiece,
    abi::{self, Bytes, Status},
};

pub(super) static CALLS: abi::ExtensionCalls = abi::ExtensionCalls {
    size: size_of::<abi::ExtensionCalls>(),
    put,
    parameters,
    fact_number,
    fact_bytes,
    fail,
};

/// # Safety
///
/// `context` is borrowed for the hook which is running.
unsafe fn around<'a>(context: *mut c_void) -> &'a Around {
    // SAFETY: the caller promises it; it is only shared, and changes in its cells.
    unsafe { &*context.cast::<Around>() }
}

unsafe extern "C" fn put(context: *mut c_void, piece: *const abi::FramePiece<'_>) -> Status {
    // SAFETY: the plugin hands back the context, and lends the piece.
    let (around, piece) = unsafe { (around(context), FramePiece::from_raw(&*piece)) };
    around.put(piece)
}

unsafe extern "C" fn parameters(context: *mut c_void, parameters: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the context, and lends the text.
    let (around, text) = unsafe { (around(context), parameters.as_slice()) };
    match str::from_utf8(text) {
        Ok(text) => around.set_parameters(text),
        Err(_) => abi::STATUS_ERROR,
    }
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    // SAFETY: the plugin hands back the context.
    let Some(number) = unsafe { around(context) }.facts.number(key) else {
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
    // SAFETY: the plugin hands back the context; it uses the fact until the hook returns, and the context lives longer.
    let around: &'static Around = unsafe { around(context) };
    let Some(bytes) = around.facts.bytes(key) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(bytes)) };
    abi::STATUS_OK
}

unsafe extern "C" fn fail(context: *mut c_void, code: u32, text: Bytes<'_>) {
    // SAFETY: the plugin hands back the context, and lends the text.
    let (around, text) = unsafe { (around(context), text.as_slice()) };
    around.fail(code, &String::from_utf8_lossy(text));
}
