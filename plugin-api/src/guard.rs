//! Catches panics on this side of the contract: none may unwind into the host.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    mem,
    panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind},
    sync::Once,
    thread,
};

use crate::{PluginError, abi, bridge};

/// Runs a part of a hook. If that fails, tells why through `fail` and gives the status to answer with.
#[inline]
pub(crate) fn guard<T>(
    fail: impl FnOnce(&str),
    body: impl FnOnce() -> Result<T, PluginError>,
) -> Result<T, abi::Status> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            fail(&error.to_string());
            Err(abi::STATUS_ERROR)
        }
        Err(payload) => {
            fail(&story(payload));
            Err(abi::STATUS_PANIC)
        }
    }
}

/// The status of a hook that only succeeds or fails.
#[inline]
pub(crate) const fn status(result: Result<(), abi::Status>) -> abi::Status {
    match result {
        Ok(()) => abi::STATUS_OK,
        Err(status) => status,
    }
}

/// Marks this thread as the host's: the guard tells of a panic here, and the hook need not.
pub(crate) fn adopt_thread() {
    HOSTS_THREAD.set(true);
}

/// Installs the panic hook of this mapping, once. It prints nothing: a plugin does not write to the host's standard
/// error.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(on_panic)));
}

/// A panic as the hook saw it.
struct Seen {
    text: String,
    location: String,
}

thread_local! {
    static HOSTS_THREAD: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

fn on_panic(info: &PanicHookInfo<'_>) {
    let text = text(info.payload()).to_owned();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    if HOSTS_THREAD.get() {
        // A destructor of this thread may be what panics; then nobody asks.
        let _ = LAST.try_with(|last| last.replace(Some(Seen { text, location })));
    } else {
        let thread = thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        bridge::error(&format!("thread {name} panicked at {location}: {text}"));
    }
}

/// What to tell of a panic. Consumes its payload, whose drop may panic as well.
#[cold]
fn story(payload: Box<dyn Any + Send>) -> String {
    let text = text(&*payload).to_owned();
    let seen = LAST.try_with(RefCell::take).ok().flatten();
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
    match seen {
        // A panic that was resumed did not pass the hook: what the hook saw last is another one.
        Some(seen) if seen.text == text => format!("panicked at {}: {text}", seen.location),
        _ => format!("panicked: {text}"),
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is no text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::panic_any(Self);
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_does_no_harm() {
        let mut told = String::new();
        let caught = guard::<()>(|text| told.push_str(text), || panic::panic_any(Bomb));
        assert_eq!(caught, Err(abi::STATUS_PANIC));
        assert_eq!(told, "panicked: a payload that is no text");
    }

    #[test]
    fn an_error_is_told_as_it_is() {
        let mut told = String::new();
        let refused = guard::<()>(
            |text| told.push_str(text),
            || Err(PluginError::new("no such room")),
        );
        assert_eq!(refused, Err(abi::STATUS_ERROR));
        assert_eq!(told, "no such room");
    }
}
