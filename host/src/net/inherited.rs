//! Listening sockets that were opened before the process began and passed to it, as systemd's socket activation does:
//! see sd_listen_fds(3).
//!
//! With `library.rs` and its neighbours this is where unsafe code is: the only way to a descriptor is its number, and
//! the only way to take a variable from the environment is to change what all threads share.

use std::{
    env, fs, io,
    net::SocketAddr,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::{Socket, Type};

use crate::net::{
    listener::{self, InetSettings, Listener},
    unix_socket,
};

/// The first descriptor that is passed; the others follow.
const FIRST: RawFd = 3;

/// How many there are, for which process, and what they are called.
const VARIABLES: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// What a socket without a name is called.
const NAMELESS: &str = "unknown";

/// They belong to whoever takes them first.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The sockets that were passed to this process. They stay open as long as this lives.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<InheritedSocket>,
}

/// A listening socket that was passed.
#[derive(Debug)]
pub struct InheritedSocket {
    /// What it is called: `FileDescriptorName=` of its unit.
    pub name: String,
    /// Where it listens.
    pub place: InheritedPlace,
    socket: Socket,
}

/// Where a socket that was passed listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InheritedPlace {
    /// At an address.
    Inet(SocketAddr),
    /// At a path.
    Unix(PathBuf),
}

/// Why what was passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedFault {
    /// The number of them is none, or there are fewer.
    #[error(
        "LISTEN_FDS is `{count}`, and descriptor {missing} is not open; pass as many as it says, from 3 on"
    )]
    Missing {
        /// What the variable says.
        count: String,
        /// The first that is not there.
        missing: RawFd,
    },
    /// It is no socket that connections could be accepted from.
    #[error(
        "descriptor {0}, `{1}`, was passed and is no listening TCP or unix socket with an address or path; write \
         ListenStream= in the .socket unit, and no Accept=yes"
    )]
    Unusable(RawFd, String),
}

impl Inherited {
    /// Takes the sockets that are meant for this process: none when it was started in the usual way, or they were taken
    /// before. What says so is removed from the environment, so that no child takes it for its own; but that is left
    /// alone where other threads may read it, so call this before there are any.
    ///
    /// # Errors
    ///
    /// When something else was passed than listening sockets.
    pub fn take() -> Result<Self, InheritedFault> {
        let [count, pid, names] = VARIABLES.map(|name| env::var(name).ok());
        let is_for_us = pid.is_some_and(|pid| pid == std::process::id().to_string());
        forget_variables();
        let Some(count) = count.filter(|_| is_for_us) else {
            return Ok(Self::default());
        };
        if IS_TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Self::default());
        }
        let many = count.parse().ok();
        let Some(last) = many.and_then(|many| FIRST.checked_add(many)) else {
            let missing = FIRST;
            return Err(InheritedFault::Missing { count, missing });
        };
        if let Some(missing) = (FIRST..last).find(|number| !is_open(*number)) {
            return Err(InheritedFault::Missing { count, missing });
        }
        let names = names.unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let sockets = (FIRST..last).map(|number| {
            // SAFETY:
            // - It is open: that was looked at a moment ago, and nothing closes what it does not own.
            // - It is nobody else's: LISTEN_PID says that it was passed to this very process, which was told of it by
            //   its number alone, and the flag above lets only one caller get here.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            let name = names.next().unwrap_or(NAMELESS).to_owned();
            InheritedSocket::of(descriptor, &name).ok_or(InheritedFault::Unusable(number, name))
        });
        let sockets = sockets.collect::<Result<_, _>>()?;
        Ok(Self { sockets })
    }

    /// The sockets, in the order in which they were passed.
    pub fn iter(&self) -> impl Iterator<Item = &InheritedSocket> {
        self.sockets.iter()
    }

    /// The one that listens at this address.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Option<&InheritedSocket> {
        self.iter()
            .find(|socket| socket.place == InheritedPlace::Inet(address))
    }

    /// The one that listens at this path.
    #[must_use]
    pub fn at_path(&self, path: &Path) -> Option<&InheritedSocket> {
        let is_here = |socket: &&InheritedSocket| match &socket.place {
            InheritedPlace::Unix(own) => own == path,
            InheritedPlace::Inet(_) => false,
        };
        self.iter().find(is_here)
    }
}

impl InheritedSocket {
    /// None when it is no listening stream socket with an address or path.
    fn of(descriptor: OwnedFd, name: &str) -> Option<Self> {
        let socket = Socket::from(descriptor);
        let is_listening = socket.is_listener().ok()? && socket.r#type().ok()? == Type::STREAM;
        let address = socket.local_addr().ok().filter(|_| is_listening)?;
        let place = match address.as_socket() {
            Some(address) => InheritedPlace::Inet(address),
            None => InheritedPlace::Unix(address.as_pathname()?.to_owned()),
        };
        // No program that is started by this one is to have it, and no service thread is to wait in it.
        socket.set_cloexec(true).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            name: name.to_owned(),
            place,
            socket,
        })
    }

    /// Gives each of `count` service threads a duplicate: they accept from the same queue, as from that of a unix socket.
    /// `settings` are for those with an address.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn share(
        &self,
        settings: Option<&InetSettings>,
        count: usize,
    ) -> io::Result<Vec<Listener>> {
        let copies = (0..count).map(|_| {
            let socket = self.socket.try_clone()?;
            match self.place {
                InheritedPlace::Inet(_) => {
                    settings.map_or(Ok(()), |settings| listener::prepare(&socket, settings))?;
                    Ok(listener::into_mio(socket))
                }
                InheritedPlace::Unix(_) => Ok(unix_socket::into_mio(socket)),
            }
        });
        copies.collect()
    }
}

/// Whether a descriptor of this number is open.
fn is_open(number: RawFd) -> bool {
    fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

/// Removes the variables, if no other thread can be reading them.
fn forget_variables() {
    if VARIABLES.iter().all(|name| env::var_os(name).is_none()) {
        return;
    }
    let threads = fs::read_dir("/proc/self/task").map(Iterator::count);
    if !matches!(threads, Ok(1)) {
        return;
    }
    for name in VARIABLES {
        // SAFETY: this is the only thread there is, so nobody reads or changes the environment meanwhile.
        unsafe { env::remove_var(name) };
    }
}
