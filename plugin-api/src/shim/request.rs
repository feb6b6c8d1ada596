//! What is told of the answer to a plain request, to the handler that came with it.

use std::ffi::c_void;

use crate::{
    Host, ResponseHandler, ServerResponse,
    abi::{self, Bytes, Status},
    guard::{guard, status},
    server_response,
};

/// The handler of a request, and whether it may still be called.
struct Asker {
    handler: Box<dyn ResponseHandler>,
    has_panicked: bool,
}

static BLOCK: abi::ResponseBlock = abi::ResponseBlock {
    size: size_of::<abi::ResponseBlock>(),
    redirected,
    head,
    content,
    writable,
    ended,
};

/// Gives a handler to the host.
pub(crate) fn give(handler: Box<dyn ResponseHandler>) -> abi::Asker {
    let asker = Asker {
        handler,
        has_panicked: false,
    };
    abi::Asker {
        value: Box::into_raw(Box::new(asker)).cast(),
        block: &BLOCK,
    }
}

/// Takes a handler back that the host has not taken.
///
/// # Safety
///
/// `give` made it, and nobody uses it any more.
pub(crate) unsafe fn take_back(asker: abi::Asker) -> Box<dyn ResponseHandler> {
    // SAFETY: the caller promises it.
    unsafe { Box::from_raw(asker.value.cast::<Asker>()) }.handler
}

/// Tells the handler something; a panic is caught, and the handler is called no more but to be dropped.
///
/// # Safety
///
/// `value` came from `give` and nobody else uses it now; the response is valid during the call.
unsafe fn tell<T>(
    value: *mut c_void,
    response: *const abi::Response,
    tell: impl FnOnce(&mut dyn ResponseHandler, &mut ServerResponse) -> T,
) -> Result<T, Status> {
    // SAFETY: the caller promises it.
    let (asker, mut response) = unsafe {
        (
            &mut *value.cast::<Asker>(),
            ServerResponse::from_raw(*response),
        )
    };
    // SAFETY: as above; the second one is for what went wrong with the first.
    let failing = unsafe { ServerResponse::from_raw(response.raw()) };
    let told = guard(
        |text| failing.fail(text),
        || Ok(tell(&mut *asker.handler, &mut response)),
    );
    asker.has_panicked |= told.is_err();
    told
}

unsafe extern "C" fn redirected(value: *mut c_void, response: *const abi::Response) -> Status {
    // SAFETY: as the contract has it.
    let told = unsafe {
        tell(value, response, |handler, response| {
            handler.on_redirect(response.location())
        })
    };
    match told {
        Ok(true) => abi::STATUS_OK,
        Ok(false) => abi::STATUS_NONE,
        Err(failed) => failed,
    }
}

unsafe extern "C" fn head(value: *mut c_void, response: *const abi::Response) -> Status {
    // SAFETY: as the contract has it.
    let told = unsafe {
        tell(value, response, |handler, response| {
            handler.on_head(response)
        })
    };
    status(told)
}

unsafe extern "C" fn content(
    value: *mut c_void,
    response: *const abi::Response,
    piece: Bytes<'_>,
) -> Status {
    // SAFETY: as the contract has it; the piece is lent for this call.
    let told = unsafe {
        let piece = piece.as_slice();
        tell(value, response, |handler, response| {
            handler.on_content(response, piece);
        })
    };
    status(told)
}

unsafe extern "C" fn writable(value: *mut c_void, response: *const abi::Response) -> Status {
    // SAFETY: as the contract has it.
    let told = unsafe {
        tell(value, response, |handler, response| {
            handler.on_writable(response);
        })
    };
    status(told)
}

unsafe extern "C" fn ended(
    value: *mut c_void,
    host: *const abi::Host,
    end: *const abi::RequestEnd<'_>,
) -> Status {
    // SAFETY: the contract has a host that stays valid for ever, the value that `give` made, once, and the end for this
    // call.
    let (host, mut asker, end) = unsafe {
        (
            Host::from_raw(host),
            Box::from_raw(value.cast::<Asker>()),
            server_response::ended(end),
        )
    };
    let told = guard(
        |text| host.fail(text),
        || {
            if !asker.has_panicked {
                asker.handler.on_end(end);
            }
            Ok(())
        },
    );
    let dropped = guard(
        |text| host.fail(text),
        || {
            drop(asker);
            Ok(())
        },
    );
    status(told.and(dropped))
}
