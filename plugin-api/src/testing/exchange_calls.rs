//! The calls of the test host that concern the exchange being served: all of them only write into its record.

use std::{ffi::c_void, path::Path};

use super::exchange_record::ExchangeRecord;
use crate::abi::{self, Bytes, Status};

pub(super) static CALLS: abi::ExchangeCalls = abi::ExchangeCalls {
    size: size_of::<abi::ExchangeCalls>(),
    fact_number,
    fact_bytes,
    field,
    field_at,
    tag,
    add_field,
    respond,
    start,
    send,
    finish,
    respond_file,
    close_after,
    abort,
    queued_bytes,
    ask_writable,
    pause,
    resume,
    set_timer,
    cancel_timer,
    fail,
};

/// # Safety
///
/// `context` is a record that is borrowed for the hook which is running.
unsafe fn record<'a>(context: *mut c_void) -> &'a ExchangeRecord {
    // SAFETY: the caller promises it; a record is only shared, and changes in its cells.
    unsafe { &*context.cast::<ExchangeRecord>() }
}

unsafe extern "C" fn fact_number(context: *mut c_void, key: u32, out: *mut u64) -> Status {
    // SAFETY: the plugin hands back the exchange's context.
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
    // SAFETY: the plugin hands back the exchange's context; it uses the fact until the hook returns, and the record
    // lives longer.
    let record: &'static ExchangeRecord = unsafe { record(context) };
    let Some(bytes) = record.bytes(key) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(bytes)) };
    abi::STATUS_OK
}

unsafe extern "C" fn field(
    context: *mut c_void,
    list: u32,
    name: Bytes<'_>,
    index: u64,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_bytes`; the name is lent.
    let (record, name): (&'static ExchangeRecord, _) =
        unsafe { (record(context), name.as_slice()) };
    let mut same = record
        .fields(list)
        .iter()
        .filter(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name));
    let Some((_, value)) = same.nth(index as usize) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(value.as_bytes())) };
    abi::STATUS_OK
}

unsafe extern "C" fn field_at(
    context: *mut c_void,
    list: u32,
    index: u64,
    name: *mut Bytes<'static>,
    value: *mut Bytes<'static>,
) -> Status {
    // SAFETY: as in `fact_bytes`.
    let record: &'static ExchangeRecord = unsafe { record(context) };
    let Some(found) = record.fields(list).get(index as usize) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: both are the plugin's, to be written.
    unsafe {
        name.write(Bytes::new(found.0.as_bytes()));
        value.write(Bytes::new(found.1.as_bytes()));
    }
    abi::STATUS_OK
}

unsafe extern "C" fn add_field(context: *mut c_void, name: Bytes<'_>, value: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the exchange's context, and lends both.
    let (record, name, value) = unsafe { (record(context), name.as_slice(), value.as_slice()) };
    record.add_field(name, value)
}

unsafe extern "C" fn respond(context: *mut c_void, status: u32, content: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the exchange's context, and lends the content.
    let (record, content) = unsafe { (record(context), content.as_slice()) };
    record.respond(status, content)
}

unsafe extern "C" fn start(context: *mut c_void, status: u32, length: u64) -> Status {
    let announced = (length != abi::LENGTH_UNKNOWN).then_some(length);
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.begin(status, announced)
}

unsafe extern "C" fn send(context: *mut c_void, piece: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the exchange's context, and lends the piece.
    let (record, piece) = unsafe { (record(context), piece.as_slice()) };
    record.send(piece)
}

unsafe extern "C" fn finish(context: *mut c_void) -> Status {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.finish()
}

unsafe extern "C" fn respond_file(context: *mut c_void, path: Bytes<'_>) -> Status {
    // SAFETY: the plugin hands back the exchange's context, and lends the path.
    let (record, path) = unsafe { (record(context), path.as_slice()) };
    let path = String::from_utf8_lossy(path);
    record.respond_file(Path::new(&*path))
}

unsafe extern "C" fn close_after(context: *mut c_void) {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.close_after.set(true);
}

unsafe extern "C" fn abort(context: *mut c_void) {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.cut_off.set(true);
}

unsafe extern "C" fn queued_bytes(context: *mut c_void) -> u64 {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.queued_bytes()
}

unsafe extern "C" fn ask_writable(context: *mut c_void) {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.asked_writable.set(true);
}

unsafe extern "C" fn pause(context: *mut c_void) {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.paused.set(true);
}

unsafe extern "C" fn resume(context: *mut c_void) {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.paused.set(false);
}

unsafe extern "C" fn set_timer(context: *mut c_void, id: u64, after_ms: u64) -> Status {
    // SAFETY: the plugin hands back the exchange's context.
    unsafe { record(context) }.set_timer(id, after_ms);
    abi::STATUS_OK
}

unsafe extern "C" fn cancel_timer(context: *mut c_void, id: u64) -> Status {
    // SAFETY: the plugin hands back the exchange's context.
    let removed = unsafe { record(context) }.timers.borrow_mut().remove(&id);
    removed.map_or(abi::STATUS_NONE, |_| abi::STATUS_OK)
}

unsafe extern "C" fn fail(context: *mut c_void, text: Bytes<'_>) {
    // SAFETY: the plugin hands back the exchange's context, and lends the text.
    let (record, text) = unsafe { (record(context), text.as_slice()) };
    record
        .failures
        .borrow_mut()
        .push(String::from_utf8_lossy(text).into_owned());
}

unsafe extern "C" fn tag(
    context: *mut c_void,
    name: Bytes<'_>,
    out: *mut Bytes<'static>,
) -> Status {
    // SAFETY: the plugin hands back the exchange's context, and lends the name; it uses the tag until the hook returns, and
    // the record lives longer.
    let (record, name): (&'static ExchangeRecord, _) =
        unsafe { (record(context), name.as_slice()) };
    let Some(value) = record.tag(name) else {
        return abi::STATUS_NONE;
    };
    // SAFETY: `out` is the plugin's, to be written.
    unsafe { out.write(Bytes::new(value)) };
    abi::STATUS_OK
}
