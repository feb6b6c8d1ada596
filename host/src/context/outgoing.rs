//! A connection that we open as a client, from the request for it to its end: what is kept of it, and what the hooks of its
//! protocol may ask before it is a session.

use std::{
    fmt, mem,
    sync::{Mutex, PoisonError, Weak},
};

use crate::{
    connection::{client_redirect::Redirects, opening::OpeningError},
    context::{
        client_request::{ClientRequest, ClientRequestError},
        client_share::ClientSeat,
        handler::{ProtocolHandler, RequestFacts, ThreadState},
        roster::SetId,
    },
    wire::answer_head::HeldAnswer,
};

/// A connection that was asked for, on its way to its service thread.
#[derive(Debug)]
pub struct Connecting {
    pub(crate) number: u64,
    pub(crate) whose: Whose,
    pub(crate) request: ClientRequest,
    pub(crate) given: Option<Given>,
    pub(crate) seat: ClientSeat,
}

/// One of these in a command, which can be cloned: the first who takes it has it.
#[derive(Debug)]
pub struct Slot<T>(Mutex<Option<Box<T>>>);

impl<T> Slot<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Some(Box::new(value))))
    }

    pub(crate) fn take(&self) -> Option<Box<T>> {
        // Nothing in here can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whose session it is to be.
#[derive(Clone)]
pub(crate) enum Whose {
    /// Of the instance that asks.
    Instance {
        key: u64,
        handler: Weak<dyn ProtocolHandler>,
        set: SetId,
    },
    /// Of the instance that serves this protocol at the default vhost.
    Protocol(String),
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance { key, .. } => f.debug_tuple("Instance").field(key).finish(),
            Self::Protocol(name) => f.debug_tuple("Protocol").field(name).finish(),
        }
    }
}

/// A value of the caller's: freed with this, unless somebody takes it.
pub struct Given {
    word: usize,
    free: Option<Free>,
    /// Of the program, for a plugin that is linked into it.
    pub(crate) is_of_program: bool,
}

type Free = Box<dyn FnOnce(usize) + Send + Sync>;

impl Given {
    /// A value that is behind this word, with what frees it.
    #[must_use]
    pub fn new(word: usize, free: impl FnOnce(usize) + Send + Sync + 'static) -> Self {
        Self {
            word,
            free: Some(Box::new(free)),
            is_of_program: false,
        }
    }

    /// The same, of a program.
    #[must_use]
    pub fn of_program(mut self) -> Self {
        self.is_of_program = true;
        self
    }

    /// The word, to be looked at.
    #[must_use]
    pub fn word(&self) -> usize {
        self.word
    }

    /// The word, and with it the value.
    #[must_use]
    pub fn take(mut self) -> usize {
        drop(mem::take(&mut self.free));
        self.word
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            free(self.word);
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Given").field(&self.word).finish()
    }
}

/// What a session keeps that is a client, or is to become one.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    /// With the URL as of the last redirect.
    pub(crate) request: ClientRequest,
    pub(crate) redirects: Redirects,
    /// In a row.
    pub(crate) failures: u64,
    /// Nobody wants it any more.
    pub(crate) is_given_up: bool,
    /// Until the session is open.
    pub(crate) given: Option<Given>,
    /// Counts it, for as long as it is kept.
    pub(crate) _seat: ClientSeat,
}

/// A connection while a hook of its protocol looks at it: all that the hook may ask, and what it has said.
pub struct ClientCall<'a> {
    pub(crate) outgoing: &'a mut Outgoing,
    pub(crate) facts: RequestFacts<'a>,
    pub(crate) answer: Option<&'a HeldAnswer>,
    pub(crate) error: Option<&'a OpeningError>,
    /// Where a redirect leads.
    pub(crate) location: Option<String>,
    pub(crate) thread: ThreadState,
    /// Why the answer will not do.
    pub(crate) refusal: String,
    pub(crate) next: Next,
    /// Holds a text that is made for the hook.
    pub(crate) text: String,
    /// Why the hook is about to fail, in its own words.
    pub(crate) fault: String,
}

/// What follows from a failure.
#[derive(Debug, Default)]
pub(crate) enum Next {
    /// What the request says of further tries.
    #[default]
    Usual,
    /// Nothing.
    GiveUp,
    /// The same after so many milliseconds.
    Again(u64),
    /// This, at once.
    To(Box<ClientRequest>),
}

impl<'a> ClientCall<'a> {
    pub(crate) fn new(
        outgoing: &'a mut Outgoing,
        facts: RequestFacts<'a>,
        thread: ThreadState,
    ) -> Self {
        Self {
            outgoing,
            facts,
            answer: None,
            error: None,
            location: None,
            thread,
            refusal: String::new(),
            next: Next::Usual,
            text: String::new(),
            fault: String::new(),
        }
    }

    /// With what the server said.
    pub(crate) fn with_answer(self, answer: Option<&'a HeldAnswer>) -> Self {
        Self { answer, ..self }
    }

    /// With what happened.
    pub(crate) fn with_error(self, error: &'a OpeningError) -> Self {
        Self {
            error: Some(error),
            answer: error.answer.as_ref(),
            ..self
        }
    }

    /// What is known of the connection.
    #[must_use]
    pub fn facts(&self) -> &RequestFacts<'a> {
        &self.facts
    }

    /// The value with this index of the fields of that name in the answer.
    #[must_use]
    pub fn field(&self, name: &str, index: usize) -> Option<&[u8]> {
        let fields = self.answer?.fields.iter();
        let is_meant = |other: &[u8]| other.eq_ignore_ascii_case(name.as_bytes());
        let mut values = fields.filter(|(other, _)| is_meant(other));
        values.nth(index).map(|(_, value)| value)
    }

    /// Name and value of the field with this index, of all of the answer.
    #[must_use]
    pub fn field_at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.answer?.fields.iter().nth(index)
    }

    /// What was given, to be looked at.
    #[must_use]
    pub fn given(&self) -> Option<usize> {
        self.outgoing.given.as_ref().map(Given::word)
    }

    /// What was given, once.
    pub fn take_given(&mut self) -> Option<usize> {
        self.outgoing.given.take().map(Given::take)
    }

    /// Has it tried elsewhere.
    ///
    /// # Errors
    ///
    /// What is wrong with the request.
    pub fn retarget(&mut self, request: ClientRequest) -> Result<(), ClientRequestError> {
        request.check()?;
        self.next = Next::To(Box::new(request));
        Ok(())
    }
}
