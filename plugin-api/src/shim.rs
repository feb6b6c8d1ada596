//! What the host calls: one function per hook and protocol, each guarded.
//!
//! A session's state is a box of the author's value and nothing else, so a protocol without fields costs no memory per
//! session; the host is found through the thread's state.

mod client;
pub(crate) mod extension;
pub(crate) mod handshake;
pub(crate) mod http;
mod instance;
pub(crate) mod policy;
pub(crate) mod request;

use std::{any::Any, ffi::c_void, marker::PhantomData};

use crate::{
    Close, CloseCode, ClosedBy, Delivery, Host, Instance, Kind, Message, Parameters, Piece,
    PluginError, Protocol, Request, Session, TimerId,
    abi::{self, Bytes, Status},
    bridge,
    guard::{adopt_thread, guard, install_panic_hook, status},
    options,
};
use instance::PerVhost;

/// The calls that concern the whole file; the same for all plugins.
pub(crate) static PLUGIN: abi::PluginBlock = abi::PluginBlock {
    size: size_of::<abi::PluginBlock>(),
    start,
};

/// The tables of one protocol.
pub(crate) struct Shims<I>(PhantomData<I>);

impl<I: Instance> Shims<I> {
    /// With all that an author's instance may have to say.
    pub(crate) const ENTRY: abi::ProtocolEntry = abi::ProtocolEntry {
        handshake: &Self::HANDSHAKE,
        client: &Self::CLIENT,
        ..Self::ENTRY_PER_SESSION
    };

    /// Of an instance that is ours, and has nothing to say before there is a session.
    pub(crate) const ENTRY_PER_SESSION: abi::ProtocolEntry = abi::ProtocolEntry {
        size: size_of::<abi::ProtocolEntry>(),
        instance: &instance::block::<Self>(),
        session: &Self::SESSION,
        handshake: std::ptr::null(),
        http: std::ptr::null(),
        client: std::ptr::null(),
    };

    const HANDSHAKE: abi::HandshakeBlock = abi::HandshakeBlock {
        size: size_of::<abi::HandshakeBlock>(),
        extension: allows_extension::<I>,
        request: handshake::request::<I>,
        forget: handshake::forget,
    };

    const CLIENT: abi::ClientBlock = abi::ClientBlock {
        size: size_of::<abi::ClientBlock>(),
        answered: client::answered::<I>,
        redirected: client::redirected::<I>,
        failed: client::failed::<I>,
    };

    const SESSION: abi::SessionBlock = abi::SessionBlock {
        size: size_of::<abi::SessionBlock>(),
        open: open::<I>,
        message: message::<I::Session>,
        writable: writable::<I::Session>,
        timer: timer::<I::Session>,
        notify: notify::<I::Session>,
        pong: pong::<I::Session>,
        close: close::<I::Session>,
        destroy: destroy_session::<I::Session>,
    };
}

impl<I: Instance> PerVhost for Shims<I> {
    type Value = I;

    fn new(host: &Host, options: &[u8]) -> Result<I, PluginError> {
        I::new(host, options::parse(options)?)
    }

    fn thread(instance: &I, host: &Host) -> Box<dyn Any> {
        Box::new(instance.thread(host))
    }

    fn on_retire(instance: &I) {
        instance.on_retire();
    }
}

unsafe extern "C" fn start(host: *const abi::Host, flags: u32) -> Status {
    // SAFETY: the contract has a host that stays valid for ever.
    let host = unsafe { Host::from_raw(host) };
    status(guard(
        |text| host.fail(text),
        || {
            if flags & abi::START_LINKED == 0 {
                adopt_thread();
                install_panic_hook();
                bridge::install(host);
            }
            Ok(())
        },
    ))
}

unsafe extern "C" fn open<I: Instance>(
    instance: *mut c_void,
    session: *const abi::Session,
    out: *mut *mut c_void,
) -> Status {
    // SAFETY: `create` of the same block made it, and hooks only share it; the session is valid during this call.
    let (instance, raw) = unsafe { (&*instance.cast::<I>(), *session) };
    // SAFETY: the session is valid during this call, and the value ends with it.
    let mut session = unsafe { Session::from_raw(raw) };
    let made = guard(
        |text| tell(raw, text),
        || Ok(Box::new(instance.open(&mut session)?)),
    );
    // `on_open` is apart, and the value outside of it: a drop that panics while a panic unwinds would end the host.
    let opened = made.and_then(|mut value| {
        let opened = guard(
            |text| tell(raw, text),
            || {
                value.on_open(&mut session);
                Ok(())
            },
        );
        match opened {
            Ok(()) => Ok(value),
            Err(failed) => {
                let _ = guard(
                    |text| tell(raw, text),
                    || {
                        drop(value);
                        Ok(())
                    },
                );
                Err(failed)
            }
        }
    });
    // SAFETY: `out` is the host's, to be written once.
    unsafe { hand_over(opened, out) }
}

unsafe extern "C" fn allows_extension<I: Instance>(
    instance: *mut c_void,
    call: *const abi::ExtensionCall,
    name: Bytes<'_>,
    parameters: Bytes<'_>,
) -> Status {
    // SAFETY: `create` of the same block made it, and hooks only share it; the call is valid during this hook.
    let (instance, raw) = unsafe { (&*instance.cast::<I>(), *call) };
    // SAFETY: both are lent for this call.
    let (name, parameters) = unsafe { (name.as_slice(), parameters.as_slice()) };
    // SAFETY: valid during this hook, and the value ends with it.
    let request = unsafe { Request::from_raw(raw) };
    let allowed = guard(
        |text| extension::tell(raw, CloseCode::INTERNAL_ERROR, text),
        || {
            let parameters = Parameters::from_host(str::from_utf8(parameters)?);
            Ok(instance.on_extension_offer(&request, str::from_utf8(name)?, &parameters))
        },
    );
    match allowed {
        Ok(true) => abi::STATUS_OK,
        Ok(false) => abi::STATUS_NONE,
        Err(failed) => failed,
    }
}

