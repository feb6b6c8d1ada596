//! Exchanges by id, from any thread.

use std::{fmt, num::NonZeroU64};

use crate::{Host, PostError, abi, handle::posted};

/// Names an exchange: its connection, and which request of it. Never used again for another one while the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId {
    connection: NonZeroU64,
    number: NonZeroU64,
}

impl ExchangeId {
    /// The id of these numbers, as [`connection`](Self::connection) and [`number`](Self::number) gave them; none if one
    /// of them is 0.
    #[must_use]
    pub const fn new(connection: u64, number: u64) -> Option<Self> {
        match (NonZeroU64::new(connection), NonZeroU64::new(number)) {
            (Some(connection), Some(number)) => Some(Self { connection, number }),
            _ => None,
        }
    }

    /// The number of its connection; no other connection of the host has it.
    #[must_use]
    pub const fn connection(self) -> u64 {
        self.connection.get()
    }

    /// Which request of its connection it is, counted from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number.get()
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.connection, self.number)
    }
}

/// An exchange by its id: what any thread, and any other hook, can do with it.
///
/// Everything is queued for the service thread that owns the connection and done there after the hook that may be
/// running; what one thread asks of one exchange is done in that order. An exchange that has ended is a clean error.
/// Content is sent in hooks only: notify the exchange, and it sends.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeHandle {
    host: Host,
    id: ExchangeId,
}

impl ExchangeHandle {
    pub(crate) const fn new(host: Host, id: ExchangeId) -> Self {
        Self { host, id }
    }

    /// Which exchange this is.
    #[must_use]
    pub const fn id(&self) -> ExchangeId {
        self.id
    }

    /// Has [`on_notify`](crate::HttpHandler::on_notify) of that exchange called with a copy of `payload`.
    ///
    /// # Errors
    ///
    /// As all calls of a handle: [`PostError`].
    pub fn notify(&self, payload: &[u8]) -> Result<(), PostError> {
        self.post(abi::POST_NOTIFY, payload)
    }

    /// Asks for one [`on_writable`](crate::HttpHandler::on_writable) of that exchange.
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn ask_writable(&self) -> Result<(), PostError> {
        self.post(abi::POST_ASK_WRITABLE, &[])
    }

    /// Stops reading its body, as [`Exchange::pause`](crate::Exchange::pause).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn pause(&self) -> Result<(), PostError> {
        self.post(abi::POST_PAUSE, &[])
    }

    /// Reads on, as [`Exchange::resume`](crate::Exchange::resume).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn resume(&self) -> Result<(), PostError> {
        self.post(abi::POST_RESUME, &[])
    }

    /// Has the policy asked again that did not know what to say of the request.
    pub(crate) fn ask_again(&self) -> Result<(), PostError> {
        self.post(abi::POST_ASK_AGAIN, &[])
    }

    /// Cuts the exchange off, as [`Exchange::abort`](crate::Exchange::abort).
    ///
    /// # Errors
    ///
    /// [`PostError`].
    pub fn abort(&self) -> Result<(), PostError> {
        self.post(abi::POST_HANG_UP, &[])
    }

    fn post(&self, operation: u32, payload: &[u8]) -> Result<(), PostError> {
        posted(self.host.post_exchange(self.id, operation, payload))
    }
}
