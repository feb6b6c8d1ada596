//! The service threads: made before there is anything to serve, since plugins need the way to them first.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
};

use crate::{
    config::ListenAddress,
    context::{hub::Hub, offload::FileThreads, serving::Context, vhosts::Vhosts},
    limits::Limits,
    net::{
        event_loop::{EventLoop, Loop},
        io::Shared,
        listener::{self, InetSettings, Listener},
        mailbox::Mailbox,
        settings::Settings,
        tls::Tls,
        unix_socket::{self, SocketFile},
    },
};

/// Stack of a service thread. An overflow in a plugin would end the host, so there is room.
const STACK_BYTES: usize = 8 << 20;

/// Listeners and polls of the service threads, before they run.
pub(crate) struct Threads {
    polls: Vec<Loop>,
    /// By thread: its listener for each address.
    listeners: Vec<Vec<Listener>>,
    /// Where the host listens, with the ports that the system chose.
    pub(crate) addresses: Vec<ListenAddress>,
    /// The files of its unix sockets; dropped, they are removed.
    pub(crate) socket_files: Vec<SocketFile>,
    pub(crate) hub: Arc<Hub>,
}

impl Threads {
    /// Binds all addresses for `count` threads; with TLS if there is some.
    pub(crate) fn bind(
        listen: &[ListenAddress],
        count: usize,
        limits: &Limits,
        tls: Option<&Tls>,
    ) -> Result<Self, StartError> {
        let mut listeners: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        let mut socket_files = Vec::new();
        for address in listen {
            let fail = |source| StartError::Bind {
                address: address.clone(),
                source,
            };
            let bound = match address {
                ListenAddress::Inet(settings) => {
                    let bound = listener::bind(settings, count).map_err(fail)?;
                    let chosen = bound[0].local_address().unwrap_or(settings.address);
                    addresses.push(ListenAddress::Inet(InetSettings {
                        address: chosen,
                        ..*settings
                    }));
                    bound
                }
                ListenAddress::Unix(settings) => {
                    let (bound, file) = unix_socket::bind(settings, count).map_err(fail)?;
                    addresses.push(address.clone());
                    socket_files.push(file);
                    bound
                }
            };
            for (thread, listener) in listeners.iter_mut().zip(bound) {
                thread.push(match tls.cloned() {
                    Some(tls) => listener.with_tls(tls),
                    None => listener,
                });
            }
        }
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..count {
            let poll = Loop::new().map_err(StartError::Poll)?;
            let waker = poll.waker().map_err(StartError::Poll)?;
            let commands = usize::try_from(limits.commands_count).unwrap_or(usize::MAX);
            mailboxes.push(Mailbox::new(waker, commands, limits.commands_bytes));
            polls.push(poll);
        }
        Ok(Self {
            polls,
            listeners,
            addresses,
            socket_files,
            hub: Arc::new(Hub::new(mailboxes)),
        })
    }

    /// Begins to serve; `ended` is called on each thread when it is done.
    pub(crate) fn run(
        self,
        limits: &Limits,
        vhosts: &Arc<Vhosts>,
        ended: impl Fn(Result<(), String>) + Clone + Send + 'static,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let shared = Shared::default();
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

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}; {}", bind_mend(address, source))]
    Bind {
        /// Which one.
        address: ListenAddress,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no more of something.
    #[error("cannot make a service thread; is the limit of open files or threads too low?")]
    Poll(#[source] io::Error),
}

fn bind_mend(address: &ListenAddress, error: &io::Error) -> &'static str {
    match address {
        ListenAddress::Inet(_) => inet_mend(error),
        ListenAddress::Unix(_) => unix_mend(error),
    }
}

fn unix_mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another host is live there; end it, or choose another path with --listen"
        }
        io::ErrorKind::AlreadyExists => {
            "what lies there is no socket; remove it, or choose another path with --listen"
        }
        io::ErrorKind::NotFound => {
            "is its directory missing? make it, or choose another path with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "may this user read and write its directory, and give files away? choose another path with --listen, or \
             leave out `owner` and `group`"
        }
        _ => "choose another path with --listen",
    }
}

fn inet_mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "is another host running there? choose another address with --listen"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no network interface of this machine has it; choose another address with --listen"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are for privileged processes; choose another port with --listen"
        }
        _ => "choose another address with --listen",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_not_ours_is_not_blamed_on_another_host() {
        let address = "192.0.2.1:1".parse().unwrap();
        let error = Threads::bind(&[address], 1, &Limits::default(), None).err();
        assert_eq!(
            error.unwrap().to_string(),
            "cannot listen on 192.0.2.1:1; no network interface of this machine has it; choose another address with \
             --listen"
        );
    }
}