unsafe extern "C" fn message<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
    flags: u32,
    remaining: u64,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: the payload is lent for this call.
    let payload = unsafe { payload.as_slice() };
    let text = flags & abi::MESSAGE_TEXT != 0;
    // SAFETY: the host passes what `open` of the same block made, and the session that is being served.
    unsafe {
        hook::<P>(state, session, |protocol, session| {
            match P::DELIVERY {
                Delivery::Messages if text => {
                    // SAFETY: the host delivers no text that is not UTF-8.
                    let text = str::from_utf8_unchecked(payload);
                    protocol.on_message(session, Message::Text(text));
                }
                Delivery::Messages => protocol.on_message(session, Message::Binary(payload)),
                Delivery::Pieces { .. } => {
                    let piece = Piece {
                        kind: if text { Kind::Text } else { Kind::Binary },
                        first: flags & abi::MESSAGE_FIRST != 0,
                        last: flags & abi::MESSAGE_LAST != 0,
                        remaining,
                        payload,
                    };
                    protocol.on_piece(session, piece);
                }
            }
        })
    }
}

unsafe extern "C" fn writable<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
) -> Status {
    // SAFETY: as in `message`.
    unsafe { hook::<P>(state, session, P::on_writable) }
}

unsafe extern "C" fn timer<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
    id: u64,
) -> Status {
    // SAFETY: as in `message`.
    unsafe {
        hook::<P>(state, session, |protocol, session| {
            protocol.on_timer(session, TimerId(id));
        })
    }
}

unsafe extern "C" fn notify<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: as in `message`; the payload is lent for this call.
    unsafe {
        hook::<P>(state, session, |protocol, session| {
            protocol.on_notify(session, payload.as_slice());
        })
    }
}

unsafe extern "C" fn pong<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: as in `message`; the payload is lent for this call.
    unsafe {
        hook::<P>(state, session, |protocol, session| {
            protocol.on_pong(session, payload.as_slice());
        })
    }
}

unsafe extern "C" fn close<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
    close: *const abi::Close<'_>,
) -> Status {
    // SAFETY: as in `message`; what is told of the close is lent for this call.
    unsafe {
        hook::<P>(state, session, |protocol, session| {
            let close = &*close;
            let close = Close {
                by: match close.by {
                    abi::CLOSE_BY_PEER => ClosedBy::Peer,
                    abi::CLOSE_BY_PROTOCOL => ClosedBy::Protocol,
                    abi::CLOSE_BY_DRAIN => ClosedBy::Drain,
                    _ => ClosedBy::Host,
                },
                code: CloseCode(close.code.try_into().unwrap_or(CloseCode::ABNORMAL.0)),
                clean: close.clean != 0,
                reason: str::from_utf8(close.reason.as_slice()).unwrap_or_default(),
            };
            protocol.on_close(session, &close);
        })
    }
}

unsafe extern "C" fn destroy_session<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
) -> Status {
    // SAFETY: the session is valid during this call.
    let session = unsafe { *session };
    // SAFETY: `open` of the same block made it from a box, and this is the last call with it.
    unsafe { destroy::<P>(state, |text| tell(session, text)) }
}

/// Calls a hook of the author's value.
///
/// # Safety
///
/// `open` for `P` made `state`, nobody else uses it, and `session` is valid during the call.
#[inline]
unsafe fn hook<P: Protocol>(
    state: *mut c_void,
    session: *const abi::Session,
    body: impl FnOnce(&mut P, &mut Session),
) -> Status {
    // SAFETY: the caller promises both.
    let (protocol, raw) = unsafe { (&mut *state.cast::<P>(), *session) };
    // SAFETY: the caller promises that it is valid; the value ends with this call.
    let mut session = unsafe { Session::from_raw(raw) };
    status(guard(
        |text| tell(raw, text),
        || {
            body(protocol, &mut session);
            Ok(())
        },
    ))
}

/// Tells why the hook that is running is about to fail.
#[cold]
fn tell(session: abi::Session, text: &str) {
    // SAFETY: only called in hooks, with the session that they were given.
    unsafe { ((*session.calls).fail)(session.context, Bytes::new(text.as_bytes())) }
}

/// Gives what was made to the host, which hands it back to `destroy`.
///
/// # Safety
///
/// `out` may be written.
unsafe fn hand_over<T>(made: Result<Box<T>, Status>, out: *mut *mut c_void) -> Status {
    match made {
        Ok(value) => {
            // SAFETY: the caller promises it.
            unsafe { out.write(Box::into_raw(value).cast()) };
            abi::STATUS_OK
        }
        Err(failed) => failed,
    }
}

/// Drops what `hand_over` gave away.
///
/// # Safety
///
/// `hand_over` gave `value` away as a `T`, and nobody uses it any more.
unsafe fn destroy<T>(value: *mut c_void, fail: impl FnOnce(&str)) -> Status {
    // SAFETY: the caller promises it.
    let value = unsafe { Box::from_raw(value.cast::<T>()) };
    status(guard(fail, || {
        drop(value);
        Ok(())
    }))
}
