//! The hooks of a connection that we open, before it is a session.

use std::ffi::c_void;

use crate::{
    Client, ConnectError, Instance,
    abi::{self, Bytes, Status},
    facts::Facts,
    guard::{guard, status},
};

pub(super) unsafe extern "C" fn answered<I: Instance>(
    instance: *mut c_void,
    client: *const abi::Client,
) -> Status {
    // SAFETY: `create` of the same block made it, and hooks only share it; the client is valid during this call.
    let (instance, raw) = unsafe { (&*instance.cast::<I>(), *client) };
    // SAFETY: the client is valid during this call, and the value ends with it.
    let client = unsafe { Client::from_raw(raw) };
    let judged = guard(
        |text| tell(raw, text),
        || {
            let refused = instance.on_answer(&client).err();
            if let Some(why) = &refused {
                client.refuse(why);
            }
            Ok(refused.is_none())
        },
    );
    said(judged)
}

pub(super) unsafe extern "C" fn redirected<I: Instance>(
    instance: *mut c_void,
    client: *const abi::Client,
) -> Status {
    // SAFETY: as in `answered`.
    let (instance, raw) = unsafe { (&*instance.cast::<I>(), *client) };
    // SAFETY: as in `answered`.
    let client = unsafe { Client::from_raw(raw) };
    said(guard(
        |text| tell(raw, text),
        || {
            let to = client.words(abi::FACT_LOCATION).unwrap_or_default();
            Ok(instance.on_redirect(&client, to))
        },
    ))
}

pub(super) unsafe extern "C" fn failed<I: Instance>(
    instance: *mut c_void,
    client: *const abi::Client,
) -> Status {
    // SAFETY: as in `answered`.
    let (instance, raw) = unsafe { (&*instance.cast::<I>(), *client) };
    // SAFETY: as in `answered`.
    let mut error = ConnectError::new(unsafe { Client::from_raw(raw) });
    status(guard(
        |text| tell(raw, text),
        || {
            let next = instance.on_connect_error(&mut error);
            error.client().go_on(&next)
        },
    ))
}

fn said(judged: Result<bool, Status>) -> Status {
    match judged {
        Ok(true) => abi::STATUS_OK,
        Ok(false) => abi::STATUS_NONE,
        Err(failed) => failed,
    }
}

/// Tells why the hook that is running is about to fail.
#[cold]
fn tell(client: abi::Client, text: &str) {
    // SAFETY: only called in the hook, with the client that it was given.
    unsafe { ((*client.calls).fail)(client.context, Bytes::new(text.as_bytes())) }
}
