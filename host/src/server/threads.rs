//! The service threads: made before there is anything to serve, since plugins need the way to them first.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use crate::{
    context::{hub::Hub, offload::FileThreads, serving::Context, vhosts::Vhosts},
    limits::Limits,
    net::{
        event_loop::{EventLoop, Loop},
        io::Shared,
        listener::Listener,
        mailbox::Mailbox,
        settings::Settings,
    },
    server::listeners::StartError,
};

/// Stack of a service thread. An overflow in a plugin would end the host, so there is room.
const STACK_BYTES: usize = 8 << 20;

/// Listeners and polls of the service threads, before they run.
pub(crate) struct Threads {
    polls: Vec<Loop>,
    /// By thread: its listener for each address.
    listeners: Vec<Vec<Listener>>,
    pub(crate) hub: Arc<Hub>,
}

impl Threads {
    /// Polls for the service threads that are to have these listeners.
    pub(crate) fn prepare(
        listeners: Vec<Vec<Listener>>,
        limits: &Limits,
    ) -> Result<Self, StartError> {
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..listeners.len() {
            let poll = Loop::new().map_err(StartError::Poll)?;
            let waker = poll.waker().map_err(StartError::Poll)?;
            let commands = usize::try_from(limits.commands_count).unwrap_or(usize::MAX);
            mailboxes.push(Mailbox::new(waker, commands, limits.commands_bytes));
            polls.push(poll);
        }
        Ok(Self {
            polls,
            listeners,
            hub: Arc::new(Hub::new(mailboxes)),
        })
    }

    /// Begins to serve; `ended` is called on each thread when it is done.
    pub(crate) fn run(
        self,
        limits: &Limits,
        vhosts: &Arc<Vhosts>,
        shared: &Shared,
        ended: impl Fn(Result<(), String>) + Clone + Send + 'static,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let files = FileThreads::new(limits);
        let threads = self.polls.into_iter().zip(self.listeners).enumerate();
        let spawned = threads.map(|(at, (poll, listeners))| {
            let (hub, vhosts) = (Arc::clone(&self.hub), Arc::clone(vhosts));
            let (limits, shared) = (limits.clone(), shared.clone());
            let files = Arc::clone(&files);
            let ended = ended.clone();
            let serve = move || {
                let context = Context::new(at, hub, vhosts, files, &limits);
                let settings = Settings::from(&limits);
                EventLoop::new(poll, at as u8, listeners, context, settings, shared)?.run()
            };
            std::thread::Builder::new()
                .name(format!("service-{at}"))
                .stack_size(STACK_BYTES)
                .spawn(move || ended(outcome(serve)))
                .map_err(StartError::Poll)
        });
        spawned.collect()
    }
}

/// How a service thread ended. A panic here is a fault of the host, and the host ends by it in order.
fn outcome(serve: impl FnOnce() -> io::Result<()>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(serve)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it panicked".into()),
    }
}
