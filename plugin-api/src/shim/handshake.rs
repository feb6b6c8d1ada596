//! The hooks of an opening handshake: what the author says of it, and what is learnt of it for the session.

use std::{ffi::c_void, ptr};

use super::destroy;
use crate::{
    Handshake, Host, Instance,
    abi::{self, Bytes, Status},
    guard::guard,
    handshake::Learnt,
};

pub(super) unsafe extern "C" fn request<I: Instance>(
    instance: *mut c_void,
    handshake: *const abi::Handshake,
    out: *mut *mut c_void,
) -> Status {
    // SAFETY: `create` of the same block made it, and hooks only share it; the handshake is valid during this call.
    let (instance, raw) = unsafe { (&*instance.cast::<I>(), *handshake) };
    // SAFETY: the handshake is valid during this call, and the value ends with it.
    let mut handshake = unsafe { Handshake::from_raw(raw) };
    let judged = guard(
        |text| tell(raw, text),
        || match instance.on_handshake(&mut handshake) {
            Ok(()) => Ok(true),
            Err(refusal) => handshake.refuse(&refusal).map(|()| false),
        },
    );
    let learnt = handshake.into_learnt();
    if judged == Ok(true) {
        // A box around the box: what crosses is one word.
        let learnt = learnt.map_or(ptr::null_mut(), |learnt| Box::into_raw(Box::new(learnt)));
        // SAFETY: `out` is the host's, to be written once.
        unsafe { out.write(learnt.cast()) };
        return abi::STATUS_OK;
    }
    // Apart from the hook: a drop that panics while a panic unwinds would end the host.
    let dropped = guard(
        |text| tell(raw, text),
        || {
            drop(learnt);
            Ok(())
        },
    );
    match judged.and(dropped) {
        Ok(()) => abi::STATUS_NONE,
        Err(failed) => failed,
    }
}

pub(super) unsafe extern "C" fn forget(learnt: *mut c_void, host: *const abi::Host) -> Status {
    // SAFETY: the contract has a host that stays valid for ever.
    let host = unsafe { Host::from_raw(host) };
    // SAFETY: `request` made it from a box, and this is the last call with it.
    unsafe { destroy::<Learnt>(learnt, |text| host.fail(text)) }
}

/// Takes over what `request` gave away.
///
/// # Safety
///
/// `request` made `learnt`, which nobody uses any more; or it is null.
pub(crate) unsafe fn take_over(learnt: *mut c_void) -> Option<Learnt> {
    // SAFETY: the caller promises it.
    (!learnt.is_null()).then(|| *unsafe { Box::from_raw(learnt.cast::<Learnt>()) })
}

/// Tells why the hook that is running is about to fail.
#[cold]
pub(super) fn tell(handshake: abi::Handshake, text: &str) {
    // SAFETY: only called in the hook, with the handshake that it was given.
    unsafe { ((*handshake.calls).fail)(handshake.context, Bytes::new(text.as_bytes())) }
}
