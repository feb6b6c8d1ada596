//! What the host calls in a policy: one function per hook, each guarded.

use std::{any::Any, ffi::c_void, marker::PhantomData};

use super::instance::{self, PerVhost};
use crate::{
    Admission, Connection, Handshake, Host, PluginError, Policy, PolicyRequest, Verdict,
    abi::{self, Bytes, Status},
    guard::{guard, status},
    options,
};

/// The tables of one policy.
pub(crate) struct PolicyShims<P>(PhantomData<P>);

impl<P: Policy> PolicyShims<P> {
    pub(crate) const ENTRY: abi::PolicyEntry = abi::PolicyEntry {
        size: size_of::<abi::PolicyEntry>(),
        instance: &instance::block::<Self>(),
        policy: &abi::PolicyBlock {
            size: size_of::<abi::PolicyBlock>(),
            created: created::<P>,
            accept: accept::<P>,
            connection: connection::<P>,
            certificate: certificate::<P>,
            request: request::<P>,
            handshake: handshake::<P>,
            destroyed: destroyed::<P>,
        },
    };
}

impl<P: Policy> PerVhost for PolicyShims<P> {
    type Value = P;

    fn new(host: &Host, options: &[u8]) -> Result<P, PluginError> {
        P::new(host, options::parse(options)?)
    }

    fn thread(_policy: &P, _host: &Host) -> Box<dyn Any> {
        Box::new(())
    }

    fn on_retire(policy: &P) {
        policy.on_retire();
    }
}

unsafe extern "C" fn created<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
) -> Status {
    // SAFETY: handed on as the host gave it.
    unsafe {
        judge::<P>(instance, judged, |policy, connection| {
            policy.on_create(connection);
            Admission::Accept
        })
    }
}

unsafe extern "C" fn accept<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
) -> Status {
    // SAFETY: handed on as the host gave it.
    unsafe {
        judge::<P>(instance, judged, |policy, connection| {
            policy.on_accept(connection)
        })
    }
}

unsafe extern "C" fn connection<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
) -> Status {
    // SAFETY: handed on as the host gave it.
    unsafe { judge::<P>(instance, judged, P::on_connection) }
}

unsafe extern "C" fn certificate<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
) -> Status {
    // SAFETY: handed on as the host gave it.
    unsafe { judge::<P>(instance, judged, P::on_certificate) }
}

unsafe extern "C" fn destroyed<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
) -> Status {
    // SAFETY: handed on as the host gave it.
    unsafe {
        judge::<P>(instance, judged, |policy, connection| {
            policy.on_destroy(connection);
            Admission::Accept
        })
    }
}

unsafe extern "C" fn request<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
) -> Status {
    // SAFETY: `create` of the same block made it, and hooks only share it; what is judged is valid during this call.
    let (policy, raw) = unsafe { (&*instance.cast::<P>(), *judged) };
    // SAFETY: valid during this call, and the value ends with it.
    let mut request = unsafe { PolicyRequest::from_raw(raw) };
    let judged = guard(
        |text| tell(raw, text),
        || match policy.on_request(&mut request) {
            Ok(Verdict::Allow) => Ok(abi::STATUS_OK),
            Ok(Verdict::Later) => Ok(abi::STATUS_PENDING),
            Err(refusal) => request.refuse(&refusal).map(|()| abi::STATUS_NONE),
        },
    );
    judged.unwrap_or_else(|failed| failed)
}

unsafe extern "C" fn handshake<P: Policy>(
    instance: *mut c_void,
    handshake: *const abi::Handshake,
) -> Status {
    // SAFETY: as in `request`.
    let (policy, raw) = unsafe { (&*instance.cast::<P>(), *handshake) };
    // SAFETY: valid during this call, and the value ends with it.
    let mut handshake = unsafe { Handshake::from_raw(raw) };
    let judged = guard(
        |text| super::handshake::tell(raw, text),
        || match policy.on_handshake(&mut handshake) {
            Ok(()) => Ok(abi::STATUS_OK),
            Err(refusal) => handshake.refuse(&refusal).map(|()| abi::STATUS_NONE),
        },
    );
    // Apart from the hook: a drop that panics while a panic unwinds would end the host.
    let dropped = guard(
        |text| super::handshake::tell(raw, text),
        || {
            drop(handshake.into_learnt());
            Ok(())
        },
    );
    match (judged, status(dropped)) {
        (Ok(judged), abi::STATUS_OK) => judged,
        (Ok(_), failed) | (Err(failed), _) => failed,
    }
}

/// Asks the author about a connection.
///
/// # Safety
///
/// `create` for `P` made `instance`, and `judged` is valid during the call.
unsafe fn judge<P: Policy>(
    instance: *mut c_void,
    judged: *const abi::Judged,
    hook: impl FnOnce(&P, &mut Connection) -> Admission,
) -> Status {
    // SAFETY: the caller promises both.
    let (policy, raw) = unsafe { (&*instance.cast::<P>(), *judged) };
    // SAFETY: the caller promises that it is valid; the value ends with this call.
    let mut connection = unsafe { Connection::from_raw(raw) };
    match guard(|text| tell(raw, text), || Ok(hook(policy, &mut connection))) {
        Ok(Admission::Accept) => abi::STATUS_OK,
        Ok(Admission::Refuse) => abi::STATUS_NONE,
        Err(failed) => failed,
    }
}

/// Tells why the hook that is running is about to fail.
#[cold]
fn tell(judged: abi::Judged, text: &str) {
    // SAFETY: only called in hooks, with what they were given.
    unsafe { ((*judged.calls).fail)(judged.context, Bytes::new(text.as_bytes())) }
}
