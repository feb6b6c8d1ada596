//! The hooks of exchanges, as the host calls them.
//!
//! The state of an exchange is a box of the author's value and one bit: whether there is an answer.

use std::{any::Any, ffi::c_void, marker::PhantomData};

use super::{
    destroy, hand_over,
    instance::{self, PerVhost},
};
use crate::{
    BodyPiece, EndedBy, Exchange, ExchangeEnd, FileSent, Host, HttpHandler, HttpInstance,
    PluginError, ServesHttp, TimerId,
    abi::{self, Bytes, Status},
    guard::{guard, status},
    options,
};

/// Where exchanges come from.
trait Opens {
    /// What the instance block of the same entry makes.
    type Instance;

    type Handler: HttpHandler;

    fn open(
        instance: &Self::Instance,
        exchange: &mut Exchange,
    ) -> Result<Self::Handler, PluginError>;
}

/// The tables of a handler that stands alone.
pub(crate) struct Alone<I>(PhantomData<I>);

/// The tables of a protocol that answers HTTP too.
pub(crate) struct Beside<I>(PhantomData<I>);

impl<I: HttpInstance> Alone<I> {
    pub(crate) const ENTRY: abi::ProtocolEntry = abi::ProtocolEntry {
        size: size_of::<abi::ProtocolEntry>(),
        instance: &instance::block::<Self>(),
        session: std::ptr::null(),
        handshake: std::ptr::null(),
        http: &block::<Self>(),
        client: std::ptr::null(),
    };
}

impl<I: ServesHttp> Beside<I> {
    pub(crate) const HTTP: &'static abi::HttpBlock = &block::<Self>();
}

impl<I: HttpInstance> PerVhost for Alone<I> {
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

impl<I: HttpInstance> Opens for Alone<I> {
    type Instance = I;
    type Handler = I::Exchange;

    fn open(instance: &I, exchange: &mut Exchange) -> Result<I::Exchange, PluginError> {
        instance.open(exchange)
    }
}

impl<I: ServesHttp> Opens for Beside<I> {
    type Instance = I;
    type Handler = I::Exchange;

