//! The calls of the test host that concern the session being served: all of them only write into its record.

use std::ffi::c_void;

use super::{record::Record, session::Outgoing};
use crate::abi::{self, Bytes, Status};

pub(super) static CALLS: abi::SessionCalls = abi::SessionCalls {
    size: size_of::<abi::SessionCalls>(),
    send,
    close,
    hang_up,
    queued_bytes,
    ask_writable,
    pause,
    resume,
    set_deadline,
    set_timer,
    cancel_timer,
    fact_number,
    fact_bytes,
    field,
    tag,
    take_learnt,
    take_given,
    fail,
};

/// # Safety
///
/// `context` is a record that is borrowed for the hook which is running.
unsafe fn record<'a>(context: *mut c_void) -> &'a Record {
    // SAFETY: the caller promises it; a record is only shared, and changes in its cells.
    unsafe { &*context.cast::<Record>() }
}

unsafe extern "C" fn send(context: *mut c_void, flags: u32, payload: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the session's context, and lends the payload.
    let (record, payload) = unsafe { (record(context), payload.as_slice()) };
    match Outgoing::new(flags, payload) {
        Some(outgoing) => record.send(outgoing),
        None => abi::STATUS_ERROR,
    }
}

unsafe extern "C" fn close(context: *mut c_void, code: u32, reason: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the session's context, and lends the reason.
    let (record, reason) = unsafe { (record(context), reason.as_slice()) };
    record.begin_close(code, &String::from_utf8_lossy(reason))
}

unsafe extern "C" fn hang_up(context: *mut c_void) {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.hang_up();
}

unsafe extern "C" fn queued_bytes(context: *mut c_void) -> u64 {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.queued_bytes()
}

unsafe extern "C" fn ask_writable(context: *mut c_void) {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.asked_writable.set(true);
}

unsafe extern "C" fn pause(context: *mut c_void) {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.paused.set(true);
}

unsafe extern "C" fn resume(context: *mut c_void) {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.paused.set(false);
}

unsafe extern "C" fn set_deadline(
    context: *mut c_void,
    after_ms: u64,
    reason: Bytes<'_>,
) -> Status {
    // SAFETY: the plugin hands back the session's context, and lends the reason.
    let (record, reason) = unsafe { (record(context), reason.as_slice()) };
    record.set_deadline(after_ms, &String::from_utf8_lossy(reason))
}

unsafe extern "C" fn set_timer(context: *mut c_void, id: u64, after_ms: u64) -> Status {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.set_timer(id, after_ms);
    abi::STATUS_OK
}

unsafe extern "C" fn cancel_timer(context: *mut c_void, id: u64) -> Status {
    // SAFETY: the plugin hands back the session's context.
    let removed = unsafe { record(context) }.timers.borrow_mut().remove(&id);
    removed.map_or(abi::STATUS_NONE, |_| abi::STATUS_OK)
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    // SAFETY: the plugin hands back the session's context.
    let Some(number) = unsafe { record(context) }.number(key) else {
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
    // SAFETY: the plugin hands back the session's context; the plugin uses the fact until the hook returns, and the
    // record lives longer.
    let record: &'static Record = unsafe { record(context) };
    let Some(bytes) = record.bytes(key) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(bytes)) };
    abi::STATUS_OK
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    // SAFETY: the plugin hands back the session's context, and lends the text.
    let (record, text) = unsafe { (record(context), text.as_slice()) };
    record
        .failures
        .borrow_mut()
        .push(String::from_utf8_lossy(text).into_owned());
}

unsafe extern "C" fn field(
    context: *mut c_void,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_bytes`; the name is lent for this call.
    let (record, name) = unsafe { (record(context) as &'static Record, name.as_slice()) };
    let Some(value) = record.kept_header(name, index) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(value)) };
    abi::STATUS_OK
}

unsafe extern "C" fn take_learnt(context: *mut c_void) -> *mut c_void {
    // SAFETY: the plugin hands back the session's context.
    unsafe { record(context) }.learnt.take()
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the session's context, and lends the name; it uses the tag until the hook returns, and
    // the record lives longer.
    let (record, name): (&'static Record, _) = unsafe { (record(context), name.as_slice()) };
    let Some(value) = record.tag(name) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(value)) };
    abi::STATUS_OK
}

unsafe extern "C" fn take_given(context: *mut c_void) -> *mut c_void {
    // SAFETY: the plugin hands back the session's context.
    let client = unsafe { record(context) }.client.as_ref();
    client.map_or(std::ptr::null_mut(), |client| client.kept.take())
}
