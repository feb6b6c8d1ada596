//! What a connection keeps of an exchange while it goes on, in a box that the next one gets.

use std::{borrow::Cow, collections::VecDeque};

use crate::{
    connection::{content::Part, exchange::Exchange},
    net::{http_port::Notes, service::EndedBy, timers::SessionTimers},
};

/// An exchange that goes on.
pub(crate) struct Running<E> {
    pub(crate) exchange: Exchange,
    /// What the service keeps of it; none while it looks at the head.
    pub(crate) kept: Option<E>,
    pub(crate) timers: SessionTimers,
    /// What there is of a body that is wanted whole.
    pub(crate) gathered: Vec<u8>,
    /// Content that leaves when all before it has left.
    pub(crate) parts: VecDeque<Part>,
    /// The next piece of a file has to be read from disk first, off this thread.
    pub(crate) is_cold: bool,
    /// Up to here the file has been read from disk.
    pub(crate) warm_until: u64,
    /// It is cut off, by whom and why.
    pub(crate) cut_off: Option<(EndedBy, Cow<'static, str>)>,
    pub(crate) notes: Notes,
    /// What the deadline was set for; none when it is to be set anew.
    pub(crate) awaited: Option<Awaited>,
}

impl<E> Running<E> {
    /// In the box that was kept of one before, if there is one.
    pub(crate) fn boxed(exchange: Exchange, spare: Option<Box<Self>>) -> Box<Self> {
        match spare {
            Some(mut spare) => {
                spare.exchange = exchange;
                spare
            }
            None => Box::new(Self::new(exchange)),
        }
    }

    fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            kept: None,
            timers: SessionTimers::default(),
            gathered: Vec::new(),
            parts: VecDeque::new(),
            is_cold: false,
            warm_until: 0,
            cut_off: None,
            notes: Notes::default(),
            awaited: None,
        }
    }

    /// The same, for the next exchange. Timers that were set have been taken back before.
    pub(crate) fn emptied(mut self: Box<Self>) -> Box<Self> {
        let Self {
            exchange: _,
            kept,
            timers,
            gathered,
            parts,
            is_cold,
            warm_until,
            cut_off,
            notes,
            awaited,
        } = &mut *self;
        *kept = None;
        *timers = SessionTimers::default();
        *gathered = Vec::new();
        parts.clear();
        *is_cold = false;
        *warm_until = 0;
        *cut_off = None;
        notes.clear();
        *awaited = None;
        self
    }

    /// Whether only the rest of the answer is left to do.
    pub(crate) fn is_streamed(&self) -> bool {
        self.exchange.has_body() && self.exchange.is_answered()
    }
}

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// More of the body.
    Body,
    /// The beginning of the answer.
    Answer,
    /// Nothing that has a deadline.
    Nothing,
}