    fn open(instance: &I, exchange: &mut Exchange) -> Result<I::Exchange, PluginError> {
        instance.open_exchange(exchange)
    }
}

const fn block<O: Opens>() -> abi::HttpBlock {
    abi::HttpBlock {
        size: size_of::<abi::HttpBlock>(),
        open: open::<O>,
        body: body::<O::Handler>,
        writable: writable::<O::Handler>,
        timer: timer::<O::Handler>,
        notify: notify::<O::Handler>,
        sent: sent::<O::Handler>,
        end: end::<O::Handler>,
        destroy: destroy_exchange::<O::Handler>,
    }
}

struct State<H> {
    handler: H,
    is_answered: bool,
}

unsafe extern "C" fn open<O: Opens>(
    instance: *mut c_void,
    exchange: *const abi::Exchange,
    out: *mut *mut c_void,
) -> Status {
    // SAFETY: `create` of the same entry made it, and hooks only share it; the exchange is valid during this call.
    let (instance, raw) = unsafe { (&*instance.cast::<O::Instance>(), *exchange) };
    // SAFETY: the exchange is valid during this call, and the value ends with it.
    let mut exchange = unsafe { Exchange::from_raw(raw, false) };
    let made = guard(
        |text| tell(raw, text),
        || {
            let handler = O::open(instance, &mut exchange)?;
            let is_answered = false;
            Ok(Box::new(State {
                handler,
                is_answered,
            }))
        },
    );
    // `on_request` is apart, and the value outside of it: a drop that panics while a panic unwinds would end the host.
    let opened = made.and_then(|mut state| {
        let opened = guard(
            |text| tell(raw, text),
            || {
                state.handler.on_request(&mut exchange);
                state.is_answered = exchange.is_answered();
                refusal(&exchange)
            },
        );
        match opened {
            Ok(()) => Ok(state),
            Err(failed) => {
                let _ = guard(
                    |text| tell(raw, text),
                    || {
                        drop(state);
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

unsafe extern "C" fn body<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
    flags: u32,
    piece: Bytes<'_>,
) -> Status {
    // SAFETY: the host passes what `open` of the same block made, and the exchange that is being served; the piece is
    // lent for this call.
    unsafe {
        hook::<H>(state, exchange, |handler, exchange| {
            let piece = BodyPiece {
                bytes: piece.as_slice(),
                first: flags & abi::BODY_FIRST != 0,
                last: flags & abi::BODY_LAST != 0,
            };
            handler.on_body(exchange, piece);
        })
    }
}

unsafe extern "C" fn writable<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
) -> Status {
    // SAFETY: as in `body`.
    unsafe { hook::<H>(state, exchange, H::on_writable) }
}

unsafe extern "C" fn timer<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
    id: u64,
) -> Status {
    // SAFETY: as in `body`.
    unsafe {
        hook::<H>(state, exchange, |handler, exchange| {
            handler.on_timer(exchange, TimerId(id));
        })
    }
}

unsafe extern "C" fn notify<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
    payload: Bytes<'_>,
) -> Status {
    // SAFETY: as in `body`; the payload is lent for this call.
    unsafe {
        hook::<H>(state, exchange, |handler, exchange| {
            handler.on_notify(exchange, payload.as_slice());
        })
    }
}

unsafe extern "C" fn sent<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
    outcome: Status,
) -> Status {
    // SAFETY: as in `body`.
    unsafe {
        hook::<H>(state, exchange, |handler, exchange| {
            let outcome = match outcome {
                abi::STATUS_OK => FileSent::Sent,
                abi::STATUS_NONE => FileSent::NotFound,
                _ => FileSent::Failed,
            };
            handler.on_sent(exchange, outcome);
        })
    }
}

unsafe extern "C" fn end<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
    end: *const abi::ExchangeEnd<'_>,
) -> Status {
    // SAFETY: as in `body`; what is told of the end is lent for this call.
    unsafe {
        hook::<H>(state, exchange, |handler, exchange| {
            let end = &*end;
            let end = ExchangeEnd {
                by: match end.by {
                    abi::EXCHANGE_DONE => EndedBy::Answer,
                    abi::EXCHANGE_BY_PEER => EndedBy::Peer,
                    abi::EXCHANGE_BY_HANDLER => EndedBy::Handler,
                    _ => EndedBy::Host,
                },
                status: end.status.try_into().ok().filter(|status| *status != 0),
                sent: end.sent,
                reason: str::from_utf8(end.reason.as_slice()).unwrap_or_default(),
            };
            handler.on_end(exchange, &end);
        })
    }
}

unsafe extern "C" fn destroy_exchange<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
) -> Status {
    // SAFETY: the exchange is valid during this call.
    let exchange = unsafe { *exchange };
    // SAFETY: `open` of the same block made it from a box, and this is the last call with it.
    unsafe { destroy::<State<H>>(state, |text| tell(exchange, text)) }
}

/// Calls a hook of the author's value.
///
/// # Safety
///
/// `open` for `H` made `state`, nobody else uses it, and `exchange` is valid during the call.
unsafe fn hook<H: HttpHandler>(
    state: *mut c_void,
    exchange: *const abi::Exchange,
    body: impl FnOnce(&mut H, &mut Exchange),
) -> Status {
    // SAFETY: the caller promises both.
    let (state, raw) = unsafe { (&mut *state.cast::<State<H>>(), *exchange) };
    // SAFETY: the caller promises that it is valid; the value ends with this call.
    let mut exchange = unsafe { Exchange::from_raw(raw, state.is_answered) };
    status(guard(
        |text| tell(raw, text),
        || {
            body(&mut state.handler, &mut exchange);
            state.is_answered = exchange.is_answered();
            refusal(&exchange)
        },
    ))
}

/// A hook whose answer cannot be sent fails, unless it gave another one: the peer is not left waiting.
fn refusal(exchange: &Exchange) -> Result<(), PluginError> {
    exchange
        .take_refusal()
        .map_or(Ok(()), |why| Err(PluginError::new(why)))
}

/// Tells why the hook that is running is about to fail.
#[cold]
fn tell(exchange: abi::Exchange, text: &str) {
    // SAFETY: only called in hooks, with the exchange that they were given.
    unsafe { ((*exchange.calls).fail)(exchange.context, Bytes::new(text.as_bytes())) }
}
