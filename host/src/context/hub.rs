//! From anywhere to a session: commands by id or by set, to the service thread that owns it.

mod command;
mod turn_queue;

use std::{cell::RefCell, ptr, sync::Arc};

use crate::{
    context::{
        asking::Asking,
        client_share::{ClientShare, thread_of},
        outgoing::{Connecting, Slot},
        roster::{Roster, SetId},
    },
    limits::Limits,
    net::{
        adopting::{AdoptError, Adopting},
        mailbox::{Mailbox, MailboxFull, Weight},
        token::ConnectionId,
    },
};

pub use command::{Command, Operation, PostError, RequestOperation, SlowPolicy};
pub(crate) use turn_queue::TurnQueue;

/// The ways into all service threads of one host.
#[derive(Debug)]
pub struct Hub {
    threads: Box<[Thread]>,
    clients: ClientShare,
}

#[derive(Debug)]
struct Thread {
    mailbox: Mailbox<Command>,
    roster: Roster,
    /// Those that a protocol answers.
    exchanges: Roster,
}

thread_local! {
    /// The service thread whose turn this thread is running.
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// What the hooks of the running turn have queued for their own service thread: it needs no lock and no waking, but
/// has the bounds of a mailbox.
struct Turn {
    hub: *const Hub,
    thread: usize,
    queue: TurnQueue,
}

impl Hub {
    /// A hub over the mailboxes of the service threads, in their order.
    #[must_use]
    pub fn new(mailboxes: Vec<Mailbox<Command>>) -> Self {
        let threads = mailboxes.into_iter().map(|mailbox| Thread {
            mailbox,
            roster: Roster::default(),
            exchanges: Roster::default(),
        });
        Self {
            threads: threads.collect(),
            clients: ClientShare::new(Limits::default().client_connections_count),
        }
    }

    /// What the service threads have in common of the connections that they open.
    pub(crate) fn clients(&self) -> &ClientShare {
        &self.clients
    }

    /// Where a connection is to live that is asked for by this thread: on the service thread whose turn it is running, and
    /// else on the next one.
    pub(crate) fn thread_for_client(&self) -> usize {
        let running = TURN.with_borrow(|turn| {
            let ours = turn.as_ref().filter(|turn| ptr::eq(turn.hub, self));
            ours.map(|turn| turn.thread)
        });
        running.unwrap_or_else(|| self.clients.next_thread(self.threads.len()))
    }

    /// Has a connection opened. From any thread.
    ///
    /// # Errors
    ///
    /// What was to be opened, when too much waits for its service thread.
    pub(crate) fn connect(&self, connecting: Connecting) -> Result<(), Box<Connecting>> {
        let thread = thread_of(connecting.number);
        let slot = Arc::new(Slot::new(connecting));
        let queued = self.queue(thread, Command::Connect(Arc::clone(&slot)));
        match queued {
            Ok(()) => Ok(()),
            Err(_) => slot.take().map_or(Ok(()), Err),
        }
    }

    /// Has a plain request sent. From any thread.
    ///
    /// # Errors
    ///
    /// What was to be sent, when too much waits for its service thread.
    pub(crate) fn ask(&self, asking: Asking) -> Result<(), Box<Asking>> {
        let (thread, bytes) = (thread_of(asking.number), asking.request.body.bytes());
        let slot = Arc::new(Slot::new(asking));
        match self.queue(thread, Command::Ask(Arc::clone(&slot), bytes)) {
            Ok(()) => Ok(()),
            Err(_) => slot.take().map_or(Ok(()), Err),
        }
    }

    /// Does something with a plain request, by its number, after what this thread has posted to it before. Nothing happens
    /// when it is over. From any thread.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`] when a bound is reached.
    pub(crate) fn post_request(
        &self,
        number: u64,
        operation: RequestOperation,
    ) -> Result<(), PostError> {
        let thread = thread_of(number);
        if thread >= self.threads.len() {
            return Err(PostError::Stale);
        }
        self.queue(thread, Command::Request(number, operation))
    }

    /// Gives up a connection that is not open, or a plain request, by its number. From any thread.
    pub(crate) fn give_up(&self, number: u64) {
        if let Some(thread) = self.threads.get(thread_of(number)) {
            thread.mailbox.post_always(Command::GiveUp(number));
        }
    }

    /// Does something with one session, after what this thread has posted to it before. From any thread.
    ///
    /// # Errors
    ///
    /// [`PostError::Stale`] when the session has ended, [`PostError::Full`] when a bound is reached.
    pub fn post(&self, id: ConnectionId, operation: Operation) -> Result<(), PostError> {
        let thread = self.threads.get(id.thread()).ok_or(PostError::Stale)?;
        if !thread.roster.holds(id) {
            return Err(PostError::Stale);
        }
        self.queue(id.thread(), Command::One(id, operation))
    }

    /// Does something with one exchange of a connection, as [`Self::post`].
    ///
    /// # Errors
    ///
    /// As [`Self::post`].
    pub fn post_exchange(
        &self,
        id: ConnectionId,
        number: u32,
        operation: Operation,
    ) -> Result<(), PostError> {
        let thread = self.threads.get(id.thread()).ok_or(PostError::Stale)?;
        if !thread.exchanges.holds_in(id, SetId(number)) {
            return Err(PostError::Stale);
        }
        self.queue(id.thread(), Command::Exchange(id, number, operation))
    }

    /// Closes a session for the program, as [`Self::post`].
    pub(crate) fn close(&self, id: ConnectionId, code: u16, reason: &str) -> Result<(), PostError> {
        let thread = self.threads.get(id.thread()).ok_or(PostError::Stale)?;
        if !thread.roster.holds(id) {
            return Err(PostError::Stale);
        }
        self.queue(id.thread(), Command::CloseOne(id, code, reason.into()))
    }

    /// Ends a connection for the program. Nothing happens when it has ended.
    pub(crate) fn abort(&self, id: ConnectionId) -> Result<(), PostError> {
        if id.thread() >= self.threads.len() {
            return Err(PostError::Stale);
        }
        self.queue(id.thread(), Command::Abort(id))
    }

    /// Gives a stream to a service thread, which tells what has become of it.
    pub(crate) fn adopt(&self, thread: usize, adopting: Adopting) {
        let adopting = Arc::new(adopting);
        let queued = self.queue(thread, Command::Adopt(Arc::clone(&adopting)));
        if queued.is_err() {
            adopting.refuse(AdoptError::Busy);
        }
    }

    /// A service thread has ended, or never begins: what it was told is dropped, and what it is told.
    pub(crate) fn close_thread(&self, thread: usize) {
        if let Some(thread) = self.threads.get(thread) {
            thread.mailbox.close();
        }
    }

    /// Does something with all sessions of a set. From any thread.
    ///
    /// # Errors
    ///
    /// [`PostError::Full`] when a bound of one service thread is reached; then none is told.
    pub fn post_all(&self, set: SetId, operation: Operation) -> Result<(), PostError> {
        self.to_each_thread(&Command::All(set, operation))
    }

    /// Sends a frame to all sessions of a set. From any thread; the frames of one thread arrive in its order.
    ///
    /// # Errors
    ///
    /// As [`Self::post_all`].
    pub fn broadcast(
        &self,
        set: SetId,
        frame: &Arc<[u8]>,
        slow: SlowPolicy,
    ) -> Result<(), PostError> {
        self.to_each_thread(&Command::Broadcast(set, Arc::clone(frame), slow))
    }

    /// Calls `visit` with each session of a set. From any thread.
    pub fn for_each(&self, set: SetId, visit: &mut dyn FnMut(ConnectionId)) {
        for (at, thread) in self.threads.iter().enumerate() {
            thread.roster.for_each(at as u8, set, visit);
        }
    }

    /// Tells every service thread something of the host's own, which no bound holds up.
    pub fn tell_all(&self, command: &Command) {
        for thread in &self.threads {
            thread.mailbox.post_always(command.clone());
        }
    }

    /// Tells the service thread of a connection something of the host's own, which no bound holds up.
    pub(crate) fn tell(&self, id: ConnectionId, command: Command) {
        if let Some(thread) = self.threads.get(id.thread()) {
            thread.mailbox.post_always(command);
        }
    }

    /// Makes the turn of one service thread return at once.
    pub(crate) fn wake(&self, thread: usize) {
        if let Some(thread) = self.threads.get(thread) {
            thread.mailbox.wake();
        }
    }

    /// The service threads have ended: what they were told and did not take is dropped.
    pub(crate) fn forget_commands(&self) {
        for thread in &self.threads {
            thread.mailbox.take(&mut Vec::new());
        }
    }

    /// How many service threads there are.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.threads.len()
    }

    pub(crate) fn roster(&self, thread: usize) -> &Roster {
        &self.threads[thread].roster
    }

    /// The exchanges of a service thread, each as a set by its number.
    pub(crate) fn exchanges(&self, thread: usize) -> &Roster {
        &self.threads[thread].exchanges
    }

    pub(crate) fn mailbox(&self, thread: usize) -> &Mailbox<Command> {
        &self.threads[thread].mailbox
    }

    /// From here to [`Self::end_turn`] this thread runs a turn of service thread `thread`.
    pub(crate) fn begin_turn(&self, thread: usize, queue: TurnQueue) {
        let turn = Turn {
            hub: ptr::from_ref(self),
            thread,
            queue,
        };
        TURN.with(|slot| *slot.borrow_mut() = Some(turn));
    }

    /// The turn is over; gives its queue back.
    pub(crate) fn end_turn(&self) -> TurnQueue {
        TURN.with(|slot| slot.borrow_mut().take())
            .map(|turn| turn.queue)
            .unwrap_or_default()
    }

    /// How many commands the hooks of this turn have queued for this thread.
    pub(crate) fn waiting_in_turn(&self) -> usize {
        TURN.with(|slot| {
            slot.borrow()
                .as_ref()
                .map_or(0, |turn| turn.queue.commands.len())
        })
    }

    /// The next command that a hook of this turn has queued for this thread.
    pub(crate) fn next_of_turn(&self) -> Option<Command> {
        TURN.with(|slot| slot.borrow_mut().as_mut()?.queue.pop())
    }

    /// Two threads that do this at once may both find room for the last command; the bound gives way by that much.
    fn to_each_thread(&self, command: &Command) -> Result<(), PostError> {
        let bytes = command.bytes();
        let takes = |thread: usize| {
            let mailbox = &self.threads[thread].mailbox;
            self.with_turn_of(thread, |queue| match queue {
                Some(queue) => queue.takes(bytes, mailbox),
                None => mailbox.takes(bytes),
            })
        };
        if !(0..self.threads.len()).all(takes) {
            return Err(PostError::Full);
        }
        for (at, thread) in self.threads.iter().enumerate() {
            self.with_turn_of(at, |queue| match queue {
                Some(queue) => queue.push(command.clone()),
                None => thread.mailbox.post_always(command.clone()),
            });
        }
        Ok(())
    }

    fn queue(&self, thread: usize, command: Command) -> Result<(), PostError> {
        let mailbox = &self.threads[thread].mailbox;
        let queued = self.with_turn_of(thread, |queue| match queue {
            Some(queue) if queue.takes(command.bytes(), mailbox) => {
                queue.push(command);
                Ok(())
            }
            Some(_) => Err(MailboxFull),
            None => mailbox.post(command),
        });
        queued.map_err(|MailboxFull| PostError::Full)
    }

    /// Gives the queue of the running turn, if that is one of service thread `thread`.
    fn with_turn_of<R>(&self, thread: usize, body: impl FnOnce(Option<&mut TurnQueue>) -> R) -> R {
        TURN.with_borrow_mut(|turn| {
            let ours = turn
                .as_mut()
                .filter(|turn| ptr::eq(turn.hub, self) && turn.thread == thread);
            body(ours.map(|turn| &mut turn.queue))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::event_loop::Loop;

    #[test]
    fn a_post_to_all_is_taken_by_every_service_thread_or_by_none() {
        let polls = [Loop::new().unwrap(), Loop::new().unwrap()];
        let mailboxes = polls
            .iter()
            .zip([9, 1])
            .map(|(poll, most)| Mailbox::new(poll.waker().unwrap(), most, 100));
        let hub = Hub::new(mailboxes.collect());
        assert_eq!(hub.post_all(SetId(0), Operation::Resume), Ok(()));
        let frame: Arc<[u8]> = [0].into();
        let full = hub.broadcast(SetId(0), &frame, SlowPolicy::Drop);
        assert_eq!(full, Err(PostError::Full));
        let waiting = |thread| {
            let mut commands = Vec::new();
            hub.mailbox(thread).take(&mut commands);
            commands.len()
        };
        assert_eq!((waiting(0), waiting(1)), (1, 1));
    }
}
