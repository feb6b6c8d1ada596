//! Commands from other threads to one service thread: a bounded queue and the waker of its poll.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::net::waker::Waker;

/// What a command weighs against `limits.commands_bytes`.
pub trait Weight {
    /// Bytes of payload that the command keeps alive.
    fn bytes(&self) -> u64;
}

/// The way into one service thread.
#[derive(Debug)]
pub struct Mailbox<C> {
    queue: Mutex<Queue<C>>,
    waker: Waker,
    most_count: usize,
    most_bytes: u64,
}

#[derive(Debug)]
struct Queue<C> {
    commands: Vec<C>,
    bytes: u64,
    /// Nobody reads any more.
    is_closed: bool,
}

/// The mailbox holds as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFull;

impl<C: Weight> Mailbox<C> {
    /// A mailbox for at most `most_count` commands of together `most_bytes`; `waker` wakes its reader.
    #[must_use]
    pub fn new(waker: Waker, most_count: usize, most_bytes: u64) -> Self {
        Self {
            queue: Mutex::new(Queue {
                commands: Vec::new(),
                bytes: 0,
                is_closed: false,
            }),
            waker,
            most_count,
            most_bytes,
        }
    }

    /// Queues a command and wakes the reader. From any thread.
    ///
    /// # Errors
    ///
    /// When a bound is reached; the command is dropped. So it is, without a word, once the mailbox is closed.
    pub fn post(&self, command: C) -> Result<(), MailboxFull> {
        let queue = self.lock();
        let bytes = queue.bytes.saturating_add(command.bytes());
        if !self.has_room(queue.commands.len(), bytes) {
            return Err(MailboxFull);
        }
        self.push(queue, command, bytes);
        Ok(())
    }

    /// Whether one more command may wait beside `count` others, when that makes so many `bytes`.
    pub(crate) fn has_room(&self, count: usize, bytes: u64) -> bool {
        count < self.most_count && bytes <= self.most_bytes
    }

    /// Whether a command of so many bytes would be taken now.
    pub fn takes(&self, bytes: u64) -> bool {
        let queue = self.lock();
        self.has_room(queue.commands.len(), queue.bytes.saturating_add(bytes))
    }

    /// Queues a command of the host itself, or one that it has made sure of, which no bound may hold up.
    pub fn post_always(&self, command: C) {
        let queue = self.lock();
        let bytes = queue.bytes.saturating_add(command.bytes());
        self.push(queue, command, bytes);
    }

    /// Makes the reader's poll return at once.
    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(target: "hotsocket::net", %error, "a service thread could not be woken");
        }
    }

    /// Moves all commands into `into`, which must be empty; its capacity is used for the next ones.
    pub fn take(&self, into: &mut Vec<C>) {
        let mut queue = self.lock();
        std::mem::swap(&mut queue.commands, into);
        queue.bytes = 0;
    }

    /// Nobody reads any more: what waits is dropped, and what comes.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.is_closed = true;
        queue.bytes = 0;
        let commands = std::mem::take(&mut queue.commands);
        drop(queue);
        // They may tell somebody, who may post.
        drop(commands);
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue<C>>, command: C, bytes: u64) {
        if queue.is_closed {
            drop(queue);
            return drop(command);
        }
        let first = queue.commands.is_empty();
        queue.commands.push(command);
        queue.bytes = bytes;
        drop(queue);
        if first {
            self.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<C>> {
        // Nothing in here can panic halfway through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token};

    use super::*;

    struct Parcel(u64);

    impl Weight for Parcel {
        fn bytes(&self) -> u64 {
            self.0
        }
    }

    fn mailbox(poll: &Poll) -> Mailbox<Parcel> {
        let waker = mio::Waker::new(poll.registry(), Token(0)).unwrap();
        Mailbox::new(Waker::Poll(waker), 2, 100)
    }

    #[test]
    fn a_post_wakes_the_reader_once_and_bounds_hold() {
        let mut poll = Poll::new().unwrap();
        let mailbox = mailbox(&poll);
        assert_eq!(mailbox.post(Parcel(101)), Err(MailboxFull));
        assert_eq!(mailbox.post(Parcel(60)), Ok(()));
        assert_eq!(mailbox.post(Parcel(60)), Err(MailboxFull));
        assert_eq!(mailbox.post(Parcel(40)), Ok(()));
        assert_eq!(mailbox.post(Parcel(0)), Err(MailboxFull));
        mailbox.post_always(Parcel(1000));
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, None).unwrap();
        assert_eq!(events.iter().count(), 1);
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert_eq!(taken.len(), 3);
        assert_eq!(mailbox.post(Parcel(100)), Ok(()));
    }

    #[test]
    fn a_closed_mailbox_keeps_nothing() {
        let poll = Poll::new().unwrap();
        let mailbox = mailbox(&poll);
        mailbox.post_always(Parcel(1));
        mailbox.close();
        mailbox.post_always(Parcel(1));
        assert_eq!(mailbox.post(Parcel(100)), Ok(()));
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert!(taken.is_empty());
    }
}
