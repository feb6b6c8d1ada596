//! The service threads: made before there is anything to serve, since plugins need the way to them first.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use crate::{
    context::{
        hub::{Command, Hub},
        offload::OffloadThreads,
        vhosts::Vhosts,
    },
    limits::Limits,
    net::{event_loop::Loop, io::Shared, listener::Listener, mailbox::Mailbox, watcher::FdSink},
    server::{
        handle::HostHandle,
        start_error::StartError,
        worker::{HostError, Worker, WorkerParts},
    },
};

/// Stack of a service thread. An overflow in a plugin would end the host, so there is room.
pub(crate) const STACK_BYTES: usize = 8 << 20;

/// Gives the loop of the program for a service thread, by its number.
pub(crate) type FdSinks = Box<dyn FnMut(usize) -> Box<dyn FdSink> + Send>;

/// Listeners and polls of the service threads, before they run.
pub(crate) struct Threads {
    polls: Vec<Loop>,
    /// By thread: its listener for each address.
    listeners: Vec<Vec<Listener>>,
    pub(crate) hub: Arc<Hub>,
}

impl Threads {
    /// Polls for the service threads that are to have these listeners, or the loops of the program in their place.
    pub(crate) fn prepare(
        listeners: Vec<Vec<Listener>>,
        limits: &Limits,
        mut sinks: Option<FdSinks>,
    ) -> Result<Self, StartError> {
        let mut polls = Vec::new();
        let mut mailboxes: Vec<Mailbox<Command>> = Vec::new();
        for number in 0..listeners.len() {
            let poll = match &mut sinks {
                Some(sinks) => Loop::foreign(sinks(number)),
                None => Loop::new(),
            };
            let poll = poll.map_err(StartError::Poll)?;
            let waker = poll.waker().map_err(StartError::Poll)?;
            let commands = usize::try_from(limits.commands_count).unwrap_or(usize::MAX);
            mailboxes.push(Mailbox::new(waker, commands, limits.commands_bytes));
            polls.push(poll);
        }
        let hub = Hub::new(mailboxes);
        hub.clients().set_most(limits.client_connections_count);
        Ok(Self {
            polls,
            listeners,
            hub: Arc::new(hub),
        })
    }

    /// What each thread is to serve.
    pub(crate) fn workers(
        self,
        limits: &Limits,
        vhosts: &Arc<Vhosts>,
        shared: &Shared,
        handle: &HostHandle,
    ) -> Vec<Worker> {
        let parts = WorkerParts {
            hub: self.hub,
            vhosts: Arc::clone(vhosts),
            files: OffloadThreads::new(limits),
            limits: limits.clone(),
            shared: shared.clone(),
            handle: handle.clone(),
        };
        let threads = self.polls.into_iter().zip(self.listeners).enumerate();
        let worker = |(at, (poll, listeners))| Worker::new(at as u8, poll, listeners, &parts);
        threads.map(worker).collect()
    }
}

/// Has each of them serve on a thread of its own; `ended` is called there when it is done.
pub(crate) fn spawn(
    workers: Vec<Worker>,
    ended: impl Fn(Result<(), String>) + Clone + Send + 'static,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let spawned = workers.into_iter().map(|worker| {
        let ended = ended.clone();
        Builder::new()
            .name(format!("service-{}", worker.number()))
            .stack_size(STACK_BYTES)
            .spawn(move || ended(outcome(|| worker.start()?.run())))
            .map_err(StartError::Poll)
    });
    spawned.collect()
}

/// How a service thread ended. A panic here is a fault of the host, and the host ends by it in order.
fn outcome(serve: impl FnOnce() -> Result<(), HostError>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(serve)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it panicked".into()),
    }
}
