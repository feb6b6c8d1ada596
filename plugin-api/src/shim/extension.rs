//! What the host calls in an extension: one function per hook, each guarded.

use std::{any::Any, ffi::c_void, marker::PhantomData};

use super::instance::{self, PerVhost};
use crate::{
    Agreed, Call, CloseCode, Codec, Extension, FramePiece, FrameSink, Host, Parameters,
    PluginError, Stop,
    abi::{self, Agreement, Bytes, ExtensionCall, Status},
    call::{Reason, Refused},
    guard::{guard, status},
    options,
};

/// The tables of one extension.
pub(crate) struct ExtensionShims<E>(PhantomData<E>);

impl<E: Extension> ExtensionShims<E> {
    pub(crate) const ENTRY: abi::ExtensionEntry = abi::ExtensionEntry {
        size: size_of::<abi::ExtensionEntry>(),
        instance: &instance::block::<Self>(),
        extension: &abi::ExtensionBlock {
            size: size_of::<abi::ExtensionBlock>(),
            offer: offer::<E>,
            accept: accept::<E>,
            confirm: confirm::<E>,
            inbound: inbound::<E::Codec>,
            outbound: outbound::<E::Codec>,
            flush: flush::<E::Codec>,
            destroy: destroy::<E::Codec>,
        },
    };
}

impl<E: Extension> PerVhost for ExtensionShims<E> {
    type Value = E;

    fn new(host: &Host, options: &[u8]) -> Result<E, PluginError> {
        E::new(host, options::parse(options)?)
    }

    fn thread(extension: &E, host: &Host) -> Box<dyn Any> {
        Box::new(extension.thread(host))
    }

    fn on_retire(extension: &E) {
        extension.on_retire();
    }
}

/// What the host keeps for a connection.
struct Connection<C> {
    codec: C,
    /// A hook has panicked: the codec is only dropped.
    panicked: bool,
}

unsafe extern "C" fn offer<E: Extension>(
    instance: *mut c_void,
    call: *const ExtensionCall,
    alternative: u32,
) -> Status {
    // SAFETY: `create` of the same block made it, and hooks only share it; the call is valid during this hook.
    let (extension, raw) = unsafe { (&*instance.cast::<E>(), *call) };
    // SAFETY: valid during this hook, and the value ends with it.
    let call = unsafe { Call::from_raw(raw) };
    let offered = guard(
        |text| tell(raw, CloseCode::INTERNAL_ERROR, text),
        || Ok(extension.offer(&call, alternative)),
    );
    match offered {
        Ok(Some(parameters)) => status(send_parameters(raw, &parameters)),
        Ok(None) => abi::STATUS_NONE,
        Err(failed) => failed,
    }
}

unsafe extern "C" fn accept<E: Extension>(
    instance: *mut c_void,
    call: *const ExtensionCall,
    parameters: Bytes<'_>,
    out: *mut Agreement,
) -> Status {
    // SAFETY: handed on as the host gave it.
    unsafe { agree(instance, call, parameters, out, E::accept) }
}

unsafe extern "C" fn confirm<E: Extension>(
    instance: *mut c_void,
    call: *const ExtensionCall,
    parameters: Bytes<'_>,
    out: *mut Agreement,
) -> Status {
    let judge = |extension: &E, call: &Call<E::Thread>, response: &Parameters<'_>| {
        let agreed = extension.confirm(call, response)?;
        Ok(Some(agreed.with_response(Parameters::new())))
    };
    // SAFETY: handed on as the host gave it.
    unsafe { agree(instance, call, parameters, out, judge) }
}

unsafe extern "C" fn inbound<C: Codec>(
    state: *mut c_void,
    call: *const ExtensionCall,
    piece: *const abi::FramePiece<'_>,
) -> Status {
    // SAFETY: `agree` made the state; the piece is lent for this call.
    unsafe {
        hook::<C>(state, call, |codec, call, sink| {
            codec.inbound(call, FramePiece::from_raw(&*piece), sink)
        })
    }
}

unsafe extern "C" fn outbound<C: Codec>(
    state: *mut c_void,
    call: *const ExtensionCall,
    piece: *const abi::FramePiece<'_>,
) -> Status {
    // SAFETY: as in `inbound`.
    unsafe {
        hook::<C>(state, call, |codec, call, sink| {
            codec.outbound(call, FramePiece::from_raw(&*piece), sink)
        })
    }
}

unsafe extern "C" fn flush<C: Codec>(state: *mut c_void, call: *const ExtensionCall) -> Status {
    // SAFETY: as in `inbound`.
    unsafe {
        hook::<C>(state, call, |codec, call, sink| {
            match codec.flush(call, sink) {
                Err(Stop(Reason::Veto)) => {
                    Err(PluginError::new("there is nothing to veto in flush").into())
                }
                flushed => flushed,
            }
        })
    }
}

unsafe extern "C" fn destroy<C: Codec>(state: *mut c_void, call: *const ExtensionCall) -> Status {
    // SAFETY: the call is valid during this hook.
    let raw = unsafe { *call };
    // SAFETY: `agree` made the state from a box, and this is the last call with it.
    let mut connection = unsafe { Box::from_raw(state.cast::<Connection<C>>()) };
    let ended = if connection.panicked {
        Ok(())
    } else {
        // SAFETY: valid during this hook, and the value ends with it.
        let call = unsafe { Call::from_raw(raw) };
        guard(
            |text| tell(raw, CloseCode::INTERNAL_ERROR, text),
            || {
                connection.codec.on_end(&call);
                Ok(())
            },
        )
    };
    // Apart, as a drop that panics while a panic unwinds would end the host.
    let discarded = discard(raw, connection);
    status(ended.and(discarded))
}

