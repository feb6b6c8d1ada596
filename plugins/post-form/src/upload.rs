//! One form on its way: what an exchange, on its service thread, and the writer tell each other.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hotsocket_plugin::{ExchangeHandle, PostError};

use crate::{
    form::{Failure, Receipt},
    multipart::Multipart,
    urlencoded::UrlEncoded,
};

/// What may wait for the writer; then the exchange pauses its body.
pub(crate) const MOST_WAITING_BYTES: usize = 256 * 1024;

/// The two kinds of a form, while it is read.
pub(crate) enum Reader {
    UrlEncoded(UrlEncoded),
    Multipart(Multipart),
}

impl Reader {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::UrlEncoded(form) => form.take(bytes),
            Self::Multipart(form) => form.take(bytes),
        }
    }

    fn end(self) -> Result<Receipt, Failure> {
        match self {
            Self::UrlEncoded(form) => form.end(),
            Self::Multipart(form) => form.end(),
        }?
        .store()
    }
}

/// A form that is taken in.
pub(crate) struct Upload {
    exchange: ExchangeHandle,
    state: Mutex<State>,
    /// Of the writer alone; none when it is done. Dropped, it removes its files.
    reader: Mutex<Option<Reader>>,
}

#[derive(Default)]
struct State {
    input: Vec<u8>,
    has_ended: bool,
    is_paused: bool,
    is_left: bool,
    /// The writer is going to look.
    is_queued: bool,
    result: Option<Result<Receipt, Failure>>,
}

/// What the exchange finds when it is notified.
pub(crate) struct News {
    pub(crate) resume: bool,
    pub(crate) result: Option<Result<Receipt, Failure>>,
}

/// What is to be done after a piece was put down.
pub(crate) struct Put {
    /// No more should come before [`News::resume`].
    pub(crate) pause: bool,
    /// The writer is not going to look by itself.
    pub(crate) queue: bool,
}

impl Upload {
    pub(crate) fn new(exchange: ExchangeHandle, reader: Reader) -> Arc<Self> {
        Arc::new(Self {
            exchange,
            state: Mutex::default(),
            reader: Mutex::new(Some(reader)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the exchange.
impl Upload {
    pub(crate) fn put(&self, bytes: &[u8], is_last: bool) -> Put {
        let mut state = self.state();
        state.input.extend_from_slice(bytes);
        state.has_ended = is_last;
        state.is_paused = !is_last && state.input.len() >= MOST_WAITING_BYTES;
        Put {
            pause: state.is_paused,
            queue: !mem::replace(&mut state.is_queued, true),
        }
    }

    pub(crate) fn news(&self) -> News {
        let mut state = self.state();
        let resume = state.is_paused && state.input.len() < MOST_WAITING_BYTES;
        state.is_paused &= !resume;
        News {
            resume,
            result: state.result.take(),
        }
    }

    /// The exchange is over. True when the writer is not going to look by itself.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state();
        state.is_left = true;
        state.input = Vec::new();
        !mem::replace(&mut state.is_queued, true)
    }
}

/// For the writer.
impl Upload {
    /// Writes what waits. Blocks as the disk does. True when the exchange has to be told.
    pub(crate) fn work(&self) -> bool {
        let (input, has_ended, was_paused) = {
            let mut state = self.state();
            state.is_queued = false;
            if state.is_left {
                drop(state);
                *self.reader() = None;
                return false;
            }
            (
                mem::take(&mut state.input),
                state.has_ended,
                state.is_paused,
            )
        };
        let mut reader = self.reader();
        let Some(reading) = reader.as_mut() else {
            return was_paused;
        };
        let result = match reading.take(&input) {
            Err(failure) => Err(failure),
            Ok(()) if !has_ended => return was_paused,
            Ok(()) => match reader.take() {
                Some(reader) => reader.end(),
                None => return was_paused,
            },
        };
        *reader = None;
        drop(reader);
        self.state().result = Some(result);
        true
    }

    /// Gives it up after a panic.
    pub(crate) fn fail(&self, failure: Failure) {
        *self.reader() = None;
        self.state().result = Some(Err(failure));
    }

    /// Has the exchange look. False when there was no room to tell it.
    pub(crate) fn tell(&self) -> bool {
        self.exchange.notify(&[]) != Err(PostError::Full)
    }

    fn reader(&self) -> MutexGuard<'_, Option<Reader>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
