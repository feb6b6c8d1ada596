//! What an exchange, on its service thread, and its program, on the runner's thread, tell each other.
//!
//! Both ways at most [`MOST_WAITING_BYTES`] and one piece wait: then the exchange pauses its body, and the runner reads
//! no more of the program's output, so that the pipe fills and the program waits.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hotsocket_plugin::{ExchangeHandle, PostError};

use crate::head::Head;

/// What may wait for the other side, in each direction.
pub(crate) const MOST_WAITING_BYTES: usize = 64 * 1024;

/// One request and the program that answers it.
pub(crate) struct Run {
    exchange: ExchangeHandle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    input: Vec<u8>,
    input_has_ended: bool,
    /// The program reads no more.
    input_is_refused: bool,
    is_paused: bool,
    head: Option<Head>,
    output: Vec<u8>,
    end: Option<End>,
    /// The exchange was notified and has not looked yet.
    is_told: bool,
    is_left: bool,
}

/// How the output ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The program closed it.
    Complete,
    /// There is no answer, or no more of it: the status for a peer that has none yet.
    Failed(u16),
}

/// What the exchange finds when it looks.
pub(crate) struct News {
    /// Its body can go on.
    pub(crate) resume: bool,
    pub(crate) head: Option<Head>,
    pub(crate) output: Vec<u8>,
    /// Nothing follows `output`.
    pub(crate) end: Option<End>,
    /// The runner waits for the room that was made.
    pub(crate) wake: bool,
}

/// What the runner finds for the program.
pub(crate) struct Input {
    pub(crate) bytes: Vec<u8>,
    pub(crate) has_ended: bool,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It will look.
    Now,
    /// Too much waits for the service thread: try again.
    Later,
    /// The exchange has ended.
    Gone,
}

impl Run {
    pub(crate) fn new(exchange: ExchangeHandle) -> Self {
        Self {
            exchange,
            state: Mutex::default(),
        }
    }

    /// Nothing can panic while it holds the lock and leave half a change behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the exchange.
impl Run {
    /// Adds a piece of the body. True when no more should come before [`News::resume`].
    pub(crate) fn put_input(&self, bytes: &[u8], is_last: bool) -> bool {
        let mut state = self.state();
        state.input_has_ended |= is_last;
        if state.input_is_refused {
            return false;
        }
        state.input.extend_from_slice(bytes);
        state.is_paused = !is_last && state.input.len() >= MOST_WAITING_BYTES;
        state.is_paused
    }

    /// What there is for the exchange, once. Output, and with it the end, only if it can be sent now.
    pub(crate) fn news(&self, with_output: bool) -> News {
        let mut state = self.state();
        state.is_told = false;
        let wake = with_output && state.output.len() >= MOST_WAITING_BYTES;
        let resume =
            state.is_paused && (state.input_is_refused || state.input.len() < MOST_WAITING_BYTES);
        state.is_paused &= !resume;
        News {
            resume,
            head: state.head.take(),
            output: if with_output {
                mem::take(&mut state.output)
            } else {
                Vec::new()
            },
            end: state.end.filter(|_| with_output),
            wake,
        }
    }

    /// Nobody waits for the output any more.
    pub(crate) fn leave(&self) {
        self.state().is_left = true;
    }
}

/// For the runner.
impl Run {
    /// The input that waits.
    pub(crate) fn take_input(&self) -> Input {
        let mut state = self.state();
        Input {
            bytes: mem::take(&mut state.input),
            has_ended: state.input_has_ended,
        }
    }

    /// No more input is wanted: what comes is dropped.
    pub(crate) fn refuse_input(&self) {
        let mut state = self.state();
        state.input_is_refused = true;
        state.input = Vec::new();
    }

    /// Whether the exchange waits for room for its body, and there is some.
    pub(crate) fn can_resume(&self) -> bool {
        let state = self.state();
        state.is_paused && (state.input_is_refused || state.input.len() < MOST_WAITING_BYTES)
    }

    pub(crate) fn put_head(&self, head: Head) {
        self.state().head = Some(head);
    }

    pub(crate) fn put_output(&self, bytes: &[u8]) {
        self.state().output.extend_from_slice(bytes);
    }

    /// How many bytes of output are wanted.
    pub(crate) fn room(&self) -> usize {
        MOST_WAITING_BYTES.saturating_sub(self.state().output.len())
    }

    /// The first end counts.
    pub(crate) fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.state().is_left
    }

    /// Has the exchange look, unless it is about to.
    pub(crate) fn tell(&self) -> Told {
        if mem::replace(&mut self.state().is_told, true) {
            return Told::Now;
        }
        match self.exchange.notify(&[]) {
            Ok(()) => Told::Now,
            Err(PostError::Full) => {
                self.state().is_told = false;
                Told::Later
            }
            Err(PostError::Stale | PostError::Refused) => Told::Gone,
        }
    }
}