/// Asks the author for an agreement and gives it to the host.
///
/// # Safety
///
/// `create` for `E` made `instance`, `call` and `parameters` are valid during the call, and `out` may be written.
unsafe fn agree<E: Extension>(
    instance: *mut c_void,
    call: *const ExtensionCall,
    parameters: Bytes<'_>,
    out: *mut Agreement,
    judge: impl FnOnce(
        &E,
        &Call<E::Thread>,
        &Parameters<'_>,
    ) -> Result<Option<Agreed<E::Codec>>, PluginError>,
) -> Status {
    // SAFETY: the caller promises all of it.
    let (extension, raw, parameters) =
        unsafe { (&*instance.cast::<E>(), *call, parameters.as_slice()) };
    // SAFETY: valid during this hook, and the value ends with it.
    let call = unsafe { Call::from_raw(raw) };
    let judged = guard(
        |text| tell(raw, CloseCode::INTERNAL_ERROR, text),
        || {
            judge(
                extension,
                &call,
                &Parameters::from_host(str::from_utf8(parameters)?),
            )
        },
    );
    let Agreed {
        codec,
        rsv,
        opcodes,
        independence,
        response,
    } = match judged {
        Ok(Some(agreed)) => agreed,
        Ok(None) => return abi::STATUS_NONE,
        Err(failed) => return failed,
    };
    if let Err(failed) = send_parameters(raw, &response) {
        let _ = discard(raw, codec);
        return failed;
    }
    let connection = Box::new(Connection {
        codec,
        panicked: false,
    });
    let agreement = Agreement {
        state: Box::into_raw(connection).cast(),
        rsv: rsv.bits().into(),
        opcodes,
        independence: independence.map_or(0, Into::into),
    };
    // SAFETY: the caller promises that it may be written.
    unsafe { out.write(agreement) };
    abi::STATUS_OK
}

/// Calls a hook of the author's value, and answers for it.
///
/// # Safety
///
/// `agree` for `C` made `state`, nobody else uses it, and `call` is valid during the hook.
#[inline]
unsafe fn hook<C: Codec>(
    state: *mut c_void,
    call: *const ExtensionCall,
    body: impl FnOnce(&mut C, &Call<C::Thread>, &mut FrameSink) -> Result<(), Stop>,
) -> Status {
    // SAFETY: the caller promises both.
    let (connection, raw) = unsafe { (&mut *state.cast::<Connection<C>>(), *call) };
    // SAFETY: valid during this hook, and both values end with it.
    let (call, mut sink) = unsafe { (Call::from_raw(raw), FrameSink::from_raw(raw)) };
    let codec = &mut connection.codec;
    let ended = guard(
        |text| tell(raw, CloseCode::INTERNAL_ERROR, text),
        || Ok(body(codec, &call, &mut sink)),
    );
    // What the sink refused counts, whatever the author made of it.
    match (ended, sink.refused()) {
        (Ok(Ok(())), None) => abi::STATUS_OK,
        (Err(failed), _) => {
            connection.panicked = true;
            failed
        }
        (Ok(_), Some(refused)) => answer(raw, Reason::Refused(refused)),
        (Ok(Err(Stop(reason))), None) => answer(raw, reason),
    }
}

/// The status for a reason, which is told.
#[cold]
fn answer(call: ExtensionCall, reason: Reason) -> Status {
    match reason {
        Reason::Veto => abi::STATUS_NONE,
        Reason::Refused(Refused::Full) => abi::STATUS_FULL,
        Reason::Refused(refused @ Refused::Sequence) => {
            tell(call, CloseCode::INTERNAL_ERROR, &refused.to_string());
            abi::STATUS_ERROR
        }
        Reason::Fail(code, why) => {
            tell(call, code, &why);
            abi::STATUS_ERROR
        }
    }
}

fn send_parameters(call: ExtensionCall, parameters: &Parameters<'_>) -> Result<(), Status> {
    if parameters.is_empty() {
        return Ok(());
    }
    let text = Bytes::new(parameters.as_bytes());
    // SAFETY: only called in hooks, with the call that they were given; the text outlives this.
    if unsafe { ((*call.calls).parameters)(call.context, text) } == abi::STATUS_OK {
        return Ok(());
    }
    let why = format!("the host does not take the parameters {parameters}");
    tell(call, CloseCode::INTERNAL_ERROR, &why);
    Err(abi::STATUS_ERROR)
}

/// Drops a value of the author.
fn discard<T>(call: ExtensionCall, value: T) -> Result<(), Status> {
    guard(
        |text| tell(call, CloseCode::INTERNAL_ERROR, text),
        || {
            drop(value);
            Ok(())
        },
    )
}

/// Tells why the hook that is running is about to fail, and with which code.
#[cold]
pub(super) fn tell(call: ExtensionCall, code: CloseCode, text: &str) {
    let text = Bytes::new(text.as_bytes());
    // SAFETY: only called in hooks, with the call that they were given; the text outlives this.
    unsafe { ((*call.calls).fail)(call.context, code.0.into(), text) }
}
